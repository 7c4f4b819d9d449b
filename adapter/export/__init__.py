"""Measurements and events as files for pandas, polars and DuckDB: CSV, and Parquet with pyarrow."""

"""Master data from files: CSV and JSON made one import."""

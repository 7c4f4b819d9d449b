"""Service orders in SQLite."""

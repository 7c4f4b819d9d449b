"""Master data in SQLite: read, and loaded by an import."""

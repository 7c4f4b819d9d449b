"""Device events in SQLite: taken in, looked up, paired."""

"""In SQLite: rows kept for so long, rows that failed, what a wrong clock left."""

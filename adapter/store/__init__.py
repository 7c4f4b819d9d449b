"""Stores behind the engine's Store port: SQLite on disk."""

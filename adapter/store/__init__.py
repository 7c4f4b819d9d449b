"""Stores behind the engine's Store port: SQLite on disk, and a model in memory."""

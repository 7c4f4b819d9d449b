"""Payloads and measurements in SQLite: staged, valued, reported."""

"""Commands in SQLite: claimed, read, written, and the messages that concern them."""

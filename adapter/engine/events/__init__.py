"""Device events: told apart by their tables, followed by outages."""

"""The store in PostgreSQL: a session behind the port of connections, its SQL, its schema."""

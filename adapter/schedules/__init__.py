"""When a recurring read is due, and what its windows came to. Pure."""

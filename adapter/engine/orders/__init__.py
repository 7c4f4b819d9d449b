"""Service orders: carried out by commands and field work, with replies to the requester."""

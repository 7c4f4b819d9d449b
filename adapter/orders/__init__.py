"""Service orders: six orchestrations made of ten algorithm types. Pure; no I/O, no clock."""

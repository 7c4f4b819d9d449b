"""What a command is and how it moves. Pure: values in, values out; no I/O, no clock."""

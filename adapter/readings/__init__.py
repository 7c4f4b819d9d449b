"""From what the head end sends to initial measurement data, in two pure stages."""

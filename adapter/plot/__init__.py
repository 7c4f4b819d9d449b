"""Load profiles as pictures: in a terminal, and as PNG."""

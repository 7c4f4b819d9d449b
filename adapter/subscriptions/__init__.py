"""What the head end should send of itself, compared with what it does send. Pure."""

"""What the head end sends of itself, and whether it is too quiet."""

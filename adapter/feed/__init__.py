"""Which events of the feed a receiver wants, and how they reach it. Pure."""

"""Device events: their types, and outages paired with restorations. Pure."""

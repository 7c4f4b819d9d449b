"""The demonstration: twelve commands, one order, and a day of a simulated city."""

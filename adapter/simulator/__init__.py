"""A stateful stand-in for the head end: meters, jobs, callbacks, and scripts of what goes wrong."""

"""Recorded exchanges with a head end, and playing them back in virtual time."""

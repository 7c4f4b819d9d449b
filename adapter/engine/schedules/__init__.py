"""Recurring reads: windows opened, followed and closed."""

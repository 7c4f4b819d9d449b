"""The JSON interface: one file per subject, and the table of routes."""

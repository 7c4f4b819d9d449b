"""Rows kept for so long and no longer, and the witness of the audit chain."""

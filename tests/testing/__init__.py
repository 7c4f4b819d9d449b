"""The fixtures that are offered to tests of others."""

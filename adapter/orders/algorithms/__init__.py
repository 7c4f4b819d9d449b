"""The ten algorithm types: the table, and one function for each. Pure."""

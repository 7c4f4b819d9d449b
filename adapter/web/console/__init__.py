"""The operator's console: pages on the port of the JSON interface, rendered here."""

"""The typed client against the real REST interface, also through lines that break."""

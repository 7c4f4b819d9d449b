"""Payloads of any size: parsed in a worker process, staged, shown by one commit."""

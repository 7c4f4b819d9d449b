"""Payloads of any size taken in: parsed in a worker process, staged, shown by one commit."""

"""Webhooks: signatures, envelopes, and events posted to the systems that asked for them."""

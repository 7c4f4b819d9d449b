"""The things the gateway speaks of: identities, devices, readings. Values only."""

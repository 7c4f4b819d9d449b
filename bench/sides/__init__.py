"""The processes of a measurement: head ends, senders, the gateway, and what stands beside it."""

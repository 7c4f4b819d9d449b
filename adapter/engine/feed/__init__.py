"""The feed: all events that go out, in one order."""

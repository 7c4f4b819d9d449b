"""Commands: submitted, sent, followed, completed and published."""

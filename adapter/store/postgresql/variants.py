"""Statements, and parts of them, that PostgreSQL needs in other words than SQLite."""

from typing import Final

from adapter.store import feed
from adapter.store.commands import queries
from adapter.store.upkeep import clock_correction

_named: Final = queries.number_of("inbox.communication")

FRAGMENTS: Final = (
    # Rows name communications and commands by their ids.
    (queries._OPERATION, "inbox.operation"),
    (queries._COMMUNICATION, "communication"),
    (f"told.number = {_named}", "told.id = inbox.communication"),
    (queries._SUBJECT, "subject"),
    (queries._NUMBER_OF_SUBJECT, ""),
    (queries._NAMED, "(SELECT id, id AS name FROM communication WHERE command = :command)"),
    (clock_correction._NAMED, "subject = value"),
)
"""In this order."""

VARIANTS: Final = {
    feed.NEWEST: """
SELECT greatest((SELECT coalesce(max(seq), 0) FROM publication),
                (SELECT seq FROM publication_removed))""",
}

WALKED: Final = frozenset(
    {
        queries.LIST_ALL,
        queries.LIST_KIND,
        queries.LIST_COMPLETED,
        queries.LIST_STATE,
        queries.LIST_DEVICE,
        queries.AUDIT_WALK,
        queries.OLDEST_UNKNOWN,
    }
)
"""Whoever asks these stops when there is enough."""

"""Parts of statements that PostgreSQL needs in other words than SQLite."""

from typing import Final

from adapter.store import feed
from adapter.store.commands import queries
from adapter.store.readings import completeness
from adapter.store.readings import queries as measured
from adapter.store.upkeep import clock_correction

_of: Final = queries.number_of

FRAGMENTS: Final = (
    # Rows name communications and commands by their ids.
    (queries._OPERATION, "inbox.operation"),
    (queries._COMMUNICATION, "communication"),
    (f"told.number = {_of('inbox.communication')}", "told.id = inbox.communication"),
    (f"e.number = {_of('m.communication')}", "e.id = m.communication"),
    (f"e.number = {_of('i.communication')}", "e.id = i.communication"),
    (queries._SUBJECT, "subject"),
    (queries._NUMBER_OF_SUBJECT, ""),
    (queries._NAMED, "(SELECT id, id AS name FROM communication WHERE command = :command)"),
    (clock_correction._NAMED, "subject = value"),
    # One search for each device: an index serves no comparison with a subquery's row.
    (
        queries._INSTALLED,
        """LEFT JOIN LATERAL (
        SELECT service_point, body FROM install_event AS each WHERE each.device = device.id
        ORDER BY removed, installed_at DESC, service_point DESC LIMIT 1) AS installed ON true""",
    ),
    # The columns of the row that has the least or the greatest value.
    (
        measured._NEAREST,
        """
    SELECT DISTINCT ON (channel, condition, at <= :near) channel, at, load, n FROM seen
    WHERE value IS NOT NULL AND following IS DISTINCT FROM at
    ORDER BY channel, condition, at <= :near, abs(at - :near), at""",
    ),
    (
        completeness._NEWEST_OF,
        """SELECT DISTINCT ON (endpoint) endpoint, outcome, number FROM ended
    ORDER BY endpoint, id DESC""",
    ),
    (
        completeness._CAPABILITIES,
        "json_array_elements_text(convert_from(d.body, 'UTF8')::json -> 'capabilities')"
        " AS able (value)",
    ),
    # The next number of a sequence may have been given to a row that is not committed yet.
    (
        feed.NEWEST,
        """SELECT greatest((SELECT coalesce(max(seq), 0) FROM publication),
                (SELECT seq FROM publication_removed))""",
    ),
)
"""In this order."""

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

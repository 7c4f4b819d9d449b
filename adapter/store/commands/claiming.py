"""Taking what is due: communications with work to do, commands whose own time has come."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from adapter.commands.activity import Work
from adapter.commands.flows import Operation
from adapter.model.ids import CommandId
from adapter.store.commands import queries
from adapter.store.connection import SqlConnection
from adapter.store.rows import micros
from adapter.store.transaction import Transaction

_BEFORE_ALL: Final = -(2**63)


def is_due(connection: SqlConnection, work: Work, now: datetime) -> bool:
    """Whether a claim may find something: most looks find nothing, and write nothing then."""
    return any(first <= micros(now) for _, _, first in claim_groups(connection, work))


def attention_is_due(connection: SqlConnection, now: datetime) -> bool:
    """Whether some command's own time has come, also of one that is not free."""
    return connection.execute(queries.ANY_DUE, (micros(now),)).get is not None


def claim(
    tx: Transaction,
    work: Work,
    limit: int,
    now: datetime,
    lease_until: datetime,
    skip: frozenset[Operation],
) -> list[tuple[object, tuple[str, str, str, int]]]:
    """(communication, row) of each; `reading.leased` reads the rows. Group by group, so that
    neither
    what is not due nor what is skipped is ever looked at."""
    found: list[tuple[int, int, str, str, str]] = []
    for priority, operation, first in claim_groups(tx.connection, work):
        if len(found) >= limit and priority > found[-1][0]:
            break
        if first > micros(now) or operation in skip:
            continue
        picked = tx.connection.execute(
            queries.CLAIMABLE,
            {
                "work": work,
                "priority": priority,
                "operation": operation,
                "now": micros(now),
                "limit": limit,
            },
        )
        found.extend((priority, *row, operation) for row in picked)
    found.sort()
    taken = found[:limit]
    until = micros(lease_until)
    tx.connection.executemany(queries.LEASE_COMMUNICATION, [(until, row[2]) for row in taken])
    return [(row[2], (row[3], row[2], row[4], row[0])) for row in taken]


def claim_groups(connection: SqlConnection, work: Work) -> Iterable[tuple[int, str, int]]:
    """(priority, operation, earliest due) of all that has this work, most urgent first."""
    row = connection.execute(queries.NEXT_CLAIM_PRIORITY, (work, _BEFORE_ALL)).get
    while row is not None:
        priority, operation, due = row
        yield priority, operation, due
        row = connection.execute(queries.NEXT_CLAIM_OPERATION, (work, priority, operation)).get
        if row is None:
            row = connection.execute(queries.NEXT_CLAIM_PRIORITY, (work, priority)).get


def due(tx: Transaction, limit: int, now: datetime, lease_until: datetime) -> list[CommandId]:
    names = {"now": micros(now), "limit": limit}
    ids = [row[0] for row in tx.connection.execute(queries.COMMANDS_DUE, names)]
    until = micros(lease_until)
    tx.connection.executemany(queries.DELAY_COMMAND, [(until, command) for command in ids])
    for command in ids:
        tx.saved.pop(command, None)
    return ids

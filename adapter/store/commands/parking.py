"""How many callbacks may wait for their token: past that, the oldest go to quarantine.

They are not lost there: the transaction in which their token becomes known brings them back. What
they and those that were given up cost is bounded, too, but for those at an address of their own.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from adapter.engine.commands.ports import ROW_BYTES, AuditNote
from adapter.store.commands import queries
from adapter.store.commands.receiving import remove
from adapter.store.commands.writing import note_all
from adapter.store.connection import SqlConnection
from adapter.store.rows import micros
from adapter.store.transaction import Transaction

PUSHED_OUT: Final = "too many callbacks wait for their token: the oldest gave way"

_AT_ONCE: Final = 256
"""Rows moved in one transaction: callbacks wait behind it."""
_SHARES: Final = (
    (queries.COUNT_PARKED_BARE, queries.OLDEST_PARKED_BARE),
    (queries.COUNT_PARKED_ADDRESSED, queries.OLDEST_PARKED_ADDRESSED),
)
"""What came at the bare address has a bound of its own: a flood of it moves nothing else."""


def push_out(tx: Transaction, most: int, now: datetime) -> int:
    """Quarantine the oldest past `most`, some at a time. How many; 0: none is left to move."""
    moved: list[int] = []
    for count, oldest in _SHARES:
        excess = tx.connection.execute(count).get - most
        if excess > 0:
            limit = min(excess, _AT_ONCE)
            moved += [number for (number,) in tx.connection.execute(oldest, (limit,))]
    if not moved:
        return 0
    values = [(PUSHED_OUT, micros(now), number) for number in moved]
    tx.connection.executemany(queries.PUSH_OUT, values)
    detail = {"rows": len(moved), "first": min(moved), "last": max(moved), "reason": PUSHED_OUT}
    note_all(
        tx, [AuditNote(actor="gateway", action="Quarantined", subject="inbox", detail=detail)], now
    )
    return len(moved)


def unknown_bytes(connection: SqlConnection) -> int:
    """What those in quarantine cost that came at the bare address, with a token nobody knows."""
    return int(connection.execute(queries.UNKNOWN_COST, (ROW_BYTES,)).get)


def oldest_unknown(connection: SqlConnection, excess: int) -> list[list[int]]:
    """The oldest of them that cost `excess` bytes together, in parts for one transaction each."""
    found: list[int] = []
    for inbox, cost in connection.execute(queries.OLDEST_UNKNOWN, (ROW_BYTES,)):
        if excess <= 0:
            break
        found.append(inbox)
        excess -= cost
    return [found[start : start + _AT_ONCE] for start in range(0, len(found), _AT_ONCE)]


def remove_unknown(tx: Transaction, numbers: Sequence[int], now: datetime) -> int:
    """Remove those of them that are still unknown. How many bytes."""
    costs = dict(_still_unknown(tx.connection, numbers))
    if costs:
        remove(tx, list(costs), sum(costs.values()), now)
    return sum(costs.values())


def _still_unknown(connection: SqlConnection, numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    for number in numbers:
        cost = connection.execute(queries.UNKNOWN_STILL, (ROW_BYTES, number)).get
        if cost is not None:
            yield number, int(cost)

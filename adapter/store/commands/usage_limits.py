"""Caps and quotas in the writer's transaction: whether all that a request uses has room, and the
count of it. What has none is put off in the same transaction, until its turn comes. What waits no
longer leaves the queue in the transaction that ends it, and those behind it move up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from adapter.commands.effects import Severity
from adapter.commands.usage_limits import Use, Uses, day_of, next_hour
from adapter.engine.commands.ports import Publication
from adapter.model.ids import CommandId, EventId
from adapter.store.connection import SqlConnection
from adapter.store.rows import as_list, micros
from adapter.store.transaction import Transaction

MOST_AHEAD: Final = 1_000_000

USED: Final = """
SELECT coalesce(sum(used), 0) FROM limit_use
WHERE name = ? AND member = ? AND hour >= ? AND hour < ?"""
IN_FORCE: Final = """
SELECT 1 FROM limit_override WHERE ended IS NULL AND ends > :at AND begins <= :at
    AND name IN (:name, '') LIMIT 1"""
_TAKE: Final = """
INSERT INTO limit_use (name, member, hour, used) VALUES (?, ?, ?, 1)
ON CONFLICT (name, member, hour) DO UPDATE SET used = limit_use.used + 1"""
_GIVE_BACK: Final = """
UPDATE limit_use SET used = used - 1 WHERE name = ? AND member = ? AND hour = ? AND used > 0"""
AHEAD: Final = """
SELECT count(*) FROM (SELECT 1 FROM limit_wait
WHERE name = :name AND member = :member AND until > :at AND communication <> :communication
LIMIT :limit)"""
_PUT_OFF: Final = "UPDATE communication SET due = ? WHERE id = ? AND work = 'send'"
_WAIT: Final = """
INSERT INTO limit_wait (communication, command, name, member, since, until)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (communication) DO UPDATE SET
    name = excluded.name, member = excluded.member, until = excluded.until"""
_LEFT: Final = "DELETE FROM limit_wait WHERE communication = ?"
ANY_WAITING: Final = "SELECT 1 FROM limit_wait LIMIT 1"
WITHDRAW: Final = """
DELETE FROM limit_wait WHERE communication IN (SELECT value FROM json_each(?))
RETURNING name, member, until"""
BEHIND: Final = """
SELECT communication, until FROM limit_wait
WHERE name = :name AND member = :member AND until > :place AND until > :at
ORDER BY until, communication LIMIT 1"""
_MOVE_UP: Final = "UPDATE limit_wait SET until = ? WHERE communication = ?"
PASSED: Final = """
UPDATE communication SET due = :at WHERE due > :at AND work = 'send' AND id IN (
    SELECT communication FROM limit_wait WHERE command IN (SELECT value FROM json_each(:commands)))
"""


class Full(NamedTuple):
    """A limit without room: of the day, or only of the hour."""

    use: Use
    of_day: bool


def full(db: SqlConnection, uses: Uses) -> Full | None:
    """The limit that keeps a request from leaving now: that of a day before one of an hour."""
    found = [Full(use, of_day) for use in uses.of if (of_day := _no_room(db, use)) is not None]
    return max(found, key=lambda each: each.of_day, default=None)


def _no_room(db: SqlConnection, use: Use) -> bool | None:
    """Whether it is the day that has none; None: there is room, or somebody lets it pass."""
    found: bool | None = None
    if use.per_hour is not None:
        used = _used(db, use, use.hour, next_hour(use.at, use.zone))
        found = False if used >= use.per_hour else None
    if use.per_day is not None:
        used = _used(db, use, use.day, day_of(use.at, use.zone, later=1))
        found = True if used >= use.per_day else found
    if found is not None and db.execute(IN_FORCE, {"at": micros(use.at), "name": use.limit}).get:
        return None
    return found


def _used(db: SqlConnection, use: Use, begin: datetime, end: datetime) -> int:
    found: int = db.execute(USED, (use.limit, use.member, micros(begin), micros(end))).get
    return found


def take(db: SqlConnection, uses: Uses) -> None:
    """Count it. It waits no longer."""
    db.executemany(_TAKE, [(use.limit, use.member, micros(use.hour)) for use in uses.of])
    db.execute(_LEFT, (uses.communication,))


def give_back(db: SqlConnection, uses: Uses) -> None:
    """It did not leave: the count is as if it had never been taken."""
    db.executemany(_GIVE_BACK, [(use.limit, use.member, micros(use.hour)) for use in uses.of])


def withdraw(tx: Transaction, communications: Sequence[str], at: datetime) -> None:
    """These are not to be sent any more. Their places are free at once: of those behind, the first
    of each hour or day moves up to the one before, so that nobody passes another."""
    if not communications or tx.immediate.execute(ANY_WAITING).get is None:
        return
    db = tx.connection
    freed = db.execute(WITHDRAW, (as_list(communications),)).fetchall()
    for name, member, place in sorted(freed):
        names = {"name": name, "member": member, "place": place, "at": micros(at)}
        while (behind := db.execute(BEHIND, names).fetchone()) is not None:
            communication, until = behind
            db.execute(_PUT_OFF, (names["place"], communication))
            db.execute(_MOVE_UP, (names["place"], communication))
            names["place"] = until


def look_again(tx: Transaction, commands: Sequence[CommandId], at: datetime) -> None:
    """Others have taken the meters of these: what of them waits finds out now, not at its turn."""
    if commands and tx.immediate.execute(ANY_WAITING).get is not None:
        tx.connection.execute(PASSED, {"at": micros(at), "commands": as_list(commands)})


def put_off(tx: Transaction, uses: Uses, found: Full) -> Publication:
    """Until its turn comes, behind those that wait already. What is told of it, once for each hour
    or day."""
    use, db = found.use, tx.connection
    names = {"name": use.limit, "member": use.member, "at": micros(use.at)}
    names |= {"communication": uses.communication, "limit": MOST_AHEAD}
    until = use.turn(db.execute(AHEAD, names).get, of_day=found.of_day)
    at, due = micros(use.at), micros(until)
    db.execute(_PUT_OFF, (due, uses.communication))
    db.execute(_WAIT, (uses.communication, uses.command, use.limit, use.member, at, due))
    span = "day" if found.of_day else "hour"
    began = use.day if found.of_day else use.hour
    return Publication(
        id=EventId(f"limit:{use.limit}:{use.member}:{span}:{began.isoformat()}"),
        type="openway.gateway.limit_reached",
        subject="gateway",
        severity=Severity.WARNING,
        data={
            "limit": use.limit,
            "member": use.member,
            "span": span,
            "most": use.per_day if found.of_day else use.per_hour,
            "began": began,
        },
    )

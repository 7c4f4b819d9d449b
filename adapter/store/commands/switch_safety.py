"""Switching stopped and resumed, limits and overrides, in the gateway's SQLite file."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from adapter.commands.activity import FINAL_COMMUNICATION, Communication, CommunicationState
from adapter.commands.calls import RemoteResult
from adapter.commands.failures import failure_row
from adapter.commands.flows import CLOSING_KINDS, FLOWS, SWITCH_OPERATIONS, Priority
from adapter.commands.steps import proves_idle
from adapter.engine.commands.ports import AuditNote
from adapter.engine.commands.switch_holds import HoldReason
from adapter.engine.commands.switch_safety import (
    HeldReconnect,
    LimitOverride,
    ResumeRequest,
    SwitchCounts,
    Told,
    Used,
    Waiting,
    WaitTotal,
)
from adapter.model.ids import CommandId, CommunicationId
from adapter.store.commands import reading, writing
from adapter.store.commands.holds import DROP
from adapter.store.commands.usage_limits import ANY_WAITING
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.registry.service_points import without_supply
from adapter.store.rows import as_list, encode, micros, moment, read_communication
from adapter.store.transaction import Transaction

_S: Final = CommunicationState


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{each}'" for each in words)


_OPERATIONS: Final = _listed(sorted(SWITCH_OPERATIONS))
_CONNECTS: Final = _listed(sorted(FLOWS[kind].request.operation for kind in CLOSING_KINDS))
_PRIORITIES: Final = ", ".join(str(each.rank) for each in Priority)
# Whoever moves a switch holds a lane of it, and most have two: by the device, and by the endpoint.
COUNTS: Final = f"""
SELECT communication.state, count(DISTINCT communication.command) FROM lane
JOIN command ON command.number = lane.command
JOIN communication ON communication.command = command.id
WHERE lane.name >= 'switch:' AND lane.name < 'switch;'
    AND communication.operation IN ({_OPERATIONS})
GROUP BY communication.state"""
# What has left and is over, of commands that are still open: in an error state, say.
OVER: Final = f"""
SELECT communication.command, communication.id, communication.operation, communication.work,
    communication.state, communication.wake, communication.token, communication.body
FROM lane JOIN command ON command.number = lane.command
JOIN communication ON communication.command = command.id
WHERE lane.name >= 'switch:' AND lane.name < 'switch;' AND communication.sent = 1
    AND communication.operation IN ({_OPERATIONS})
    AND communication.state IN ({_listed(sorted(FINAL_COMMUNICATION))})
GROUP BY communication.id"""
OPEN: Final = """
SELECT count(DISTINCT command) FROM lane WHERE name >= 'switch:' AND name < 'switch;'"""
_QUEUED: Final = f"""
FROM communication WHERE work = 'send' AND priority IN ({_PRIORITIES})
    AND operation IN ({{operations}}) AND due IS NOT NULL"""
QUEUED: Final = f"SELECT id, command {_QUEUED.format(operations=_OPERATIONS)} ORDER BY id"
CONNECTS: Final = (
    f"SELECT command {_QUEUED.format(operations=_CONNECTS)} ORDER BY command LIMIT :limit"
)
_REQUEST: Final = "SELECT body FROM resume_request"
_PUT_REQUEST: Final = """
INSERT INTO resume_request (one, body) VALUES (1, ?)
ON CONFLICT (one) DO UPDATE SET body = excluded.body"""
_DROP_REQUEST: Final = "DELETE FROM resume_request"
# What was claimed when it was stopped keeps its turn: it does not leave behind all the others.
TURN_BACK: Final = f"""
UPDATE communication SET due = wake WHERE work = 'send' AND priority IN ({_PRIORITIES})
    AND operation IN ({_OPERATIONS}) AND due > wake
    AND id NOT IN (SELECT communication FROM limit_wait)"""
_LATER: Final = "UPDATE communication SET due = ? WHERE id = ? AND work = 'send'"
USED: Final = "SELECT name, member, hour, used FROM limit_use WHERE hour >= ?"
TOTALS: Final = """
SELECT name, member, count(*), min(since), min(until), max(until) FROM limit_wait
GROUP BY name, member"""
WAITING: Final = """
SELECT command, communication, name, member, since, until FROM limit_wait
WHERE communication > :after AND (:name IS NULL OR name = :name)
ORDER BY communication LIMIT :limit"""
WAITS_OF: Final = """
SELECT command, communication, name, member, since, until FROM limit_wait
WHERE communication IN (SELECT value FROM json_each(?))"""
# The plus: from what waits to its communication, never through all that is to be sent.
LOOK_AGAIN: Final = """
UPDATE communication SET due = :now WHERE +work = 'send' AND due > :now
    AND id IN (SELECT communication FROM limit_wait)"""
_TURNED: Final = "UPDATE limit_wait SET until = :now WHERE until > :now"
# What an earlier version left there: now it goes with what ends it.
GONE: Final = """
DELETE FROM limit_wait WHERE NOT EXISTS (
    SELECT 1 FROM communication WHERE communication.id = limit_wait.communication
        AND work = 'send' AND due IS NOT NULL)"""
_OLD_USES: Final = "DELETE FROM limit_use WHERE hour < ?"
_OLD_OVERRIDES: Final = "DELETE FROM limit_override WHERE ended < ?"
OVERRIDES: Final = "SELECT body FROM limit_override ORDER BY begins DESC, id DESC LIMIT ?"
OPEN_OVERRIDES: Final = """
SELECT body FROM limit_override WHERE ended IS NULL ORDER BY begins DESC, id DESC LIMIT ?"""
_PUT_OVERRIDE: Final = """
INSERT INTO limit_override (id, name, begins, ends, ended, body) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, body = excluded.body
WHERE limit_override.ended IS NULL"""

_request: Final = msgspec.json.Decoder(ResumeRequest).decode
_override: Final = msgspec.json.Decoder(LimitOverride).decode


class SqliteSwitchSafety:
    """The SwitchSafetyStore port beside the commands, in the same file."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def counts(self) -> SwitchCounts:
        def look(db: SqlConnection) -> SwitchCounts:
            by_state: dict[str, int] = dict(db.execute(COUNTS))
            queued = by_state.get(_S.QUEUED, 0)
            sent = by_state.get(_S.AWAITING, 0) + by_state.get(_S.FETCHING, 0)
            in_doubt = by_state.get(_S.SENDING, 0) + by_state.get(_S.UNCLEAR, 0)
            over = dict[str, bool]()
            for command, *row in db.execute(OVER):
                done = _may_have_moved(read_communication(row, None))
                if done is not None:
                    over[command] = over.get(command, False) or done
            sent += sum(not doubt for doubt in over.values())
            in_doubt += sum(over.values())
            not_due = max(db.execute(OPEN).get - queued - sent - in_doubt, 0)
            return SwitchCounts(queued=queued, not_due=not_due, sent=sent, in_doubt=in_doubt)

        return await self._store.query(look)

    # ------------------------------------------------------------ stop, go on

    async def resume_request(self) -> ResumeRequest | None:
        def look(db: SqlConnection) -> ResumeRequest | None:
            body = db.execute(_REQUEST).get
            return None if body is None else _request(body)

        return await self._store.read(look)

    async def put_resume_request(
        self, request: ResumeRequest | None, *, audit: AuditNote, told: Told
    ) -> None:
        at = self._store.now()

        def work(tx: Transaction) -> None:
            if request is None:
                tx.connection.execute(_DROP_REQUEST)
            else:
                tx.connection.execute(_PUT_REQUEST, (encode(request),))
            writing.publish(tx, told, at)
            writing.note_all(tx, [audit], at)

        await self._store.write(work)

    async def resume(
        self,
        request: str,
        *,
        at: datetime,
        later: Mapping[CommunicationId, datetime],
        audit: AuditNote,
        told: Told,
    ) -> bool:
        def work(tx: Transaction) -> bool:
            db = tx.connection
            body = db.execute(_REQUEST).get
            if body is None or (found := _request(body)).id != request or found.expires_at <= at:
                return False
            db.execute(_DROP_REQUEST)
            db.execute(DROP, (HoldReason.STOPPED,))
            db.execute(TURN_BACK)
            db.executemany(_LATER, [(micros(due), each) for each, due in later.items()])
            writing.publish(tx, told, at)
            writing.note_all(tx, [audit], at)
            return True

        return await self._store.write(work)

    async def queued(self) -> Sequence[tuple[CommunicationId, CommandId]]:
        def look(db: SqlConnection) -> list[tuple[CommunicationId, CommandId]]:
            return [(CommunicationId(id_), CommandId(of)) for id_, of in db.execute(QUEUED)]

        return await self._store.query(look)

    async def held_reconnects(self, limit: int) -> Sequence[HeldReconnect]:
        def look(db: SqlConnection) -> list[HeldReconnect]:
            ids = [CommandId(id_) for (id_,) in db.execute(CONNECTS, {"limit": limit})]
            found: list[HeldReconnect] = []
            for command in reading.listed(db, ids).rows:
                activity, request = command.activity, command.request
                point = activity.service_point
                found.append(
                    HeldReconnect(
                        command=command.id,
                        order=request.order or "",
                        device=request.devices[0],
                        service_point=point or "",
                        dark=point is not None and without_supply(db, point),
                        since=max(activity.created_at, activity.effective_at),
                    )
                )
            return found

        return await self._store.query(look)

    # ------------------------------------------------------------ limits

    async def used(self, since: datetime) -> Used:
        def look(db: SqlConnection) -> Used:
            found: dict[tuple[str, str], dict[datetime, int]] = {}
            for name, member, hour, used in db.execute(USED, (micros(since),)):
                found.setdefault((name, member), {})[moment(hour)] = used
            return found

        return await self._store.query(look)

    async def wait_totals(self) -> Sequence[WaitTotal]:
        def look(db: SqlConnection) -> list[WaitTotal]:
            return [
                WaitTotal(
                    limit=name,
                    member=member,
                    waiting=count,
                    since=moment(since),
                    first=moment(first),
                    last=moment(last),
                )
                for name, member, count, since, first, last in db.execute(TOTALS)
            ]

        return await self._store.query(look)

    async def waiting(self, *, limit_name: str | None, after: str, limit: int) -> Sequence[Waiting]:
        names = {"name": limit_name, "after": after, "limit": limit}

        def look(db: SqlConnection) -> list[Waiting]:
            return [_waiting(row) for row in db.execute(WAITING, names)]

        return await self._store.query(look)

    async def waits_of(
        self, communications: Sequence[CommunicationId]
    ) -> Mapping[CommunicationId, Waiting]:
        def look(db: SqlConnection) -> dict[CommunicationId, Waiting]:
            found = map(_waiting, db.execute(WAITS_OF, (as_list(communications),)))
            return {each.communication: each for each in found}

        return await self._store.query(look)

    async def overrides(self, *, open_only: bool, limit: int) -> Sequence[LimitOverride]:
        query = OPEN_OVERRIDES if open_only else OVERRIDES

        def look(db: SqlConnection) -> list[LimitOverride]:
            return [_override(body) for (body,) in db.execute(query, (limit,))]

        return await self._store.read(look)

    async def put_override(
        self, override: LimitOverride, *, wake: bool, audit: AuditNote, told: Told
    ) -> bool:
        at = self._store.now()
        ended = None if override.ended_at is None else micros(override.ended_at)
        times = (micros(override.begins_at), micros(override.ends_at), ended)

        def work(tx: Transaction) -> bool:
            db = tx.connection
            db.execute(_PUT_OVERRIDE, (override.id, override.limit, *times, encode(override)))
            if not db.changes():
                return False
            if wake:
                _look_again(db, at)
            writing.publish(tx, told, at)
            writing.note_all(tx, [audit], at)
            return True

        return await self._store.write(work)

    async def look_again(self, now: datetime) -> int:
        def work(tx: Transaction) -> int:
            tx.connection.execute(GONE)
            return _look_again(tx.connection, now)

        if not await self._store.read(lambda db: bool(db.execute(ANY_WAITING).get)):
            return 0
        return await self._store.write(work)

    async def tidy(self, *, uses_before: datetime, overrides_before: datetime) -> None:
        def work(tx: Transaction) -> None:
            db = tx.connection
            db.execute(_OLD_USES, (micros(uses_before),))
            db.execute(_OLD_OVERRIDES, (micros(overrides_before),))

        if await self._store.read(_anything):
            await self._store.write(work)


def _may_have_moved(over: Communication) -> bool | None:
    """Of a move that is over: False where it was carried out, True where nobody knows whether it
    was, None where it was not, or another has taken its place."""
    if over.superseded:
        return None
    failed = over.endpoint_failure
    done = over.inferred or over.result is RemoteResult.SUCCESS
    if over.state is _S.COMPLETED and failed is None and done:
        return False
    if failed is not None and failure_row(failed.value).idle:
        return None
    return None if proves_idle(over) else True


def _anything(db: SqlConnection) -> bool:
    tables = ("limit_use", "limit_override")
    return any(db.execute(f"SELECT 1 FROM {each} LIMIT 1").get for each in tables)


def _look_again(db: SqlConnection, now: datetime) -> int:
    names = {"now": micros(now)}
    db.execute(LOOK_AGAIN, names)
    woken = db.changes()
    db.execute(_TURNED, names)
    return woken


def _waiting(row: tuple[Any, ...]) -> Waiting:
    command, communication, name, member, since, until = row
    return Waiting(
        command=CommandId(command),
        communication=CommunicationId(communication),
        limit=name,
        member=member,
        since=moment(since),
        until=moment(until),
    )

"""Many commands of one kind in one request: a header with counts, and a command for each row.

All or nothing, unless the good rows alone are wanted: what is stored of a bulk request, its header
and its commands, is one transaction. Each command then has a life of its own.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NewType, Protocol

import msgspec
from msgspec import Struct

from adapter.commands.activity import Command, CommandRequest, State
from adapter.commands.flows import CommandKind
from adapter.commands.rules import lanes_of
from adapter.engine import tracing
from adapter.engine.commands.ports import (
    Accepted,
    AuditNote,
    Clock,
    Duplicate,
    KeyConflict,
    LaneTaken,
    Store,
    Submission,
    Submitted,
)
from adapter.engine.commands.submit import Prepared, Submitter, fingerprint, key_conflict
from adapter.engine.upkeep.signals import Signals, say_command_waits
from adapter.errors import Conflict, InvalidRequest, NotFound
from adapter.model.ids import CommandId

BulkId = NewType("BulkId", str)

MOST_ROWS: Final = 1_000
"""One transaction stores them all, and callbacks that come meanwhile wait for it: 0.1 to 0.4 s."""

_MOST_TOLD: Final = 100
"""Refused rows that are told, and kept with the header."""

_TRIES: Final = 5
_TOGETHER: Final = 50


class RowFault(Struct, frozen=True, kw_only=True):
    """Why a row is refused. `line` is that of the file, from 1."""

    line: int
    field: str
    rule: str


class BulkRefused(InvalidRequest):
    """Rows were refused, so that nothing was stored. `faults` are the first of them."""

    code = "bulk_refused"

    def __init__(self, faults: Sequence[RowFault], rows: int) -> None:
        first = faults[0]
        told = f"{first.rule}; {len(faults)} of {rows} rows are refused, and nothing was stored"
        super().__init__(f"line {first.line}: {first.field}", told)
        self.faults = tuple(faults[:_MOST_TOLD])


class BulkRequest(Struct, frozen=True, kw_only=True):
    """What was asked for: `rows` are requests by their lines, `faults` the rows that are none.
    `partial`: the good rows are stored though others are refused."""

    kind: CommandKind
    key: str
    requester: str
    reference: str
    rows: Mapping[int, CommandRequest]
    faults: tuple[RowFault, ...] = ()
    partial: bool = False

    @property
    def content(self) -> str:
        """What two requests with one key must agree in."""
        made = hashlib.sha256(f"{self.kind} {self.partial} {self.reference}".encode())
        for line, request in self.rows.items():
            made.update(f"{line} {request.idempotency_key} {fingerprint(request)}\n".encode())
        for fault in self.faults:
            made.update(msgspec.json.encode(fault))
        return made.hexdigest()


class BulkHeader(Struct, frozen=True, kw_only=True):
    """What became of the rows: `accepted` are new commands, `known` were there before under their
    keys, `refused` are none: `faults` are the first of them. They add up to `rows`."""

    id: BulkId
    kind: CommandKind
    key: str
    content: str
    requester: str
    reference: str
    created_at: datetime
    rows: int
    accepted: int
    known: int
    refused: int
    faults: tuple[RowFault, ...]


class BulkStore(Protocol):
    async def submit_bulk(
        self,
        header: BulkHeader,
        known: Mapping[int, CommandId],
        rows: Mapping[int, Submission],
        audit: AuditNote,
    ) -> BulkHeader | Sequence[Submitted]:
        """The header that has its key now; or what stands against the rows, and nothing is stored.
        It is stored where each row is accepted."""

    async def bulk(self, id_: BulkId) -> BulkHeader | None: ...

    async def bulk_of_key(self, key: str) -> BulkHeader | None: ...

    async def bulk_states(self, id_: BulkId) -> Mapping[State, int]:
        """How many of its commands are in each state."""

    async def bulk_rows(
        self, id_: BulkId, *, after: int, limit: int
    ) -> Sequence[tuple[int, CommandId]]:
        """The commands by their lines, behind that of `after`."""


@dataclass(slots=True)
class _Sorted:
    """The rows of a bulk request by what became of them so far."""

    ready: dict[int, Prepared] = field(default_factory=dict)
    known: dict[int, CommandId] = field(default_factory=dict)
    faults: list[RowFault] = field(default_factory=list)

    def refuse(self, line: int, where: str, rule: str) -> None:
        self.faults.append(RowFault(line=line, field=where, rule=rule))


class BulkRequests:
    """Bulk requests. Durable when `submit` returns, as commands are, and as they are raises
    InvalidRequest, of rows BulkRefused; NotFound; Conflict; StoreFailed.
    """

    def __init__(
        self,
        store: Store,
        bulks: BulkStore,
        submitter: Submitter,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._store = store
        self._bulks = bulks
        self._submitter = submitter
        self._signals = signals
        self._clock = clock

    async def submit(self, asked: BulkRequest, *, actor: str) -> BulkHeader:
        """Accept the rows. The same key gives the same header, and a row whose own key is known
        its command, for ever."""
        content = asked.content
        if (before := await self._bulks.bulk_of_key(asked.key)) is not None:
            return _same(before, content)
        count = len(asked.rows) + len(asked.faults)
        check_count(count)
        rows = await self._sorted(asked, actor)
        for _ in range(_TRIES):
            rows.faults.sort(key=lambda fault: fault.line)
            if rows.faults and not asked.partial:
                raise BulkRefused(rows.faults, count)
            header = self._header(asked, content, rows)
            submissions = {line: each.submission for line, each in rows.ready.items()}
            note = _note(header, actor)
            stored = await self._bulks.submit_bulk(header, rows.known, submissions, note)
            if isinstance(stored, BulkHeader):
                if stored.id == header.id:
                    self._accepted(rows)
                return _same(stored, content)
            await self._sort_again(rows, stored)
        raise Conflict("other commands for these devices keep coming and going; try again")

    async def _sorted(self, asked: BulkRequest, actor: str) -> _Sorted:
        """Each row looked at, as if it were alone."""
        rows, lines = _Sorted(faults=list(asked.faults)), list(asked.rows)
        for at in range(0, len(lines), _TOGETHER):
            some = lines[at : at + _TOGETHER]
            looks = (self._look(rows, line, asked.rows[line], actor) for line in some)
            await asyncio.gather(*looks)
        rows.ready = dict(sorted(rows.ready.items()))
        _refuse_repeated(rows)
        return rows

    async def _look(self, rows: _Sorted, line: int, request: CommandRequest, actor: str) -> None:
        try:
            made = await self._submitter.prepare(
                request, actor=actor, trace=tracing.current(), at_once=False
            )
        except InvalidRequest as error:
            rows.refuse(line, error.field, error.rule)
        except Conflict as error:
            rows.refuse(line, "idempotency_key", str(error))
        else:
            if isinstance(made, Prepared):
                rows.ready[line] = made
            else:
                rows.known[line] = made

    async def _sort_again(self, rows: _Sorted, stored: Sequence[Submitted]) -> None:
        """With what the store said against them."""
        for line, result in zip(list(rows.ready), stored, strict=True):
            match result:
                case Accepted():
                    pass
                case Duplicate(id=made):
                    rows.known[line] = made
                    del rows.ready[line]
                case KeyConflict(id=made):
                    rows.refuse(line, "idempotency_key", str(key_conflict(made)))
                    del rows.ready[line]
                case LaneTaken(holders=holders):
                    rows.ready[line] = await self._submitter.again(rows.ready[line], holders)

    def _header(self, asked: BulkRequest, content: str, rows: _Sorted) -> BulkHeader:
        return BulkHeader(
            id=BulkId(self._submitter.next_id()),
            kind=asked.kind,
            key=asked.key,
            content=content,
            requester=asked.requester,
            reference=asked.reference,
            created_at=self._clock.now(),
            rows=len(asked.rows) + len(asked.faults),
            accepted=len(rows.ready),
            known=len(rows.known),
            refused=len(rows.faults),
            faults=tuple(rows.faults[:_MOST_TOLD]),
        )

    def _accepted(self, rows: _Sorted) -> None:
        for each in rows.ready.values():
            self._submitter.carry(each)
            say_command_waits(self._signals, each.submission.command)

    # ------------------------------------------------------------ look

    async def get(self, id_: BulkId) -> tuple[BulkHeader, Mapping[State, int]]:
        """The header, and how many of its commands are in each state now. Raises NotFound."""
        header = await self._bulks.bulk(id_)
        if header is None:
            raise NotFound(f"no bulk request {id_}")
        return header, await self._bulks.bulk_states(id_)

    async def rows(
        self, id_: BulkId, *, after: int = 0, limit: int
    ) -> Sequence[tuple[int, Command]]:
        """The commands by their lines, behind that of `after`. Raises NotFound."""
        await self.get(id_)
        found = await self._bulks.bulk_rows(id_, after=after, limit=limit)
        commands = await self._store.load([command for _, command in found])
        return [(line, commands[command]) for line, command in found]


def check_count(rows: int) -> None:
    """Raises InvalidRequest for too many rows, or none."""
    if not 1 <= rows <= MOST_ROWS:
        many = "more" if rows > MOST_ROWS else rows  # who reads them stops at the first too many
        raise InvalidRequest("rows", f"from 1 to {MOST_ROWS} rows, these are {many}")


def _refuse_repeated(rows: _Sorted) -> None:
    """New commands for a meter that a row before them has. The same key is the same command: what
    becomes of that the store says."""
    lines: dict[str, int] = {}
    for line, each in list(rows.ready.items()):
        lanes = lanes_of(each.draft.request, each.draft.targets)
        first = next((lines[lane] for lane in lanes if lane in lines), None)
        if first is None:
            lines |= dict.fromkeys(lanes, line)
        elif each.submission.key != rows.ready[first].submission.key:
            del rows.ready[line]
            rows.refuse(
                line, "devices", f"is in line {first} already: one open command of a kind a meter"
            )


def _same(header: BulkHeader, content: str) -> BulkHeader:
    if header.content != content:
        raise Conflict(f"the idempotency key belongs to bulk request {header.id}, other content")
    return header


def _note(header: BulkHeader, actor: str) -> AuditNote:
    counts = {name: getattr(header, name) for name in ("rows", "accepted", "known", "refused")}
    detail = {"kind": header.kind.value, "requester": header.requester, **counts}
    return AuditNote(actor=actor, action="BulkSubmitted", subject=header.id, detail=detail)

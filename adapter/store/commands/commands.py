"""Commands, what comes in and what goes out, in a database."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from adapter.commands.activity import Command, State, Work
from adapter.commands.flows import Operation
from adapter.commands.outcomes import EndpointOutcome
from adapter.engine.commands.bulk import BulkHeader, BulkId
from adapter.engine.commands.ports import (
    Accepted,
    AuditEntry,
    AuditNote,
    Change,
    Filter,
    Found,
    Import,
    InboxRow,
    InboxState,
    Leased,
    Ledger,
    Logged,
    LoggedCall,
    PublicationRow,
    Received,
    Saved,
    Submission,
    Submitted,
)
from adapter.engine.listing import Listing
from adapter.engine.registry.ports import Known
from adapter.engine.upkeep.set_aside import RowKind
from adapter.model.device import DeviceView
from adapter.model.ids import (
    CommandId,
    CommunicationId,
    DeviceId,
    EndpointId,
    InboxId,
    RequestToken,
)
from adapter.model.reading import InitialMeasurement
from adapter.model.values import replace_struct as replace
from adapter.store.chain import Head
from adapter.store.commands import bulk, claiming, parking, reading, receiving, writing
from adapter.store.commands import inbox as intake
from adapter.store.compression import PLAIN
from adapter.store.database import Database
from adapter.store.files_database import FileDatabase
from adapter.store.memory import MOST_COMMANDS, command_memory
from adapter.store.registry import importing
from adapter.store.upkeep import leases
from adapter.store.upkeep.failed_rows import note_unreadable, readable
from adapter.store.upkeep.unreadable import made_of

_FEW: Final = 200
"""So many devices may be looked up beside the engine's own questions; more go with the slow."""


class SqlStore:
    """The Store port over a Database, which it opens and closes. `remembered` bounds the commands
    that are kept at hand, with their meters; 0: each is read from the database."""

    def __init__(self, database: Database, *, now: Callable[[], datetime], remembered: int) -> None:
        self.database = database
        """What the stores of the other subjects are built on."""
        self.set_aside = self.database.set_aside
        self._now = now
        self._memory = command_memory(most=remembered)
        self._delivered: dict[str, int] = {}

    async def open(self) -> None:
        """Raises StoreFailed: in use, of a newer program, damaged, or unable to keep promises."""
        self._memory.clear()
        self._delivered.clear()
        await self.database.open()

    async def close(self) -> None:
        """Finish what was asked for and close. Raises StoreFailed if the last checkpoint fails."""
        await self.database.close()

    # ------------------------------------------------------------ commands

    async def submit(self, batch: Sequence[Submission]) -> Sequence[Submitted]:
        at = self._now()
        results = await self.database.write(lambda tx: writing.submit(tx, batch, at))
        pairs = zip(batch, results, strict=True)
        self._memory.put(
            item.command for item, made in pairs if isinstance(made, Accepted) and not made.repeated
        )
        return results

    async def submit_bulk(
        self,
        header: BulkHeader,
        known: Mapping[int, CommandId],
        rows: Mapping[int, Submission],
        audit: AuditNote,
    ) -> BulkHeader | Sequence[Submitted]:
        at = self._now()
        try:
            stored = await self.database.write(
                lambda tx: bulk.put(tx, header, known, rows, audit, at)
            )
        except bulk.NotWhole as error:
            return error.results
        if stored.id == header.id:
            self._memory.put(item.command for item in rows.values())
        return stored

    async def bulk(self, id_: BulkId) -> BulkHeader | None:
        return await self.database.read(lambda db: bulk.by_id(db, id_))

    async def bulk_of_key(self, key: str) -> BulkHeader | None:
        return await self.database.read(lambda db: bulk.by_key(db, key))

    async def bulk_states(self, id_: BulkId) -> Mapping[State, int]:
        return await self.database.query(lambda db: bulk.states(db, id_))

    async def bulk_rows(
        self, id_: BulkId, *, after: int, limit: int
    ) -> Sequence[tuple[int, CommandId]]:
        return await self.database.query(lambda db: bulk.rows_of(db, id_, after, limit))

    async def load(self, ids: Sequence[CommandId]) -> Mapping[CommandId, Command]:
        self.database.check_open()
        known = {command: found for command in ids if (found := self._memory.get(command))}
        wanted = [command for command in dict.fromkeys(ids) if command not in known]
        if not wanted:
            return known
        read = await self.database.read(lambda db: reading.load(db, wanted))
        self._memory.put(read.values())
        known.update(read)
        return {command: known[command] for command in ids if command in known}

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        at = self._now()
        stored = self._stored(batch)
        results = await self.database.write(lambda tx: writing.save(tx, batch, at, stored))
        for change, saved in zip(batch, results, strict=True):
            if change.command is not None:
                self._remember(change.command, stored.get(change.command.activity.id), saved)
        return results

    def _stored(self, batch: Sequence[Change]) -> dict[CommandId, Command]:
        """The commands of the changes as they are in the file, as far as they are at hand."""
        stored: dict[CommandId, Command] = {}
        for change in batch:
            if (command := change.command) is not None:
                id_ = command.activity.id
                if (before := self._memory.as_of(id_, command.version)) is not None:
                    stored[id_] = before
        return stored

    def _remember(self, saved: Command, before: Command | None, how: Saved) -> None:
        """What was asked for and for which meters never changes; what is not at hand is read."""
        if how is Saved.SAVED and before is not None:
            version = saved.version + 1
            mine = replace(saved, request=before.request, targets=before.targets, version=version)
            self._memory.put([mine])
        elif how in (Saved.SAVED, Saved.MOVED):
            self._memory.forget(saved.id)

    async def claim(
        self,
        work: Work,
        *,
        limit: int,
        now: datetime,
        lease_until: datetime,
        skip: frozenset[Operation] = frozenset(),
    ) -> Sequence[Leased]:
        if not await self.database.read(lambda db: claiming.is_due(db, work, now)):
            return []
        taken = await self.database.write(
            lambda tx: claiming.claim(tx, work, limit, now, lease_until, skip)
        )
        made, bad = made_of(taken, reading.leased)
        await note_unreadable(self.database, RowKind.COMMUNICATION, bad)
        return made

    async def due(self, *, limit: int, now: datetime, lease_until: datetime) -> Sequence[CommandId]:
        if not await self.database.read(lambda db: claiming.attention_is_due(db, now)):
            return []
        return await self.database.write(lambda tx: claiming.due(tx, limit, now, lease_until))

    async def free_claimed(self, *, now: datetime, until: datetime) -> int:
        return await self.database.write(lambda tx: leases.free_claimed(tx, now, until))

    async def sending(self) -> Sequence[Leased]:
        return await readable(self.database, RowKind.COMMUNICATION, reading.sending, reading.leased)

    async def next_wake(self, skip: frozenset[Operation] = frozenset()) -> datetime | None:
        return await self.database.read(lambda db: reading.next_wake(db, skip))

    async def find(
        self, *, communications: Sequence[CommunicationId] = (), tokens: Sequence[RequestToken] = ()
    ) -> Sequence[Found]:
        found = await self.database.read(lambda db: reading.find(db, communications, tokens))
        return [self._newest(each) for each in found]

    def _newest(self, read: Found) -> Found:
        """A save is in the file a moment before it is at hand, and may have come after the look."""
        known = self.at_hand(read.communication.id)
        return read if known is None or known.version <= read.version else known

    def at_hand(self, communication: CommunicationId) -> Found | None:
        command = self._memory.get(CommandId(communication.rpartition("-")[0]))
        if command is None:
            return None
        for item in command.communications:
            if item.id == communication:
                return Found(command=command.id, version=command.version, communication=item)
        return None

    async def holders(self, lanes: Sequence[str]) -> Mapping[str, CommandId]:
        return await self.database.read(lambda db: reading.holders(db, lanes))

    # ------------------------------------------------------------ inbound

    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        at = self._now()
        return await self.database.write(lambda tx: receiving.receive(tx, batch, at))

    async def park(
        self, received: Received, token: RequestToken, reason: str, wake: datetime
    ) -> bool:
        return await self.database.write(
            lambda tx: intake.put_parked(tx, received, token, reason, wake)
        )

    async def bound_quarantine(self, most_bytes: int) -> int:
        rejected = await self.database.query(receiving.rejected_bytes)
        excess = rejected + await self.database.query(parking.unknown_bytes) - most_bytes
        removed = 0
        while excess > 0:
            remove = partial(receiving.remove_rejected, excess=excess, now=self._now())
            freed = await self.database.write(remove)
            if not freed:
                break
            excess -= freed
            removed += freed
        if excess > 0:
            parts = await self.database.query(lambda db: parking.oldest_unknown(db, excess))
            for part in parts:
                gone = partial(parking.remove_unknown, numbers=part, now=self._now())
                removed += await self.database.write(gone)
        return removed

    def free_bytes(self) -> int:
        return self.database.free_bytes()

    async def unread(self, *, limit: int, now: datetime) -> Sequence[InboxRow]:
        return await readable(
            self.database,
            RowKind.MESSAGE,
            lambda db: reading.unread(db, limit, now),
            reading.whole_inbox_row_of,
        )

    async def untaken(self, until: datetime) -> bool:
        return await self.database.read(lambda db: reading.untaken(db, until))

    async def bound_parked(self, most: int) -> int:
        moved = 0
        while some := await self.database.write(
            partial(parking.push_out, most=most, now=self._now())
        ):
            moved += some
        return moved

    async def inbox(
        self, *, state: InboxState | None = None, limit: int = 50, before: InboxId | None = None
    ) -> Sequence[InboxRow]:
        return await self.database.query(lambda db: reading.inbox(db, state, limit, before))

    async def inbox_row(self, inbox: InboxId) -> InboxRow | None:
        return await self.database.query(lambda db: reading.inbox_row(db, inbox))

    # ------------------------------------------------------------ measurements

    async def measurements(
        self, device: DeviceId, *, limit: int = 100
    ) -> Sequence[InitialMeasurement]:
        return await self.database.query(lambda db: reading.measurements(db, device, limit))

    # ------------------------------------------------------------ queries

    async def list(self, wanted: Filter) -> Listing[Command, CommandId]:
        return await self.database.query(lambda db: reading.list_commands(db, wanted))

    async def by_key(self, key: str) -> CommandId | None:
        return await self.database.read(lambda db: reading.by_key(db, key))

    async def outcomes(self, command: CommandId) -> Sequence[EndpointOutcome]:
        return await self.database.query(lambda db: reading.outcomes(db, command))

    async def audit(
        self, *, subject: str | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[AuditEntry]:
        return await self.database.query(lambda db: reading.audit(db, subject, after, limit))

    async def verify_audit(self, heads: Sequence[tuple[int, str]] = ()) -> int:
        known = [Head.told(*each) for each in heads]
        known.append(self.database.head)
        return await self.database.query(lambda db: reading.verify(db, known))

    async def audit_head(self) -> tuple[int, str]:
        head = self.database.head
        return head.seq, head.digest.hex()

    async def ledger(self) -> Ledger:
        return await self.database.query(reading.ledger)

    def log_call(self, call: LoggedCall) -> None:
        self.database.write_along(lambda tx: intake.log_call(tx, call), asked_for=True)

    async def messages(self, command: CommandId) -> Sequence[Logged]:
        await self.database.written_along()
        return await self.database.query(lambda db: reading.messages(db, command))

    # ------------------------------------------------------------ events out

    async def outbox(self, sink: str, *, limit: int) -> Sequence[PublicationRow]:
        self.database.check_open()
        after = self._delivered.get(sink, 0)
        if after and not self.set_aside.failing(RowKind.PUBLICATION):
            newest = self.database.newest.behind(after, limit=limit)
            if newest is not None:
                return [reading.publication((seq, at, PLAIN, body)) for seq, at, body in newest]
        return await readable(
            self.database,
            RowKind.PUBLICATION,
            lambda db: reading.outbox(db, sink, after, limit, self._now()),
            reading.publication,
        )

    async def publications(self, sink: str, numbers: Sequence[int]) -> Sequence[PublicationRow]:
        return await readable(
            self.database,
            RowKind.PUBLICATION,
            lambda db: reading.publications(db, sink, numbers),
            reading.publication,
        )

    async def delivered(self, sink: str, seq: int) -> None:
        self._delivered[sink] = max(seq, self._delivered.get(sink, 0))
        self.database.write_along(lambda tx: writing.delivered(tx, sink, seq))

    # ------------------------------------------------------------ registry

    async def known(self, what: Import) -> Known:
        return await self.database.query(lambda db: importing.known(db, what))

    async def import_(
        self,
        what: Import,
        *,
        asked: Import | None = None,
        seen: Known | None = None,
        audit: Sequence[AuditNote] = (),
    ) -> Saved:
        at = self._now()
        return await self.database.write(
            lambda tx: importing.import_(tx, what, asked, seen, audit, at)
        )

    async def views(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceView]:
        ask = self.database.read if len(devices) <= _FEW else self.database.query
        return await ask(lambda db: reading.views(db, devices))

    async def at_endpoints(
        self, endpoints: Sequence[EndpointId]
    ) -> Mapping[EndpointId, Sequence[DeviceView]]:
        ask = self.database.read if len(endpoints) <= _FEW else self.database.query
        return await ask(lambda db: reading.at_endpoints(db, endpoints))

    async def shared_endpoints(self) -> Mapping[EndpointId, Sequence[DeviceView]]:
        return await self.database.query(reading.shared_endpoints)

    async def members(self, group: str) -> Sequence[DeviceId]:
        return await self.database.query(lambda db: reading.members(db, group))

    async def devices(
        self, *, after: DeviceId | None = None, limit: int = 100
    ) -> Sequence[DeviceView]:
        return await self.database.query(lambda db: reading.devices(db, after, limit))


class SqliteStore(SqlStore):
    """Over SQLite files. `vfs` names a registered SQLite file layer."""

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], datetime],
        vfs: str | None = None,
        remembered: int = MOST_COMMANDS,
    ) -> None:
        database = FileDatabase(path, now=now, vfs=vfs, remembering=remembered > 0)
        super().__init__(database, now=now, remembered=remembered)

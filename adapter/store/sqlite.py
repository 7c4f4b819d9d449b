"""The store in two SQLite files: durable when a call returns, one process at a time."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import apsw

from adapter.commands.activity import Command, Work
from adapter.commands.flows import Operation
from adapter.commands.outcomes import EndpointOutcome
from adapter.engine.commands.ports import (
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
    PublicationRow,
    Received,
    Saved,
    Submission,
    Submitted,
)
from adapter.engine.registry.ports import Known
from adapter.engine.upkeep.set_aside import RowKind, SetAside
from adapter.errors import StoreFailed
from adapter.model.device import DeviceView
from adapter.model.ids import CommandId, DeviceId, EndpointId, ExchangeId, InboxId, RequestToken
from adapter.model.reading import InitialMeasurement
from adapter.store.commands import claiming, reading, writing
from adapter.store.commands import inbox as intake
from adapter.store.files import FileLock, connect_writer, keep_private
from adapter.store.migrate import check_version, migrate
from adapter.store.readings.file import check, connect_measured, connect_reader_of_both, prepare
from adapter.store.registry import importing
from adapter.store.threads import Checkpointer, Health, Reader, Transaction, Writer
from adapter.store.upkeep.failed_rows import (
    SqliteFailedRows,
    held,
    made_of,
    note_unreadable,
    readable,
)

T = TypeVar("T")

_FEW: Final = 200
"""So many devices may be looked up beside the engine's own questions; more go with the slow."""


class SqliteStore:
    """The Store port, opened by one process (a lock file beside it says so).

    One thread writes, in groups; one reads what the engine waits for; one answers the questions
    that may take long. Measurements have a file and a writing thread of their own. `now`
    gives the times of audit entries, publications and debits. `vfs` names a registered SQLite file
    layer, None is the operating system's.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime], vfs: str | None = None) -> None:
        self._path = path
        self._now = now
        self._vfs = vfs
        self._lock = FileLock(path.with_name(path.name + ".lock"))
        self._connections: list[apsw.Connection] = []
        self._health = Health()
        self._open_now = False
        self.set_aside = SetAside(SqliteFailedRows(self), now)
        """Rows of any loop that failed unexpectedly."""

    async def open(self) -> None:
        """Raises StoreFailed: in use, of a newer program, damaged, or unable to keep promises."""
        await asyncio.to_thread(self._open)
        self._open_now = True

    def _open(self) -> None:
        self._lock.take()
        try:
            self._health = Health()
            keep_private(self._path)
            writer = connect_writer(self._path, self._vfs)
            self._connections = [writer]
            for connection in self._beside(writer):
                self._connections.append(connection)
            head = reading.audit_head(writer)
            self.set_aside.know(held(writer))
        except (apsw.Error, OSError) as error:
            self._release()
            raise StoreFailed(f"cannot open {self._path.name}: {error}") from error
        except BaseException:
            self._release()
            raise
        _, measured, copying, quick, slow = self._connections
        self._checkpointer = Checkpointer(copying, self._health)
        self._writer = Writer(writer, self._health, head, checkpointer=self._checkpointer)
        self._measured = Writer(measured, self._health, name="store-measured")
        self._quick = Reader("store-reader", quick, self._health)
        self._slow = Reader("store-query", slow, self._health)
        for worker in (self._checkpointer, self._writer, self._measured, self._quick, self._slow):
            worker.start()

    def _beside(self, writer: apsw.Connection) -> Iterator[apsw.Connection]:
        """The other connections; the files are brought to this program's version."""
        check_version(writer)
        prepare(self._path, writer, self._vfs)
        migrate(writer)
        measured = connect_measured(self._path, self._vfs)
        yield measured
        check(measured, self._path)
        yield connect_writer(self._path, self._vfs)
        for _ in range(2):
            yield connect_reader_of_both(self._path, self._vfs)

    async def close(self) -> None:
        """Finish what was asked for and close. Raises StoreFailed if the last checkpoint fails."""
        if self._open_now:
            self._open_now = False
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        for worker in (self._slow, self._quick, self._measured, self._writer, self._checkpointer):
            worker.stop()
        failed = self._health.failed
        try:
            for writer in self._connections[:2]:
                if failed:
                    # What the file holds is for the next opening to find out.
                    writer.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                else:
                    writer.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as error:
            self._health.fail(error)
        self._release()
        if self._health.failed and not failed:
            raise self._health.error()

    def _release(self) -> None:
        for connection in reversed(self._connections):
            try:
                connection.close()
            except apsw.Error as error:
                self._health.fail(error)
        self._connections = []
        self._lock.release()

    def now(self) -> datetime:
        """The store's clock."""
        return self._now()

    @property
    def path(self) -> Path:
        """The database file; what belongs to it stands beside it."""
        return self._path

    @property
    def commits(self) -> int:
        """Transactions written since the file was opened."""
        return self._writer.commits

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """One transaction of the writing thread; for the stores that share this file."""
        self._check_open()
        return await self._writer.call(work)

    async def measure(self, work: Callable[[Transaction], T]) -> T:
        """One transaction in the file of measurements, on a thread of its own."""
        self._check_open()
        return await self._measured.call(work)

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """A question that is answered at once, on a snapshot."""
        self._check_open()
        return await self._quick.call(work)

    async def query(self, work: Callable[[apsw.Connection], T]) -> T:
        """A question that may take long."""
        self._check_open()
        return await self._slow.call(work)

    def _check_open(self) -> None:
        if not self._open_now:
            raise StoreFailed("the store is not open")

    # ------------------------------------------------------------ commands

    async def submit(self, batch: Sequence[Submission]) -> Sequence[Submitted]:
        at = self._now()
        return await self.write(lambda tx: writing.submit(tx, batch, at))

    async def load(self, ids: Sequence[CommandId]) -> Mapping[CommandId, Command]:
        return await self.read(lambda db: reading.load(db, ids))

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        at = self._now()
        return await self.write(lambda tx: writing.save(tx, batch, at))

    async def claim(
        self,
        work: Work,
        *,
        limit: int,
        now: datetime,
        lease_until: datetime,
        skip: frozenset[Operation] = frozenset(),
    ) -> Sequence[Leased]:
        taken = await self.write(lambda tx: claiming.claim(tx, work, limit, now, lease_until, skip))
        made, bad = made_of(taken, reading.leased)
        await note_unreadable(self, RowKind.EXCHANGE, bad)
        return made

    async def due(self, *, limit: int, now: datetime, lease_until: datetime) -> Sequence[CommandId]:
        return await self.write(lambda tx: claiming.due(tx, limit, now, lease_until))

    async def sending(self) -> Sequence[Leased]:
        return await readable(self, RowKind.EXCHANGE, reading.sending, reading.leased)

    async def next_wake(self) -> datetime | None:
        return await self.read(reading.next_wake)

    async def find(
        self, *, exchanges: Sequence[ExchangeId] = (), tokens: Sequence[RequestToken] = ()
    ) -> Sequence[Found]:
        return await self.read(lambda db: reading.find(db, exchanges, tokens))

    async def holders(self, lanes: Sequence[str]) -> Mapping[str, CommandId]:
        return await self.read(lambda db: reading.holders(db, lanes))

    # ------------------------------------------------------------ inbound

    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        return await self.write(lambda tx: intake.receive(tx, batch))

    async def unread(self, *, limit: int, now: datetime) -> Sequence[InboxRow]:
        return await readable(
            self,
            RowKind.MESSAGE,
            lambda db: reading.unread(db, limit, now),
            reading.inbox_row_of,
        )

    async def untaken(self, until: datetime) -> bool:
        return await self.read(lambda db: reading.untaken(db, until))

    async def unpark(self, tokens: Sequence[RequestToken]) -> None:
        await self.write(lambda tx: intake.unpark(tx, tokens))

    async def inbox(
        self, *, state: InboxState | None = None, limit: int = 50, before: InboxId | None = None
    ) -> Sequence[InboxRow]:
        return await self.query(lambda db: reading.inbox(db, state, limit, before))

    async def inbox_row(self, inbox: InboxId) -> InboxRow | None:
        return await self.query(lambda db: reading.inbox_row(db, inbox))

    # ------------------------------------------------------------ measurements

    async def measurements(
        self, device: DeviceId, *, limit: int = 100
    ) -> Sequence[InitialMeasurement]:
        return await self.query(lambda db: reading.measurements(db, device, limit))

    # ------------------------------------------------------------ queries

    async def list(self, wanted: Filter) -> Sequence[Command]:
        return await self.query(lambda db: reading.list_commands(db, wanted))

    async def by_key(self, key: str) -> CommandId | None:
        return await self.read(lambda db: reading.by_key(db, key))

    async def outcomes(self, command: CommandId) -> Sequence[EndpointOutcome]:
        return await self.query(lambda db: reading.outcomes(db, command))

    async def audit(
        self, *, subject: str | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[AuditEntry]:
        return await self.query(lambda db: reading.audit(db, subject, after, limit))

    async def verify_audit(self) -> int:
        head = self._writer.head
        return await self.query(lambda db: reading.verify_audit(db, head))

    async def audit_head(self) -> tuple[int, str]:
        self._check_open()
        self._health.check()
        head = self._writer.head
        return head.seq, head.digest

    async def ledger(self) -> Ledger:
        return await self.query(reading.ledger)

    async def log_messages(self, batch: Sequence[Logged]) -> None:
        await self.write(lambda tx: intake.log_messages(tx, batch))

    async def messages(self, command: CommandId) -> Sequence[Logged]:
        return await self.query(lambda db: reading.messages(db, command))

    # ------------------------------------------------------------ events out

    async def outbox(self, sink: str, *, limit: int) -> Sequence[PublicationRow]:
        return await readable(
            self,
            RowKind.PUBLICATION,
            lambda db: reading.outbox(db, sink, limit, self._now()),
            reading.publication,
        )

    async def publications(self, sink: str, numbers: Sequence[int]) -> Sequence[PublicationRow]:
        return await readable(
            self,
            RowKind.PUBLICATION,
            lambda db: reading.publications(db, sink, numbers),
            reading.publication,
        )

    async def delivered(self, sink: str, seq: int) -> None:
        await self.write(lambda tx: writing.delivered(tx, sink, seq))

    # ------------------------------------------------------------ registry

    async def known(self, what: Import) -> Known:
        return await self.query(lambda db: importing.known(db, what))

    async def import_(
        self,
        what: Import,
        *,
        asked: Import | None = None,
        seen: Known | None = None,
        audit: Sequence[AuditNote] = (),
    ) -> Saved:
        at = self._now()
        return await self.write(lambda tx: importing.import_(tx, what, asked, seen, audit, at))

    async def views(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceView]:
        ask = self.read if len(devices) <= _FEW else self.query
        return await ask(lambda db: reading.views(db, devices))

    async def at_endpoints(
        self, endpoints: Sequence[EndpointId]
    ) -> Mapping[EndpointId, Sequence[DeviceView]]:
        ask = self.read if len(endpoints) <= _FEW else self.query
        return await ask(lambda db: reading.at_endpoints(db, endpoints))

    async def shared_endpoints(self) -> Mapping[EndpointId, Sequence[DeviceView]]:
        return await self.query(reading.shared_endpoints)

    async def members(self, group: str) -> Sequence[DeviceId]:
        return await self.query(lambda db: reading.members(db, group))

    async def devices(
        self, *, after: DeviceId | None = None, limit: int = 100
    ) -> Sequence[DeviceView]:
        return await self.query(lambda db: reading.devices(db, after, limit))

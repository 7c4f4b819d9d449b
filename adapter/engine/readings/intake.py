"""Takes in what waits: spooled bodies by the worker process, small ones in a thread."""

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from adapter.engine import crash_points
from adapter.engine.commands.ports import Clock, MessageDamaged
from adapter.engine.readings.batches import batches
from adapter.engine.readings.ports import (
    Batch,
    Counts,
    DataStore,
    ErrorRecordStore,
    Loaded,
    Payload,
    Staged,
    Started,
    WaitingPayload,
)
from adapter.engine.readings.reprocess import Correcting, Reprocess
from adapter.engine.readings.spool import Spool
from adapter.engine.readings.tables import Document, read_tables, text_of
from adapter.engine.readings.worker_process import WorkerDied, WorkerProcess
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import StoreFailed
from adapter.model.ids import EndpointId
from adapter.readings.lookups import Lookups
from adapter.wire.apart import apart
from adapter.wire.stream import Broken, where_broken

_TRIES: Final = 3
_SWEPT: Final = 2_000
_HOUSEKEEPING_S: Final = 600.0
_ORPHAN_S: Final = 3_600.0
_WORKED: Final = Loaded(worked=True)

log = logging.getLogger(__name__)


class PayloadIntake:
    """The engine's Intake. Bodies are kept for `retention_days` after they were taken in.

    `tables` reads the tables; they are read again before error records are processed again. Of two
    `workers` one reads a large body while the other stages what was read.
    `progress` may be set: it is told the counts of the payload that is being taken in.
    """

    def __init__(
        self,
        store: DataStore,
        books: ErrorRecordStore,
        spool: Spool,
        clock: Clock,
        tables: Callable[[], Document],
        *,
        retention_days: float = 30.0,
        workers: int = 1,
    ) -> None:
        self._store = store
        self._set_aside = store.set_aside
        store.set_aside.on_discard(RowKind.FILE, self._file_discarded)
        self._books = books
        self._spool = spool
        self._clock = clock
        self._read_tables = tables
        self.use(tables())
        self._retention = timedelta(days=retention_days)
        self.progress: Callable[[Counts], None] = lambda counts: None
        self.seen: Callable[[str, datetime], None] = lambda operation, at: None
        """Told of each that was loaded: which, and when it came."""
        self.counts = Counts()
        """Of all payloads that were loaded since the start."""
        self.payloads: Counter[str] = Counter()
        """How many were loaded, and refused, since the start."""
        self.paused: Callable[[], bool] = lambda: False
        """While it is so no body is removed for its age: the clock is in doubt."""
        self._worker = WorkerProcess(ahead=workers > 1)
        self._one = asyncio.Lock()
        self._correcting = Correcting(store, books, clock)
        self._again = Reprocess(store, books, spool, self._worker, clock, self._one)
        self._tries: dict[str, int] = {}
        self._kept_house = float("-inf")

    def use(self, document: Document) -> None:
        """From the next payload on. Raises SettingsError; then those before stay in force."""
        self._lookups: Lookups = read_tables(document)
        self._tables = text_of(document)

    @property
    def worker_pid(self) -> int | None:
        """The worker process, while there is one."""
        return self._worker.pid

    async def stop(self) -> None:
        await self._worker.stop()

    # ------------------------------------------------------------ one payload

    async def once(self) -> Loaded:
        waiting = await self._store.waiting(limit=1)
        if waiting:
            taken = await self._set_aside.attend(
                RowKind.PAYLOAD, waiting[0].inbox, self._take_waiting(waiting[0])
            )
            return taken or _WORKED
        for file in self._spool.handed_in():
            if not self._set_aside.held(RowKind.FILE, file):
                take = self._take_ticket(file)
                return await self._set_aside.attend(RowKind.FILE, file, take) or _WORKED
        if (brought := self._again.brought()) is not None:
            return brought
        if await self._store.sweep(limit=_SWEPT):
            return Loaded(worked=True)
        await self._keep_house()
        return Loaded()

    async def _take_waiting(self, what: WaitingPayload) -> Loaded:
        async with self._one:
            return await self._take(what, self._spool.folder)

    async def _file_discarded(self, file: str, by: str, reason: str) -> None:
        """Its body goes with the next sweep of what nothing refers to."""
        await asyncio.to_thread(self._spool.done, file)

    async def _take_ticket(self, file: str) -> Loaded:
        """A file that was handed in. One that is loaded already changes nothing."""
        ticket = await asyncio.to_thread(self._spool.ticket, file)
        what = WaitingPayload(
            inbox=None,
            source=ticket.source,
            operation="file",
            at=ticket.at,
            file=ticket.file,
            size=ticket.size,
            digest=ticket.digest,
        )
        async with self._one:
            taken = await self._take(what, self._spool.folder)
        if what.source not in self._tries:
            await self._correcting.close(ticket, self._lookups)
            self._spool.done(ticket.file)
        return taken

    async def _take(self, what: WaitingPayload, folder: Path) -> Loaded:
        started = await self._store.start(what, now=self._clock.now())
        if started is None:
            log.info("payload_known", extra={"payload": what.source})
            # After a crash it may be the very body that was loaded: its bad parts need it.
            if what.file not in await self._store.spool_files():
                await asyncio.to_thread(self._spool.remove, what.file)
            return Loaded(worked=True)
        return await self._load(what, started, folder)

    async def _load(self, what: WaitingPayload, started: Started, folder: Path) -> Loaded:
        counts = Counts()
        endpoints: dict[EndpointId, None] = {}
        serials: dict[str, None] = {}
        try:
            async with aclosing(self._staged(what, started, folder)) as all_staged:
                async for staged in all_staged:
                    counts.add(staged.counts)
                    endpoints.update(dict.fromkeys(staged.endpoints))
                    serials.update(dict.fromkeys(staged.serials))
                    crash_points.reached("intake.staged")
                    self.progress(counts)
        except Broken as error:
            await self._refuse(what, started, str(error), error.position)
            return Loaded(worked=True)
        except WorkerDied as error:
            tries = self._tries[what.source] = self._tries.get(what.source, 0) + 1
            log.warning("intake_worker_died", extra={"payload": what.source, "tries": tries})
            if tries >= _TRIES:
                await self._refuse(what, started, f"{error}, {tries} times", -1)
            return Loaded(worked=True)
        except StoreFailed:
            raise
        except Exception:
            await self._store.give_up(started)
            raise
        crash_points.reached("intake.before_loaded")
        await self._store.loaded(started, counts, inbox=what.inbox, now=self._clock.now())
        crash_points.reached("intake.after_loaded")
        self._tries.pop(what.source, None)
        self.seen(what.operation, what.at)
        self.counts.add(counts)
        self.payloads["loaded"] += 1
        log.info(
            "payload_loaded",
            extra={
                "payload": what.source,
                "bytes": what.size,
                "values": counts.values,
                "new": counts.new,
                "errors": counts.errors + counts.bad_parts,
            },
        )
        return Loaded(worked=True, endpoints=tuple(endpoints), serials=tuple(serials))

    async def _staged(
        self, what: WaitingPayload, started: Started, folder: Path
    ) -> AsyncGenerator[Staged, None]:
        if what.file:
            place = self._store.place(started)
            made = self._worker.staged(folder / what.file, self._tables, place)
            async with aclosing(made) as all_staged:
                async for staged in all_staged:
                    await self._store.stage_rest(started, staged.rest)
                    yield staged
            return
        if what.inbox is not None and hashlib.sha256(started.raw).digest() != what.digest:
            raise MessageDamaged(f"the bytes of {what.source} are not those that were received")
        for batch in await asyncio.to_thread(self._read, started.raw):
            counts = await self._store.stage(started, batch, self._lookups)
            endpoints = dict.fromkeys(EndpointId(item.identifier) for item in batch.normals)
            serials = dict.fromkeys(item.serial for item in batch.normals if item.serial)
            yield Staged(counts=counts, endpoints=list(endpoints), serials=list(serials))

    def _read(self, raw: bytes) -> list[Batch]:
        try:
            return apart(lambda: list(batches([raw], self._lookups)))
        except Broken as error:
            if str(error).startswith("not well-formed"):
                raise where_broken([raw]) or error from error
            raise

    async def _refuse(
        self, what: WaitingPayload, started: Started, reason: str, position: int
    ) -> None:
        self.payloads["refused"] += 1
        log.warning("payload_refused", extra={"payload": what.source, "reason": reason})
        self._tries.pop(what.source, None)
        await self._store.refused(
            started,
            reason,
            position if position >= 0 else None,
            inbox=what.inbox,
            now=self._clock.now(),
        )

    # ------------------------------------------------------------ error records

    async def reprocess(self) -> Counts:
        """Try all open error records again with the tables and devices as they are now.

        Those that give rows are closed; the others stay as they are. Raises SettingsError for bad
        tables; then nothing is tried.
        """
        self.use(await asyncio.to_thread(self._read_tables))
        return await self._again.all(self._lookups, self._tables)

    # ------------------------------------------------------------ bodies that are no longer needed

    def keep_house_now(self) -> None:
        """Let the next idle moment remove what is due, and not only every ten minutes."""
        self._kept_house = float("-inf")

    async def _keep_house(self) -> None:
        if self.paused() or time.monotonic() - self._kept_house < _HOUSEKEEPING_S:
            return
        self._kept_house = time.monotonic()
        before = self._clock.now() - self._retention
        for payload in await self._store.expired(before=before, limit=1000):
            await self._set_aside.attend(RowKind.BODY, payload.id, self._forget(payload))
        known = await self._store.spool_files()
        await asyncio.to_thread(self._spool.sweep, known, older_than=time.time() - _ORPHAN_S)

    async def _forget(self, payload: Payload) -> None:
        await self._store.forget_raw(payload)
        if payload.file:
            await asyncio.to_thread(self._spool.remove, payload.file)

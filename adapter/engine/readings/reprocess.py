"""How error records are closed: processed again, seeds with other tables and bad parts with what is
kept of them; or by a corrected file, of the payload that it stands in for."""

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from itertools import groupby
from typing import Final

import msgspec

from adapter.engine.commands.ports import Clock
from adapter.engine.readings.batches import batches, of_event, of_seeds
from adapter.engine.readings.ports import (
    Batch,
    Counts,
    DataStore,
    ErrorRecord,
    ErrorRecordStore,
    Loaded,
    Payload,
    PayloadId,
)
from adapter.engine.readings.spool import Spool, Ticket
from adapter.engine.readings.worker_process import WorkerDied, WorkerProcess
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import NotFound, StoreFailed
from adapter.model.ids import EndpointId
from adapter.model.values import replace
from adapter.readings.lookups import Lookups
from adapter.readings.normalise import awaited
from adapter.readings.seeds import EventSeed, Seed, Unmapped
from adapter.wire.parts import KEPT_XML
from adapter.wire.stream import Broken

_AT_ONCE: Final = 16
_CORRECTED: Final = 64
_EVENT_LOG: Final = re.compile(rb"<(?:[^\s<>/:]+:)?EventLog[\s/>]")
_decode_event: Final = msgspec.json.Decoder(EventSeed).decode
_decode_seed: Final = msgspec.json.Decoder(Seed).decode

log = logging.getLogger(__name__)


class Reprocess:
    """Used by one task at a time: `one` is the lock under which loads are open."""

    def __init__(
        self,
        store: DataStore,
        books: ErrorRecordStore,
        spool: Spool,
        worker: WorkerProcess,
        clock: Clock,
        one: asyncio.Lock,
    ) -> None:
        self._store = store
        self._set_aside = store.set_aside
        self._books = books
        self._spool = spool
        self._worker = worker
        self._clock = clock
        self._one = one
        self._endpoints: dict[EndpointId, None] = {}
        self._serials: dict[str, None] = {}

    def brought(self) -> Loaded | None:
        """Whom the rows are of that were made since this was asked last; None: there are none."""
        if not self._endpoints and not self._serials:
            return None
        made = Loaded(worked=True, endpoints=tuple(self._endpoints), serials=tuple(self._serials))
        self._endpoints, self._serials = {}, {}
        return made

    def _note(self, batch: Batch) -> None:
        self._endpoints.update((EndpointId(item.identifier), None) for item in batch.normals)
        self._serials.update((item.serial, None) for item in batch.normals if item.serial)

    async def all(self, lookups: Lookups, tables: str) -> Counts:
        """Those that give rows are closed; the others stay. The counts' `errors` and `bad_parts`
        are those that are open afterwards."""
        total, after = Counts(), 0
        while records := await self._store.errors(after=after, limit=_AT_ONCE):
            after = records[-1].id
            held = [each for each in records if self._set_aside.held(RowKind.ERROR_RECORD, each.id)]
            total.add(_still_open(held))
            free = [record for record in records if record not in held]
            for record in free:
                if record.reason != Unmapped.PART:
                    total.add(await self._attend(record, self._seed(record, lookups)))
            bad = [record for record in free if record.reason == Unmapped.PART]
            for _, some in groupby(bad, key=lambda record: record.payload):
                total.add(await self._some_parts(list(some), lookups, tables))
        return total

    async def _attend(self, record: ErrorRecord, work: Awaitable[Counts]) -> Counts:
        """One that fails unexpectedly stays open, and is noted."""
        done = await self._set_aside.attend(RowKind.ERROR_RECORD, record.id, work)
        return _still_open([record]) if done is None else done

    async def _some_parts(
        self, records: list[ErrorRecord], lookups: Lookups, tables: str
    ) -> Counts:
        """Parts of one payload together; where one of them fails unexpectedly, each alone."""
        try:
            counts = await self._parts(records, lookups, tables)
        except StoreFailed:
            raise
        except Exception as error:
            if len(records) == 1:
                await self._set_aside.fail(RowKind.ERROR_RECORD, records[0].id, error)
                return _still_open(records)
            total = Counts()
            for record in records:
                total.add(await self._some_parts([record], lookups, tables))
            return total
        for record in records:
            await self._set_aside.went_through(RowKind.ERROR_RECORD, record.id)
        return counts

    async def _seed(self, record: ErrorRecord, lookups: Lookups) -> Counts:
        if record.reason == Unmapped.DOUBTFUL:
            batch = of_event(record.part, _decode_event(record.body), lookups)
        else:
            batch = of_seeds([(record.part, _decode_seed(record.body))], lookups)
        if batch.rejected:
            return Counts(errors=1)
        now = self._clock.now()
        async with self._one:
            started = await self._store.restart(record.payload, now=now)
            try:
                counts = await self._store.stage(started, batch, lookups)
            except StoreFailed:
                raise
            except Exception:
                await self._store.give_up(started)
                raise
            if counts.errors and not (counts.values and record.reason != Unmapped.DISAGREES):
                # It stays: the load is given up with the new record of the same thing.
                await self._store.give_up(started)
                return Counts(errors=1)
            await self._store.resolved(started, [record.id], counts, now=now)
        self._note(batch)
        counts.errors = 0  # values that disagree are seen, and their new record is come to next
        return counts

    # ------------------------------------------------------------ bad parts

    async def _parts(self, records: Sequence[ErrorRecord], lookups: Lookups, tables: str) -> Counts:
        """Read the parts again. What can be read now is loaded, and its records closed, even where
        values of it become error records of their own."""
        payload = await self._books.payload(records[0].payload)
        assert payload is not None
        mended: set[int] = set()
        read: list[Batch] = []
        counts = Counts()
        async with self._one:
            now = self._clock.now()
            started = await self._store.restart(payload.id, now=now)
            try:
                again = self._read(payload, records, lookups, tables)
                async with aclosing(again) as parts:
                    async for part, batch in parts:
                        if not batch.bad:
                            mended.add(part)
                            read.append(batch)
                            counts.add(await self._store.stage(started, batch, lookups))
            except (Broken, OSError, WorkerDied) as error:
                log.warning("parts_not_read", extra={"payload": payload.id, "reason": str(error)})
                mended.clear()
            except StoreFailed:
                raise
            except Exception:
                await self._store.give_up(started)
                raise
            if not mended:
                await self._store.give_up(started)
                return Counts(bad_parts=len(records))
            closed = [record.id for record in records if record.part in mended]
            await self._store.resolved(started, closed, counts, now=now)
        for batch in read:
            self._note(batch)
        # New records of the load have higher numbers: they are come to, and counted, after this.
        counts.errors, counts.bad_parts = 0, len(records) - len(closed)
        return counts

    async def _read(
        self, payload: Payload, records: Sequence[ErrorRecord], lookups: Lookups, tables: str
    ) -> AsyncGenerator[tuple[int, Batch], None]:
        """(number of the part, what it gives now), for those of which enough is kept."""
        by_part = {record.part: record for record in sorted(records, key=_kept)}
        alone = {part for part, record in by_part.items() if _stands_alone(record)}
        for part in sorted(alone):
            body = by_part[part].body
            try:
                (batch,) = await asyncio.to_thread(_of, body, lookups)
            except Broken:
                continue
            yield part, _as_part(batch, by_part[part])
        rest = sorted(set(by_part) - alone)
        if not rest:
            return
        if payload.file:
            path = self._spool.path(payload.file)
            order = iter(rest)
            made = self._worker.batches(path, tables, only=rest)
            async with aclosing(made) as all_made:
                async for batch in all_made:
                    yield next(order), batch
        elif payload.inbox is not None and (raw := await self._books.raw(payload.inbox)):
            found = await asyncio.to_thread(lambda: list(batches([raw], lookups, only=rest)))
            for part, batch in zip(rest, found, strict=False):
                yield part, batch


def _still_open(records: Sequence[ErrorRecord]) -> Counts:
    bad = sum(record.reason == Unmapped.PART for record in records)
    return Counts(errors=len(records) - bad, bad_parts=bad)


def _kept(record: ErrorRecord) -> int:
    return len(record.body)


def _stands_alone(record: ErrorRecord) -> bool:
    """Whether the record has the whole part. An EventLog needs what stands beside it."""
    return 0 < len(record.body) < KEPT_XML and not _EVENT_LOG.match(record.body)


def _of(xml: bytes, lookups: Lookups) -> list[Batch]:
    return list(batches([xml], lookups, only=[0]))


def _as_part(batch: Batch, record: ErrorRecord) -> Batch:
    """Numbered and placed as in the payload it came from."""
    return replace(
        batch,
        normals=tuple(
            replace(each, part=record.part, position=record.position) for each in batch.normals
        ),
        rejected=tuple(
            (record.part, replace(each, seed=replace(each.seed, position=record.position)))
            for _, each in batch.rejected
        ),
    )


class Correcting:
    """A bad part is closed on the word of whoever handed the file in: what it held is not known.
    Of values it is known where they belong, so they are closed only once they are there."""

    def __init__(self, store: DataStore, books: ErrorRecordStore, clock: Clock) -> None:
        self._store = store
        self._books = books
        self._clock = clock

    async def close(self, ticket: Ticket, lookups: Lookups) -> None:
        """Again, after a crash, for what is still open."""
        if ticket.corrects is None:
            return
        wrong = PayloadId(ticket.corrects)
        try:
            closed = await self._books.corrected(
                wrong, corrected_by=ticket.digest, now=self._clock.now()
            )
        except NotFound:
            closed = None
        if closed is not None:
            closed += await self._values(wrong, ticket.digest, lookups)
        log.info("payload_corrected", extra={"payload": wrong, "closed": closed})

    async def _values(self, wrong: PayloadId, digest: bytes, lookups: Lookups) -> int:
        closed, after = 0, 0
        while records := await self._store.errors(payload=wrong, after=after, limit=_CORRECTED):
            after = records[-1].id
            belong = {
                record.id: found
                for record in records
                if record.reason not in (Unmapped.PART, Unmapped.DOUBTFUL)
                and (found := awaited(_decode_seed(record.body), lookups)) is not None
            }
            closed += await self._books.replaced(
                wrong, belong, ids=lookups.ids, corrected_by=digest, now=self._clock.now()
            )
        return closed

"""What was not understood of payloads: error records, excerpts of bodies, tables read again."""

import asyncio
import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from adapter.engine.commands.ports import Clock, InboxRow, InboxState
from adapter.engine.events.events import DeviceEvents
from adapter.engine.readings.intake import PayloadIntake
from adapter.engine.readings.ports import (
    Counts,
    DataStore,
    ErrorRecord,
    ErrorRecordStore,
    Excerpt,
    PayloadId,
    TablesInForce,
)
from adapter.engine.readings.spool import Spool, excerpt, pieces_of
from adapter.engine.readings.tables import Document, read_tables
from adapter.engine.upkeep.set_aside import RowKind
from adapter.events.types import EventTables
from adapter.wire.bounded import XmlBounds
from adapter.wire.encoding import UTF16_MARKS
from adapter.wire.stream import where_broken

Tables: TypeAlias = tuple[Document, EventTables]


class ErrorRecords:
    """`read` gives both tables as their files are now; it raises SettingsError."""

    def __init__(
        self,
        data: DataStore,
        books: ErrorRecordStore,
        spool: Spool,
        intake: PayloadIntake,
        events: DeviceEvents,
        clock: Clock,
        read: Callable[[], Tables],
    ) -> None:
        self._data = data
        self._books = books
        self._spool = spool
        self._intake = intake
        self._events = events
        self._clock = clock
        self._read = read
        data.set_aside.on_discard(RowKind.ERROR_RECORD, self._give_up)

    async def _give_up(self, error: str, by: str, reason: str) -> None:
        """A person discarded it where it was set aside."""
        await self.discard(int(error), by=by, reason=reason)

    async def excerpt(self, row: InboxRow) -> Excerpt:
        """What is kept of a message; around the byte where it was refused."""
        payload = await self._books.payload_of(row.id)
        position = None if payload is None else payload.position
        size = row.spool_bytes if row.spool else len(row.raw)
        if row.spool:
            path = self._spool.path(row.spool)
            try:
                return await asyncio.to_thread(
                    lambda: excerpt(_as_utf8(pieces_of(path)), position=position, size=size)
                )
            except OSError:
                return Excerpt(head=b"", size=size, complete=False, position=position, removed=True)
        if not row.raw and payload is not None and payload.size:
            return Excerpt(
                head=b"", size=payload.size, complete=False, position=position, removed=True
            )
        cut = "[truncated: " in row.reason  # at the door: the rest is not here
        if position is None and row.state is InboxState.QUARANTINED and row.raw and not cut:
            broken = where_broken([row.raw], XmlBounds())
            position = broken.position if broken is not None else None
        return excerpt(_as_utf8([row.raw]), position=position, size=size)

    async def errors(
        self, *, payload: PayloadId | None = None, after: int = 0, limit: int = 500
    ) -> Sequence[ErrorRecord]:
        """Open error records, oldest first; of all payloads where none is given."""
        return await self._data.errors(payload=payload, after=after, limit=limit)

    async def reprocess(self) -> Counts:
        """Process open error records again, with the tables read again. Raises SettingsError for
        bad tables; then nothing is processed."""
        return await self._intake.reprocess()

    async def discard(self, error: int, *, by: str, reason: str) -> None:
        """Close an error record that nobody will mend. Raises NotFound, Conflict."""
        await self._books.discard_error(error, by=by, reason=reason, now=self._clock.now())

    async def reload(self, *, by: str) -> TablesInForce:
        """Read the tables again. Raises SettingsError naming the row that is bad; then those
        before stay in force, all of them."""
        document, events = await asyncio.to_thread(self._read)
        lookups = read_tables(document)
        self._intake.use(document)
        self._events.use(events)
        made = TablesInForce(
            quantities=len(lookups.quantities),
            conditions=len(lookups.conditions),
            events=len(events.by_name),
            storm_rules=len(events.storms),
            since=self._clock.now(),
        )
        await self._books.note_tables(made, by=by)
        return made


def _as_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Positions count a body in UTF-8. What cannot be decoded is marked, for people."""
    decoder: codecs.IncrementalDecoder | None = None
    for number, piece in enumerate(pieces):
        if not number and piece.startswith(UTF16_MARKS):
            decoder = codecs.getincrementaldecoder("utf-16")("replace")
        yield piece if decoder is None else decoder.decode(piece).encode()

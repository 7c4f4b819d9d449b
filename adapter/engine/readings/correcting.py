"""What a corrected file closes of the payload that it stands in for."""

import logging
from typing import Final

import msgspec

from adapter.engine.commands.ports import Clock
from adapter.engine.readings.intake_desk import DeskBooks
from adapter.engine.readings.ports import DataStore, PayloadId
from adapter.engine.readings.spool import Ticket
from adapter.errors import NotFound
from adapter.readings.lookups import Lookups
from adapter.readings.normalise import awaited
from adapter.readings.seeds import Seed, Unmapped

_AT_ONCE: Final = 64
_decode_seed: Final = msgspec.json.Decoder(Seed).decode

log = logging.getLogger(__name__)


class Correcting:
    """A bad part is closed on the word of whoever handed the file in: what it held is not known.
    Of values it is known where they belong, so they are closed only once they are there."""

    def __init__(self, store: DataStore, books: DeskBooks, clock: Clock) -> None:
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
        while records := await self._store.errors(payload=wrong, after=after, limit=_AT_ONCE):
            after = records[-1].id
            belong = {
                record.id: found
                for record in records
                if record.why != Unmapped.PART
                and (found := awaited(_decode_seed(record.body), lookups)) is not None
            }
            closed += await self._books.replaced(
                wrong, belong, ids=lookups.ids, corrected_by=digest, now=self._clock.now()
            )
        return closed

"""Publications to their sinks: at least once, in order, each with one fixed id (I2)."""

import logging
from collections.abc import Sequence
from datetime import timedelta

from adapter.engine import points
from adapter.engine.ports import Clock, Sink, Store

log = logging.getLogger(__name__)

_BATCH = 200
_PAUSE = timedelta(seconds=5)


class Publisher:
    def __init__(self, store: Store, clock: Clock, sinks: Sequence[Sink]) -> None:
        self._store = store
        self._clock = clock
        self._sinks = {sink: clock.now() for sink in sinks}

    async def once(self) -> int:
        """Offer every sink what it has not confirmed. A sink that fails is left alone a while."""
        sent = 0
        for sink, not_before in self._sinks.items():
            if self._clock.now() < not_before:
                continue
            rows = await self._store.outbox(sink.name, limit=_BATCH)
            if not rows:
                continue
            points.reached("publish.before")
            try:
                await sink.deliver(rows)
            except Exception as error:  # a sink is somebody else's code: it must not stop the rest
                self._sinks[sink] = self._clock.now() + _PAUSE
                log.warning("sink_failed", extra={"sink": sink.name, "error": repr(error)})
                continue
            points.reached("publish.after")
            await self._store.delivered(sink.name, rows[-1].seq)
            sent += len(rows)
        return sent

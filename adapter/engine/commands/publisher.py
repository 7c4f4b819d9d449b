"""Publications to their sinks: at least once, in order, each with one fixed id (I2).

A sink that fails is left alone a while and asked again, for as long as it takes. Where it goes on
failing, its publications are offered one by one: one that it does not take while it takes a later
one is noted as failed and passed, so that the others go on; it comes late then. So are a few that
it does not take and that have none behind them: nothing else would tell that they are to blame. Of
many the sink is to blame; and when it takes something again, it is offered those few once more.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from adapter.engine import crash_points
from adapter.engine.commands.ports import Clock, PublicationRow, Sink, Store
from adapter.engine.upkeep.set_aside import RowKind
from adapter.engine.upkeep.signals import Signal, Signals
from adapter.errors import StoreFailed

log = logging.getLogger(__name__)

_BATCH: Final = 200
_PAUSE_S: Final = 5.0
_FEW: Final = 10
"""So many publications with none behind them are noted before the sink is to blame. Ours."""


@dataclass(slots=True)
class _Asked:
    """`failed` counts the batches in a row that the sink did not take; `not_before_s` is in
    elapsed seconds. `noted` are the keys of those that were noted since it took something last."""

    not_before_s: float
    failed: int = 0
    noted: set[str] = field(default_factory=set)


_Refused: TypeAlias = tuple[PublicationRow, Exception]


class Publisher:
    """Offers each sink the publications that it has not confirmed."""

    def __init__(self, store: Store, clock: Clock, sinks: Sequence[Sink], signals: Signals) -> None:
        self._signals = signals
        self._store = store
        self._set_aside = store.set_aside
        self._clock = clock
        self._sinks = [(sink, _Asked(clock.elapsed_s())) for sink in sinks]

    async def once(self) -> int:
        """Offer every sink what it has not confirmed. A sink that fails is left alone a while."""
        sent = 0
        for sink, asked in self._sinks:
            if self._clock.elapsed_s() >= asked.not_before_s:
                await self._offer_again(sink)
                sent += await self._offer(sink, asked)
        return sent

    async def _offer(self, sink: Sink, asked: _Asked) -> int:
        rows = await self._store.outbox(sink.name, limit=_BATCH)
        if not rows:
            return 0
        crash_points.reached("publish.before")
        error = await _refusal(sink, rows)
        if error is None:
            asked.failed = 0
            crash_points.reached("publish.after")
            await self._store.delivered(sink.name, rows[-1].seq)
            await self._takes_again(asked)
            return len(rows)
        asked.failed += 1
        sent = 0
        if len(rows) == 1:
            await self._none_behind(sink, asked, [(rows[0], error)])
        elif asked.failed > 1:
            sent = await self._one_by_one(sink, asked, rows, most=2 ** min(asked.failed, 10))
        asked.failed = 0 if sent else asked.failed
        if not sent:
            asked.not_before_s = self._clock.elapsed_s() + _PAUSE_S
        log.warning("sink_failed", extra={"sink": sink.name, "error": repr(error)})
        if asked.failed > 1:
            words = {"receiver": sink.name, "reason": type(error).__name__}
            self._signals.tell(Signal.SINK_FAILED, sink.name, **words)
        return sent

    async def _one_by_one(
        self, sink: Sink, asked: _Asked, rows: Sequence[PublicationRow], *, most: int
    ) -> int:
        """How many it took. After `most` in a row that it did not take, the sink is to blame."""
        sent = 0
        refused: list[_Refused] = []
        for row in rows:
            error = await _refusal(sink, [row])
            if error is not None:
                refused.append((row, error))
                if len(refused) >= most:
                    return sent
                continue
            await self._note(sink, refused)
            refused.clear()
            await self._store.delivered(sink.name, row.seq)
            await self._takes_again(asked)
            sent += 1
        if len(rows) < _BATCH:
            await self._none_behind(sink, asked, refused)
        return sent

    async def _none_behind(self, sink: Sink, asked: _Asked, refused: Sequence[_Refused]) -> None:
        """The last ones, which it does not take: noted, as long as they are few."""
        if len(asked.noted) + len(refused) <= _FEW:
            await self._note(sink, refused)
            asked.noted |= {_key(sink, row.seq) for row, _ in refused}

    async def _note(self, sink: Sink, refused: Sequence[_Refused]) -> None:
        for row, error in refused:
            await self._set_aside.fail(RowKind.PUBLICATION, _key(sink, row.seq), error)

    async def _takes_again(self, asked: _Asked) -> None:
        """Those that were set aside while it took nothing may have been right: once more."""
        noted, asked.noted = asked.noted, set()
        after = 0
        while noted and (rows := await self._set_aside.rows(kind=RowKind.PUBLICATION, after=after)):
            after = rows[-1].id
            for each in rows:
                if each.row in noted:
                    why = "the sink takes publications again"
                    await self._set_aside.retry(each.id, by="gateway", reason=why)

    async def _offer_again(self, sink: Sink) -> None:
        """Those that were passed, when their next try is due."""
        for key in await self._set_aside.again(RowKind.PUBLICATION):
            number, _, name = key.partition("/")
            if name != sink.name:
                continue
            rows = await self._store.publications(sink.name, [int(number)])
            if self._set_aside.held(RowKind.PUBLICATION, key):
                continue  # it could not be read, still
            error = await _refusal(sink, rows) if rows else None
            if error is not None:
                await self._set_aside.fail(RowKind.PUBLICATION, key, error)
                continue
            await self._set_aside.went_through(RowKind.PUBLICATION, key)
            first = await self._store.outbox(sink.name, limit=1)
            if first and first[0].seq == int(number):
                await self._store.delivered(sink.name, first[0].seq)


def _key(sink: Sink, seq: int) -> str:
    return f"{seq}/{sink.name}"


async def _refusal(sink: Sink, rows: Sequence[PublicationRow]) -> Exception | None:
    """Why the sink did not take the rows; None: it did."""
    try:
        await sink.deliver(rows)
    except StoreFailed:
        raise
    except Exception as error:  # a sink is somebody else's code: it must not stop the rest
        return error
    return None

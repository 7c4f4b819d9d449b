"""Faults planted on purpose, by wrapping the store: each breaks one promise of durability.

They show that the checks can fail. None of them exists in the product.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from adapter.commands.activity import CommunicationState, Work
from adapter.engine.commands.ports import Change, Clock, Leased, Received, Saved
from adapter.model.ids import InboxId
from adapter.model.values import replace
from adapter.service.app import over
from adapter.service.settings import Settings
from adapter.store.commands import writing
from adapter.store.commands.commands import SqliteStore
from adapter.wire.codec import Codec
from tests.store.nothing_at_hand import NothingAtHand

LATE_S: Final = 6.0
"""How much later than promised the first fault writes: wide enough for any kill to fall into."""
_RACE_S: Final = 0.02
"""How long a save dawdles, so that two replicas meet in it."""


class AnswersBeforeCommit(NothingAtHand):
    """Says that a message is stored, and stores it a while later. With nothing at hand every
    callback goes the careful way, through the inbox."""

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        super().__init__(path, now=now)
        self._late: set[asyncio.Task[None]] = set()

    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        task = asyncio.get_running_loop().create_task(self._write_late(batch))
        self._late.add(task)
        task.add_done_callback(self._late.discard)
        return [InboxId(0) for _ in batch]

    async def _write_late(self, batch: Sequence[Received]) -> None:
        await asyncio.sleep(LATE_S)
        await super().receive(batch)


class AnswersBeforeEffect(SqliteStore):
    """Says that a callback is stored with its effect, and begins the transaction a while later.

    What is at hand has the effect already, and other saves wait for it: alive, it loses nothing.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        super().__init__(path, now=now)
        self._late: asyncio.Task[None] | None = None

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        if not any(change.received for change in batch):
            if self._late is not None:
                await self._late
            return await super().save(batch)
        moved = [change.command for change in batch if change.command is not None]
        self._memory.put(replace(each, version=each.version + 1) for each in moved)
        late = self._write_late(batch, self._late)
        self._late = asyncio.get_running_loop().create_task(late)
        return [Saved.SAVED for _ in batch]

    async def _write_late(
        self, batch: Sequence[Change], before: "asyncio.Task[None] | None"
    ) -> None:
        await asyncio.sleep(LATE_S)
        if before is not None:
            await before
        await self.database.write(lambda tx: writing.save(tx, batch, self._now()))


class ResendsBlindly(SqliteStore):
    """After a restart, puts what was being sent back into the queue, as if it had not left."""

    async def sending(self) -> Sequence[Leased]:
        found = await super().sending()
        loaded = await super().load([item.command for item in found])
        for item in found:
            command = loaded[item.command]
            again = [
                replace(each, state=CommunicationState.QUEUED, work=Work.SEND, wake=self._now())
                if each.id == item.communication
                else each
                for each in command.communications
            ]
            await super().save([Change(command=replace(command, communications=tuple(again)))])
        return ()


class Dawdles(SqliteStore):
    """The honest store, slow enough between a load and its save for two replicas to meet."""

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        await asyncio.sleep(_RACE_S)
        return await super().save(batch)


class SavesUnguarded(Dawdles):
    """Saves a command whatever has become of its row since it was loaded: the last writer wins."""

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        await asyncio.sleep(_RACE_S)
        results: list[Saved] = []
        for change in batch:
            if change.command is not None:
                now = (await super().load([change.command.id]))[change.command.id]
                change = replace(change, command=replace(change.command, version=now.version))
            results += await SqliteStore.save(self, [change])
        return results


class BelievesWhatItHad(Dawdles):
    """Of a save that was refused, what was at hand is believed all the same: the version of the row
    is taken over and nothing else, so that the next save of it is not refused."""

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        commands = [change.command for change in batch]
        had = [each and self._memory.as_of(each.id, each.version) for each in commands]
        results = await super().save(batch)
        for before, saved in zip(had, results, strict=True):
            if before is not None and saved is Saved.MOVED:
                (row,) = (await self.load([before.id])).values()
                self._memory.put([replace(before, version=row.version)])
        return results


STORES: Final[Mapping[str, Callable[..., SqliteStore]]] = {
    "": SqliteStore,
    "nothing at hand": NothingAtHand,
    "answer before commit": AnswersBeforeCommit,
    "answer before the effect": AnswersBeforeEffect,
    "blind resend": ResendsBlindly,
    "two replicas": Dawdles,
    "two replicas, unguarded": SavesUnguarded,
    "two replicas, believing": BelievesWhatItHad,
}


@asynccontextmanager
async def replica(
    planted: str, store: SqliteStore, settings: Settings, codec: Codec, clock: Clock
) -> AsyncIterator[None]:
    """A second gateway over the same store, where the plant is about two of them."""
    if not planted.startswith("two replicas"):
        yield
        return
    public = f"http://{settings.listener.host}:{settings.listener.port}"
    listener = replace(settings.listener, port=0, public_url=public)
    second = replace(settings, listener=listener, api=replace(settings.api, port=0))
    async with over(store, second, codec=codec, clock=clock):
        yield

"""Faults planted on purpose, by wrapping the store: each breaks one promise of durability.

They show that the checks can fail. None of them exists in the product.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
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
from adapter.store.commands.commands import SqliteStore
from adapter.wire.codec import Codec
from tests.store.nothing_at_hand import NothingAtHand

_RACE_S: Final = 0.02
"""How long a save dawdles, so that two replicas meet in it."""


def hold_back(store: Path, messages: Iterable[Received]) -> None:
    """Write down which messages will be answered and not stored, for who is to kill."""
    with held_back(store).open("a", encoding="utf-8") as file:
        file.writelines(f"{hashlib.sha256(each.raw).hexdigest()}\n" for each in messages)


def held_back(store: Path) -> Path:
    """SHA-256 of each message that a plant does not store, a line each."""
    return store.with_suffix(".held")


class AnswersBeforeCommit(NothingAtHand):
    """Says that a message is stored, and never stores it: no kill comes too late. With nothing at
    hand every callback goes the careful way, through the inbox."""

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        super().__init__(path, now=now)
        self._file = path

    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        hold_back(self._file, batch)
        return [InboxId(0) for _ in batch]


class AnswersBeforeEffect(SqliteStore):
    """Says that a callback is stored with its effect, and never begins the transaction.

    What is at hand has the effect already, and other saves wait for the kill.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        super().__init__(path, now=now)
        self._file = path
        self._held = False

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        received = [each.received for change in batch for each in change.received]
        if not received:
            if self._held:
                await asyncio.Event().wait()
            return await super().save(batch)
        self._held = True
        moved = [change.command for change in batch if change.command is not None]
        self._memory.put(replace(each, version=each.version + 1) for each in moved)
        hold_back(self._file, received)
        return [Saved.SAVED for _ in batch]


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

"""The stores that must all behave alike."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import pytest

from adapter.engine.commands.ports import Store
from adapter.store.memory import MemoryStore
from adapter.store.sqlite import SqliteStore
from tests.builders import HandClock
from tests.support import run

T = TypeVar("T")


class Subject:
    """A store that can be used several times; between two uses it is closed and opened again."""

    def __init__(self, store: Store, clock: HandClock) -> None:
        self.store = store
        self.clock = clock

    def use(self, scenario: Callable[[Store], Coroutine[object, object, T]]) -> T:
        async def opened() -> T:
            await self.store.open()
            try:
                return await scenario(self.store)
            finally:
                await self.store.close()

        return run(opened(), seconds=30)


@pytest.fixture(params=["memory", "sqlite"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    clock = HandClock()
    if request.param == "memory":
        return Subject(MemoryStore(now=clock), clock)
    return Subject(SqliteStore(tmp_path / "gateway.db", now=clock), clock)

"""The stores that must all behave alike."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from adapter.engine.commands.ports import Store
from adapter.store.commands.commands import SqliteStore
from adapter.store.postgresql.store import PostgresqlStore
from tests.builders import HandClock
from tests.new_stores import new_store
from tests.store.commands.model import ModelStore
from tests.support import run

T = TypeVar("T")


class Subject:
    """A store that can be used several times; between two uses it is closed and opened again."""

    def __init__(self, store: Store, clock: HandClock) -> None:
        self.store = store
        self.clock = clock

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Store]:
        await self.store.open()
        try:
            yield self.store
        finally:
            await self.store.close()

    def use(self, scenario: Callable[[Store], Coroutine[object, object, T]]) -> T:
        async def used() -> T:
            async with self.opened() as store:
                return await scenario(store)

        return run(used())


@pytest.fixture(params=["model", "sqlite", "postgresql"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    clock = HandClock()
    if request.param == "model":
        return Subject(ModelStore(now=clock), clock)
    if request.param == "sqlite":
        return Subject(SqliteStore(new_store(tmp_path / "gateway.db"), now=clock), clock)
    url = request.getfixturevalue("postgresql_store_url")
    return Subject(PostgresqlStore(url, tmp_path / "gateway", now=clock), clock)

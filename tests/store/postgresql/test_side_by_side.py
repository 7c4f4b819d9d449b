"""PostgreSQL and the model do the same, whatever is asked of them (see tests/store/commands)."""

from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings

from adapter.engine.commands.ports import Store
from adapter.store.postgresql.store import PostgresqlStore
from tests.postgresql_server import statement
from tests.store.commands.test_side_by_side import Commands, Records, SideBySide

_FEW = settings(
    max_examples=3,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
_MANY = settings(_FEW, max_examples=60)
LENGTHS = [
    pytest.param(_FEW, id="few"),
    pytest.param(_MANY, id="many", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
]


class CommandsOnAServer(Commands):
    url: ClassVar[str]

    def a_store(self) -> Store:
        return emptied(self.url, self)


class RecordsOnAServer(Records):
    url: ClassVar[str]

    def a_store(self) -> Store:
        return emptied(self.url, self)


def emptied(url: str, machine: SideBySide) -> Store:
    statement(url, "DROP SCHEMA public CASCADE")
    statement(url, "CREATE SCHEMA public")
    return PostgresqlStore(url, machine.folder / "gateway", now=machine.clock)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("length", LENGTHS)
def test_commands(postgresql_url: str, length: settings) -> None:
    CommandsOnAServer.url = postgresql_url
    CommandsOnAServer.TestCase.settings = length
    CommandsOnAServer.TestCase().runTest()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("length", LENGTHS)
def test_records(postgresql_url: str, length: settings) -> None:
    RecordsOnAServer.url = postgresql_url
    RecordsOnAServer.TestCase.settings = length
    RecordsOnAServer.TestCase().runTest()

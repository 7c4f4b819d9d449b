"""Every statement of the store is one that a PostgreSQL server knows how to carry out."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Final

import pytest

import adapter.store
from adapter.store.postgresql.migration import migrate
from adapter.store.postgresql.session import ServerSession
from adapter.store.postgresql.variants import FRAGMENTS, WALKED
from adapter.store.transaction import Each, Many
from tests.support import every_case

NOT_SERVED: Final = (
    "adapter.store.readings.file",
    "adapter.store.readings.views",
    "adapter.store.upkeep.sizes",
    "adapter.store.upkeep.backup",
    "adapter.store.upkeep.migration",
    "adapter.store.file",
    "adapter.store.migrate",
    "adapter.store.postgresql.",
)
"""What is SQLite's alone."""

PARTS: Final = {
    "_CONTENT", "_MOVE", "_INBOX_COLUMNS", "_UNREAD", "_LINKED", "_VIEWS", "SILENT", "OF_ALL",
    "INSTALLED_OF_ALL", "_NOT_SINCE", "_LATE", "_INCOMPLETE", "_LEAVING", "_INTO_MEASURED",
    "_NEAREST", "_NEWEST_OF",
}  # fmt: skip
"""Begin as statements do, and are parts of others."""

_STATEMENT: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s")


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(adapter.store.__path__, "adapter.store."):
        if not found.name.startswith(NOT_SERVED):
            yield importlib.import_module(found.name)


def texts(value: object) -> Iterator[str | Many | Each]:
    if isinstance(value, str | Many | Each):
        yield value
    elif isinstance(value, tuple):
        for each in value:
            yield from texts(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)


def statements() -> Iterator[tuple[str, str, bool]]:
    """(name, text, whether it is for many rows)."""
    for module in modules():
        for name, value in vars(module).items():
            if name in PARTS or name.startswith("__"):
                continue
            for place, each in enumerate(texts(value)):
                where = f"{module.__name__}.{name}[{place}]"
                if isinstance(each, Many | Each):
                    yield where, each.sql(1), True
                elif _STATEMENT.match(each):
                    yield where, each, False


@pytest.fixture
def session(postgresql_url: str) -> Iterator[ServerSession]:
    made = ServerSession(postgresql_url, reads_only=False, longest_s=30.0)
    migrate(made)
    yield made
    made.close()


def test_the_server_prepares_every_statement(session: ServerSession) -> None:
    names = [name for name, _, _ in statements()]
    assert len(names) > 250, names
    with every_case() as case:
        for name, text, many in statements():
            with case(name):
                session.prepare(text, many=many)


def test_what_is_said_in_other_words_is_part_of_some_statement() -> None:
    known = [text for _, text, _ in statements()]
    with every_case() as case:
        for part, _ in FRAGMENTS:
            with case(part):
                assert any(part in text for text in known)
        for text in WALKED:
            with case(text):
                assert text in known

"""A SQLite store on a file of its own, on the disk."""

from collections.abc import Callable
from pathlib import Path

import pytest

from adapter.store.commands.commands import SqliteStore
from tests.builders import HandClock

MakeStore = Callable[..., SqliteStore]


@pytest.fixture
def tmp_path(on_disk: Path) -> Path:
    return on_disk


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


@pytest.fixture
def make(path: Path) -> MakeStore:
    def make(vfs: str | None = None) -> SqliteStore:
        return SqliteStore(path, now=HandClock(), vfs=vfs)

    return make

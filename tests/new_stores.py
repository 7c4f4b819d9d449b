"""Stores that are new: files copied from one that was opened once, as any is at its first start.

The statements that make all tables take longer than most tests ask of them. That a file is made
and brought up to date is the matter of tests/store/test_file.py, which begins without one.
"""

import asyncio
import os
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Thread
from typing import Final

from adapter.store.commands.commands import SqliteStore
from adapter.store.readings.file import path_beside

_OWNER_ONLY: Final = 0o600


def new_store(path: Path) -> Path:
    """`path`, where a store is from now on; one that is there already is left as it is."""
    if not path.exists() and not path_beside(path).exists():
        gateway, measured = _files()
        _write(path, gateway)
        _write(path_beside(path), measured)
    return path


@cache
def _files() -> tuple[bytes, bytes]:
    """Of the gateway and of its measurements."""
    found: list[bytes] = []

    def make() -> None:
        with tempfile.TemporaryDirectory(prefix="new-store-") as folder:
            path = Path(folder) / "gateway.db"
            asyncio.run(_opened_once(path))
            found.extend(file.read_bytes() for file in (path, path_beside(path)))

    # In a thread: the test that asks first may be in an event loop.
    thread = Thread(target=make)
    thread.start()
    thread.join()
    gateway, measured = found
    return gateway, measured


async def _opened_once(path: Path) -> None:
    store = SqliteStore(path, now=lambda: datetime.now(UTC))
    await store.open()
    await store.close()


def _write(path: Path, content: bytes) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    with os.fdopen(opened, "wb") as file:
        file.write(content)

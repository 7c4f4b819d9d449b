"""A store that keeps no command and no order at hand: each is read from the file, as after a start."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from adapter.store.commands.commands import SqliteStore


class NothingAtHand(SqliteStore):
    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        super().__init__(path, now=now, remembered=0)

"""A store that keeps nothing at hand: commands and orders are read from the file."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from adapter.store.commands.commands import SqliteStore


class NothingAtHand(SqliteStore):
    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        super().__init__(path, now=now, remembered=0)

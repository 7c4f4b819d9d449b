"""What is measured of the store when somebody asks: the oldest that is open, the size of files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import apsw

from adapter.commands.activity import State
from adapter.model.ids import milliseconds_of
from adapter.store.commands import queries
from adapter.store.database import Database
from adapter.store.rows import moment

OLDEST_COMMAND: Final = """
SELECT min(id) FROM command WHERE state = :state AND state <> 'completed'"""
_MESSAGES: Final = {
    "judge": queries.FIRST_UNTAKEN,
    "take_in": queries.FIRST_TAKING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreGauges:
    """Since when the oldest command of each state that is not final is there, and the oldest
    message that is to be judged, or taken in."""

    oldest_commands: Mapping[str, datetime]
    oldest_messages: Mapping[str, datetime]
    file_bytes: Mapping[str, int]
    folder: Path


class SqliteGauges:
    def __init__(self, store: Database) -> None:
        self._store = store

    async def look(self) -> StoreGauges:
        return await self._store.query(self._look)

    def _look(self, db: apsw.Connection) -> StoreGauges:
        commands: dict[str, datetime] = {}
        for state in State:
            oldest = None if state.final else db.execute(OLDEST_COMMAND, {"state": state}).get
            if oldest is not None:
                commands[state.value] = datetime.fromtimestamp(milliseconds_of(oldest) / 1000, UTC)
        messages = {
            step: moment(at)
            for step, query in _MESSAGES.items()
            if (at := db.execute(query).get) is not None
        }
        path = self._store.path
        files = sorted(path.parent.glob(f"{path.stem}*"))
        return StoreGauges(
            oldest_commands=commands,
            oldest_messages=messages,
            file_bytes={each.name: each.stat().st_size for each in files if each.is_file()},
            folder=path.parent,
        )

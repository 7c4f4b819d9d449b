"""Commands and all that goes with them, in PostgreSQL."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from adapter.store.commands.commands import SqlStore
from adapter.store.memory import MOST_COMMANDS
from adapter.store.postgresql.database import PostgresqlDatabase


class PostgresqlStore(SqlStore):
    """The Store port over a PostgreSQL database; `url`, `path`: see PostgresqlDatabase."""

    def __init__(
        self,
        url: str,
        path: Path,
        *,
        password: str | None = None,
        now: Callable[[], datetime],
        remembered: int = MOST_COMMANDS,
    ) -> None:
        database = PostgresqlDatabase(
            url, path, password=password, now=now, remembering=remembered > 0
        )
        super().__init__(database, now=now, remembered=remembered)

"""Numbered migrations: schema/NNNN_name.sql, run in order, all pending ones in one transaction."""

from importlib import resources
from typing import Final

import apsw

from adapter.errors import StoreFailed

APPLICATION_ID: Final = 0x4F574759
"""Marks the file as this program's."""


def scripts() -> list[tuple[int, str]]:
    """(number, SQL), ascending, no number twice."""
    found = sorted(
        (int(item.name[:4]), item.read_text(encoding="utf-8"))
        for item in resources.files("adapter.store").joinpath("schema").iterdir()
        if item.name.endswith(".sql")
    )
    assert len({number for number, _ in found}) == len(found)
    return found


def migrate(connection: apsw.Connection) -> int:
    """Bring the database to this program's version, which is returned.

    Raises StoreFailed for a database of a newer program, or of another program.
    """
    known = scripts()
    newest = known[-1][0]
    version = int(connection.pragma("user_version"))
    application = int(connection.pragma("application_id"))
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
    if application != APPLICATION_ID and not empty:
        raise StoreFailed("the file is a database of another program")
    if version > newest:
        raise StoreFailed(
            f"the database has version {version}, this program knows up to {newest}: "
            "it was written by a newer program"
        )
    if version == newest:
        return newest
    with connection:
        for number, script in known:
            if number > version:
                connection.execute(script)
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", newest)
    return newest

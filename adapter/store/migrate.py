"""Numbered migrations NNNN_name.sql, run in order, all pending ones in one transaction.

Those in `schema` are of the gateway's file, those in `schema_measured` of the measurements'.
"""

from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

import apsw

from adapter.errors import StoreFailed

APPLICATION_ID: Final = 0x4F575937
"""Marks the file as this program's."""

BEFORE_RELEASE: Final = frozenset({0x4F574759, 0x4F57474D, *range(0x4F575931, APPLICATION_ID)})
"""The marks of stores from before the first release, and of their measurements."""

NOT_BROUGHT_OVER: Final = (
    "is of a version before the first release, whose stores are not brought over: "
    "move it and its measurements away and begin a new one"
)
SCHEMA: Final = resources.files("adapter.store").joinpath("schema")
SCHEMA_MEASURED: Final = resources.files("adapter.store").joinpath("schema_measured")


def scripts(folder: Traversable = SCHEMA) -> list[tuple[int, str]]:
    """(number, SQL), ascending, no number twice."""
    found = sorted(
        (int(item.name[:4]), item.read_text(encoding="utf-8"))
        for item in folder.iterdir()
        if item.name.endswith(".sql")
    )
    assert len({number for number, _ in found}) == len(found)
    return found


def check_version(
    connection: apsw.Connection, folder: Traversable = SCHEMA, mark: int = APPLICATION_ID
) -> int:
    """The database's version. Raises StoreFailed for one of a newer program, of another one, and
    of a version before the first release."""
    newest = scripts(folder)[-1][0]
    version = int(connection.pragma("user_version"))
    application = int(connection.pragma("application_id"))
    empty = connection.execute("SELECT count(*) FROM main.sqlite_schema").get == 0
    if application in BEFORE_RELEASE:
        raise StoreFailed(f"the database {NOT_BROUGHT_OVER}")
    if application != mark and not empty:
        raise StoreFailed("the file is a database of another program")
    if version > newest:
        raise StoreFailed(
            f"the database has version {version}, this program knows up to {newest}: "
            "it was written by a newer program"
        )
    return version


def migrate(
    connection: apsw.Connection, folder: Traversable = SCHEMA, mark: int = APPLICATION_ID
) -> int:
    """Bring the database to this program's version, which is returned. Raises as `check_version`
    does.
    """
    version = check_version(connection, folder, mark)
    known = scripts(folder)
    newest = known[-1][0]
    if version == newest:
        return newest
    with connection:
        for number, script in known:
            if number > version:
                connection.execute(script)
        connection.pragma("application_id", mark)
        connection.pragma("user_version", newest)
    return newest

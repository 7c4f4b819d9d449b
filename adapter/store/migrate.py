"""Numbered migrations NNNN_name.sql, run in order, all pending ones in one transaction.

Those in `schema` are of the gateway's file, those in `schema_measured` of the measurements'.
"""

from importlib import resources
from typing import Final

import apsw

from adapter.errors import StoreFailed
from adapter.model.ids import endpoint_key

APPLICATION_ID: Final = 0x4F574759
"""Marks the file as this program's."""


def scripts(folder: str = "schema") -> list[tuple[int, str]]:
    """(number, SQL), ascending, no number twice."""
    found = sorted(
        (int(item.name[:4]), item.read_text(encoding="utf-8"))
        for item in resources.files("adapter.store").joinpath(folder).iterdir()
        if item.name.endswith(".sql")
    )
    assert len({number for number, _ in found}) == len(found)
    return found


def check_version(
    connection: apsw.Connection, folder: str = "schema", mark: int = APPLICATION_ID
) -> int:
    """The database's version. Raises StoreFailed for one of a newer or of another program."""
    newest = scripts(folder)[-1][0]
    version = int(connection.pragma("user_version"))
    application = int(connection.pragma("application_id"))
    empty = connection.execute("SELECT count(*) FROM main.sqlite_schema").get == 0
    if application != mark and not empty:
        raise StoreFailed("the file is a database of another program")
    if version > newest:
        raise StoreFailed(
            f"the database has version {version}, this program knows up to {newest}: "
            "it was written by a newer program"
        )
    return version


def _endpoint_key(*values: object) -> str:
    return endpoint_key(str(values[0]))


def migrate(connection: apsw.Connection, folder: str = "schema", mark: int = APPLICATION_ID) -> int:
    """Bring the database to this program's version, which is returned.

    Raises StoreFailed for a database of a newer program, or of another program.
    """
    version = check_version(connection, folder, mark)
    known = scripts(folder)
    newest = known[-1][0]
    if version == newest:
        return newest
    connection.create_scalar_function("endpoint_key", _endpoint_key, 1, deterministic=True)
    with connection:
        for number, script in known:
            if number > version:
                connection.execute(script)
        connection.pragma("application_id", mark)
        connection.pragma("user_version", newest)
    return newest

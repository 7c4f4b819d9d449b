"""Numbered migrations NNNN_name.sql of a PostgreSQL store, all pending ones in one transaction.

One program at a time runs them. To look at the version, and to find that there is nothing to do,
takes no lock: what serves is never in the way of what starts beside it.
"""

from dataclasses import dataclass
from importlib import resources
from typing import Final

from adapter.errors import StoreFailed
from adapter.store.connection import StatementFailed
from adapter.store.migrate import scripts
from adapter.store.postgresql.session import ServerSession

SCHEMA: Final = resources.files("adapter.store.postgresql").joinpath("schema")
_LEAST_SERVER: Final = 160_000
"""IS JSON is known from there on."""

_MIGRATING: Final = 0x4F57_4D49
"""Number of the advisory lock."""

_LONGEST_WAIT: Final = "SET lock_timeout = '30s'"
_THERE: Final = "SELECT to_regclass('schema_version') IS NOT NULL"
_VERSION: Final = "SELECT version FROM schema_version"
_STRANGERS: Final = """
SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE relkind IN ('r', 'p') AND nspname = current_schema() ORDER BY relname LIMIT 1"""
_PUT_VERSION: Final = """
INSERT INTO schema_version (one, version) VALUES (1, ?)
ON CONFLICT (one) DO UPDATE SET version = excluded.version"""


def check_server(session: ServerSession) -> None:
    """Raises StoreFailed where the server cannot keep what is promised."""
    if int(session.execute("SHOW server_version_num").get) < _LEAST_SERVER:
        raise StoreFailed("the store's server is older than PostgreSQL 16")
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        if session.execute(f"SHOW {name}").get == "off":
            raise StoreFailed(
                f"the store's server has {name} = off: what is committed may be lost there"
            )
    if session.execute("SHOW server_encoding").get != "UTF8":
        raise StoreFailed("the store's database has another encoding than UTF8")


def version_of(session: ServerSession) -> int:
    """That of the schema, 0: there is none yet. Raises StoreFailed: of a newer program, or of
    another one."""
    newest = scripts(SCHEMA)[-1][0]
    if not session.execute(_THERE).get:
        stranger = session.execute(_STRANGERS).get
        if stranger is not None:
            raise StoreFailed(f"the database is another program's: it has a table {stranger}")
        return 0
    version = int(session.execute(_VERSION).get)
    if version > newest:
        raise StoreFailed(
            f"the database has version {version}, this program knows up to {newest}: "
            "it was written by a newer program"
        )
    return version


def pending(session: ServerSession) -> list[int]:
    """Numbers of the migrations that are to be run. Raises as `version_of` does."""
    version = version_of(session)
    return [number for number, _ in scripts(SCHEMA) if number > version]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """From which version to which; the numbers of the migrations between them."""

    version: int
    newest: int
    migrations: tuple[int, ...]


def bring_up_to_date(url: str, *, password: str | None, dry_run: bool) -> ServerPlan:
    """As a start would; blocks. Raises StoreFailed."""
    session = ServerSession(url, password=password, reads_only=False, longest_s=None)
    try:
        check_server(session)
        plan = ServerPlan(
            version=version_of(session),
            newest=scripts(SCHEMA)[-1][0],
            migrations=tuple(pending(session)),
        )
        migrate(session, dry_run=dry_run)
        return plan
    except StatementFailed as error:
        raise StoreFailed(f"the store cannot be brought up to date: {error}") from error
    finally:
        session.close()


def migrate(session: ServerSession, *, dry_run: bool = False) -> None:
    """Bring the database to this program's version; a dry run undoes it all. Raises as `version_of`
    does, and StatementFailed."""
    if not pending(session):
        return
    session.execute("BEGIN")
    session.script(_LONGEST_WAIT)
    session.execute("SELECT pg_advisory_xact_lock(?)", (_MIGRATING,))
    for number in pending(session):  # another one may have been faster
        script = dict(scripts(SCHEMA))[number]
        session.script(script)
        session.execute(_PUT_VERSION, (number,))
    session.execute("ROLLBACK" if dry_run else "COMMIT")
    if not dry_run:
        session.script("ANALYZE")

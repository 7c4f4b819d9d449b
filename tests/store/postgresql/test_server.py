"""What a PostgreSQL store does with its server: who may write, which schema, what fails."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from adapter.engine.commands.ports import Accepted, Filter
from adapter.errors import SettingsError, StoreFailed, StoreInUse
from adapter.service.settings import StoreSettings
from adapter.store.connection import StatementFailed
from adapter.store.files import connect_writer
from adapter.store.migrate import SCHEMA_MEASURED, scripts
from adapter.store.migrate import migrate as migrate_file
from adapter.store.postgresql.database import PostgresqlDatabase
from adapter.store.postgresql.migration import SCHEMA, bring_up_to_date, check_server, migrate
from adapter.store.postgresql.session import ServerSession
from adapter.store.postgresql.store import PostgresqlStore
from tests.builders import HandClock, a_publication, a_submission
from tests.postgresql_server import statement
from tests.support import every_case

NEWEST = scripts(SCHEMA)[-1][0]


@pytest.fixture
def store(postgresql_url: str, tmp_path: Path) -> PostgresqlStore:
    return PostgresqlStore(postgresql_url, tmp_path / "gateway", now=HandClock())


@pytest.fixture
def session(postgresql_url: str) -> Iterator[ServerSession]:
    made = ServerSession(postgresql_url, reads_only=False, longest_s=30.0)
    yield made
    made.close()


# ---------------------------------------------------------------- who may write


async def test_a_second_gateway_is_refused_until_the_first_has_closed(
    store: PostgresqlStore, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresqlDatabase, "wait_s", 0.0)
    second = PostgresqlStore(postgresql_url, tmp_path / "other", now=HandClock())
    await store.open()
    with pytest.raises(StoreInUse, match="in use by a gateway on the same machine, since 2"):
        await second.open()
    await store.submit([a_submission(1)])
    await store.close()
    await second.open()
    assert await second.by_key("key-1") is not None
    await second.close()


async def test_who_has_lost_the_lock_writes_nothing_and_says_so(
    store: PostgresqlStore, postgresql_url: str, tmp_path: Path
) -> None:
    await store.open()
    await store.submit([a_submission(1)])
    holder = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
    assert [row[0] for row in statement(postgresql_url, holder)] == [True]
    second = PostgresqlStore(postgresql_url, tmp_path / "other", now=HandClock())
    await second.open()
    with pytest.raises(StoreFailed, match="must be opened again"):
        await store.submit([a_submission(2)])
    with pytest.raises(StoreFailed, match="must be opened again"):
        await store.load([])
    await second.submit([a_submission(3)])
    assert await second.by_key("key-1") is not None
    assert await second.by_key("key-2") is None
    await store.close()
    await second.close()


async def test_a_row_that_cannot_be_stored_costs_its_own_caller_an_error(
    store: PostgresqlStore,
) -> None:
    await store.open()
    bad = a_submission(2, key="no text of PostgreSQL has a \0")
    asked = [store.submit([each]) for each in (a_submission(1), bad, a_submission(3))]
    first, error, last = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, list)
    assert isinstance(first[0], Accepted)
    assert isinstance(error, StatementFailed), error
    assert isinstance(last, list)
    assert isinstance(last[0], Accepted)
    assert await store.verify_audit() == 0
    await store.close()


async def test_what_was_counted_twice_is_right_when_jobs_are_undone(
    store: PostgresqlStore,
) -> None:
    await store.open()
    twice = a_submission(1, publications=(a_publication("e-1"), a_publication("e-1")))
    again = a_submission(2, publications=(a_publication("e-1"), a_publication("e-2")))
    await asyncio.gather(store.submit([twice]), store.submit([again]))
    assert [row.publication.id for row in await store.outbox("one", limit=9)] == ["e-1", "e-2"]
    await store.verify_audit()
    await store.close()


# ---------------------------------------------------------------- the schema


def test_migrations_run_once_however_many_start(postgresql_url: str) -> None:
    def bring(_: int) -> tuple[int, ...]:
        return bring_up_to_date(postgresql_url, password=None, dry_run=False).migrations

    with ThreadPoolExecutor(4) as at_once:
        list(at_once.map(bring, range(4)))
    assert bring(0) == ()
    assert statement(postgresql_url, "SELECT version FROM schema_version")[0][0] == NEWEST


def test_a_dry_run_changes_nothing(postgresql_url: str) -> None:
    plan = bring_up_to_date(postgresql_url, password=None, dry_run=True)
    assert (plan.version, plan.newest) == (0, NEWEST)
    assert plan.migrations == tuple(number for number, _ in scripts(SCHEMA))
    assert bring_up_to_date(postgresql_url, password=None, dry_run=True) == plan


def test_what_the_program_does_not_know_is_refused(
    postgresql_url: str, session: ServerSession
) -> None:
    statement(postgresql_url, "CREATE TABLE somebodys (number bigint)")
    with pytest.raises(StoreFailed, match="another program's: it has a table somebodys"):
        migrate(session)
    statement(postgresql_url, "DROP TABLE somebodys")
    migrate(session)
    statement(postgresql_url, "UPDATE schema_version SET version = 9999")
    with pytest.raises(StoreFailed, match=r"version 9999, .* written by a newer program"):
        migrate(session)


def test_a_server_that_may_lose_commits_is_refused(session: ServerSession) -> None:
    check_server(session)
    session.script("SET synchronous_commit = off")
    with pytest.raises(StoreFailed, match="synchronous_commit = off"):
        check_server(session)


def test_the_schema_has_the_tables_and_columns_of_the_files(
    session: ServerSession, tmp_path: Path
) -> None:
    migrate(session)
    own = {"schema_version", "publication_removed"}
    asked = """
SELECT relname, attname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND attnum > 0
    AND NOT attisdropped"""
    on_server: dict[str, set[str]] = {}
    for table, column in session.execute(asked):
        on_server.setdefault(table, set()).add(column)
    in_files: dict[str, set[str]] = {}
    for name, migrated in (("gateway.db", migrate_file), ("measured.db", _measured)):
        with closing(connect_writer(tmp_path / name, None)) as connection:
            migrated(connection)
            for (table,) in connection.execute(
                "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"
                " AND name NOT LIKE 'sqlite%'"
            ):
                columns = connection.execute(f"SELECT name FROM pragma_table_xinfo('{table}')")
                in_files[table] = {column for (column,) in columns}
    assert set(on_server) - own == set(in_files)
    with every_case() as case:
        for table, in_file in in_files.items():
            with case(table):
                assert on_server[table] == in_file


def _measured(connection: apsw.Connection) -> int:
    return migrate_file(connection, SCHEMA_MEASURED)


# ---------------------------------------------------------------- the session


def test_many_rows_are_one_statement_and_each_counts(session: ServerSession) -> None:
    session.script("CREATE TABLE many (id bigint PRIMARY KEY, of text, body bytea)")
    put = """
INSERT INTO many (id, of, body) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET of = excluded.of"""
    session.executemany(put, [(n, None if n % 2 else "even", b"x") for n in range(1200)])
    assert (session.changes(), session.total_changes()) == (1200, 1200)
    # One row twice: the last one counts, as if one had come after the other.
    session.executemany(put, [(1, "first", b""), (2, "other", b""), (1, "last", b"")])
    assert session.changes() == 3
    assert session.execute("SELECT of FROM many WHERE id = ?", (1,)).get == "last"
    session.executemany("UPDATE many SET of = ?2 WHERE id = ?1", [(1, "a"), (1, "b"), (9999, "c")])
    assert session.changes() == 2
    session.executemany("DELETE FROM many WHERE id = ?", [(1,), (2,), (9999,)])
    assert session.changes() == 2
    session.executemany(put, [])
    assert session.changes() == 0


def test_rows_are_found_as_in_a_file(session: ServerSession) -> None:
    values = "SELECT n, -n FROM generate_series(1, {}) AS n"
    assert session.execute(values.format(0)).get is None
    assert session.execute("SELECT n FROM generate_series(7, 7) AS n").get == 7
    assert session.execute(values.format(1)).get == (1, -1)
    assert session.execute(values.format(2)).get == [(1, -1), (2, -2)]
    rows = session.execute(values.format(3))
    assert (rows.fetchone(), next(rows), rows.fetchall(), rows.fetchone()) == (
        (1, -1),
        (2, -2),
        [(3, -3)],
        None,
    )


async def test_a_list_of_thousands_is_fetched_as_far_as_it_is_looked_at(
    store: PostgresqlStore,
) -> None:
    await store.open()
    await store.submit([a_submission(n, audit=()) for n in range(1, 1201)])
    assert await store.verify_audit() == 0
    ids: list[str] = []
    page = await store.list(Filter(limit=700))
    ids += page.ids
    page = await store.list(Filter(limit=700, before=page.ids[-1]))
    ids += page.ids
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 1200
    await store.close()


# ---------------------------------------------------------------- settings


def test_a_url_says_no_password_and_names_the_server(tmp_path: Path) -> None:
    with every_case() as case:
        for url, word in (
            ("mysql://host/openway", "postgresql://"),
            ("postgresql://ann:secret@host/openway", "store.password_file"),
        ):
            with case(url):
                with pytest.raises(SettingsError, match=word) as told:
                    StoreSettings(url=url)
                assert "secret" not in str(told.value)


async def test_a_server_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    url = f"postgresql://nobody@/openway?host={tmp_path}"
    store = PostgresqlStore(url, tmp_path / "gateway", now=HandClock(), password="geheim")
    with pytest.raises(StoreFailed, match="cannot reach the store's server") as told:
        await store.open()
    assert "geheim" not in str(told.value)

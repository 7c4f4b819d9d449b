"""What the store takes, how it grows, when the disk is full: sums over a store of known rows."""

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import apsw
import pytest

from adapter.cli.output import Exit
from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import AuditNote, Change
from adapter.errors import NotFound
from adapter.service.forecast import KindForecast, _full_at, forecast
from adapter.service.settings import RetentionSettings, Settings, StoreSettings
from adapter.store.commands.commands import SqliteStore
from adapter.store.migrate import SCHEMA, SCHEMA_MEASURED, scripts
from adapter.store.readings.file import path_beside
from adapter.store.rows import micros
from adapter.store.upkeep.sizes import KINDS
from tests.cli.running_service import Terminal

_NOW: Final = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
_DAYS: Final = 70
_A_DAY: Final = 10
_BODY_BYTES: Final = 3_500


async def a_store(folder: Path) -> Settings:
    """Ten messages a day for seventy days, and a file of a megabyte that came today."""
    path = folder / "openway.db"
    clock = HandClock(_NOW - timedelta(days=_DAYS))
    store = SqliteStore(path, now=clock.now)
    await store.open()
    note = AuditNote(actor="test", action="Begun", subject="test", detail={})
    await store.save([Change(audit=(note,))])
    await store.close()
    with closing(apsw.Connection(str(path))) as connection, connection:
        for number in range(_DAYS * _A_DAY):
            at = _NOW - timedelta(days=_DAYS * number / (_DAYS * _A_DAY), minutes=1)
            connection.execute(
                "INSERT INTO message (communication, at, took, operation, status, request, form,"
                " body) VALUES (?, ?, 0, 'x', 200, 0, 0, ?)",
                (f"c{number}", micros(at), os.urandom(_BODY_BYTES)),
            )
    spool = path.with_suffix(".spool")
    spool.mkdir()
    (spool / "body").write_bytes(bytes(2**20))
    os.utime(spool / "body", (_NOW.timestamp(), _NOW.timestamp()))
    return Settings(store=StoreSettings(path=path), retention=RetentionSettings(messages_days=30))


async def test_each_kind_of_data_has_its_size_and_its_rate(tmp_path: Path) -> None:
    settings = await a_store(tmp_path)
    found = forecast(settings, now=_NOW)
    kinds = {each.name: each for each in found.kinds}
    messages = kinds["messages"]
    assert messages.rows == _DAYS * _A_DAY
    assert messages.bytes >= _DAYS * _A_DAY * _BODY_BYTES
    assert messages.bytes_per_day == pytest.approx(messages.bytes / _DAYS)
    assert messages.kept_bytes == pytest.approx(messages.bytes * 30 / _DAYS, rel=0.01)
    assert messages.settles_at_bytes == pytest.approx(30 * messages.bytes_per_day, abs=1)
    assert (kinds["audit"].rows, kinds["audit"].days) == (1, None)
    assert (kinds["bodies"].bytes, kinds["bodies"].rows) == (2**20, 1)
    assert found.observed_days == 7.0
    path = settings.store.path
    in_files = sum(_bytes_of(each) for each in (path, path_beside(path)))
    assert found.bytes + found.unused_bytes == in_files + 2**20


def _bytes_of(path: Path) -> int:
    with closing(apsw.Connection(str(path))) as connection:
        return int(connection.pragma("page_count")) * int(connection.pragma("page_size"))


async def test_other_days_may_be_asked_for(tmp_path: Path) -> None:
    settings = await a_store(tmp_path)
    for days in (7.0, 50.0):
        found = forecast(settings, now=_NOW, days=days)
        (messages,) = [each for each in found.kinds if each.name == "messages"]
        assert messages.days == days
        assert messages.kept_bytes == pytest.approx(messages.bytes * days / _DAYS, rel=0.01)
    (messages,) = [
        each for each in forecast(settings, now=_NOW, days=0).kinds if each.name == "messages"
    ]
    assert (messages.days, messages.settles_at_bytes) == (None, None)
    assert messages.kept_bytes == messages.bytes


async def test_a_store_of_today_says_nothing_of_a_day(tmp_path: Path) -> None:
    settings = await a_store(tmp_path)
    found = forecast(settings, now=_NOW - timedelta(days=_DAYS) + timedelta(minutes=5))
    assert (found.observed_days, found.bytes_per_day) == (0.0, 0.0)


def a_kind(
    *, bytes: int, a_day: float = 0.0, days: float | None = None, settles_at: int | None = None
) -> KindForecast:
    return KindForecast(
        name="x",
        bytes=bytes,
        rows=0,
        bytes_per_day=a_day,
        days=days,
        kept_bytes=0,
        settles_at_bytes=settles_at,
    )


def test_the_disk_is_full_when_what_comes_and_stays_has_filled_it() -> None:
    grows = a_kind(bytes=500, a_day=10)
    assert _full_at([grows], 1_000, _NOW) == _NOW + timedelta(days=100)
    settles = a_kind(bytes=500, a_day=10, days=60, settles_at=600)
    assert settles.after(5) == 550
    assert settles.after(50) == 600
    assert _full_at([settles], 1_000, _NOW) is None
    assert _full_at([grows, settles], 1_000, _NOW) == _NOW + timedelta(days=90)
    assert _full_at([a_kind(bytes=500)], 1, _NOW) is None
    shrinks_not = a_kind(bytes=900, a_day=10, days=6, settles_at=60)
    assert shrinks_not.after(100) == 900


def test_tables_of_every_kind_are_in_the_schema_and_in_one_kind_alone() -> None:
    schema = "".join(text for folder in (SCHEMA, SCHEMA_MEASURED) for _, text in scripts(folder))
    tables = [table for kind in KINDS for table in kind.tables.split()]
    assert len(tables) == len(set(tables))
    assert [table for table in tables if f"CREATE TABLE {table} (" not in schema] == []


def test_without_a_store_there_is_no_forecast(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        forecast(Settings(store=StoreSettings(path=tmp_path / "no.db")), now=_NOW)


async def test_the_command_line_prints_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = await a_store(tmp_path)
    monkeypatch.setenv("OPENWAY_STORE_PATH", str(settings.store.path))
    openway = Terminal(capsys, monkeypatch, "")
    monkeypatch.delenv("OPENWAY_API_URL")
    done = openway("retention", "forecast", "--days", "30")
    assert done.code == Exit.OK
    assert "messages" in done.out
    assert "free:" in done.err
    told = openway("retention", "forecast", "--json").json
    assert {each["name"] for each in told["items"]} >= {"commands", "audit", "measurements"}  # type: ignore[attr-defined]

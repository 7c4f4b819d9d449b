"""What people look at is complete: who asks waits for what is going to be written."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

from adapter.engine.clock import SystemClock
from adapter.engine.commands.message_log import MessageLog
from adapter.model.ids import CommunicationId
from adapter.store.commands.commands import SqliteStore
from tests.builders import a_command, a_communication, a_submission

AT: Final = datetime(2026, 3, 1, tzinfo=UTC)


async def test_who_asks_sees_what_was_to_be_written_along(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "gateway.db", now=lambda: AT)
    await store.open()
    made = a_command(communications=(a_communication(ordinal=1),))
    await store.submit([a_submission(command=made)])
    log = MessageLog(store, SystemClock())
    before = store.database.commits
    log.add(made.communications[0].id, "DataService.X", b"<asked/>", 200, b"<answered/>")
    assert store.database.commits == before
    told = [(each.outbound, each.body) for each in await store.messages(made.id)]
    assert told == [(True, b"<asked/>"), (False, b"<answered/>")]
    await store.close()


async def test_a_call_is_not_told_of_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "gateway.db", now=lambda: AT)
    MessageLog(store, SystemClock()).add(CommunicationId("01m-1"), "X", b"<a/>", 200, b"<b/>")


async def test_at_debug_each_message_is_a_line_of_the_log_without_its_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(tmp_path / "gateway.db", now=lambda: AT)
    await store.open()
    log = MessageLog(store, SystemClock())
    asked = b"<a>http://here/openway/status/01m-1/0123456789abcdef</a>"
    with caplog.at_level(logging.INFO):
        log.add(CommunicationId("01m-1"), "DataService.X", asked, 200, b"<answered/>")
    assert not caplog.records
    with caplog.at_level(logging.DEBUG, logger="adapter"):
        log.add(CommunicationId("01m-1"), "DataService.X", asked, 200, b"<answered/>")
    told = [(each.message, vars(each)["body"], vars(each)["status"]) for each in caplog.records]
    masked = "<a>http://here/openway/status/01m-1/***</a>"
    assert told == [("message", masked, 0), ("message", "<answered/>", 200)]
    await store.close()

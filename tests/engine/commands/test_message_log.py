"""What people look at is complete: who asks waits for the writing that is already under way."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter.engine.clock import SystemClock
from adapter.engine.commands.message_log import MessageLog
from adapter.engine.commands.ports import Logged
from adapter.model.ids import CommunicationId
from adapter.store.commands.commands import SqliteStore


class SlowDisk(SqliteStore):
    """Writes once it is let."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
        self.reached, self.let = asyncio.Event(), asyncio.Event()
        self.written = 0

    async def log_messages(self, batch: Sequence[Logged]) -> None:
        self.reached.set()
        await self.let.wait()
        self.written += len(batch)
        await super().log_messages(batch)


async def test_who_asks_sees_what_is_being_written(tmp_path: Path) -> None:
    store = SlowDisk(tmp_path / "gateway.db")
    await store.open()
    log = MessageLog(store, SystemClock())
    log.add(CommunicationId("01m-1"), "DataService.X", b"<asked/>", 200, b"<answered/>")
    background = asyncio.create_task(log.once())
    await store.reached.wait()
    asked = asyncio.create_task(log.once())
    done, _ = await asyncio.wait({asked}, timeout=0)
    assert not done
    store.let.set()
    await asked
    assert store.written == 2
    await background
    await store.close()


async def test_at_debug_each_message_is_a_line_of_the_log_without_its_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(tmp_path / "gateway.db", now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
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

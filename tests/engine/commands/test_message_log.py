"""What people look at is complete: who asks waits for the writing that is already under way."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

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

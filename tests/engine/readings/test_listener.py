"""Large bodies over HTTP: on disk before the answer, and nothing left of what was refused."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from adapter.demo.demo import DemoSite
from adapter.engine.commands.ports import InboxState
from adapter.engine.readings.ports import StoredValue
from adapter.engine.readings.spool import pieces_of
from tests.engine.commands.quick_site import world
from tests.wire.payloads import data_arrived, read_data

HEADERS = {"Content-Type": "text/xml; charset=utf-8"}
DAY = (datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 3, tzinfo=UTC))


@asynccontextmanager
async def posting(made: DemoSite) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=HEADERS) as http:
        yield http


async def post(http: aiohttp.ClientSession, made: DemoSite, body: bytes) -> int:
    async with http.post(f"{made.app.listener.url}/openway/data", data=body) as answer:
        await answer.read()
        return answer.status


def a_large_body(made: DemoSite, meters: int = 30) -> bytes:
    return data_arrived(*(read_data(made.endpoint(n), range(96)) for n in range(meters)))


async def values(made: DemoSite, number: int) -> list[StoredValue]:
    data = made.app.core.taking.data
    return list(await data.values_between(*DAY, endpoint=made.endpoint(number)))


async def until_taken(made: DemoSite) -> None:
    """Look until no message waits to be taken in."""
    async with asyncio.timeout(20):
        while await waiting(made):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def waiting(made: DemoSite) -> int:
    found = [
        await made.app.gateway.inbox.list(state=state)
        for state in (InboxState.NEW, InboxState.LOADING)
    ]
    return sum(len(rows) for rows in found)


async def test_a_large_body_is_on_disk_when_it_is_answered_and_becomes_measurements(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as made, posting(made) as http:
        body = a_large_body(made)
        assert len(body) > made.app.listener.settings.bodies.whole_bytes
        assert await post(http, made, body) == 200
        (row,) = await made.app.gateway.inbox.list()
        assert row.raw == b""
        (file,) = (tmp_path / "gateway.spool").glob("*.gz")
        assert file.name == row.spool
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"".join(pieces_of(file)) == body
        assert file.stat().st_size < len(body) / 5
        await until_taken(made)
        assert len(await values(made, 29)) == 96


async def test_what_is_refused_leaves_no_file(tmp_path: Path) -> None:
    async with world(tmp_path) as made, posting(made) as http:
        body = a_large_body(made)
        assert await post(http, made, body[:-20]) in (400, 500)
        assert await post(http, made, body.replace(b"DataArrived", b"StatusChangd")) != 200
        assert list((tmp_path / "gateway.spool").glob("*.gz")) == []
        rows = await made.app.gateway.inbox.list(state=InboxState.QUARANTINED)
        assert len(rows) == 2
        assert all("bytes kept" in row.reason for row in rows)
        assert await post(http, made, body) == 200


async def test_a_small_body_stays_in_its_row(tmp_path: Path) -> None:
    async with world(tmp_path) as made, posting(made) as http:
        body = a_large_body(made, meters=1)
        assert await post(http, made, body) == 200
        await until_taken(made)
        (row,) = await made.app.gateway.inbox.list()
        assert (row.raw, row.spool, row.state) == (body, "", InboxState.STORED)
        assert len(await values(made, 0)) == 96

"""Live pages: one render for all who look, and only what changed is sent."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import aiohttp

from adapter.server.settings import ConsoleSettings, RestSettings
from adapter.web.console.live import Live
from tests.web.both_servers import KEYS
from tests.web.console.visitor import a_console, a_visitor

HOUR = RestSettings(keys=KEYS, console=ConsoleSettings(refresh_s=3_600))


async def _event(response: aiohttp.ClientResponse) -> str:
    lines: list[str] = []
    while (line := (await response.content.readline()).decode().strip()) or not lines:
        lines.append(line)
    return "\n".join(lines)


async def test_twenty_viewers_of_a_page_cost_one_render() -> None:
    async with AsyncExitStack() as stack:
        rig, visitor = await stack.enter_async_context(a_console("reader", rest=HOUR))
        url = f"{rig.rest.url}/console/live/waits"
        for _ in range(20):
            response = await stack.enter_async_context(visitor.http.get(url))
            assert response.status == 200
            assert (await _event(response)).startswith("event: live_list")
        assert rig.rest.console.live.rendered == 1


async def test_only_what_changed_is_sent() -> None:
    parts: dict[str, str] = {"live_a": "1", "live_b": "1"}
    rendered = asyncio.Event()

    async def render() -> Mapping[str, str]:
        rendered.set()
        return dict(parts)

    live = Live(0.001)
    stream = live.watch("/x", render)
    assert await anext(stream) == {"live_a": "1", "live_b": "1", "trouble": ""}
    parts["live_b"] = "2"
    assert await anext(stream) == {"live_b": "2"}
    await stream.aclose()
    before = live.rendered
    rendered.clear()
    for _ in range(20):
        await asyncio.sleep(0)
    assert (rendered.is_set(), live.rendered) == (False, before), "nobody looks any more"


async def test_a_page_that_cannot_be_rendered_says_so_and_recovers() -> None:
    failing = [True]

    async def render() -> Mapping[str, str]:
        if failing[0]:
            raise RuntimeError("secret of the inside")
        return {"live_a": "1"}

    live = Live(0.001)
    stream = live.watch("/x", render)
    first = await anext(stream)
    assert "secret" not in first["trouble"]
    assert first["trouble"]
    failing[0] = False
    assert await anext(stream) == {"live_a": "1", "trouble": ""}
    await stream.aclose()


async def test_a_stream_ends_with_the_key_and_with_the_server() -> None:
    async with a_console("reader", rest=HOUR) as (rig, visitor), a_visitor(rig, "admin") as other:
        url = f"{rig.rest.url}/console/live/waits"
        async with visitor.http.get(url) as ending, other.http.get(url) as staying:
            await _event(ending)
            await _event(staying)
            rig.rest.api.keys.use([key for key in KEYS if key.name != "reader"])
            await ending.content.read()
            stopping = asyncio.create_task(rig.rest.stop())
            await staying.content.read()
            await stopping

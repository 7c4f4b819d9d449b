"""Live pages: one render for all who look, and only what changed is sent."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack

import aiohttp

from adapter.server.settings import ConsoleSettings, RestSettings
from adapter.web.console.live import Live
from tests.web.both_servers import KEYS, TOKENS
from tests.web.console.visitor import Visitor, a_console, a_visitor

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


async def test_who_has_gone_is_noticed_where_nothing_changes() -> None:
    async def render() -> Mapping[str, str]:
        return {"live_a": "1"}

    live = Live(3_600, turn_s=0.001)
    stream = live.watch("/x", render)
    assert "live_a" in await anext(stream)
    assert await anext(stream) == {}, "the caller may look whether anybody is there"
    await stream.aclose()
    assert live.rendered == 1


async def test_a_session_that_is_over_is_no_guess_at_a_key() -> None:
    async with a_console(None, rest=HOUR) as (rig, visitor):
        shown = [await visitor.open("/live/waits", follow=False) for _ in range(40)]
        assert {each.status for each in shown} == {401}
        assert "too_many" not in str(rig.rest.counts)
        assert (await visitor.log_in(TOKENS["reader"])).status == 200


async def test_a_stream_is_not_kept_back_by_proxies() -> None:
    async with (
        a_console("reader", rest=HOUR) as (rig, visitor),
        visitor.http.get(f"{rig.rest.url}/console/live/waits") as response,
    ):
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Content-Type"] == "text/event-stream"


async def test_live_pages_of_one_key_leave_half_of_the_places_to_others() -> None:
    settings = RestSettings(keys=KEYS, waiting_at_once=6, console=ConsoleSettings(refresh_s=3_600))
    async with AsyncExitStack() as stack:
        rig, many = await stack.enter_async_context(a_console("reader", rest=settings))
        other = await stack.enter_async_context(a_visitor(rig, "operator"))
        rig.rest.console.live = Live(3_600, turn_s=0.01)  # who has gone is noticed at once
        url = f"{rig.rest.url}/console/live/waits"

        async def look(visitor: Visitor) -> aiohttp.ClientResponse:
            return await stack.enter_async_context(visitor.http.get(url))

        opened = [await look(many) for _ in range(3)]
        assert [each.status for each in opened] == [200] * 3
        refused = await look(many)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
        assert "3 of the 6 places" in await refused.text()
        polled = await rig.ask("GET", "/events?after=newest&wait=30", by="reader")
        assert (polled.status, polled["code"]) == (429, "too_many_waiting"), "REST has no others"
        theirs = [await look(other) for _ in range(3)]
        assert [each.status for each in theirs] == [200] * 3
        third = await rig.ask("GET", "/events?after=newest&wait=30", by="admin")
        assert "all 6 places" in third["detail"]
        for response in opened:
            response.close()
        for _ in range(1_000):
            again = await look(many)
            if again.status != 429:
                break
            again.close()
        assert again.status == 200, "a place that was left is free"

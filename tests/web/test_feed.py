"""The feed over REST: one order, a cursor, a long poll, lines, and what a cursor may not be."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import msgspec

from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import Change
from adapter.model.ids import CommandId
from adapter.store.transaction import Transaction
from adapter.web.api.feed import EventPageOut
from tests.builders import a_publication
from tests.web.both_servers import NOON, TOKENS, Rig, Told, a_rig


async def put(rig: Rig, *names: str, **changes: Any) -> None:
    """Store events, each in a transaction of its own."""
    for name in names:
        await rig.store.save([Change(publications=(a_publication(name, **changes),))])


async def events(rig: Rig, query: str = "", **headers: str) -> Told:
    told = await rig.ask("GET", f"/events{query}", by="reader", headers=headers)
    assert told.status == 200, told
    msgspec.convert(told.body, EventPageOut)
    return told


def ids(told: Told) -> list[str]:
    return [item["id"] for item in told["items"]]


async def test_events_come_once_each_in_one_order_page_by_page() -> None:
    async with a_rig() as rig:
        names = [f"event-{number}" for number in range(7)]
        await put(rig, *names)
        await put(rig, *names)
        seen: list[str] = []
        after, more = "0", True
        while more:
            told = await events(rig, f"?limit=3&after={after}")
            seen += ids(told)
            after, more = told["next"], told["more"]
            assert told.headers["Link"] == (f'</api/v1/events?limit=3&after={after}>; rel="next"')
        assert seen == names
        assert ids(await events(rig, f"?after={after}")) == []
        whole = await events(rig)
        assert [item["seq"] for item in whole["items"]] == sorted(
            item["seq"] for item in whole["items"]
        )
        assert whole["items"][0]["at"] == "2026-03-02T12:00:00Z"


async def test_only_what_is_wanted_comes_and_the_cursor_passes_the_rest() -> None:
    async with a_rig() as rig:
        await put(rig, "a", type="openway.order.completed", subject="order-1")
        await put(rig, "b", type="openway.order.reply.success", subject="order-1")
        await put(rig, "c", type="openway.device.event", subject="M1")
        assert ids(await events(rig, "?types=openway.order.*")) == ["a", "b"]
        assert ids(await events(rig, "?types=openway.order.completed,openway.device.event")) == [
            "a",
            "c",
        ]
        told = await events(rig, "?subject=order-1&types=openway.order.reply.*")
        assert ids(told) == ["b"]
        assert told["next"] == (await events(rig, "?after=newest"))["next"]
        bad = await rig.ask("GET", "/events?types=open%20way", by="reader")
        assert (bad.status, bad["field"]) == (422, "types")
        for given, rule in (
            ("openway.comand.completed", "did you mean openway.command.completed?"),
            ("openway.nothing.*", "none begins with openway.nothing."),
            ("", "names of event types"),
        ):
            bad = await rig.ask("GET", f"/events?types={given}", by="reader")
            assert (bad.status, bad["field"]) == (422, "types")
            assert rule in bad["rule"]


async def test_a_command_wakes_who_waits_for_its_event() -> None:
    async with a_rig() as rig:
        after = (await events(rig))["next"]
        waiting = asyncio.create_task(
            events(rig, f"?after={after}&wait=50&types=openway.command.*")
        )
        asked = {"kind": CommandKind.LOAD_CHECK.value, "devices": ["M1"]}
        made = await rig.ask("POST", "/commands", asked)
        assert ids(await asyncio.wait_for(waiting, 20)) == [f"{made['id']}:received"]


async def test_who_waits_in_vain_gets_a_cursor_all_the_same() -> None:
    async with a_rig() as rig:
        await put(rig, "a")
        told = await events(rig, "?after=newest&wait=0.01")
        assert (ids(told), told["more"]) == ([], False)
        await put(rig, "b")
        assert ids(await events(rig, f"?after={told['next']}")) == ["b"]


async def test_events_come_as_lines_where_accept_says_so() -> None:
    async with a_rig() as rig:
        await put(rig, "a", "b")
        url = f"{rig.rest.url}/api/v1/events"
        sent = {"Authorization": f"Bearer {'r' * 40}", "Accept": "application/x-ndjson"}
        async with rig.http.get(url, headers=sent) as response:
            lines = [json.loads(line) for line in (await response.text()).splitlines()]
            assert response.content_type == "application/x-ndjson"
        assert lines == (await events(rig))["items"]


async def test_a_cursor_that_was_never_given_is_refused() -> None:
    async with a_rig() as rig:
        await put(rig, "a")
        ahead = await rig.ask("GET", "/events?after=99", by="reader")
        assert (ahead.status, ahead["code"]) == (409, "conflict")
        assert "older copy" in ahead["detail"]
        for bad in ("-1", "1-x", "1.5", "x", "1" * 19, "%D9%A1"):
            told = await rig.ask("GET", f"/events?after={bad}", by="reader")
            assert (told.status, told["field"]) == (422, "after")
        assert (await rig.ask("GET", "/events", by=None)).status == 401


async def test_a_cursor_of_a_store_that_was_restored_is_refused_once_others_have_its_number() -> (
    None
):
    async with a_rig() as rig:
        await put(rig, "a", "b")
        after = (await events(rig))["next"]
        assert ids(await events(rig, f"?after={after}")) == []

        def older(tx: Transaction) -> None:
            tx.connection.execute("UPDATE publication SET id = 'other' WHERE id = 'b'")

        await rig.store.database.write(older)
        told = await rig.ask("GET", f"/events?after={after}", by="reader")
        assert (told.status, told["code"]) == (409, "conflict")


async def test_a_cursor_whose_events_were_removed_says_so() -> None:
    async with a_rig() as rig:
        await put(rig, "a", "b", "c", "d")

        def remove(tx: Transaction) -> None:
            tx.connection.execute("DELETE FROM publication WHERE id IN ('a', 'b', 'c')")

        await rig.store.database.write(remove)
        first = (await events(rig))["items"][0]
        assert first["id"] == "d"
        gone = await rig.ask("GET", f"/events?after={first['seq'] - 2}", by="reader")
        assert (gone.status, gone["code"]) == (410, "not_kept")
        assert ids(await events(rig, f"?after={first['seq'] - 1}")) == ["d"]


async def test_a_damaged_event_is_named_and_keeps_no_other_out() -> None:
    async with a_rig() as rig:
        await put(rig, "a", "b", "c")

        def damage(tx: Transaction) -> None:
            tx.connection.execute("UPDATE publication SET form = 9 WHERE id = 'b'")

        await rig.store.database.write(damage)
        told = await events(rig)
        assert ids(told) == ["a", "c"]
        assert told["unreadable"] == [told["items"][0]["seq"] + 1]


async def test_the_end_of_a_command_tells_how_its_endpoint_came_out() -> None:
    async with a_rig() as rig:
        expires = (NOON + timedelta(minutes=1)).isoformat()
        asked = {"kind": CommandKind.LOAD_CHECK.value, "devices": ["M1"], "expires_at": expires}
        made = await rig.ask("POST", "/commands", asked)
        await rig.clock.turn(NOON + timedelta(minutes=2))
        await rig.gateway.drain()
        command = await rig.gateway.commands.get(CommandId(made["id"]))
        (end,) = (await events(rig, f"?types=openway.command.{command.activity.state}"))["items"]
        assert end["data"]["outcomes_url"] == f"/api/v1/commands/{made['id']}/outcomes"
        assert end["data"]["outcomes"] == [
            {
                "endpoint": command.targets[0].endpoint,
                "result": "failed",
                "reason": command.activity.reason,
                "switch_state": None,
            }
        ]


async def streamed(rig: Rig, count: int, query: str = "", **headers: str) -> list[dict[str, str]]:
    """The first so many messages of a stream, by field."""
    sent = {"Authorization": f"Bearer {TOKENS['reader']}", "Accept": "text/event-stream", **headers}
    found: list[dict[str, str]] = []
    async with rig.http.get(f"{rig.rest.url}/api/v1/events{query}", headers=sent) as response:
        assert response.content_type == "text/event-stream"
        message: dict[str, str] = {}
        async for line in response.content:
            name, colon, value = line.decode().rstrip("\r\n").partition(": ")
            if colon:
                message[name] = value
            elif message:
                found.append(message)
                message = {}
                if len(found) == count:
                    break
    return found


async def test_a_stream_has_the_same_events_and_goes_on_behind_the_last_id() -> None:
    async with a_rig() as rig:
        await put(rig, "a", "b", "c")
        first = await streamed(rig, 2)
        assert [json.loads(each["data"])["id"] for each in first] == ["a", "b"]
        assert [each["event"] for each in first] == ["command.received"] * 2
        again = asyncio.create_task(
            streamed(rig, 2, "?after=0", **{"Last-Event-ID": first[-1]["id"]})
        )
        await put(rig, "d")
        rest = await asyncio.wait_for(again, 20)
        shown = (await events(rig))["items"]
        assert [json.loads(each["data"]) for each in [*first, *rest]] == shown
        places = [each["id"].partition("-")[0] for each in [*first, *rest]]
        assert places == [str(item["seq"]) for item in shown]


async def test_a_stream_that_cannot_begin_is_a_problem() -> None:
    async with a_rig() as rig:
        accept = {"Accept": "text/event-stream"}
        for headers, status in (
            ({"Last-Event-ID": "x"}, 422),
            ({"Last-Event-ID": "99"}, 409),
        ):
            told = await rig.ask("GET", "/events", by="reader", headers={**accept, **headers})
            assert told.status == status
        assert (await rig.ask("GET", "/events", by=None, headers=accept)).status == 401


async def test_who_waits_is_sent_away_when_the_gateway_stops() -> None:
    async with a_rig() as rig:
        stream = asyncio.create_task(streamed(rig, 1))
        polled = asyncio.create_task(events(rig, "?wait=50"))
        while rig.rest.counts["requests"] < 2:
            await rig.gateway.feed.bounds()
        await rig.gateway.feed.bounds()
        await asyncio.wait_for(rig.rest.stop(), 30)
        assert await stream == []
        assert ids(await polled) == []

"""What the client sends, gives and raises."""

import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import get_args, get_type_hints

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

import adapter.client
from adapter.client import (
    BadRequest,
    BulkIn,
    CommandIn,
    CommandKind,
    GatewayClient,
    KeyRefused,
    NoSuchThing,
    OrderIn,
    OrderKind,
    State,
    StateForbids,
    TryLater,
    Unreachable,
)
from adapter.engine.commands.ports import Filter
from adapter.model.values import replace
from adapter.server.settings import RestSettings
from adapter.web.api.routes import ROUTES
from tests.client.breaking_line import BreakingLine, a_breaking_line
from tests.web.both_servers import KEYS, NOON, TOKENS, Rig, a_rig

CHECK = CommandIn(kind=CommandKind.LOAD_CHECK, devices=["M1"])
CUT = OrderIn(
    kind=OrderKind.CUT,
    service_point="SP-M1",
    reference="case-1",
    effective_at=NOON + timedelta(days=1),
)
OF_ITS_OWN = {"wait_command", "wait_order", "event_pages", "events"}


@asynccontextmanager
async def a_client(*, by: str = "switcher") -> AsyncIterator[tuple[Rig, GatewayClient]]:
    async with a_rig() as rig, GatewayClient(rig.rest.url, TOKENS[by]) as client:
        yield rig, client


@asynccontextmanager
async def behind_a_line() -> AsyncIterator[tuple[Rig, BreakingLine, GatewayClient]]:
    async with (
        a_rig() as rig,
        a_breaking_line(rig.rest.url) as line,
        GatewayClient(line.url, TOKENS["switcher"], patience_s=20.0) as client,
    ):
        yield rig, line, client


def test_a_method_bears_the_name_of_its_operation_and_gives_what_that_gives() -> None:
    gives = {route.call.__name__: route.gives for route in ROUTES}
    public = {
        name: method
        for name, method in inspect.getmembers(GatewayClient, inspect.isfunction)
        if not name.startswith("_") and name not in OF_ITS_OWN
    }
    for name, method in public.items():
        given = get_type_hints(method)["return"]
        if inspect.iscoroutinefunction(method):
            assert given is gives[name], name
        else:
            assert get_args(get_type_hints(gives[name])["items"]) == get_args(given), name


def test_the_names_that_type_checkers_see_are_there() -> None:
    assert sorted(adapter.client.__all__) == adapter.client.__all__ == dir(adapter.client)
    for name in adapter.client.__all__:
        assert getattr(adapter.client, name).__name__ == name


async def test_a_command_is_submitted_looked_at_listed_waited_for_and_cancelled() -> None:
    async with a_client() as (_, client):
        keyed = replace(CHECK, idempotency_key="work-1", effective_at=NOON + timedelta(days=1))
        made = await client.submit_command(keyed)
        assert (await client.submit_command(keyed)).id == made.id
        assert await client.get_command(made.id) == made
        assert (made.requester, made.final) == ("switcher", False)
        assert not (await client.wait_command(made.id, timeout_s=0.01)).final
        gone = await client.cancel_command(made.id, reason="not wanted")
        assert gone.state == "canceled"
        assert (await client.wait_command(made.id, timeout_s=30)).final
        (outcome,) = (await client.get_command_outcomes(made.id)).items
        assert (outcome.result, outcome.reason) == ("failed", gone.reason)
        listed = [each.id async for each in client.list_commands(state=State.CANCELED)]
        assert listed == [made.id]
        assert [each async for each in client.list_commands(device="M2", open=True)] == []


async def test_many_commands_are_submitted_as_one() -> None:
    async with a_client() as (_, client):
        header = BulkIn(kind=CommandKind.LOAD_CHECK, reference="storm")
        made = await client.submit_bulk(header, [{"device": f"M{n}"} for n in (1, 2, 3)])
        assert (made.rows, made.accepted, made.refused, made.open) == (3, 3, 0, 3)
        assert await client.get_bulk(made.id) == made
        rows = [each async for each in client.list_bulk_rows(made.id)]
        assert [(each.line, each.device) for each in rows] == [(2, "M1"), (3, "M2"), (4, "M3")]
        with pytest.raises(BadRequest) as refused:
            await client.submit_bulk(header, [{"device": "M1"}, {"device": "nobody"}])
        (fault,) = refused.value.faults
        assert (fault["line"], fault["field"]) == (3, "devices")


async def test_a_list_goes_on_over_its_pages() -> None:
    async with a_client() as (_, client):
        made = [(await client.submit_command(CHECK)).id for _ in range(60)]
        found = [each.id async for each in client.list_commands(kind=CHECK.kind)]
        assert found == made[::-1]
        assert {each.device.id async for each in client.list_devices()} == {"M1", "M2", "M3", "M9"}
        assert (await client.get_device("M1")).device.id == "M1"


async def test_an_order_is_submitted_looked_at_listed_waited_for_and_cancelled() -> None:
    async with a_client() as (rig, client):
        made = await client.submit_order(CUT)
        assert (await client.submit_order(CUT)).id == made.id
        await rig.gateway.orders.drain()
        shown = await client.wait_order(made.id, timeout_s=0.01)
        assert (shown.order.state, shown.order.reference) == ("waiting", "case-1")
        asked = await client.cancel_order(made.id, reason="paid")
        assert asked.purpose == "cancel"
        await rig.gateway.orders.drain()
        assert (await client.wait_order(made.id, timeout_s=30)).order.final
        listed = [each.id async for each in client.list_orders(kind=OrderKind.CUT, open=False)]
        assert listed == [made.id]


async def test_what_waits_for_people_is_listed_and_claimed() -> None:
    async with a_client() as (rig, client):
        nowhere = await client.submit_order(replace(CUT, service_point="nowhere"))
        await rig.gateway.orders.drain()
        (entry,) = (await client.list_todo()).items
        assert (entry.subject.value, entry.count) == ("order", 1)
        assert (await client.claim_todo(entry.id)).entry.claimed_by == "switcher"
        assert [each.id for each in (await client.get_todo(entry.id)).items] == [nowhere.id]
        assert (await client.unclaim_todo(entry.id)).entry.claimed_by is None


async def test_a_refusal_is_of_the_class_that_says_what_to_do_and_names_field_and_rule() -> None:
    async with a_client() as (rig, client):
        with pytest.raises(BadRequest) as bad:
            await client.submit_command(replace(CHECK, devices=["nobody"]))
        assert (bad.value.status, bad.value.code) == (422, "unknown_device")
        assert bad.value.field == "devices"
        assert bad.value.rule is not None
        assert bad.value.rule in str(bad.value)
        with pytest.raises(NoSuchThing):
            await client.get_command("nothing")
        await client.submit_command(replace(CHECK, idempotency_key="k"))
        with pytest.raises(StateForbids):
            await client.submit_command(replace(CHECK, devices=["M2"], idempotency_key="k"))
        async with GatewayClient(rig.rest.url, "x" * 40) as stranger:
            with pytest.raises(KeyRefused):
                await stranger.list_todo()


async def test_too_many_at_once_is_waited_out_only_for_so_long() -> None:
    rest = RestSettings(keys=KEYS, waiting_at_once=0)
    async with a_rig(rest=rest) as rig:
        made = await rig.gateway.commands.submit(
            CHECK.request(requester="x", key="k", past_unclear_order=None)
        )
        async with GatewayClient(rig.rest.url, TOKENS["reader"], patience_s=0.0) as client:
            with pytest.raises(TryLater) as told:
                await client.wait_command(made.id, timeout_s=5)
            assert (told.value.code, told.value.after_s) == ("too_many_waiting", 5.0)


async def test_a_submission_whose_answer_was_lost_is_sent_again_and_is_one_command() -> None:
    async with behind_a_line() as (rig, line, client):
        line.swallow = 2
        made = await client.submit_command(CHECK)
        assert line.requests == 3
        assert (await rig.gateway.commands.list(Filter())).ids == [made.id]


async def test_a_cancel_whose_answer_was_lost_is_not_sent_again() -> None:
    async with behind_a_line() as (_, line, client):
        made = await client.submit_command(CHECK)
        line.swallow, asked = 1, line.requests
        with pytest.raises(Unreachable) as told:
            await client.cancel_command(made.id)
        assert told.value.sent
        assert line.requests == asked + 1


async def test_that_nothing_was_accepted_is_believed_of_the_gateway_alone() -> None:
    answers = [(503, b"busy"), (503, b'{"code": "store_failed"}'), (200, b"{}")]

    async def answer(request: web.BaseRequest) -> web.Response:
        status, body = answers.pop(0)
        return web.Response(status=status, body=body)

    async with (
        RawTestServer(answer) as between,
        GatewayClient(str(between.make_url("")), "x" * 40) as client,
    ):
        with pytest.raises(TryLater):
            await client.cancel_command("c")
        with pytest.raises(Unreachable):
            await client.cancel_command("c")
    assert answers == []


async def test_what_has_not_left_is_sent_again_until_patience_ends() -> None:
    async with GatewayClient("http://127.0.0.1:1", "x" * 40, patience_s=0.2) as client:
        with pytest.raises(Unreachable) as told:
            await client.cancel_command("c")
        assert not told.value.sent


async def test_the_feed_goes_on_behind_a_break_nothing_lost_nothing_doubled() -> None:
    async with behind_a_line() as (_, line, client):
        seen: list[str] = []
        made = [(await client.submit_command(CHECK)).id]
        async for page in client.event_pages(types=["openway.command.*"], limit=3):
            seen += [each.subject for each in page.items]
            if len(seen) == 9:
                break
            if len(made) < 9:
                made += [(await client.submit_command(CHECK)).id for _ in range(4)]
                line.swallow = 2
                line.cut()
        assert seen == made


async def test_a_later_run_goes_on_behind_the_page_that_was_kept() -> None:
    async with a_client() as (_, client):
        first = client.event_pages("newest")
        start = (await anext(first)).next
        made = [(await client.submit_command(CHECK)).id for _ in range(2)]
        subjects = []
        async for event in client.events(start, types=["openway.command.*"]):
            subjects.append(event.subject)
            if len(subjects) == 2:
                break
        assert subjects == made

"""Receivers of events over REST: how far each is, what it has not taken, and what people do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from adapter.commands.flows import CommandKind
from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import Change
from adapter.model.secret import Secret
from adapter.webhooks.sender import WebhookReceiver
from adapter.webhooks.settings import CallbackReceiverSettings
from tests.builders import a_publication
from tests.engine.feed.receiving import SECRET, ReceivingSystem, a_receiver, a_system
from tests.web.both_servers import NOON, Rig, a_rig


@asynccontextmanager
async def with_receivers() -> AsyncIterator[tuple[Rig, ReceivingSystem]]:
    async with a_system() as system:
        clock = HandClock(NOON)
        back = CallbackReceiverSettings(
            name="back", url=f"{system.url}/back", keys=(Secret(SECRET),), private=True
        )
        settings = (a_receiver(system.url, types=("openway.order.*",)), back)
        async with a_rig(receivers=[WebhookReceiver(each, clock) for each in settings]) as rig:
            yield rig, system


async def work(rig: Rig) -> None:
    for once in rig.gateway.feed.deliveries.loops.values():
        while await once():
            pass


async def test_what_is_not_taken_is_listed_and_posted_again_when_people_say_so() -> None:
    async with with_receivers() as (rig, system):
        system.answer = lambda posted: 500
        made = a_publication("a", type="openway.order.completed")
        await rig.store.save([Change(publications=(made,))])
        await work(rig)
        (_, cis) = (await rig.ask("GET", "/events/receivers", by="reader"))["items"]
        assert (cis["name"], cis["waiting"], cis["stopped"]) == ("cis", 1, "")
        assert cis["oldest"] == "2026-03-02T12:00:00Z"
        told = await rig.ask("GET", "/events/receivers/cis/deliveries", by="reader")
        (waits,) = told["items"]
        assert (waits["attempts"], waits["error"]) == (1, "was answered 500")
        assert waits["due_at"] > waits["first_at"]
        dead = await rig.ask("GET", "/events/receivers/cis/deliveries?dead=true", by="reader")
        assert dead["items"] == []
        system.answer = lambda posted: 200
        refused = await rig.ask("POST", "/events/receivers/cis/retry", {}, by="operator")
        assert refused.status == 403
        again = await rig.ask("POST", "/events/receivers/cis/retry", {}, by="admin")
        assert again.body == {"events": 1}
        await work(rig)
        assert system.ids == ["a"]
        since = {"since": NOON.isoformat()}
        back = await rig.ask("POST", "/events/receivers/cis/replay", since, by="admin")
        assert back["events"] >= 1
        await work(rig)
        assert [each["id"] for each in system.taken] == ["a", "a"]
        tested = await rig.ask("POST", "/events/receivers/cis/test", {}, by="admin")
        assert tested.body == {"taken": True, "status": 200, "error": ""}
        assert (await rig.ask("GET", "/events/receivers/x/deliveries", by="reader")).status == 404
        actions = {entry.note.action for entry in await rig.gateway.upkeep.audit()}
        assert {"DeliveriesRetried", "EventsReplayed"} <= actions


async def test_readiness_says_that_a_receiver_takes_no_events() -> None:
    async with with_receivers() as (rig, system):
        system.answer = lambda posted: 410
        made = a_publication("a", type="openway.order.completed")
        await rig.store.save([Change(publications=(made,))])
        assert (await rig.ask("GET", "//readyz", by=None))["status"] == "ready"
        await work(rig)
        told = await rig.ask("GET", "//readyz", by=None)
        assert (told["status"], told["warnings"]) == ("degraded", ["events do not reach cis"])


async def test_a_command_may_name_an_address_that_is_allowed_and_no_other() -> None:
    async with with_receivers() as (rig, system):
        body = {"kind": CommandKind.LOAD_CHECK.value, "devices": ["M1"]}
        for url in ("http://10.0.0.1/x", f"{system.url}/back/../x", "ftp://x/", ""):
            told = await rig.ask("POST", "/commands", {**body, "callback_url": url})
            assert (told.status, told["field"]) == (422, "callback_url"), url
        url = f"{system.url}/back/42"
        made = await rig.ask("POST", "/commands", {**body, "callback_url": url})
        assert made["callback_url"] == url
        await rig.ask("POST", f"/commands/{made['id']}/cancel", {})
        await rig.gateway.drain()
        await work(rig)
        (posted,) = system.posts
        assert posted.path == "/hook/back/42"
        assert posted.event["type"] == "openway.command.canceled"
        assert posted.event["data"]["callback_url"] == url


async def test_the_replies_of_an_order_go_to_its_address() -> None:
    async with with_receivers() as (rig, system):
        url = f"{system.url}/back/7"
        order = {"kind": "reconnect", "service_point": "SP-M1", "reference": "case-1"}
        made = await rig.ask("POST", "/orders", {**order, "callback_url": url})
        assert made.status == 202
        await rig.gateway.orders.drain()
        await work(rig)
        kinds = {each.event["type"] for each in system.posts if each.path == "/hook/back/7"}
        assert "openway.order.reply.acknowledgement" in kinds

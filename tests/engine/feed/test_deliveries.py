"""Events by webhook: signed, in the form of CloudEvents, again and again, in order, to the end."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_binary_event, from_structured_event
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from adapter.commands.effects import Severity
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Change
from adapter.engine.feed.deliveries import EventDeliveries
from adapter.engine.feed.ports import DeliveryChange, EventDelivery, PostResult
from adapter.engine.upkeep.retention import Kept
from adapter.feed.wanted import Wanted
from adapter.model.secret import Secret
from adapter.model.values import replace
from adapter.store.feed_deliveries import SqliteDeliveries
from adapter.store.transaction import Transaction
from adapter.store.upkeep.retention import SqlitePruning
from adapter.webhooks.settings import EventForm
from tests.builders import NOON, a_publication
from tests.engine.feed.receiving import OLD, SECRET, a_receiver, a_site, a_system


@pytest.mark.parametrize("form", EventForm)
async def test_the_reference_packages_read_and_verify_what_is_posted(
    form: EventForm, tmp_path: Path
) -> None:
    async with a_system() as system:
        settings = a_receiver(system.url, form=form, keys=(Secret(SECRET), Secret(OLD)))
        async with a_site(tmp_path, settings, signing=SystemClock()) as site:
            data = {"text": 'größer %"', "number": 7}
            await site.put("a.b:1", subject='order "ü"', severity=Severity.WARNING, data=data)
            system.answer = lambda posted: 200 if form is EventForm.STRUCTURED else 400
            await site.work()
        posted = system.posts[0]
        for secret in (SECRET, OLD):
            Webhook(secret).verify(posted.body, posted.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + "A" * 43 + "=").verify(posted.body, posted.headers)
        assert posted.headers["webhook-id"] == "a_b:1"
        message = HTTPMessage(posted.headers, posted.body)
        read = from_structured_event if form is EventForm.STRUCTURED else from_binary_event
        event = read(message)
        assert (event.get_id(), event.get_type()) == ("a.b:1", "command.received")
        assert event.get_subject() == 'order "ü"'
        assert event.get_source() == "urn:openway:gateway"
        assert event.get_data() == data
        assert event.get_extension("severity") == "warning"
        assert int(event.get_extension("sequence")) > 0
        assert f"{event.get_time():%Y-%m-%dT%H}" == "2026-03-02T12"


async def test_only_what_the_filters_let_through_is_posted(tmp_path: Path) -> None:
    async with a_system() as system:
        settings = a_receiver(
            system.url,
            types=("openway.command.*",),
            kinds=("remote_connect",),
            requesters=("cis",),
            severity=Severity.WARNING,
        )
        async with a_site(tmp_path, settings) as site:
            good = {
                "type": "openway.command.completed",
                "severity": Severity.CRITICAL,
                "data": {"kind": "remote_connect", "requester": "cis"},
            }
            await site.put("good", **good)
            await site.put("type", **{**good, "type": "openway.order.completed"})
            await site.put("severity", **{**good, "severity": Severity.INFO})
            await site.put("kind", **{**good, "data": {"kind": "load_check", "requester": "cis"}})
            await site.put("requester", **{**good, "data": {"kind": "remote_connect"}})
            await site.work()
        assert system.ids == ["good"]


async def test_a_receiver_begins_with_what_comes_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    async with a_system() as system:
        async with a_site(tmp_path) as site:
            await site.put("before")
        async with a_site(tmp_path, a_receiver(system.url)) as site:
            await site.put("a")
            await site.work()
        async with a_site(tmp_path, a_receiver(system.url)) as site:
            await site.put("b")
            await site.work()
        assert [each["id"] for each in system.taken] == ["a", "b"]


async def test_what_one_meter_waits_for_holds_up_no_other(tmp_path: Path) -> None:
    async with a_system() as system, a_site(tmp_path, a_receiver(system.url)) as site:
        bad = {"first-1"}
        system.answer = lambda posted: 500 if posted.event["id"] in bad else 200
        await site.put("first-1", subject="M1")
        await site.put("other", subject="M2", data={"devices": ["M2", "M3"]})
        await site.put("second-1", subject="command", data={"devices": ["M1"]})
        await site.put("third", subject="command")
        await site.work()
        assert system.ids == ["other"]
        assert len(await site.open(dead=False)) == 3
        bad.clear()
        await site.pass_time(20, step_s=5)
        assert system.ids == ["other", "first-1", "second-1", "third"]
        assert await site.open() == []


async def test_an_event_about_more_meters_than_it_names_comes_behind_all(tmp_path: Path) -> None:
    async with a_system() as system, a_site(tmp_path, a_receiver(system.url)) as site:
        bad = {"a"}
        system.answer = lambda posted: 500 if posted.event["id"] in bad else 200
        await site.put("a", subject="M1")
        await site.put("b", subject="M2")
        await site.put("all", subject="c", data={"devices": ["M7"], "device_count": 500})
        await site.put("d", subject="M3")
        await site.work()
        assert system.ids == ["b"]
        bad.clear()
        await site.pass_time(20, step_s=5)
        assert system.ids == ["b", "a", "all", "d"]


async def test_after_72_hours_an_event_is_a_dead_letter_and_those_behind_it_go_on(
    tmp_path: Path,
) -> None:
    async with a_system() as system, a_site(tmp_path, a_receiver(system.url)) as site:
        bad = {"poison"}
        system.answer = lambda posted: 400 if posted.event["id"] in bad else 200
        await site.put("poison", "behind")
        await site.work()
        await site.pass_time(71 * 3600, step_s=1800)
        assert (system.of("s"), len(await site.open(dead=False))) == ([], 2)
        await site.pass_time(4 * 3600, step_s=1800)
        assert system.of("s") == ["behind"]
        assert len(await site.open(dead=True)) == 1
        tries = sum(each.event["id"] == "poison" for each in system.posts)
        assert 30 < tries < 200
        counts = site.loop().counts
        assert (counts["failed"], counts["given_up"]) == (tries, 1)
        bad.clear()
        assert await site.loop().resume(by="ann") == 1
        await site.work()
        assert system.of("s") == ["behind", "poison"]
        assert await site.open(dead=True) == []


async def test_410_stops_a_receiver_until_people_have_it_go_on(tmp_path: Path) -> None:
    async with a_system() as system:
        async with a_site(tmp_path, a_receiver(system.url)) as site:
            system.answer = lambda posted: 410
            await site.put("a")
            await site.work()
            assert "410" in site.loop().state.stopped
            await site.put("b")
            await site.pass_time(3600)
            assert len(system.posts) == 1
        async with a_site(tmp_path, a_receiver(system.url), clock=site.clock) as site:
            await site.work()
            assert len(system.posts) == 1
            system.answer = lambda posted: 200
            await site.loop().resume(by="ann")
            await site.work()
            told = [each for each in system.taken if each["type"].startswith("openway.feed.")]
            assert [each["type"] for each in told] == ["openway.feed.receiver_stopped"]
            assert [each for each in system.ids if len(each) == 1] == ["a", "b"]


async def test_a_receiver_that_is_away_is_probed_with_one_event_at_a_time(tmp_path: Path) -> None:
    async with a_system() as system:
        settings = a_receiver(system.url, at_once=1)
        async with a_site(tmp_path, settings) as site:
            system.answer = lambda posted: 503
            names = [f"e{number:03}" for number in range(300)]
            for name in names:
                await site.put(name, subject=name)
            await site.work()
            assert len(system.posts) == 5
            await site.pass_time(1800, step_s=10)
            assert len(system.posts) < 80
            system.answer = lambda posted: 200
            await site.pass_time(600, step_s=10)
            taken = [each for each in system.ids if each.startswith("e")]
            assert sorted(taken) == names
            assert await site.open() == []


async def test_people_are_told_when_the_oldest_is_too_old_and_when_it_is_over(
    tmp_path: Path,
) -> None:
    async with a_system() as system:
        async with a_site(tmp_path, a_receiver(system.url)) as site:
            system.answer = lambda posted: 503
            await site.put("a")
            await site.pass_time(800)
            assert site.loop().state.alarm is None
            await site.pass_time(240)
            assert site.loop().state.alarm is not None
        async with a_site(tmp_path, a_receiver(system.url), clock=site.clock) as site:
            await site.pass_time(600)
            system.answer = lambda posted: 200
            await site.pass_time(4 * 3600, step_s=300)
            assert site.loop().state.alarm is None
            words = [each["type"].rpartition(".")[2] for each in system.taken]
            assert sorted(words[:2]) == ["received", "undelivered"]
            assert words[2:] == ["delivered_again"]


async def test_events_since_a_time_are_posted_again_with_the_ids_that_they_have(
    tmp_path: Path,
) -> None:
    async with a_system() as system, a_site(tmp_path, a_receiver(system.url)) as site:
        await site.put("a")
        await site.pass_time(60)
        since = site.clock.now()
        await site.put("b", "c")
        await site.work()
        assert await site.loop().replay(since, by="ann") == 2
        await site.work()
        assert [each["id"] for each in system.taken] == ["a", "b", "c", "b", "c"]


async def test_a_test_is_posted_and_is_in_no_feed(tmp_path: Path) -> None:
    async with a_system() as system, a_site(tmp_path, a_receiver(system.url)) as site:
        before = await site.deliveries.not_taken("cis", limit=1)
        assert (await site.loop().test()).taken
        assert system.taken[0]["type"] == "openway.feed.test"
        system.answer = lambda posted: 302
        system.headers = {"Location": system.url}
        result = await site.loop().test()
        assert (result.taken, result.status, len(system.posts)) == (False, 302, 2)
        assert before == []


async def test_what_a_receiver_asks_for_by_retry_after_is_kept(tmp_path: Path) -> None:
    async with a_system() as system, a_site(tmp_path, a_receiver(system.url)) as site:
        system.answer = lambda posted: 429
        system.headers = {"Retry-After": "300"}
        await site.put("a")
        await site.work()
        await site.pass_time(280, step_s=20)
        assert len(system.posts) == 1
        await site.pass_time(40, step_s=20)
        assert len(system.posts) == 2


async def test_an_event_of_another_shape_is_posted_and_holds_up_none(tmp_path: Path) -> None:
    async with a_system() as system, a_site(tmp_path, a_receiver(system.url)) as site:
        await site.put("odd", data={"kind": 7, "devices": "M1", "device": ["x"]})
        await site.put("b")
        await site.work()
    assert system.ids == ["odd", "b"]


async def test_what_a_receiver_has_not_taken_is_kept_and_the_rest_is_not(tmp_path: Path) -> None:
    async with a_system() as system, a_site(tmp_path, a_receiver(system.url)) as site:
        system.answer = lambda posted: 500 if posted.event["id"] == "bad" else 200
        await site.put("a", "bad", "c", subject="one")
        for name in ("a", "bad", "c", "new"):
            await site.put(f"{name}-2", subject=name)
        await site.work()
        pruning = SqlitePruning(site.store.database)
        now = site.clock.now() + timedelta(days=1)
        removed = await pruning.prune(Kept.PUBLICATIONS, before=now, after=0, limit=100, now=now)
        assert removed.removed == 5
        await site.put("later")
        again = await pruning.prune(Kept.PUBLICATIONS, before=now, after=0, limit=100, now=now)
        assert again.removed == 0
        system.answer = lambda posted: 200
        await site.pass_time(60, step_s=5)
        assert system.of("one") == ["a", "bad", "c"]


async def test_an_event_whose_row_is_damaged_holds_up_no_receiver_that_was_away(
    tmp_path: Path,
) -> None:
    async with a_system() as system, a_site(tmp_path, a_receiver(system.url)) as site:
        system.answer = lambda posted: 500
        for number in range(8):
            await site.put(f"e{number}", subject=f"M{number}")
        await site.work()

        def damage(tx: Transaction) -> None:
            tx.connection.execute("UPDATE publication SET body = x'00' WHERE id IN ('e0', 'e1')")

        await site.store.database.write(damage)
        system.answer = lambda posted: 204
        await site.pass_time(600)
        assert sorted(system.ids) == [f"e{number}" for number in range(2, 8)]
        dead = await site.deliveries.not_taken("cis", dead=True, limit=10)
        assert [each.error for each in dead] == ["its row in the store cannot be read"] * 2


@dataclass
class Takes:
    """A receiver in this process, which takes all."""

    name: str = "sink"
    wanted: Wanted = field(default_factory=Wanted)
    at_once: int = 16
    rate_per_s: float = 0.0
    posts: list[bytes] = field(default_factory=list)

    async def post(self, event: bytes) -> PostResult:
        self.posts.append(event)
        return PostResult(status=204)

    async def close(self) -> None:
        """Nothing is open."""


async def test_however_many_are_posted_again_all_are(tmp_path: Path) -> None:
    many, sink = 10_050, Takes()
    async with a_site(tmp_path) as site:
        store = SqliteDeliveries(site.store.database)
        deliveries = EventDeliveries([sink], store, site.clock, alarm_after=timedelta(hours=1))
        await deliveries.start()
        loop = deliveries.of("sink")
        made = [a_publication(f"e{number}", subject=f"M{number}") for number in range(many)]
        await site.store.save([Change(publications=tuple(made))])
        newest = (await store.bounds()).newest
        state = replace(loop.state, seq=newest)
        old = [
            EventDelivery(receiver="sink", seq=seq, dead=True, due=NOON)
            for seq in range(newest - many + 1, newest + 1)
        ]
        await store.change(DeliveryChange(receiver=state, put=old))
        await loop.start(state)
        assert await loop.resume(by="ann") == many
        assert loop.waiting < many
        await site.put("later", subject="M1")
        while await loop.once():
            pass
        ids = [str(msgspec.json.decode(each)["id"]) for each in sink.posts]
        assert sorted(ids) == sorted([*(f"e{number}" for number in range(many)), "later"])
        assert ids.index("e1") < ids.index("later")
        assert await store.deliveries("sink", limit=10) == []

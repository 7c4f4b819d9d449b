"""Stop switching: whenever it comes, what has not left does not leave; two people take it back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import Command, CommunicationState, State
from adapter.commands.calls import FailureReason
from adapter.commands.flows import Operation
from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import SwitchCap, SwitchSpread
from adapter.engine.commands.ports import AuditNote, Change, Publication, Saved
from adapter.engine.commands.switch_holds import Hold, HoldReason, SwitchHolds
from adapter.engine.commands.switch_safety import SwitchSafety
from adapter.engine.orders.requests import OrderRequest
from adapter.errors import Conflict, Forbidden, InvalidRequest, StoreFailed
from adapter.model.ids import CommandId, ServicePointId
from adapter.model.todo import TodoSubject
from adapter.orders.order import OrderKind
from adapter.simulator.faults import Effect
from adapter.store.commands.commands import SqliteStore
from adapter.store.commands.holds import SqliteHolds
from tests.clock.lives import (
    HOUR,
    MINUTE,
    NOON,
    PING,
    InterruptedStore,
    Life,
    a_head_end,
    life,
)
from tests.engine.commands.quick_site import script
from tests.support import every_case

MOVES = (Operation.RECONNECT_METER, Operation.DISCONNECT_METER)


def safety(now: Life) -> SwitchSafety:
    return now.gateway.upkeep.switch_safety


async def stop(now: Life) -> None:
    await safety(now).stop(by="ann", why="the list is wrong")


async def resume(now: Life) -> None:
    await safety(now).resume(by="ann", why="the list was withdrawn")
    await safety(now).resume(by="bob", why="I have seen the new list")
    await now.work()


async def told(now: Life, *types: str) -> list[str]:
    """Types of the events of switching that were stored, oldest first."""
    rows = await now.core.store.outbox("a test", limit=1_000)
    known = [row.publication.type.removeprefix("openway.gateway.") for row in rows]
    return [each for each in known if each.startswith(types)]


class ClaimedStore(SqliteStore):
    """`on_claim` is called when a send was claimed and its intent is about to be stored."""

    on_claim: Callable[[], Awaitable[None]] | None = None

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        notes = [note.action for change in batch for note in change.audit]
        if "Dispatched" in notes and self.on_claim is not None:
            come, self.on_claim = self.on_claim, None
            await come()
        return await super().save(batch)


async def queued(now: Life, command: CommandId) -> Command:
    """It waits, and nothing of it has left."""
    found = await now.command(command)
    assert found.activity.state is State.COMMUNICATION_IN_PROGRESS
    assert [each.state for each in found.communications] == [CommunicationState.QUEUED]
    return found


async def test_nothing_leaves_while_it_is_stopped_whatever_asks_for_it(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        await stop(now)
        cut = await now.ask(0)
        emergency = await now.ask(1, emergency_override=True)
        await now.ask(2, PING)
        await now.later(HOUR)
        assert now.sent(0) == now.sent(1) == 0
        await queued(now, cut)
        await queued(now, emergency)
        assert now.sent(2, Operation.PING)
        await resume(now)
        await now.later(MINUTE)
        assert now.sent(0) == now.sent(1) == 1


async def test_a_stop_between_claim_and_intent_keeps_it_here(tmp_path: Path) -> None:
    async with (
        a_head_end() as head_end,
        life(tmp_path, head_end, NOON, store_type=ClaimedStore) as now,
    ):
        store = now.core.store
        assert isinstance(store, ClaimedStore)
        store.on_claim = lambda: stop(now)
        cut = await now.ask(0)
        await now.later(HOUR)
        await queued(now, cut)
        actions = [entry.note.action for entry in await now.gateway.commands.history(cut)]
        assert "Dispatched" not in actions
        assert now.sent(0) == 0


async def test_the_intent_is_refused_by_what_is_stored_not_by_what_is_in_memory(
    tmp_path: Path,
) -> None:
    """As another thread of control would have it: the reason is in the store alone."""
    async with (
        a_head_end() as head_end,
        life(tmp_path, head_end, NOON, store_type=ClaimedStore) as now,
    ):
        store, holds = now.core.store, SqliteHolds(now.core.store.database)
        assert isinstance(store, ClaimedStore)
        hold = Hold(reason=HoldReason.STOPPED, since=NOON, text="stopped")
        store.on_claim = lambda: holds.put_hold(hold, audit=(), publications=())
        cut = await now.ask(0)
        assert not now.gateway.upkeep.holds.barred()
        assert now.sent(0) == 0
        await queued(now, cut)


class FullOnce(SqliteHolds):
    """A store that has no room for the first reason."""

    full = True

    async def put_hold(
        self, hold: Hold, *, audit: Sequence[AuditNote], publications: Sequence[Publication]
    ) -> None:
        if self.full:
            self.full = False
            raise StoreFailed("the disk is full")
        await super().put_hold(hold, audit=audit, publications=publications)


async def test_a_reason_that_the_store_could_not_keep_is_written_by_the_next_call(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        database, clock = now.core.store.database, now.clock
        holds = SwitchHolds(FullOnce(database), clock)
        stop = Hold(reason=HoldReason.STOPPED, since=NOON, text="stopped", by="ann")
        with pytest.raises(StoreFailed):
            await holds.hold(stop)
        assert (holds.barred(), holds.is_stored(HoldReason.STOPPED)) == (True, False)
        await holds.hold(stop)
        assert holds.is_stored(HoldReason.STOPPED)
        after = SwitchHolds(SqliteHolds(database), clock)
        await after.load()
        assert after.of(HoldReason.STOPPED) == stop


async def test_a_stop_between_intent_and_first_byte_keeps_it_here_and_gives_back_its_count(
    tmp_path: Path,
) -> None:
    policy = SwitchPolicy(cap=(SwitchCap(name="cuts", per_day=5),))
    async with (
        a_head_end() as head_end,
        life(tmp_path, head_end, NOON, switch=policy, store_type=InterruptedStore) as now,
    ):
        store = now.core.store
        assert isinstance(store, InterruptedStore)
        store.on_intent = lambda: stop(now)
        cut = await now.ask(0)
        await queued(now, cut)
        (limit,) = await safety(now).limit_states()
        assert (now.sent(0), limit.used_today) == (0, 0)
        await resume(now)
        await now.later(MINUTE)
        (limit,) = await safety(now).limit_states()
        assert (now.sent(0), limit.used_today) == (1, 1)


async def test_a_stop_while_the_connection_is_made_keeps_it_here(tmp_path: Path) -> None:
    """The last that is asked, with the connection open, is whether it may leave."""
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        asked = now.core.client.switches_barred
        looks = 0

        def barred() -> bool:
            nonlocal looks
            looks += 1
            return True

        now.core.client.switches_barred = barred
        cut = await now.ask(0)
        await now.ask(1, PING)
        assert (looks, now.sent(0), now.sent(1, Operation.PING)) == (1, 0, 1)
        await queued(now, cut)
        now.core.client.switches_barred = asked
        await now.later(MINUTE)
        assert now.sent(0) == 1


async def test_a_stop_survives_a_restart_and_so_does_who_asked_to_go_on(tmp_path: Path) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as first:
            await stop(first)
            cut = await first.ask(0)
        async with life(tmp_path, head_end, NOON + MINUTE) as second:
            await second.work()
            assert second.held == [HoldReason.STOPPED]
            state = await safety(second).state()
            assert state.stop is not None
            assert state.stop.by == "ann"
            await safety(second).resume(by="ann", why="it is settled")
        async with life(tmp_path, head_end, NOON + 2 * MINUTE) as third:
            assert third.sent(0) == 0
            await safety(third).resume(by="bob", why="it is")
            await third.work()
            await third.later(MINUTE)
            assert (third.held, third.sent(0)) == ([], 1)
            assert (await third.command(cut)).communications[0].sent_at is not None


async def test_the_answer_says_what_cannot_be_called_back(tmp_path: Path) -> None:
    lost = script(Effect.LOSE_REPLY, "DisconnectMeter", first=1)
    async with a_head_end(scripts=(lost,)) as head_end, life(tmp_path, head_end, NOON) as now:
        await now.ask(0)  # the reply is lost
        await now.submit(1)
        await now.gateway.drain()  # taken by the head end, which has not acted
        await now.submit(2, effective_at=NOON + HOUR)
        await now.submit(3)
        found = await safety(now).stop(by="ann", why="the list is wrong")
        counts = found.counts
        assert (counts.in_doubt, counts.sent, counts.not_due, counts.queued) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("reason", "in_doubt", "not_due"),
    [(FailureReason.ERROR_RESPONSE, 1, 1), (FailureReason.SECURITY_FAILURE, 0, 2)],
)
async def test_what_left_failed_and_may_have_acted_is_not_held_here(
    tmp_path: Path, reason: FailureReason, in_doubt: int, not_due: int
) -> None:
    fails = script(Effect.ENDPOINT_FAILURE, "DisconnectMeter", reason=reason)
    async with a_head_end(scripts=(fails,)) as head_end, life(tmp_path, head_end, NOON) as now:
        failed = await now.ask(0)
        await now.later(MINUTE)
        assert (await now.command(failed)).activity.state is State.COMMUNICATION_ERROR
        await now.submit(1, effective_at=NOON + HOUR)
        counts = (await safety(now).stop(by="ann", why="the list is wrong")).counts
        assert (counts.in_doubt, counts.not_due) == (in_doubt, not_due)
        assert (counts.queued, counts.sent) == (0, 0)


async def test_two_people_take_it_back(tmp_path: Path) -> None:
    policy = SwitchPolicy(resume_s=600.0)
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON, switch=policy) as now:
        with every_case() as case:
            await two_people(now, case)


async def two_people(now: Life, case: Callable[[object], AbstractContextManager[None]]) -> None:
    made = safety(now)
    with case("nothing to take back"), pytest.raises(Conflict, match="not stopped"):
        await made.resume(by="ann", why="go on")
    await stop(now)
    with case("no reason"), pytest.raises(InvalidRequest, match="reason"):
        await made.resume(by="ann", why=" ")
    with case("as other holds"), pytest.raises(Forbidden, match="two people"):
        await now.gateway.upkeep.holds.confirm("stopped", by="root", why="go on")
    asked = await made.resume(by="ann", why="go on")
    with case("who asks does not confirm"):
        for name in ("ann", "Ann", "ANN "):
            with pytest.raises(Forbidden, match="another person"):
                await made.resume(by=name, why="go on")
    with case("another request than the one that is there"), pytest.raises(Conflict):
        await made.resume(by="bob", why="go on", request="01kk5zq4s8f3v2m9x7t1b6c0hd")
    with case("still stopped"):
        assert asked.resume is not None
        assert now.held == [HoldReason.STOPPED]
    await now.later(timedelta(minutes=10))
    with case("the request expires"):
        assert (await made.state()).resume is None
        with pytest.raises(Conflict, match="over"):
            await made.resume(by="bob", why="go on", request=asked.resume.id)
    with case("then another one asks"):
        again = await made.resume(by="bob", why="go on")
        assert again.resume is not None
        assert (again.resume.by, now.held) == ("bob", [HoldReason.STOPPED])
    with case("who stops again withdraws the request"):
        await made.stop(by="carl", why="not yet")
        assert (await made.state()).resume is None
        with pytest.raises(Conflict):
            await made.resume(by="ann", why="go on", request=again.resume.id)
    await resume(now)
    with case("at last"):
        assert now.held == []
    with case("all of it is told and audited"):
        types = await told(now, "switch_orders", "resume")
        assert types == [
            "switch_orders_held", "resume_requested", "resume_requested", "resume_requested",
            "switch_orders_released",
        ]  # fmt: skip
        notes = [entry.note for entry in await now.gateway.upkeep.audit()]
        actors = [
            (note.action, note.actor)
            for note in notes
            if note.action.startswith(("Switch", "Resume"))
        ]
        assert actors == [
            ("SwitchOrdersHeld", "ann"),
            ("ResumeAsked", "ann"),
            ("ResumeExpired", "gateway"),
            ("ResumeAsked", "bob"),
            ("SwitchingStoppedAgain", "carl"),
            ("ResumeAsked", "ann"),
            ("SwitchingResumed", "bob"),
        ]


async def test_stop_and_confirmation_at_once_end_stopped_or_are_refused(tmp_path: Path) -> None:
    """Whichever of the two comes first, who stops has stopped it when he is answered."""
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as now:
        made = safety(now)
        for turns in range(6):
            await stop(now)
            await made.resume(by="ann", why="go on")

            async def late(turns: int = turns) -> None:
                for _ in range(turns):
                    await asyncio.sleep(0)
                await made.stop(by="carl", why="not yet")

            confirmed, stopped = await asyncio.gather(
                made.resume(by="bob", why="go on"), late(), return_exceptions=True
            )
            assert stopped is None
            assert now.held == [HoldReason.STOPPED], confirmed
            await now.clock.turn(now.clock.now() + MINUTE)


async def test_what_was_spread_leaves_over_a_time_again_not_all_at_once(tmp_path: Path) -> None:
    policy = SwitchPolicy(spread=(SwitchSpread(over_s=3_600.0),))
    async with (
        a_head_end(meters=30) as head_end,
        life(tmp_path, head_end, NOON, switch=policy) as now,
    ):
        await stop(now)
        for number in range(30):
            await now.submit(number)
        await now.later(2 * HOUR)  # by now all of them would have left
        await resume(now)
        left = sum(now.sent(number) for number in range(30))
        assert left == 0
        await now.later(30 * MINUTE)
        left = sum(now.sent(number) for number in range(30))
        assert 5 < left < 25
        await now.later(HOUR)
        assert sum(now.sent(number) for number in range(30)) == 30


async def test_forty_who_have_paid_are_told_first_and_leave_first(tmp_path: Path) -> None:
    async with a_head_end(meters=45) as head_end, life(tmp_path, head_end, NOON) as now:
        points: list[ServicePointId] = []
        for number in range(40):
            device = (await now.gateway.registry.devices())[number]
            assert device.service_point is not None
            points.append(device.service_point.id)
            await now.orders.submit(
                OrderRequest(
                    kind=OrderKind.CUT,
                    service_point=points[-1],
                    external_reference=f"cut {number}",
                    requester="billing",
                )
            )
        await now.later(MINUTE)
        await now.later(MINUTE)
        dark = [await now.gateway.registry.service_point(point) for point in points]
        assert not any(each.supply.on for each in dark)
        for number in range(40, 44):
            await now.submit(number)  # more cuts, which wait as well
        await stop(now)
        for point in points:
            await now.orders.payment(point, by="billing")
        await now.later(MINUTE)
        connects = now.simulator.journal.count(Operation.RECONNECT_METER)
        assert connects == 0
        entries = await now.gateway.upkeep.todo.list()
        first, second = entries[0], entries[1]
        assert (first.first.code, len(first.todos)) == ("reconnect_held", 40)
        assert set(first.dark) == set(points)
        assert second.first.subject is TodoSubject.SWITCH_HOLD
        await resume(now)
        await now.later(MINUTE)
        await now.later(MINUTE)
        operations = [
            str(entry["operation"])
            for entry in now.simulator.journal.entries(most=10_000)
            if entry.get("kind") == "request" and entry.get("operation") in MOVES
        ]
        assert len(operations) == 40 + 40 + 4
        assert sorted(operations[40:80]) == [Operation.RECONNECT_METER] * 40

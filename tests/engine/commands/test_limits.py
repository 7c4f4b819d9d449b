"""Caps and quotas on a real gateway: exact at the edges of hour and day, whatever stops it."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import State
from adapter.commands.flows import CLOSING_KINDS, Operation
from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import CallQuota, CountedBy, SwitchCap, SwitchSpread
from adapter.engine.commands.ports import Import
from adapter.engine.commands.switch_safety import LimitState
from adapter.errors import Conflict, InvalidRequest, NotFound
from adapter.model.todo import TodoSubject
from adapter.model.values import replace
from adapter.simulator.faults import Effect
from tests.clock.lives import CONNECT, CUT, DAY, HOUR, MINUTE, NOON, PING, Life, a_head_end, life
from tests.engine.commands.quick_site import script
from tests.engine.commands.test_switching_stopped import safety, told
from tests.support import every_case

ZAGREB = "Europe/Zagreb"


def capped(*caps: SwitchCap, zone: str = "UTC") -> SwitchPolicy:
    return SwitchPolicy(cap=caps, time_zone=zone)


HOURLY = SwitchCap(name="cuts", per_hour=5)


async def submit(now: Life, numbers: range) -> None:
    for number in numbers:
        await now.submit(number, expires_at=now.clock.now() + 2 * DAY)
    await now.work()


def left(now: Life, numbers: range = range(100)) -> int:
    return sum(now.sent(number) for number in numbers)


async def limit(now: Life, name: str = "cuts", member: str = "all") -> LimitState:
    states = await safety(now).limit_states()
    return next(each for each in states if (each.limit, each.member) == (name, member))


async def turn_to(now: Life, at: datetime) -> None:
    for clock in (now.clock, now.simulator.clock):
        await clock.turn(at)  # type: ignore[attr-defined]
    await now.work()


async def test_so_many_leave_in_an_hour_and_the_others_know_when(tmp_path: Path) -> None:
    start = NOON + 20 * MINUTE
    async with (
        a_head_end(meters=17) as head_end,
        life(tmp_path, head_end, start, switch=capped(HOURLY)) as now,
    ):
        await submit(now, range(17))
        assert left(now) == 5
        waits = await safety(now).waiting()
        turns = Counter(each.until - NOON for each in waits)
        assert turns == {HOUR: 5, 2 * HOUR: 5, 3 * HOUR: 2}
        (entry,) = await now.gateway.upkeep.todo.list(TodoSubject.LIMIT)
        assert "12 requests wait for room in cuts" in entry.first.text
        assert entry.first.text.endswith("the last until 2026-03-02 15:00:00Z")
        for hour, then in ((1, 10), (2, 15), (3, 17)):
            await turn_to(now, NOON + hour * HOUR - timedelta(microseconds=1))
            assert left(now) == then - (5 if then < 17 else 2)
            await turn_to(now, NOON + hour * HOUR)
            assert left(now) == then
        assert await safety(now).waiting() == []
        assert await now.gateway.upkeep.todo.list(TodoSubject.LIMIT) == []
        assert await told(now, "limit") == ["limit_reached"]


async def test_a_restart_neither_loses_nor_doubles_a_count(tmp_path: Path) -> None:
    async with a_head_end(meters=12) as head_end:
        for number in range(4):
            shows = NOON + number * MINUTE
            async with life(tmp_path, head_end, shows, switch=capped(HOURLY)) as now:
                await now.work()
                await submit(now, range(3 * number, 3 * number + 3))
                assert left(now) == min(3 * number + 3, 5)
                assert (await limit(now)).used_this_hour == left(now)
        async with life(tmp_path, head_end, NOON + 5 * MINUTE, switch=capped()) as free:
            await free.work()
            assert left(free) == 12  # the cap is not set any more


async def test_the_day_of_a_cap_is_the_sites_also_where_clocks_change(tmp_path: Path) -> None:
    daily = capped(SwitchCap(name="cuts", per_day=2), zone=ZAGREB)
    for case, noon, midnight in (
        ("an hour is left out", datetime(2026, 3, 29, 10, tzinfo=UTC), 22),
        ("an hour comes twice", datetime(2026, 10, 25, 11, tzinfo=UTC), 23),
    ):
        folder = tmp_path / str(midnight)
        folder.mkdir()
        async with (
            a_head_end(meters=6) as head_end,
            life(folder, head_end, noon, switch=daily) as now,
        ):
            await submit(now, range(6))
            end = noon.replace(hour=midnight)
            assert left(now) == 2, case
            assert (await limit(now)).day_ends_at == end, case
            begin = end - DAY + (HOUR if midnight == 22 else -HOUR)
            assert (begin.hour, end.hour) == ((23, 22) if midnight == 22 else (22, 23))
            await turn_to(now, end - timedelta(microseconds=1))
            assert left(now) == 2, case
            await turn_to(now, end)
            assert left(now) == 4, case


async def test_each_group_is_counted_by_itself(tmp_path: Path) -> None:
    feeders = SwitchCap(name="feeders", by=CountedBy.GROUP, prefix="F-", per_hour=2)
    async with (
        a_head_end(meters=9) as head_end,
        life(tmp_path, head_end, NOON, switch=capped(feeders)) as now,
    ):
        views = {view.device.endpoint: view for view in await now.gateway.registry.devices()}
        moved = [
            replace(views[now.endpoint(n)].device, groups=frozenset({f"F-{n % 3}", "TOWN"}))
            for n in range(9)
        ]
        await now.gateway.registry.import_devices(Import(devices=tuple(moved)))
        await submit(now, range(9))
        for feeder in range(3):
            assert left(now, range(feeder, 9, 3)) == 2
            assert (await limit(now, "feeders", f"F-{feeder}")).used_this_hour == 2
        entries = await now.gateway.upkeep.todo.list(TodoSubject.LIMIT)
        assert sorted(entry.first.id for entry in entries) == [
            "feeders/F-0", "feeders/F-1", "feeders/F-2",
        ]  # fmt: skip


async def test_all_that_a_request_uses_is_counted_or_none(tmp_path: Path) -> None:
    both = capped(SwitchCap(name="cuts", per_hour=5), SwitchCap(name="few", per_day=2))
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON, switch=both) as now:
        await submit(now, range(4))
        assert left(now) == 2
        assert (await limit(now)).used_this_hour == 2
        assert (await limit(now, "few")).used_today == 2
        waits = await safety(now).waiting()
        assert {(each.limit, each.until) for each in waits} == {("few", NOON.replace(hour=0) + DAY)}


async def test_what_the_head_end_refused_or_never_got_is_given_back(tmp_path: Path) -> None:
    refused = script(
        Effect.FAULT, "DisconnectMeter", first=2, fault="TooManyConcurrentRequestsFault"
    )
    async with (
        a_head_end(scripts=(refused,)) as head_end,
        life(tmp_path, head_end, NOON, switch=capped(HOURLY)) as now,
    ):
        await submit(now, range(2))
        assert (left(now), (await limit(now)).used_this_hour) == (2, 0)
        for _ in range(10):
            await now.later(MINUTE)
        assert (left(now), (await limit(now)).used_this_hour) == (4, 2)


async def test_a_connect_is_capped_only_where_a_cap_says_so(tmp_path: Path) -> None:
    shut = SwitchCap(name="cuts", per_day=0)
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON, switch=capped(shut)) as now:
        await now.ask(0, emergency_override=True)
        await now.ask(1, CONNECT, ignore_install_state=True)
        assert left(now) == 0
        assert now.sent(1, Operation.RECONNECT_METER) == 1
    second = tmp_path / "second"
    second.mkdir()
    on = SwitchCap(name="inrush", kinds=CLOSING_KINDS, per_hour=1)
    async with (
        a_head_end() as head_end,
        life(second, head_end, NOON, switch=capped(on)) as now,
    ):
        for number in (2, 3):
            await now.ask(number, CONNECT, ignore_install_state=True)
        sent = [now.sent(number, Operation.RECONNECT_METER) for number in (2, 3)]
        assert sent == [1, 0]


async def test_a_quota_holds_calls_and_tells_when_it_is_used_up(tmp_path: Path) -> None:
    quotas = (
        CallQuota(name="pings", operations=frozenset({Operation.PING}), each=True, per_day=8),
        CallQuota(name="ann", requester="ann", per_day=5),
    )
    async with (
        a_head_end(meters=20) as head_end,
        life(tmp_path, head_end, NOON, quotas=quotas) as now,
    ):
        for number in range(4):
            await now.ask(number, PING, requester="ann")
        forecast = await limit(now, "ann")
        assert (forecast.used_today, forecast.used_up_at) == (4, NOON + 15 * MINUTE)
        for number in range(4, 14):
            await now.ask(number, PING, requester="ann" if number < 6 else "bob")
        sent = [now.sent(number, Operation.PING) for number in range(14)]
        assert sent == [1] * 5 + [0] + [1] * 8
        assert (await limit(now, "pings", "ann")).used_today == 5
        assert (await limit(now, "ann")).used_up_at == now.clock.now()
        (waits,) = await safety(now).waiting(limit_name="ann")
        assert waits.until == NOON.replace(hour=0) + DAY
        await now.ask(15, CUT, requester="bob")
        assert now.sent(15) == 1  # another operation


# ---------------------------------------------------------------- overrides


async def test_an_override_lets_more_pass_and_ends_by_itself_with_commands_queued(
    tmp_path: Path,
) -> None:
    async with (
        a_head_end(meters=12) as head_end,
        life(tmp_path, head_end, NOON, switch=capped(HOURLY)) as now,
    ):
        await submit(now, range(7))
        assert left(now) == 5
        ends = NOON + 10 * MINUTE
        made = await safety(now).override("cuts", by="ann", why="the mayor", ends_at=ends)
        await now.work()
        assert (left(now), (await limit(now)).used_this_hour) == (7, 7)
        shown = (await limit(now)).override
        assert shown is not None
        assert (shown.by, shown.why) == ("ann", "the mayor")
        for number in range(7, 10):
            await now.submit(number)  # queued, and it ends before they are claimed
        await turn_to(now, ends)
        assert left(now) == 7
        (over,) = await safety(now).overrides()
        assert (over.id, over.ended_at, over.ended_by) == (made.id, ends, "gateway")
        await turn_to(now, NOON + HOUR)
        assert left(now) == 10
        assert await told(now, "override") == ["override_began", "override_ended"]
        with pytest.raises(NotFound):
            await safety(now).end_override(made.id, by="bob", why="over")


async def test_an_override_is_bounded_named_and_ended_by_hand(tmp_path: Path) -> None:
    async with (
        a_head_end() as head_end,
        life(tmp_path, head_end, NOON, switch=capped(SwitchCap(name="cuts", per_day=0))) as now,
    ):
        made = safety(now)
        with every_case() as case:
            for name, why, ends, field in (
                ("cut", "why", NOON + HOUR, "limit"),
                ("cuts", " ", NOON + HOUR, "reason"),
                ("cuts", "why", NOON, "ends_at"),
                ("cuts", "why", NOON + 25 * HOUR, "ends_at"),
            ):
                with case((name, why, ends)), pytest.raises(InvalidRequest, match=field):
                    await made.override(name, by="ann", why=why, ends_at=ends)
        override = await made.override("", by="ann", why="why", ends_at=NOON + HOUR)
        await now.ask(0)
        ended = await made.end_override(override.id, by="bob", why="enough")
        await now.ask(1)
        assert (left(now), ended.ended_by) == (1, "bob")
        actors = [
            (entry.note.action, entry.note.actor)
            for entry in await now.gateway.upkeep.audit()
            if entry.note.action.startswith("Override")
        ]
        assert actors == [("OverrideBegan", "ann"), ("OverrideEnded", "bob")]
        for _ in range(100):
            await made.override("cuts", by="ann", why="why", ends_at=NOON + HOUR)
        with pytest.raises(Conflict, match="100"):
            await made.override("cuts", by="ann", why="why", ends_at=NOON + HOUR)


async def test_what_is_cancelled_waits_no_more_and_keeps_no_place(tmp_path: Path) -> None:
    async with (
        a_head_end(meters=10) as head_end,
        life(tmp_path, head_end, NOON, switch=capped(HOURLY)) as now,
    ):
        await submit(now, range(5))
        late = [await now.submit(number) for number in range(5, 9)]
        await now.work()
        for command in late[:3]:
            await now.gateway.commands.cancel(command, by="ann")
        (waits,) = await safety(now).waiting()
        assert waits.command == late[3]
        (entry,) = await now.gateway.upkeep.todo.list(TodoSubject.LIMIT)
        assert "1 request waits" in entry.first.text
        await turn_to(now, NOON + HOUR)
        assert (left(now), (await limit(now)).used_this_hour) == (6, 1)


# ---------------------------------------------------------------- spread


async def test_what_is_spread_leaves_by_its_id_and_a_cancel_moves_no_other(tmp_path: Path) -> None:
    policy = SwitchPolicy(spread=(SwitchSpread(over_s=6 * 3_600.0),))
    async with a_head_end(meters=40) as head_end:
        async with life(tmp_path, head_end, NOON, switch=policy) as now:
            cuts = [await now.submit(number) for number in range(40)]
            urgent = await now.submit(0, PING)
            await now.work()
            slots = {id_: (await now.command(id_)).activity.effective_at for id_ in cuts}
            assert all(NOON <= at < NOON + 6 * HOUR for at in slots.values())
            assert len(set(slots.values())) == 40
            assert (await now.command(urgent)).activity.effective_at == NOON
            for command in cuts[::4]:
                await now.gateway.commands.cancel(command, by="ann")
            await now.later(3 * HOUR)
            half = left(now)
            due = [id_ for id_ in cuts if slots[id_] <= NOON + 3 * HOUR + MINUTE]
            assert half == len([id_ for id_ in due if id_ not in cuts[::4]])
        async with life(tmp_path, head_end, NOON + 4 * HOUR, switch=policy) as second:
            await second.work()
            for id_ in cuts:
                found = (await second.command(id_)).activity
                assert found.effective_at == slots[id_]
                assert id_ not in cuts[::4] or found.state is State.CANCELED
            await second.later(2 * HOUR)
            assert left(second) == 30


async def test_many_that_are_approved_at_once_late_are_spread_from_then(tmp_path: Path) -> None:
    policy = SwitchPolicy(spread=(SwitchSpread(over_s=3_600.0),), needs_approval=True)
    async with (
        a_head_end(meters=20) as head_end,
        life(tmp_path, head_end, NOON, switch=policy) as now,
    ):
        expires = NOON + DAY
        cuts = [await now.submit(number, expires_at=expires) for number in range(20)]
        await now.later(5 * HOUR)
        for command in cuts:
            await now.gateway.commands.approve(command, by="bob")
        await now.work()
        assert left(now) == 0
        await now.later(HOUR)
        assert left(now) == 20

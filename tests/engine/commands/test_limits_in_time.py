"""Caps and quotas where clocks change or are set, and overrides that meet or end."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.commands.flows import Operation
from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import CallQuota, SwitchCap
from tests.clock.lives import DAY, HOUR, MINUTE, NOON, PING, Life, a_head_end, life
from tests.engine.commands.test_limits import HOURLY, ZAGREB, capped, left, limit, submit, turn_to
from tests.engine.commands.test_switching_stopped import ClaimedStore, safety, told

PINGS = CallQuota(name="pings", operations=frozenset({Operation.PING}), per_day=2)
ALL_DAY = SwitchCap(name="cuts", per_day=2)


def pinged(now: Life, numbers: range = range(100)) -> int:
    return sum(now.sent(number, Operation.PING) for number in numbers)


@pytest.mark.parametrize(
    ("noon", "ends_at"),
    [
        (datetime(2026, 3, 29, 10, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)),
        (datetime(2026, 10, 25, 11, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)),
    ],
    ids=["an hour is left out", "an hour comes twice"],
)
async def test_the_day_of_a_quota_is_the_sites_also_where_clocks_change(
    noon: datetime, ends_at: datetime, tmp_path: Path
) -> None:
    async with (
        a_head_end() as head_end,
        life(
            tmp_path, head_end, noon, switch=SwitchPolicy(time_zone=ZAGREB), quotas=(PINGS,)
        ) as now,
    ):
        for number in range(5):
            await now.ask(number, PING, expires_at=noon + 2 * DAY)
        assert pinged(now) == 2
        assert (await limit(now, "pings")).day_ends_at == ends_at
        turns = [each.until for each in await safety(now).waiting()]
        assert turns == [ends_at, ends_at, ends_at + DAY]
        await turn_to(now, ends_at - timedelta(microseconds=1))
        assert pinged(now) == 2
        await turn_to(now, ends_at)
        assert pinged(now) == 4


async def test_what_a_wrong_clock_has_counted_counts_in_the_day_that_it_really_was(
    tmp_path: Path,
) -> None:
    async with (
        a_head_end(meters=12) as head_end,
        life(tmp_path, head_end, NOON, switch=capped(ALL_DAY), quotas=(PINGS,)) as now,
    ):
        for number in range(3):
            await now.ask(number, expires_at=NOON + 9 * DAY)
            await now.ask(6 + number, PING, expires_at=NOON + 9 * DAY)
        assert (left(now), pinged(now)) == (2, 2)
        await now.clock.step(2 * DAY)  # the machine's clock is set wrong
        await now.work()
        assert left(now) == 2  # nothing is switched by a clock that is doubted
        await now.confirm()
        assert (left(now), pinged(now)) == (3, 3)  # of the day that it shows
        await now.clock.step(-2 * DAY)
        await now.work()
        await now.confirm()
        assert [(await limit(now, name)).used_today for name in ("cuts", "pings")] == [3, 3]
        await now.ask(3, expires_at=NOON + 9 * DAY)
        await now.ask(9, PING, expires_at=NOON + 9 * DAY)
        assert (left(now), pinged(now)) == (3, 3)
        await turn_to(now, NOON.replace(hour=0) + DAY)
        assert left(now) == 4
        assert pinged(now) > 3
        assert (await limit(now)).used_today == 1
        assert 1 <= (await limit(now, "pings")).used_today <= PINGS.per_day


async def test_an_hour_that_comes_twice_is_two_and_none_is_counted_in_the_other(
    tmp_path: Path,
) -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Zagreb, and an hour later again
    policy = capped(HOURLY, zone=ZAGREB)
    async with (
        a_head_end(meters=12) as head_end,
        life(tmp_path, head_end, first, switch=policy) as now,
    ):
        await submit(now, range(11))
        assert left(now) == 5
        await turn_to(now, first + 29 * MINUTE)
        assert left(now) == 5
        await turn_to(now, first + 30 * MINUTE)
        assert left(now) == 10
        assert (await limit(now)).hour_ends_at == first + HOUR + 30 * MINUTE


# ---------------------------------------------------------------- overrides


async def test_of_two_overrides_at_once_either_lets_pass_until_both_have_ended(
    tmp_path: Path,
) -> None:
    async with (
        a_head_end(meters=9) as head_end,
        life(tmp_path, head_end, NOON, switch=capped(SwitchCap(name="cuts", per_day=0))) as now,
    ):
        made = safety(now)
        short, long = await asyncio.gather(
            made.override("cuts", by="ann", why="the mayor", ends_at=NOON + 10 * MINUTE),
            made.override("", by="bob", why="the storm", ends_at=NOON + HOUR),
        )
        await now.ask(0)
        await turn_to(now, NOON + 10 * MINUTE)
        await made.once()
        open_ones = [each.id for each in await made.overrides() if each.ended_at is None]
        assert open_ones == [long.id]
        await now.ask(1)
        assert left(now) == 2
        await made.end_override(long.id, by="carl", why="enough")
        await now.ask(2)
        assert (left(now), (await limit(now)).used_today) == (2, 2)
        assert await told(now, "override") == [
            "override_began", "override_began", "override_ended", "override_ended",
        ]  # fmt: skip
        again = await asyncio.gather(
            *(made.override("cuts", by=name, why="why", ends_at=NOON + HOUR) for name in "ab"),
        )
        await made.end_override(again[0].id, by="carl", why="one is enough")
        await now.work()
        assert left(now) == 3
        assert short.id not in {each.id for each in again}


async def test_an_override_that_ends_while_its_command_waits_for_another_limit_helps_no_more(
    tmp_path: Path,
) -> None:
    both = capped(HOURLY, SwitchCap(name="few", per_day=2))
    async with a_head_end(meters=9) as head_end, life(tmp_path, head_end, NOON, switch=both) as now:
        await safety(now).override("few", by="ann", why="why", ends_at=NOON + 30 * MINUTE)
        await submit(now, range(6))
        assert left(now) == 5  # more than few, and as many as the hour has
        (waits,) = await safety(now).waiting()
        assert (waits.limit, waits.until) == ("cuts", NOON + HOUR)
        await turn_to(now, NOON + HOUR)
        (waits,) = await safety(now).waiting()
        assert (waits.limit, waits.until) == ("few", NOON.replace(hour=0) + DAY)
        assert left(now) == 5


async def test_an_override_that_is_ended_between_claim_and_intent_lets_nothing_pass(
    tmp_path: Path,
) -> None:
    shut = capped(SwitchCap(name="cuts", per_day=0))
    async with (
        a_head_end() as head_end,
        life(tmp_path, head_end, NOON, switch=shut, store_type=ClaimedStore) as now,
    ):
        made = await safety(now).override("cuts", by="ann", why="why", ends_at=NOON + HOUR)
        store = now.core.store
        assert isinstance(store, ClaimedStore)

        async def end() -> None:
            await safety(now).end_override(made.id, by="bob", why="enough")

        store.on_claim = end
        await now.ask(0)
        assert left(now) == 0
        assert len(await safety(now).waiting()) == 1

"""Hours and days of a site's zone, what a request uses of limits, and the time that many are spread
over."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest

from adapter.commands.activity import Activity, Command, CommandRequest
from adapter.commands.flows import CLOSING_KINDS, CommandKind, Operation
from adapter.commands.usage_limits import (
    ALL,
    NOWHERE,
    CallQuota,
    CountedBy,
    Hours,
    SwitchCap,
    SwitchSpread,
    UsageLimits,
    Use,
    day_of,
    hour_of,
    members_of,
    next_hour,
    place_of,
    spread_again,
    spread_of,
    spread_to,
    used_up_at,
)
from adapter.errors import SettingsError
from adapter.model.device import Device, DeviceView, ServicePoint
from adapter.model.ids import CommandId, DeviceId, ServicePointId
from tests.builders import NOON
from tests.support import for_every

CUT, CONNECT = CommandKind.REMOTE_DISCONNECT, CommandKind.REMOTE_CONNECT
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@for_every(
    "zone, at, begins, hours",
    [
        ("UTC", "2026-03-02T12:30", "2026-03-02T00:00", 24),
        ("Europe/Zagreb", "2026-03-29T12:00", "2026-03-28T23:00", 23),
        ("Europe/Zagreb", "2026-10-25T12:00", "2026-10-24T22:00", 25),
        ("America/New_York", "2026-03-08T20:00", "2026-03-08T05:00", 23),
        ("America/New_York", "2026-11-01T20:00", "2026-11-01T04:00", 25),
        ("Australia/Lord_Howe", "2026-04-04T20:00", "2026-04-04T13:00", 24.5),
        ("Asia/Kolkata", "2026-03-02T18:29", "2026-03-01T18:30", 24),
    ],
)
def test_a_day_is_that_of_the_site(zone: str, at: str, begins: str, hours: float) -> None:
    assert day_of(utc(at), zone) == utc(begins)
    assert day_of(utc(at), zone, later=1) - day_of(utc(at), zone) == hours * HOUR


@for_every("zone", ["Europe/Zagreb", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_each_moment_is_in_one_hour_and_that_in_one_day(zone: str) -> None:
    seasons = [utc("2026-03-20T00:00"), utc("2026-10-20T00:00")]  # clocks change in both
    looks = [[at + n * timedelta(minutes=30) for n in range(2 * 24 * 20)] for at in seasons]
    hours = [sorted({hour_of(at, zone) for at in some}) for some in looks]
    for hour, after in [pair for some in hours for pair in pairwise(some)]:
        assert next_hour(hour, zone) == after, hour
        assert hour_of(after - timedelta(microseconds=1), zone) == hour
        assert timedelta(minutes=30) <= after - hour <= timedelta(minutes=90)
        assert day_of(hour, zone) <= hour < day_of(hour, zone, later=1)


def test_the_hour_that_a_clock_shows_twice_is_two_hours() -> None:
    first, second = utc("2026-10-25T00:30"), utc("2026-10-25T01:30")  # 02:30 in Zagreb, both
    assert hour_of(second, "Europe/Zagreb") - hour_of(first, "Europe/Zagreb") == HOUR


def view(groups: frozenset[str] = frozenset(), sp_type: str = "") -> DeviceView:
    return DeviceView(
        device=Device(id=DeviceId("M1"), groups=groups, configuration_group="C9"),
        service_point=ServicePoint(
            id=ServicePointId("S1"), sp_type=sp_type, measurement_cycle="cycle 4"
        ),
    )


def test_a_meter_is_counted_under_what_the_site_has_for_a_feeder() -> None:
    found = view(frozenset({"F-12", "F-2", "ALL-RES"}), "village")
    for by, prefix, members in (
        (CountedBy.ALL, "", [ALL]),
        (CountedBy.GROUP, "", ["ALL-RES", "F-12", "F-2"]),
        (CountedBy.GROUP, "F-", ["F-12", "F-2"]),
        (CountedBy.GROUP, "X-", [NOWHERE]),
        (CountedBy.CONFIGURATION_GROUP, "", ["C9"]),
        (CountedBy.SP_TYPE, "", ["village"]),
        (CountedBy.MEASUREMENT_CYCLE, "", ["cycle 4"]),
    ):
        cap = SwitchCap(name="feeders", by=by, prefix=prefix, per_day=1)
        assert list(members_of(cap, found)) == members, by
    nobody = SwitchCap(name="feeders", by=CountedBy.SP_TYPE, per_day=1)
    assert list(members_of(nobody, None)) == [NOWHERE]


LIMITS = UsageLimits(
    caps=(SwitchCap(name="cuts", per_hour=5), SwitchCap(name="on", kinds=CLOSING_KINDS, per_day=9)),
    quotas=(
        CallQuota(name="any", per_day=100),
        CallQuota(
            name="reads", operations=frozenset({Operation.CONTINGENCY_READ}), each=True, per_day=7
        ),
        CallQuota(name="billing", requester="billing", per_day=3),
    ),
)


@for_every(
    "kind, operation, requester, switches, used",
    [
        (CUT, Operation.DISCONNECT_METER, "ann", True, ["cuts all", "any all"]),
        (CUT, Operation.SWITCH_STATE, "ann", False, ["any all"]),
        (CONNECT, Operation.RECONNECT_METER, "billing", True, ["on all"]),
        (
            CommandKind.ON_DEMAND_READ_SCALAR,
            Operation.CONTINGENCY_READ,
            "billing",
            False,
            ["any all", "reads billing", "billing all"],
        ),
    ],
)
def test_a_request_uses_the_limits_that_are_about_it(
    kind: CommandKind, operation: Operation, requester: str, switches: bool, used: list[str]
) -> None:
    found = LIMITS.uses(kind, operation, requester=requester, switches=switches, view=None, at=NOON)
    assert [f"{each.limit} {each.member}" for each in found] == used
    assert LIMITS.about(kind, operation, switches=switches)


@for_every(
    "made, rule",
    [
        (lambda: SwitchCap(name="x"), "per_hour or per_day"),
        (lambda: SwitchCap(name="", per_day=1), "name: needs a name"),
        (lambda: SwitchCap(name="x", per_day=-1), "per_day"),
        (lambda: SwitchCap(name="x", per_day=1, prefix="F-"), "prefix"),
        (lambda: SwitchCap(name="x", per_day=1, kinds=frozenset({CommandKind.LOAD_CHECK})),
         "moves no switch"),
        (lambda: CallQuota(name="x", per_day=1, operations=frozenset({Operation.PING_RESULT})),
         "only follows up"),
        (lambda: SwitchSpread(over_s=0), "over_s"),
    ],
)  # fmt: skip
def test_a_limit_that_can_mean_nothing_is_refused(made: object, rule: str) -> None:
    with pytest.raises(SettingsError, match=rule):
        made()  # type: ignore[operator]


def test_a_turn_counts_those_ahead() -> None:
    use = Use(limit="x", member=ALL, at=NOON, zone="UTC", per_hour=5, per_day=20)
    hours = [use.turn(ahead, of_day=False) for ahead in (0, 4, 5, 14)]
    assert hours == [NOON + n * HOUR for n in (1, 1, 2, 3)]
    days = [use.turn(ahead, of_day=True) for ahead in (0, 19, 20)]
    midnight = NOON.replace(hour=0)
    assert days == [midnight + n * timedelta(days=1) for n in (1, 1, 2)]


@for_every(
    "used, last_hour, limit, at",
    [
        (400, 100, 500, NOON + HOUR),
        (400, 150, 500, NOON + timedelta(minutes=40)),
        (0, 0, 500, None),
        (10, 1, 500, None),
        (500, 0, 500, NOON),
        (1, 1, None, None),
    ],
)
def test_a_forecast_goes_on_at_the_rate_of_the_last_hour(
    used: int, last_hour: int, limit: int | None, at: datetime | None
) -> None:
    end = NOON + 12 * HOUR
    assert used_up_at(used, last_hour, limit, now=NOON, end=end) == at


# ---------------------------------------------------------------- spread

PLACES = [place_of(number, "01kk5zq4s8") for number in range(4_000)]
OPEN = Hours()


def most(places: Sequence[float], parts: int) -> int:
    """How many are in the fullest part."""
    return max(Counter(int(place * parts) for place in places).values())


@for_every("count", [1, 2, 3, 7, 16, 40, 1_000, 4_000])
def test_no_part_of_the_time_has_many_more_than_its_share(count: int) -> None:
    for seed in ("a", "b", "c"):
        places = [place_of(number, seed) for number in range(count)]
        assert all(0 <= place < 1 for place in places)
        for parts in (2, 4, 8, 16, 64):
            assert most(places, parts) <= -(-count // parts), (seed, parts)


def test_wherever_a_list_begins_no_part_has_two_more_than_its_share() -> None:
    for first in range(40):
        for count in (5, 16, 33, 100):
            for parts in (2, 4, 8, 16):
                assert most(PLACES[first : first + count], parts) <= count / parts + 2


def test_a_pattern_of_the_list_is_no_pattern_of_the_places() -> None:
    for every in (2, 4, 8, 10):
        feeder = PLACES[3::every]
        share = len(feeder) / 8
        fullest, counts = most(feeder, 8), Counter(int(place * 8) for place in feeder)
        assert fullest < 1.35 * share, every
        assert min(counts[part] for part in range(8)) > 0.65 * share, every
    assert PLACES[:8] != [place_of(number, "another") for number in range(8)]


def test_time_in_which_none_may_leave_does_not_count() -> None:
    working = Hours(window=(time(8), time(14)), weekdays=frozenset(range(5)), zone="Europe/Zagreb")
    friday = utc(
        "2026-03-27T11:00"
    )  # 12:00 there; two hours are left, then Monday, an hour earlier
    slots = [spread_to(each, 6 * 3600, working, start=friday, expires=None) for each in PLACES]
    first = [at for at in slots if at < friday + 2 * HOUR]
    monday = utc("2026-03-30T06:00")
    assert all(monday <= at < monday + 4 * HOUR for at in slots if at not in set(first))
    assert 1_320 < len(first) < 1_347


def test_what_is_spread_leaves_before_it_expires() -> None:
    expires = NOON + HOUR
    slots = [spread_to(each, 6 * 3600, OPEN, start=NOON, expires=expires) for each in PLACES[:500]]
    assert all(NOON <= at < expires for at in slots)
    shut = Hours(window=(time(20), time(21)))
    assert spread_to(0.5, 60, shut, start=NOON, expires=expires) == NOON


def test_the_first_that_is_about_it_says_over_how_long() -> None:
    spreads = (SwitchSpread(orders=("cut",), over_s=100), SwitchSpread(over_s=50))
    assert spread_of(spreads, CUT, "cut") == spreads[0]
    assert spread_of(spreads, CUT, "") == spreads[1]
    assert spread_of(spreads, CONNECT, "cut") is None


@for_every(
    "was_h, now_h, expires_h, then_h",
    [(2, 5, 40, 7), (2, 1, 40, None), (0, 5, 40, None), (2, 39, 40, None)],
)
def test_what_was_held_up_is_spread_again_from_now(
    was_h: int, now_h: int, expires_h: int, then_h: int | None
) -> None:
    command = Command(
        request=CommandRequest(kind=CUT),
        targets=(),
        activity=Activity(
            id=CommandId("01kk5zq4s8f3v2m9x7t1b00000"),
            created_at=NOON,
            effective_at=NOON + was_h * HOUR,
            expires_at=NOON + expires_h * HOUR,
        ),
    )
    found = spread_again(command, OPEN, now=NOON + now_h * HOUR)
    assert found == (None if then_h is None else NOON + then_h * HOUR)

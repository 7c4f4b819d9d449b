"""D1-CHKMSMT: the window in the point's own zone, the two ranges, where a reading comes from."""

from datetime import UTC, datetime, timedelta

import pytest

from adapter.model.device import (
    Category,
    Device,
    DisconnectLocation,
    InstallEvent,
    InstallStatus,
)
from adapter.model.measurement import Measurement
from adapter.model.values import replace
from adapter.orders.algorithms.chkmsmt import CheckMeasurement, check_measurement, choose, window
from adapter.orders.algorithms.verdict import (
    Create,
    Error,
    Pass,
    SetField,
    Verdict,
    Wait,
)
from adapter.orders.order import (
    ChildFact,
    ChildState,
    Components,
    Installation,
    OrderKind,
    TimeoutPolicy,
    View,
)
from adapter.orders.plan import SMART_COMMANDS
from tests.orders.builders import (
    INSTALLED_AT,
    INTERVAL,
    NOON,
    POINT,
    REGISTER,
    a_child,
    a_manual_meter,
    a_reading,
    a_smart_meter,
    a_type,
    a_view,
    an_item,
    an_order,
)

K, S = OrderKind, InstallStatus
PARAMS = CheckMeasurement()
METER = a_smart_meter()
WAIT, SCHEDULED = "CM-WaitForMeasurement", "CM-WaitForScheduledRead"
READ = "D1-OnDemandReadScalar"
DAY = a_type(K.DISABLE, within_the_day=True)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("zone", "reference", "start", "end", "hours"),
    [
        ("UTC", utc(2026, 3, 10, 12), utc(2026, 3, 10), utc(2026, 3, 11), 24),
        ("America/New_York", utc(2026, 3, 8, 3), utc(2026, 3, 7, 5), utc(2026, 3, 8, 5), 24),
        ("America/New_York", utc(2026, 3, 8, 12), utc(2026, 3, 8, 5), utc(2026, 3, 9, 4), 23),
        ("America/New_York", utc(2026, 11, 1, 12), utc(2026, 11, 1, 4), utc(2026, 11, 2, 5), 25),
        ("Asia/Tokyo", utc(2026, 3, 10, 16), utc(2026, 3, 10, 15), utc(2026, 3, 11, 15), 24),
    ],
)
def test_the_day_is_the_service_points_own_and_follows_its_clock_changes(
    zone: str, reference: datetime, start: datetime, end: datetime, hours: int
) -> None:
    span = window(DAY, reference, zone)
    assert (span.start, span.end) == (start, end)
    assert span.end - span.start == timedelta(hours=hours)
    assert start in span
    assert end not in span


@pytest.mark.parametrize("hour", [5, 16, 27])  # just after midnight, noon, late in the evening
def test_offsets_count_whole_days_from_the_date_whatever_the_time_of_day(hour: int) -> None:
    offsets = a_type(K.DISABLE, minimum_offset_days=1, maximum_offset_days=2)
    reference = utc(2026, 3, 8, 0) + timedelta(hours=hour)  # the day on which clocks change
    span = window(offsets, reference, "America/New_York")
    assert span.start == utc(2026, 3, 7, 5)
    assert span.end == utc(2026, 3, 11, 4)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("hour", [0, 9, 23])
def test_offsets_of_nothing_are_the_day_itself(zone: str, hour: int) -> None:
    none = a_type(K.DISABLE, minimum_offset_days=0, maximum_offset_days=0)
    for day in (8, 9, 10):
        reference = utc(2026, 3, day, hour)
        assert window(none, reference, zone) == window(DAY, reference, zone)


OLD = a_manual_meter("M-0")


def formerly(device: Device = OLD, *, until: datetime = NOON) -> tuple[Installation, ...]:
    """A meter that was there, and was taken away."""
    event = InstallEvent(
        device=device.id,
        service_point=POINT,
        installed_at=INSTALLED_AT,
        removed_at=until,
        status=S.MANUAL_ON,
    )
    return (Installation(device=device, event=event),)


def test_the_reading_of_a_meter_that_was_removed_counts_for_the_service_point() -> None:
    read = a_reading(NOON - timedelta(hours=2), device="M-0")
    for now in ({}, {"device": None, "status": None}, {"device": METER, "status": S.PENDING}):
        verdict = check(view(removed=formerly(), measurements=(read,), **now))
        assert isinstance(verdict, SetField), verdict
        assert verdict.fields["readId"] == read.id


def test_a_removed_meters_reading_counts_only_of_its_time_there_and_of_what_is_wanted() -> None:
    late = a_reading(NOON + timedelta(hours=1), device="M-0")
    early = a_reading(INSTALLED_AT - timedelta(days=1), device="M-0")
    other = replace(OLD, components=(replace(REGISTER, id="kvarh", quantity="VARh d"),))
    wrong = replace(a_reading(NOON, device="M-0"), component="kvarh")
    assert created(check(view(removed=formerly(), measurements=(late, early)))) == READ
    assert created(check(view(removed=formerly(other), measurements=(wrong,)))) == READ
    named = replace(OLD, components=(replace(REGISTER, id="1.8.0", quantity="WH D"),))
    same = replace(a_reading(NOON, device="M-0"), component="1.8.0")
    assert isinstance(check(view(removed=formerly(named), measurements=(same,))), SetField)


def test_where_every_meter_is_gone_and_none_was_read_there_is_nothing_to_obtain() -> None:
    gone = view(device=None, status=None, removed=formerly())
    verdict = check(gone)
    assert verdict == Pass(note="no meter any more, and none of the former ones was read in time")


def at(hours: float, condition: int, name: str) -> Measurement:
    return a_reading(NOON + timedelta(hours=hours), condition=condition, name=name)


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([], None),
        ([at(-3, 501000, "a"), at(1, 501000, "b")], "b"),
        ([at(-1, 501000, "late"), at(1, 501000, "early")], "late"),
        ([at(0, 400000, "estimate"), at(5, 501000, "good")], "good"),
        ([at(0, 400000, "estimate"), at(3, 300000, "poor")], "estimate"),
        ([at(0, 299999, "bad"), at(1, 201000, "none")], None),
        ([at(13, 501000, "tomorrow"), at(-13, 501000, "yesterday")], None),
        ([replace(at(0, 501000, "replaced"), use=False)], None),
        ([at(0, 500000, "edge"), at(1, 999999, "top")], "edge"),
    ],
)
def test_the_nearest_normal_measurement_is_taken_else_the_nearest_above_the_bottom(
    candidates: list[Measurement], chosen: str | None
) -> None:
    found = choose(tuple(candidates), window(DAY, NOON, "UTC"), PARAMS)
    assert (found.id if found is not None else None) == chosen


def view(*children: ChildFact, **changes: object) -> View:
    values = {"device": METER, "status": S.CONN_COMM, **changes}
    return a_view(K.DISABLE, children=children, **values)  # type: ignore[arg-type]


def check(seen: View, **order: object) -> Verdict:
    return check_measurement(an_order(K.DISABLE, **order), seen, PARAMS)


def created(verdict: Verdict) -> str:
    assert isinstance(verdict, Create), verdict
    return verdict.child.task or verdict.child.business_object


def test_a_found_reading_is_remembered_with_its_own_time() -> None:
    moment = NOON - timedelta(hours=5)
    verdict = check(view(measurements=(a_reading(moment),)))
    assert verdict == SetField(
        fields={
            "readId": "m-1",
            "readAt": moment.isoformat(),
            "readValue": "kwh=1234.5",
            "readCondition": "501000",
        },
        note="a measurement was found",
    )
    assert isinstance(verdict, SetField)
    again = check(view(measurements=(a_reading(moment),)), fields=verdict.fields)
    assert isinstance(again, Pass)


def test_a_reading_below_the_normal_range_is_taken_and_said_to_be() -> None:
    low = (a_reading(condition=301000),)
    verdict = check(view(measurements=low))
    assert isinstance(verdict, SetField)
    assert verdict.note == "a measurement was found, not in the normal range: kwh 301000"
    assert verdict.fields["readCondition"] == "301000"
    again = check(view(measurements=low), fields=verdict.fields)
    assert again == Pass(note="the reading is known, not in the normal range: kwh 301000")


def test_the_old_meters_reading_is_not_the_new_meters() -> None:
    assert created(check(view(measurements=(a_reading(device="M-0"),)))) == READ


NO_READ = SMART_COMMANDS - {READ, "on_demand_read_scalar"}
SOURCE = DisconnectLocation.SOURCE
SOON, FAR = (NOON + timedelta(days=2),), (NOON + timedelta(days=20),)
FIRST: list[tuple[str, dict[str, object], str]] = [
    ("smart, register", {}, READ),
    ("smart, interval", {"device": a_smart_meter("M-1", INTERVAL)}, WAIT),
    ("smart, both kinds", {"device": a_smart_meter("M-1", REGISTER, INTERVAL)}, READ),
    ("a reading is being validated", {"reading_on_its_way": True}, WAIT),
    ("not commissioned", {"status": S.CONN_PRECOMM}, "D1-ReadMeter"),
    ("no power", {"connected": False, "location": SOURCE}, "D1-ReadMeter"),
    ("switched off at the meter", {"status": S.DISCONN_COMM}, READ),
    ("no on-demand read", {"commands": NO_READ}, "D1-ReadMeter"),
    ("the same, read on schedule", {"commands": NO_READ, "scheduled_reads": SOON}, SCHEDULED),
    ("manual", {"device": a_manual_meter(), "status": S.MANUAL_ON}, "D1-ReadMeter"),
    (
        "manual, read on schedule",
        {"device": a_manual_meter(), "status": S.MANUAL_ON, "scheduled_reads": SOON},
        SCHEDULED,
    ),
    (
        "manual, schedule outside the window",
        {"device": a_manual_meter(), "status": S.MANUAL_ON, "scheduled_reads": FAR},
        "D1-ReadMeter",
    ),
]


@pytest.mark.parametrize(
    ("changes", "child"), [pytest.param(c, w, id=name) for name, c, w in FIRST]
)
def test_what_obtains_a_reading_follows_from_the_device(
    changes: dict[str, object], child: str
) -> None:
    assert created(check(view(**changes))) == child


@pytest.mark.parametrize(
    "changes",
    [
        {"device": an_item(), "status": S.MANUAL_ON, "category": Category.ITEM},
        {"device": None, "status": None, "category": Category.MULTI_ITEM},
        {"device": None, "status": None},
        {"device": METER, "status": S.REMOVED},
        {"device": METER, "status": S.PENDING},
    ],
)
def test_without_a_meter_there_is_nothing_to_read(changes: dict[str, object]) -> None:
    assert isinstance(check(view(**changes)), Pass)


def test_all_billing_components_need_a_reading_unless_the_first_is_enough() -> None:
    other = replace(REGISTER, id="kvarh")
    silent = replace(REGISTER, id="volts", billing=False)
    meter = a_smart_meter("M-1", REGISTER, other, silent)
    half = view(device=meter, measurements=(a_reading(),))
    assert created(check(half)) == READ
    first = view(
        device=meter, measurements=(a_reading(),), activity_type={"components": Components.FIRST}
    )
    assert isinstance(check(first), SetField)
    both = view(device=meter, measurements=(a_reading(), a_reading(component="kvarh", name="m-2")))
    assert isinstance(check(both), SetField)


def test_a_reading_for_a_date_ahead_is_taken_on_that_date() -> None:
    ahead = NOON + timedelta(days=3)
    verdict = check(view(), service_at=ahead)
    assert isinstance(verdict, Create)
    assert (created(verdict), verdict.child.effective_at) == (READ, ahead)


def test_a_window_that_is_over_needs_people_and_no_endless_visits() -> None:
    verdict = check(view(), service_at=NOON - timedelta(days=8))
    assert isinstance(verdict, Error)
    assert verdict.problem.code == "no_reading"


def test_a_failed_read_and_a_wait_do_not_stop_the_order_by_themselves() -> None:
    for changes in ({}, {"reading_on_its_way": True}, {"commands": NO_READ}):
        verdict = check(view(scheduled_reads=SOON, **changes))
        assert isinstance(verdict, Create)
        assert not verdict.child.blocking


NEXT: list[tuple[str, list[ChildFact], str]] = [
    ("read, value in validation", [a_child(READ)], WAIT),
    ("visited, value in validation", [a_child("D1-FieldActivity", task="D1-ReadMeter")], WAIT),
    ("read by schedule, value in validation", [a_child(SCHEDULED)], WAIT),
    ("on-demand read failed", [a_child(READ, 1, ChildState.FAILED)], "D1-ReadMeter"),
    ("wait timed out", [a_child(WAIT, 1, ChildState.TIMED_OUT)], "D1-ReadMeter"),
    ("schedule missed", [a_child(SCHEDULED, 1, ChildState.TIMED_OUT)], "D1-ReadMeter"),
    ("read, then the wait timed out", [a_child(READ, 1), a_child(WAIT, 2, ChildState.TIMED_OUT)],
     "D1-ReadMeter"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("children", "child"), [pytest.param(c, w, id=name) for name, c, w in NEXT]
)
def test_what_follows_an_attempt_without_a_measurement(
    children: list[ChildFact], child: str
) -> None:
    assert created(check(view(*children), children=len(children))) == child


ENDED: list[tuple[str, list[ChildFact]]] = [
    ("the wait ended", [a_child(WAIT)]),
    ("the visit was cancelled", [a_child("D1-FieldActivity", 1, ChildState.CANCELED,
                                         task="D1-ReadMeter")]),
    ("visited, and the wait timed out", [a_child("D1-FieldActivity", 1, task="D1-ReadMeter"),
                                         a_child(WAIT, 2, ChildState.TIMED_OUT)]),
]  # fmt: skip


@pytest.mark.parametrize("children", [pytest.param(c, id=name) for name, c in ENDED])
def test_when_all_ways_are_used_up_people_have_to_look(children: list[ChildFact]) -> None:
    verdict = check(view(*children), children=len(children))
    assert isinstance(verdict, Error)
    assert verdict.problem.code == "no_reading"


def test_a_time_out_may_be_configured_to_need_people() -> None:
    timed_out = a_child(WAIT, 1, ChildState.TIMED_OUT)
    seen = view(timed_out, activity_type={"on_wait_time_out": TimeoutPolicy.ERROR})
    assert isinstance(check(seen), Error)


def test_there_is_never_a_second_read_beside_an_open_one() -> None:
    assert isinstance(check(view(a_child(READ, 1, ChildState.SENT))), Wait)


def test_after_a_retry_by_people_the_meter_is_read_again() -> None:
    verdict = check(view(a_child(WAIT)), children=1, first_of_retry=1)
    assert created(verdict) == READ

"""Update: what becomes of each name that a requester gives, by the child that is open."""

from datetime import datetime, timedelta

import pytest

from adapter.errors import InvalidRequest
from adapter.model.values import replace
from adapter.orders.changes import (
    CHANGED_BY,
    FIXED,
    MOMENTS,
    OWN,
    TIMES,
    Changes,
    check_names,
    decide_changes,
)
from adapter.orders.elements import ATTRIBUTES, ELEMENTS
from adapter.orders.field_activity import FieldActivity, FieldProgress, FieldState
from adapter.orders.field_activity_events import Slot
from adapter.orders.order import ChildFact, ChildState, OrderKind, OrderState, ServiceOrder
from tests.orders.builders import NOON, a_child, an_order
from tests.support import for_every

DAY = timedelta(days=1)
LATER = NOON + 3 * DAY
SLOT = Slot(start=NOON + DAY, end=NOON + DAY + timedelta(hours=2), taken_by="crew 7")
ORDER = an_order(OrderKind.ENABLE, state=OrderState.IN_PROGRESS)
GIVEN = sorted([*(name for name, each in ELEMENTS.items() if not each.own), *TIMES])


def visit(task: str = "D1-TurnOnMeter", **changes: object) -> FieldActivity:
    spec = a_child("D1-FieldActivity", task=task).spec
    made = FieldActivity(
        id=a_child("D1-FieldActivity").id,
        order=ORDER.id,
        spec=spec,
        created_at=NOON,
        state=FieldState.COMMUNICATION,
        progress=FieldProgress.SENT,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def decide(
    given: dict[str, str],
    *,
    order: ServiceOrder = ORDER,
    child: ChildFact | None = None,
    activity: FieldActivity | None = None,
    sent: bool = True,
) -> Changes:
    if activity is not None and child is None:
        child = replace(a_child("D1-FieldActivity", 1, ChildState.SENT), spec=activity.spec)
    check_names(given)
    return decide_changes(order, child, activity, given, now=NOON, sent=sent)


def value(name: str, at: datetime = LATER) -> str:
    if name in MOMENTS:
        return at.isoformat()
    return next(iter(ELEMENTS[name].values), "ring twice")


def test_every_field_of_an_order_is_changed_by_a_name_fixed_or_the_gateways_own() -> None:
    groups = (frozenset(CHANGED_BY), FIXED, OWN)
    assert frozenset().union(*groups) == set(ServiceOrder.__struct_fields__)
    assert sum(map(len, groups)) == len(ServiceOrder.__struct_fields__)


@for_every("name", GIVEN)
def test_every_name_is_in_the_change_message_or_is_refused_with_a_reason(name: str) -> None:
    made = decide({name: value(name)}, activity=visit())
    message = {**made.elements, **made.times}
    assert message == {name: value(name)}
    assert made.done == {name: "in the change message"}


@for_every("name", GIVEN)
def test_nothing_is_left_out_of_the_answer_whatever_child_is_open(name: str) -> None:
    scheduled = a_child("CM-WaitForScheduledRead", 1, ChildState.QUEUED)
    children = [
        None,
        a_child("D1-RemoteConnect", 1, ChildState.QUEUED),
        a_child("CM-WaitForMeasurement", 1, ChildState.QUEUED),
        replace(scheduled, spec=replace(scheduled.spec, effective_at=NOON)),
    ]
    for child in children:
        made = decide({name: value(name)}, child=child, sent=False)
        assert {*made.done, *made.refused} == {name}
        assert not ({*made.done} & {*made.refused})
        assert all(made.refused.values())
    waiting = an_order(OrderKind.CUT, state=OrderState.WAITING)
    assert decide({name: value(name)}, order=waiting, sent=False).done == {name: "in the order"}


@for_every("name", sorted(ATTRIBUTES))
def test_what_is_fixed_when_an_order_is_made_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{name} is fixed"):
        check_names({name: "x"})


@for_every("name", MOMENTS)
def test_a_time_without_a_zone_or_of_another_form_is_refused_by_name(name: str) -> None:
    for text in ("tomorrow", "2026-03-11T09:00:00"):
        with pytest.raises(InvalidRequest, match=name):
            check_names({name: text})


def test_a_queued_command_keeps_its_date_and_the_rest_is_changed() -> None:
    child = a_child("D1-RemoteConnect", 1, ChildState.QUEUED)
    given = {"effectiveAt": LATER.isoformat(), "contact": "x", "serviceAt": LATER.isoformat()}
    made = decide(given, child=child, sent=False)
    assert made.refused == {"effectiveAt": "a command is queued already: cancel and order anew"}
    assert (made.effective_at, made.service_at, made.elements) == (None, LATER, {"contact": "x"})


def test_a_service_date_far_from_the_effective_one_is_refused() -> None:
    far = (ORDER.effective_at + timedelta(days=400)).isoformat()
    made = decide({"serviceAt": far, "contact": "x"}, sent=False)
    assert made.refused == {"serviceAt": "must lie within 366 days of effectiveAt"}
    assert (made.service_at, made.elements) == (None, {"contact": "x"})
    waiting = an_order(OrderKind.ENABLE, state=OrderState.WAITING)
    both = decide({"serviceAt": far, "effectiveAt": far}, order=waiting, sent=False)
    assert "serviceAt" not in both.refused


def test_a_read_that_is_made_for_a_time_keeps_it() -> None:
    read = a_child("D1-OnDemandReadScalar", 1, ChildState.QUEUED)
    read = replace(read, spec=replace(read.spec, effective_at=NOON))
    made = decide({"serviceAt": LATER.isoformat()}, child=read, sent=False)
    assert list(made.refused) == ["serviceAt"]
    assert made.service_at is None


def test_a_wait_for_a_reading_goes_along_with_the_service_date() -> None:
    wait = a_child("CM-WaitForMeasurement", 1, ChildState.QUEUED)
    due = max(wait.created_at, ORDER.service_at) + DAY
    wait = replace(wait, spec=replace(wait.spec, due_at=due))
    assert decide({"serviceAt": LATER.isoformat()}, child=wait, sent=False).due_at == LATER + DAY


def test_a_booked_appointment_moves_with_its_elements() -> None:
    start, end = LATER, LATER + timedelta(hours=1)
    given = {"appointmentStart": start.isoformat(), "appointmentEnd": end.isoformat()}
    made = decide(given, activity=visit(appointment=SLOT))
    assert made.slot == replace(SLOT, start=start, end=end)
    assert set(made.done) == set(given)


def test_half_an_appointment_that_would_end_before_it_begins_is_refused_and_the_rest_is_not() -> (
    None
):
    given = {"appointmentStart": LATER.isoformat(), "contact": "x"}
    made = decide(given, activity=visit(appointment=SLOT))
    assert made.slot is None
    assert made.elements == {"contact": "x"}
    assert "give both its times" in made.refused["appointmentStart"]


def test_a_booked_appointment_is_not_taken_away_by_an_empty_value() -> None:
    made = decide({"appointmentStart": ""}, activity=visit(appointment=SLOT))
    assert not made.done
    assert "give another one" in made.refused["appointmentStart"]


def test_an_effective_date_behind_the_appointment_is_refused_unless_that_moves_too() -> None:
    given = {"effectiveAt": LATER.isoformat()}
    made = decide(given, activity=visit(appointment=SLOT))
    assert "the appointment ends at" in made.refused["effectiveAt"]
    assert made.not_before is None
    both = {**given, "appointmentStart": LATER.isoformat()}
    both["appointmentEnd"] = (LATER + DAY).isoformat()
    assert decide(both, activity=visit(appointment=SLOT)).not_before == LATER


def test_a_visit_that_reads_on_the_service_date_moves_with_that_date_only() -> None:
    reads = visit("D1-ReadMeter")
    reads = replace(reads, spec=replace(reads.spec, effective_at=NOON + DAY))
    assert list(decide({"effectiveAt": LATER.isoformat()}, activity=reads).refused) == [
        "effectiveAt"
    ]
    made = decide({"serviceAt": LATER.isoformat()}, activity=reads)
    assert (made.service_at, made.not_before) == (LATER, LATER)

"""What a request to update an order may change, and what becomes of each name that it gives.

Documented: that Update Specific Activity goes by the status of the specific activity, and that a
change is told to the field system. Which names there are, and what each comes to, is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from adapter.commands.timing import in_utc
from adapter.errors import InvalidRequest
from adapter.model.values import replace
from adapter.orders.activities import ChildKind
from adapter.orders.elements import ATTRIBUTES
from adapter.orders.field_activity import FieldActivity
from adapter.orders.field_activity_events import Slot
from adapter.orders.order import ChildFact, OrderState, ServiceOrder
from adapter.orders.tasks import FieldEffect

EFFECTIVE_AT: Final = "effectiveAt"
SERVICE_AT: Final = "serviceAt"
TIMES: Final = (EFFECTIVE_AT, SERVICE_AT)
"""Of an order, beside its elements."""
APPOINTMENT: Final = ("appointmentStart", "appointmentEnd")
MOMENTS: Final = (*TIMES, *APPOINTMENT)
"""Names whose value is a time, ISO 8601 with a zone."""

CHANGED_BY: Final[Mapping[str, str]] = MappingProxyType(
    {"effective_at": EFFECTIVE_AT, "service_at": SERVICE_AT, "fields": "the names of its elements"}
)
FIXED: Final = frozenset(
    {
        "kind",
        "service_point",
        "activity_type",
        "requester",
        "external_reference",
        "created_at",
        "account",
        "callback_url",
        "priority",
        "trace",
    }
)
OWN: Final = frozenset(
    {
        "id",
        "state",
        "state_since",
        "ended_at",
        "passes",
        "children",
        "first_of_retry",
        "awaited_child",
        "stop",
        "problem",
        "replies",
        "version",
    }
)
"""Of ServiceOrder: what an update changes, what is fixed from the start, what the gateway fills."""

_BEFORE: Final = frozenset(
    {OrderState.PENDING, OrderState.VALIDATE, OrderState.VALIDATION_ERROR, OrderState.WAITING}
)
_IN_MESSAGE: Final = "in the change message"
_IN_VISIT: Final = "in the visit; nothing was sent"
_IN_ORDER: Final = "in the order"
_BEGUN: Final = "the order has begun"
_FURTHEST: Final = timedelta(days=366)
"""Ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What an update changes. `done` and `refused` name each thing given: where it is now, or why
    it stays as it was. `elements` and the two times are the order's; `not_before` and `slot` the
    visit's, `due_at` the end of a wait."""

    elements: Mapping[str, str] = field(default_factory=dict)
    effective_at: datetime | None = None
    service_at: datetime | None = None
    not_before: datetime | None = None
    slot: Slot | None = None
    due_at: datetime | None = None
    done: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def times(self) -> Mapping[str, str]:
        """The order's times that have changed, as a change message has them."""
        known = {EFFECTIVE_AT: self.effective_at, SERVICE_AT: self.service_at}
        return {name: at.isoformat() for name, at in known.items() if at is not None}


def check_names(changes: Mapping[str, str]) -> None:
    """Raises InvalidRequest for what is fixed when an order is made, and for what is no time."""
    for name, value in changes.items():
        if name in ATTRIBUTES:
            raise InvalidRequest("changes", f"{name} is fixed when the order is made")
        if name in MOMENTS and (value or name in TIMES):
            _moment(name, value)


def service_problem(service: datetime, effective: datetime) -> str:
    """What is wrong with a service date: far from the day on which the work is due nothing is ever
    measured for it, and the order would wait for good. Empty: nothing."""
    apart = abs(service - effective)
    return f"must lie within {_FURTHEST.days} days of {EFFECTIVE_AT}" if apart > _FURTHEST else ""


def _moment(name: str, text: str) -> datetime:
    """Raises InvalidRequest."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(name, "must be a date and time, ISO 8601") from None
    return in_utc(name, at)


def decide_changes(
    order: ServiceOrder,
    child: ChildFact | None,
    visit: FieldActivity | None,
    changes: Mapping[str, str],
    *,
    now: datetime,
    sent: bool,
) -> Changes:
    """What becomes of each name, by the child that is open. `sent` says that the field system has
    the visit, so that a change message goes out. The names were checked."""
    elements = {name: value for name, value in changes.items() if name not in TIMES}
    times = {name: _moment(name, changes[name]) for name in TIMES if name in changes}
    far = ""
    if (service := times.get(SERVICE_AT)) is not None:
        far = service_problem(service, times.get(EFFECTIVE_AT, order.effective_at))
    if far:
        times.pop(SERVICE_AT)
    if visit is None:
        made = Changes(elements=elements, done=dict.fromkeys(elements, _IN_ORDER))
        made = _order_times(made, order, child, times, now)
    else:
        where = _IN_MESSAGE if sent else _IN_VISIT
        made = _appointment(visit, elements, where)
        made = _visit_effective(made, order, visit, times.get(EFFECTIVE_AT), where)
        made = _visit_service(made, order, visit, times.get(SERVICE_AT), where, now)
    return _refused(made, SERVICE_AT, far) if far else made


# ---------------------------------------------------------------- without a visit


def _order_times(
    made: Changes,
    order: ServiceOrder,
    child: ChildFact | None,
    times: Mapping[str, datetime],
    now: datetime,
) -> Changes:
    effective, service = times.get(EFFECTIVE_AT), times.get(SERVICE_AT)
    if effective is not None:
        why = _no_effective(order, child)
        if why:
            made = _refused(made, EFFECTIVE_AT, why)
        else:
            made = _done(replace(made, effective_at=effective), EFFECTIVE_AT, _IN_ORDER)
    if service is None:
        return made
    own = None if child is None else child.spec.effective_at
    if child is not None and own is not None:
        what = child.spec.business_object
        return _refused(made, SERVICE_AT, f"{what} {child.id} is made for {own.isoformat()}")
    made = _done(replace(made, service_at=service), SERVICE_AT, _IN_ORDER)
    if child is not None and child.spec.due_at is not None:
        patience = child.spec.due_at - max(child.created_at, order.service_at)
        return replace(made, due_at=max(now, service) + patience)
    return made


def _no_effective(order: ServiceOrder, child: ChildFact | None) -> str:
    if child is not None and child.spec.kind is ChildKind.COMMAND:
        return "a command is queued already: cancel and order anew"
    return "" if child is None and order.state in _BEFORE else _BEGUN


# ---------------------------------------------------------------- with a visit


def _appointment(visit: FieldActivity, elements: Mapping[str, str], where: str) -> Changes:
    """The elements; an appointment that is booked moves along, or stays with both its times."""
    booked = visit.appointment
    given = {name: value for name, value in elements.items() if name in APPOINTMENT}
    if booked is None or not given:
        return Changes(elements=elements, done=dict.fromkeys(elements, where))
    rest = {name: value for name, value in elements.items() if name not in given}
    kept = Changes(elements=rest, done=dict.fromkeys(rest, where))
    if not all(given.values()):
        why = f"an appointment is booked until {booked.end.isoformat()}: give another one"
        return replace(kept, refused=dict.fromkeys(given, why))
    start, end = (
        _moment(name, given[name]) if name in given else known
        for name, known in zip(APPOINTMENT, (booked.start, booked.end), strict=True)
    )
    if end <= start:
        why = "the appointment would end before it begins: give both its times"
        return replace(kept, refused=dict.fromkeys(given, why))
    slot = replace(booked, start=start, end=end)
    return replace(kept, elements=elements, slot=slot, done=dict.fromkeys(elements, where))


def _visit_effective(
    made: Changes, order: ServiceOrder, visit: FieldActivity, at: datetime | None, where: str
) -> Changes:
    """From when on the crew may come."""
    if at is None:
        return made
    slot = made.slot or visit.appointment
    if slot is not None and at > slot.end:
        why = (
            f"the appointment ends at {slot.end.isoformat()}: give {' and '.join(APPOINTMENT)} too"
        )
        return _refused(made, EFFECTIVE_AT, why)
    if _reads_on_service_date(order, visit):
        why = f"the visit reads what is measured on the service date: give {SERVICE_AT}"
        return _refused(made, EFFECTIVE_AT, why)
    return _done(replace(made, effective_at=at, not_before=at), EFFECTIVE_AT, where)


def _visit_service(
    made: Changes,
    order: ServiceOrder,
    visit: FieldActivity,
    at: datetime | None,
    where: str,
    now: datetime,
) -> Changes:
    if at is None:
        return made
    made = _done(replace(made, service_at=at), SERVICE_AT, where)
    return replace(made, not_before=max(now, at)) if _reads_on_service_date(order, visit) else made


def _reads_on_service_date(order: ServiceOrder, visit: FieldActivity) -> bool:
    """Whether the visit was made to read, with a date of its own."""
    own = visit.spec.effective_at not in (None, order.effective_at)
    return own and set(visit.spec.changes) == {FieldEffect.MEASURE}


def _done(made: Changes, name: str, where: str) -> Changes:
    return replace(made, done={**made.done, name: where})


def _refused(made: Changes, name: str, why: str) -> Changes:
    return replace(made, refused={**made.refused, name: why})

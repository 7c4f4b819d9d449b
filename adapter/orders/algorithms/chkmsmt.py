"""D1-CHKMSMT: is there a measurement at the service date, and if not, where does one come from?

The parameters, the window and the two ranges are the source's. Which activity follows when
nothing is found is "based on the type and configuration of the device and service point" there;
the choices here are inferred, and those about waiting too long are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from adapter.commands.flows import READ_KINDS, CommandKind
from adapter.model.device import (
    Category,
    ComponentKind,
    DisconnectLocation,
    MeasuringComponent,
)
from adapter.model.measurement import CONDITION_LIMIT, ConditionRange, Measurement
from adapter.model.values import replace
from adapter.orders.activities import (
    FIELD_ACTIVITY,
    WAIT_MEASUREMENT,
    WAIT_SCHEDULED_READ,
    ChildKind,
)
from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.verdict import (
    Create,
    Error,
    Pass,
    SetField,
    Verdict,
    Wait,
    field_child,
)
from adapter.orders.order import (
    ActivityType,
    ChildFact,
    ChildSpec,
    ChildState,
    Installation,
    OrderProblem,
    ServiceOrder,
    TimeoutPolicy,
    View,
)
from adapter.orders.tasks import FieldEffect

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "wait_bo": "Activity BO To Wait For Measurement",
        "field_bo": "Activity BO For Field Read",
        "field_task": "Specific Field Task",
        "scheduled_bo": "Activity BO To Wait For Scheduled Read",
        "on_demand_bo": "Activity BO For On Demand Read - Scalar",
        "normal_start": "Start Range for Normal Measurement Condition",
        "normal_end": "End Range for Normal Measurement Condition",
        "bottom": "Minimum Range for bottom Measurement condition",
    }
)

READ_FIELDS = ("readId", "readAt", "readValue", "readCondition")
"""What an order remembers of its reading: start and stop dates follow its time, not the visit's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckMeasurement:
    """D1-CHKMSMT. The condition codes' base values are not published; these are ours."""

    wait_bo: str = WAIT_MEASUREMENT
    field_bo: str = FIELD_ACTIVITY
    task: str = "D1-ReadMeter"
    scheduled_bo: str = WAIT_SCHEDULED_READ
    on_demand_bo: str = "D1-OnDemandReadScalar"
    normal_start: int = 500_000
    normal_end: int = CONDITION_LIMIT
    bottom: int = 300_000


def parse(read: ParameterReader) -> CheckMeasurement:
    default = CheckMeasurement()
    found = CheckMeasurement(
        wait_bo=read.activity("wait_bo", default.wait_bo, ChildKind.WAIT_MEASUREMENT),
        field_bo=read.activity("field_bo", default.field_bo, ChildKind.FIELD),
        task=read.task("field_task", default.task, FieldEffect.MEASURE),
        scheduled_bo=read.activity(
            "scheduled_bo", default.scheduled_bo, ChildKind.WAIT_SCHEDULED_READ
        ),
        on_demand_bo=read.command("on_demand_bo", default.on_demand_bo, *READ_KINDS),
        normal_start=read.whole("normal_start", default.normal_start, most=CONDITION_LIMIT),
        normal_end=read.whole("normal_end", default.normal_end, most=CONDITION_LIMIT),
        bottom=read.whole("bottom", default.bottom, most=CONDITION_LIMIT),
    )
    if not found.bottom <= found.normal_start <= found.normal_end:
        raise read.fail("bottom", "the ranges must rise: bottom, normal_start, normal_end")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWindow:
    """Where a measurement counts: [start, end), UTC."""

    start: datetime
    end: datetime
    reference: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.start <= at < self.end


def window(activity_type: ActivityType, reference: datetime, zone: str) -> ReadWindow:
    """The search window around `reference` in the service point's own calendar.

    The search is by dates (documented: the day of the reference, and numbers of days by which it
    is widened): whole calendar days there, 23 or 25 hours long when clocks change. Offsets of 0 and
    0 are the day itself, as "within the day" is.
    """
    place = ZoneInfo(zone)
    day = reference.astimezone(place).date()
    within = activity_type.within_the_day
    before = timedelta(days=0 if within else activity_type.minimum_offset_days)
    after = timedelta(days=1 if within else activity_type.maximum_offset_days + 1)
    start = datetime.combine(day - before, time(), tzinfo=place)
    end = datetime.combine(day + after, time(), tzinfo=place)
    utc = ZoneInfo("UTC")
    return ReadWindow(start=start.astimezone(utc), end=end.astimezone(utc), reference=reference)


def choose(
    candidates: tuple[Measurement, ...], span: ReadWindow, params: CheckMeasurement
) -> Measurement | None:
    """The measurement nearest to the reference: in the normal range, else from the bottom up."""
    normal = ConditionRange(start=params.normal_start, end=params.normal_end)
    bottom = ConditionRange(start=params.bottom, end=CONDITION_LIMIT)
    inside = [each for each in candidates if each.use and each.at in span]
    for wanted in (normal, bottom):
        found = [each for each in inside if each.condition in wanted]
        if found:
            return min(found, key=lambda m: (abs(m.at - span.reference), m.at, m.id))
    return None


def _worth(each: Measurement, span: ReadWindow, params: CheckMeasurement) -> str:
    """What one measurement is to the search: the range it is in, or why it does not count."""
    if not each.use:
        return "replaced"
    if each.at not in span:
        return "outside"
    if each.condition in ConditionRange(start=params.normal_start, end=params.normal_end):
        return "normal"
    return "bottom" if each.condition >= params.bottom else "poor"


def measurements_seen(
    order: ServiceOrder, view: View, params: CheckMeasurement
) -> Mapping[str, str]:
    """What the check saw, for the record: the window, and of each component the measurement that
    counts, else the nearest that does not, as `time,condition code,worth`."""
    if not (_to_be_read(view) or _read_before(view)):
        return {}
    span = window(view.activity_type, order.service_at, view.service_point.time_zone)
    facts = {"measurementWindow": f"{span.start.isoformat()}/{span.end.isoformat()}"}
    for component in view.billing_components() or [None]:
        name = "" if component is None else component.id
        mine = _of(view, component)
        near = min(mine, key=lambda m: (abs(m.at - span.reference), m.at, m.id), default=None)
        best = choose(mine, span, params) or near
        told = "none"
        if best is not None:
            told = f"{best.at.isoformat()},{best.condition},{_worth(best, span, params)}"
        facts[f"measurement:{name or 'any'}"] = told
    return facts


def _to_be_read(view: View) -> bool:
    return view.service_point.category is Category.METER and view.device_installed


def _read_before(view: View) -> bool:
    """Whether meters were at the service point that are there no more."""
    return view.service_point.category is Category.METER and bool(view.removed)


def _of(view: View, component: MeasuringComponent | None) -> tuple[Measurement, ...]:
    """The measurements of a component, or of any: of the meter that is installed, and of former
    ones while they were there (documented: measurements on the service point)."""
    device = view.device.id if view.device is not None and view.device_installed else None
    own = [
        each
        for each in view.measurements
        if each.device in (None, device) and (component is None or each.component == component.id)
    ]
    former = [
        each
        for gone in view.removed
        if gone.device.id != device
        for each in view.measurements
        if each.device == gone.device.id and _was_there(gone, each) and _fits(gone, each, component)
    ]
    return (*own, *former)


def _was_there(gone: Installation, each: Measurement) -> bool:
    until = gone.event.removed_at
    return gone.event.installed_at <= each.at and (until is None or each.at <= until)


def _fits(gone: Installation, each: Measurement, component: MeasuringComponent | None) -> bool:
    """Whether a former meter's channel measured the same: names may differ from meter to meter."""
    if component is None or each.component == component.id:
        return True
    theirs = next((x for x in gone.device.components if x.id == each.component), None)
    return theirs is not None and _quantity(theirs) == _quantity(component)


def _quantity(component: MeasuringComponent) -> str:
    return "".join(component.quantity.casefold().split())


def check_measurement(order: ServiceOrder, view: View, params: CheckMeasurement) -> Verdict:
    """Pass with the reading remembered, or create what obtains or awaits one."""
    there = _to_be_read(view)
    if not (there or _read_before(view)):
        return Pass(note="no meter: nothing to read")
    span = window(view.activity_type, order.service_at, view.service_point.time_zone)
    found, missing = _search(view, span, params)
    if found and not missing:
        return _remember(order, found, params)
    if not there:
        return Pass(note="no meter any more, and none of the former ones was read in time")
    return _obtain(order, view, params, span, missing)


def reading_found(order: ServiceOrder, view: View, params: CheckMeasurement) -> bool:
    """Whether every component that has to be read is: when a wait for a measurement ends."""
    span = window(view.activity_type, order.service_at, view.service_point.time_zone)
    found, missing = _search(view, span, params)
    return bool(found) and not missing


def _search(
    view: View, span: ReadWindow, params: CheckMeasurement
) -> tuple[list[Measurement], list[MeasuringComponent]]:
    """What was found, and the billing components for which nothing was."""
    components = view.billing_components() if _to_be_read(view) else ()
    if not components:
        one = choose(_of(view, None), span, params)
        return ([one] if one is not None else []), []
    found, missing = [], []
    for component in components:
        best = choose(_of(view, component), span, params)
        if best is None:
            missing.append(component)
        else:
            found.append(best)
    return found, missing


def _remember(order: ServiceOrder, found: list[Measurement], params: CheckMeasurement) -> Verdict:
    """The earliest component's reading gives the time; all are named. One from the bottom up counts
    (documented), and the record says that it is not a normal one."""
    values = (
        " ".join(m.id for m in found),
        min(m.at for m in found).isoformat(),
        " ".join(f"{m.component}={m.value}" for m in found),
        " ".join(str(m.condition) for m in found),
    )
    fields = dict(zip(READ_FIELDS, values, strict=True))
    low = _below_normal(found, params)
    if all(order.fields.get(name) == value for name, value in fields.items()):
        return Pass(note=f"the reading is known{low}")
    return SetField(fields=fields, note=f"a measurement was found{low}")


def _below_normal(found: list[Measurement], params: CheckMeasurement) -> str:
    normal = ConditionRange(start=params.normal_start, end=params.normal_end)
    low = [f"{m.component} {m.condition}" for m in found if m.condition not in normal]
    return f", not in the normal range: {', '.join(low)}" if low else ""


def _obtain(
    order: ServiceOrder,
    view: View,
    params: CheckMeasurement,
    span: ReadWindow,
    missing: list[MeasuringComponent],
) -> Verdict:
    own = [c for c in view.children if _reads(c, params)]
    if own and not own[-1].final:
        return Wait(child=own[-1].id)
    recent = [c for c in own if c.number > order.first_of_retry]
    if recent:
        return _after(recent, view, params, span)
    if view.reading_on_its_way:
        return _wait(view, params, span, "a reading is being validated")
    if view.now >= span.end:
        return _no_reading("the time for a reading is over and there is none")
    return _first(view, params, span, missing)


def _reads(child: ChildFact, params: CheckMeasurement) -> bool:
    """Whether the child was made by this algorithm."""
    made = (params.wait_bo, params.scheduled_bo, params.on_demand_bo)
    name = child.spec.business_object
    return name in made or (name == params.field_bo and child.spec.task == params.task)


def _after(own: list[ChildFact], view: View, params: CheckMeasurement, span: ReadWindow) -> Verdict:
    """What follows own earlier attempts, none of which has given a measurement yet."""
    last = own[-1]
    name = last.spec.business_object
    if last.completed:
        if name == params.wait_bo:
            return _no_reading("the wait has ended and there is no measurement in the window")
        return _wait(view, params, span, "read; the value is not a final measurement yet")
    if name == params.on_demand_bo:
        return _field_read(view, params, span, f"the on-demand read ended as {last.state}")
    waited = name in (params.wait_bo, params.scheduled_bo)
    visited = any(c.spec.task == params.task for c in own)
    allowed = view.activity_type.on_wait_time_out is TimeoutPolicy.FIELD_READ
    if waited and last.state is ChildState.TIMED_OUT and allowed and not visited:
        return _field_read(view, params, span, "the wait timed out")
    return _no_reading(f"{name} ended as {last.state} and there is no measurement")


def _first(
    view: View, params: CheckMeasurement, span: ReadWindow, missing: list[MeasuringComponent]
) -> Verdict:
    """The first attempt. A reference still ahead gives the activity that effective date (ours)."""
    device = view.device.id if view.device is not None else None
    smart = view.device is not None and view.device.smart
    start = max(view.now, span.reference)
    if smart and missing and all(c.kind is ComponentKind.INTERVAL for c in missing):
        return _wait(view, params, span, "interval data arrive by themselves")
    if smart and _readable(view, params):
        object_ = view.lookups.objects[params.on_demand_bo]
        child = ChildSpec(
            business_object=object_.name,
            kind=ChildKind.COMMAND,
            command=object_.command,
            device=device,
            blocking=False,
            effective_at=start,
        )
        return Create(child=child, note="no measurement: read on demand")
    scheduled = next((at for at in view.scheduled_reads if at >= view.now and at in span), None)
    if scheduled is not None:
        child = ChildSpec(
            business_object=params.scheduled_bo,
            kind=ChildKind.WAIT_SCHEDULED_READ,
            device=device,
            blocking=False,
            effective_at=scheduled,
            due_at=scheduled + view.activity_type.wait_time_out,
        )
        return Create(child=child, note="a scheduled read falls inside the window")
    return _field_read(view, params, span, "no measurement: read in the field")


def _readable(view: View, params: CheckMeasurement) -> bool:
    """Commissioned, with power (inferred), and supporting the read that is configured."""
    point = view.service_point
    dead = not point.connected and point.disconnect_location is DisconnectLocation.SOURCE
    object_ = view.lookups.objects[params.on_demand_bo]
    command = object_.command or CommandKind.ON_DEMAND_READ_SCALAR
    return view.commissioned and not dead and view.supports(command)


def _wait(view: View, params: CheckMeasurement, span: ReadWindow, note: str) -> Verdict:
    """What is measured at a reference still ahead can only come after it (ours)."""
    child = ChildSpec(
        business_object=params.wait_bo,
        kind=ChildKind.WAIT_MEASUREMENT,
        device=view.device.id if view.device is not None else None,
        blocking=False,
        due_at=max(view.now, span.reference) + view.activity_type.wait_time_out,
    )
    return Create(child=child, note=note)


def _field_read(view: View, params: CheckMeasurement, span: ReadWindow, note: str) -> Verdict:
    """A visit that can still fall inside the window; one that cannot would never end (ours)."""
    if view.now >= span.end:
        return _no_reading(f"{note}, and a visit now would come after the window")
    child = field_child(view, params.field_bo, params.task)
    return Create(child=replace(child, effective_at=max(view.now, span.reference)), note=note)


def _no_reading(text: str) -> Verdict:
    return Error(
        problem=OrderProblem(
            code="no_reading",
            text=text,
            action="enter a reading (readings enter), or correct the service date; then retry",
        )
    )

"""Messages to and reports from a field work system as JSON. The form is ours.

Names are in camelCase, times ISO 8601 with a zone. A report of an unknown shape is refused by the
name of what is wrong; a message has more members some day, so that readers pass over those they
do not know.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

import msgspec

from adapter.commands.timing import given_in_utc, in_utc
from adapter.engine.orders.field_work import (
    CancelRefused,
    FieldMessage,
    FieldNews,
    FieldReport,
    OtherWork,
)
from adapter.errors import GatewayError, InvalidRequest, meant
from adapter.model.device import INTERVALS_S, Category, Device, DisconnectLocation, InstallStatus
from adapter.model.device import MeasuringComponent as Component
from adapter.model.entered_value import value_of_json
from adapter.model.ids import DeviceId, EndpointId, EventId, ServicePointId
from adapter.model.json_members import check_members, json_value
from adapter.model.measurement import (
    CONDITION_LIMIT,
    REGULAR,
    Measurement,
)
from adapter.model.texts import LONGEST, id_problem, text_problem
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import (
    AppointmentBooked,
    CrewStarted,
    Rescheduled,
    Slot,
    WorkCanceled,
    WorkReported,
)
from adapter.orders.lookups import BASE, OrderLookups
from adapter.orders.order import ChildId
from adapter.orders.tasks import FieldEffect


class BadReport(GatewayError):
    """What came is no report. The text names the member."""

    code = "bad_report"


Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=1000)]
Id: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST)]


class _Strict(msgspec.Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class ReadingForm(_Strict, omit_defaults=True, kw_only=True):
    """`device` where it is not the one that is installed afterwards."""

    component: Id
    at: Time
    value: msgspec.Raw
    condition: Annotated[int, msgspec.Meta(ge=0, le=CONDITION_LIMIT)] = REGULAR
    device: Id | None = None


class DeviceForm(_Strict, omit_defaults=True, kw_only=True):
    """A device as the crew reads it off. The registry's own record goes before it."""

    id: Id
    endpoint: Id | None = None
    serial: Text = ""
    device_type: Text = ""
    configuration_group: Text = ""
    head_end: Text = ""
    category: Category = Category.METER
    capabilities: tuple[str, ...] = ()
    components: tuple[Component, ...] = ()


class WorkForm(_Strict, omit_defaults=True, kw_only=True):
    """What was done at the place, or found there."""

    at: Time
    new_device: DeviceForm | None = None
    removed_device: Id | None = None
    install_status: Text | None = None
    disconnect_location: DisconnectLocation | None = None
    not_done: tuple[FieldEffect, ...] = ()
    readings: tuple[ReadingForm, ...] = ()
    reading_pending: bool = False
    remarks: tuple[Text, ...] = ()


class ReportForm(_Strict, tag_field="kind", omit_defaults=True, kw_only=True):
    id: Id
    activity: Id
    who: Text = ""


class BookedForm(ReportForm, tag="appointment_booked", kw_only=True):
    start: Time
    end: Time
    taken_by: Text = ""


class StartedForm(ReportForm, tag="crew_started", kw_only=True):
    pass


class RescheduledForm(ReportForm, tag="rescheduled", kw_only=True):
    start: Time
    end: Time
    taken_by: Text = ""
    reason: Text


class DoneForm(ReportForm, tag="work_reported", kw_only=True):
    work: WorkForm


class CanceledForm(ReportForm, tag="work_canceled", kw_only=True):
    reason: Text
    work: WorkForm


class CancelRefusedForm(ReportForm, tag="cancel_refused", kw_only=True):
    reason: Text


class OtherWorkForm(ReportForm, tag="other_work", kw_only=True):
    service_point: Id
    task: Id
    created_at: Time
    ended_at: Time | None = None
    done: bool = False


Form: TypeAlias = (
    BookedForm
    | StartedForm
    | RescheduledForm
    | DoneForm
    | CanceledForm
    | CancelRefusedForm
    | OtherWorkForm
)
_FORM: Final = msgspec.json.Decoder(Form)


# ---------------------------------------------------------------- reports


def read_report(raw: bytes, lookups: OrderLookups = BASE) -> FieldReport:
    """A report from its JSON, with the values of a site's own. Raises BadReport."""
    try:
        check_members(raw)
        form = _FORM.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise BadReport(str(error)) from error
    if (problem := next(_bad_names(form, ""), None)) is not None:
        raise BadReport(problem)
    try:
        news = _news(form, lookups)
    except InvalidRequest as error:  # a time at the edges of the calendar
        raise BadReport(str(error)) from error
    return FieldReport(id=form.id, activity=ChildId(form.activity), who=form.who, news=news)


_IDS: Final = frozenset(
    {"id", "activity", "component", "device", "removed_device", "endpoint", "service_point"}
)
_DEVICE_TEXTS: Final = frozenset({"serial", "device_type", "configuration_group", "head_end"})


def _fields_of(form: object) -> tuple[str, ...]:
    if isinstance(form, msgspec.Struct):
        return form.__struct_fields__
    return tuple(each.name for each in fields(form)) if isinstance(form, Component) else ()


def _bad_names(form: object, place: str) -> Iterator[str]:
    """What is wrong with each id and text of a report that the registry or the store would keep:
    the rule of imports."""
    for each in _fields_of(form):
        value, at = getattr(form, each), f"{place}{_camel(each)}"
        check = id_problem if each in _IDS else text_problem if each in _DEVICE_TEXTS else None
        if isinstance(value, str) and check is not None:
            if (problem := check(value)) is not None:
                yield f"{at}: {problem}"
        elif isinstance(value, msgspec.Struct):
            yield from _bad_names(value, f"{at}.")
        elif isinstance(value, tuple):
            for number, inner in enumerate(value):
                if isinstance(inner, msgspec.Struct | Component):
                    yield from _bad_names(inner, f"{at}[{number}].")


def _news(form: Form, lookups: OrderLookups) -> FieldNews:
    match form:
        case BookedForm():
            return AppointmentBooked(slot=_slot(form))
        case StartedForm():
            return CrewStarted()
        case RescheduledForm():
            return Rescheduled(slot=_slot(form), reason=form.reason)
        case DoneForm():
            return WorkReported(report=_work(form.id, form.work, lookups), who=form.who)
        case CanceledForm():
            work = _work(form.id, form.work, lookups)
            return WorkCanceled(reason=form.reason, report=work, who=form.who)
        case CancelRefusedForm():
            return CancelRefused(reason=form.reason)
        case OtherWorkForm():
            return _other(form, lookups)


def _other(form: OtherWorkForm, lookups: OrderLookups) -> OtherWork:
    task = lookups.task(form.task)
    if task is None:
        close = meant(form.task, lookups.task_names)
        raise BadReport(f"task: unknown field task {form.task}{close}")
    if form.done and form.ended_at is None:
        raise BadReport("endedAt: is needed of work that was done")
    return OtherWork(
        service_point=ServicePointId(form.service_point),
        task=task.name,
        created_at=in_utc("createdAt", form.created_at),
        ended_at=given_in_utc("endedAt", form.ended_at),
        done=form.done,
    )


def _slot(form: BookedForm | RescheduledForm) -> Slot:
    if form.end <= form.start:
        raise BadReport("end: must be after start")
    return Slot(
        start=in_utc("start", form.start), end=in_utc("end", form.end), taken_by=form.taken_by
    )


def _work(report: str, form: WorkForm, lookups: OrderLookups) -> CompletionReport:
    device = None if form.new_device is None else _device(form.new_device)
    status, site_status = _status(form.install_status, lookups)
    return CompletionReport(
        at=in_utc("at", form.at),
        cause=EventId(report),
        new_device=device,
        new_capabilities=frozenset() if device is None else device.capabilities,
        install_status=status,
        site_status=site_status,
        disconnect_location=form.disconnect_location,
        not_done=frozenset(form.not_done),
        measurements=tuple(_reading(report, each) for each in form.readings),
        reading_pending=form.reading_pending,
        removed_device=None if form.removed_device is None else DeviceId(form.removed_device),
        remarks=form.remarks,
    )


def _status(name: str | None, lookups: OrderLookups) -> tuple[InstallStatus | None, str]:
    if name is None:
        return None, ""
    found = lookups.status(name)
    if found is None:
        known = ", ".join(lookups.status_names)
        raise BadReport(f"installStatus: {name} is not one of {known}")
    return found


def _device(form: DeviceForm) -> Device:
    if any(not INTERVALS_S.holds(each.seconds) for each in form.components):
        raise BadReport(f"components: seconds must be a whole number, {INTERVALS_S}")
    return Device(
        id=DeviceId(form.id),
        endpoint=None if form.endpoint is None else EndpointId(form.endpoint),
        serial=form.serial,
        device_type=form.device_type,
        configuration_group=form.configuration_group,
        head_end=form.head_end,
        category=form.category,
        capabilities=frozenset(form.capabilities),
        components=form.components,
    )


def _reading(report: str, form: ReadingForm) -> Measurement:
    try:
        value = value_of_json(bytes(form.value))
    except ValueError as error:
        raise BadReport(f"value: {error}") from None
    return Measurement(
        id=f"{report}/{form.component}",
        component=form.component,
        at=in_utc("at", form.at),
        value=value,
        condition=form.condition,
        device=None if form.device is None else DeviceId(form.device),
    )


def report_json(report: FieldReport) -> bytes:
    """What `read_report` reads back as the same report."""
    return msgspec.json.encode(_form(report), order="deterministic")


def _form(report: FieldReport) -> Form:
    id_, activity, who = report.id, report.activity, report.who
    match report.news:
        case AppointmentBooked(slot=slot):
            return BookedForm(
                id=id_,
                activity=activity,
                who=who,
                start=slot.start,
                end=slot.end,
                taken_by=slot.taken_by,
            )
        case CrewStarted():
            return StartedForm(id=id_, activity=activity, who=who)
        case Rescheduled(slot=slot, reason=reason):
            return RescheduledForm(
                id=id_,
                activity=activity,
                who=who,
                start=slot.start,
                end=slot.end,
                taken_by=slot.taken_by,
                reason=reason,
            )
        case WorkReported(report=work):
            return DoneForm(id=id_, activity=activity, who=who, work=_work_form(work))
        case WorkCanceled(report=work, reason=reason):
            form = _work_form(work)
            return CanceledForm(id=id_, activity=activity, who=who, reason=reason, work=form)
        case CancelRefused(reason=reason):
            return CancelRefusedForm(id=id_, activity=activity, who=who, reason=reason)
        case OtherWork():
            return OtherWorkForm(
                id=id_,
                activity=activity,
                who=who,
                service_point=report.news.service_point,
                task=report.news.task,
                created_at=report.news.created_at,
                ended_at=report.news.ended_at,
                done=report.news.done,
            )


def _work_form(work: CompletionReport) -> WorkForm:
    return WorkForm(
        at=work.at,
        new_device=None if work.new_device is None else _device_form(work.new_device),
        removed_device=work.removed_device,
        install_status=work.site_status or work.install_status,
        disconnect_location=work.disconnect_location,
        not_done=tuple(sorted(work.not_done)),
        readings=tuple(
            ReadingForm(
                component=each.component,
                at=each.at,
                value=msgspec.Raw(msgspec.json.encode(each.value)),
                condition=each.condition,
                device=each.device,
            )
            for each in work.measurements
        ),
        reading_pending=work.reading_pending,
        remarks=work.remarks,
    )


def _device_form(device: Device) -> DeviceForm:
    return DeviceForm(
        id=device.id,
        endpoint=device.endpoint,
        serial=device.serial,
        device_type=device.device_type,
        configuration_group=device.configuration_group,
        head_end=device.head_end,
        category=device.category,
        capabilities=tuple(sorted(device.capabilities)),
        components=device.components,
    )


# ---------------------------------------------------------------- messages


def message_json(message: FieldMessage) -> bytes:
    """One message, on one line; the same message gives the same bytes."""
    return msgspec.json.encode(_renamed(message, _camel), order="deterministic") + b"\n"


def read_message(raw: bytes) -> FieldMessage:
    """What `message_json` wrote: for crews on the other side. Raises BadReport."""
    try:
        return msgspec.convert(_renamed(json_value(raw), _snake), FieldMessage)
    except (ValueError, msgspec.ValidationError) as error:
        raise BadReport(str(error)) from error


_FREE: Final = frozenset({"details"})
"""Members whose names are the site's own."""


def _renamed(value: object, name: Callable[[str], str]) -> object:
    if isinstance(value, FieldMessage):
        value = msgspec.to_builtins(value)
    if isinstance(value, Mapping):
        named = [(name(key), key, each) for key, each in value.items()]
        made = {to: each if key in _FREE else _renamed(each, name) for to, key, each in named}
        if len(made) != len(named):
            raise BadReport("a member stands twice, in two spellings")
        return made
    if isinstance(value, list | tuple):
        return [_renamed(each, name) for each in value]
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


_SNAKE: Final[Mapping[str, str]] = MappingProxyType(
    {
        _camel(name): name
        for name in (
            "service_point",
            "disconnect_location",
            "order_kind",
            "created_at",
            "not_before",
            "taken_by",
            "ended_at",
        )
    }
)


def _snake(name: str) -> str:
    return _SNAKE.get(name, name)

"""One algorithm as it is written in the matrix and in TOML -> its typed parameters.

Keys are short names of the source's parameter labels (`LABELS`); rows and pairs are the source's
mnemonic text. A key, value or row that could never work is refused with its place.
"""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from adapter.commands.flows import READ_KINDS, CommandKind
from adapter.errors import SettingsError, meant
from adapter.model.device import CONNECTED, InstallStatus
from adapter.model.measurement import CONDITION_LIMIT
from adapter.orders.activities import BUSINESS_OBJECTS, FIELD_ACTIVITY, ChildKind
from adapter.orders.algorithms.mnemonics import Grammar, RowError, RowList, parse_row, parse_rows
from adapter.orders.algorithms.rows import (
    Algorithm,
    AlgorithmType,
    CheckMeasurement,
    CompatibilityCheckParameters,
    ConnectIfConnectedBefore,
    CreateMeterExchange,
    CreateSpecificActivity,
    CustomFunction,
    DecommissionRemoved,
    MaintainSpecificActivity,
    MissingService,
    Parameters,
    RemoteOffOn,
    UpdateDevice,
)
from adapter.orders.tasks import FIELD_TASKS, FieldEffect, field_task

Raw = Mapping[str, object]
_EXCHANGE: Final = (FieldEffect.REMOVE, FieldEffect.INSTALL)

_T = AlgorithmType
LABELS: Final[Mapping[AlgorithmType, Mapping[str, str]]] = MappingProxyType(
    {
        _T.DVCOMCHK: {
            "activity_bo": "Activity BO To Create If Compatibility Detected",
            "field_task": "(ours) field task of that activity",
        },
        _T.CONPRECON: {},
        _T.CRSPACT: {
            "field_activity_bo": "Field Activity BO",
            "rows": "SP State and Activity BO to Create",
        },
        _T.CREMTREXC: {
            "activity": "Activity and Specific Field Task to Create",
            "item_field_task": "(ours) field task for an item",
        },
        _T.UPDDVC: {
            "error_if_missing": "Error if SP Not Connected or no Device Installed",
            "rows": "SP State and Activity BO to Create",
            "field_activity_bo": "Field Activity BO",
            "element": "XPath of Activity Element controlling Activity creation",
            "stop_value": "Element value indication that Activity creation should not proceed",
            "service_point_rows": "(ours) rows by the service point's own state, looked at first",
            "alternative_after": "(ours) failed commands before the alternative field task, 0: off",
        },
        _T.REMONOFF: {
            "incompatibility_bo": "Device Incompatibility Detected Activity BO",
            "connect_bo": "Remote Connect BO",
            "disconnect_bo": "Remote Disconnect BO",
            "status_after_connect": "Installation Event Status Override for Connect",
            "status_after_disconnect": "Installation Event Status Override for Disconnect",
        },
        _T.DCRMMTR: {
            "activity": "Decommission Activity BO to be created",
            "blocking": "(ours) whether a failed decommissioning stops the order",
        },
        _T.CHKMSMT: {
            "wait_bo": "Activity BO To Wait For Measurement",
            "field_bo": "Activity BO For Field Read",
            "field_task": "Specific Field Task",
            "scheduled_bo": "Activity BO To Wait For Scheduled Read",
            "on_demand_bo": "Activity BO For On Demand Read - Scalar",
            "normal_start": "Start Range for Normal Measurement Condition",
            "normal_end": "End Range for Normal Measurement Condition",
            "bottom": "Minimum Range for bottom Measurement condition",
        },
        _T.CANSPACT: {},
        _T.UPDSPAC: {},
        _T.CUSTOM: {"function": "(ours) package.module:function"},
    }
)
"""The source's labels of every parameter; "(ours)" marks what the source does not have."""


def _words(effects: Iterable[FieldEffect]) -> str:
    return " and ".join(each.value for each in effects)


class _Reader:
    """Reads one algorithm's raw parameters, naming the place of whatever is wrong."""

    def __init__(self, type_: AlgorithmType, where: str, raw: Raw) -> None:
        self.where = where
        self.raw = raw
        unknown = sorted(set(raw) - set(LABELS[type_]))
        if unknown:
            close = meant(unknown[0], LABELS[type_])
            raise SettingsError(f"{where}: {type_} has no parameter {unknown[0]!r}{close}")

    def fail(self, key: str, rule: str) -> SettingsError:
        return SettingsError(f"{self.where}, {key}: {rule}")

    def text(self, key: str, default: str = "") -> str:
        value = self.raw.get(key, default)
        if not isinstance(value, str):
            raise self.fail(key, "must be text")
        return value

    def whole(self, key: str, default: int, *, most: int) -> int:
        value = self.raw.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise self.fail(key, f"must be a whole number from 0 to {most}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.raw.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, "must be true or false")
        return value

    def lines(self, key: str) -> tuple[str, ...]:
        """A list of texts, or one text with a row per line."""
        value = self.raw.get(key, ())
        if isinstance(value, str):
            value = [line for line in value.splitlines() if line.strip()]
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise self.fail(key, "must be a list of texts")
        return tuple(str(each) for each in value)

    def task(self, key: str, default: str, *effects: FieldEffect) -> str:
        """A field task with these effects: the algorithm waits for just that to be done."""
        name = self.text(key, default)
        known = field_task(name)
        if known is None:
            raise self.fail(key, f"{name} is not a known field task type{meant(name, FIELD_TASKS)}")
        if not set(effects) <= set(known.successful):
            raise self.fail(key, f"{known.name} is no task to {_words(effects)}")
        return known.name

    def status(self, key: str, default: InstallStatus) -> InstallStatus:
        name = self.text(key, default.value)
        known = next((s for s in InstallStatus if s.value.casefold() == name.casefold()), None)
        if known is None:
            raise self.fail(
                key, f"{name} is not an installation status ({', '.join(InstallStatus)})"
            )
        return known

    def command(self, key: str, default: str, *kinds: CommandKind) -> str:
        """The object of a command of one of `kinds`: another one would do something else."""
        name = self.text(key, default)
        allowed = {each.name: each for each in BUSINESS_OBJECTS.values() if each.command in kinds}
        if name not in allowed:
            raise self.fail(key, f"{name} is not {' or '.join(allowed)}")
        return name

    def activity(self, key: str, default: str, kind: ChildKind) -> str:
        """The object of an activity of that kind, which is no command."""
        name = self.text(key, default)
        allowed = [each.name for each in BUSINESS_OBJECTS.values() if each.kind is kind]
        if name not in allowed and name != default:
            raise self.fail(key, f"{name} is not {' or '.join(allowed)}")
        return name


def _compatibility(read: _Reader) -> Parameters:
    default = CompatibilityCheckParameters()
    return CompatibilityCheckParameters(
        activity_bo=read.activity("activity_bo", default.activity_bo, ChildKind.FIELD),
        task=read.task("field_task", default.task),
    )


def _specific(read: _Reader) -> Parameters:
    field_bo = read.activity("field_activity_bo", "", ChildKind.FIELD)
    how = RowList(where=read.where, grammar=Grammar.SERVICE_POINT, field_activity_bo=field_bo)
    return CreateSpecificActivity(
        field_activity_bo=field_bo, rows=parse_rows(read.lines("rows"), how)
    )


def _exchange(read: _Reader) -> Parameters:
    default = CreateMeterExchange()
    text = read.text(
        "activity", f"activityBOToCreate={FIELD_ACTIVITY} specificFieldTask={default.task}"
    )
    row = parse_row(text, 1, RowList(where=read.where, grammar=Grammar.EXCHANGE))
    if not row.task:
        raise read.fail("activity", "specificFieldTask is missing")
    if BUSINESS_OBJECTS[row.business_object].kind is not ChildKind.FIELD:
        raise read.fail("activity", f"{row.business_object} is no field activity")
    if not set(_EXCHANGE) <= set(FIELD_TASKS[row.task].successful):
        raise read.fail("activity", f"{row.task} is no task to {_words(_EXCHANGE)}")
    return CreateMeterExchange(
        activity_bo=row.business_object,
        task=row.task,
        item_task=read.task("item_field_task", default.item_task, *_EXCHANGE),
    )


def _update(read: _Reader) -> Parameters:
    field_bo = read.activity("field_activity_bo", "", ChildKind.FIELD)
    missing = read.text("error_if_missing", MissingService.YES.value)
    if missing not in {each.value for each in MissingService}:
        raise read.fail("error_if_missing", f"{missing} is neither Yes nor Con")
    element, stop = read.text("element"), read.text("stop_value")
    if bool(element) != bool(stop):
        raise read.fail("element", "an element and its stop value belong together")
    rows = RowList(where=read.where, grammar=Grammar.DEVICE, field_activity_bo=field_bo)
    points = RowList(
        where=f"{read.where}, service point rows",
        grammar=Grammar.SERVICE_POINT,
        origin="service point",
        field_activity_bo=field_bo,
    )
    point_rows = parse_rows(read.lines("service_point_rows"), points)
    for row in point_rows:
        if row.execute_override:
            raise RowError(points.where, row.number, "executeOverrideAlgorithm is D1-CRSPACT's")
    return UpdateDevice(
        missing=MissingService(missing),
        rows=parse_rows(read.lines("rows"), rows),
        field_activity_bo=field_bo,
        element=element,
        stop_value=stop,
        service_point_rows=point_rows,
        alternative_after=read.whole("alternative_after", 0, most=10),
    )


def _off_on(read: _Reader) -> Parameters:
    default = RemoteOffOn()
    found = RemoteOffOn(
        incompatibility_bo=read.activity(
            "incompatibility_bo", default.incompatibility_bo, ChildKind.FIELD
        ),
        connect_bo=read.command("connect_bo", default.connect_bo, CommandKind.REMOTE_CONNECT),
        disconnect_bo=read.command(
            "disconnect_bo", default.disconnect_bo, CommandKind.REMOTE_DISCONNECT
        ),
        status_after_connect=read.status("status_after_connect", default.status_after_connect),
        status_after_disconnect=read.status(
            "status_after_disconnect", default.status_after_disconnect
        ),
    )
    if found.status_after_disconnect in CONNECTED:
        raise read.fail("status_after_disconnect", "a connected status would hide the off")
    if found.status_after_connect not in CONNECTED:
        raise read.fail("status_after_connect", "does not name a connected status")
    return found


def _decommission(read: _Reader) -> Parameters:
    text = read.text("activity", "activityBOToCreate=D1-DeviceDecommission")
    row = parse_row(text, 1, RowList(where=read.where, grammar=Grammar.DECOMMISSION))
    if BUSINESS_OBJECTS[row.business_object].command is not CommandKind.DEVICE_DECOMMISSIONING:
        raise read.fail("activity", f"{row.business_object} does not decommission")
    return DecommissionRemoved(
        activity_bo=row.business_object, blocking=read.flag("blocking", True)
    )


def _measurement(read: _Reader) -> Parameters:
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


def _custom(read: _Reader) -> Parameters:
    name = read.text("function")
    package, colon, function = name.partition(":")
    if not (package and colon and function.isidentifier()):
        raise read.fail("function", "must be package.module:function")
    return CustomFunction(function=name)


_READERS: Final[Mapping[AlgorithmType, Callable[[_Reader], Parameters]]] = MappingProxyType(
    {
        _T.DVCOMCHK: _compatibility,
        _T.CONPRECON: lambda _read: ConnectIfConnectedBefore(),
        _T.CRSPACT: _specific,
        _T.CREMTREXC: _exchange,
        _T.UPDDVC: _update,
        _T.REMONOFF: _off_on,
        _T.DCRMMTR: _decommission,
        _T.CHKMSMT: _measurement,
        _T.CANSPACT: lambda _read: MaintainSpecificActivity(),
        _T.UPDSPAC: lambda _read: MaintainSpecificActivity(),
        _T.CUSTOM: _custom,
    }
)


def parse_algorithm(type_: AlgorithmType, name: str, raw: Raw, *, where: str) -> Algorithm:
    """One algorithm with typed parameters. Raises SettingsError (RowError for a row)."""
    place = f"{where}: {name}"
    return Algorithm(type=type_, name=name, parameters=_READERS[type_](_Reader(type_, place, raw)))

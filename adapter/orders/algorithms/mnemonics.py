"""The source's mnemonic text -> typed rows. Everything that could never work is refused here.

`servicePointConnected=false disconnectLocation=D1SR specificFieldTask=D1-InstallMeter`: pairs are
separated by blanks, an absent condition matches anything, the first row that matches is used.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from types import MappingProxyType
from typing import Final

from adapter.errors import SettingsError, meant
from adapter.model.device import Category, DisconnectLocation, InstallStatus
from adapter.model.values import replace
from adapter.orders.activities import BusinessObject, ChildKind
from adapter.orders.algorithms.rows import SKIP, ParameterRow
from adapter.orders.lookups import BASE, OrderLookups

MOST_ROWS: Final = 20
"""Documented for the algorithm's own parameters; a zone's rows come on top."""


class RowError(SettingsError):
    """A row that cannot be used. `number` counts from 1; 0 means the list as a whole."""

    code = "bad_row"

    def __init__(self, where: str, number: int, text: str) -> None:
        place = f"{where}, row {number}" if number else where
        super().__init__(f"{place}: {text}")
        self.number = number


class Grammar(StrEnum):
    """Which mnemonics a list of rows knows."""

    SERVICE_POINT = "D1-CRSPACT"
    DEVICE = "D1-UPDDVC"
    EXCHANGE = "D1-CREMTREXC"
    DECOMMISSION = "D1-DCRMMTR"


STATUS_SPELLINGS: Final = ("installationEventStatusOverride", "installEventStatusOverride")
"""The source's table has the first, its example the second. We write the first."""

TASK: Final = "specificFieldTask"
_TARGETS: Final = ("activityBOToCreate", TASK)
_POINT: Final = ("servicePointConnected", "disconnectLocation", "deviceInstalledAtSP")
MNEMONICS: Final[Mapping[Grammar, frozenset[str]]] = MappingProxyType(
    {
        Grammar.SERVICE_POINT: frozenset(
            (*_POINT, *STATUS_SPELLINGS, *_TARGETS, "spTypeCategory", "executeOverrideAlgorithm")
        ),
        Grammar.DEVICE: frozenset(
            (*STATUS_SPELLINGS, *_TARGETS, "spTypeCategory", "alternativeFieldTask")
        ),
        Grammar.EXCHANGE: frozenset(_TARGETS),
        Grammar.DECOMMISSION: frozenset({"activityBOToCreate"}),
    }
)
SP_TYPE: Final = "spType"
"""Only a zone's rows may name a service point type (ours for the spelling)."""

_BOOLEANS: Final = MappingProxyType({"true": True, "false": False})


@dataclass(frozen=True, slots=True, kw_only=True)
class RowList:
    """How one list of rows is read: for messages, by which grammar, within which limits."""

    where: str
    grammar: Grammar
    origin: str = "parameter"
    field_activity_bo: str = ""
    most: int | None = MOST_ROWS
    zone: bool = False
    lookups: OrderLookups = BASE
    in_service: bool = False
    """Whether the rows are looked at only where the service point is connected and a device is
    installed."""


def parse_rows(texts: Sequence[str], how: RowList) -> tuple[ParameterRow, ...]:
    """The typed rows, in order. Raises RowError naming the row and what is wrong with it."""
    if how.most is not None and len(texts) > how.most:
        raise RowError(how.where, 0, f"{len(texts)} rows; at most {how.most} are allowed")
    rows = tuple(parse_row(text, number, how) for number, text in enumerate(texts, start=1))
    _refuse_unreachable(rows, how)
    return rows


def parse_row(text: str, number: int, how: RowList) -> ParameterRow:
    """One row. Raises RowError."""
    pairs = _pairs(text, number, how)
    row = ParameterRow(
        number=number, text=" ".join(f"{k}={v}" for k, v in pairs.items()), origin=how.origin
    )
    for name, value in pairs.items():
        read = _READERS[name](row, value, how)
        if read is None:
            raise RowError(
                how.where,
                number,
                f"{name}={value} is not a known value{_known(name, value, how.lookups)}",
            )
        row = read
    _check_result(row, how)
    return row


def _pairs(text: str, number: int, how: RowList) -> dict[str, str]:
    known = MNEMONICS[how.grammar] | ({SP_TYPE} if how.zone else frozenset())
    pairs: dict[str, str] = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise RowError(how.where, number, f"{part!r} is not of the form name=value")
        if name not in known:
            raise RowError(
                how.where, number, f"unknown mnemonic {name!r}{meant(name, sorted(known))}"
            )
        name = STATUS_SPELLINGS[0] if name in STATUS_SPELLINGS else name
        if name in pairs:
            raise RowError(how.where, number, f"{name} is given twice")
        pairs[name] = value
    if not pairs:
        raise RowError(how.where, number, "the row is empty")
    return pairs


Reader = Callable[[ParameterRow, str, RowList], ParameterRow | None]
"""Writes one value into a row; None where the value is not known."""


def _connected(row: ParameterRow, value: str, _how: RowList) -> ParameterRow | None:
    known = _BOOLEANS.get(value)
    return None if known is None else replace(row, connected=known)


def _installed(row: ParameterRow, value: str, _how: RowList) -> ParameterRow | None:
    known = _BOOLEANS.get(value)
    return None if known is None else replace(row, device_installed=known)


def _override(row: ParameterRow, value: str, _how: RowList) -> ParameterRow | None:
    known = _BOOLEANS.get(value)
    return None if known is None else replace(row, execute_override=known)


def _location(row: ParameterRow, value: str, _how: RowList) -> ParameterRow | None:
    known = next((each for each in DisconnectLocation if each.value == value), None)
    return None if known is None else replace(row, disconnect_location=known)


def _status(row: ParameterRow, value: str, how: RowList) -> ParameterRow | None:
    """Without case: production databases write CONN-COMM."""
    known = how.lookups.status(value)
    return None if known is None else replace(row, status=known[0], site_status=known[1])


def _category(row: ParameterRow, value: str, _how: RowList) -> ParameterRow | None:
    known = next((each for each in Category if each.value == value), None)
    return None if known is None else replace(row, category=known)


def _object(row: ParameterRow, value: str, how: RowList) -> ParameterRow | None:
    return replace(row, business_object=value) if value in how.lookups.objects else None


def _task(row: ParameterRow, value: str, how: RowList) -> ParameterRow | None:
    known = how.lookups.task(value)
    return None if known is None else replace(row, task=known.name)


def _alternative(row: ParameterRow, value: str, how: RowList) -> ParameterRow | None:
    if value == SKIP:
        return replace(row, alternative=SKIP)
    known = how.lookups.task(value)
    return None if known is None else replace(row, alternative=known.name)


def _sp_type(row: ParameterRow, value: str, _how: RowList) -> ParameterRow | None:
    return replace(row, sp_type=value)


_READERS: Final[Mapping[str, Reader]] = MappingProxyType(
    {
        "servicePointConnected": _connected,
        "disconnectLocation": _location,
        "deviceInstalledAtSP": _installed,
        STATUS_SPELLINGS[0]: _status,
        "spTypeCategory": _category,
        "activityBOToCreate": _object,
        "specificFieldTask": _task,
        "alternativeFieldTask": _alternative,
        "executeOverrideAlgorithm": _override,
        SP_TYPE: _sp_type,
    }
)


_VALUES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "servicePointConnected": tuple(_BOOLEANS),
        "disconnectLocation": tuple(DisconnectLocation),
        "deviceInstalledAtSP": tuple(_BOOLEANS),
        STATUS_SPELLINGS[0]: tuple(InstallStatus),
        "spTypeCategory": tuple(Category),
        "executeOverrideAlgorithm": tuple(_BOOLEANS),
    }
)
"""The mnemonics with few values, and all of those."""
MNEMONIC_VALUES: Final[Mapping[str, str]] = MappingProxyType(
    {
        **{name: ", ".join(values) for name, values in _VALUES.items()},
        "activityBOToCreate": "an activity business object: a command's, or D1-FieldActivity",
        TASK: "a field task type",
        "alternativeFieldTask": f"a field task type, for a device without the command; {SKIP}",
        SP_TYPE: "a service point type of the site's own",
    }
)
"""Every mnemonic with its values, for people."""


def _known(name: str, value: str, lookups: OrderLookups) -> str:
    """For a refusal: all values where they are few, else the one that may have been meant."""
    if name == STATUS_SPELLINGS[0]:
        return f" ({', '.join((*_VALUES[name], *lookups.statuses))})"
    if name in _VALUES:
        return f" ({', '.join(_VALUES[name])})"
    objects = name == "activityBOToCreate"
    return meant(value, lookups.objects if objects else lookups.task_names)


def _check_result(row: ParameterRow, how: RowList) -> None:
    field_bo = how.field_activity_bo
    known = how.lookups.objects.get(row.business_object)
    if not (row.business_object or row.task or row.execute_override):
        raise RowError(how.where, row.number, "no result: nothing says what to create")
    if row.alternative and (known is None or known.kind is not ChildKind.COMMAND):
        raise RowError(how.where, row.number, "alternativeFieldTask without a command to replace")
    if how.grammar in (Grammar.EXCHANGE, Grammar.DECOMMISSION):
        if not row.business_object:
            raise RowError(how.where, row.number, "activityBOToCreate is missing")
    elif row.business_object and row.task:
        _check_field_activity(row, known, how)
    if known is not None and known.kind not in (ChildKind.COMMAND, ChildKind.FIELD):
        raise RowError(how.where, row.number, f"{known.name} is created by D1-CHKMSMT only")
    if known is not None and known.kind is ChildKind.COMMAND and row.device_installed is False:
        raise RowError(how.where, row.number, f"{known.name} where no device is installed")
    wants_field = row.task or (row.alternative and row.alternative != SKIP)
    if wants_field and not (field_bo or (row.business_object and row.task)):
        raise RowError(how.where, row.number, "a field task without a Field Activity BO")
    if known is not None and known.kind is ChildKind.FIELD and not (known.task or row.task):
        raise RowError(
            how.where, row.number, f"activityBOToCreate={known.name} without a field task"
        )


def _check_field_activity(row: ParameterRow, known: BusinessObject | None, how: RowList) -> None:
    """Both in one row are a field activity object and its task; a command has none."""
    if known is None or known.kind is not ChildKind.FIELD:
        raise RowError(
            how.where,
            row.number,
            f"specificFieldTask beside activityBOToCreate={row.business_object}, which is no field"
            " activity: one result only",
        )
    if known.task not in ("", row.task):
        raise RowError(how.where, row.number, f"{known.name} always has {known.task}")


def _refuse_unreachable(rows: Sequence[ParameterRow], how: RowList) -> None:
    for index, row in enumerate(rows):
        if not can_hold(row, in_service=how.in_service):
            raise RowError(how.where, row.number, f"can never be reached: {_never(row)}")
        earlier = [each for each in rows[:index] if each.alternative != SKIP]
        if not _reachable(row, earlier, how):
            by = ", ".join(str(each.number) for each in earlier if overlaps(each, row))
            raise RowError(how.where, row.number, f"can never be reached: row {by} comes first")


def can_hold(row: ParameterRow, *, in_service: bool) -> bool:
    """Whether a service point can be as the row says; `in_service`: one that has service."""
    own = {} if row.status is None or not row.site_status else {row.site_status: row.status}
    states = _states({"", row.sp_type}, own, in_service=in_service)
    return any(_matches(row, state) for state in states)


def _never(row: ParameterRow) -> str:
    if can_hold(row, in_service=False):
        return (
            "only a service point that is connected, with a device installed, comes to these rows"
            " (error_if_missing=Con continues to them)"
        )
    return "no service point is like that"


_NOT_INSTALLED: Final = frozenset({None, InstallStatus.PENDING, InstallStatus.REMOVED})


def _states(
    types: set[str], own: Mapping[str, InstallStatus], *, in_service: bool
) -> Iterator[tuple[object, ...]]:
    """Every state that a service point can be in, as `_conditions` names it; `own` are statuses of
    the site's own."""
    yes_no = (True,) if in_service else (True, False)
    statuses = (None, *InstallStatus, *own)
    return (
        state
        for state in product(yes_no, DisconnectLocation, yes_no, statuses, Category, types)
        if state[2] is (own.get(str(state[3]), state[3]) not in _NOT_INSTALLED)
    )


def _reachable(row: ParameterRow, earlier: Sequence[ParameterRow], how: RowList) -> bool:
    """Whether a state exists that `row` matches and no earlier row does.

    Rows with alternativeFieldTask=skip may step aside and are not among `earlier`.
    """
    types = {"", row.sp_type, *(each.sp_type for each in earlier)}
    states = _states(types, how.lookups.statuses, in_service=how.in_service)
    return any(
        _matches(row, state) and not any(_matches(each, state) for each in earlier)
        for state in states
    )


def _conditions(row: ParameterRow) -> tuple[object, ...]:
    return (
        row.connected,
        row.disconnect_location,
        row.device_installed,
        row.site_status or row.status,
        row.category,
        row.sp_type or None,
    )


def _matches(row: ParameterRow, state: tuple[object, ...]) -> bool:
    return all(
        wanted is None or wanted == found
        for wanted, found in zip(_conditions(row), state, strict=True)
    )


def overlaps(first: ParameterRow, second: ParameterRow) -> bool:
    """Whether some state satisfies both rows."""
    return all(
        one is None or other is None or one == other
        for one, other in zip(_conditions(first), _conditions(second), strict=True)
    )

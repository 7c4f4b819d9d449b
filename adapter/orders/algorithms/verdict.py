"""What an algorithm can decide and how that is put and kept; which row of a list holds; a site's
own functions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from adapter.commands.flows import EFFECT_OF
from adapter.model.device import InstallStatus, override_problem
from adapter.model.values import replace
from adapter.orders.activities import FIELD_ACTIVITY, ChildKind
from adapter.orders.algorithms.rows import ParameterRow
from adapter.orders.lookups import OrderLookups
from adapter.orders.order import ChildId, ChildSpec, OrderProblem, ServiceOrder, View
from adapter.orders.tasks import FIELD_TASKS


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Nothing to do here: on to the next algorithm. `note` is for the record."""

    note: str = ""
    row: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetField:
    """Fill elements of the activity, then on to the next algorithm."""

    fields: Mapping[str, str]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Create this child; the remaining algorithms are skipped (documented)."""

    child: ChildSpec
    note: str = ""
    row: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An own child is still at it."""

    child: ChildId
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """The algorithm cannot decide: the order goes to Activity Error with this problem."""

    problem: OrderProblem
    row: str = ""


Verdict: TypeAlias = Pass | SetField | Create | Wait | Error


class DecisionOutcome(StrEnum):
    PASS = "pass"
    SET_FIELD = "set_field"
    CREATE = "create"
    WAIT = "wait"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One algorithm's verdict as it is kept: matrix cell, row, result, and the facts it saw."""

    cell: int
    type: str
    algorithm: str
    outcome: DecisionOutcome
    row: str = ""
    note: str = ""
    child: ChildSpec | None = None
    problem: OrderProblem | None = None
    fields: Mapping[str, str] = field(default_factory=_nothing)
    facts: Mapping[str, str] = field(default_factory=_nothing)


CompatibilityCheck: TypeAlias = Callable[[ServiceOrder, View], bool]
OverrideAlgorithm: TypeAlias = Callable[[ServiceOrder, View], ChildSpec | None]
CustomAlgorithm: TypeAlias = Callable[[ServiceOrder, View], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customs:
    """A site's own functions by their configured name `package.module:function`.

    Resolving the names is the edge's work; here they are only called.
    """

    compatibility: Mapping[str, CompatibilityCheck] = field(default_factory=dict)
    override: Mapping[str, OverrideAlgorithm] = field(default_factory=dict)
    algorithms: Mapping[str, CustomAlgorithm] = field(default_factory=dict)


NO_CUSTOMS: Final = Customs()


def refuse(code: str, text: str, action: str = "", *, row: str = "", dark: bool = False) -> Error:
    return Error(
        problem=OrderProblem(code=code, text=text, action=action, without_supply=dark), row=row
    )


def field_child(view: View, business_object: str, task: str, **details: str) -> ChildSpec:
    """A field activity at the service point, for the device that is there, if one is."""
    known = view.lookups.task(task)
    return ChildSpec(
        business_object=business_object or FIELD_ACTIVITY,
        kind=ChildKind.FIELD,
        task=task,
        effects=None if known is None or known.name in FIELD_TASKS else known.successful,
        device=view.device.id if view.device is not None and view.device_installed else None,
        details=details,
    )


def command_child(
    view: View,
    business_object: str,
    *,
    override: InstallStatus | None = None,
    site_status: str = "",
) -> ChildSpec:
    """A command to the device that is installed now."""
    return ChildSpec(
        business_object=business_object,
        kind=ChildKind.COMMAND,
        command=view.lookups.objects[business_object].command,
        device=view.device.id if view.device is not None else None,
        override=override,
        site_status=site_status,
    )


def first_match(rows: Sequence[ParameterRow], view: View) -> ParameterRow | None:
    """The first row all of whose conditions hold; a row of another category never matches."""
    return next(matching(rows, view), None)


def matching(rows: Sequence[ParameterRow], view: View) -> Iterator[ParameterRow]:
    """The rows all of whose conditions hold, in their order.

    A row for a status holds for one of the site's own that means the same, too, where no row of the
    list names that (ours): nobody stays in the dark because a list does not know it.
    """
    own = view.site_status
    named = bool(own) and any(row.site_status == own for row in rows)
    for row in rows:
        if row.site_status and row.site_status != own:
            continue
        if named and row.status is not None and not row.site_status:
            continue
        if _holds(row, view):
            yield row


def _holds(row: ParameterRow, view: View) -> bool:
    point = view.service_point
    return (
        row.connected in (None, point.connected)
        and row.disconnect_location in (None, point.disconnect_location)
        and row.device_installed in (None, view.device_installed)
        and row.status in (None, view.status)
        and row.category in (None, point.category)
        and row.sp_type in ("", point.sp_type)
    )


def create_by_row(view: View, row: ParameterRow, field_bo: str) -> Verdict:
    """What the row creates; a command needs somebody who hears it (ours)."""
    child = child_of_row(view, row, field_bo)
    if child.kind is ChildKind.COMMAND and not view.device_installed:
        return refuse(
            "no_device",
            f"{child.business_object}: no device is installed at the service point",
            "narrow the row with deviceInstalledAtSP=true, then retry",
            row=row.label,
        )
    return Create(child=child, row=row.label)


def child_of_row(view: View, row: ParameterRow, field_bo: str) -> ChildSpec:
    if not row.business_object:
        return field_child(view, field_bo, row.task)
    known = view.lookups.objects[row.business_object]
    if known.kind is ChildKind.COMMAND:
        return command_child(view, row.business_object)
    return field_child(view, row.business_object, row.task or known.task)


def checked_child(function: str, child: object, lookups: OrderLookups) -> ChildSpec:
    """What a site's function wants, which may only be what can be done. Raises TypeError,
    ValueError."""
    if not isinstance(child, ChildSpec):
        raise TypeError(f"{function} wants {type(child).__name__}, which is no ChildSpec")
    known = lookups.objects.get(child.business_object)
    if known is None or known.kind is not child.kind or known.command is not child.command:
        raise ValueError(f"{function}: {child.business_object} is no {child.kind} of that kind")
    task = lookups.task(child.task)
    if child.kind is ChildKind.FIELD and task is None:
        raise ValueError(f"{function}: unknown field task {child.task!r}")
    if child.kind is ChildKind.COMMAND and child.device is None:
        raise ValueError(f"{function}: {child.business_object} without a device")
    if child.override is not None:
        effect = None if child.command is None else EFFECT_OF.get(child.command)
        why = "sets no status" if effect is None else override_problem(effect, child.override)
        if why:
            raise ValueError(f"{function}: {child.business_object}, override: {why}")
    own = task is not None and task.name not in FIELD_TASKS
    return replace(child, effects=task.successful) if task is not None and own else child

"""Before an order connects by a command: is there voltage on the load side?

Voltage behind an open switch is a customer's own generation, or supply around the meter: closing
the switch on it is dangerous. The question is the first step of the connect command itself, so that
nothing comes between answer and connect. Here is what follows from the answer, for every order and
every algorithm that wants a connect.

    silent             the command goes on and connects
    voltage            not connected: people, or a visit and then the check again
    no answer          not connected, and counts as not safe: people, a visit, or connect anyhow
    not supported      connected without, or as no answer, where the check is a must

Documented: the command Load Check and what it detects. Ours: all that follows. No answer is not
safe (from the vendor's rule that a meter does not close on load-side voltage).
"""

from types import MappingProxyType
from typing import Final

from adapter.commands.activity import UnsureLoadCheck
from adapter.commands.failures import LOAD_CHECK_UNSURE, LOAD_SIDE_VOLTAGE
from adapter.commands.flows import CLOSING_KINDS, CommandKind
from adapter.model.values import replace
from adapter.orders.algorithms.verdict import Create, Error, Verdict, field_child, refuse
from adapter.orders.order import (
    LOAD_CHECK,
    ActivityType,
    ChildFact,
    LoadCheck,
    OnLoadSideVoltage,
    OnUnsureLoadCheck,
    ServiceOrder,
    View,
)

YES: Final = "yes"
NO: Final = "no"

_TEXT: Final = MappingProxyType(
    {
        LOAD_SIDE_VOLTAGE: "there is voltage on the load side: customer generation, supply around"
        " the meter, or a switch that is closed already",
        LOAD_CHECK_UNSURE: "the load check gives no answer, which counts as not safe",
    }
)
_ACTION: Final = (
    "have the load side seen to and retry for a new check;"
    f" order correct --field {LOAD_CHECK}={NO} and retry to connect without one"
)


def with_load_check(order: ServiceOrder, view: View, wish: Verdict) -> Verdict:
    """The wish of an algorithm, where it is a remote connect: checked first, or what follows from
    the check that was made since people last retried."""
    if not isinstance(wish, Create) or wish.child.command not in CLOSING_KINDS:
        return wish
    how = _how(order, view.activity_type)
    if how is LoadCheck.NEVER:
        return replace(wish, note=_joined(wish.note, "without a load check"))
    anyhow = view.activity_type.on_unsure_load_check is OnUnsureLoadCheck.CONNECT
    held = _held_back(order, view)
    cause = held.load_check_cause if held is not None else ""
    if cause == LOAD_SIDE_VOLTAGE or (cause and not anyhow):
        return _instead(order, view, wish, cause, held)
    if view.supports(CommandKind.LOAD_CHECK):
        return _checked(wish, anyhow=anyhow)
    note = "without a load check: the device does not support it"
    if how is LoadCheck.SUPPORTED or anyhow:
        return replace(wish, note=_joined(wish.note, note))
    return _instead(order, view, wish, LOAD_CHECK_UNSURE, None)


def _how(order: ServiceOrder, type_: ActivityType) -> LoadCheck:
    said = order.fields.get(LOAD_CHECK)
    if said:
        return LoadCheck.ALWAYS if said == YES else LoadCheck.NEVER
    return type_.load_check


def _checked(wish: Create, *, anyhow: bool) -> Create:
    follows = UnsureLoadCheck.CONNECT if anyhow else UnsureLoadCheck.END
    child = replace(wish.child, check_load=True, unsure_load_check=follows)
    return replace(wish, child=child, note=_joined(wish.note, "load check first"))


def _held_back(order: ServiceOrder, view: View) -> ChildFact | None:
    """The last connect, if a load check kept it from being sent, and since then neither has a crew
    been there nor have people said to try again."""
    own = (c for c in reversed(view.children) if c.spec.command in CLOSING_KINDS)
    last = next(own, None)
    if last is None or not last.load_check_cause or last.number <= order.first_of_retry:
        return None
    return None if _visited(view, after=last.number) else last


def _visited(view: View, *, after: int) -> bool:
    task = view.activity_type.load_check_field_task
    own = (c for c in view.children if c.spec.task == task and c.number > after)
    return any(each.completed for each in own)


def _instead(
    order: ServiceOrder, view: View, wish: Create, cause: str, held: ChildFact | None
) -> Create | Error:
    """No connect: one visit, or people."""
    type_ = view.activity_type
    visits = (
        type_.on_load_side_voltage is OnLoadSideVoltage.VISIT
        if cause == LOAD_SIDE_VOLTAGE
        else type_.on_unsure_load_check is OnUnsureLoadCheck.VISIT
    )
    been = _visited(view, after=order.first_of_retry)
    if been or not visits:
        why = _TEXT[cause] if held is not None else "the device does not support the load check"
        why += ", after a visit too" if been else ""
        of = f"{wish.child.business_object}{'' if held is None else f' ({held.id})'}"
        return refuse(cause, f"{of} is not sent: {why}", _ACTION)
    said = _joined(order.fields.get("instructions", ""), _TEXT[cause])
    visit = field_child(view, "", type_.load_check_field_task, instructions=said)
    return replace(wish, child=visit, note=_joined(wish.note, f"instead of a connect: {cause}"))


def _joined(*notes: str) -> str:
    return "; ".join(each for each in notes if each)

"""Service orders: the list, and all about one: its steps, what decided each, what is left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapter.orders.algorithms.verdict import DecisionOutcome
from adapter.orders.order import ERROR_STATES, ChildState, OrderKind, OrderState
from adapter.orders.replies import ReplyState
from adapter.web.api import orders
from adapter.web.console.buttons import BUTTONS, Button
from adapter.web.console.view import PageView

QUERY: Final = (
    "kind", "state", "service_point", "open", "since", "requester", "reference", "cursor",
)  # fmt: skip
_WRONG: Final = frozenset({each.name.lower() for each in ERROR_STATES})
_BAD_CHILD: Final = frozenset(
    {
        ChildState.UNCLEAR,
        ChildState.VALIDATION_ERROR,
        ChildState.COMMUNICATION_ERROR,
        ChildState.RESPONSE_ERROR,
        ChildState.COMPLETION_ERROR,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnStep:
    """A step of an order as it is drawn: one that was taken, or one that is still before it.
    `decided` is the decision of the matrix that made it; None where it is not kept."""

    title: str
    device: str | None
    state: str
    tone: str
    child: orders.ChildOut | None = None
    decided: orders.DecisionOut | None = None
    planned: orders.PlanStepOut | None = None


_SETTLED: Final = (ReplyState.DELIVERED, ReplyState.NO_RECEIVER)


async def load_list(view: PageView) -> Mapping[str, object]:
    page = await view.read(orders.OrderPage, orders.list_orders, {"limit": "50", **view.query})
    states = [(orders.slug(each), each.value) for each in OrderState]
    return {"list": page, "kinds": tuple(OrderKind), "states": states}


async def load(view: PageView) -> Mapping[str, object]:
    shown = await view.read(orders.OrderShownOut, orders.get_order)
    plan = None
    if not shown.order.final:
        plan = await view.read_if_there(orders.PlanOut, orders.plan_rest_of_order)
    return {
        "shown": shown,
        "order": shown.order,
        "plan": plan,
        "steps": _steps(shown, plan),
        "last": shown.evaluations[-1] if shown.evaluations else None,
        "waits": [each for each in shown.children if each.answer_by and not each.ended_at],
        "visits": [each for each in shown.children if each.detail_state is not None],
        "open_replies": [each for each in shown.replies if each.state not in _SETTLED],
        "offered": offered(shown.order),
        "wrong": shown.order.state in _WRONG,
    }


def offered(order: orders.OrderOut) -> Sequence[Button]:
    if order.final:
        return []
    names = ["cancel-order"]
    if order.state in _WRONG:
        names = ["retry-order", "correct-order", "complete-order", "discard-order"]
    return [BUTTONS[name] for name in names]


def _steps(shown: orders.OrderShownOut, plan: orders.PlanOut | None) -> Sequence[DrawnStep]:
    """Taken ones with the decision that made them, then those of the plan."""
    made = [
        decision
        for look in shown.evaluations
        for decision in look.decisions
        if decision.outcome is DecisionOutcome.CREATE
    ]
    left = list(made)
    drawn: list[DrawnStep] = []
    for child in shown.children:
        decided = next(
            (
                each
                for each in left
                if each.algorithm == child.algorithm
                and each.creates in (child.task, child.activity)
            ),
            None,
        )
        if decided is not None:
            left.remove(decided)
        drawn.append(
            DrawnStep(
                title=child.task or child.activity,
                device=child.device,
                state=str(child.detail_state or child.state),
                tone=_tone(child),
                child=child,
                decided=decided,
            )
        )
    drawn.extend(
        DrawnStep(
            title=step.task or step.activity,
            device=step.device,
            state="planned",
            tone="planned",
            planned=step,
        )
        for step in (plan.steps if plan is not None else ())
    )
    return drawn


def _tone(child: orders.ChildOut) -> str:
    if child.state is ChildState.COMPLETED:
        return "good"
    if child.state in _BAD_CHILD:
        return "urgent"
    return "" if child.ended_at is not None else "now"

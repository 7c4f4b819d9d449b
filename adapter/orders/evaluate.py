"""One pass of "Are SP and Device Ready?": run the kind's algorithms in order on fresh facts.

The first that creates, waits or fails ends the pass; the rest are skipped (documented). What the
pass decided, and what each algorithm saw, is kept for `order show` and `order plan`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from adapter.model.values import replace
from adapter.orders.activities import ChildKind
from adapter.orders.advice import on_giving_up
from adapter.orders.algorithms.chkmsmt import CheckMeasurement, measurements_seen
from adapter.orders.algorithms.remonoff import left_dark
from adapter.orders.algorithms.rows import NEW_DEVICE, AlgorithmType
from adapter.orders.algorithms.table import Algorithm
from adapter.orders.algorithms.verdict import (
    NO_CUSTOMS,
    Create,
    Customs,
    Decision,
    DecisionOutcome,
    Error,
    Pass,
    SetField,
    Verdict,
    Wait,
)
from adapter.orders.events import (
    ChildAwaited,
    ChildWanted,
    Event,
    Rejected,
    Satisfied,
    Stopped,
    Undecidable,
)
from adapter.orders.field_activity_rules import ALLOW_OVERLAP
from adapter.orders.load_check import with_load_check
from adapter.orders.matrix import MATRIX, Orchestrations
from adapter.orders.netting import netted_with, without_needless_switching
from adapter.orders.order import (
    NETTED_WITH,
    ChildFact,
    ChildSpec,
    OrderKind,
    OrderProblem,
    ServiceOrder,
    View,
)
from adapter.orders.payment import stays_dark
from adapter.orders.switching import disconnects
from adapter.orders.tasks import FieldEffect
from adapter.orders.validation import validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one pass decided. `verdict` is Pass when the order's wish is met.

    `fields` are the elements that algorithms filled on the way; `stopped` says that the order has
    to end here because someone withdrew it. `summary` is what the requester is told of the work,
    `advice` what of supply where there is no more.
    """

    verdict: Pass | Create | Wait | Error
    decisions: tuple[Decision, ...]
    fields: Mapping[str, str]
    stopped: bool = False
    summary: Mapping[str, str] = field(default_factory=dict)
    advice: str = ""

    @property
    def last(self) -> Decision | None:
        return self.decisions[-1] if self.decisions else None


def evaluate(
    order: ServiceOrder,
    view: View,
    *,
    matrix: Orchestrations = MATRIX,
    customs: Customs = NO_CUSTOMS,
) -> Evaluation:
    """Decide the next child, or that none is needed. Pure: the same facts, the same decision."""
    waiting = next((child for child in view.children if not child.final), None)
    if waiting is not None:
        return Evaluation(
            verdict=Wait(child=waiting.id, note="a child is open"), decisions=(), fields={}
        )
    fields: dict[str, str] = {}
    decisions: list[Decision] = []
    netted = False
    for cell, algorithm in _sequence(order, view, matrix):
        now = replace(order, fields={**order.fields, **fields}) if fields else order
        verdict = _run(now, view, algorithm, customs)
        kept_on = without_needless_switching(now, view, verdict)
        netted = netted or kept_on is not verdict
        verdict = _guarded(now, view, with_load_check(now, view, kept_on))
        decisions.append(_kept(now, cell, algorithm, verdict, view))
        if isinstance(verdict, SetField):
            fields.update(verdict.fields)
        elif not isinstance(verdict, Pass):
            stopped = bool(order.stop) and _may_stop(order, view, verdict)
            return Evaluation(
                verdict=verdict,
                decisions=tuple(decisions),
                fields=fields,
                stopped=stopped,
                advice=on_giving_up(order, view) if stopped else "",
            )
    if netted_with(order) is not None and order.kind is OrderKind.DISABLE and not netted:
        fields[NETTED_WITH] = ""  # what was to be kept on is off all the same
    return Evaluation(
        verdict=Pass(note="the service point is as the order wants it"),
        decisions=tuple(decisions),
        fields=fields,
        summary=summary(view),
    )


def summary(view: View) -> Mapping[str, str]:
    """What was done for the order, and which devices came and went."""
    completed = [child for child in view.children if child.completed]
    since = min((child.created_at for child in completed), default=None)
    if since is None:
        return {}
    told = {"done": " ".join(c.spec.task or c.spec.business_object for c in completed)}
    event = view.installed
    if event is not None and view.device_installed and event.installed_at >= since:
        told["deviceInstalled"] = event.device
    left = [
        e.device for e in (r.event for r in view.removed) if e.removed_at and e.removed_at >= since
    ]
    if left:
        told["deviceRemoved"] = " ".join(left)
    return told


def look_at_world(
    order: ServiceOrder,
    view: View | None,
    *,
    matrix: Orchestrations = MATRIX,
    customs: Customs = NO_CUSTOMS,
) -> Event:
    """The event that LookAtWorld feeds. On release, the facts being old, the rules come first."""
    if view is None or not order.children:
        problems = validate(order, view)
        if problems or view is None:
            return Rejected(problems=problems)
    return next_event(order, evaluate(order, view, matrix=matrix, customs=customs))


def _kept(
    order: ServiceOrder, cell: int, algorithm: Algorithm, verdict: Verdict, view: View
) -> Decision:
    params, facts = algorithm.parameters, view.facts()
    if isinstance(params, CheckMeasurement):
        facts = {**facts, **measurements_seen(order, view, params)}
    made = partial(
        Decision, cell=cell, type=algorithm.type.value, algorithm=algorithm.name, facts=facts
    )
    match verdict:
        case Pass(note=note, row=row):
            return made(outcome=DecisionOutcome.PASS, note=note, row=row)
        case SetField(fields=fields, note=note):
            return made(outcome=DecisionOutcome.SET_FIELD, fields=fields, note=note)
        case Create(child=child, note=note, row=row):
            return made(outcome=DecisionOutcome.CREATE, child=child, note=note, row=row)
        case Wait(note=note):
            return made(outcome=DecisionOutcome.WAIT, note=note)
        case Error(problem=problem, row=row):
            return made(outcome=DecisionOutcome.ERROR, problem=problem, row=row)


def next_event(order: ServiceOrder, evaluation: Evaluation) -> Event:
    """The event that a pass feeds to the order's lifecycle."""
    decisions, fields = evaluation.decisions, evaluation.fields
    if evaluation.stopped:
        return Stopped(reason=order.stop, decisions=decisions, advice=evaluation.advice)
    match evaluation.verdict:
        case Pass():
            return Satisfied(fields=fields, summary=evaluation.summary, decisions=decisions)
        case Create(child=child, row=row):
            by = evaluation.last.algorithm if evaluation.last is not None else ""
            return ChildWanted(
                child=child, algorithm=by, row=row, fields=fields, decisions=decisions
            )
        case Wait(child=waiting):
            return ChildAwaited(child=waiting, fields=fields, decisions=decisions)
        case Error(problem=problem):
            return Undecidable(problem=problem, fields=fields, decisions=decisions)


def _sequence(
    order: ServiceOrder, view: View, matrix: Orchestrations
) -> list[tuple[int, Algorithm]]:
    """The kind's algorithms with their place; restoring supply comes first where we took it."""
    cells = list(enumerate(matrix[order.kind], start=1))
    if customer_without_supply(order, view):
        cells.sort(key=lambda cell: cell[1].type is not AlgorithmType.REMONOFF)
    return cells


def customer_without_supply(order: ServiceOrder, view: View) -> bool:
    """Whether this order switched the customer off on the way to something else."""
    return supply_to_restore(order, view.children) and not view.on


def supply_to_restore(order: ServiceOrder, children: Sequence[ChildFact]) -> bool:
    """Whether the order switched the customer off and nothing of its own has restored supply."""
    return order.kind is OrderKind.BACK_TO_BACK and left_dark(children)


def _may_stop(order: ServiceOrder, view: View, verdict: Verdict) -> bool:
    """A withdrawn order ends before its next child, unless that child restores supply."""
    return isinstance(verdict, Create | Error) and not customer_without_supply(order, view)


def _run(order: ServiceOrder, view: View, algorithm: Algorithm, customs: Customs) -> Verdict:
    """A site's own function may raise anything: the order then waits for people, as documented."""
    try:
        return algorithm.decide(order, view, customs)
    except Exception as error:
        return Error(
            problem=OrderProblem(
                code="algorithm_failed",
                text=f"{algorithm.name} ({algorithm.type}) failed: {type(error).__name__}: {error}",
                action="repair the algorithm or its data, then retry",
            )
        )


def _guarded(order: ServiceOrder, view: View, verdict: Verdict) -> Verdict:
    """Rules that stand above every algorithm's wish to create a child."""
    if isinstance(verdict, Error):
        return _with_supply(order, view, verdict)
    if not isinstance(verdict, Create):
        return verdict
    problem = (
        _restriction(view, verdict.child)
        or _no_progress(order, view, verdict.child)
        or _too_many_passes(order, view)
    )
    if problem is None:
        return replace(verdict, child=_carrying(order, verdict.child))
    return _with_supply(order, view, Error(problem=problem, row=verdict.row))


def _with_supply(order: ServiceOrder, view: View, error: Error) -> Error:
    """Who is in the dark is told of with whatever keeps the order from going on."""
    problem = error.problem
    if customer_without_supply(order, view):
        return replace(error, problem=replace(problem, without_supply=True))
    if dark := stays_dark(order, view):
        return replace(error, problem=replace(problem, text=f"{problem.text}; {dark}"))
    return error


CARRIED: Final = (
    "appointmentStart", "appointmentEnd", "contact", "instructions", ALLOW_OVERLAP,
)  # fmt: skip
"""Elements of the order that its visits take along."""


def _carrying(order: ServiceOrder, child: ChildSpec) -> ChildSpec:
    """Where the visit installs a device, with the one that the order wants there."""
    if child.kind is not ChildKind.FIELD:
        return child
    installs = FieldEffect.INSTALL in child.changes
    names = (*CARRIED, NEW_DEVICE) if installs else CARRIED
    carried = {name: order.fields[name] for name in names if order.fields.get(name)}
    return replace(child, details={**carried, **child.details}) if carried else child


def _restriction(view: View, child: ChildSpec) -> OrderProblem | None:
    if not (view.restricted and disconnects(child)):
        return None
    return OrderProblem(
        code="restricted",
        text=f"nothing may be disconnected here: {view.restricted}",
        action="lift the restriction in the master data, or discard",
    )


def _no_progress(order: ServiceOrder, view: View, child: ChildSpec) -> OrderProblem | None:
    """The same work, completed just now, would be ordered again: the facts did not follow it.

    Ours. The pass bound would end this too, after moving the same switch twenty times.
    """
    last = view.children[-1] if view.children else None
    if last is None or not last.completed or last.number <= order.first_of_retry:
        return None
    if last.spec.purpose != child.purpose:
        return None
    return OrderProblem(
        code="no_progress",
        text=f"{child.business_object} {child.task}".strip() + " completed and changed nothing",
        action="compare the install event and the service point with the field, then retry",
    )


def _too_many_passes(order: ServiceOrder, view: View) -> OrderProblem | None:
    if order.passes < view.activity_type.pass_bound:
        return None
    return OrderProblem(
        code="no_progress",
        text=f"{order.passes} children and the order's wish is still not met",
        action="look at what the children changed, then retry or discard",
    )

"""What an order would do from today's facts, if its children behave. Sends and stores nothing.

It runs the real lifecycle, matrix and completion effects on a copy of the facts, so that a plan and
the order itself cannot disagree about a rule. What a crew would find is assumed, and said.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from adapter.commands.flows import READ_KINDS, CommandKind
from adapter.model.device import (
    Category,
    ComponentKind,
    Device,
    InstallRefused,
    InstallStatus,
    MeasuringComponent,
)
from adapter.model.ids import DeviceId, EndpointId, EventId
from adapter.model.measurement import REGULAR, Measurement
from adapter.model.values import replace
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.verdict import (
    NO_CUSTOMS,
    Customs,
    Decision,
)
from adapter.orders.completion import (
    CommandOutcome,
    CompletionRefused,
    CompletionReport,
    apply_command,
    apply_field_work,
    leaves_off,
)
from adapter.orders.evaluate import evaluate, next_event
from adapter.orders.events import CreateChild, KeepDecisions
from adapter.orders.lifecycle import observe, step
from adapter.orders.matrix import MATRIX, Orchestrations
from adapter.orders.order import (
    ChildFact,
    ChildSpec,
    ChildState,
    OrderProblem,
    OrderState,
    ServiceOrder,
    View,
)
from adapter.orders.tasks import FieldEffect
from adapter.orders.validation import superseded_orders, validate

SMART_COMMANDS: Final = frozenset(
    {
        CommandKind.DEVICE_COMMISSIONING.value,
        CommandKind.DEVICE_DECOMMISSIONING.value,
        CommandKind.REMOTE_CONNECT.value,
        CommandKind.REMOTE_DISCONNECT.value,
        CommandKind.ON_DEMAND_READ_SCALAR.value,
    }
)
NEW_DEVICE_ID: Final = DeviceId("(new device)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What a plan takes for granted of crews.

    They install `new_device`, which the registry knows, or `refused` says why the records would not
    take it. Without it a crew installs one of the kind that was there, else a smart meter with a
    remote switch, left off; `new_id` is what it is called. Crews read a manual meter when they
    install, remove or are sent to read it; a smart meter's register is left to the head end unless
    `crews_read_smart_meters`.
    """

    new_device: Device | None = None
    new_capabilities: frozenset[str] = SMART_COMMANDS | {CommandKind.LOAD_CHECK}
    new_id: DeviceId = NEW_DEVICE_ID
    refused: str = ""
    crews_read_smart_meters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStep:
    """One child: what decided it (place in the matrix, algorithm, row) and what that saw."""

    number: int
    child: ChildSpec
    cell: int
    type: str
    algorithm: str
    row: str
    note: str
    facts: Mapping[str, str]

    @property
    def title(self) -> str:
        """The field task, or the business object without its prefix: `RemoteConnect`."""
        return (self.child.task or self.child.business_object).partition("-")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlan:
    """`problems` are the interlocks that would refuse the order as things are today.

    `outcome` is where the order would end; `decisions` are those of the last pass; `view` the world
    it would leave.
    """

    outcome: OrderState
    steps: tuple[PlanStep, ...]
    problems: tuple[OrderProblem, ...]
    notes: tuple[str, ...]
    problem: OrderProblem | None
    decisions: tuple[Decision, ...]
    fields: Mapping[str, str]
    view: View

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(each.title for each in self.steps)


@dataclass(slots=True)
class _Run:
    """The copy that a plan works on."""

    order: ServiceOrder
    view: View
    assume: Assumptions
    steps: list[PlanStep] = field(default_factory=list)
    decisions: tuple[Decision, ...] = ()


def make_plan(
    order: ServiceOrder,
    view: View,
    *,
    matrix: Orchestrations = MATRIX,
    customs: Customs = NO_CUSTOMS,
    assume: Assumptions | None = None,
) -> OrderPlan:
    """The steps that `order` would take from `view`. Ends within the pass bound.

    An order that a rule would refuse is planned all the same: `problems` says what refuses it.
    """
    problems = validate(order, view) if not order.children else ()
    start = max(view.now, order.effective_at)
    run = _Run(
        order=replace(order, state=OrderState.READY),
        view=replace(view, now=start),
        assume=assume or Assumptions(),
    )
    notes = _notes(order, view)
    while run.order.state is OrderState.READY:
        _pass(run, matrix, customs)
    return OrderPlan(
        outcome=run.order.state,
        steps=tuple(run.steps),
        problems=problems,
        notes=(*notes, *_assumed(run)),
        problem=run.order.problem,
        decisions=run.decisions,
        fields=run.order.fields,
        view=run.view,
    )


def _notes(order: ServiceOrder, view: View) -> tuple[str, ...]:
    notes = [f"would withdraw {o.kind} order {o.id}" for o in superseded_orders(order, view)]
    if order.effective_at > view.now:
        notes.append(f"waits until {order.effective_at.isoformat()}")
    if view.restricted:
        notes.append(f"no disconnection here: {view.restricted}")
    return tuple(notes)


def _assumed(run: _Run) -> tuple[str, ...]:
    """What the plan takes for granted of a device that the order names and nobody knows."""
    named, device = run.assume.new_id, run.assume.new_device
    installs = any(FieldEffect.INSTALL in each.child.changes for each in run.steps)
    known = device is not None or run.assume.refused
    if named == NEW_DEVICE_ID or known or not installs:
        return ()
    return (f"the registry has no device {named}: taken for one of the usual kind",)


def _pass(run: _Run, matrix: Orchestrations, customs: Customs) -> None:
    evaluation = evaluate(run.order, run.view, matrix=matrix, customs=customs)
    after = step(run.order, next_event(run.order, evaluation), now=run.view.now)
    run.order = after.order
    for effect in after.effects:
        if isinstance(effect, KeepDecisions):
            run.decisions = effect.decisions
        elif isinstance(effect, CreateChild):
            _planned(run, effect)
    awaited = run.order.awaited_child
    if run.order.state is OrderState.IN_PROGRESS and awaited is not None:
        run.view = _finish(run, awaited)
        event = observe(run.order, run.view.children)
        if event is not None:
            run.order = step(run.order, event, now=run.view.now).order


def _planned(run: _Run, create: CreateChild) -> None:
    decision = run.decisions[-1]
    run.steps.append(
        PlanStep(
            number=create.number,
            child=create.child,
            cell=decision.cell,
            type=decision.type,
            algorithm=create.algorithm,
            row=create.row,
            note=decision.note,
            facts=decision.facts,
        )
    )
    fact = ChildFact(
        id=create.id,
        number=create.number,
        spec=create.child,
        state=ChildState.QUEUED,
        created_at=run.view.now,
        algorithm=create.algorithm,
        row=create.row,
    )
    run.view = replace(run.view, children=(*run.view.children, fact))


def _finish(run: _Run, awaited: str) -> View:
    """The facts after the awaited child did what it was made for, or why that cannot be."""
    view = run.view
    child = next(each for each in view.children if each.id == awaited)
    now = max(view.now, child.spec.effective_at or view.now)
    done = replace(child, state=ChildState.COMPLETED, ended_at=now)
    try:
        after = child_effect(replace(view, now=now), done, run.order, run.assume)
    except (CompletionRefused, InstallRefused) as error:
        done = replace(child, state=ChildState.COMPLETION_ERROR, reason=str(error))
        after = view
    return replace(after, children=tuple(done if c.id == awaited else c for c in view.children))


def child_effect(view: View, child: ChildFact, order: ServiceOrder, assume: Assumptions) -> View:
    """What a well-behaved child changes: commands and field work by their completion events."""
    spec, cause = child.spec, EventId(f"{child.id}:plan")
    if spec.kind is ChildKind.FIELD:
        report = _report(view, spec.changes, cause, assume)
        return apply_field_work(view, spec.changes, report, left_off=leaves_off(spec.details))
    if spec.kind is ChildKind.COMMAND and spec.command is not None and spec.device is not None:
        if spec.command in READ_KINDS:
            return _measured(view, at=view.now, cause=cause)
        outcome = CommandOutcome(
            kind=spec.command,
            device=spec.device,
            at=view.now,
            cause=cause,
            override=spec.override,
            site_status=spec.site_status,
        )
        return apply_command(view, outcome)
    return _measured(view, at=spec.effective_at or order.service_at, cause=cause)


def _report(
    view: View, effects: tuple[FieldEffect, ...], cause: EventId, assume: Assumptions
) -> CompletionReport:
    new, commands = None, view.capabilities
    planned = view.device if view.status is InstallStatus.PENDING else None
    other = planned is not None and assume.new_id not in (NEW_DEVICE_ID, planned.id)
    if FieldEffect.INSTALL in effects and (planned is None or other):
        if assume.refused:
            raise CompletionRefused(assume.refused)
        new, commands = _new_device(view, assume)
    present = new if new is not None else view.device
    smart = present is not None and present.smart
    reads = FieldEffect.MEASURE in effects and present is not None
    only_reads = effects == (FieldEffect.MEASURE,)
    moved = bool({FieldEffect.INSTALL, FieldEffect.REMOVE} & set(effects))
    by_crew = moved and (not smart or assume.crews_read_smart_meters)
    read = reads and (only_reads or by_crew)
    return CompletionReport(
        at=view.now,
        cause=cause,
        new_device=new,
        new_capabilities=commands if new is not None else frozenset(),
        measurements=_values(present, view.now, cause) if read and present is not None else (),
    )


def _new_device(view: View, assume: Assumptions) -> tuple[Device, frozenset[str]]:
    if assume.new_device is not None:
        return assume.new_device, assume.new_capabilities
    if view.device is not None:
        endpoint = EndpointId("(new endpoint)") if view.device.smart else None
        return replace(view.device, id=assume.new_id, endpoint=endpoint), view.capabilities
    if view.service_point.category is not Category.METER:
        return Device(id=assume.new_id, category=Category.ITEM), frozenset()
    register = MeasuringComponent(id="(register)", kind=ComponentKind.SCALAR, quantity="Wh d")
    meter = Device(id=assume.new_id, endpoint=EndpointId("(new endpoint)"), components=(register,))
    return meter, assume.new_capabilities


def _measured(view: View, *, at: datetime, cause: EventId) -> View:
    if view.device is None:
        return view
    values = _values(view.device, at, cause)
    return replace(view, measurements=(*view.measurements, *values), reading_on_its_way=False)


def _values(device: Device, at: datetime, cause: EventId) -> tuple[Measurement, ...]:
    names = [each.id for each in device.components if each.billing] or [""]
    return tuple(
        Measurement(
            id=f"{cause}:{name}",
            component=name,
            at=at,
            value=Decimal(0),
            condition=REGULAR,
            device=device.id,
        )
        for name in names
    )

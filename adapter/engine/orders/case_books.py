"""A case in memory while it is stepped: its facts, and the books that are kept of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from adapter.commands.effects import Severity
from adapter.engine.commands.ports import AuditNote, Publication
from adapter.engine.orders.field_work import FieldMessage, FieldReport
from adapter.engine.orders.order_rules import OrderRules
from adapter.engine.orders.ports import Case, Child, Pass, WorldWrite
from adapter.model.device import DeviceView
from adapter.model.ids import EventId, OrderId
from adapter.orders import events as e
from adapter.orders.activities import ChildKind
from adapter.orders.clock_correction import (
    corrected_fact,
    corrected_order,
    corrected_visit,
    corrected_wait,
)
from adapter.orders.evaluate import customer_dark
from adapter.orders.field_activity import field_child_state
from adapter.orders.field_activity_rules import OtherTask
from adapter.orders.order import (
    ERROR_STATES,
    ChildFact,
    ChildId,
    ChildState,
    OrderState,
    Problem,
    View,
)
from adapter.orders.replies import Reply


class CaseBooks:
    """What every part of a turn works on. `view` are the facts, with the own children."""

    def __init__(
        self,
        case: Case,
        view: View | None,
        rules: OrderRules,
        *,
        now: datetime,
        others: Sequence[OtherTask] = (),
        arriving: DeviceView | None = None,
        holders: Sequence[DeviceView] = (),
    ) -> None:
        self.case = case
        self.order = case.order
        self.now = now
        self.again = False
        """The facts have moved: they are to be loaded anew before the order is looked at."""
        self._view = view
        self._rules = rules
        self._others = tuple(others)
        self._arriving = arriving
        self._holders = holders
        self._children = {child.fact.id: _as_it_is(child) for child in case.children}
        self._requests = {request.id: request for request in case.requests}
        self._blocked_by = case.blocked_by
        self._pushes: list[ChildId] = []
        self._supersedes: list[OrderId] = []
        self._passes: list[Pass] = []
        self._replies: list[Reply] = []
        self._messages: list[FieldMessage] = []
        self._drops: list[ChildId] = []
        self._world = WorldWrite()
        self._notes: list[AuditNote] = []
        self._publications: list[Publication] = []
        self._report: FieldReport | None = None

    # ------------------------------------------------------------ what it looks like now

    @property
    def facts(self) -> tuple[ChildFact, ...]:
        return tuple(child.fact for child in self._children.values())

    @property
    def view(self) -> View | None:
        return None if self._view is None else replace(self._view, children=self.facts)

    @property
    def dark(self) -> bool:
        view = self.view
        return view is not None and customer_dark(self.order, view)

    @property
    def awaited(self) -> ChildFact | None:
        """The child that the order waits for, or is in trouble about."""
        if self.order.awaiting is None or self.order.final:
            return None
        found = self._children.get(self.order.awaiting)
        return None if found is None else found.fact

    @property
    def unsubmitted(self) -> bool:
        """Whether the gateway has yet to be asked for a command."""
        return any(
            child.command is None
            and child.fact.spec.kind is ChildKind.COMMAND
            and not child.fact.final
            for child in self._children.values()
        )

    @property
    def moved(self) -> bool:
        """Whether the order or one of its children is not as it was loaded."""
        children = {child.fact.id: child for child in self.case.children}
        return self.order != self.case.order or any(
            children.get(number) != child for number, child in self._children.items()
        )

    def child(self, child: ChildId) -> Child:
        return self._children[child]

    # ------------------------------------------------------------ books

    def _reply(self, kind: e.ReplyKind, id_: str, details: Mapping[str, str]) -> None:
        self._replies.append(
            Reply(
                id=id_,
                order=self.order.id,
                kind=kind,
                requester=self.order.requester,
                external_reference=self.order.external_reference,
                created_at=self.now,
                due_at=self.now,
                details=dict(details),
            )
        )

    def _noted(self, event: e.Event, before: OrderState, actor: str) -> None:
        after = self.order.state
        detail: dict[str, object] = {"from": before.value, "to": after.value}
        for name in ("child", "algorithm", "row", "reason"):
            value = getattr(event, name, None)
            if value is not None and value != "":
                detail[name] = value if isinstance(value, str) else value.business_object
        if isinstance(event, e.Corrected):
            detail["changed"] = _changed(event)
        problem = self.order.problem
        if problem is not None and after in ERROR_STATES:
            detail["problem"] = f"{problem.code}: {problem.text}"
        who = getattr(event, "who", "") or actor
        self._note(who, type(event).__name__, self.order.id, detail)
        if after is not before:
            self._publish(problem)

    def _note(self, actor: str, action: str, subject: str, detail: Mapping[str, object]) -> None:
        self._notes.append(AuditNote(actor=actor, action=action, subject=subject, detail=detail))

    def correct_clock(self, *, ahead_s: float, by_wrong_clock: bool) -> None:
        """The clock was wrong and is right again; what people dated stays."""
        before = self.order
        self.order = corrected_order(
            before, now=self.now, ahead_s=ahead_s, by_wrong_clock=by_wrong_clock
        )
        for number, child in self._children.items():
            if child.fact.final:
                continue
            fact = corrected_fact(child.fact, before, self.order, now=self.now, ahead_s=ahead_s)
            wait, visit = child.wait, child.field
            self._children[number] = replace(
                child,
                fact=fact,
                wait=None if wait is None else corrected_wait(wait, fact),
                field=None if visit is None else corrected_visit(visit, fact, now=self.now),
            )
        self.note("gateway", "ClockCorrected", {"ahead_s": ahead_s})

    def note(self, actor: str, action: str, detail: Mapping[str, object]) -> None:
        """An audit entry about the order itself."""
        self._note(actor, action, self.order.id, detail)

    def _publish(self, problem: Problem | None) -> None:
        order = self.order
        dark = problem is not None and problem.dark
        troubled = Severity.WARNING if order.state in ERROR_STATES else Severity.INFO
        self._publications.append(
            Publication(
                id=EventId(f"{order.id}:{order.version}"),
                type=f"openway.order.{order.state.name.lower()}",
                subject=order.id,
                severity=Severity.CRITICAL if dark else troubled,
                data={
                    "id": order.id,
                    "kind": order.kind.value,
                    "state": order.state.value,
                    "service_point": order.service_point,
                    "requester": order.requester,
                    "reference": order.external_reference,
                    "problem": problem.code if problem is not None else None,
                },
            )
        )


def _changed(event: e.Corrected) -> list[str]:
    """What a correction sets: times in full, elements by name, for they may be a customer's."""
    times = {"effectiveAt": event.effective_at, "serviceAt": event.service_at}
    said = [f"{name}={at.isoformat()}" for name, at in times.items() if at is not None]
    return [*said, *sorted(event.fields)]


def _as_it_is(child: Child) -> Child:
    """With the state of its visit now; a message that is being sent counts as sent."""
    if child.field is None:
        return child
    state = field_child_state(child.field)
    sent = child.leaving and state is ChildState.SENDING
    return replace(child, fact=replace(child.fact, state=ChildState.SENT if sent else state))

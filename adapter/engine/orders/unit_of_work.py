"""What one pass over an order changes, collected in memory; then saved as one.

It decides nothing and steps nothing: what steps the order and its requests is in
`unit_of_work_order.py`, what steps its children in `unit_of_work_children.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from adapter.commands.effects import Severity
from adapter.engine.commands.ports import AuditNote, Publication
from adapter.engine.orders.field_work import FieldMessage, FieldReport
from adapter.engine.orders.ports import (
    Child,
    NewOrder,
    OrderChange,
    OrderLook,
    OrderPass,
    OrderRecord,
    OrderRules,
    WorldWrite,
)
from adapter.engine.registry.ports import POINT_CHANGED, point_subject
from adapter.model.device import DeviceView
from adapter.model.ids import CommandId, DeviceId, EventId, OrderId, ServicePointId
from adapter.model.values import replace
from adapter.orders import events as e
from adapter.orders import maintenance as m
from adapter.orders.activities import ChildKind
from adapter.orders.completion import CompletionReport
from adapter.orders.evaluate import customer_without_supply, supply_to_restore
from adapter.orders.field_activity import field_child_state
from adapter.orders.field_activity_rules import OtherTask
from adapter.orders.lifecycle import LONGEST_POLL, POLL, observe
from adapter.orders.netting import netted_with
from adapter.orders.order import (
    ERROR_STATES,
    ChildFact,
    ChildId,
    ChildState,
    OrderProblem,
    OrderState,
    ServiceOrder,
    View,
)
from adapter.orders.replies import RequesterReply
from adapter.orders.validation import DISCONNECT_OPEN, overtaken_order

S = OrderState
HOLDING: Final = frozenset({S.WAITING, S.READY, S.IN_PROGRESS, S.ACTIVITY_ERROR, S.RETRY})
"""States in which an order keeps its service point for itself."""
_SOON: Final = timedelta(seconds=20)
"""When to look again at what keeps a customer's supply open: a cut that is called back, one of
which it is not known whether it was taken, an order that stands in the way and may be netted. Ours.
"""


_UNANSWERED: Final = (m.MaintenanceState.WAITING, m.MaintenanceState.ERROR)


class FactsWanted(Exception):
    """The facts are asked for, and are not loaded: load them, and do it once more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFacts:
    """What an order is decided on that is not its own.

    `records` are the facts about the service point, with the own children as they were; None when
    there is no such service point. `arriving` is what the registry knows of a device that a crew
    reports, `holders` are the devices that name its endpoint, `twin` is the one that people take it
    for.
    """

    records: View | None
    others: tuple[OtherTask, ...] = ()
    arriving: DeviceView | None = None
    holders: Sequence[DeviceView] = ()
    twin: DeviceId | None = None


class UnitOfWork:
    """An order with everything that is its own, while it is stepped.

    Without facts it can be stepped as long as nothing asks for them: then FactsWanted is raised.
    """

    def __init__(
        self, case: OrderRecord, facts: SiteFacts | None, rules: OrderRules, *, now: datetime
    ) -> None:
        self.case = case
        self.order = case.order
        self.now = now
        self.rules = rules
        self._site = facts
        self._view: View | None = None
        self.repeated = False
        """The report that was taken is known: nothing has changed."""
        self.saved: OrderLook | None = None
        """How the order was when it was saved, where it was looked at again."""
        self.stale = False
        """The facts have moved: they are to be loaded anew before the order is looked at."""
        self._as_read = True
        """Whether the records that were entered are those that would be read again."""
        self.children = {child.fact.id: _as_it_is(child) for child in case.children}
        self.requests = {request.id: request for request in case.requests}
        self.blocked_by = case.blocked_by
        self.pushes: list[ChildId] = []
        """Children that may move the order and have not done so yet."""
        self.supersedes: list[OrderId] = []
        self.nets: list[OrderId] = []
        """Orders that are to know whether this one makes their switching needless."""
        self.opens: list[NewOrder] = []
        """Orders that are made along with this change."""
        self.called_back: frozenset[ChildId] = frozenset()
        """Commands that were ended for the request that is taken up."""
        self.advice = ""
        """What people have to know of supply after this change."""
        self.passes: list[OrderPass] = []
        self.messages: list[FieldMessage] = []
        self.drops: list[ChildId] = []
        self._recalls: list[ChildId] = []
        self.world = WorldWrite()
        self.report: FieldReport | None = None
        self._replies: list[RequesterReply] = []
        self._notes: list[AuditNote] = []
        self._publications: list[Publication] = []

    # ------------------------------------------------------------ what it looks like now

    @property
    def facts(self) -> tuple[ChildFact, ...]:
        return tuple(child.fact for child in self.children.values())

    @property
    def lacks_facts(self) -> bool:
        return self._site is None

    @property
    def site(self) -> SiteFacts:
        """Raises FactsWanted."""
        if self._site is None:
            raise FactsWanted
        return self._site

    def enter(self, records: View) -> None:
        """The records become these."""
        self._as_read &= _keeps_devices(self.site.records, records)
        self._site = replace(self.site, records=records)
        self._view = None

    @property
    def view(self) -> View | None:
        """The records with the own children. Raises FactsWanted."""
        view, children = self.site.records if self._view is None else self._view, self.facts
        if view is not None and view.children != children:
            view = replace(view, children=children)
        self._view = view
        return view

    @property
    def dark(self) -> bool:
        """Raises FactsWanted where the own children do not tell."""
        if not supply_to_restore(self.order, self.facts):
            return False
        view = self.view
        return view is not None and customer_without_supply(self.order, view)

    @property
    def awaited(self) -> ChildFact | None:
        """The child that the order waits for, or is in trouble about."""
        if self.order.awaited_child is None or self.order.final:
            return None
        child = self.children.get(self.order.awaited_child)
        return None if child is None else child.fact

    @property
    def unsubmitted(self) -> bool:
        """Whether the gateway has yet to be asked for a command."""
        return any(
            child.command is None
            and child.fact.spec.kind is ChildKind.COMMAND
            and not child.fact.final
            for child in self.children.values()
        )

    @property
    def taken(self) -> frozenset[ChildId]:
        """The open children that are commands which the gateway has: they may leave any moment."""
        return frozenset(
            child.fact.id
            for child in self.children.values()
            if child.command is not None and not child.fact.final
        )

    @property
    def to_call_back(self) -> bool:
        """Whether the order is withdrawn and has a command with the head end that may still be
        cancelled. One that restores supply is left alone."""
        return self._stops(ChildState.SENT)

    @property
    def awaits_outcome(self) -> bool:
        """Whether the order is withdrawn, and it is not known whether the head end has a command
        of it: a callback may prove it any moment, and then it may be called back."""
        return self._stops(ChildState.UNCLEAR)

    def _stops(self, state: ChildState) -> bool:
        """Whether the order is withdrawn and has a command in that state that it can do without."""
        found = any(x.command and x.fact.state is state for x in self.children.values())
        return found and bool(self.order.stop) and not self.dark

    def cancel_awaited(self, child: ChildId) -> bool:
        """Whether the field system was asked to cancel the visit, and the answer is still to come.

        A message that could not be delivered is answered by nobody: people have it sent again.
        """
        known = self.children[child]
        asked = known.field is not None and bool(known.field.cancel_asked)
        return (
            asked
            and known.fact.state is ChildState.SENT
            and not any(m.cancels_again(each, child) for each in self.requests.values())
        )

    @property
    def overtaken(self) -> OrderId | None:
        """The order under way that stands in the way and that this one makes void."""
        if self.order.state is not S.VALIDATION_ERROR or self.view is None:
            return None
        return overtaken_order(self.order, self.view)

    @property
    def waits_for_disconnect(self) -> bool:
        problem = self.order.problem
        return problem is not None and problem.code == DISCONNECT_OPEN

    @property
    def changed(self) -> bool:
        """Whether the order or one of its children is not as it was loaded."""
        children = {child.fact.id: child for child in self.case.children}
        return self.order != self.case.order or any(
            children.get(number) != child for number, child in self.children.items()
        )

    @property
    def decides(self) -> bool:
        """Whether the next look is one at the world, by what is known of the child."""
        return decides(self.order, self.children.values())

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be done until somebody or the clock wakes the order, as far
        as it can itself tell: it is over, or its child is under way and tells nothing new."""
        if self.stale or any(x.state in _UNANSWERED for x in self.requests.values()):
            return False
        if self.order.final:
            return all(fact.final for fact in self.facts)
        waits = self.order.state in (S.IN_PROGRESS, S.ACTIVITY_ERROR) and not self.decides
        withdrawn = self.order.stop or netted_with(self.order)
        if not waits or withdrawn or supply_to_restore(self.order, self.facts):
            return False
        wake = self._wake()
        later = wake is not None and wake > self.now
        return later and observe(self.order, self.facts) is None

    @property
    def looks_at_once(self) -> bool:
        """Whether the look at the facts that have moved may be saved along with what moved them:
        they would be read again as they are here, and no command or other order has a say in it."""
        return (
            self.stale
            and self._site is not None
            and self._as_read
            and self.order.state in HOLDING
            and not self.taken
            and not self.unsubmitted
            and self.blocked_by is None
            and not self.order.stop
            and netted_with(self.order) is None
            and not any(x.state in _UNANSWERED for x in self.requests.values())
        )

    # ------------------------------------------------------------ what is saved

    def is_needless(self, write: OrderChange) -> bool:
        """Whether all of it is stored already, and the order is woken in time."""
        before, after = self.case, write.case
        if write != OrderChange(case=after, holds=write.holds, unchanged=write.unchanged):
            return False
        due, wake = before.wake, after.wake
        in_time = wake is None if due is None else wake is not None and self.now < due <= wake
        return in_time and after.blocked_by is None and replace(after, wake=due) == before

    def write(self) -> OrderChange:
        known = {x.fact.id: x for x in self.case.children}
        asked = {x.id: x for x in self.case.requests}
        children = {key: x for key, x in self.children.items() if known.get(key) != x}
        requests = {key: x for key, x in self.requests.items() if asked.get(key) != x}
        return OrderChange(
            unchanged=frozenset((*known, *asked)) - children.keys() - requests.keys(),
            case=replace(
                self.case,
                order=self.order,
                children=tuple((known | children).values()),
                requests=tuple((asked | requests).values()),
                blocked_by=None if self.order.final else self.blocked_by,
                wake=self._wake(),
            ),
            holds=self.order.state in HOLDING,
            awaits=self._awaits(),
            supersedes=tuple(self.supersedes),
            opens=tuple(self.opens),
            passes=tuple(self.passes),
            replies=tuple(self._replies),
            messages=tuple(x for x in self.messages if x.activity not in self.drops),
            drops=tuple(self.drops),
            recalls=tuple(self._recalls),
            report=self.report,
            world=self.world,
            audit=tuple(self._notes),
            publications=tuple(self._publications),
        )

    def _wake(self) -> datetime | None:
        if self.order.final:
            return None
        if self.stale or self.unsubmitted or self.to_call_back:
            return self.now
        match self.order.state:
            case S.WAITING:
                return max(self.order.effective_at, self.now)
            case S.VALIDATION_ERROR:
                newly_blocked = self.blocked_by is not None and self.case.blocked_by is None
                if self.overtaken is not None or newly_blocked or self._netting_moved:
                    return self.now + _SOON
                woken = self.blocked_by is not None or self.waits_for_disconnect
                return self._look_again() if woken else None
            case S.IN_PROGRESS | S.ACTIVITY_ERROR:
                dues = [at for x in self.children.values() for at in _due(x)]
                if self.awaits_outcome or self._netting_moved:
                    dues.append(self.now + _SOON)
                return min([self._look_again(), *(max(at, self.now) for at in dues)])
            case _:
                return self.now

    @property
    def _netting_moved(self) -> bool:
        """Whether the other order of the pair, or a command, is still to follow."""
        return netted_with(self.order) != netted_with(self.case.order)

    def _awaits(self) -> CommandId | None:
        """The disconnect of others that has to be over first."""
        waits = self.order.state is S.VALIDATION_ERROR and self.waits_for_disconnect
        view = self.view if waits else None
        return None if view is None else view.disconnect_open

    def _look_again(self) -> datetime:
        """When lost news heals: soon after a step, later the longer nothing has happened.

        Ten thousand orders that wait for days must not keep the gateway busy with looking.
        """
        steps = [each.fact.created_at for each in self.children.values()]
        quiet = self.now - max([self.order.state_since or self.order.created_at, *steps])
        return self.now + min(max(POLL, quiet / 8), LONGEST_POLL)

    # ------------------------------------------------------------ what is told of it

    def reply(self, kind: e.ReplyKind, id_: str, details: Mapping[str, str]) -> None:
        """To the requester's system, and published."""
        self.advice = details.get("advice", self.advice)
        reply = RequesterReply(
            id=id_,
            order=self.order.id,
            kind=kind,
            requester=self.order.requester,
            external_reference=self.order.external_reference,
            created_at=self.now,
            due_at=self.now,
            details=dict(details),
        )
        self._replies.append(reply)
        self._publications.append(
            Publication(
                id=EventId(reply.id),
                type=f"openway.order.reply.{kind.value}",
                subject=reply.order,
                severity=Severity.INFO,
                data={
                    "id": reply.id,
                    "order": reply.order,
                    "kind": kind.value,
                    "requester": reply.requester,
                    "reference": reply.external_reference,
                    "created_at": reply.created_at,
                    "callback_url": self.order.callback_url or None,
                    "details": reply.details,
                },
                traceparent=self.order.trace,
            )
        )

    def moved(self, event: e.Event, before: OrderState, actor: str) -> None:
        """The order has taken a step: into the audit, and published when its state is another."""
        after = self.order.state
        detail: dict[str, object] = {"from": before.value, "to": after.value}
        for name in ("child", "algorithm", "row", "reason", "other"):
            value = getattr(event, name, None)
            if value is not None and value != "":
                detail[name] = value if isinstance(value, str) else value.business_object
        if isinstance(event, e.Corrected):
            detail["changed"] = _changed(event)
        problem = self.order.problem
        if problem is not None and after in ERROR_STATES:
            detail["problem"] = f"{problem.code}: {problem.text}"
        who = getattr(event, "who", "") or actor
        self.note(who, type(event).__name__, self.order.id, detail)
        if after is not before:
            self._publish(problem)

    def recall(self, child: ChildId) -> None:
        """Nothing goes to the field system of what was told it before now and has not left."""
        self._recalls.append(child)
        self.messages = [each for each in self.messages if each.activity != child]

    def note(self, actor: str, action: str, subject: str, detail: Mapping[str, object]) -> None:
        self._notes.append(AuditNote(actor=actor, action=action, subject=subject, detail=detail))

    def point_changed(
        self,
        point: ServicePointId,
        visit: ChildId,
        report: CompletionReport,
        what: Mapping[str, object],
    ) -> None:
        """A visit has changed the service point or what stands there: into the audit, and
        published."""
        at, cause = report.at, report.cause
        detail = {
            **what,
            "order": self.order.id,
            "visit": visit,
            "cause": cause,
            "at": at.isoformat(),
        }
        self.note("field", POINT_CHANGED, point_subject(point), detail)
        self._publications.append(
            Publication(
                id=EventId(f"{visit}:{cause}"),
                type="openway.service_point.changed",
                subject=point,
                severity=Severity.INFO,
                data={
                    "service_point": point,
                    "order": self.order.id,
                    "visit": visit,
                    "cause": cause,
                    "at": at,
                    "connected": what.get("connected"),
                    "disconnect_location": what.get("disconnect_location"),
                    "removed": what.get("removed"),
                    "installed": what.get("installed"),
                    "install_status": what.get("install_status"),
                },
                traceparent=self.order.trace,
            )
        )

    def _publish(self, problem: OrderProblem | None) -> None:
        order = self.order
        dark = problem is not None and problem.without_supply
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
                    "callback_url": order.callback_url or None,
                },
                traceparent=order.trace,
            )
        )


def decides(order: ServiceOrder, children: Iterable[Child]) -> bool:
    """Whether the next look at an order is one at the world: no child is under way, or one that
    waits for what comes there."""
    if order.final:
        return False
    awaited = next((x for x in children if x.fact.id == order.awaited_child), None)
    return awaited is None or awaited.fact.final or awaited.wait is not None


def _keeps_devices(before: View | None, after: View) -> bool:
    """Whether field work left alone what is read from elsewhere than the records: what a device can
    do, and its readings."""
    return before is not None and (
        (before.device, before.removed, before.capabilities)
        == (after.device, after.removed, after.capabilities)
        and before.measurements == after.measurements
        and before.reading_on_its_way == after.reading_on_its_way
    )


def _due(child: Child) -> list[datetime]:
    """When time alone does something to the child."""
    if child.fact.final:
        return []
    known = (child.fact.spec.due_at, None if child.field is None else child.field.answer_by)
    return [at for at in known if at is not None]


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
    if child.leaving and state is ChildState.SENDING:
        state = ChildState.SENT
    if state is child.fact.state:
        return child
    return replace(child, fact=replace(child.fact, state=state))

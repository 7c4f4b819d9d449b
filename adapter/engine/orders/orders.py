"""Service orders: submitted, looked at, cancelled and changed; what crews report."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

from adapter.commands.activity import Command
from adapter.commands.clocks import ClockError
from adapter.engine import tracing
from adapter.engine.commands.commands import Commands
from adapter.engine.commands.ports import AuditEntry, AuditNote, Clock, Store
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.listing import Listing
from adapter.engine.orders.arriving_device import agreed, check_endpoint_free, twin_of
from adapter.engine.orders.facts import MasterData, Records
from adapter.engine.orders.field_work import FieldReport, FieldWork, OpenVisit, OtherWork, Receipt
from adapter.engine.orders.operator import Operator
from adapter.engine.orders.orchestrator import Orchestrator
from adapter.engine.orders.payments import Payment, Payments
from adapter.engine.orders.ports import (
    Child,
    FinalMeasurements,
    NewOrder,
    OrderChange,
    OrderFilter,
    OrderRecord,
    OrderRules,
    OrderShown,
    OrderStore,
    Requester,
)
from adapter.engine.orders.requests import OrderRequest, check_request, fingerprint
from adapter.engine.orders.site_facts import SiteFactsReader
from adapter.engine.orders.unit_of_work import UnitOfWork
from adapter.engine.orders.unit_of_work_order import (
    take_report,
    take_request,
)
from adapter.engine.readings.ports import Loaded
from adapter.engine.registry.ports import looks_like
from adapter.engine.registry.registry import Registry
from adapter.engine.runner import Once, Runner
from adapter.engine.sortable_ids import SortableIds
from adapter.engine.tracing import SpanName, span
from adapter.engine.upkeep.clock_correction import CorrectionStore
from adapter.engine.upkeep.set_aside import RowKind
from adapter.engine.upkeep.signals import Signal, Signals
from adapter.engine.upkeep.todo import Todo
from adapter.engine.watchers import Watchers
from adapter.errors import Conflict, IllegalTransition, InvalidRequest, NotFound
from adapter.model.ids import DeviceId, EndpointId, OrderId, ServicePointId
from adapter.model.values import replace
from adapter.orders import maintenance as m
from adapter.orders.algorithms.rows import NEW_DEVICE
from adapter.orders.changes import TIMES, check_names, service_problem
from adapter.orders.completion import CompletionRefused, yet_to_come
from adapter.orders.elements import check_elements
from adapter.orders.field_activity_events import WorkCanceled, WorkReported
from adapter.orders.order import ERROR_STATES, ChildId, ServiceOrder, View, parent_of
from adapter.orders.plan import Assumptions, OrderPlan, make_plan

_LOOPS: Final = ("orders", "field", "replies")
_NAMES: Final = 500
"""So many meters of a payload are looked up at once: callbacks pass between."""


class Orders:
    """Submit service orders, look at them, take what crews report. What people decide about them is
    in `operator`.

    Orders are durable when `submit` returns. Raises InvalidRequest, which names field and rule;
    NotFound; Conflict (the reference with other content, or the state forbids it); Forbidden (a
    customer would stay dark); StoreFailed.
    """

    def __init__(
        self,
        *,
        store: OrderStore,
        command_store: Store,
        commands: Commands,
        registry: Registry,
        holds: SwitchHolds,
        runner: Runner,
        signals: Signals,
        field_work: FieldWork,
        requester: Requester,
        measurements: FinalMeasurements,
        clock: Clock,
        rules: OrderRules | None = None,
        lease_s: float = 30.0,
        entropy: Callable[[], int] = lambda: secrets.randbits(80),
        master_data: MasterData | None = None,
    ) -> None:
        self._store = store
        self._command_store = command_store
        self._holds = holds
        self._runner = runner
        self._signals = signals
        self._clock = clock
        self._ids = SortableIds(entropy)
        self._watchers = Watchers[OrderId, ServiceOrder](lambda order: order.rests)
        self.rules = rules or OrderRules()
        keep = partial(registry.import_devices, by="master_data", whole=True)
        self._orchestrator = Orchestrator(
            store,
            command_store,
            commands,
            SiteFactsReader(
                Records(store, master_data, keep), command_store, measurements, clock, self.rules
            ),
            holds,
            field_work,
            requester,
            clock,
            self.rules,
            lease_s=lease_s,
            saved=self._saved,
        )
        self.set_aside = store.set_aside
        store.set_aside.on_discard(RowKind.ORDER, self._give_up)
        self.operator = Operator(store, self._orchestrator, clock, self.poke)
        self._payments = Payments(
            store, self._orchestrator, self.rules, clock, self._new, self.poke
        )

    # ------------------------------------------------------------ loops

    @property
    def loops(self) -> Mapping[str, Once]:
        """What has to run for orders to go on, by the name of the loop."""
        deliveries = self._orchestrator.deliveries
        work = (self._orchestrator.once, deliveries.send_once, deliveries.reply_once)
        return dict(zip(_LOOPS, work, strict=True))

    def poke(self) -> None:
        """Something may be due: a hint."""
        self._runner.poke(*_LOOPS)

    def _saved(self, change: OrderChange) -> None:
        """What may be due by it; what people have to hear of."""
        case = change.case
        self._watchers.changed(case.order.id, case.order)
        if case.order.state in ERROR_STATES:
            self._say_in_error(case.order)
        woken = case.order.final or (case.wake is not None and case.wake <= self._clock.now())
        others = change.supersedes or change.opens or change.awaits or case.blocked_by
        orders, field, replies = _LOOPS
        if woken or others:
            self._runner.poke(orders)
        if change.messages or change.drops:
            self._runner.poke(field)
        if change.replies:
            self._runner.poke(replies)

    def _say_in_error(self, order: ServiceOrder) -> None:
        since = order.state_since or order.created_at
        problem = order.problem
        self._signals.tell(
            Signal.ORDER_IN_ERROR,
            f"{order.id} {since.isoformat()}",
            order=order.id,
            kind=order.kind,
            state=order.state,
            problem="" if problem is None else problem.code,
        )

    async def drain(self) -> int:
        """Work everything of orders that is due now, in a fixed order. Returns how much."""
        worked, total = 1, 0
        while worked:
            worked = await self._orchestrator.once()
            worked += await self._orchestrator.deliveries.send_once()
            worked += await self._orchestrator.deliveries.reply_once()
            total += worked
        return total

    # ------------------------------------------------------------ orders

    async def submit(self, request: OrderRequest, *, actor: str = "api") -> ServiceOrder:
        """Accept an order. A requester's known reference gives the known order.

        Raises InvalidRequest; Conflict for a known reference with another content. What the world
        forbids is stored all the same, in Validation Error, and answered.
        """
        with span(SpanName.SUBMIT, None, kind=request.kind) as traced:
            order = await self._submit(request, actor)
            traced.set("order", order.id)
            traced.set("outcome", order.state.name.lower())
            return order

    async def _submit(self, request: OrderRequest, actor: str) -> ServiceOrder:
        await self._number()
        check_elements(request.fields, self.rules.configuration.elements)
        new = self._new(request, actor)
        made, same = await self._store.submit(new.change, new.content)
        if not same:
            raise Conflict(f"the reference belongs to order {made}, with other content")
        self._runner.poke(_LOOPS[0])
        return (await self._orchestrator.case(made)).order

    async def _number(self) -> None:
        """Numbers go on behind the newest that is known."""
        if not self._ids.known:
            newest = await self._store.list(OrderFilter(limit=1))
            self._ids.after(*newest.ids)

    def _new(self, request: OrderRequest, actor: str) -> NewOrder:
        order = self._draft(request)
        note = AuditNote(
            actor=actor,
            action="Submitted",
            subject=order.id,
            detail={
                "kind": order.kind.value,
                "service_point": order.service_point,
                "requester": order.requester,
                "reference": order.external_reference,
            },
        )
        record = OrderRecord(order=order, wake=self._clock.now())
        change = OrderChange(case=record, audit=(note,))
        return NewOrder(change=change, content=fingerprint(request))

    def _draft(self, request: OrderRequest) -> ServiceOrder:
        now = self._clock.now()
        check_request(request)
        name = request.activity_type or request.kind.value
        if self.rules.activity_type(name) is None:
            known = ", ".join(sorted(self.rules.configuration.activity_types))
            raise InvalidRequest("activity_type", f"{name} is not one of {known}")
        effective = request.effective_at or now
        service = request.service_at or effective
        if problem := service_problem(service, effective):
            raise InvalidRequest("service_at", problem)
        return ServiceOrder(
            id=OrderId(self._ids.next(now)),
            kind=request.kind,
            service_point=request.service_point,
            activity_type=name,
            requester=request.requester,
            external_reference=request.external_reference,
            created_at=now,
            effective_at=effective,
            service_at=service,
            account=request.account,
            priority=request.priority,
            fields=dict(request.fields),
            callback_url=request.callback_url,
            trace=tracing.current(),
        )

    async def plan(self, request: OrderRequest) -> OrderPlan:
        """The steps that such an order would take from today's facts. Stores and sends nothing."""
        if not request.external_reference:
            request = replace(request, external_reference="(plan)")
        check_elements(request.fields, self.rules.configuration.elements)
        return await self._planned(self._draft(request), ())

    async def plan_of(self, order: OrderId) -> OrderPlan:
        """The steps that are still before an order. Raises NotFound, Conflict when it is final."""
        case = await self._orchestrator.case(order)
        if case.order.final:
            raise Conflict(f"order {order} is {case.order.state}")
        return await self._planned(case.order, case.children)

    async def _planned(self, order: ServiceOrder, children: Sequence[Child]) -> OrderPlan:
        facts = self._orchestrator.facts
        world = await facts.records.world(order.service_point, order.id)
        view = await facts.view(order, world, children)
        if view is None:
            raise NotFound(f"no service point {order.service_point}")
        return make_plan(
            order,
            view,
            matrix=self.rules.configuration.matrix,
            customs=self.rules.customs,
            assume=await self._assumed(order, view),
        )

    async def _assumed(self, order: ServiceOrder, view: View) -> Assumptions:
        """What a crew brings, where the order names it: what the records have of it."""
        named = DeviceId(order.fields.get(NEW_DEVICE, ""))
        if not named:
            return Assumptions()
        known = (await self._command_store.views([named])).get(named)
        if known is None:
            twin = await twin_of(self._command_store, named)
            refused = "" if twin is None else looks_like(named, twin)
            return Assumptions(new_id=named, refused=refused)
        device, refused = known.device, ""
        endpoint = device.endpoint or EndpointId("")
        holders = (await self._command_store.at_endpoints([endpoint]))[endpoint]
        gone = {device.id, *([] if view.device is None else [view.device.id])}
        try:
            agreed(device, known, view)
            check_endpoint_free(device, holders, gone)
        except CompletionRefused as error:
            refused = str(error)
        return Assumptions(
            new_device=device,
            new_capabilities=self.rules.supported(device),
            new_id=named,
            refused=refused,
        )

    async def get(self, order: OrderId) -> ServiceOrder:
        """Raises NotFound."""
        return (await self._orchestrator.case(order)).order

    async def wait(self, order: OrderId, *, timeout_s: float) -> ServiceOrder:
        """The order when it is final or needs a person, or as it is after `timeout_s` seconds.
        Raises NotFound."""
        return await self._watchers.wait(order, self.get, timeout_s=timeout_s)

    async def list(self, wanted: OrderFilter | None = None) -> Listing[ServiceOrder, OrderId]:
        """Newest first; what cannot be read is among `unreadable`."""
        return await self._store.list(wanted or OrderFilter())

    async def show(self, order: OrderId) -> OrderShown:
        """What really happened, with the facts that each decision saw. Raises NotFound."""
        shown = await self._store.shown(order)
        if shown is None:
            raise NotFound(f"no order {order}")
        return shown

    async def history(self, order: OrderId) -> Sequence[AuditEntry]:
        """The audit entries of the order itself, oldest first."""
        return await self._command_store.audit(subject=order)

    async def todo(self, *, limit: int = 100) -> Sequence[Todo]:
        """What of orders waits for people, the most urgent and oldest first; `Upkeep.todo` has
        this and all else."""
        return await self._store.todo(limit=limit)

    # ------------------------------------------------------------ cancel and update

    async def cancel(
        self, order: OrderId, *, by: str, reason: str = "", reference: str = ""
    ) -> m.MaintenanceActivity:
        """Ask to cancel. The answer is an activity of its own, whose state tells the outcome.

        What has left and may still be called back is called back: a visit at the field system, a
        command by CancelRequest. The answer then waits for how that ends, and a second cancel
        meanwhile is answered by the first. A repeated reference is answered by the first one's
        result.
        """
        return await self._maintain(m.Purpose.CANCEL, order, by, reference, reason, {})

    async def update(
        self, order: OrderId, changes: Mapping[str, str], *, by: str, reference: str = ""
    ) -> m.MaintenanceActivity:
        """Ask to change elements, or `effectiveAt` and `serviceAt` (ISO 8601 with a zone).

        The answer names what was changed and where, and what was not and why.
        """
        if not changes:
            raise InvalidRequest("changes", "at least one")
        check_names(changes)
        elements = {name: value for name, value in changes.items() if name not in TIMES}
        check_elements(elements, self.rules.configuration.elements)
        return await self._maintain(m.Purpose.UPDATE, order, by, reference, "", changes)

    async def _maintain(
        self,
        purpose: m.Purpose,
        order: OrderId,
        by: str,
        reference: str,
        reason: str,
        changes: Mapping[str, str],
    ) -> m.MaintenanceActivity:
        async with self._orchestrator.working(order):
            known = await self._store.request(by, reference) if reference else None
            if known is not None:
                if (known.order, known.purpose) != (order, purpose):
                    raise Conflict(f"the reference belongs to request {known.id}")
                return known
            called_back: frozenset[ChildId] = frozenset()
            if purpose is m.Purpose.CANCEL:
                asked = m.under_way((await self._orchestrator.case(order)).requests)
                if asked is not None and not reference:
                    return asked
                called_back = await self._orchestrator.call_back(order, reason=reason)
            made: list[str] = []

            def ask(work: UnitOfWork) -> None:
                work.called_back = called_back
                number = len(work.case.requests) + 1
                made[:] = [f"{order}-m{number}"]
                take_request(
                    work,
                    m.MaintenanceActivity(
                        id=made[0],
                        purpose=purpose,
                        order=order,
                        requester=by,
                        reference=reference,
                        created_at=work.now,
                        reason=reason,
                        changes=dict(changes),
                    ),
                )

            await self._orchestrator.act(order, ask)
        return await self._orchestrator.request(order, made[0])

    async def correct_clock(self, error: ClockError, store: CorrectionStore) -> None:
        """The clock was wrong and is right again: mend what it wrote into open orders."""
        await self._orchestrator.correct_clock(error, store)
        self.poke()

    async def payment(self, point: ServicePointId, *, by: str, reference: str = "") -> Payment:
        """The customer has paid: every open cut there ends, at whatever moment it is, and a
        customer whom one left dark is reconnected.

        A cut whose work is with the crew or the meter stops after it; the order to reconnect waits
        for that. Raises NotFound; Conflict, with the others ended, where a cut there cannot be
        read.
        """
        await self._number()
        return await self._payments.record(point, by=by, reference=reference)

    async def _give_up(self, order: str, by: str, reason: str) -> None:
        """A person discarded it where it was set aside."""
        await self.operator.discard(OrderId(order), by=by, reason=reason)

    # ------------------------------------------------------------ what comes in

    async def open_visits(self) -> Sequence[OpenVisit]:
        """For a field work system that keeps nothing itself: the visits that are not over."""
        return await self._store.open_visits()

    async def receive(self, report: FieldReport) -> Receipt:
        """Take what the field work system reports; see `FieldInbox`."""
        news = report.news
        if isinstance(news, OtherWork):
            if await self._store.order_of(report.activity) is not None:
                raise Conflict(f"{report.activity} is a visit of ours")
            for name, at in (("createdAt", news.created_at), ("endedAt", news.ended_at)):
                if at is not None and (problem := yet_to_come(at, self._clock.now())):
                    raise InvalidRequest(name, problem)
            known = not await self._store.other_work(report, news)
            return Receipt.REPEATED if known else Receipt.APPLIED
        order = parent_of(report.activity)
        arriving = getattr(getattr(news, "report", None), "new_device", None)
        ended = isinstance(news, WorkReported | WorkCanceled)
        async with self._orchestrator.working(order):
            try:
                work = await self._orchestrator.act(
                    order, lambda work: take_report(work, report), arriving=arriving, facts=ended
                )
            except NotFound:
                raise NotFound(f"no activity {report.activity}") from None
            except IllegalTransition as error:
                if await self._store.report_known(report.id):
                    return Receipt.REPEATED
                refused = {"report": report.id, "news": type(news).__name__, "reason": str(error)}
                await self._orchestrator.apply(
                    order,
                    lambda work: work.note(report.who or "field", "ReportRefused", order, refused),
                )
                raise
        return Receipt.REPEATED if work.repeated else Receipt.APPLIED

    async def measured(self, devices: Sequence[DeviceId]) -> None:
        """Measurements came for these devices: look at the orders that have a child on them.

        For a site's own measurement system. A hint: the order's own monitor decides, and without
        the hint within `POLL`.
        """
        self._hint(await self._store.waiting_for(devices))

    def command_moved(self, command: Command) -> None:
        """A command was saved: a hint, see `Orchestrator.command_moved`."""
        if self._orchestrator.command_moved(command):
            self.poke()

    async def arrived(self, taken: Loaded) -> None:
        """The same for a payload that was taken in."""
        names = [*taken.endpoints, *taken.serials]
        for first in range(0, len(names), _NAMES):
            self._hint(await self._store.waiting_at(names[first : first + _NAMES]))

    def _hint(self, orders: Sequence[OrderId]) -> None:
        if orders:
            self._orchestrator.hint(orders)
            self.poke()

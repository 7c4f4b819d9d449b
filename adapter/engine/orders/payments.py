"""A customer has paid: open cuts end, and whoever is dark all the same is reconnected.

Where a cut is under way, or has just done its work, the order to reconnect is made in the same
transaction in which the cut is withdrawn. It waits until the cut is over and looks at the world
then: at no moment is there a customer in the dark whom no open order is about.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from adapter.engine.commands.ports import Clock
from adapter.engine.listing import Listing, refuse_unreadable
from adapter.engine.orders.facts import MasterDataFailed, MeasurementsFailed
from adapter.engine.orders.named_locks import NamedLocks
from adapter.engine.orders.orchestrator import Orchestrator
from adapter.engine.orders.ports import NewOrder, OrderFilter, OrderRules, OrderStore, OrderWorld
from adapter.engine.orders.requests import OrderRequest
from adapter.engine.orders.unit_of_work import UnitOfWork
from adapter.engine.orders.unit_of_work_order import step_order, withdraw_order
from adapter.errors import Conflict, NotFound
from adapter.model.ids import OrderId, ServicePointId
from adapter.model.values import replace
from adapter.orders.events import Corrected
from adapter.orders.order import (
    ERROR_STATES,
    RECONNECT_ORDER,
    OrderKind,
    OrderState,
    ServiceOrder,
    View,
)
from adapter.orders.payment import (
    CUT_BY,
    NO_REFERENCE,
    PAYMENT,
    SERVICE_ENDED_BY,
    LastOrder,
    PaidSupply,
    last_order,
    was_cut,
)
from adapter.orders.switching import cut_off, supplied
from adapter.orders.tasks import CancelReason
from adapter.orders.validation import DISCONNECT_OPEN

log = logging.getLogger(__name__)

_NOBODY: Final = OrderId("")
_PRIORITY: Final = 50
"""Of an order to reconnect: the customer is dark and has paid. Ours."""
_BEFORE_WORK: Final = frozenset(
    {OrderState.PENDING, OrderState.VALIDATE, OrderState.VALIDATION_ERROR, OrderState.WAITING}
)
_LOOKED_BACK: Final = 50
"""So many orders of the service point are asked what became of its supply."""

Make = Callable[[OrderRequest, str], NewOrder]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What a payment came to. `cuts` are those that were open, as they are now; `reconnection` is
    the order that gives supply back; `text` says it to people."""

    supply: PaidSupply
    text: str
    cuts: tuple[ServiceOrder, ...] = ()
    reconnection: ServiceOrder | None = None


class Payments:
    """`make` drafts an order; `poke` says that something may be due."""

    def __init__(
        self,
        store: OrderStore,
        orchestrator: Orchestrator,
        rules: OrderRules,
        clock: Clock,
        make: Make,
        poke: Callable[[], None],
    ) -> None:
        self._store = store
        self._orchestrator = orchestrator
        self._rules = rules
        self._clock = clock
        self._make = make
        self._poke = poke
        self._points = NamedLocks()

    async def record(self, point: ServicePointId, *, by: str, reference: str) -> Payment:
        """Raises NotFound; Conflict, with the others ended, where a cut there cannot be read."""
        async with self._points.holding(point):
            cuts = await self._open(point, OrderKind.CUT)
            made = await self._reconnection(point, by, reference, cuts)
        self._poke()
        refuse_unreadable("order", cuts.unreadable)
        ended = [(await self._orchestrator.case(order.id)).order for order in cuts.rows]
        return await self._answer(point, ended, made)

    async def _reconnection(
        self,
        point: ServicePointId,
        by: str,
        reference: str,
        cuts: Listing[ServiceOrder, OrderId],
    ) -> OrderId | None:
        """End the cuts. The open order that reconnects, if one is needed."""
        world = await self._orchestrator.facts.records.world(point, _NOBODY)
        if world.service_point is None and not cuts.ids:
            raise NotFound(f"no service point {point}")
        known = await self._open_reconnection(point)
        for cut in cuts.rows:
            new = self._new(point, by, reference, {CUT_BY: cut.id})
            known = await self._withdraw(cut.id, by, reference, known, new)
        open_ = await self._open_reconnection(point)
        if open_ is None:
            return await self._restored(point, by, reference, cuts.rows)
        await self._hasten(open_, by)
        return open_

    async def _hasten(self, order: OrderId, by: str) -> None:
        """One that was ordered for a later day is due now."""

        def now(work: UnitOfWork) -> None:
            if work.order.state in _BEFORE_WORK and work.order.effective_at > work.now:
                step_order(work, Corrected(who=by, effective_at=work.now), actor=by)

        async with self._orchestrator.working(order):
            await self._orchestrator.apply(order, now)

    async def _withdraw(
        self, cut: OrderId, by: str, reference: str, known: OrderId | None, new: NewOrder
    ) -> OrderId | None:
        reason = f"{CancelReason.PAYMENT}: {reference}".removesuffix(": ")
        restored_by = known or new.change.case.order.id

        def pay(work: UnitOfWork) -> None:
            if not work.order.final:
                withdraw_order(work, who=by, reason=reason, restored_by=restored_by)
            if known is None and _may_be_dark(work, restored_by):
                work.opens.append(new)

        async with self._orchestrator.working(cut):
            await self._orchestrator.call_back(cut, reason=reason)
            work = await self._orchestrator.apply(cut, pay)
        return restored_by if work.opens else known

    async def _restored(
        self, point: ServicePointId, by: str, reference: str, cuts: Sequence[ServiceOrder]
    ) -> OrderId | None:
        """An order to reconnect where supply is off now, or may go off."""
        now = [(await self._orchestrator.case(cut.id)).order for cut in cuts]
        under_way = next((cut.id for cut in now if not cut.final), None)
        if under_way is not None:
            return await self._submit(self._new(point, by, reference, {CUT_BY: under_way}))
        wanted = OrderFilter(service_point=point, limit=_LOOKED_BACK)
        last, order = last_order((await self._store.list(wanted)).rows)
        world = await self._store.world(point, _NOBODY)
        view = self._view(world)
        if view is None:
            return None
        off = await self._orchestrator.facts.disconnect_open(world.device, _NOBODY)
        if off is None and not was_cut(view, last):
            return None
        names = {LastOrder.CUT: CUT_BY, LastOrder.ENDED: SERVICE_ENDED_BY}
        known = {} if order is None or last not in names else {names[last]: order.id}
        return await self._submit(self._new(point, by, reference, known))

    async def _submit(self, new: NewOrder) -> OrderId:
        made, _ = await self._store.submit(new.change, new.content)
        return made

    def _new(
        self, point: ServicePointId, by: str, reference: str, known: Mapping[str, str]
    ) -> NewOrder:
        """Its own reference has its number: a payment may have to restore supply more than once."""
        request = OrderRequest(
            kind=OrderKind.RECONNECT,
            service_point=point,
            external_reference=f"payment {reference or NO_REFERENCE}",
            requester=by,
            priority=_PRIORITY,
            fields={PAYMENT: reference or NO_REFERENCE, **known},
        )
        made = self._make(request, by)
        order = made.change.case.order
        named = replace(order, external_reference=f"{order.external_reference} {order.id}")
        return replace(
            made, change=replace(made.change, case=replace(made.change.case, order=named))
        )

    # ------------------------------------------------------------ what is there

    async def _open(self, point: ServicePointId, kind: OrderKind) -> Listing[ServiceOrder, OrderId]:
        wanted = OrderFilter(kind=kind, service_point=point, open_only=True)
        return await self._store.list(wanted)

    async def _open_reconnection(self, point: ServicePointId) -> OrderId | None:
        found = (await self._open(point, OrderKind.RECONNECT)).rows
        return found[0].id if found else None

    def _view(self, world: OrderWorld) -> View | None:
        type_ = self._rules.activity_type(OrderKind.RECONNECT.value)
        if world.service_point is None or type_ is None:
            return None
        return View(
            now=self._clock.now(),
            service_point=world.service_point,
            activity_type=type_,
            device=world.device,
            installed=world.installed,
        )

    # ------------------------------------------------------------ the answer

    async def _answer(
        self, point: ServicePointId, cuts: Sequence[ServiceOrder], made: OrderId | None
    ) -> Payment:
        ended = tuple(cuts)
        if made is None:
            view = self._view(await self._store.world(point, _NOBODY))
            return Payment(supply=PaidSupply.NOT_CUT, text=_not_cut(view), cuts=ended)
        order = await self._looked_at(made)
        if order.state is OrderState.COMPLETED:
            text = f"supply is on; order {made} is completed"
            return Payment(supply=PaidSupply.NOT_CUT, text=text, cuts=ended, reconnection=order)
        problem = order.problem if order.state in ERROR_STATES else None
        waits = problem is not None and problem.order is None
        if problem is not None and waits and problem.code != DISCONNECT_OPEN:
            supply, text = PaidSupply.WAITS_FOR_PEOPLE, f"order {made} waits: {problem.text}"
        else:
            after = f"; it waits: {problem.text}" if problem is not None else ""
            supply, text = PaidSupply.RECONNECTING, f"order {made} reconnects{after}"
        return Payment(supply=supply, text=text, cuts=ended, reconnection=order)

    async def _looked_at(self, order: OrderId) -> ServiceOrder:
        """The order after its first look, so that the answer says whether it may go on. Where the
        look is not possible now, the loop will come to it."""
        async with self._orchestrator.working(order):
            with suppress(Conflict, MasterDataFailed, MeasurementsFailed):
                await self._orchestrator.carry_on(order)
        return (await self._orchestrator.case(order)).order


def _may_be_dark(work: UnitOfWork, restored_by: OrderId) -> bool:
    """Whether the cut goes on for now, has taken supply away, or has told that it is restored."""
    order = work.order
    done = order.state is OrderState.COMPLETED or order.fields.get(RECONNECT_ORDER) == restored_by
    return not order.final or done or cut_off(work.facts)


def _not_cut(view: View | None) -> str:
    if view is None:
        return "the service point is not in the registry"
    if supplied(view):
        return "supply is on"
    return "supply is off and was not cut: by the records it was never on"

"""What people decide about service orders, their visits, requests and replies."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapter.commands.timing import given_in_utc
from adapter.engine.commands.ports import AuditNote, Clock
from adapter.engine.orders.orchestrator import Orchestrator
from adapter.engine.orders.ports import OrderStore
from adapter.engine.orders.unit_of_work import UnitOfWork
from adapter.engine.orders.unit_of_work_children import stop_child
from adapter.engine.orders.unit_of_work_order import (
    advice_on_giving_up,
    advice_on_moving,
    decide_field_activity,
    look_at_child,
    step_order,
    step_request,
)
from adapter.errors import Conflict, InvalidRequest, NotFound
from adapter.model.device import Device
from adapter.model.ids import OrderId
from adapter.orders import events as e
from adapter.orders import maintenance as m
from adapter.orders.changes import service_problem
from adapter.orders.completion import CompletionReport
from adapter.orders.elements import check_elements
from adapter.orders.field_activity_events import FieldRetried, WorkCanceled, WorkReported
from adapter.orders.lifecycle import discardable
from adapter.orders.order import CHILD_ERROR, ChildId, ChildState, OrderState, ServiceOrder
from adapter.orders.replies import (
    DeliveryGivenUp,
    DeliveryRetried,
    ReplyEvent,
    ReplyState,
    RequesterReply,
    step_reply,
)

_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The order after what people decided. `advice` is what they have to know of supply: who stays
    without it, or has it though it was to end."""

    order: ServiceOrder
    advice: str = ""


class Operator:
    """`by` is who decides. `poke` is told when something may be due: a hint."""

    def __init__(
        self,
        store: OrderStore,
        orchestrator: Orchestrator,
        clock: Clock,
        poke: Callable[[], None],
    ) -> None:
        self._store = store
        self._orchestrator = orchestrator
        self._clock = clock
        self._poke = poke

    # ------------------------------------------------------------ orders

    async def retry(self, order: OrderId, *, by: str) -> ServiceOrder:
        """Try again what is in error: the child, or the order, on fresh facts."""
        async with self._orchestrator.working(order):
            work = await self._orchestrator.unit_of_work(order)
            awaited = work.awaited
            broken = awaited if awaited is not None and awaited.state in CHILD_ERROR else None
            if work.order.state is OrderState.ACTIVITY_ERROR and broken is not None:
                await self._orchestrator.retry_command(work.children[broken.id], by=by)
            open_child = broken.id if broken is not None else None
            event = e.OrderRetryAsked(who=by, open_child=open_child)
            await self._orchestrator.act(order, lambda work: step_order(work, event, actor=by))
        return (await self._orchestrator.case(order)).order

    async def correct(
        self,
        order: OrderId,
        *,
        by: str,
        fields: Mapping[str, str] | None = None,
        effective_at: datetime | None = None,
        service_at: datetime | None = None,
    ) -> Decided:
        """Change an order's elements or times; in error, `retry` goes on with them.

        Raises InvalidRequest for what is no element, or not of its lookup.
        """
        check_elements(fields or {}, self._orchestrator.rules.configuration.elements)
        event = e.Corrected(
            who=by,
            fields=dict(fields or {}),
            effective_at=given_in_utc("effective_at", effective_at),
            service_at=given_in_utc("service_at", service_at),
        )

        def correct(work: UnitOfWork) -> None:
            before = work.order
            effective = event.effective_at or before.effective_at
            if event.service_at and (problem := service_problem(event.service_at, effective)):
                raise InvalidRequest("service_at", problem)
            step_order(work, event, actor=by)
            work.advice = advice_on_moving(work, before)

        return await self._decide(order, correct)

    async def complete_by_hand(self, order: OrderId, *, by: str, reason: str) -> ServiceOrder:
        """Close an order in error as done. Children of which nothing has left are discarded.

        Raises Conflict while a child is under way, Forbidden while the customer is dark.
        """
        event = e.CompletedByHand(who=by, reason=reason)

        def complete(work: UnitOfWork) -> None:
            open_ = [fact for fact in work.facts if not fact.final]
            taken = work.taken
            held = next((x for x in open_ if x.id in taken or not discardable(x)), None)
            if held is not None and work.order.state is OrderState.ACTIVITY_ERROR:
                raise Conflict(f"child {held.id} is {held.state}: see to it first")
            step_order(work, event, actor=by)
            for fact in open_:
                stop_child(work, fact.id, reason)

        async with self._orchestrator.working(order):
            work = await self._orchestrator.unit_of_work(order)
            if work.order.state is OrderState.ACTIVITY_ERROR:  # else it is refused
                await self._orchestrator.call_back(order, reason=reason)
            await self._orchestrator.act(order, complete)
        return (await self._orchestrator.case(order)).order

    async def discard(self, order: OrderId, *, by: str, reason: str = "") -> Decided:
        """Give up. Raises Forbidden while a child has to be cancelled, or the order left the
        customer dark; who is dark all the same is in the advice."""

        def discard(work: UnitOfWork) -> None:
            awaited = work.awaited
            if awaited is not None and awaited.completed:
                look_at_child(work)  # its work is done and counts
            if work.taken:
                raise Conflict(f"child {min(work.taken)} is with the gateway; try again")
            event = e.OrderDiscardAsked(
                who=by,
                reason=reason,
                children=work.facts,
                dark=work.dark,
                advice=advice_on_giving_up(work),
            )
            step_order(work, event, actor=by)

        return await self._decide(order, discard, call_back=reason or "discarded")

    # ------------------------------------------------------------ visits

    async def complete_visit(
        self, child: ChildId, report: CompletionReport, *, by: str
    ) -> ServiceOrder:
        """Report a visit as done by hand, or correct the report of one in completion error."""
        order = await self._orchestrator.order_of(child)

        def complete(work: UnitOfWork) -> None:
            broken = work.children[child].fact.state is ChildState.COMPLETION_ERROR
            event = (
                FieldRetried(who=by, report=report)
                if broken
                else WorkReported(report=report, who=by)
            )
            decide_field_activity(work, child, event, by=by)

        return (await self._decide(order, complete, arriving=report.new_device)).order

    async def cancel_visit(
        self, child: ChildId, report: CompletionReport, *, by: str, reason: str
    ) -> ServiceOrder:
        """Report a visit as not done, by hand; `report` is what was found there all the same.

        Raises InvalidRequest for a reason that is not of D1-CancelReasonLookup or the site's own.
        """
        known = self._orchestrator.rules.configuration.lookups.cancel_reasons
        if reason not in known:
            raise InvalidRequest("reason", f"{reason[:40]} is not one of {', '.join(known)}")
        order = await self._orchestrator.order_of(child)
        event = WorkCanceled(reason=reason, report=report, who=by)
        decided = await self._decide(
            order, lambda work: decide_field_activity(work, child, event, by=by)
        )
        return decided.order

    # ------------------------------------------------------------ requests

    async def retry_request(
        self, order: OrderId, request: str, *, by: str
    ) -> m.MaintenanceActivity:
        """Try a request to cancel or update again that waits in error. Raises Conflict."""
        await self._orchestrator.request(order, request)
        async with self._orchestrator.working(order):
            await self._orchestrator.call_back(order, reason=f"retried by {by}")
            await self._orchestrator.act(
                order, lambda work: step_request(work, request, m.RequestRetried(who=by))
            )
        return await self._orchestrator.request(order, request)

    # ------------------------------------------------------------ replies

    async def retry_replies(
        self, order: OrderId, *, by: str, reply: str = ""
    ) -> Sequence[RequesterReply]:
        """Send a reply again now; without one, all that were refused or have failed so far, or had
        no receiver.

        Gives the replies that are sent. Raises NotFound, Conflict for one that was delivered.
        """
        if reply:
            sent = [await self._step_reply(order, reply, DeliveryRetried(who=by), by=by)]
        else:
            sent = await self._retry_undelivered(order, by)
        self._poke()
        return sent

    async def _retry_undelivered(self, order: OrderId, by: str) -> list[RequesterReply]:
        sent = []
        await self._orchestrator.case(order)  # raises NotFound
        for each in await self._store.replies(order):
            failed = each.state is ReplyState.QUEUED and each.attempts > 0
            if failed or each.state in (ReplyState.REFUSED, ReplyState.NO_RECEIVER):
                with suppress(Conflict):  # it was delivered meanwhile
                    retried = DeliveryRetried(who=by)
                    sent.append(await self._step_reply(order, each.id, retried, by=by))
        return sent

    async def give_up_reply(self, order: OrderId, reply: str, *, by: str) -> RequesterReply:
        """End a reply that is queued or was refused: it is not sent any more."""
        return await self._step_reply(order, reply, DeliveryGivenUp(who=by), by=by)

    async def _step_reply(
        self, order: OrderId, reply: str, event: ReplyEvent, *, by: str
    ) -> RequesterReply:
        note = AuditNote(
            actor=by, action=type(event).__name__, subject=order, detail={"reply": reply}
        )
        for _ in range(_TRIES):
            known = {each.id: each for each in await self._store.replies(order)}
            if reply not in known:
                raise NotFound(f"no reply {reply} of order {order}")
            after = step_reply(known[reply], event, now=self._clock.now())
            if await self._store.settle_reply(after, note=note):
                return after
        raise Conflict(f"reply {reply} keeps moving; try again")

    async def _decide(
        self,
        order: OrderId,
        change: Callable[[UnitOfWork], None],
        *,
        call_back: str = "",
        arriving: Device | None = None,
    ) -> Decided:
        async with self._orchestrator.working(order):
            if call_back:
                await self._orchestrator.call_back(order, reason=call_back)
            work = await self._orchestrator.act(order, change, arriving=arriving)
        after = (await self._orchestrator.case(order)).order
        return Decided(order=after, advice=work.advice)

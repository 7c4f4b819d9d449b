"""What people decide about visits, requests to cancel or change, and replies of service orders."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from adapter.commands.timing import in_utc
from adapter.engine.commands.ports import AuditNote, Clock, Store
from adapter.engine.orders.orchestrator import Orchestrator
from adapter.engine.orders.ports import OrderStore
from adapter.engine.orders.unit_of_work import Turn
from adapter.engine.runner import Runner
from adapter.errors import Conflict, InvalidRequest, NotFound
from adapter.model.device import Device, DeviceView
from adapter.model.ids import OrderId
from adapter.model.measurement import MOST_DIGITS, Entered, Measurement, is_plausible
from adapter.orders import maintenance as m
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import FieldRetried, WorkCanceled, WorkReported
from adapter.orders.order import ChildId, ChildState, ServiceOrder
from adapter.orders.replies import (
    DeliveryGivenUp,
    DeliveryRetried,
    Reply,
    ReplyEvent,
    ReplyState,
    step_reply,
)

_TRIES: Final = 5
LOOPS: Final = ("orders", "field", "replies")


class OrderDesk:
    """The part of `Orders` that is about what belongs to an order. `by` is who decides."""

    _store: OrderStore
    _commands: Store
    _orchestrator: Orchestrator
    _clock: Clock
    _runner: Runner

    def poke(self) -> None:
        """Something may be due: a hint."""
        self._runner.poke(*LOOPS)

    # ------------------------------------------------------------ visits

    async def complete_visit(
        self, child: ChildId, report: CompletionReport, *, by: str
    ) -> ServiceOrder:
        """Report a visit as done by hand, or correct the report of one in completion error."""
        order = await self._order_of(child)

        def complete(turn: Turn) -> None:
            broken = turn.child(child).fact.state is ChildState.COMPLETION_ERROR
            event = (
                FieldRetried(who=by, report=report)
                if broken
                else WorkReported(report=report, who=by)
            )
            turn.decide_visit(child, event, by=by)

        return await self._decide(order, complete, arriving=report.new_device)

    async def cancel_visit(
        self, child: ChildId, report: CompletionReport, *, by: str, reason: str
    ) -> ServiceOrder:
        """Report a visit as not done, by hand; `report` is what was found there all the same."""
        order = await self._order_of(child)
        event = WorkCanceled(reason=reason, report=report, who=by)
        return await self._decide(order, lambda turn: turn.decide_visit(child, event, by=by))

    # ------------------------------------------------------------ requests

    async def _request(self, order: OrderId, request: str) -> m.MaintenanceActivity:
        case = await self._orchestrator.case(order)
        found = next((each for each in case.requests if each.id == request), None)
        if found is None:
            raise NotFound(f"no request {request} about order {order}")
        return found

    async def retry_request(
        self, order: OrderId, request: str, *, by: str
    ) -> m.MaintenanceActivity:
        """Try a request to cancel or update again that waits in error. Raises Conflict."""
        await self._request(order, request)
        async with self._orchestrator.working(order):
            await self._orchestrator.call_back(order, reason=f"retried by {by}")
            await self._orchestrator.act(
                order, lambda turn: turn.step_request(request, m.RequestRetried(who=by))
            )
        return await self._request(order, request)

    # ------------------------------------------------------------ replies

    async def retry_replies(self, order: OrderId, *, by: str, reply: str = "") -> Sequence[Reply]:
        """Send a reply again now; without one, all that were refused or have failed so far.

        Gives the replies that are sent. Raises NotFound, Conflict for one that was delivered.
        """
        if reply:
            sent = [await self._step_reply(order, reply, DeliveryRetried(who=by), by=by)]
        else:
            sent = await self._retry_undelivered(order, by)
        self.poke()
        return sent

    async def _retry_undelivered(self, order: OrderId, by: str) -> list[Reply]:
        sent = []
        await self.get(order)
        for each in await self._store.replies(order):
            failed = each.state is ReplyState.QUEUED and each.attempts > 0
            if failed or each.state is ReplyState.REFUSED:
                with suppress(Conflict):  # it was delivered meanwhile
                    retried = DeliveryRetried(who=by)
                    sent.append(await self._step_reply(order, each.id, retried, by=by))
        return sent

    async def give_up_reply(self, order: OrderId, reply: str, *, by: str) -> Reply:
        """End a reply that is queued or was refused: it is not sent any more."""
        return await self._step_reply(order, reply, DeliveryGivenUp(who=by), by=by)

    async def _step_reply(self, order: OrderId, reply: str, event: ReplyEvent, *, by: str) -> Reply:
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

    # ------------------------------------------------------------ readings

    async def enter_readings(self, readings: Sequence[Measurement], *, by: str) -> None:
        """Take readings that people have: from a book, a photograph, another system. All or none.

        Of a device, component and time the last one entered counts. Orders that wait for a reading
        look at once. Raises InvalidRequest naming the reading and the rule.
        """
        devices = list({each.device for each in readings if each.device is not None})
        known = await self._commands.views(devices)
        kept = [
            self._checked(number, each, known.get(each.device) if each.device else None, by)
            for number, each in enumerate(readings, start=1)
        ]
        notes = [
            AuditNote(
                actor=by,
                action="ReadingEntered",
                subject=each.device or "",
                detail={
                    "component": each.component,
                    "at": each.at.isoformat(),
                    "value": str(each.value),
                    "condition": each.condition,
                },
            )
            for each in kept
        ]
        await self._store.enter_measurements(kept, notes)
        orders = await self._store.waiting_for(devices)
        await self._store.wake(orders, self._clock.now())
        self.poke()

    def _checked(self, number: int, each: Measurement, view: DeviceView | None, by: str) -> Entered:
        """With its id. Raises InvalidRequest."""
        place = f"measurements[{number}]"
        if view is None:
            raise InvalidRequest(f"{place}.device", f"{each.device} is not in the registry")
        components = [component.id for component in view.device.components]
        if each.component not in components:
            rule = f"{each.component} is not one of {', '.join(components) or '(none)'}"
            raise InvalidRequest(f"{place}.component", rule)
        if not is_plausible(each.value):
            rule = f"must be a number of at most {MOST_DIGITS} digits"
            raise InvalidRequest(f"{place}.value", rule)
        at = in_utc(f"{place}.at", each.at)
        now = self._clock.now()
        if at > now:
            raise InvalidRequest(f"{place}.at", f"{at.isoformat()} has not come yet")
        return Entered(
            id=f"entered/{each.device}/{each.component}/{at.isoformat()}",
            device=each.device,
            component=each.component,
            at=at,
            value=each.value,
            condition=each.condition,
            by=by,
            entered_at=now,
        )

    # ------------------------------------------------------------ what they share

    async def get(self, order: OrderId) -> ServiceOrder:
        """Raises NotFound."""
        return (await self._orchestrator.case(order)).order

    async def _decide(
        self,
        order: OrderId,
        change: Callable[[Turn], None],
        *,
        call_back: str = "",
        arriving: Device | None = None,
    ) -> ServiceOrder:
        async with self._orchestrator.working(order):
            if call_back:
                await self._orchestrator.call_back(order, reason=call_back)
            await self._orchestrator.act(order, change, arriving=arriving)
        return await self.get(order)

    async def _order_of(self, child: ChildId) -> OrderId:
        found = await self._store.order_of(child)
        if found is None:
            raise NotFound(f"no activity {child}")
        return found

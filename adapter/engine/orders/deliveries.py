"""What leaves of service orders: messages to the field work system, replies to the requester.

Each is in the store before it leaves and is tried until it is taken, refused, or, a message, has
failed too often: then people see to it. Nothing of it holds an order up or rolls it back.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from adapter.engine import crash_points
from adapter.engine.commands.ports import Clock
from adapter.engine.orders.field_work import FieldMessage, FieldWork, FieldWorkRefused
from adapter.engine.orders.ports import (
    MessageState,
    NoReceiver,
    OrderRules,
    OrderStore,
    OutgoingMessage,
    ReplyRefused,
    Requester,
)
from adapter.engine.orders.unit_of_work import UnitOfWork
from adapter.engine.orders.unit_of_work_children import step_field_activity
from adapter.engine.orders.unit_of_work_order import fail_requests, settle_pushes
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import Conflict, StoreFailed
from adapter.model.ids import OrderId
from adapter.orders import field_activity_events as f
from adapter.orders.order import OrderProblem
from adapter.orders.replies import (
    DeliveryFailed,
    DeliveryRefused,
    NobodyListens,
    ReplyAccepted,
    ReplyEvent,
    RequesterReply,
    step_reply,
)

log = logging.getLogger(__name__)

_FIRST_WAIT: Final = timedelta(seconds=5)
_LONGEST_WAIT: Final = timedelta(minutes=30)
_ACTIONS: Final = {
    f.MessageKind.DISPATCH: "see to the field work system, then retry; "
    "or complete the visit by hand",
    f.MessageKind.SLOTS: "see to the field work system, then retry; "
    "or update the order with appointmentStart, appointmentEnd",
}


class Deliveries:
    """`act` applies a change to an order of which something came of a message."""

    def __init__(
        self,
        store: OrderStore,
        field_work: FieldWork,
        requester: Requester,
        clock: Clock,
        rules: OrderRules,
        act: Callable[[OrderId, Callable[[UnitOfWork], None]], Awaitable[None]],
        *,
        lease: timedelta,
    ) -> None:
        self._store = store
        self._field_work = field_work
        self._requester = requester
        self._clock = clock
        self._rules = rules
        self._act = act
        self._lease = lease
        store.set_aside.on_discard(RowKind.FIELD_MESSAGE, self._give_up_message)
        store.set_aside.on_discard(RowKind.REPLY, self._give_up_reply)

    async def _give_up_message(self, message: str, by: str, reason: str) -> None:
        """Those behind it have their turn."""
        await self._store.settle_message(message, MessageState.FAILED)

    async def _give_up_reply(self, reply: str, by: str, reason: str) -> None:
        await self._store.drop_reply(reply)

    async def send_once(self, *, limit: int = 64) -> int:
        """Hand messages to the field work system. Returns how many were tried."""
        now = self._clock.now()
        found = await self._store.next_messages(limit=limit, now=now, lease_until=now + self._lease)
        await asyncio.gather(*map(self._one_message, found))
        return len(found)

    async def reply_once(self, *, limit: int = 64) -> int:
        """Offer replies to the requester's system. Returns how many were tried."""
        now = self._clock.now()
        found = await self._store.next_replies(limit=limit, now=now)
        await asyncio.gather(*map(self._one_reply, found))
        return len(found)

    async def _one_message(self, out: OutgoingMessage) -> None:
        work = self._send(out)
        await self._store.set_aside.attend(RowKind.FIELD_MESSAGE, out.message.id, work)

    async def _one_reply(self, reply: RequesterReply) -> None:
        await self._store.set_aside.attend(RowKind.REPLY, reply.id, self._deliver(reply))

    async def _send(self, out: OutgoingMessage) -> None:
        message = out.message
        crash_points.reached("field.before_send")
        try:
            await self._field_work.send(message)
        except FieldWorkRefused as error:
            await self._undelivered(message, str(error), error.action)
            return
        except StoreFailed:
            raise
        except Exception as error:  # an adapter is somebody else's code: nothing may be lost by it
            await self._try_again(out, error)
            return
        crash_points.reached("field.after_send")
        if message.kind is f.MessageKind.DISPATCH:
            await self._visit(message, f.FieldSent())
        await self._store.settle_message(message.id, MessageState.SENT)

    async def _try_again(self, out: OutgoingMessage, error: Exception) -> None:
        message, tried = out.message, out.attempts + 1
        log.warning(
            "field_message_failed",
            extra={"order": message.order, "field_message": message.id, "error": repr(error)},
        )
        if tried >= self._rules.message_tries:
            await self._undelivered(message, f"{tried} tries: {type(error).__name__}: {error}")
            return
        wait = min(_FIRST_WAIT * 2 ** min(out.attempts, 20), _LONGEST_WAIT)
        due = self._clock.now() + wait
        await self._store.settle_message(message.id, MessageState.QUEUED, due=due)

    async def _undelivered(self, message: FieldMessage, reason: str, action: str = "") -> None:
        """People see to it: the visit is in communication error, or the request is."""
        await self._store.settle_message(message.id, MessageState.FAILED)
        if message.kind in (f.MessageKind.DISPATCH, f.MessageKind.SLOTS):
            action = action or _ACTIONS[message.kind]
            problem = OrderProblem(code="field_work", text=reason, action=action)
            await self._visit(message, f.FieldSendFailed(problem=problem))
            return

        def fail(work: UnitOfWork) -> None:
            fail_requests(work, message.activity, reason)

        await self._act(message.order, fail)

    async def _visit(self, message: FieldMessage, event: f.FieldEvent) -> None:
        def step(work: UnitOfWork) -> None:
            step_field_activity(work, message.activity, event)
            settle_pushes(work)

        try:
            await self._act(message.order, step)
        except Conflict as error:  # the visit has moved on meanwhile
            words = {"order": message.order, "child": message.activity, "reason": str(error)}
            log.info("visit_moved_on", extra=words)

    async def _deliver(self, reply: RequesterReply) -> None:
        crash_points.reached("reply.before_delivery")
        event: ReplyEvent = ReplyAccepted()
        try:
            await self._requester.deliver(reply)
        except StoreFailed:
            raise
        except NoReceiver as error:
            event = NobodyListens(why=str(error))
        except ReplyRefused as error:
            words = {"order": reply.order, "reply": reply.id, "error": str(error)}
            log.warning("reply_refused", extra=words)
            refused = DeliveryRefused(error=str(error)[:500])
            await self._store.settle_reply(step_reply(reply, refused, now=self._clock.now()))
            return
        except Exception as error:  # the requester's system is somebody else's
            words = {"order": reply.order, "reply": reply.id, "error": repr(error)}
            log.warning("reply_failed", extra=words)
            failed = DeliveryFailed(error=f"{type(error).__name__}: {error}"[:500])
            await self._store.settle_reply(step_reply(reply, failed, now=self._clock.now()))
            return
        crash_points.reached("reply.after_delivery")
        await self._store.settle_reply(step_reply(reply, event, now=self._clock.now()))

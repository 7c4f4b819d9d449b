"""Works what is due at the head end: send, ask for the status, fetch the result, cancel.

The intent to send is committed before the first byte leaves; the head end's answer becomes an
event. Nothing here decides: the policy for unclear sends is in `commands/communication.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from adapter.commands.activity import Command, Communication, CommunicationState, StepKind, Work
from adapter.commands.calls import Call, CancelTaken, HeadEndOutcome, RequestStatus, TokenGiven
from adapter.commands.events import (
    AskFailed,
    CancelAnswered,
    CancelAsked,
    Dispatched,
    Event,
    OutcomeReceived,
    SendFailed,
    SendRefused,
    SendUnclear,
    StatusNotified,
    TimePassed,
    TokenReceived,
)
from adapter.commands.flows import (
    EFFECT_OF,
    OPENING_KINDS,
    RESULT_OF,
    SWITCH_OPERATIONS,
    Operation,
    Priority,
)
from adapter.commands.rules import (
    SwitchPolicy,
    Violation,
    lanes_of,
    may_dispatch,
)
from adapter.commands.steps import call_of
from adapter.commands.usage_limits import CallQuota, UsageLimits, Uses
from adapter.engine import crash_points
from adapter.engine.commands.apply import (
    Applier,
    OverBudget,
    OverLimit,
    SavedWith,
    TokenTaken,
)
from adapter.engine.commands.at_once import AtOnce
from adapter.engine.commands.log_fields import whose
from adapter.engine.commands.ports import (
    Clock,
    Debit,
    DeviceRegistry,
    HeadEnd,
    Leased,
    Permit,
    Store,
)
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.tracing import SpanName, TraceSpan, span
from adapter.engine.upkeep.durations import Durations, Measure
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import (
    Conflict,
    Forbidden,
    HeadEndError,
    IllegalTransition,
    NotSent,
    OutcomeUnknown,
    Refused,
    StoreFailed,
    Unwritable,
)
from adapter.model.device import THIS_HEAD_END, DeviceView
from adapter.model.ids import CommunicationId

log = logging.getLogger(__name__)

current_communication: ContextVar[CommunicationId | None] = ContextVar(
    "current_communication", default=None
)
"""The communication whose call is under way in this task; the message log reads it."""

_ORDER: Final = (Work.CANCEL, Work.RESULT, Work.STATUS, Work.SEND)
_PRIORITIES: Final = tuple(Priority)
_TOKENS: Final = 10_000
"""So many requests that wait for their result are measured at once."""
_OPERATION: Final = {
    Work.STATUS: Operation.REQUEST_STATUS,
    Work.CANCEL: Operation.CANCEL_REQUEST,
}
_SPAN: Final = {
    Work.SEND: SpanName.DISPATCH,
    Work.STATUS: SpanName.STATUS,
    Work.RESULT: SpanName.RESULT,
    Work.CANCEL: SpanName.CANCEL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchSettings:
    """At most `concurrency` calls at once; a claimed one is offered again after `lease_s`.
    `head_end` is what the gateway's own head end is called."""

    concurrency: int = 64
    lease_s: float = 30.0
    switch: SwitchPolicy = field(default_factory=SwitchPolicy)
    head_end: str = THIS_HEAD_END
    quotas: tuple[CallQuota, ...] = ()

    @property
    def limits(self) -> UsageLimits:
        switch = self.switch
        return UsageLimits(caps=switch.cap, quotas=self.quotas, zone=switch.time_zone)


class Dispatcher:
    """Claims communications whose work is due, and carries it out at the head end, so many at once.

    Every answer, and every failure to get one, goes to the Applier as an event.
    """

    def __init__(
        self,
        store: Store,
        registry: DeviceRegistry,
        head_end: HeadEnd,
        applier: Applier,
        clock: Clock,
        address: Callable[[CommunicationId], str],
        settings: DispatchSettings,
        holds: SwitchHolds,
        at_once: AtOnce,
        durations: Durations | None = None,
    ) -> None:
        self._durations = durations or Durations(clock)
        self._tokens: dict[CommunicationId, float] = {}
        self._store = store
        self._registry = registry
        self._head_end = head_end
        self._applier = applier
        self._clock = clock
        self._address = address
        self._settings = settings
        self._limits = settings.limits
        self._holds = holds
        self._at_once = at_once
        self._set_aside = store.set_aside
        self._carried: set[CommunicationId] = set()
        self._running: set[asyncio.Task[None]] = set()

    async def once(self, *, inline: bool = False) -> int:
        """Claim what is due and start it; with `inline`, carry it out in order and wait for it."""
        started, more = 0, False
        await self._settle_broken()
        for work in _ORDER:
            free = self._free
            claimed = await self._claim(work, free) if free > 0 else ()
            more = more or len(claimed) >= free
            for leased in claimed:
                started += 1
                if inline:
                    await self._attend(leased, work)
                else:
                    self._start(leased, work)
        self._at_once.backlog = more
        return started

    @property
    def _free(self) -> int:
        return self._settings.concurrency - len(self._running)

    async def start_taken(self) -> int:
        """Start what was leased with its save, as far as there are places."""
        calls = self._at_once.calls
        started = 0
        while calls and self._free > 0:
            self._start(*calls.popleft())
            started += 1
        return started

    async def settle(self) -> None:
        """Wait until nothing is under way any more. What was taken and not begun stays leased."""
        self._at_once.calls.clear()
        while self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    async def recover(self) -> int:
        """After a restart: what was claimed is free again, every send that was under way is
        unclear, none is sent again blindly.

        Right only where nobody else can be sending, which the store ensures by letting one process
        at a time open it (`gateway.db.lock`; a second one is refused).
        """
        now = self._clock.now()
        lease = now + timedelta(seconds=self._settings.lease_s)
        freed = await self._store.free_claimed(now=now, until=lease)
        if freed:
            log.info("claims_freed", extra={"count": freed})
        found = await self._store.sending()
        await asyncio.gather(*map(self._recover, found))
        return len(found)

    async def _recover(self, leased: Leased) -> None:
        """With the others in one transaction: the first work waits for it."""
        if self._set_aside.held(RowKind.COMMUNICATION, leased.communication):
            return
        crash_points.reached("recover.before")
        unclear = SendUnclear(
            communication=leased.communication, detail="the gateway stopped while sending"
        )
        await self._set_aside.attend(
            RowKind.COMMUNICATION, leased.communication, self._apply(leased, unclear)
        )
        crash_points.reached("recover.after")

    def _start(self, leased: Leased, work: Work) -> None:
        task = asyncio.get_running_loop().create_task(self._attend(leased, work))
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._at_once.freed()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("dispatch_failed", exc_info=error)

    async def _claim(self, work: Work, limit: int) -> Sequence[Leased]:
        now = self._clock.now()
        lease = now + timedelta(seconds=self._settings.lease_s)
        held = work is Work.SEND and self._holds.barred()
        skip = SWITCH_OPERATIONS if held else frozenset[Operation]()
        return await self._store.claim(work, limit=limit, now=now, lease_until=lease, skip=skip)

    async def _attend(self, leased: Leased, work: Work) -> None:
        self._carried.add(leased.communication)
        try:
            carry = self._carry(leased, work)
            await self._set_aside.attend(RowKind.COMMUNICATION, leased.communication, carry)
        finally:
            self._carried.discard(leased.communication)

    async def _settle_broken(self) -> None:
        """Sends of which nothing could be noted: unclear, and never sent again blindly."""
        for each in await self._set_aside.again(RowKind.COMMUNICATION):
            if each not in self._carried:
                settle = self._settle_one(CommunicationId(each))
                await self._set_aside.attend(RowKind.COMMUNICATION, each, settle)

    async def _settle_one(self, communication: CommunicationId) -> bool:
        """False: it is claimed like any other."""
        found = next(iter(await self._store.find(communications=[communication])), None)
        if found is None or found.communication.work is not Work.NONE:
            return found is None
        if found.communication.state is CommunicationState.SENDING:
            detail = "what became of the send could not be noted"
            await self._applier.apply(
                found.command, SendUnclear(communication=communication, detail=detail)
            )
        return True

    async def _carry(self, leased: Leased, work: Work) -> bool:
        """Carry out one piece of work; without a place at the head end it waits for its lease.
        Whether it was come to."""
        operation = _operation(leased, work)
        priority = _PRIORITIES[leased.priority]
        try:
            place = await self._head_end.admit(
                operation, priority, wait_s=self._settings.lease_s / 2
            )
        except NotSent as error:
            log.info(
                "head_end_busy", extra={"communication": leased.communication, "reason": str(error)}
            )
            return False
        try:
            return await self._work(leased, work, operation, place)
        finally:
            place.release()

    async def _work(self, leased: Leased, work: Work, operation: Operation, place: Permit) -> bool:
        command = (await self._store.load([leased.command])).get(leased.command)
        if command is None:
            return True
        communication = command.communication(leased.communication)
        if communication.work is not work:
            return True
        current_communication.set(communication.id)
        sends = work is Work.SEND
        with span(
            _SPAN[work],
            command.activity.trace if sends else communication.trace,
            command=command.id,
            communication=communication.id,
            order=command.request.order or "",
            operation=operation,
            endpoints=len(communication.endpoints),
        ) as traced:
            if sends:
                return await self._send(leased, command, communication, place, traced)
            await self._ask(leased, communication, operation, place, traced)
            return True

    # ------------------------------------------------------------ sending

    async def _send(
        self,
        leased: Leased,
        command: Command,
        communication: Communication,
        place: Permit,
        traced: TraceSpan,
    ) -> bool:
        if not await self._allowed(leased, command, communication):
            return False
        address = self._address(communication.id)
        call = call_of(command, communication, callback=address, now=self._clock.now())
        along = SavedWith(
            debit=self._debit(command, communication),
            acquire=_lanes(command, communication),
            uses=await self._uses(command, communication) if self._limits.any else None,
            switches=communication.operation in SWITCH_OPERATIONS,
        )
        try:
            intent = Dispatched(communication=communication.id, trace=traced.traceparent)
            await self._applier.apply(command.id, intent, along)
        except (OverBudget, OverLimit, Conflict) as error:
            # Over the budget, or held, it waits for its lease, over a limit until there is room;
            # moved on, somebody else has it.
            log.info(
                "dispatch_held", extra={**whose(command, communication.id), "reason": error.code}
            )
            return False
        crash_points.reached("send.before")
        late = await self._unwitnessed(communication) or await self._too_late(
            command, communication
        )
        if late is None and communication.attempt == 1 and communication.step is StepKind.MAIN:
            due = max(command.activity.created_at, command.activity.effective_at)
            self._durations.since(Measure.SUBMIT_TO_SENT, command.request.kind, due)
        event = late or await self._sent(command, communication, call, place)
        traced.set("outcome", type(event).__name__)
        if isinstance(event, TokenReceived):
            self._note_token(communication.id)
        crash_points.reached("send.after")
        await self._note_sent(leased, event, along.uses)
        return True

    def _note_token(self, communication: CommunicationId) -> None:
        """From when it is worked at there. Of very many the oldest are not measured."""
        if len(self._tokens) >= _TOKENS:
            del self._tokens[next(iter(self._tokens))]
        self._tokens[communication] = self._clock.elapsed_s()

    async def _note_sent(self, leased: Leased, event: Event, uses: Uses | None) -> None:
        """What cannot be noted of a send leaves it unclear, which is never answered by another."""
        unused = uses if isinstance(event, SendFailed | SendRefused) else None
        try:
            await self._apply(leased, event, unused)
        except StoreFailed:
            raise
        except Exception as error:
            log.exception("answer_not_noted", extra={"communication": leased.communication})
            detail = f"the answer could not be noted: {type(error).__name__}"
            await self._apply(
                leased, SendUnclear(communication=leased.communication, detail=detail)
            )

    async def _allowed(
        self, leased: Leased, command: Command, communication: Communication
    ) -> bool:
        if communication.step is StepKind.SETTLE:
            return True
        if self._held(communication):
            return False
        if not await self._holds_its_meter(command, communication):
            text = "another order has this meter: a reconnect has passed the fence"
            await self._apply(leased, CancelAsked(by="gateway", reason=text))
            return False
        barred = await self._barred(command)
        if barred is None:
            return not self._held(communication)
        if barred.rule == "not_after":
            await self._apply(leased, TimePassed())
        elif barred.rule in ("protected", "endpoint", "head_end", "service_point"):
            await self._apply(leased, CancelAsked(by="gateway", reason=barred.text))
        return False

    def _held(self, communication: Communication) -> bool:
        """Whether no switch order may leave now: it waits for its lease."""
        return communication.operation in SWITCH_OPERATIONS and self._holds.barred()

    async def _barred(self, command: Command) -> Violation | None:
        """What keeps a request from leaving, on fresh facts about whose endpoint it goes to."""
        target = view = None
        holders: Sequence[DeviceView] = ()
        if command.request.kind in EFFECT_OF:
            (target,) = command.targets
            view = (await self._registry.views([target.device])).get(target.device)
            holders = (await self._registry.at_endpoints([target.endpoint]))[target.endpoint]
        return may_dispatch(
            command.request,
            command.activity,
            view,
            self._settings.switch,
            now=self._clock.now(),
            target=target,
            holders=holders,
            head_end=self._settings.head_end,
        )

    async def _holds_its_meter(self, command: Command, communication: Communication) -> bool:
        """False for a switch order whose meter was taken by one through the fence (I7): what has
        not left by then must not undo it."""
        lanes = _lanes(command, communication)
        holders = await self._store.holders(lanes) if lanes else {}
        return all(holders.get(lane) == command.id for lane in lanes)

    def _debit(self, command: Command, communication: Communication) -> Debit | None:
        """What a request takes of the hour's disconnects: those that leave a switch open."""
        limit = self._settings.switch.per_hour
        opens = command.request.kind in OPENING_KINDS
        if limit is None or not opens or communication.operation not in SWITCH_OPERATIONS:
            return None
        return Debit(bucket="disconnect", limit=limit, window_s=3_600.0)

    async def _uses(self, command: Command, communication: Communication) -> Uses | None:
        """What a request takes of caps and quotas. A look at what became of an order takes nothing:
        it is never put off."""
        kind, operation = command.request.kind, communication.operation
        switches = operation in SWITCH_OPERATIONS
        if communication.step is StepKind.SETTLE or not self._limits.about(
            kind, operation, switches=switches
        ):
            return None
        view = None
        if switches and self._limits.by_meter(kind):
            (target,) = command.targets
            view = (await self._registry.views([target.device])).get(target.device)
        found = self._limits.uses(
            kind,
            operation,
            requester=command.request.requester,
            switches=switches,
            view=view,
            at=self._clock.now(),
        )
        made = Uses(command=command.id, communication=communication.id, of=found)
        return made if found else None

    async def _unwitnessed(self, communication: Communication) -> Event | None:
        """What a copy of the store from before now could send again does not leave before it is
        known outside the store."""
        if communication.operation not in SWITCH_OPERATIONS or await self._holds.witnessed():
            return None
        return SendFailed(communication=communication.id, detail="the witness was not written")

    async def _too_late(self, command: Command, communication: Communication) -> Event | None:
        """A switch order is looked at once more after its intent was stored: meanwhile the clock
        was set, the machine suspended, its customer protected. Nothing has left, and nothing
        leaves."""
        if communication.operation not in SWITCH_OPERATIONS:
            return None
        try:
            barred = await self._barred(command)
        except StoreFailed:
            raise
        except Exception as error:  # of a site's own registry: nothing has left yet
            log.exception("last_look_failed", extra=whose(command, communication.id))
            reason = f"it could not be looked at before it left: {type(error).__name__}"
            return SendFailed(communication=communication.id, detail=reason)
        if self._holds.barred():
            return SendFailed(communication=communication.id, detail="switch orders are held")
        if barred is not None:
            return SendFailed(communication=communication.id, detail=barred.text)
        return None

    async def _sent(
        self, command: Command, communication: Communication, call: Call, place: Permit
    ) -> Event:
        try:
            answer = await place.call(call)
        except NotSent as error:
            for_good = isinstance(error, Unwritable)
            return SendFailed(communication=communication.id, detail=str(error), for_good=for_good)
        except Refused as error:
            return SendRefused(communication=communication.id, fault=error.fault)
        except OutcomeUnknown as error:
            return SendUnclear(communication=communication.id, detail=str(error))
        except Exception as error:  # none of those that a place promises: who knows what has left
            log.exception("send_failed_unexpectedly", extra=whose(command, communication.id))
            return SendUnclear(
                communication=communication.id, detail=f"unexpected {type(error).__name__}"
            )
        match answer:
            case TokenGiven(token=token) if not command.flow.synchronous:
                return TokenReceived(communication=communication.id, token=token)
            case HeadEndOutcome() if command.flow.synchronous:
                return OutcomeReceived(communication=communication.id, outcome=answer)
            case _:
                return SendUnclear(
                    communication=communication.id, detail="an answer of another kind"
                )

    # ------------------------------------------------------------ asking

    async def _ask(
        self,
        leased: Leased,
        communication: Communication,
        operation: Operation,
        place: Permit,
        traced: TraceSpan,
    ) -> None:
        call = Call(
            operation=operation, token=communication.token, endpoints=communication.endpoints
        )
        crash_points.reached("ask.before")
        try:
            answer = await place.call(call)
        except Refused as error:
            event: Event = AskFailed(
                communication=communication.id,
                detail=str(error),
                fault=error.fault,
                work=communication.work,
            )
        except HeadEndError as error:
            event = AskFailed(
                communication=communication.id,
                detail=str(error),
                work=communication.work,
                unsent=isinstance(error, NotSent),
            )
        else:
            event = _answered(communication, answer)
        traced.set("outcome", type(event).__name__)
        if isinstance(event, OutcomeReceived):
            began = self._tokens.pop(communication.id, None)
            if began is not None:
                took = self._clock.elapsed_s() - began
                self._durations.add(Measure.TOKEN_TO_RESULT, communication.operation, took)
        crash_points.reached("ask.after")
        await self._apply(leased, event)

    async def _apply(self, leased: Leased, event: Event, unused: Uses | None = None) -> None:
        """Apply what was learned; if the communication has moved on meanwhile, it is moot."""
        along = None if unused is None else SavedWith(given_back=unused)
        try:
            await self._applier.apply(leased.command, event, along)
        except TokenTaken as error:
            if isinstance(event, TokenReceived):
                unclear = SendUnclear(communication=event.communication, detail=str(error))
                await self._apply(leased, unclear)
        except (IllegalTransition, Forbidden) as error:
            log.info(
                "answer_moot",
                extra={
                    "communication": leased.communication,
                    "event": type(event).__name__,
                    "reason": str(error),
                },
            )


def _lanes(command: Command, communication: Communication) -> tuple[str, ...]:
    """What the command must hold when this communication leaves."""
    switches = communication.operation in SWITCH_OPERATIONS
    return lanes_of(command.request, command.targets) if switches else ()


def _operation(leased: Leased, work: Work) -> Operation:
    if work is Work.SEND:
        return leased.operation
    return RESULT_OF[leased.operation] if work is Work.RESULT else _OPERATION[work]


def _answered(communication: Communication, answer: object) -> Event:
    match answer:
        case RequestStatus(token=token) if token == communication.token:
            return StatusNotified(communication=communication.id, status=answer, polled=True)
        case HeadEndOutcome(token=token) if token in (None, communication.token):
            return OutcomeReceived(communication=communication.id, outcome=answer)
        case CancelTaken():
            return CancelAnswered(communication=communication.id)
        case _:
            return AskFailed(
                communication=communication.id,
                detail="an answer about another request",
                work=communication.work,
            )

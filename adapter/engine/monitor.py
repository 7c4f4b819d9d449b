"""What time brings: effective dates, expiry, time-outs, waits for data, completion events.

Every timer is a command's `wake` in the store; a restart loses none (I1, I15).
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.commands.activity import (
    Command,
    CompletionEvent,
    ExchangeState,
    State,
)
from adapter.commands.calls import Reading, ReadingKind
from adapter.commands.completion import WorldChange, execute
from adapter.commands.events import (
    CompletionExecuted,
    CompletionFailed,
    DataLookedUp,
    TimePassed,
    Validated,
)
from adapter.commands.flows import INTERVAL_KINDS, CommandKind, Completion
from adapter.commands.rules import SwitchPolicy, judge, lanes_of
from adapter.commands.steps import moves_switch
from adapter.engine import points
from adapter.engine.apply import Along, Applier
from adapter.engine.ports import Clock, Registry, Store
from adapter.errors import Conflict, GatewayError
from adapter.model.device import DeviceView
from adapter.model.ids import CommandId, DeviceId, EndpointId

log = logging.getLogger(__name__)

_RECENT = timedelta(hours=1)
_UNDER_WAY = frozenset({ExchangeState.SENDING, ExchangeState.AWAITING, ExchangeState.FETCHING})
_MOST_COPIED = 200
"""A read for more devices makes no initial measurements beside those of the intake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What validation looks at besides the request."""

    views: tuple[DeviceView, ...]
    open_commands: Mapping[str, CommandId]


class Validation:
    """Gathers fresh facts and applies the rules to them."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        head_end_kinds: frozenset[CommandKind],
        switch: SwitchPolicy,
    ) -> None:
        self._store = store
        self._registry = registry
        self._kinds = head_end_kinds
        self._switch = switch

    async def facts(self, command: Command) -> Facts:
        ids = [target.device for target in command.targets]
        views = await self._registry.views(ids)
        lanes = lanes_of(command.request)
        holders = await self._store.holders(lanes) if lanes else {}
        others = {lane: holder for lane, holder in holders.items() if holder != command.id}
        if command.request.through_fence is not None:
            others = await self._moving(others)
        return Facts(
            views=tuple(views[item] for item in ids if item in views), open_commands=others
        )

    async def _moving(self, holders: Mapping[str, CommandId]) -> dict[str, CommandId]:
        """Those that even two people may not pass: their order is under way, its end is known soon.

        What waits, or is unclear, may be passed: being dark is the worse harm (I7 all the same).
        """
        found = await self._store.load(list(holders.values()))
        return {
            lane: holder
            for lane, holder in holders.items()
            if any(
                moves_switch(item) and item.state in _UNDER_WAY for item in found[holder].exchanges
            )
        }

    def judge(self, command: Command, facts: Facts) -> Validated:
        request = command.request
        violations = judge(
            request, facts.views, head_end_kinds=self._kinds, open_commands=facts.open_commands
        )
        blocked = any(item.rule == "open_command" for item in violations)
        disconnect = request.kind is CommandKind.REMOTE_DISCONNECT
        return Validated(
            violations=violations,
            needs_approval=self._switch.needs_approval and disconnect,
            drop_optional=request.optional and blocked,
        )


class Monitor:
    """`taken_in`: payloads become measurements on their own, by an intake."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        applier: Applier,
        clock: Clock,
        validation: Validation,
        *,
        lease_s: float = 30.0,
        taken_in: bool = False,
    ) -> None:
        self._taken_in = taken_in
        self._store = store
        self._registry = registry
        self._applier = applier
        self._clock = clock
        self._validation = validation
        self._lease = timedelta(seconds=lease_s)
        self._waiting: dict[EndpointId, set[CommandId]] = {}
        self._hinted: set[CommandId] = set()

    async def once(self, *, limit: int = 256) -> int:
        """Handle commands that are due by time or by a hint. Returns how many."""
        now = self._clock.now()
        ids = await self._store.due(limit=limit, now=now, lease_until=now + self._lease)
        hinted, self._hinted = self._hinted, set()
        wanted = list(dict.fromkeys((*ids, *sorted(hinted))))
        if not wanted:
            return 0
        commands = await self._store.load(wanted)
        points.reached("monitor.before_apply")
        await asyncio.gather(*(self._attend(commands[item]) for item in wanted if item in commands))
        return len(wanted)

    def data_arrived(self, endpoints: Sequence[EndpointId]) -> None:
        """Readings came for these endpoints: look at the commands that wait for them, now."""
        for endpoint in endpoints:
            self._hinted |= self._waiting.pop(endpoint, set())

    async def revalidate(self, command: Command, *, actor: str) -> Command:
        """Apply the rules to fresh facts, taking the lanes the command does not hold yet."""
        facts = await self._validation.facts(command)
        verdict = self._validation.judge(command, facts)
        held = command.activity.state is not State.VALIDATION_ERROR
        lanes = () if held or verdict.violations else lanes_of(command.request)
        return await self._applier.apply(command.id, verdict, Along(actor=actor, acquire=lanes))

    async def _attend(self, command: Command) -> None:
        activity = command.activity
        now = self._clock.now()
        try:
            if activity.next_completion is not None:
                await self._complete(command, activity.next_completion)
            elif activity.state is State.WAITING_FOR_MEASUREMENT:
                await self._look_up(command)
            elif (
                activity.state is State.WAITING_FOR_EFFECTIVE_DATE
                and activity.effective_at <= now < activity.expires_at
            ):
                await self.revalidate(command, actor="gateway")
            else:
                await self._applier.apply(command.id, TimePassed())
        except Conflict as error:
            if activity.next_completion is not None:
                # The registry moved under the completion event: look at it afresh.
                self._hinted.add(command.id)
            log.info("attention_moot", extra={"command": command.id, "why": str(error)})

    # ------------------------------------------------------------ data and completion events

    async def _look_up(self, command: Command) -> None:
        endpoints = [target.endpoint for target in command.targets]
        have = await self._store.with_readings(endpoints, *self._sought(command))
        wanted = await self._succeeded(command)
        found = tuple(item for item in wanted if item in have)
        missing = tuple(item for item in wanted if item not in have)
        for endpoint in missing:
            self._waiting.setdefault(endpoint, set()).add(command.id)
        await self._applier.apply(command.id, DataLookedUp(found=found, missing=missing))

    async def _succeeded(self, command: Command) -> tuple[EndpointId, ...]:
        """The endpoints whose data are expected: those that are not known to have failed."""
        rows = await self._store.outcomes(command.id)
        if not rows:
            return tuple(target.endpoint for target in command.targets)
        return tuple(row.endpoint for row in rows if row.result in ("succeeded", "unknown"))

    async def _readings(self, command: Command) -> Sequence[Reading]:
        endpoints = [target.endpoint for target in command.targets]
        return await self._store.readings(endpoints, *self._sought(command))

    def _sought(self, command: Command) -> tuple[ReadingKind, datetime, datetime]:
        interval = command.request.kind in INTERVAL_KINDS
        kind = ReadingKind.INTERVAL if interval else ReadingKind.REGISTER
        return kind, *_period(command, self._clock.now())

    async def _complete(self, command: Command, event: CompletionEvent) -> None:
        try:
            change = await self._world(command, event)
            await self._registry.apply(change.installs, event.id)
        except GatewayError as error:
            await self._applier.apply(
                command.id, CompletionFailed(event=event.id, error=str(error))
            )
            return
        points.reached("completion.before_apply")
        await self._applier.apply(
            command.id,
            CompletionExecuted(event=event.id),
            Along(installs=change.installs, measurements=change.measurements),
        )
        points.reached("completion.after_apply")

    def _is_loaded(self, command: Command) -> bool:
        """Whether the data of a read for many are measurements already: the intake made them, and
        a second copy of a city's day would be of no use."""
        return self._taken_in and len(command.targets) > _MOST_COPIED

    async def _world(self, command: Command, event: CompletionEvent) -> WorldChange:
        ids: list[DeviceId] = [target.device for target in command.targets]
        views = await self._registry.views(ids)
        readings: Sequence[Reading] = ()
        if event.kind is Completion.CREATE_IMD and not self._is_loaded(command):
            readings = await self._readings(command)
        known = [views[item] for item in ids if item in views]
        return execute(command, event, known, readings)


def _period(command: Command, now: datetime) -> tuple[datetime, datetime]:
    """Where this command's readings lie; a register read on demand carries its own, later time."""
    period = command.request.period
    if period is None:
        return command.activity.created_at - _RECENT, now
    if command.request.kind in INTERVAL_KINDS:
        return period.start, period.end
    return period.start, max(period.end, now)

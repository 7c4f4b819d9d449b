"""What time brings: effective dates, expiry, time-outs, waits for data, completion events.

Every timer is a command's `wake` in the store; a restart loses none (I1, I15).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from adapter.commands.activity import (
    Command,
    CommandRequest,
    CompletionEvent,
    ExchangeState,
    State,
    Target,
)
from adapter.commands.calls import Reading, SwitchState
from adapter.commands.completion import WorldChange, execute
from adapter.commands.events import (
    CompletionExecuted,
    CompletionFailed,
    DataLookedUp,
    TimePassed,
    Validated,
)
from adapter.commands.flows import CommandKind, Completion
from adapter.commands.rules import SwitchPolicy, Violation, judge, lanes_of
from adapter.commands.steps import moves_switch
from adapter.engine import points
from adapter.engine.apply import Along, Applier
from adapter.engine.awaited import MANY, Awaited, AwaitedRead, Progress, Sought, sought
from adapter.engine.ports import Clock, Registry, Store
from adapter.errors import Conflict, GatewayError, InvalidRequest, UnknownDevice
from adapter.model.device import DeviceView
from adapter.model.ids import CommandId, DeviceId, EndpointId

log = logging.getLogger(__name__)

_UNDER_WAY = frozenset({ExchangeState.SENDING, ExchangeState.AWAITING, ExchangeState.FETCHING})
_AT_ONCE = 500
"""Devices whose records are in memory at one time; a command may be about a whole city."""

_ASKED_AT_ONCE = 5_000
_MOST_TOLD = 100
"""Violations of single devices that are kept with a command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surveyed:
    """The devices of a request: whom to reach, and which rules they break.

    `switch` is what the registry says of the switch of a request for one.
    """

    targets: tuple[Target, ...]
    violations: tuple[Violation, ...]
    switch: SwitchState | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What validation looks at besides the request."""

    violations: tuple[Violation, ...]
    """Of the devices."""
    open_commands: Mapping[str, CommandId]


@dataclass(slots=True)
class _Violations:
    """The first ones of single devices, and how many there are."""

    kept: list[Violation] = field(default_factory=list)
    more: int = 0

    def add(self, found: Sequence[Violation]) -> None:
        free = _MOST_TOLD - len(self.kept)
        self.kept += found[:free]
        self.more += len(found[free:])

    def told(self) -> tuple[Violation, ...]:
        if not self.more:
            return tuple(self.kept)
        rest = Violation(rule=self.kept[-1].rule, text=f"and {self.more} more like these")
        return (*self.kept, rest)


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

    async def survey(self, request: CommandRequest, devices: Sequence[DeviceId]) -> Surveyed:
        """Look at the devices of a new request. Raises UnknownDevice, InvalidRequest."""
        targets: list[Target] = []
        violations = _Violations()
        switch = None
        async for some, views in self._looked_at(devices):
            targets += [_target(item, views.get(item)) for item in some]
            violations.add(self._judge(request, views.values()))
            switch = _switch_of(views[devices[0]]) if len(request.devices) == 1 else None
        return Surveyed(targets=tuple(targets), violations=violations.told(), switch=switch)

    async def _looked_at(
        self, devices: Sequence[DeviceId]
    ) -> AsyncIterator[tuple[Sequence[DeviceId], Mapping[DeviceId, DeviceView]]]:
        """All of them, some at a time: the records of a city are not for memory."""
        for at in range(0, len(devices), _AT_ONCE):
            some = devices[at : at + _AT_ONCE]
            yield some, await self._registry.views(some)

    def _judge(self, request: CommandRequest, views: Iterable[DeviceView]) -> tuple[Violation, ...]:
        kinds = frozenset({request.kind})
        return judge(request, tuple(views), head_end_kinds=kinds, open_commands={})

    async def facts(self, command: Command, surveyed: Surveyed | None = None) -> Facts:
        """Fresh facts; those of the devices are `surveyed` where that was only just done."""
        lanes = lanes_of(command.request)
        holders = await self._store.holders(lanes) if lanes else {}
        others = {lane: holder for lane, holder in holders.items() if holder != command.id}
        if command.request.through_fence is not None:
            others = await self._moving(others)
        if surveyed is not None:
            return Facts(violations=surveyed.violations, open_commands=others)
        violations = _Violations()
        ids = [target.device for target in command.targets]
        async for _, views in self._looked_at(ids):
            violations.add(self._judge(command.request, views.values()))
        return Facts(violations=violations.told(), open_commands=others)

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
        kinds, own = self._kinds, frozenset({request.kind})
        violations = (
            *judge(request, (), head_end_kinds=kinds, open_commands={}),
            *facts.violations,
            *judge(request, (), head_end_kinds=own, open_commands=facts.open_commands),
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
        self._awaited = Awaited()

    async def once(self, *, limit: int = 256) -> int:
        """Handle commands that are due by time or by a hint. Returns how many."""
        now = self._clock.now()
        await self._ask_about_arrived()
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
        self._awaited.arrived(endpoints)

    def changed(self, command: Command) -> None:
        """A command was saved."""
        self._awaited.follow(command)

    def progress(self, command: CommandId) -> Progress | None:
        """How far a read for many is, while it is under way; None where that is not known."""
        return self._awaited.progress(command)

    async def _ask_about_arrived(self) -> None:
        """Which of the meters that payloads told of have readings of the period asked for."""
        for command, read in self._awaited.to_ask():
            asked, read.arrived = read.arrived, set()
            read.left -= await self._have(tuple(asked), read.sought(self._clock.now()))
            if read.known and not read.left:
                self._hinted.add(command)

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
        read = self._awaited.follow(command)
        if read is None:
            wanted: Sequence[EndpointId] = await self._succeeded(command)
            have: Container[EndpointId] = await self._have(wanted, self._sought(command))
        else:
            wanted, have = await self._look_at_left(command, read)
        found = tuple(item for item in wanted if item in have)
        missing = tuple(item for item in wanted if item not in have)
        until = command.activity.window_until
        over = until if until is not None and self._clock.now() >= until else None
        if missing and over is not None and await self._store.untaken(over):
            return  # its lease brings it back: what came in time is not missing
        if read is None:
            for endpoint in missing:
                self._waiting.setdefault(endpoint, set()).add(command.id)
        await self._applier.apply(command.id, DataLookedUp(found=found, missing=missing))

    async def _look_at_left(
        self, command: Command, read: AwaitedRead
    ) -> tuple[Sequence[EndpointId], Container[EndpointId]]:
        """Whose data are expected and who has them, of a read for many: readings do not go away,
        so that only the meters that have none are asked about again."""
        if not read.known:
            read.learn(await self._succeeded(command))
        read.left -= await self._have(tuple(read.left), read.sought(self._clock.now()))
        return read.wanted, frozenset(read.wanted) - read.left

    async def _have(self, endpoints: Sequence[EndpointId], what: Sought) -> frozenset[EndpointId]:
        found: set[EndpointId] = set()
        for at in range(0, len(endpoints), _ASKED_AT_ONCE):
            some = endpoints[at : at + _ASKED_AT_ONCE]
            found |= await self._store.with_readings(some, *what)
        return frozenset(found)

    async def _succeeded(self, command: Command) -> tuple[EndpointId, ...]:
        """The endpoints whose data are expected: those that are not known to have failed."""
        rows = await self._store.outcomes(command.id)
        if not rows:
            return tuple(target.endpoint for target in command.targets)
        return tuple(row.endpoint for row in rows if row.result in ("succeeded", "unknown"))

    async def _readings(self, command: Command) -> Sequence[Reading]:
        endpoints = [target.endpoint for target in command.targets]
        return await self._store.readings(endpoints, *self._sought(command))

    def _sought(self, command: Command) -> Sought:
        return sought(command.request, command.activity.created_at, self._clock.now())

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
        return self._taken_in and len(command.targets) > MANY

    async def _world(self, command: Command, event: CompletionEvent) -> WorldChange:
        readings: Sequence[Reading] = ()
        if event.kind is Completion.CREATE_IMD:
            if self._is_loaded(command):
                return WorldChange()
            readings = await self._readings(command)
        ids: list[DeviceId] = [target.device for target in command.targets]
        views = await self._registry.views(ids)
        known = [views[item] for item in ids if item in views]
        return execute(command, event, known, readings)


def _target(device: DeviceId, view: DeviceView | None) -> Target:
    if view is None:
        raise UnknownDevice("devices", f"{device} is not in the registry")
    if view.device.endpoint is None:
        raise InvalidRequest("devices", f"{device} is not a smart meter")
    return Target(device=device, endpoint=view.device.endpoint)


def _switch_of(view: DeviceView) -> SwitchState | None:
    """What the registry says of the switch now; a switch check replaces it."""
    if view.installed is None:
        return None
    return SwitchState.CONNECTED if view.installed.connected else SwitchState.DISCONNECTED

"""What time brings: effective dates, expiry, time-outs, waits for data.

Every timer is a command's `wake` in the store; a restart loses none (I1).
"""

import asyncio
import logging
from collections.abc import Container, Sequence
from datetime import timedelta
from typing import Final

from adapter.commands.activity import Command, State
from adapter.commands.events import DataLookedUp, TimePassed
from adapter.commands.flows import SWITCH_KINDS
from adapter.commands.rules import lanes_of
from adapter.engine import crash_points
from adapter.engine.commands.apply import Applier, SavedWith
from adapter.engine.commands.at_once import AtOnce
from adapter.engine.commands.awaited import Awaited, AwaitedRead, Progress, Sought, sought
from adapter.engine.commands.completer import Completer
from adapter.engine.commands.log_fields import whose
from adapter.engine.commands.ports import Clock, Store
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.commands.validation import Validation
from adapter.engine.readings.ports import MeasurementStore
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import Conflict, StoreFailed
from adapter.model.ids import CommandId, EndpointId

log = logging.getLogger(__name__)

_ASKED_AT_ONCE: Final = 5_000
"""Meters that one question to the store is about."""


class Monitor:
    """Wakes commands whose time has come, and looks for the data that reads wait for."""

    def __init__(
        self,
        store: Store,
        data: MeasurementStore,
        applier: Applier,
        completer: Completer,
        clock: Clock,
        validation: Validation,
        holds: SwitchHolds,
        at_once: AtOnce,
        *,
        lease_s: float = 30.0,
    ) -> None:
        self._store = store
        self._data = data
        self._set_aside = store.set_aside
        self._applier = applier
        self._completer = completer
        self._clock = clock
        self._validation = validation
        self._holds = holds
        self._at_once = at_once
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
        return await self._attend_all(list(dict.fromkeys((*ids, *sorted(hinted)))))

    async def attend_taken(self) -> int:
        """Handle commands that were leased with their save. Returns how many."""
        taken = sorted(self._at_once.commands)
        self._at_once.commands.clear()
        return await self._attend_all(taken)

    async def _attend_all(self, wanted: Sequence[CommandId]) -> int:
        if not wanted:
            return 0
        free = [item for item in wanted if not self._set_aside.held(RowKind.COMMAND, item)]
        commands = await self._set_aside.load(RowKind.COMMAND, free, self._store.load)
        crash_points.reached("monitor.before_apply")
        await asyncio.gather(*(self._one(commands[item]) for item in free if item in commands))
        return len(wanted)

    async def _one(self, command: Command) -> None:
        await self._set_aside.attend(RowKind.COMMAND, command.id, self._attend(command))

    def data_arrived(self, endpoints: Sequence[EndpointId]) -> None:
        """Readings came for these endpoints: look at the commands that wait for them, now."""
        for endpoint in [each for each in endpoints if each in self._waiting]:
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
            try:
                await self._ask_about(command, read)
            except StoreFailed:
                raise
            except Exception as error:
                await self._set_aside.fail(RowKind.COMMAND, command, error)

    async def _ask_about(self, command: CommandId, read: AwaitedRead) -> None:
        asked, read.arrived = read.arrived, set()
        read.left -= await self._have(tuple(asked), read.sought(self._clock.now()))
        if read.known and not read.left:
            self._hinted.add(command)

    async def revalidate(self, command: Command, *, actor: str) -> Command:
        """Apply the rules to fresh facts, taking the lanes the command does not hold yet."""
        facts = await self._validation.facts(command)
        verdict = self._validation.judge(command, facts)
        held = command.activity.state is not State.VALIDATION_ERROR
        free = not held and not verdict.violations
        lanes = lanes_of(command.request, command.targets) if free else ()
        return await self._applier.apply(command.id, verdict, SavedWith(actor=actor, acquire=lanes))

    async def _attend(self, command: Command) -> None:
        activity = command.activity
        if self._rests(command):
            return  # its lease brings it back
        now = self._clock.now()
        try:
            if activity.next_completion is not None:
                await self._completer.execute(command, activity.next_completion)
            elif activity.state is State.WAITING_FOR_MEASUREMENT:
                await self._look_up(command)
            elif (
                activity.state is State.WAITING_FOR_EFFECTIVE_DATE
                and activity.effective_at <= now < activity.expires_at
            ):
                await self.revalidate(command, actor="gateway")
            else:
                held = next(iter(self._holds.all()), None)
                passed = TimePassed(held="" if held is None else held.text)
                await self._applier.apply(command.id, passed)
        except Conflict as error:
            if activity.next_completion is not None:
                # The registry moved under the completion event: look at it afresh.
                self._hinted.add(command.id)
            log.info("attention_moot", extra={**whose(command), "reason": str(error)})

    def _rests(self, command: Command) -> bool:
        """Whether only the time would move it, a switch order, and the time is not known: one
        that waits neither begins nor expires by a clock that is wrong."""
        dated = command.activity.next_completion is None
        return dated and command.request.kind in SWITCH_KINDS and self._holds.doubts_clock

    # ------------------------------------------------------------ data

    async def _look_up(self, command: Command) -> None:
        read = self._awaited.follow(command)
        if read is None:
            wanted: Sequence[EndpointId] = await self._succeeded(command)
            # Before the question: what is loaded while it is asked is told of.
            for endpoint in wanted:
                self._waiting.setdefault(endpoint, set()).add(command.id)
            have: Container[EndpointId] = await self._have(wanted, self._sought(command))
        else:
            wanted, have = await self._look_at_left(command, read)
        found = tuple(item for item in wanted if item in have)
        missing = tuple(item for item in wanted if item not in have)
        for endpoint in found:
            self._no_longer(command.id, endpoint)
        until = command.activity.window_until
        over = until if until is not None and self._clock.now() >= until else None
        if missing and over is not None and await self._store.untaken(over):
            return  # its lease brings it back: what came in time is not missing
        await self._applier.apply(command.id, DataLookedUp(found=found, missing=missing))

    def _no_longer(self, command: CommandId, endpoint: EndpointId) -> None:
        waiting = self._waiting.get(endpoint, set())
        waiting.discard(command)
        if not waiting:
            self._waiting.pop(endpoint, None)

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
            found |= await self._data.with_readings(some, *what)
        return frozenset(found)

    async def _succeeded(self, command: Command) -> tuple[EndpointId, ...]:
        """The endpoints whose data are expected: those that are not known to have failed."""
        rows = await self._store.outcomes(command.id)
        if not rows:
            return tuple(target.endpoint for target in command.targets)
        return tuple(row.endpoint for row in rows if row.result in ("succeeded", "unknown"))

    def _sought(self, command: Command) -> Sought:
        return sought(command.request, command.activity.created_at, self._clock.now())

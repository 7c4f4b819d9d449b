"""Mends what a wrong clock has written into commands, orders and schedules.

Run while switch orders are still held, before the reason is lifted. Running it again changes no
more than the first time did.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol

from adapter.commands.activity import Command
from adapter.commands.clocks import ClockError
from adapter.commands.events import ClockCorrected
from adapter.commands.flows import CommandKind
from adapter.commands.lifecycle import step, wake_of
from adapter.commands.timing import Policy
from adapter.engine.commands.ports import Clock, Store
from adapter.errors import Conflict
from adapter.model.ids import CommandId

log = logging.getLogger(__name__)

_AT_ONCE: Final = 200


class CorrectionStore(Protocol):
    async def open_commands(
        self, after: CommandId | None, *, limit: int
    ) -> Sequence[tuple[CommandId, datetime | None]]:
        """Those that time or people may still move, in the order of their ids; with when they are
        looked at next, leases included."""

    async def accepted_since(self, subjects: Sequence[str], entry: int) -> frozenset[str]:
        """Those of the subjects whose first audit entry came after this one."""

    async def correct_rows(self, *, now: datetime, lease_s: float) -> None:
        """What stands in rows alone: leases, waits, budgets, counts of hours that have not come."""


class CommandCorrection:
    """`correct` applies the event to one command."""

    def __init__(
        self,
        store: CorrectionStore,
        commands: Store,
        correct: Callable[[CommandId, ClockCorrected], Awaitable[None]],
        clock: Clock,
        policies: Mapping[CommandKind, Policy],
        *,
        lease_s: float,
    ) -> None:
        self._store = store
        self._commands = commands
        self._correct = correct
        self._clock = clock
        self._policies = policies
        self._lease_s = lease_s

    async def __call__(self, error: ClockError) -> None:
        after: CommandId | None = None
        while found := await self._store.open_commands(after, limit=_AT_ONCE):
            ids = [command for command, _ in found]
            wrong = await accepted_by(self._store, ids, error)
            loaded = await self._commands.load(ids)
            for number, looked_at in found:
                event = ClockCorrected(ahead_s=error.ahead_s, by_wrong_clock=number in wrong)
                if number in loaded and self._differs(loaded[number], looked_at, event):
                    await self._one(number, event)
            after = ids[-1]
        await self._store.correct_rows(now=self._clock.now(), lease_s=self._lease_s)

    def _differs(self, command: Command, looked_at: datetime | None, event: ClockCorrected) -> bool:
        now, policy = self._clock.now(), self._policies[command.request.kind]
        after = step(command, event, now=now, policy=policy).command
        due = wake_of(command)
        leased = timedelta(seconds=2 * self._lease_s)
        late = looked_at is not None and looked_at > max(due or looked_at, now) + leased
        return late or after != command

    async def _one(self, command: CommandId, event: ClockCorrected) -> None:
        try:
            await self._correct(command, event)
        except Conflict as conflict:
            log.warning(
                "command_not_corrected", extra={"command": command, "reason": str(conflict)}
            )


async def accepted_by(
    store: CorrectionStore, subjects: Sequence[str], error: ClockError
) -> frozenset[str]:
    """Those of the commands or orders that the wrong clock has dated, as far as is known."""
    if error.after is None or not error.ahead_s:
        return frozenset()
    return await store.accepted_since(subjects, error.after)

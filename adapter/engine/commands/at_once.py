"""What is due the moment it is saved is carried out by who saved it, and nobody asks the store.

The save leases it, as a claim does: a stop loses nothing, for a start frees what was leased. What
cannot be carried out now stays due in the store, and the loops find it there.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from adapter.commands.activity import Command, Communication, Work
from adapter.commands.flows import SWITCH_OPERATIONS
from adapter.commands.lifecycle import wake_of
from adapter.commands.rules import priority_of
from adapter.engine import crash_points
from adapter.engine.commands.ports import Leased
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.model.ids import CommandId, CommunicationId

_NONE: Final = frozenset[CommunicationId]()


class LeasedWork(Struct, frozen=True, kw_only=True, gc=False):
    """What of a command is carried out at once: its own attention, and these communications.

    `wake` is what is stored as the command's; the communications are leased until `until`. Of what
    is `left`, something is due in the store.
    """

    wake: datetime | None
    until: datetime
    command: bool = False
    communications: tuple[Communication, ...] = ()
    left: bool = False

    @property
    def leased(self) -> frozenset[CommunicationId]:
        if not self.communications:  # as of most steps
            return _NONE
        return frozenset([item.id for item in self.communications])


class AtOnce:
    """What was taken waits here for the loops `dispatch` and `attend`; `poke` wakes one by name.

    Nothing is taken before `on` is set, nor while the store has more due communications than there
    are `places` (`backlog`): they were there before.
    """

    def __init__(
        self,
        holds: SwitchHolds,
        *,
        places: int = 64,
        lease_s: float = 30.0,
        poke: Callable[[str], None] = lambda loop: None,
    ) -> None:
        self._holds = holds
        self._places = places
        self._lease = timedelta(seconds=lease_s)
        self._poke = poke
        self.on = False
        self.backlog = False
        self.calls: deque[tuple[Leased, Work]] = deque()
        self.commands: set[CommandId] = set()

    def take(self, before: Command | None, after: Command, now: datetime) -> LeasedWork:
        """Before the save: what of the command is due, new, and can be carried out now."""
        wake = wake_of(after)
        attend = wake is not None and wake <= now
        due = [item for item in after.communications if _is_due(before, item, now)]
        taken = tuple(filter(self._may, due)) if due and self.on else ()
        mine = attend and self.on
        until = now + self._lease
        return LeasedWork(
            wake=until if mine else wake,
            until=until,
            command=mine,
            communications=taken,
            left=len(taken) < len(due) or attend > mine,
        )

    def leave(self, before: Command | None, after: Command, now: datetime) -> LeasedWork:
        """As `take`, where all of it waits in the store for the loops."""
        return LeasedWork(wake=wake_of(after), until=now + self._lease, left=True)

    def _may(self, item: Communication) -> bool:
        if self.backlog or len(self.calls) >= self._places:
            return False
        switches = item.work is Work.SEND and item.operation in SWITCH_OPERATIONS
        return not (switches and self._holds.barred())

    def carry(self, command: Command, taken: LeasedWork) -> None:
        """After the save."""
        if taken.command or taken.communications:
            crash_points.reached("lease.before_carry")
        if taken.communications:
            rank = priority_of(command.request).rank
            self.calls += [
                (_leased(command, item, rank), item.work) for item in taken.communications
            ]
            self._poke("dispatch")
        if taken.command:
            self.commands.add(command.id)
            self._poke("attend")
        if taken.left:
            self._poke("claim")
            self._poke("monitor")

    def freed(self) -> None:
        """A place of the dispatcher has become free."""
        if self.calls:
            self._poke("dispatch")
        elif self.backlog:
            self._poke("claim")


def _leased(command: Command, item: Communication, rank: int) -> Leased:
    return Leased(
        command=command.id, communication=item.id, operation=item.operation, priority=rank
    )


_NEVER: Final = (None, None, None)


def _is_due(before: Command | None, item: Communication, now: datetime) -> bool:
    """Whether there is work that is due, and another than before: else it may be leased already."""
    if item.work is Work.NONE or item.wake is None or item.wake > now:
        return False
    known = () if before is None else before.communications
    was = next(((x.work, x.state, x.wake) for x in known if x.id == item.id), _NEVER)
    return was != (item.work, item.state, item.wake)

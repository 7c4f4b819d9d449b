"""Why nothing of a command has left for the head end yet, though its turn has come.

Its state is `communication_in_progress` from the moment in which it may be sent, as the product has
it; what holds it up stands beside it: holds, room in a cap or quota, its turn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from adapter.commands.activity import Command, Communication, CommunicationState, State
from adapter.commands.flows import NATURE, SWITCH_KINDS, Leaves
from adapter.commands.rules import in_window
from adapter.engine.commands.switch_safety import SwitchSafety, Waiting
from adapter.model.ids import CommandId

_STATES: Final = frozenset({State.CONNECTION_READY, State.COMMUNICATION_IN_PROGRESS})


class UnsentReason(StrEnum):
    QUEUED = "queued"
    """It waits for its turn: for a place among the calls under way."""
    HELD = "held"
    """No connect and no disconnect leaves."""
    LIMITED = "limited"
    """It waits for room in a cap or quota."""
    HOURS = "hours"
    """A disconnect, outside the hours for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """`until` is when it may leave, as it looks now; None where nobody can tell."""

    why: UnsentReason
    text: str
    until: datetime | None = None


async def unsent_of(
    commands: Sequence[Command], safety: SwitchSafety
) -> Mapping[CommandId, Unsent]:
    """Of those of which nothing has left."""
    queued = {each.id: sent for each in commands if (sent := _to_send(each)) is not None}
    if not queued:
        return {}
    waiting = await safety.store.waits_of([each.id for each in queued.values()])
    return {
        each.id: _why(each, queued[each.id], safety, waiting.get(queued[each.id].id))
        for each in commands
        if each.id in queued
    }


def _to_send(command: Command) -> Communication | None:
    """The communication that is to leave, where no other of the command ever has."""
    if command.activity.state not in _STATES:
        return None
    if any(each.sent_at is not None for each in command.communications):
        return None  # something has left, also where it is queued to be tried again
    states = {each.state for each in command.communications}
    return command.communications[-1] if states == {CommunicationState.QUEUED} else None


def _why(
    command: Command, sending: Communication, safety: SwitchSafety, waiting: Waiting | None
) -> Unsent:
    holds = safety.holds.all() if command.request.kind in SWITCH_KINDS else ()
    if holds:
        return Unsent(why=UnsentReason.HELD, text=f"switching is held: {holds[0].text}")
    opens = NATURE[command.request.kind].leaves is Leaves.OPEN
    if opens and not in_window(safety.policy, now=safety.clock.now()):
        return Unsent(why=UnsentReason.HOURS, text="waits for the hours for disconnects")
    if waiting is not None:
        of = f" of {waiting.member}" if waiting.member else ""
        text = f"waits for room in the limit {waiting.limit}{of}"
        return Unsent(why=UnsentReason.LIMITED, text=text, until=waiting.until)
    if sending.tries:
        text = f"was tried {sending.tries} times, and nothing has left; is tried again"
        return Unsent(why=UnsentReason.QUEUED, text=text, until=sending.wake)
    turn = "waits for its turn"
    if opens and safety.policy.per_hour is not None:
        turn += f", or for room among the {safety.policy.per_hour} disconnects of an hour"
    return Unsent(why=UnsentReason.QUEUED, text=turn)

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
from adapter.commands.flows import NATURE, SWITCH_KINDS, SWITCH_OPERATIONS, Leaves
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


async def held_up(command: Command, safety: SwitchSafety) -> Unsent | None:
    """Why its next request has not left, also where others of the command have: a cut behind its
    read."""
    sending = _to_send(command) or _switch_to_send(command)
    if sending is None:
        return None
    waiting = await safety.store.waits_of([sending.id])
    return _why(command, sending, safety, waiting.get(sending.id))


def _switch_to_send(command: Command) -> Communication | None:
    last = command.communications[-1] if command.communications else None
    if command.activity.state not in _STATES or last is None:
        return None
    queued = last.state is CommunicationState.QUEUED
    return last if queued and last.operation in SWITCH_OPERATIONS else None


def _to_send(command: Command) -> Communication | None:
    """The communication that is to leave, where no other of the command ever has."""
    if command.activity.state not in _STATES:
        return None
    if any(map(_has_left, command.communications)):
        return None
    states = {each.state for each in command.communications}
    return command.communications[-1] if states == {CommunicationState.QUEUED} else None


def _has_left(communication: Communication) -> bool:
    """Also of one that is queued to be tried again; not where it could not be sent."""
    failure = communication.failure
    not_sent = failure is not None and failure.cause == "not_sent"
    return communication.sent_at is not None and not not_sent


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
        text = f"was tried {sending.tries} times, the last did not leave; is tried again"
        return Unsent(why=UnsentReason.QUEUED, text=text, until=sending.wake)
    turn = "waits for its turn"
    if opens and safety.policy.per_hour is not None:
        turn += f", or for room among the {safety.policy.per_hour} disconnects of an hour"
    return Unsent(why=UnsentReason.QUEUED, text=turn)

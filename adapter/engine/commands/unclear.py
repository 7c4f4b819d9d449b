"""That nobody knows yet what became of a connect or disconnect at the head end.

Its state stays `communication_in_progress` meanwhile, as the product has it: it is listened for,
then its switch is looked at.
"""

from dataclasses import dataclass
from datetime import datetime

from adapter.commands.activity import Command, State
from adapter.commands.steps import unclear


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclearSwitch:
    """`look_at` is when its switch is looked at; None where no time is set."""

    text: str
    look_at: datetime | None = None


def unclear_of(command: Command) -> UnclearSwitch | None:
    sent = unclear(command)
    if sent is None or command.activity.state is not State.COMMUNICATION_IN_PROGRESS:
        return None
    open_ = (
        "whether the head end took it"
        if sent.token is None
        else "what became of it at the head end"
    )
    return UnclearSwitch(text=f"unclear: {open_} is not known", look_at=sent.wake)

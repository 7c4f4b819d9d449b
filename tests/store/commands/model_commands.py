"""Which commands of the model a filter means, and how many there are of each state."""

from collections import Counter
from collections.abc import Iterable

from adapter.commands.activity import Command
from adapter.engine.commands.ports import Filter


def count(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted((str(name), count) for name, count in Counter(names).items()))


def fits(command: Command, wanted: Filter) -> bool:
    state = command.activity.state
    return (
        wanted.kind in (None, command.request.kind)
        and wanted.state in (None, state)
        and (wanted.device is None or any(t.device == wanted.device for t in command.targets))
        and not (wanted.open_only and state.final)
        and (wanted.before is None or command.id < wanted.before)
        and wanted.asked.requester in (None, command.request.requester)
        and wanted.asked.reference in (None, command.request.reference)
    )

"""The state machines as diagrams, drawn from their tables of arrows; for docs/architecture.md.

Mermaid's text: it is readable as it stands, and drawn where pages are shown.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

Arrows = Mapping[Any, Any]
"""From a state, or a state and a kind of event, to a state or to those that it may lead to."""


def mermaid(arrows: Arrows) -> str:
    """The arrows that lead to another state. Events that share both ends share one arrow."""
    labels: dict[tuple[StrEnum, StrEnum], list[str]] = {}
    for before, event, after in _single(arrows):
        if before is not after:
            labels.setdefault((before, after), []).extend(() if event is None else (event,))
    states = list(dict.fromkeys(state for ends in labels for state in ends))
    left = {before for before, _ in labels}
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{each.value}" as {_id(each)}' for each in states if _odd(each)]
    lines.append(f"    [*] --> {_id(states[0])}")
    for (before, after), events in labels.items():
        label = f": {', '.join(map(_words, events))}" if events else ""
        lines.append(f"    {_id(before)} --> {_id(after)}{label}")
    lines += [f"    {_id(each)} --> [*]" for each in states if each not in left]
    return "\n".join(lines)


def _single(arrows: Arrows) -> Iterator[tuple[StrEnum, str | None, StrEnum]]:
    """Each arrow by itself: from, by which event, to; in the order of the states."""
    for given, reached in arrows.items():
        before, event = given if isinstance(given, tuple) else (given, None)
        name = event.value if isinstance(event, StrEnum) else getattr(event, "__name__", None)
        for after in _ordered(reached):
            yield before, name, after


def _ordered(reached: StrEnum | Iterable[StrEnum]) -> list[StrEnum]:
    if isinstance(reached, StrEnum):
        return [reached]
    found = set(reached)
    return [each for kind in {type(each) for each in found} for each in kind if each in found]


def _id(state: StrEnum) -> str:
    return state.name.lower()


def _odd(state: StrEnum) -> bool:
    """Whether the state's own text is other than its name says."""
    return state.value.lower() != _id(state)


def _words(name: str) -> str:
    """`ResultReceived` as people write it: result received."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower() if name.isidentifier() else name


def installs() -> Arrows:
    from adapter.model.device import INSTALL_TRANSITIONS

    return INSTALL_TRANSITIONS


ARROWS: Final[Mapping[str, Callable[[], Arrows]]] = MappingProxyType({"install": installs})
"""Tables of states that are no `StateMachine`."""

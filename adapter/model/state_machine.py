"""The one shape of every state machine: `(state, event type)` -> the states that it may lead to.

A machine is a table in the file of its subject, beside the pure function that decides. The table
says what may happen at all; `check` and `follow` are the only places that judge it. Nothing else
sets the state, so what the table lacks cannot happen.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from adapter.errors import IllegalTransition

S = TypeVar("S", bound=StrEnum)
E = TypeVar("E")

_NOWHERE: Final = frozenset[Any]()


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMachine(Generic[S, E]):
    """What one kind of thing may go through.

    `name` is the thing, for people. No arrow leads out of a `final` state; one that stays there
    says that the event is taken and moves nothing. An event without an arrow is refused.
    """

    name: str
    states: type[S]
    start: S
    final: frozenset[S]
    arrows: Mapping[tuple[S, type[E]], Set[S]]

    def __post_init__(self) -> None:
        kept = {arrow: frozenset(targets) for arrow, targets in self.arrows.items()}
        object.__setattr__(self, "arrows", MappingProxyType(kept))

    def targets(self, before: S, event: type[E]) -> Set[S]:
        """Where the event may lead; nothing: it is refused."""
        return self.arrows.get((before, event), _NOWHERE)

    def expect(self, before: S, event: type[E], *, of: str) -> Set[S]:
        """Where the event may lead. Raises IllegalTransition where it is refused."""
        targets = self.arrows.get((before, event))
        if not targets:
            raise IllegalTransition(f"{of}: no {event.__name__} in {before}")
        return targets

    def takes(self, event: type[E]) -> Set[S]:
        """The states in which the event is taken."""
        return {state for state, known in self.arrows if known is event}

    def unmoved(self, event: type[E]) -> bool:
        """Whether the event is taken in every state and moves nothing in any."""
        return all(self.targets(state, event) == {state} for state in self.states)

    def next_states(self, before: S) -> Set[S]:
        """The other states that some event leads to."""
        known = (targets for (state, _), targets in self.arrows.items() if state is before)
        return frozenset().union(*known) - {before}

    def follow(self, before: S, event: type[E], *, of: str) -> S:
        """The state that the event leads to, where it is one. Raises IllegalTransition.

        `of` names the thing in the message. A ValueError says that the table leaves a choice: then
        the subject decides, and `check` judges.
        """
        (after,) = self.expect(before, event, of=of)
        return after

    def check(self, before: S, event: type[E], after: S, *, of: str) -> None:
        """Raises IllegalTransition where the event may not lead from `before` to `after`."""
        if after not in self.arrows.get((before, event), ()):
            raise IllegalTransition(f"{of}: {event.__name__} leads from {before} not to {after}")


def diagram(machine: StateMachine[S, E]) -> str:
    """The machine as a Mermaid `stateDiagram-v2`.

    What stays in a final state is left out, and so is an event that every state takes unmoved.
    """
    lines = ["stateDiagram-v2"]
    lines += [f'    state "{state.value}" as {state.name}' for state in machine.states]
    lines.append(f"    [*] --> {machine.start.name}")
    events: dict[tuple[S, S], list[str]] = {}
    for (before, event), targets in machine.arrows.items():
        if before not in machine.final and not machine.unmoved(event):
            for after in machine.states:
                if after in targets:
                    events.setdefault((before, after), []).append(event.__name__)
    lines += [
        f"    {before.name} --> {after.name}: {', '.join(names)}"
        for (before, after), names in events.items()
    ]
    lines += [f"    {state.name} --> [*]" for state in machine.states if state in machine.final]
    return "\n".join(lines)

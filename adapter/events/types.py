"""Device events by configuration: what a head end's name means, which two make a pair, how many
of a kind are told.

Only two names are known of the head end; all other rows are a site's own configuration.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.commands.effects import Severity

POWER: Final = "power"
"""The pair whose open spells are the outages."""


class PairRole(StrEnum):
    """Which end of a pair an event is."""

    NONE = ""
    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """`name` and `number` are the head end's; `standard` is ours, one for all head ends.

    `category` "" keeps the head end's own word. `pair` names what an event begins or ends.
    """

    name: str
    number: int | None = None
    standard: str
    category: str = ""
    severity: Severity = Severity.INFO
    pair: str = ""
    role: PairRole = PairRole.NONE


KNOWN: Final = (
    EventType(
        name="Primary Power Down",
        number=18_001,
        standard="power_down",
        severity=Severity.WARNING,
        pair=POWER,
        role=PairRole.FIRST,
    ),
    EventType(
        name="Primary Power Up",
        number=18_002,
        standard="power_up",
        pair=POWER,
        role=PairRole.LAST,
    ),
)
"""Names and numbers are documented; that they are a pair follows from the names (inferred)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StormRule:
    """At most `publications` in `window_s` seconds; what is more is counted and summed up.

    `standard` or `category` say which events share the count; "" is any. A rule without either
    counts each standard name for itself.
    """

    standard: str = ""
    category: str = ""
    publications: int = 200
    window_s: float = 60.0

    def covers(self, standard: str, category: str) -> bool:
        return self.standard in ("", standard) and self.category in ("", category)

    def bucket(self, standard: str) -> str:
        """What is counted together."""
        if self.standard:
            return f"standard:{self.standard}"
        return f"category:{self.category}" if self.category else f"standard:{standard}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTables:
    """The lookup and the storm rules; of the rules the first that covers an event counts."""

    by_name: Mapping[str, EventType] = field(default_factory=lambda: _by_name(KNOWN))
    by_number: Mapping[int, EventType] = field(default_factory=lambda: _by_number(KNOWN))
    storms: tuple[StormRule, ...] = (StormRule(),)

    def type_of(self, name: str, number: int | None) -> EventType | None:
        """By name, blanks and case aside; by number where the name is not in the table."""
        found = self.by_name.get(same_name(name))
        return found if found is not None or number is None else self.by_number.get(number)

    def storm_rule(self, standard: str, category: str) -> StormRule | None:
        return next((rule for rule in self.storms if rule.covers(standard, category)), None)


def event_tables(
    types: Iterable[EventType] = (), storms: tuple[StormRule, ...] | None = None
) -> EventTables:
    """The known rows, with a site's own after them: a later row of one name or number counts."""
    rows = (*KNOWN, *types)
    return EventTables(
        by_name=_by_name(rows),
        by_number=_by_number(rows),
        storms=(StormRule(),) if storms is None else storms,
    )


def same_name(name: str) -> str:
    return "".join(name.lower().split())


def _by_name(rows: Iterable[EventType]) -> Mapping[str, EventType]:
    return MappingProxyType({same_name(row.name): row for row in rows})


def _by_number(rows: Iterable[EventType]) -> Mapping[int, EventType]:
    return MappingProxyType({row.number: row for row in rows if row.number is not None})

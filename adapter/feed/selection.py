"""Which events of the feed somebody wants: by type, by subject."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from adapter.errors import InvalidRequest

_PATTERN: Final = re.compile(r"[A-Za-z0-9_.-]+\*?|\*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypePatterns:
    """Types in full, and how others begin. None of either: every type."""

    whole: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> "TypePatterns":
        """Of `openway.command.completed` and `openway.order.*`. Raises InvalidRequest."""
        whole: set[str] = set()
        beginnings: list[str] = []
        for pattern in patterns:
            if not _PATTERN.fullmatch(pattern):
                rule = "names of event types, as openway.command.completed or openway.order.*"
                raise InvalidRequest("types", rule)
            if pattern.endswith("*"):
                beginnings.append(pattern[:-1])
            else:
                whole.add(pattern)
        return cls(whole=frozenset(whole), beginnings=tuple(beginnings))

    def fit(self, type_: str) -> bool:
        if not self.whole and not self.beginnings:
            return True
        return type_ in self.whole or type_.startswith(self.beginnings)


EVERY_TYPE: Final = TypePatterns()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """`subject` is a command, an order, a device, or another thing that events are about."""

    types: TypePatterns = EVERY_TYPE
    subject: str | None = None

    @property
    def everything(self) -> bool:
        return self == _EVERYTHING

    def fits(self, type_: str, subject: str) -> bool:
        return self.subject in (None, subject) and self.types.fit(type_)


_EVERYTHING: Final = Selection()

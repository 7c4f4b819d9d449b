"""What waited for people and does not any more: the list itself keeps nothing of it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from adapter.engine.upkeep.todo import TodoEntry
from adapter.model.todo import TodoSubject

_MOST_CLOSED: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedEntry:
    """An entry that was on the list and is not any more. `at` is when that was seen first."""

    subject: TodoSubject
    text: str
    count: int
    since: datetime
    at: datetime


@dataclass(slots=True)
class ClosedEntries:
    """What closed since the process began, as far as somebody looked at the list meanwhile."""

    known: dict[str, TodoEntry] = field(default_factory=dict)
    closed: deque[ClosedEntry] = field(default_factory=lambda: deque(maxlen=_MOST_CLOSED))

    def look(self, entries: Sequence[TodoEntry], at: datetime) -> Sequence[ClosedEntry]:
        """The last to close first."""
        now = {each.id: each for each in entries}
        for id_, entry in self.known.items():
            if id_ not in now:
                self.closed.appendleft(
                    ClosedEntry(
                        subject=entry.first.subject,
                        text=entry.first.text,
                        count=len(entry.todos),
                        since=entry.first.since,
                        at=at,
                    )
                )
        self.known = now
        return tuple(self.closed)

"""What waits for people: one list of it, whoever it is of, each with the command to type; and who
is at it.

Nothing of it is stored but who is at it: it is read from the rows that wait, so that an entry
closes by itself when they do. The same fault of many is one entry.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from shlex import quote
from typing import Final, Protocol

from adapter.engine.commands.ports import AuditNote, Clock
from adapter.errors import Conflict, NotFound
from adapter.model.todo import TodoSubject
from adapter.model.values import replace
from adapter.orders.lifecycle import TODO_PRIORITY

HELD_PRIORITY: Final = 200
"""Before whoever is dark: as long as it lasts nobody is reconnected."""

_MOST: Final = 1_000
"""So much of each kind is looked at, the oldest first."""
_TYPED_AT_ONCE: Final = 50
_VARIES: Final = re.compile(r"[0-9a-z]{26}(\.\d+)?|\d+")
"""What of a text tells one case from another of the same fault: ids and numbers."""


@dataclass(frozen=True, slots=True)
class Way:
    """A command line that settles it, and what that does.

    In `typed`, `{ids}` stands for all that wait with the same fault; `{id}`, `{order}`, `{device}`,
    `{service_point}` for one of them, DEVICE for one that people have to name. `people`: how many
    different persons it takes.
    """

    typed: str
    does: str
    people: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Todo:
    """One thing that waits for people.

    priority       higher is more urgent
    id             of the command, order, visit, request or reply; the number of a row; the reason
                   of a hold; the kind of a subscription
    code           what is wrong, as a stable name; `text` says it in a sentence, `action` what to
                   do about it
    fault          what else must be the same for the same fault, beside code and text
    service_point  whose supply it is about; `dark`: it has none now
    behind         the row that has to be seen to first, where that is on the list too
    """

    subject: TodoSubject
    id: str
    since: datetime
    code: str
    text: str
    action: str = ""
    priority: int = TODO_PRIORITY
    order: str = ""
    device: str = ""
    service_point: str = ""
    dark: bool = False
    fault: str = ""
    behind: str = ""
    ways: tuple[Way, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who is at an entry, since when."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedCommand:
    typed: str
    does: str
    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TodoEntry:
    """All that waits because of the same fault, the oldest first."""

    id: str
    todos: tuple[Todo, ...]
    claim: Claim | None = None

    @property
    def first(self) -> Todo:
        return self.todos[0]

    @property
    def priority(self) -> int:
        return max(each.priority for each in self.todos)

    @property
    def dark(self) -> tuple[str, ...]:
        """The service points that are without supply."""
        return tuple(dict.fromkeys(each.service_point for each in self.todos if each.dark))

    @property
    def takes_two(self) -> bool:
        return any(way.people > 1 for way in self.first.ways)

    @property
    def commands(self) -> tuple[TypedCommand, ...]:
        """As they are typed. Of very many the oldest are named; the others come after them."""
        first = self.first
        known = {
            "id": quote(first.id),
            "order": quote(first.order),
            "device": quote(first.device) if first.device else "DEVICE",
            "service_point": quote(first.service_point),
        }
        ids = " ".join(quote(each.id) for each in self.todos[:_TYPED_AT_ONCE])
        return tuple(
            TypedCommand(
                typed=f"openway {way.typed.format(ids=ids, **known)}",
                does=way.does,
                people=way.people,
            )
            for way in first.ways
        )


class TodoStore(Protocol):
    async def waiting(self, *, limit: int) -> Sequence[Todo]:
        """What rows of the store wait for people, at most so many of each kind."""

    async def claims(self) -> Mapping[str, Claim]: ...

    async def put_claim(self, entry: str, claim: Claim | None, note: AuditNote) -> None: ...


Source = Callable[[], Awaitable[Sequence[Todo]]]
"""What waits for people and is in no row of its own."""


@dataclass(slots=True)
class Todos:
    """The list, and who is at what. `sources` are asked beside the store."""

    store: TodoStore
    clock: Clock
    sources: list[Source] = field(default_factory=list)

    async def list(self, subject: TodoSubject | None = None) -> Sequence[TodoEntry]:
        """The most urgent first, then the oldest."""
        found = list(await self.store.waiting(limit=_MOST))
        for source in self.sources:
            found += await source()
        claims = await self.store.claims()
        # of thousands it takes long enough to be done beside callbacks
        entries = [
            replace(entry, claim=_in_force(claims.get(entry.id), entry))
            for entry in await asyncio.to_thread(grouped, found)
            if subject in (None, entry.first.subject)
        ]
        return sorted(entries, key=lambda entry: (-entry.priority, entry.first.since, entry.id))

    async def get(self, entry: str) -> TodoEntry:
        """Raises NotFound: it has closed, or never was."""
        found = next((each for each in await self.list() if each.id == entry), None)
        if found is None:
            raise NotFound(f"nothing waits for people as {entry[:100]}")
        return found

    async def claim(self, entry: str, *, by: str) -> TodoEntry:
        """Say who is at it. Raises NotFound; Conflict where somebody else is."""
        found = await self.get(entry)
        if found.claim is not None and found.claim.by != by:
            raise Conflict(f"{found.claim.by} is at it, since {found.claim.at.isoformat()}")
        return await self._put(found, Claim(by=by, at=self.clock.now()), "TodoClaimed", by)

    async def unclaim(self, entry: str, *, by: str) -> TodoEntry:
        """Nobody is at it any more, whoever was. Raises NotFound."""
        return await self._put(await self.get(entry), None, "TodoUnclaimed", by)

    async def _put(self, entry: TodoEntry, claim: Claim | None, action: str, by: str) -> TodoEntry:
        before = "" if entry.claim is None else entry.claim.by
        detail = {"count": len(entry.todos), "was": before}
        note = AuditNote(actor=by, action=action, subject=f"todo:{entry.id}", detail=detail)
        await self.store.put_claim(entry.id, claim, note)
        return replace(entry, claim=claim)


def grouped(todos: Sequence[Todo]) -> Sequence[TodoEntry]:
    """One entry for each fault. What stands behind another that is on the list is told with that,
    and makes it as urgent."""
    known = {each.id for each in todos}
    urgent: dict[str, int] = {}
    for each in todos:
        if each.behind in known:
            urgent[each.behind] = max(urgent.get(each.behind, 0), each.priority)
    entries: dict[str, list[Todo]] = {}
    for each in sorted(todos, key=lambda each: (each.since, each.id)):
        if not each.behind or each.behind not in known:
            most = max(each.priority, urgent.get(each.id, each.priority))
            told = each if most == each.priority else replace(each, priority=most)
            entries.setdefault(entry_of(each), []).append(told)
    return [TodoEntry(id=id_, todos=tuple(members)) for id_, members in entries.items()]


def entry_of(todo: Todo) -> str:
    """The id of its entry: the same as long as the fault is the same."""
    if todo.subject is TodoSubject.SWITCH_HOLD:
        return f"{todo.subject}.{todo.id}"
    names = (todo.id, todo.order, todo.device, todo.service_point)
    return f"{todo.subject}.{todo.code}.{_fault(todo.fault, todo.text, names)}"


@lru_cache(maxsize=8 * _MOST)
def _fault(fault: str, text: str, names: tuple[str, ...]) -> str:
    """The same for texts that differ in ids and numbers alone. The list is read again and again."""
    for own in names:
        text = text.replace(own, "#") if own and not own.isdigit() else text
    return hashlib.sha256(f"{fault}\n{_VARIES.sub('#', text)}".encode()).hexdigest()[:6]


def _in_force(claim: Claim | None, entry: TodoEntry) -> Claim | None:
    """A claim is of what waited when it was made: not of the same fault, come again later."""
    return None if claim is None or claim.at < entry.first.since else claim

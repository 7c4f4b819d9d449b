"""Routes of what waits for people: the list, one entry, who is at it."""

from datetime import datetime

from msgspec import Struct

from adapter.engine.upkeep.todo import Todo, TodoEntry
from adapter.model.todo import TodoSubject
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    answer_from,
    limit_of,
    member,
)


class TypedCommandOut(Struct, kw_only=True):
    """`typed` is a command line that settles it, `does` what that does, `people` how many different
    persons it takes."""

    typed: str
    does: str
    people: int


class TodoOut(Struct, kw_only=True):
    """Something that waits for people, the same fault of many as one; it closes by itself.

    `text` says why, of the oldest; `since` and `age_s` (seconds) are of the oldest too. `dark` are
    the service points that are without supply. `takes_two`: a way to settle it takes two people.
    `claimed_by` is at it.
    """

    id: str
    subject: TodoSubject
    code: str
    text: str
    action: str
    count: int
    priority: int
    since: datetime
    age_s: float
    dark: list[str]
    takes_two: bool
    commands: list[TypedCommandOut]
    claimed_by: str | None
    claimed_at: datetime | None

    @classmethod
    def of(cls, entry: TodoEntry, *, now: datetime) -> "TodoOut":
        return answer_from(
            cls,
            entry.first,
            id=entry.id,
            count=len(entry.todos),
            priority=entry.priority,
            age_s=max((now - entry.first.since).total_seconds(), 0.0),
            dark=list(entry.dark),
            takes_two=entry.takes_two,
            commands=[answer_from(TypedCommandOut, each) for each in entry.commands],
            claimed_by=None if entry.claim is None else entry.claim.by,
            claimed_at=None if entry.claim is None else entry.claim.at,
        )


class WaitingOut(Struct, kw_only=True):
    """One of an entry: its id, what it is about, and since when it waits."""

    id: str
    order: str
    device: str
    service_point: str
    dark: bool
    since: datetime
    text: str

    @classmethod
    def of(cls, todo: Todo) -> "WaitingOut":
        return answer_from(cls, todo)


class TodoList(Struct, kw_only=True):
    """The most urgent and oldest first; `total` is how many entries there are."""

    items: list[TodoOut]
    total: int


class TodoShown(Struct, kw_only=True):
    """An entry, and all that wait with the same fault, the oldest first."""

    entry: TodoOut
    items: list[WaitingOut]


async def list_todo(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    found = await api.gateway.upkeep.todo.list(member(asked, "subject", TodoSubject))
    shown = [TodoOut.of(each, now=asked.now) for each in found[:limit]]
    return ApiResponse(body=TodoList(items=shown, total=len(found)))


async def get_todo(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return _shown(await api.gateway.upkeep.todo.get(asked.path["entry"]), asked)


async def claim_todo(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    entry = await api.gateway.upkeep.todo.claim(asked.path["entry"], by=asked.actor)
    return _shown(entry, asked)


async def unclaim_todo(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    entry = await api.gateway.upkeep.todo.unclaim(asked.path["entry"], by=asked.actor)
    return _shown(entry, asked)


def _shown(entry: TodoEntry, asked: ApiRequest) -> ApiResponse:
    items = [WaitingOut.of(each) for each in entry.todos]
    return ApiResponse(body=TodoShown(entry=TodoOut.of(entry, now=asked.now), items=items))

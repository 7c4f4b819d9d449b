"""A button for all that match: which they are, counted before anything is done, and one by one.

Each is the same call as for one alone, with its own rules and its own entry in the audit.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from adapter.errors import GatewayError
from adapter.web.api import commands, orders
from adapter.web.api.call import bad_query
from adapter.web.api.problems import ProblemRaised, of_error
from adapter.web.console.buttons import Button, button_of, given_of
from adapter.web.console.view import PageView

MOST: Final = 1_000
"""So many are acted on in one go; of more, the first."""

_PAGE: Final = "500"
_FILTERS: Final = (
    "kind",
    "state",
    "device",
    "service_point",
    "open",
    "since",
    "requester",
    "reference",
)
WHICH: Final = ("entry", "list", *_FILTERS)
"""What says which: an entry of what waits for people, or a list with its filters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """`items` are the ids that each call needs, and its words; `more`: there are others behind."""

    items: Sequence[tuple[Mapping[str, str], str]]
    more: bool = False


@dataclass(slots=True, kw_only=True)
class ManyDone:
    """`refused` says of which, and why; nothing was changed of them."""

    done: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


async def selected(view: PageView, button: Button, given: Mapping[str, str]) -> Matching:
    """Raises NotFound for an entry that has closed, ProblemRaised 422 for no list."""
    if "entry" in given:
        return await _of_entry(view, button, given["entry"])
    asked = {name: given[name] for name in _FILTERS if name in given}
    if given.get("list") == "commands":
        return await _of_commands(view, asked)
    if given.get("list") == "orders":
        return await _of_orders(view, asked)
    raise bad_query("list", "commands or orders, or an entry of what waits")


async def each(found: Matching, call: Callable[[Mapping[str, str]], Awaitable[None]]) -> ManyDone:
    """One after the other; what refuses one leaves the others."""
    made = ManyDone()
    for ids, words in found.items:
        try:
            await call(ids)
        except (GatewayError, ProblemRaised) as error:
            problem = error if isinstance(error, ProblemRaised) else of_error(error)
            made.refused.append((words, problem.problem.detail))
        else:
            made.done += 1
    return made


async def _of_entry(view: PageView, button: Button, entry: str) -> Matching:
    found = await view.api.gateway.upkeep.todo.get(entry)
    for way in found.first.ways:
        offered = button_of(way)
        if offered is not None and offered[0] is button:
            items = [(given_of(each, offered[1]), each.text) for each in found.todos]
            return Matching(items=items[:MOST], more=len(items) > MOST)
    raise bad_query("entry", f"{button.label} is not for this")


async def _of_commands(view: PageView, asked: Mapping[str, str]) -> Matching:
    items: list[tuple[Mapping[str, str], str]] = []
    cursor: str | None = ""
    while cursor is not None and len(items) <= MOST:
        query = {**asked, "limit": _PAGE, **({"cursor": cursor} if cursor else {})}
        page = await view.read(commands.CommandPage, commands.list_commands, query)
        items += [
            ({"command": row.id}, f"{row.title}, {', '.join(row.devices[:3]) or row.group or ''}")
            for row in page.items
        ]
        cursor = page.next
    return Matching(items=items[:MOST], more=len(items) > MOST)


async def _of_orders(view: PageView, asked: Mapping[str, str]) -> Matching:
    items: list[tuple[Mapping[str, str], str]] = []
    cursor: str | None = ""
    while cursor is not None and len(items) <= MOST:
        query = {**asked, "limit": _PAGE, **({"cursor": cursor} if cursor else {})}
        page = await view.read(orders.OrderPage, orders.list_orders, query)
        items += [({"order": row.id}, f"{row.kind}, {row.service_point}") for row in page.items]
        cursor = page.next
    return Matching(items=items[:MOST], more=len(items) > MOST)

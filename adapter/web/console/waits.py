"""What waits for people: the list, one entry of it, and what closed lately."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from adapter.engine.upkeep.todo import TodoEntry
from adapter.model.todo import TodoSubject
from adapter.web.console.buttons import Button, button_of, given_of
from adapter.web.console.view import PageView

_SHOWN: Final = 200
_BUTTONS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A button for an entry, of its way of that number: `does` as the list says it; `given` fills
    its form where it is for one, `all_of` is the entry where it is for all that wait with the same
    fault."""

    button: Button
    does: str
    people: int
    number: int
    given: Mapping[str, str]
    all_of: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedEntry:
    entry: TodoEntry
    offers: Sequence[Offer]


async def load(view: PageView) -> Mapping[str, object]:
    entries = await view.api.gateway.upkeep.todo.list()
    closed = view.closed.look(entries, view.now)
    subject = view.query.get("subject")
    listed = [listed_of(each) for each in entries if subject in (None, each.first.subject)]
    return {
        "entries": listed,
        "waiting": sum(len(each.entry.todos) for each in listed),
        "dark": len({point for each in listed for point in each.entry.dark}),
        "closed": closed[:10],
        "subjects": tuple(TodoSubject),
    }


async def load_entry(view: PageView) -> Mapping[str, object]:
    entries = await view.api.gateway.upkeep.todo.list()
    view.closed.look(entries, view.now)
    found = next((each for each in entries if each.id == view.path["entry"]), None)
    if found is None:
        return {"entry": None, "typed": (), "items": (), "more": 0}
    return {
        "entry": listed_of(found),
        "typed": found.commands,
        "items": found.todos[:_SHOWN],
        "more": max(len(found.todos) - _SHOWN, 0),
    }


def listed_of(entry: TodoEntry) -> ListedEntry:
    return ListedEntry(entry=entry, offers=offers_of(entry))


def offers_of(entry: TodoEntry) -> Sequence[Offer]:
    """What people may press; of many one button for all of them, where there is one."""
    made: list[Offer] = []
    for number, way in enumerate(entry.first.ways):
        found = button_of(way)
        if found is None:
            continue
        button, names = found
        for_all = len(entry.todos) > 1 and button.many
        given = {} if for_all else given_of(entry.first, names)
        made.append(
            Offer(
                button=button,
                does=way.does,
                people=way.people,
                number=number,
                given={name: value for name, value in given.items() if value},
                all_of=entry.id if for_all else "",
            )
        )
    return made[:_BUTTONS]

"""THE TABLE of pages: address, template, and the function that loads what it shows."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from adapter.server.settings import Role
from adapter.web.api.routes import ANY
from adapter.web.console import completeness, waits
from adapter.web.console.view import PageView


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """`path` is below /console. `load` gives what the template shows; for a live page it is called
    again and again, once for all who look, so that it must not depend on who they are.
    `section` is the entry of the navigation that it belongs to, `query` its filters."""

    path: str
    title: str
    section: str
    template: str
    load: Callable[[PageView], Awaitable[Mapping[str, object]]]
    query: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ANY
    live: bool = True


@dataclass(frozen=True, slots=True)
class Section:
    """An entry of the navigation."""

    name: str
    path: str


# fmt: off
PAGES: Final = (
    Page(path="/waits", title="Waits", section="Waits", template="waits.html", load=waits.load,
         query=("subject",)),
    Page(path="/waits/{entry}", title="What waits", section="Waits", template="wait.html",
         load=waits.load_entry),
    Page(path="/completeness", title="Completeness", section="Completeness",
         template="completeness.html", load=completeness.load, live=False,
         query=completeness.QUERY),
)
NAVIGATION: Final = (
    Section("Waits", "/waits"),
    Section("Completeness", "/completeness"),
)
# fmt: on

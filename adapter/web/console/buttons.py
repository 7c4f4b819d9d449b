"""THE TABLE of buttons. Each is the call of one REST route: its rules, its roles, its audit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from adapter.commands.flows import FLOWS, READ_KINDS
from adapter.readings.gaps import Gap
from adapter.web.api.call import PREFIX
from adapter.web.api.routes import ROUTES, Route


class FieldKind(StrEnum):
    TEXT = "text"
    REASON = "reason"
    """A text that people have to give, where REST would let it be empty."""
    CHOICE = "choice"
    YES = "yes"
    """True or false: a box to tick."""
    NUMBER = "number"
    LINES = "lines"
    """A list: one item a line."""
    TIME = "time"
    SECOND_KEY = "second key"
    """The key of a second person, who is here too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """`name` is that of the body of the route."""

    name: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    needed: bool = False
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    """(value, label)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """`path` is the route's, without its prefix; `does` says what comes of it; `back` is the page
    that is shown after it. `serious`: it moves a switch, or cannot be taken back."""

    name: str
    path: str
    label: str
    does: str
    back: str
    fields: tuple[FormField, ...] = ()
    serious: bool = False

    @property
    def route(self) -> Route:
        return _POSTS[PREFIX + self.path]

    @property
    def ids(self) -> Sequence[str]:
        """The names of the ids in the path."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def needs(self) -> str:
        """One of these roles, as CSS looks for them."""
        return " ".join(role.value for role in self.route.roles)


_POSTS: Final[Mapping[str, Route]] = {
    route.path: route for route in ROUTES if route.method == "POST"
}
_REASON: Final = FormField(name="reason", label="Reason", kind=FieldKind.REASON, needed=True)
_READ_AGAIN: Final = (
    _REASON,
    FormField(
        name="gap",
        label="List",
        kind=FieldKind.CHOICE,
        needed=True,
        choices=tuple((each.value, each.value.replace("_", " ")) for each in Gap),
    ),
    FormField(name="group", label="Group"),
    FormField(name="since", label="Since", kind=FieldKind.TIME),
    FormField(name="day", label="Day"),
    FormField(
        name="kind",
        label="Read",
        kind=FieldKind.CHOICE,
        needed=True,
        choices=tuple((kind.value, FLOWS[kind].title) for kind in sorted(READ_KINDS)),
        hint="A scheduled read asks the whole group.",
    ),
    FormField(name="at_most", label="Meters at most", kind=FieldKind.NUMBER, needed=True),
)

# fmt: off
_ROWS: Final = (
    Button(name="claim", path="/todo/{entry}/claim", label="I am at it",
           does="Others see that you are at it.", back="/waits/{entry}"),
    Button(name="unclaim", path="/todo/{entry}/unclaim", label="Leave it",
           does="Nobody is at it any more.", back="/waits/{entry}"),
    # completeness
    Button(name="read-again", path="/completeness/read-again", label="Read them again",
           does="Asks each meter of the list for its data, by one command. More meters than "
                "this says are refused.", back="/completeness", fields=_READ_AGAIN),
)
# fmt: on
BUTTONS: Final[Mapping[str, Button]] = {row.name: row for row in _ROWS}

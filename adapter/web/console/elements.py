"""Small pieces of HTML that stand on a page many times over: states, and links to what an id names.
What is put into them is escaped; of the macros of `ui.html` they would be most of a page's time."""

from datetime import datetime
from functools import lru_cache, partial
from typing import Final, Protocol
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from adapter.engine.commands.unsent import UnsentReason
from adapter.web.console.buttons import BUTTONS, Button
from adapter.web.console.tones import tone_of
from adapter.web.console.waits import Offer
from adapter.web.console.words import word

ROOT: Final = "/console"
_NEEDS: Final = {name: each.needs for name, each in BUTTONS.items()}


class WhyUnsent(Protocol):
    @property
    def why(self) -> UnsentReason: ...
    @property
    def text(self) -> str: ...


class WhyUnclear(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def look_at(self) -> datetime | None: ...


_UNSENT: Final = {
    UnsentReason.QUEUED: "not sent: queued",
    UnsentReason.HELD: "switching is held",
    UnsentReason.LIMITED: "waits for room",
    UnsentReason.HOURS: "waits for its hours",
}


@lru_cache(maxsize=2_048)
def state(name: object, tone: str | None = None) -> Markup:
    """How something stands, in the colour that the table of tones has for it; `tone` is for what
    is no word."""
    tone = tone_of(name) if tone is None else tone
    return Markup(f'<span class="state {escape(tone)}">{escape(word(name))}</span>')


def standing(
    name: object,
    outcome: object,
    final: bool,
    unsent: WhyUnsent | None = None,
    unclear: WhyUnclear | None = None,
) -> Markup:
    """Of a command: what came out where it has ended, else why nothing of it has left, or that
    nobody knows what became of it, or its state."""
    if unclear is not None:
        return Markup(
            f'{state(name)} <span title="{escape(unclear.text)}">{state("unclear")}</span>'
        )
    if unsent is None:
        return state(outcome if final and outcome else name)
    return Markup(f'<span title="{escape(unsent.text)}">{state(_UNSENT[unsent.why])}</span>')


def _link(section: str, id_: str) -> Markup:
    address = f"{ROOT}/{section}/{quote(id_, safe='')}"
    return Markup(f'<a class="id" href="{address}">{escape(id_)}</a>')


def linked(path: str, **query: object) -> str:
    """The address of a page of the console, with what stands in its query."""
    given = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return ROOT + path + (f"?{urlencode(given)}" if given else "")


def act(button: Button, label: str = "", **given: object) -> Markup:
    """A button: a link to its form. Shown to those whose key has one of the roles."""
    return _act(button, linked(f"/do/{button.name}", **given), label or button.label)


def act_offered(offer: Offer) -> Markup:
    """What people may press for an entry of what waits."""
    button = offer.button
    if offer.all_of:
        address = linked(f"/many/{button.name}", entry=offer.all_of)
        return _act(button, address, f"{button.label} all", offer.does)
    address = linked(f"/do/{button.name}", **offer.given)
    return _act(button, address, button.label, offer.does)


def _act(button: Button, address: str, label: str, does: str = "") -> Markup:
    serious = " danger" if button.serious else ""
    title = f' title="{escape(does)}"' if does else ""
    return Markup(
        f'<a class="button act{serious}" data-needs="{_NEEDS[button.name]}"{title} '
        f'href="{escape(address)}">{escape(label)}</a>'
    )


ELEMENTS: Final = {
    "linked": linked,
    "act": act,
    "act_offered": act_offered,
    "state": state,
    "standing": standing,
    "command_link": partial(_link, "commands"),
    "order_link": partial(_link, "orders"),
    "meter_link": partial(_link, "meters"),
}
"""Globals of the templates."""

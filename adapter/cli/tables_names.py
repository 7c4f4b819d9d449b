"""The class names that a newcomer meets in the first hour, with where each is and what it is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import adapter
from adapter.errors import InvalidRequest

Lines = tuple[tuple[str, ...], ...]
"""A heading, then the rows."""

NAMES: Final = (
    ("CommandKind", "the twelve kinds of commands"),
    ("Flow", "one row of the command-flow table: the messages of a kind"),
    ("Nature", "our columns of a kind: what the program asks of it"),
    ("CommandRequest", "what a requester asks for"),
    ("Command", "a command with all that belongs to it: loaded, stepped and saved as one"),
    ("Activity", "the intent, and where it stands"),
    ("State", "the states of a command"),
    ("Policy", "the clocks of one command kind"),
    ("CompletionEvent", "what must change in the registry; executed once by its id"),
    ("Device", "a meter or another item"),
    ("ServicePoint", "where service is delivered"),
    ("InstallEvent", "a device at a service point"),
    ("DeviceView", "a device with where it stands now: what rules look at"),
    ("ServiceOrder", "an order, and where it stands"),
    ("AlgorithmType", "the source's ten algorithm types"),
    ("ChildSpec", "the child that an algorithm wants: business object, target, what it carries"),
    ("FieldActivity", "a visit, and where it stands"),
    ("Gateway", "what REST, command line and Python call: nine services"),
    ("Commands", "submit commands, look at them, decide about them"),
    ("Orders", "the same for service orders"),
    ("Registry", "load devices and look at them"),
    ("Inbox", "what the head end sent"),
    ("Upkeep", "audit, counts, holds, retention"),
    ("Store", "the port to the rows: batch in, batch out"),
    ("DeviceRegistry", "the port to the master data"),
    ("HeadEnd", "the port to the head end"),
    ("Applier", "load, step, save: the one place where a command changes"),
    ("Dispatcher", "sends what is due"),
    ("Correlator", "finds whose a callback is"),
    ("Monitor", "attends to what is due by time, looks for data"),
    ("Completer", "executes completion events, once"),
    ("Publisher", "offers events to sinks"),
    ("Catalog", "all operations of one contract, as WSDL says"),
    ("Codec", "writers and readers of its messages"),
    ("HeadEndClient", "the head end over HTTP"),
    ("Listener", "where the head end calls us"),
    ("Rest", "the JSON interface"),
    ("Route", "one row of its route table"),
    ("SqlStore", "the store"),
    ("Simulator", "the stand-in head end"),
    ("GatewayError", "the base of all errors"),
    ("NotSent", "nothing left this machine: safe to send again"),
    ("Refused", "the head end said no"),
    ("OutcomeUnknown", "it may have acted: ask before any resend"),
)
"""In the order in which one meets them: what is asked, what it is about, who carries it out."""


def names() -> Lines:
    """Raises InvalidRequest for a name that no class has, or that two have."""
    places: dict[str, list[str]] = {name: [] for name, _ in NAMES}
    for name, place in _classes():
        if name in places:
            places[name].append(place)
    for name, found in places.items():
        if len(found) != 1:
            raise InvalidRequest(f"names: {name}", f"{len(found)} classes have this name")
    rows = ((f"`{name}`", f"`{places[name][0]}`", meaning) for name, meaning in NAMES)
    return (("name", "where", "what it is"), *rows)


def _classes() -> Iterator[tuple[str, str]]:
    """Name and file of every class of the package."""
    top = Path(adapter.__file__).parent
    for path in sorted(top.rglob("*.py")):
        for name in re.findall(r"^class (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            yield name, path.relative_to(top.parent).as_posix()

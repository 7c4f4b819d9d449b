"""What the OpenAPI document says of parameters: a row a name, and one where routes differ."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any as Untyped
from typing import Final

from adapter.commands.activity import State
from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import InboxState
from adapter.engine.commands.switch_holds import HoldReason
from adapter.engine.readings.reports import Grouping
from adapter.engine.schedules.ports import ReadResult
from adapter.engine.upkeep.durations import Measure
from adapter.engine.upkeep.set_aside import FailedState, RowKind
from adapter.model.texts import ID_PATTERN, LONGEST, TEXT_PATTERN
from adapter.model.todo import TodoSubject
from adapter.model.whole_numbers import ROW
from adapter.orders.order import OrderKind, OrderState
from adapter.readings.gaps import Gap
from adapter.schedules.schedule import ScheduleState
from adapter.web.api import call, commands, feed
from adapter.web.api.orders import slug
from adapter.web.api.routes import Route

Json = dict[str, Untyped]

_ID: Final[Json] = {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": ID_PATTERN}
_TEXT: Final[Json] = {"type": "string", "maxLength": LONGEST, "pattern": TEXT_PATTERN}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_HEADER: Final[Json] = {"type": "string", "minLength": 1, "maxLength": LONGEST}
_DATE: Final[Json] = {"type": "string", "format": "date"}
_FLAG: Final[Json] = {"type": "boolean"}
_NUMBER: Final[Json] = {"type": "integer", "minimum": ROW.least, "maximum": ROW.most}
_SECONDS: Final[Json] = {"type": "number", "minimum": 0, "maximum": 86_400}


def _cursor(pattern: str) -> Json:
    return {"type": "string", "pattern": f"^{pattern}$"}


def _words(kind: type[StrEnum]) -> Json:
    return {"type": "string", "enum": [each.value for each in kind]}


_BY_ID: Final = _cursor("[0-9a-hjkmnp-tv-z]{26}")
_BY_NUMBER: Final = _cursor("[0-9]{1,18}")
_BY_PLACE: Final = _cursor(r"[vep]-?[0-9]{1,19}(\.-?[0-9a-f]+)*")

_PATH: Final[Mapping[str, tuple[str, Json]]] = {
    "command": ("Id of the command.", _ID),
    "bulk": ("Id of the bulk request.", _ID),
    "check": ("Id of the callback check.", _ID),
    "key": ("Id of the key.", _ID),
    "device": ("The meter as the utility names it.", _ID),
    "service_point": ("The service point as the utility names it.", _ID),
    "message": ("Number of the message.", _NUMBER),
    "error": ("Number of the error record.", _NUMBER),
    "receiver": ("Name of the receiver, as the settings have it.", _ID),
    "order": ("Id of the order.", _ID),
    "visit": ("Id of the visit, among the order's children.", _ID),
    "request": ("Id of the request to cancel or update.", _ID),
    "entry": ("Id of the entry.", _ID),
    "schedule": ("Id of the schedule.", _ID),
    "window": ("Number of the window.", _NUMBER),
    "row": ("Number of the row set aside.", _NUMBER),
    "hold": ("The reason.", _words(HoldReason)),
    "override": ("Id of the override.", _ID),
}

# fmt: off
_QUERY: Final[Mapping[str, tuple[str, Json]]] = {
    "after": ("`next` of the page before; newest: only what comes from now on. Without it: all "
              "that is kept.",
              {"type": "string", "pattern": f"^({feed.CURSOR.pattern}|{feed.NEWEST})$"}),
    "bare": ("Only those without a device, or only the others.", _FLAG),
    "by": ("What they are counted together by.", _words(Grouping) | {"default": "operation"}),
    "category": ("Only of this standard category.", _TEXT),
    "component": ("Only of this measuring component.", _ID),
    "connected": ("Only where the source is connected, or only where it is not.", _FLAG),
    "cursor": ("`next` of the page before.", _BY_NUMBER),
    "day": ("Of this local day; else of the one before today.", _DATE),
    "dead": ("Only those that are posted no more, or only the others.", _FLAG),
    "device": ("Only what concerns this device.", _ID),
    "ended": ("Those that are over, in place of those that last.", _FLAG),
    "endpoint": ("Only what concerns this meter, as the head end names it.", _ID),
    "first": ("The first local day; else 30 days before the last one.", _DATE),
    "from": ("Not earlier than this. With a zone.", _TIME),
    "gap": ("What is missing of them.", _words(Gap) | {"default": "not_since"}),
    "group": ("Only of this group.", _ID),
    "head": ("NUMBER:DIGEST of a head that was given out, all 64 hex digits.",
             {"type": "string", "pattern": "^[0-9]{1,18}:[0-9A-Fa-f]{64}$"}),
    "kind": ("Only of this kind.", _words(CommandKind)),
    "last": ("The last local day; else today.", _DATE),
    "limit": ("At most so many.",
              {"type": "integer", "minimum": 1, "maximum": call.MOST_ITEMS, "default": 50}),
    "measure": ("Only of this measure.", _words(Measure)),
    "name": ("Only of this name.", _TEXT),
    "open": ("Only those that are not final.", _FLAG),
    "payload": ("Only of the payload of this number.", _NUMBER | {"minimum": 0}),
    "reference": ("Only with this reference of the requester.", _TEXT),
    "requester": ("Only what the holder of this key asked for.", _TEXT),
    "result": ("Only devices that ended so.", _words(ReadResult)),
    "revisions": ("Also values that were replaced.", _FLAG),
    "service_point": ("Only what concerns this service point.", _ID),
    "since": ("Only what was accepted, arrived or ended at this time or later. With a zone.",
              _TIME),
    "sp_type": ("Only of this type of service point.", _TEXT),
    "state": ("Only in this state.", _words(State)),
    "subject": ("Only about this command, order, device or other thing.", _ID),
    "supplied": ("Only where supply gets through, or only where it does not.", _FLAG),
    "to": ("Earlier than this, or at it. With a zone.", _TIME),
    "types": ("Only of these types, with commas between; `*` at the end of one stands for any end.",
              {"type": "string", "maxLength": 2_000,
               "pattern": r"^[A-Za-z0-9_.\-]+\*?(,[A-Za-z0-9_.\-]+\*?)*$"}),
    "updated": ("Only what has changed at this time or later. With a zone.", _TIME),
    "wait": ("Answer when it is final, or after so many seconds; bounded.", _SECONDS),
}
_BY_ROUTE: Final[Mapping[tuple[str, str], tuple[str, Json]]] = {
    ("/inbox", "state"): ("", _words(InboxState)),
    ("/schedules", "state"): ("", _words(ScheduleState)),
    ("/orders", "state"): ("", {"type": "string", "enum": [slug(each) for each in OrderState]}),
    ("/orders", "kind"): ("", _words(OrderKind)),
    ("/set-aside", "state"): ("", _words(FailedState) | {"default": "set_aside"}),
    ("/set-aside", "kind"): ("Only rows of this kind.", _words(RowKind)),
    ("/todo", "subject"): ("Only of this kind of thing.", _words(TodoSubject)),
    ("/completeness/meters", "since"): ("Without a value, or a read that succeeded, since "
                                        "then; else for a day. With a zone.", _TIME),
    ("/completeness/meters", "cursor"): ("", _ID),
    ("/events", "limit"): ("", {"type": "integer", "minimum": 1, "maximum": feed.MOST_EVENTS,
                                "default": 100}),
    ("/events", "wait"): ("Where there is nothing yet: answer when something comes, or after so "
                          "many seconds; bounded.", _SECONDS),
    ("/inbox/{message}/retry", "wait"): ("Answer when it is judged, or after so many seconds; "
                                         "bounded.", _SECONDS),
    ("/switching/waiting", "name"): ("Only of the cap or quota of this name.", _TEXT),
    ("/switching/waiting", "cursor"): ("", _ID),
    ("/commands", "cursor"): ("", _BY_ID),
    ("/orders", "cursor"): ("", _BY_ID),
    ("/schedules", "cursor"): ("", _BY_ID),
    ("/devices", "cursor"): ("", _ID),
    ("/service-points", "cursor"): ("", _ID),
    ("/measurements", "cursor"): ("", _BY_PLACE),
    ("/arrived-events", "cursor"): ("", _BY_PLACE),
    ("/outages", "cursor"): ("", _cursor("[0-9T:.+-]+Z?/.+")),
    ("/schedules/{schedule}/windows/{window}", "cursor"): ("", _cursor(r"[0-9]\..*")),
}
"""What is another thing on one route than on the others; an empty text: the usual one."""
_HEADERS: Final[Mapping[str, tuple[str, Json]]] = {
    commands.IDEMPOTENCY_KEY: ("The same key gives the same command, for ever. Mandatory for kinds "
                               "that move a switch.", _HEADER),
    feed.LAST_ID: ("Of a stream that goes on: the id of the last event that came. Goes before "
                   "`after`.", _cursor(feed.CURSOR.pattern)),
    commands.SECOND_KEY: ("Token of the second person, where two are needed.", _HEADER),
}
# fmt: on


def parameters_of(route: Route) -> Iterable[Json]:
    for name in re.findall(r"{(\w+)}", route.path):
        text, schema = _PATH[name]
        yield _parameter("path", name, text, schema) | {"required": True}
    for name in route.query:
        text, schema = _QUERY[name]
        own, schema = _BY_ROUTE.get((route.path.removeprefix(call.PREFIX), name), ("", schema))
        yield _parameter("query", name, own or text, schema)
    for name in route.headers:
        text, schema = _HEADERS[name]
        yield _parameter("header", name, text, schema)


def _parameter(place: str, name: str, text: str, schema: Json) -> Json:
    return {"name": name, "in": place, "description": text, "schema": schema}

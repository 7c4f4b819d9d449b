"""The OpenAPI 3.1 document, made from the route table and the types it names."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any as Untyped
from typing import Final

import msgspec

from adapter import __version__
from adapter.commands.activity import State
from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import InboxState
from adapter.engine.readings.reports import Grouping
from adapter.engine.schedules.ports import ReadResult
from adapter.engine.upkeep.durations import Measure
from adapter.engine.upkeep.set_aside import FailedState, RowKind
from adapter.model.texts import ID_PATTERN, LONGEST
from adapter.model.todo import TodoSubject
from adapter.model.whole_numbers import ROW
from adapter.orders.order import OrderKind, OrderState
from adapter.schedules.schedule import ScheduleState
from adapter.web.api import call, commands, feed
from adapter.web.api.event_types import EVENT_TYPES, CloudEventOut, FeedEventType
from adapter.web.api.orders import slug
from adapter.web.api.problems import LINES, MEDIA_TYPE, HttpProblem
from adapter.web.api.routes import ROUTES, Route

Json = dict[str, Untyped]

_ALWAYS: Final = (400, 500, 503)
_WITH_KEY: Final = (401, 403, 429)
_WITH_BODY: Final = (408, 411, 413, 415, 422)
_ID: Final[Json] = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST,
    "pattern": ID_PATTERN,
}
_NUMBER: Final[Json] = {"type": "integer", "minimum": ROW.least, "maximum": ROW.most}
_NUMBERED: Final = frozenset({"message", "error", "window", "row"})
"""What of a path is the number of a row; the rest are ids."""
_QUERY: Final[Mapping[str, Json]] = {
    "kind": {"type": "string", "enum": [item.value for item in CommandKind]},
    "device": _ID | {"description": "What concerns this device."},
    "open": {"type": "boolean", "description": "Only those without a final state."},
    "service_point": _ID | {"description": "What concerns this service point."},
    "after": {
        "type": "string",
        "pattern": f"^({feed.CURSOR.pattern}|{feed.NEWEST})$",
        "description": "`next` of the page before; newest: only what comes from now on. Without "
        "it: all that is kept.",
    },
    "dead": {
        "type": "boolean",
        "description": "Only those that are posted no more, or only the others.",
    },
    "types": {
        "type": "string",
        "description": "Only of these types, with commas between; `*` at the end of one stands "
        "for any end.",
    },
    "subject": _ID | {"description": "Only about this command, order, device or other thing."},
    "limit": {"type": "integer", "minimum": 1, "maximum": call.MOST_ITEMS, "default": 50},
    "cursor": {"type": "string", "description": "`next` of the page before."},
    "head": {"type": "string", "description": "NUMBER:DIGEST of a head that was given out."},
    "payload": {"type": "integer", "minimum": 0, "description": "Only of this payload."},
    "endpoint": _ID | {"description": "The head end's identifier of a meter."},
    "name": {"type": "string", "description": "Events of this standard name."},
    "category": {"type": "string"},
    "since": {"type": "string", "format": "date-time", "description": "Not earlier than this."},
    "ended": {"type": "boolean", "description": "Those that are over, instead of those that last."},
    "component": _ID | {"description": "Only this measuring component."},
    "from": {"type": "string", "format": "date-time", "description": "With a zone."},
    "to": {"type": "string", "format": "date-time", "description": "With a zone."},
    "result": {
        "type": "string",
        "enum": [item.value for item in ReadResult],
        "description": "Only devices that ended so.",
    },
    "supplied": {"type": "boolean", "description": "Whether supply gets through there."},
    "connected": {"type": "boolean", "description": "The source status."},
    "bare": {"type": "boolean", "description": "Without a device, or with one."},
    "sp_type": {"type": "string", "description": "Only of this type."},
    "revisions": {"type": "boolean", "description": "Also values that were replaced."},
    "by": {"type": "string", "enum": [item.value for item in Grouping], "default": "operation"},
    "wait": {
        "type": "number",
        "minimum": 0,
        "maximum": 86_400,
        "description": "Answer when it is final, or after so many seconds; bounded.",
    },
}
_MEMBERS: Final[Mapping[tuple[str, str], list[str]]] = {
    ("/commands", "state"): [item.value for item in State],
    ("/inbox", "state"): [item.value for item in InboxState],
    ("/schedules", "state"): [item.value for item in ScheduleState],
    ("/orders", "state"): [slug(item) for item in OrderState],
    ("/orders", "kind"): [item.value for item in OrderKind],
    ("/set-aside", "state"): [item.value for item in FailedState],
    ("/set-aside", "kind"): [item.value for item in RowKind],
    ("/todo", "subject"): [item.value for item in TodoSubject],
    ("/durations", "measure"): [item.value for item in Measure],
}
"""What a parameter of the same name may be on different routes."""

_OWN: Final[Mapping[tuple[str, str], Json]] = {
    ("/events", "limit"): {
        "type": "integer",
        "minimum": 1,
        "maximum": feed.MOST_EVENTS,
        "default": 100,
    },
    ("/events", "wait"): {
        "type": "number",
        "minimum": 0,
        "maximum": 86_400,
        "description": "Where there is nothing yet: answer when something comes, or after so many "
        "seconds; bounded.",
    },
}
"""Parameters that are another thing on one route than on the others."""

_HEADERS: Final[Mapping[str, str]] = {
    commands.IDEMPOTENCY_KEY: "The same key gives the same command, for ever. "
    "Mandatory for kinds that move a switch.",
    feed.LAST_ID: "Of a stream that goes on: the id of the last event that came. Goes before "
    "`after`.",
    commands.SECOND_KEY: "Token of the second person, where two are needed.",
}


@cache
def document_json() -> bytes:
    """The whole document as it is served; made once in a process."""
    return msgspec.json.encode(document())


def document() -> Json:
    """The whole document, as plain values."""
    named = [route.gives for route in ROUTES]
    named += [kind for route in ROUTES for _, kind in route.also]
    named += [CloudEventOut, *(each.data for each in EVENT_TYPES)]
    named += [route.shown for route in ROUTES if route.shown is not None]
    kinds = [*dict.fromkeys(named), HttpProblem]
    schemas, components = msgspec.json.schema_components(
        kinds, ref_template="#/components/schemas/{name}"
    )
    of_kind = dict(zip(kinds, schemas, strict=True))
    paths: Json = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, of_kind)
    paths["/openapi.json"] = {"get": _own_operation()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OpenWay gateway",
            "version": __version__,
            "description": "Smart meter commands through an Itron OpenWay head end.",
        },
        "paths": paths,
        "webhooks": {each.name: {"post": _webhook(each, of_kind)} for each in EVENT_TYPES},
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _webhook(event: FeedEventType, of_kind: Mapping[type, Json]) -> Json:
    """What a receiver of events is posted."""
    own = {"type": {"type": "string", "pattern": event.pattern}, "data": of_kind[event.data]}
    schema = {"allOf": [of_kind[CloudEventOut], {"type": "object", "properties": own}]}
    return {
        "operationId": re.sub(r"[^a-z_]+", "_", event.name).strip("_"),
        "summary": event.name,
        "description": "Signed as Standard Webhooks has it.",
        "security": [],
        "requestBody": {
            "required": True,
            "content": {"application/cloudevents+json": {"schema": schema}},
        },
        "responses": {
            "204": {"description": "Taken; any 2xx is"},
            "410": {"description": "Nothing more is wanted"},
        },
    }


def _operation(route: Route, of_kind: Mapping[type, Json]) -> Json:
    operation: Json = {
        "operationId": route.call.__name__,
        "summary": route.summary,
        "responses": _responses(route, of_kind),
        "security": [{"key": []}] if route.roles else [],
    }
    if route.roles:
        names = ", ".join(role.value for role in route.roles)
        operation["description"] = f"Needs one of the roles {names}."
    if parameters := list(_parameters(route)):
        operation["parameters"] = parameters
    if route.takes is not None and route.shown is not None:
        required = any(field.required for field in msgspec.structs.fields(route.takes))
        content = {"application/json": {"schema": of_kind[route.shown]}}
        operation["requestBody"] = {"required": required, "content": content}
    return operation


def _parameters(route: Route) -> Iterable[Json]:
    for name in re.findall(r"{(\w+)}", route.path):
        kind = _NUMBER if name in _NUMBERED else _ID
        yield {"name": name, "in": "path", "required": True, "schema": kind}
    for name in route.query:
        yield {"name": name, "in": "query", "schema": _query(route, name)}
    for name in route.headers:
        yield {
            "name": name,
            "in": "header",
            "description": _HEADERS[name],
            "schema": {"type": "string", "maxLength": 200},
        }


def _query(route: Route, name: str) -> Json:
    place = (route.path.removeprefix(call.PREFIX), name)
    if place in _OWN:
        return _OWN[place]
    members = _MEMBERS.get(place)
    return _QUERY[name] if members is None else {"type": "string", "enum": members}


def _responses(route: Route, of_kind: Mapping[type, Json]) -> Json:
    good: Json = {
        "description": "Done" if route.status == 200 else "Accepted",
        "content": {
            media: {"schema": of_kind[kind]}
            for media, kind in ((media_of(route), route.gives), *route.also)
        },
    }
    if route.status == 202:
        good["headers"] = {
            "Location": {"description": "Where it is.", "schema": {"type": "string"}}
        }
    statuses = {*_ALWAYS, *route.why}
    statuses |= set(_WITH_KEY) if route.roles else set()
    statuses |= set(_WITH_BODY) if route.takes is not None else set()
    problem = {MEDIA_TYPE: {"schema": of_kind[HttpProblem]}}
    return {
        str(route.status): good,
        **{
            str(status): {"description": "Problem", "content": problem}
            for status in sorted(statuses)
        },
    }


def media_of(route: Route) -> str:
    return LINES if route.lines else "application/json"


def _own_operation() -> Json:
    return {
        "operationId": "openapi",
        "summary": "This document",
        "security": [],
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": {}}}}
        },
    }

"""The OpenAPI 3.1 document, made from the route table and the types it names."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any as Untyped
from typing import Final

import msgspec

from adapter import __version__
from adapter.server.settings import Role
from adapter.web.api.event_types import EVENT_TYPES, CloudEventOut, FeedEventType
from adapter.web.api.examples import EXAMPLES
from adapter.web.api.parameters import parameters_of
from adapter.web.api.problems import LINES, MEDIA_TYPE, TITLES, HttpProblem
from adapter.web.api.routes import ROUTES, Route
from adapter.web.api.schemas import Json, example_of, schemas_of

_ALWAYS: Final = (400, 500, 503)
_WITH_KEY: Final = (401, 403, 429)
_WITH_QUERY: Final = (422,)
_WITH_BODY: Final = (408, 411, 413, 415, 417, 422)
_TAGS: Final[Mapping[str, tuple[str, str]]] = {
    "commands": ("commands", "What meters are told: connect, disconnect, read, check."),
    "bulk": ("bulk", "Many commands of one kind at once, and where they stand."),
    "orders": ("orders", "Service orders, which make commands and visits, one step at a time."),
    "visits": ("visits", "What people say of visits, requests and replies of orders."),
    "todo": ("todo", "What waits for people."),
    "feed": ("events", "The feed of all that happened, and who it is posted to."),
    "registry": ("registry", "Devices, service points and master data."),
    "readings": ("readings", "Measurements, arrived events and payloads."),
    "completeness": ("completeness", "Which meters have reported, and which have not."),
    "schedules": ("schedules", "Reads that recur, and what came of their windows."),
    "events": ("device-events", "What meters tell of themselves; outages."),
    "quarantine": ("inbox", "Messages of the head end, error records, tables in force."),
    "subscriptions": ("subscriptions", "What the head end sends by itself, and whether it does."),
    "callback_checks": ("callback-checks", "Whether the public callback address leads here."),
    "keys": ("keys", "Keys of this interface: who has which, and since when."),
    "switch_safety": ("switching", "Stop switching, go on; caps, quotas and overrides."),
    "settings": ("settings", "Settings in force, and how changed ones are taken."),
    "upkeep": ("upkeep", "Audit, ledger, retention, rows set aside, held switch orders, health."),
}
"""Of each module with routes: the tag of its operations."""

_SERVERS: Final = (
    {"url": "/", "description": "The gateway that served this document."},
    {"url": "http://127.0.0.1:8102", "description": "A gateway of your own, at its usual port."},
)


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
    made = _Schemas([*named, HttpProblem])
    paths: Json = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, made)
    paths["/openapi.json"] = {"get": _own_operation()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OpenWay gateway",
            "version": __version__,
            "description": "Smart meter commands through an Itron OpenWay head end.",
            "license": {"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        },
        "servers": list(_SERVERS),
        "tags": [{"name": name, "description": text} for name, text in _TAGS.values()],
        "paths": paths,
        "webhooks": {each.name: {"post": _webhook(each, made)} for each in EVENT_TYPES},
        "components": {
            "schemas": made.components,
            "responses": {
                str(status): {
                    "description": title,
                    "content": {MEDIA_TYPE: made.content(HttpProblem, _problem(status))},
                }
                for status, title in TITLES.items()
            },
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token of a key; `openway config new-key` makes one.",
                }
            },
        },
    }


class _Schemas:
    """The schemas of types, and examples of them."""

    def __init__(self, kinds: Iterable[type]) -> None:
        self.of, self.components = schemas_of(kinds)

    def content(self, kind: type, example: Untyped = None) -> Json:
        schema = self.of[kind]
        if example is None:
            example = example_of(schema, self.components)
        return {"schema": schema, "example": example}


def _problem(status: int) -> Json | None:
    """An example of a problem of this status."""
    if status == 422:
        return None  # made of the words
    code = re.sub(r"[^a-z]+", "_", HTTPStatus(status).phrase.lower())
    return {
        "type": f"urn:openway:problem:{code}",
        "title": TITLES[status],
        "status": status,
        "code": code,
    }


def _webhook(event: FeedEventType, made: _Schemas) -> Json:
    """What a receiver of events is posted."""
    own = {"type": {"type": "string", "pattern": event.pattern}, "data": made.of[event.data]}
    schema = {"allOf": [made.of[CloudEventOut], {"type": "object", "properties": own}]}
    return {
        "operationId": re.sub(r"[^a-z_]+", "_", event.name).strip("_"),
        "tags": ["events"],
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


def _operation(route: Route, made: _Schemas) -> Json:
    operation: Json = {
        "operationId": route.call.__name__,
        "tags": [_TAGS[route.call.__module__.rpartition(".")[2]][0]],
        "summary": route.summary,
        "responses": _responses(route, made),
        "security": [{"key": []}] if route.roles else [],
    }
    if route.roles:
        operation["description"] = _needs(route.roles)
    if parameters := list(parameters_of(route)):
        operation["parameters"] = parameters
    if route.takes is not None and route.shown is not None:
        required = any(field.required for field in msgspec.structs.fields(route.takes))
        examples = {name: {"value": value} for name, value in EXAMPLES[route.shown].items()}
        content = {"application/json": {"schema": made.of[route.shown], "examples": examples}}
        operation["requestBody"] = {
            "required": required,
            "content": {each: _lines(route.shown, each, made) for each in route.media} or content,
        }
    return operation


def _lines(header: type, media: str, made: _Schemas) -> Json:
    """A body of lines; its examples are named by their media types. OpenAPI 3.1 has no word for the
    schema of a line: that of the first is an extension."""
    text = f"The first line is a `{header.__name__}` in JSON; rows are behind it."
    return {
        "schema": {"type": "string", "description": text},
        "x-first-line": made.of[header],
        "examples": {"rows": {"value": EXAMPLES[header][media]}},
    }


def _needs(roles: Iterable[Role]) -> str:
    return f"Needs one of the roles {', '.join(role.value for role in roles)}."


def _responses(route: Route, made: _Schemas) -> Json:
    good: Json = {
        "description": "Done" if route.status == 200 else "Accepted",
        "content": {
            media: made.content(kind)
            for media, kind in ((media_of(route), route.gives), *route.also)
        },
    }
    if route.status == 202:
        good["headers"] = {
            "Location": {
                "description": "Where it is.",
                "schema": {"type": "string", "format": "uri-reference"},
            }
        }
    statuses = {*_ALWAYS, *route.why}
    statuses |= set(_WITH_KEY) if route.roles else set()
    statuses |= set(_WITH_QUERY) if route.query else set()
    statuses |= set(_WITH_BODY) if route.takes is not None else set()
    statuses |= {404} if "{" in route.path else set()
    problems = {
        str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)
    }
    return {str(route.status): good, **problems}


def media_of(route: Route) -> str:
    return LINES if route.lines else "application/json"


def _own_operation() -> Json:
    schema = {"type": "object", "description": "OpenAPI 3.1."}
    return {
        "operationId": "get_openapi",
        "tags": ["upkeep"],
        "summary": "This document",
        "security": [],
        "responses": {
            "200": {"description": "Done", "content": {"application/json": {"schema": schema}}},
            **{str(each): {"$ref": f"#/components/responses/{each}"} for each in (400, 500, 503)},
        },
    }

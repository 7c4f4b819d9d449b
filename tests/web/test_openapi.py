"""The OpenAPI document: whole, right in form, and nothing served that it does not name."""

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from adapter.server.settings import RestSettings
from adapter.web.api.openapi import document, media_of
from adapter.web.api.problems import MEDIA_TYPE
from adapter.web.api.routes import ROUTES, Route
from tests.support import for_every
from tests.web.both_servers import KEYS, a_rig

DOCUMENT = document()


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, item in DOCUMENT["paths"].items()
        for method, operation in item.items()
    ]


def test_it_is_an_openapi_3_1_document() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    names = [operation["operationId"] for _, _, operation in operations()]
    assert len(names) == len(set(names))
    for path, method, operation in operations():
        assert path.startswith("/")
        assert method in ("get", "post")
        assert operation["responses"]
        for status, response in operation["responses"].items():
            assert re.fullmatch(r"[1-5]\d\d", status)
            assert response["description"]
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in ("path", "query", "header")
            assert parameter["schema"]
            assert parameter.get("required", False) == (parameter["in"] == "path")
        named = {item["name"] for item in operation.get("parameters", []) if item["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    references = {node["$ref"] for node in walk(DOCUMENT) if isinstance(node.get("$ref"), str)}
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert references == schemas
    kinds = {"object", "array", "string", "integer", "number", "boolean", "null"}
    for schema in DOCUMENT["components"]["schemas"].values():
        for node in walk(schema):
            if isinstance(node.get("type"), str) and "properties" not in node.get("type", ""):
                assert node["type"] in kinds


@for_every("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_in_it_with_its_problems(route: Route) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert (operation["security"] == []) == (route.roles == ())
    assert str(route.status) in operation["responses"]
    for status, response in operation["responses"].items():
        good = [media_of(route), *(media for media, _ in route.also)]
        kinds = good if status == str(route.status) else [MEDIA_TYPE]
        assert list(response["content"]) == kinds
    if route.roles:
        assert {"401", "403"} <= set(operation["responses"])
    assert ("requestBody" in operation) == (route.takes is not None)


async def test_what_is_served_is_what_it_says() -> None:
    patient = RestSettings(keys=KEYS, failures_per_minute=1000)
    async with a_rig(rest=patient) as rig:
        told = await rig.ask("GET", "//openapi.json", by=None)
        assert told.body == json.loads(msgspec.json.encode(DOCUMENT))
        assert "/openapi.json" in DOCUMENT["paths"]
        for path, method, _ in operations():
            there = re.sub(r"{\w+}", "1", path)
            found = await rig.ask(method.upper(), f"/{there}", {}, by=None)
            assert found.status in (200, 401), path
            other = await rig.ask("PATCH", f"/{there}", {}, by=None)
            assert other.status == 405, path

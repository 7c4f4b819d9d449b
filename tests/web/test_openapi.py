"""The OpenAPI document: whole, right in form, and nothing served that it does not name."""

import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec

from adapter.server.settings import RestSettings
from adapter.web.api.examples import EXAMPLES
from adapter.web.api.openapi import document, media_of
from adapter.web.api.problems import MEDIA_TYPE, TITLES
from adapter.web.api.routes import ROUTES, Route
from adapter.web.api.words import WORDS
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


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    found: Any = node
    if "$ref" in node:
        found = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
    assert isinstance(found, dict)
    return found


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
            assert resolved(response)["description"]
        for parameter in operation.get("parameters", []):
            assert parameter["in"] in ("path", "query", "header")
            assert parameter["schema"]
            assert parameter["description"]
            assert parameter.get("required", False) == (parameter["in"] == "path")
        named = {item["name"] for item in operation.get("parameters", []) if item["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path))


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    references = {node["$ref"] for node in walk(DOCUMENT) if isinstance(node.get("$ref"), str)}
    schemas = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    responses = {f"#/components/responses/{status}" for status in TITLES}
    assert references <= schemas | responses
    assert schemas <= references
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
        assert list(resolved(response)["content"]) == kinds
    if route.roles:
        assert {"401", "403"} <= set(operation["responses"])
    assert ("requestBody" in operation) == (route.takes is not None)


def test_whoever_reads_it_is_told_what_everything_is() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    titles = [schema["title"] for schema in schemas.values()]
    assert len(titles) == len(set(titles))
    for name, schema in schemas.items():
        assert "enum" not in schema or schema["type"] == "string"
        for field, found in schema.get("properties", {}).items():
            assert found["description"], f"{name}.{field} is not described"
            assert not field.endswith("_at") or "date-time" in str(found), f"{name}.{field}"
    assert not [node for node in walk(DOCUMENT) if "prefixItems" in node]
    assert all(each["url"] and each["description"] for each in DOCUMENT["servers"])
    tags = [tag["name"] for tag in DOCUMENT["tags"]]
    assert all(tag["description"] for tag in DOCUMENT["tags"])
    used = {tag for _, _, operation in operations() for tag in operation["tags"]}
    assert used == set(tags)


def test_every_row_of_the_words_says_something_of_a_property() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    whole = {
        f"{name}.{field}": found["description"]
        for name, schema in schemas.items()
        for field, found in schema.get("properties", {}).items()
    }
    for row, word in WORDS.items():
        ends = [text for place, text in whole.items() if row in (place, place.partition(".")[2])]
        assert ends, f"there is no {row}"
        shown = word.sample is not None
        assert word.text in ends or shown, f"{row}: a docstring says it everywhere"


def test_each_answer_and_each_body_has_an_example_that_its_schema_takes() -> None:
    bodies = 0
    for path, method, operation in operations():
        contents = [resolved(response) for response in operation["responses"].values()]
        if "requestBody" in operation:
            contents.append(operation["requestBody"])
            bodies += 1
        for media, content in (each for found in contents for each in found["content"].items()):
            if path == "/openapi.json":
                continue
            examples = [each["value"] for each in content.get("examples", {}).values()]
            examples += [content["example"]] if "example" in content else []
            assert examples, f"{method} {path} {media}"
            schema = {**content["schema"], "components": DOCUMENT["components"]}
            for example in examples:
                jsonschema_rs.validate(schema, json.loads(msgspec.json.encode(example)))
    assert bodies == sum(route.takes is not None for route in ROUTES)


def test_each_example_of_a_body_is_one_that_is_read() -> None:
    for route in ROUTES:
        if route.takes is not None and route.shown is not None:
            for name, example in EXAMPLES[route.shown].items():
                assert isinstance(example, str) == bool(route.media), name
                if isinstance(example, str):  # lines: the first is the header
                    text, kind = example.partition("\n")[0].encode(), route.shown
                else:
                    text, kind = msgspec.json.encode(example), route.takes
                assert isinstance(msgspec.json.decode(text, type=kind), kind), name


def test_names_of_operations_begin_with_a_verb() -> None:
    for _, _, operation in operations():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"])


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

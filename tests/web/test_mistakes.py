"""One status for one mistake: each is made at every route that it can be made at."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from adapter.server.settings import ApiKey, RestSettings, Role
from adapter.web.api.commands import SECOND_KEY
from adapter.web.api.examples import EXAMPLES
from adapter.web.api.openapi import document
from adapter.web.api.problems import MISTAKES
from adapter.web.api.routes import ROUTES, Route
from tests.web.both_servers import KEYS, TOKENS, Rig, Told, a_rig

DOCUMENT = document()
METRICS = "p" * 40
SETTINGS = RestSettings(
    keys=(*KEYS, ApiKey.of("prometheus", METRICS, Role.METRICS)),
    failures_per_minute=100_000,
    body_bytes=20_000,
)
STATUS_OF = {code: status for _, status, code in MISTAKES}
NOWHERE = {"hold": "nobody", "row": "77", "message": "77", "error": "77", "window": "77"}
WRONG = "%07"
"""What no parameter can be."""
BOTH_KEYS = {SECOND_KEY: TOKENS["approver"]}


def holder(route: Route) -> str | None:
    """Whose key opens the route; none where none is needed."""
    roles = set(route.roles)
    return next((key.name for key in KEYS if roles & key.roles), None)


def stranger(route: Route) -> dict[str, str]:
    """A key that does not."""
    token = next((TOKENS[key.name] for key in KEYS if not key.roles & set(route.roles)), METRICS)
    return {"Authorization": f"Bearer {token}"}


def path_of(route: Route) -> str:
    """With ids of nothing that is there."""
    return re.sub(r"{(\w+)}", lambda found: NOWHERE.get(found[1], "nobody"), route.path)


def body_of(route: Route) -> Any:
    """The first example; a text where the body is no JSON."""
    if route.shown is None:
        return None
    example = next(iter(EXAMPLES[route.shown].values()))
    return example.encode() if isinstance(example, str) else dict(example)


async def told_at(rig: Rig, route: Route, query: str = "", **more: Any) -> Told:
    media = {"Content-Type": route.media[0]} if route.media else {}
    given = {"by": holder(route), "body": body_of(route), "headers": BOTH_KEYS, **more}
    given["headers"] = {**media, **given["headers"]}
    return await rig.ask(route.method, f"/{path_of(route)}{query}", **given)


def check(told: Told, code: str, of: object) -> None:
    assert told.headers["Content-Type"] == "application/problem+json", of
    assert (told["code"], told.status) == (code, STATUS_OF[code]), (of, told)
    assert "regex" not in json.dumps(told.body), of


def routes(*, key: bool = False, body: bool = False, place: bool = False) -> Iterator[Route]:
    for route in ROUTES:
        needed = (key and not route.roles, body and route.takes is None)
        if not any(needed) and ("{" in route.path or not place):
            yield route


async def test_keys() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        for route in routes(key=True):
            check(await told_at(rig, route, by=None, headers={}), "unauthorized", route.path)
            told = await told_at(rig, route, by=None, headers=stranger(route))
            check(told, "role_missing", route.path)


async def test_methods() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        for route in ROUTES:
            told = await rig.ask("PATCH", f"/{path_of(route)}")
            check(told, "http_405", route.path)
            known = {each.method for each in ROUTES if each.path == route.path}
            known |= set() if route.roles else {"HEAD"}
            assert set(told.headers["Allow"].split(",")) == known, route.path


async def test_a_load_balancer_may_ask_for_the_head_alone() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        for path in ("/healthz", "/readyz"):
            get = await rig.http.get(f"{rig.rest.url}{path}")
            async with rig.http.head(f"{rig.rest.url}{path}") as head:
                assert (head.status, await head.read()) == (200, b""), path
                for name in ("Content-Length", "Content-Type", "Cache-Control"):
                    assert head.headers[name] == get.headers[name], (path, name)
        async with rig.http.head(f"{rig.rest.url}/api/v1/commands") as head:
            assert head.status == 405


async def test_queries() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        for route in ROUTES:
            told = await told_at(rig, route, "?colour=red")
            check(told, "bad_query", route.path)
            assert told["field"] == "colour"
            for name in route.query:
                told = await told_at(rig, route, f"?{name}=1&{name}=1")
                check(told, "bad_query", (route.path, name))
                told = await told_at(rig, route, f"?{name[:-1]}{name[-1] * 2}=1")
                check(told, "bad_query", (route.path, name))
                if len(name) > 3:
                    assert f"did you mean {name}?" in told["rule"], (route.path, name)


async def test_queries_where_there_is_none() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        for path in ("/metrics", "/openapi.json"):
            told = await rig.ask("GET", f"/{path}?colour=red")
            check(told, "bad_query", path)
            assert told["field"] == "colour"


async def test_filters_that_name_what_the_registry_does_not_have() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        for query, code in (
            ("commands?device=M77", "unknown_device"),
            ("orders?service_point=SP77", "unknown_service_point"),
            ("events?types=openway.comand.completed", "bad_query"),
            ("events?types=,", "bad_query"),
        ):
            check(await rig.ask("GET", f"/{query}"), code, query)


async def test_values_of_queries() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        for route in ROUTES:
            operation = DOCUMENT["paths"][route.path][route.method.lower()]
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                if parameter["in"] != "query":
                    continue
                name, place = parameter["name"], (route.path, parameter["name"])
                told = await told_at(rig, route, f"?{name}={WRONG}")
                assert (told.status, told.body.get("field")) == (422, name), place
                if "enum" in schema:
                    word = max(schema["enum"], key=len)
                    told = await told_at(rig, route, f"?{name}={word[:-1]}")
                    assert f"did you mean {word}?" in told["rule"], place


async def test_bodies() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        for route in routes(key=True, body=True):
            for body, code in (
                ()
                if route.media
                else (
                    (b"{", "malformed_json"),
                    (b"nothing", "malformed_json"),
                    (b'{"reason": "a", "reason": "a"}', "repeated_member"),
                    ([], "invalid_request"),
                    ("text", "invalid_request"),
                    (7, "invalid_request"),
                    ({"colour": "red"}, "invalid_request"),
                    ({**(body_of(route) or {}), "colour": "red"}, "invalid_request"),
                )
            ):
                told = await told_at(rig, route, body=body)
                check(told, code, (route.path, body))
            check(await told_at(rig, route, body=b" " * 30_000), "too_large", route.path)
            told = await told_at(rig, route, headers={**BOTH_KEYS, "Content-Type": "text/plain"})
            check(told, "media_type", route.path)


async def test_members_of_bodies() -> None:
    """Each of another type, and each word of a set by one letter."""
    async with a_rig(rest=SETTINGS) as rig:
        for route in routes(key=True, body=True):
            if route.media:
                continue
            for name, schema in properties_of(route):
                told = await told_at(rig, route, body={**(body_of(route) or {}), name: [[7]]})
                assert told.status == 422, (route.path, name)
                for word in words_of(schema):
                    wrong = {**(body_of(route) or {}), name: word[:-1] + "_"}
                    told = await told_at(rig, route, body=wrong)
                    check(told, "invalid_request", (route.path, name))
                    assert f"did you mean {word}?" in told["rule"], (route.path, name)
                meant = {**(body_of(route) or {}), name + name[-1]: 1}
                told = await told_at(rig, route, body=meant)
                check(told, "invalid_request", (route.path, name))
                if len(name) > 3:
                    assert f"did you mean {name}?" in told["rule"], (route.path, name)


def properties_of(route: Route) -> Iterator[tuple[str, dict[str, Any]]]:
    assert route.shown is not None
    schema = DOCUMENT["components"]["schemas"][route.shown.__name__]
    yield from schema["properties"].items()


def words_of(schema: Mapping[str, Any]) -> Iterator[str]:
    """The longest word of the set that a property takes."""
    for each in (schema, *schema.get("anyOf", ())):
        name = each.get("$ref", "").rpartition("/")[2]
        if words := DOCUMENT["components"]["schemas"].get(name, {}).get("enum"):
            yield max(words, key=len)


async def test_paths() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        for route in routes(key=True, place=True):
            check(await told_at(rig, route), "not_found", route.path)


async def test_a_second_key_and_conflicts() -> None:
    async with a_rig(rest=SETTINGS) as rig:
        made = {"kind": "load_check", "devices": ["M1"], "idempotency_key": "a"}
        first = await rig.ask("POST", "/commands", made)
        assert first.status == 202
        again = await rig.ask("POST", "/commands", {**made, "devices": ["M2"]})
        check(again, "conflict", made)
        for verb in ("retry", "discard"):
            told = await rig.ask("POST", f"/commands/{first['id']}/{verb}", {})
            assert told.status == 409, verb
        told = await rig.ask("POST", f"/commands/{first['id']}/resolve", {"done": True})
        check(told, "second_person_missing", "resolve")
        unknown = await rig.ask(
            "POST", "/commands", {**made, "devices": ["M77"], "idempotency_key": "b"}
        )
        check(unknown, "unknown_device", made)
        half = await rig.ask("POST", f"/commands/{first['id']}/cancel", b'{"reason": "\\ud800"}')
        check(half, "malformed_json", made)
        assert "half of a surrogate pair" in half["detail"]

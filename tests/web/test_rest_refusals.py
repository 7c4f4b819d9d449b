"""Wrong input at the JSON interface: problem details with status, field and rule, and no more."""

import json
from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from adapter.engine.commands.ports import Submission, Submitted
from adapter.errors import SettingsError, StoreFailed
from adapter.server.settings import ApiKey, RestSettings, Role
from adapter.store.commands.commands import SqliteStore
from tests.web.both_servers import KEYS, NOON, TOKENS, Told, a_rig
from tests.web.hostile_requests import LOAD_CHECK, NO_COMMAND
from tests.web.raw_connection import connected


def check_problem(told: Told, status: int) -> None:
    assert told.status == status, told
    assert told.headers["Content-Type"] == "application/problem+json"
    assert told["status"] == status
    assert told["type"] == f"urn:openway:problem:{told['code']}"
    assert told["title"]
    assert "Traceback" not in json.dumps(told.body)
    assert "aiohttp" not in told.headers["Server"]


async def test_of_a_mistyped_word_those_that_are_known_are_told_and_which_was_meant() -> None:
    visit = "/orders/1/visits/1/complete"
    async with a_rig() as rig:
        for path, body, field, rule in (
            ("/commands", {**LOAD_CHECK, "kind": "remote_disconect"}, "kind",
             "; did you mean remote_disconnect?"),
            ("/commands", {**LOAD_CHECK, "priority": "ugrent"}, "priority",
             "ugrent is not one of urgent, normal, bulk; did you mean urgent?"),
            ("/orders", {"kind": "x", "service_point": "SP1", "reference": "R1"}, "kind",
             "x is not one of enable, disable, cut, reconnect, exchange, back_to_back"),
            (visit, {"disconnect_location": "D1"}, "disconnect_location", " D1SR, D1DV"),
            (visit, {"not_done": ["cut", "turn_of"]}, "not_done[1]", "; did you mean turn_off?"),
        ):  # fmt: skip
            told = await rig.ask("POST", path, body)
            check_problem(told, 422)
            assert told["field"] == field
            assert rule in told["rule"]
        told = await rig.ask("GET", "/orders?state=complete")
        check_problem(told, 422)
        assert told["rule"].endswith("; did you mean completed?")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    NO_COMMAND,
)
async def test_what_cannot_become_a_command_is_refused_by_field_and_rule(
    body: object, status: int, field: str | None
) -> None:
    async with a_rig() as rig:
        told = await rig.ask("POST", "/commands", body)
        check_problem(told, status)
        assert told.body.get("field") == field
        assert (told.body.get("rule") is None) == (field is None)
        assert (await rig.gateway.upkeep.ledger()).accepted == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=explode", "kind"),
        ("state=sleeping", "state"),
        ("limit=0", "limit"),
        ("cursor=foo", "cursor"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e2", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("open=yes", "open"),
        ("colour=red", "colour"),
        ("limit=" + "9" * 5_000, "limit"),
    ],
)
async def test_a_query_that_is_not_understood_is_refused(query: str, field: str) -> None:
    async with a_rig() as rig:
        told = await rig.ask("GET", f"/commands?{query}")
        check_problem(told, 422)
        assert told["field"] == field


@pytest.mark.parametrize("wait", ["-1", "nan", "inf", "soon", "86401"])
async def test_a_wait_that_is_no_time_is_refused(wait: str) -> None:
    async with a_rig() as rig:
        told = await rig.ask("GET", f"/commands/x?wait={wait}")
        check_problem(told, 422)
        assert told["field"] == "wait"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "//", 404),
        ("GET", "/commands/", 404),
        ("GET", "/commands/nobody", 404),
        ("POST", "/commands/nobody/cancel", 404),
        ("POST", "/commands/nobody/retry", 404),
        ("GET", "/commands/nobody/history", 404),
        ("DELETE", "/commands/nobody", 405),
        ("PUT", "/commands", 405),
        ("POST", "/ledger", 405),
    ],
)
async def test_what_is_not_there_is_a_problem_too(method: str, path: str, status: int) -> None:
    async with a_rig() as rig:
        told = await rig.ask(method, path, {} if method != "GET" else None)
        check_problem(told, status)
        assert ("Allow" in told.headers) == (status == 405)


async def test_what_never_becomes_a_request_is_a_problem_too() -> None:
    async with a_rig() as rig:
        told = await rig.ask("GET", f"/events?subject={'a' * 20_000}")
        check_problem(told, 400)
        assert rig.rest.counts["http_parse"] == 1


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"Content-Type": "text/xml"}, 415, "Content-Type"),
        ({"Content-Type": "application/json; charset=utf-16"}, 415, "Content-Type"),
        ({"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
    ],
)
async def test_bodies_of_another_kind_are_refused(
    headers: dict[str, str], status: int, field: str
) -> None:
    async with a_rig() as rig:
        body = json.dumps(LOAD_CHECK).encode()
        told = await rig.ask("POST", "/commands", body, headers=headers)
        check_problem(told, status)
        assert told["field"] == field


async def test_large_and_slow_bodies_are_given_up() -> None:
    limits = RestSettings(keys=KEYS, body_bytes=10_000, deadline_s=0.2)
    async with a_rig(rest=limits) as rig:
        check_problem(await rig.ask("POST", "/commands", b"[" * 20_000), 413)
        async with connected(rig.rest.url) as raw:
            rows = [
                "POST /api/v1/commands HTTP/1.1",
                f"Host: {urlsplit(rig.rest.url).netloc}",
                f"Authorization: Bearer {TOKENS['switcher']}",
                "Content-Type: application/json",
                "Content-Length: 100",
            ]
            await raw.send(("\r\n".join(rows) + "\r\n\r\n{").encode())
            assert await raw.status() == 408


ROLES = {
    ("GET", "/commands"): {"reader", "operator", "switcher", "approver", "admin"},
    ("GET", "/ledger"): {"reader", "operator", "switcher", "approver", "admin"},
    ("GET", "/devices"): {"reader", "operator", "switcher", "approver", "admin"},
    ("POST", "/commands"): {"operator", "switcher"},
    ("POST", "/commands/x/cancel"): {"operator", "switcher"},
    ("POST", "/commands/x/retry"): {"operator", "switcher"},
    ("POST", "/commands/x/discard"): {"operator", "switcher"},
    ("POST", "/commands/x/approve"): {"approver"},
    ("POST", "/inbox/1/retry"): {"admin"},
    ("POST", "/inbox/1/discard"): {"admin"},
    ("POST", "/devices"): {"admin"},
}


@pytest.mark.parametrize(("method", "path"), ROLES)
async def test_each_route_lets_in_the_roles_it_names_and_nobody_else(
    method: str, path: str
) -> None:
    async with a_rig() as rig:
        body: object = LOAD_CHECK if path == "/commands" else {}
        body = body if method == "POST" else None
        for name in TOKENS:
            told = await rig.ask(method, path, body, by=name)
            if name in ROLES[method, path]:
                assert told.status not in (401, 403)
            else:
                check_problem(told, 403)
        check_problem(await rig.ask(method, path, body, by=None), 401)


async def test_operators_move_no_switch_in_any_way() -> None:
    body = {"kind": "remote_disconnect", "devices": ["M1"], "idempotency_key": "k"}
    async with a_rig() as rig:
        check_problem(await rig.ask("POST", "/commands", body, by="operator"), 403)
        made = await rig.ask("POST", "/commands", body)
        for verb in ("cancel", "retry", "discard"):
            told = await rig.ask("POST", f"/commands/{made['id']}/{verb}", {}, by="operator")
            check_problem(told, 403)
        history = await rig.gateway.commands.history(made["id"])
        assert {entry.note.actor for entry in history} <= {"switcher", "gateway"}


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer nonsense", "Basic cjpy", f"bearer{'r' * 40}", "Bearer é"],
)
async def test_without_a_key_that_is_known_nobody_is_let_in(header: str) -> None:
    async with a_rig() as rig:
        told = await rig.ask("GET", "/commands", by=None, headers={"Authorization": header})
        check_problem(told, 401)
        assert told.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_key_ends_when_it_expires_and_two_overlap_in_between() -> None:
    old = ApiKey.of("orders-1", "1" * 40, Role.READ, expires_at=NOON + timedelta(hours=1))
    new = ApiKey.of("orders-2", "2" * 40, Role.READ)
    async with a_rig(rest=RestSettings(keys=(old, new))) as rig:

        async def status(token: str) -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return (await rig.ask("GET", "/commands", by=None, headers=headers)).status

        assert [await status("1" * 40), await status("2" * 40)] == [200, 200]
        await rig.clock.turn(NOON + timedelta(hours=1))
        assert [await status("1" * 40), await status("2" * 40)] == [401, 200]


async def test_no_keys_let_nobody_in() -> None:
    async with a_rig(rest=RestSettings()) as rig:
        check_problem(await rig.ask("GET", "/commands", by="admin"), 401)


def test_switch_and_approve_are_never_one_persons() -> None:
    with pytest.raises(SettingsError, match="switch and approve"):
        ApiKey.of("boss", "b" * 40, Role.SWITCH, Role.APPROVE)
    one, other = (
        ApiKey.of("boss", letter * 40, role)
        for letter, role in (("1", Role.SWITCH), ("2", Role.APPROVE))
    )
    with pytest.raises(SettingsError, match="boss"):
        RestSettings(keys=(one, other))


@pytest.mark.parametrize(
    ("name", "token", "roles"),
    [("", "x" * 40, {Role.READ}), ("a", "short", {Role.READ}), ("a", "x" * 40, set())],
)
def test_keys_that_are_none_stop_the_start(name: str, token: str, roles: set[Role]) -> None:
    with pytest.raises(SettingsError, match="api key"):
        ApiKey.of(name, token, *roles)


def test_one_token_belongs_to_one_key() -> None:
    keys = (ApiKey.of("a", "x" * 40, Role.READ), ApiKey.of("b", "x" * 40, Role.ADMIN))
    with pytest.raises(SettingsError, match="two keys"):
        RestSettings(keys=keys)


def test_keys_do_not_show() -> None:
    assert KEYS[0].token_sha256 not in repr(RestSettings(keys=KEYS))


class FailingStore(SqliteStore):
    async def submit(self, batch: Sequence[Submission]) -> Sequence[Submitted]:
        raise StoreFailed("disk I/O error at /var/secret/place.db")


async def test_a_store_that_fails_is_not_available_and_tells_nothing() -> None:
    async with a_rig(store_type=FailingStore) as rig:
        told = await rig.ask("POST", "/commands", LOAD_CHECK)
        check_problem(told, 503)
        assert told.headers["Retry-After"]
        assert "disk" not in json.dumps(told.body)


class BrokenStore(SqliteStore):
    async def submit(self, batch: Sequence[Submission]) -> Sequence[Submitted]:
        raise ZeroDivisionError("secret")


async def test_a_mistake_of_ours_is_a_plain_500() -> None:
    async with a_rig(store_type=BrokenStore) as rig:
        told = await rig.ask("POST", "/commands", LOAD_CHECK)
        check_problem(told, 500)
        assert "secret" not in json.dumps(told.body)


@pytest.mark.parametrize("key", [f"{'0' * 26}.1", "schedule:night:2026-11-21"])
async def test_keys_of_the_gateways_own_children_are_refused(key: str) -> None:
    async with a_rig() as rig:
        body = {"kind": "load_check", "devices": ["M1"], "idempotency_key": key}
        told = await rig.ask("POST", "/commands", body)
        check_problem(told, 422)
        assert (await rig.gateway.upkeep.ledger()).accepted == 0


async def test_an_id_with_a_blank_at_its_end_is_refused_in_a_sentence() -> None:
    async with a_rig() as rig:
        order = {"kind": "cut", "service_point": "SP-M1 ", "external_reference": "r"}
        command = {"kind": "load_check", "devices": ["M1", "M2 "]}
        callback = {**command, "devices": ["M1"], "callback_url": "cis.example"}
        for path, body, told in (
            ("/orders", {**order, "reference": "r"}, "service_point: has blanks around it"),
            ("/commands", command, "devices[1]: has blanks around it"),
            (
                "/commands",
                callback,
                "callback_url: an address that begins with http:// or https://, of printable ASCII",
            ),
        ):
            body.pop("external_reference", None)
            refused = await rig.ask("POST", path, body)
            assert (refused.status, refused["detail"]) == (422, told)

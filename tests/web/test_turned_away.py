"""Callers without the right to what they ask: bounded in number, and audited where it counts."""

from datetime import timedelta

from adapter.engine.commands.ports import AuditEntry
from adapter.server.rate_limit import AuditedRefusals, RateLimit
from adapter.server.settings import RestSettings
from tests.web.both_servers import KEYS, NOON, Rig, a_rig

LOAD_CHECK = {"kind": "load_check", "devices": ["M1"]}


async def refusals(rig: Rig) -> list[AuditEntry]:
    found = await rig.gateway.upkeep.audit()
    return [entry for entry in found if entry.note.action == "Refused"]


async def asked(rig: Rig, method: str, path: str, token: str | None = None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = LOAD_CHECK if method == "POST" else None
    return (await rig.ask(method, path, body, by=None, headers=headers)).status


async def test_a_refused_change_is_audited_once_a_minute_for_each_caller() -> None:
    async with a_rig() as rig:
        for _ in range(3):
            assert (await rig.ask("POST", "/commands", LOAD_CHECK, by="reader")).status == 403
            assert await asked(rig, "POST", "/commands", "secret" * 8) == 401
        known, unknown = await refusals(rig)
        assert (known.note.actor, known.note.detail["code"]) == ("reader", "role_missing")
        assert (unknown.note.actor, unknown.note.detail["code"]) == ("unknown", "unauthorized")
        assert unknown.note.detail["call"] == "POST /api/v1/commands"
        assert unknown.note.detail["address"] == "127.0.0.1"
        assert "secret" not in str(unknown)

        await rig.clock.turn(NOON + timedelta(minutes=1))
        await rig.ask("POST", "/commands", LOAD_CHECK, by="reader")
        (*_, last) = await refusals(rig)
        assert last.note.detail["refused_since"] == 4
        await rig.gateway.upkeep.verify_audit()


async def test_what_a_caller_put_into_the_path_is_not_in_the_audit() -> None:
    async with a_rig() as rig:
        await rig.ask("POST", "/commands/canary/approve", {}, by="operator")
        (entry,) = await refusals(rig)
        assert entry.note.detail["call"] == "POST /api/v1/commands/{command}/approve"


async def test_questions_that_are_refused_are_not_audited() -> None:
    async with a_rig() as rig:
        assert await asked(rig, "GET", "/commands") == 401
        assert not await refusals(rig)


async def test_an_address_that_fails_too_often_waits_for_the_next_minute_right_keys_do_not() -> (
    None
):
    settings = RestSettings(keys=KEYS, failures_per_minute=3)
    async with a_rig(rest=settings) as rig:
        wrong = [await asked(rig, "GET", "/commands", "wrong" * 8) for _ in range(5)]
        assert wrong == [401, 401, 401, 429, 429]
        told = await rig.ask("GET", "/commands", by=None)
        assert (told.status, told["code"]) == (429, "too_many_failures")
        assert told.headers["Retry-After"] == "60"
        assert (await rig.ask("GET", "/commands", by="reader")).status == 200
        await rig.clock.turn(NOON + timedelta(minutes=1))
        assert await asked(rig, "GET", "/commands") == 401


async def test_guesses_at_the_second_persons_key_count_too() -> None:
    settings = RestSettings(keys=KEYS, failures_per_minute=1)
    fenced = {
        "kind": "remote_connect",
        "devices": ["M1"],
        "past_unclear_order": True,
        "idempotency_key": "k",
    }
    async with a_rig(rest=settings) as rig:
        guess = {"X-Second-Key": "guess" * 8}
        told = [
            (await rig.ask("POST", "/commands", fenced, headers=guess)).status for _ in range(2)
        ]
        assert told == [403, 429]


def test_counting_takes_bounded_memory_whoever_calls() -> None:
    limit, now = RateLimit(2), NOON.timestamp()
    for number in range(4096):
        assert limit.take(f"address {number}", now) == 0
    assert [limit.take(f"more {number}", now) for number in range(4)] == [0, 0, None, None]
    assert [limit.take("address 7", now) for _ in range(3)] == [0, None, None]
    assert [limit.take("address 7", now + 60) for _ in range(3)] == [2, 0, None]


def test_what_was_left_out_is_told_by_the_next_one_however_late_it_comes() -> None:
    limit = RateLimit(1)
    assert [limit.take("a", 0.0) for _ in range(3)] == [0, None, None]
    assert limit.take("b", 60.0) == 0
    assert limit.take("a", 600.0) == 2
    assert limit.take("a", 660.0) == 0


def test_the_audit_gets_so_many_rows_a_minute_whoever_calls() -> None:
    audited = AuditedRefusals(2)
    assert [audited.pick(f"caller {number}", now=NOON) for number in range(4)] == [0, 0, None, None]
    assert audited.pick("caller 1", now=NOON + timedelta(minutes=1)) == 2

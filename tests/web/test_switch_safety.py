"""Stop switching, limits and overrides, as callers of the JSON interface see them."""

from datetime import timedelta

from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import SwitchCap
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.settings import CommandSettings
from tests.support import every_case
from tests.web.both_servers import NOON, Rig, Told, a_rig

CUT = {"kind": "remote_disconnect", "devices": ["M1"]}
CAPPED = CommandSettings(
    dispatch=DispatchSettings(
        switch=SwitchPolicy(cap=(SwitchCap(name="cuts", per_day=0),), resume_s=60.0)
    )
)
STOP, RESUME = "/switching/stop", "/switching/resume"


async def cut(rig: Rig) -> Told:
    told = await rig.ask("POST", "/commands", CUT, headers={"Idempotency-Key": "k"})
    await rig.gateway.drain()
    return told


async def test_one_stops_and_two_go_on() -> None:
    async with a_rig() as rig:
        stopped = await rig.ask("POST", STOP, {"reason": "wrong <b>list</b>"}, by="operator")
        assert (stopped.status, stopped["stopped"], stopped["stopped_by"]) == (
            200,
            True,
            "operator",
        )
        await cut(rig)
        assert not rig.head_end.calls
        shown = await rig.ask("GET", "/switching", by="reader")
        assert shown["counts"] == {"queued": 1, "not_due": 0, "sent": 0, "in_doubt": 0}
        assert shown["text"].startswith("switching is stopped. 1 is kept here")
        ready = await rig.ask("GET", "//readyz", by=None)
        assert (ready.status, ready["status"]) == (200, "held")
        assert ready["held"][0]["by"] == "operator"
        asked = await rig.ask("POST", RESUME, {"reason": "settled"})
        assert asked["resume"]["by"] == "switcher"
        again = await rig.ask("POST", RESUME, {"reason": "settled"})
        assert (again.status, again["code"]) == (403, "forbidden")
        other = {"reason": "seen", "request": "01kk5zq4s8f3v2m9x7t1b6c0hd"}
        assert (await rig.ask("POST", RESUME, other, by="approver")).status == 409
        body = {"reason": "seen", "request": asked["resume"]["id"]}
        resumed = await rig.ask("POST", RESUME, body, by="approver")
        assert (resumed["stopped"], resumed["resume"]) == (False, None)
        await rig.clock.turn(NOON + timedelta(minutes=1))
        await rig.gateway.drain()
        assert len(rig.head_end.calls) == 1


async def test_who_may_do_what_and_what_is_refused() -> None:
    why: dict[str, object] = {"reason": "why"}
    override: dict[str, object] = {"limit": "cuts", "reason": "why", "for_s": 60}
    cases: tuple[tuple[str, str, dict[str, object], str, int], ...] = (
        ("a reader stops", STOP, why, "reader", 403),
        ("a reader asks to go on", RESUME, why, "reader", 403),
        ("an operator asks to go on", RESUME, why, "operator", 403),
        ("without a reason", STOP, {}, "switcher", 422),
        ("with an empty reason", STOP, {"reason": ""}, "switcher", 422),
        ("with blanks", STOP, {"reason": "  "}, "switcher", 422),
        ("nothing to go on with", RESUME, why, "switcher", 409),
        ("a switcher overrides", "/switching/overrides", override, "switcher", 403),
        ("a limit that is not", "/switching/overrides", override | {"limit": "x"}, "admin", 422),
        ("two ends", "/switching/overrides", override | {"ends_at": "2026-03-02T12:30:00Z"},
         "admin", 422),
        ("no end", "/switching/overrides", {"limit": "cuts", "reason": "why"}, "admin", 422),
        ("too long", "/switching/overrides", override | {"for_s": 86_401}, "admin", 422),
        ("no such override", "/switching/overrides/x/end", why, "admin", 404),
        ("the usual way out of a hold", "/switch-holds/stopped/confirm", why, "admin", 404),
    )  # fmt: skip
    async with a_rig(commands=CAPPED) as rig:
        with every_case() as case:
            for name, path, body, by, status in cases:
                with case(name):
                    told = await rig.ask("POST", path, body, by=by)
                    assert told.status == status, told
        await rig.ask("POST", STOP, why)
        told = await rig.ask("POST", "/switch-holds/stopped/confirm", why, by="admin")
        assert (told.status, told["code"]) == (403, "forbidden")
        assert "openway switching resume" in told["detail"]


async def test_an_override_of_a_limit_that_is_not_names_those_that_are() -> None:
    body: dict[str, object] = {"limit": "cutz", "reason": "why", "for_s": 60}
    with every_case() as case:
        for commands, said in (
            (CAPPED, "cutz: is not one of cuts, all"),
            (None, "no limit is set"),
        ):
            with case(said):
                async with a_rig(commands=commands) as rig:
                    told = await rig.ask("POST", "/switching/overrides", body, by="admin")
                    assert told.status == 422
                    assert said in str(told["detail"])


async def test_limits_say_what_waits_and_an_override_lets_it_pass() -> None:
    async with a_rig(commands=CAPPED) as rig:
        made = await cut(rig)
        (limit,) = (await rig.ask("GET", "/switching/limits", by="reader"))["items"]
        assert (limit["limit"], limit["used_today"], limit["waiting"]) == ("cuts", 0, 1)
        assert limit["next_at"] == limit["day_ends_at"] == "2026-03-03T00:00:00Z"
        told = await rig.ask("GET", "/switching", by="reader")
        assert "1 waits for room in a cap or quota" in told["text"]
        page = await rig.ask("GET", "/switching/waiting?name=cuts&limit=1", by="reader")
        assert [row["command"] for row in page["items"]] == [made["id"]]
        rest = f"/switching/waiting?limit=1&cursor={page['next']}"
        assert (await rig.ask("GET", rest, by="reader"))["items"] == []
        (entry,) = (await rig.ask("GET", "/todo?subject=limit", by="reader"))["items"]
        assert entry["code"] == "limit_reached"
        body = {"limit": "cuts", "reason": "the mayor", "for_s": 60}
        begun = await rig.ask("POST", "/switching/overrides", body, by="admin")
        assert (begun["by"], begun["ended_at"]) == ("admin", None)
        await rig.gateway.drain()
        assert len(rig.head_end.calls) == 1
        end = f"/switching/overrides/{begun['id']}/end"
        ended = await rig.ask("POST", end, {"reason": "enough"}, by="operator")
        assert ended["ended_by"] == "operator"
        (shown,) = (await rig.ask("GET", "/switching/overrides", by="reader"))["items"]
        assert shown == ended.body
        assert (await rig.ask("POST", end, {"reason": "enough"}, by="operator")).status == 404

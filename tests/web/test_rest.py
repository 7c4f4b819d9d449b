"""The JSON interface as its callers see it: every route, from submission to the books."""

import asyncio
import base64
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from adapter.commands.flows import FLOWS, SWITCH_KINDS, CommandKind, Scope
from adapter.commands.rules import SwitchPolicy
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.ports import Filter
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.commands.summary import summary
from adapter.engine.listing import AskedFilter
from adapter.model.ids import CommandId
from adapter.model.values import replace
from adapter.store.commands.reading import list_commands
from adapter.store.transaction import Transaction
from adapter.web.api.commands import CommandOut
from tests.store.nothing_at_hand import NothingAtHand
from tests.web.both_servers import NOON, TOKENS, Rig, Told, a_rig, status_changed, token_of

PERIOD = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T01:00:00+01:00"}
LATER = "2026-03-04T00:00:00Z"
NEEDS_APPROVAL = CommandSettings(
    dispatch=DispatchSettings(switch=SwitchPolicy(needs_approval=True))
)


def a_body(kind: CommandKind, **more: object) -> dict[str, object]:
    flow = FLOWS[kind]
    body: dict[str, object] = {"kind": kind.value, **more}
    if flow.scope is Scope.GROUP:
        body["group"] = "G1"
    else:
        body.setdefault("devices", ["M1"])
    if "read_" in kind and kind is not CommandKind.READ_DISCONNECT_STATE:
        body["period"] = PERIOD
    return body


async def submitted(rig: Rig, kind: CommandKind, *, key: str = "key-1", **more: object) -> Told:
    told = await rig.ask(
        "POST", "/commands", a_body(kind, **more), headers={"Idempotency-Key": key}
    )
    assert told.status == 202, told
    return told


@pytest.mark.parametrize("kind", CommandKind)
async def test_every_kind_of_command_is_accepted_and_shown(kind: CommandKind) -> None:
    async with a_rig() as rig:
        made = await submitted(rig, kind, reference="work order 7")
        assert made["kind"] == kind.value
        assert made["requester"] == "switcher"
        assert made.headers["Location"] == f"/api/v1/commands/{made['id']}"
        shown = await rig.ask("GET", f"/commands/{made['id']}", by="reader")
        unsent = shown.body.pop("unsent")  # the answer to a submission does not say why
        assert shown.body == {name: each for name, each in made.body.items() if name != "unsent"}
        command = await rig.gateway.commands.get(CommandId(made["id"]))
        plain = msgspec.to_builtins(msgspec.convert(summary(command), CommandOut))
        assert {**shown.body, "unsent": None} == plain
        assert (unsent is None) is (shown.body["state"] != "communication_in_progress")
        assert set(summary(command)) | {"progress", "callback_url", "unclear"} == set(shown.body)
        assert command.request.reference == "work order 7"


async def test_a_request_is_taken_field_by_field() -> None:
    async with a_rig() as rig:
        made = await submitted(
            rig,
            CommandKind.REMOTE_CONNECT,
            effective_at="2026-03-02T14:00:00+01:00",
            expires_at="2026-03-02T20:00:00Z",
            order="order-1",
            priority="bulk",
            optional=True,
            check_load=True,
            check_switch=True,
            with_read=True,
            emergency_override=True,
            user_intervention_required=True,
            ignore_install_state=True,
        )
        request = (await rig.gateway.commands.get(CommandId(made["id"]))).request
        assert request.effective_at == NOON + timedelta(hours=1)
        assert request.expires_at == NOON + timedelta(hours=8)
        assert (request.order, request.priority) == ("order-1", "bulk")
        assert request.idempotency_key == "key-1"
        given = ("optional", "check_load", "check_switch", "with_read", "emergency_override")
        assert all(getattr(request, name) for name in given)
        assert request.user_intervention_required
        assert request.ignore_install_state


async def test_the_same_key_gives_the_same_command_and_other_content_a_conflict() -> None:
    async with a_rig() as rig:
        kind = CommandKind.REMOTE_DISCONNECT
        first = await submitted(rig, kind)
        again = await asyncio.gather(*(submitted(rig, kind) for _ in range(5)))
        assert {told["id"] for told in again} == {first["id"]}
        in_body = await rig.ask("POST", "/commands", a_body(kind, idempotency_key="key-1"))
        assert in_body["id"] == first["id"]
        other = await rig.ask(
            "POST",
            "/commands",
            a_body(kind, devices=["M2"]),
            headers={"Idempotency-Key": "key-1"},
        )
        assert (other.status, other["code"]) == (409, "conflict")
        assert (await rig.gateway.upkeep.ledger()).accepted == 1


@pytest.mark.parametrize("kind", sorted(SWITCH_KINDS))
async def test_moving_a_switch_needs_an_idempotency_key(kind: CommandKind) -> None:
    async with a_rig() as rig:
        told = await rig.ask("POST", "/commands", a_body(kind))
        assert (told.status, told["field"]) == (422, "Idempotency-Key")
        both = await rig.ask(
            "POST",
            "/commands",
            a_body(kind, idempotency_key="a"),
            headers={"Idempotency-Key": "b"},
        )
        assert (both.status, both["field"]) == (422, "Idempotency-Key")
        long = await rig.ask(
            "POST", "/commands", a_body(kind), headers={"Idempotency-Key": "k" * 201}
        )
        assert (long.status, long["field"]) == (422, "idempotency_key")
        assert (await rig.gateway.upkeep.ledger()).accepted == 0


async def test_lists_are_filtered_and_come_page_by_page() -> None:
    async with a_rig() as rig:
        for number, device in enumerate(["M1", "M2", "M3"]):
            await rig.clock.turn(NOON + timedelta(seconds=number))
            await submitted(rig, CommandKind.LOAD_CHECK, key=f"a{number}", devices=[device])
        await submitted(rig, CommandKind.REMOTE_DISCONNECT, key="b")
        pages, cursor = [], ""
        for _ in range(3):
            told = await rig.ask("GET", f"/commands?limit=2{cursor}")
            pages += [item["id"] for item in told["items"]]
            if told["next"] is None:
                break
            cursor = f"&cursor={told['next']}"
        assert len(pages) == len(set(pages)) == 4
        assert pages == sorted(pages, reverse=True)
        for query, count in (
            ("kind=load_check", 3),
            ("device=M1", 2),
            ("device=M1&kind=load_check", 1),
            ("state=completed", 0),
            ("open=true", 4),
        ):
            told = await rig.ask("GET", f"/commands?{query}")
            assert len(told["items"]) == count, query


async def test_lists_are_filtered_by_who_asked_and_when() -> None:
    async with a_rig() as rig:
        made = []
        for number, device in enumerate(["M1", "M2", "M3"]):
            await rig.clock.turn(NOON + timedelta(minutes=number))
            told = await submitted(
                rig, CommandKind.LOAD_CHECK, key=f"a{number}", devices=[device],
                reference=f"case-{number}", effective_at="2026-03-03T00:00:00Z",
            )  # fmt: skip
            made.append(told["id"])
        await rig.clock.turn(NOON + timedelta(minutes=10))
        await rig.ask("POST", f"/commands/{made[0]}/cancel", {})
        for query, found in (
            ("since=2026-03-02T12:01:00Z", [2, 1]),
            ("updated=2026-03-02T12:02:00Z", [2, 0]),
            ("updated=2026-03-02T13:05:00%2B01:00", [0]),
            ("requester=switcher", [2, 1, 0]),
            ("requester=somebody", []),
            ("reference=case-1", [1]),
            ("reference=case-1&kind=ping", None),
            ("since=yesterday", None),
        ):
            told = await rig.ask("GET", f"/commands?{query}")
            assert (told.status == 422) == (found is None), query
            if found is not None:
                assert [made.index(item["id"]) for item in told["items"]] == found, query


async def test_messages_are_listed_that_arrived_since_a_time() -> None:
    async with a_rig() as rig:
        for minute in range(3):
            await rig.clock.turn(NOON + timedelta(minutes=minute))
            await rig.post("/openway/status", b"<no soap/>")
        for since, count in (("12:00:00Z", 3), ("12:01:00Z", 2), ("12:30:00Z", 0)):
            told = await rig.ask("GET", f"/inbox?since=2026-03-02T{since}")
            assert (len(told["items"]), told["next"]) == (count, None), since


async def test_a_list_looks_at_a_bounded_number_of_rows_and_says_where_it_ended() -> None:
    async with a_rig() as rig:
        made = [
            (await submitted(rig, CommandKind.LOAD_CHECK, key=f"a{each}", devices=[each]))["id"]
            for each in ("M1", "M2", "M3")
        ]
        wanted = Filter(asked=AskedFilter(requester="somebody"))
        found = await rig.store.database.query(lambda db: list_commands(db, wanted, most=2))
        assert (found.rows, found.next(50)) == ([], made[1])
        rest = replace(wanted, before=CommandId(made[1]))
        found = await rig.store.database.query(lambda db: list_commands(db, rest, most=2))
        assert (found.rows, found.next(50)) == ([], None)


@pytest.mark.parametrize(
    "query",
    [
        "/commands?device=M77",
        "/measurements?device=M77",
        "/arrived-events?device=M77",
        "/device-events?device=M77",
        "/orders?service_point=M77",
    ],
)
async def test_a_filter_that_names_what_nobody_knows_is_told(query: str) -> None:
    async with a_rig() as rig:
        told = await rig.ask("GET", query)
        assert (told.status, told["rule"]) == (422, "M77 is not in the registry")
        assert told["field"] == query.partition("?")[2].partition("=")[0]


async def test_a_long_poll_ends_when_the_command_does() -> None:
    async with a_rig() as rig:
        made = await submitted(rig, CommandKind.LOAD_CHECK, effective_at="2026-03-03T00:00:00Z")
        path = f"/commands/{made['id']}"
        waiting = asyncio.create_task(rig.ask("GET", f"{path}?wait=30"))
        canceled = await rig.ask("POST", f"{path}/cancel", {"reason": "not wanted"})
        assert (canceled.status, canceled["state"]) == (200, "canceled")
        told = await waiting
        assert (told["state"], told["final"]) == ("canceled", True)
        history = await rig.ask("GET", f"{path}/history")
        assert {entry["actor"] for entry in history["items"]} >= {"switcher"}
        late = await rig.ask("POST", f"{path}/cancel", {})
        assert (late.status, late["code"]) == (409, "illegal_transition")


@pytest.mark.seconds(20)
async def test_a_long_poll_is_bounded() -> None:
    async with a_rig() as rig:
        object.__setattr__(rig.rest.settings, "longest_wait_s", 0.05)
        made = await submitted(rig, CommandKind.LOAD_CHECK)
        told = await rig.ask("GET", f"/commands/{made['id']}?wait=3600")
        assert (told.status, told["final"]) == (200, False)


async def test_the_end_of_an_order_is_waited_for() -> None:
    async with a_rig() as rig:
        order = {"kind": "cut", "service_point": "SP-M1", "reference": "r", "effective_at": LATER}
        made = await rig.ask("POST", "/orders", order)
        await rig.gateway.orders.drain()
        path = f"/orders/{made['id']}"
        told = await rig.ask("GET", f"{path}?wait=0.01")
        assert (told.status, told["order"]["state"]) == (200, "waiting")
        waiting = asyncio.create_task(rig.ask("GET", f"{path}?wait=30"))
        await rig.ask("POST", f"{path}/discard", {"reason": "not wanted"})
        assert (await waiting)["order"]["final"]


async def test_outcomes_and_messages_of_a_command_can_be_read() -> None:
    async with a_rig() as rig:
        made = await submitted(rig, CommandKind.LOAD_CHECK)
        await rig.gateway.drain()
        for part in ("outcomes", "messages", "history"):
            told = await rig.ask("GET", f"/commands/{made['id']}/{part}")
            assert told.status == 200
            assert isinstance(told["items"], list)


async def test_the_outcomes_of_a_command_that_has_ended_are_those_of_its_event() -> None:
    async with a_rig() as rig:
        later = "2026-03-03T00:00:00Z"
        made = await submitted(rig, CommandKind.DEVICE_STATUS_CHECK, effective_at=later)
        path = f"/commands/{made['id']}"
        assert (await rig.ask("GET", f"{path}/outcomes"))["items"] == []
        await rig.ask("POST", f"{path}/cancel", {"reason": "not wanted"})
        (event,) = (await rig.ask("GET", "/events?types=openway.command.canceled"))["items"]
        items = (await rig.ask("GET", f"{path}/outcomes"))["items"]
        assert len(items) == 1
        assert [{**each, "incomplete": ""} for each in event["data"]["outcomes"]] == items


async def test_a_command_that_breaks_a_rule_is_kept_and_can_be_retried_or_discarded() -> None:
    async with a_rig() as rig:
        made = await submitted(rig, CommandKind.REMOTE_CONNECT)
        assert made["state"] == "validation_error"
        assert "install status" in str(made["violations"])
        path = f"/commands/{made['id']}"
        assert (await rig.ask("POST", f"{path}/retry", {}))["state"] == "validation_error"
        gone = await rig.ask("POST", f"{path}/discard", {"reason": "already connected"})
        assert gone["state"] == "discarded"


async def test_a_disconnect_is_approved_by_another_person() -> None:
    async with a_rig(commands=NEEDS_APPROVAL) as rig:
        made = await submitted(rig, CommandKind.REMOTE_DISCONNECT)
        assert made["state"] == "awaiting_approval"
        path = f"/commands/{made['id']}/approve"
        assert (await rig.ask("POST", path, {})).status == 403
        told = await rig.ask("POST", path, {}, by="approver")
        assert (told.status, told["state"]) == (200, "communication_in_progress")
        assert (await rig.ask("POST", path, {}, by="approver")).status == 409


async def unknown_outcome(rig: Rig) -> str:
    rig.head_end.deaf = True
    made = await submitted(rig, CommandKind.REMOTE_DISCONNECT)
    for hours in range(1, 60):
        await rig.gateway.drain()
        await rig.clock.turn(NOON + timedelta(hours=hours))
    told = await rig.ask("GET", f"/commands/{made['id']}")
    assert told["state"] == "needs_person"
    return f"/commands/{made['id']}/resolve"


@pytest.mark.parametrize(("asks", "second"), [("switcher", "approver"), ("approver", "switcher")])
async def test_an_unknown_outcome_is_closed_by_two_people(asks: str, second: str) -> None:
    async with a_rig() as rig:
        path = await unknown_outcome(rig)
        body = {"done": False, "note": "seen on site"}
        for wrong in (None, "nonsense", TOKENS[asks], TOKENS["reader"]):
            headers = {"X-Second-Key": wrong} if wrong is not None else {}
            told = await rig.ask("POST", path, body, by=asks, headers=headers)
            assert (told.status, told["field"]) == (403, "X-Second-Key")
        told = await rig.ask("POST", path, body, by=asks, headers={"X-Second-Key": TOKENS[second]})
        assert told.status == 200
        resolution = told["resolution"]
        assert (resolution["operator"], resolution["approver"]) == ("switcher", "approver")
        assert resolution["done"] is False
        assert (told["state"], told["final"]) == ("resolved", True)


async def test_a_reconnect_passes_the_fence_with_two_people() -> None:
    async with a_rig() as rig:
        await unknown_outcome(rig)
        body = a_body(
            CommandKind.REMOTE_CONNECT, past_unclear_order=True, ignore_install_state=True
        )
        key = {"Idempotency-Key": "fence"}
        alone = await rig.ask("POST", "/commands", body, headers=key)
        assert (alone.status, alone["code"]) == (403, "second_person_missing")
        told = await rig.ask(
            "POST", "/commands", body, headers={**key, "X-Second-Key": TOKENS["approver"]}
        )
        assert told.status == 202
        request = (await rig.gateway.commands.get(CommandId(told["id"]))).request
        assert request.past_unclear_order == ("switcher", "approver")


async def test_devices_and_their_measurements_can_be_read() -> None:
    async with a_rig() as rig:
        found, cursor = [], ""
        while True:
            told = await rig.ask("GET", f"/devices?limit=3{cursor}", by="reader")
            found += [item["device"]["id"] for item in told["items"]]
            if told["next"] is None:
                break
            cursor = f"&cursor={told['next']}"
        assert found == ["M1", "M2", "M3", "M9"]
        one = await rig.ask("GET", "/devices/M2", by="reader")
        assert one["installed"]["status"] == "Conn-Comm"
        values = await rig.ask("GET", "/devices/M2/measurements", by="reader")
        assert values["items"] == []
        for path in ("/devices/M77", "/devices/M77/measurements", "/devices/%00"):
            assert (await rig.ask("GET", path)).status == 404


async def test_an_import_is_taken_whole_or_not_at_all() -> None:
    device = {"id": "M50", "endpoint": "e-50"}
    point = {"id": "SP-M50", "protected": True}
    async with a_rig() as rig:
        good: dict[str, Any] = {"devices": [device], "service_points": [point]}
        assert (await rig.ask("POST", "/devices", good, by="operator")).status == 403
        typo = {"devices": [device], "service_points": [{"id": "SP-M50", "protectd": True}]}
        for bad in (typo, {"devices": [{"id": 7}]}, {"device": [device]}, {}):
            told = await rig.ask("POST", "/devices", bad, by="admin")
            assert told.status == 422, bad
            assert (await rig.ask("GET", "/devices/M50")).status == 404
        told = await rig.ask("POST", "/devices", good, by="admin")
        counts = {"devices": 1, "service_points": 1, "installs": 0}
        assert told.body == {**counts, "left_alone": [], "overridden": []}
        assert (await rig.ask("GET", "/devices/M50")).status == 200


async def test_the_inbox_is_listed_and_shown_byte_for_byte() -> None:
    async with a_rig() as rig:
        odd = b"<\xff\x00script>alert(1)</script>"
        await rig.post(rig.signed(), odd)
        await rig.post(rig.signed(), status_changed(token_of(5)))
        told = await rig.ask("GET", "/inbox", by="reader")
        assert [item["state"] for item in told["items"]] == ["new", "quarantined"]
        told = await rig.ask("GET", "/inbox?state=quarantined&limit=1", by="reader")
        (item,) = told["items"]
        assert told["next"] == str(item["id"])
        shown = await rig.ask("GET", f"/inbox/{item['id']}", by="reader")
        assert base64.b64decode(shown["raw_base64"]) == odd
        assert shown["text"].startswith("<\\xff")
        assert shown["message"] == item
        assert shown.headers["X-Content-Type-Options"] == "nosniff"
        refused = await rig.ask("POST", f"/inbox/{item['id']}/retry", {}, by="operator")
        assert refused.status == 403
        new = (await rig.ask("GET", "/inbox?state=new"))["items"][0]["id"]
        told = await rig.ask("POST", f"/inbox/{new}/discard", {}, by="admin")
        assert (told.status, told["code"]) == (409, "conflict")
        for wrong in ("999999", "x", "1e3"):
            assert (await rig.ask("GET", f"/inbox/{wrong}")).status == 404
        for wrong in ("0", "-1", "9" * 30):
            told = await rig.ask("GET", f"/inbox/{wrong}")
            assert (told.status, told["code"]) == (404, "not_found")


async def test_the_books_are_open() -> None:
    async with a_rig() as rig:
        await submitted(rig, CommandKind.LOAD_CHECK)
        ledger = await rig.ask("GET", "/ledger", by="reader")
        assert ledger["accepted"] == 1
        told = await rig.ask("GET", "/audit?limit=1", by="reader")
        assert len(told["items"]) == 1
        verified = await rig.ask("GET", "/audit/verify", by="admin")
        assert verified["intact"] is True
        digest = (await rig.ask("GET", "/audit?limit=500", by="admin"))["items"][-1]
        head = f"{digest['seq']}:{digest['digest']}"
        for good in (head, head.upper()):
            assert (await rig.ask("GET", f"/audit/verify?head={good}", by="admin"))["intact"]
        for half in ("5", "5:", head[:-1], head[:-2], f"{head}00", f"0{head[1:]}", f"x{head}"):
            told = await rig.ask("GET", f"/audit/verify?head={half}", by="admin")
            assert (told.status, told["code"], told["field"]) == (422, "bad_query", "head"), half
            assert "NUMBER:DIGEST" in told["rule"]


async def test_a_damaged_row_does_not_make_the_gateway_unready() -> None:
    def damage(tx: Transaction) -> None:
        tx.connection.execute("UPDATE inbox SET state = 'nexw'")
        tx.connection.execute("UPDATE command SET activity = x'7b'")

    async with a_rig() as rig:
        await submitted(rig, CommandKind.LOAD_CHECK)
        await rig.post("/openway/status", status_changed())
        await rig.store.database.write(damage)
        assert (await rig.ask("GET", "//readyz", by=None)).status == 200


async def test_a_row_that_cannot_be_read_is_named_as_that_and_the_others_are_served() -> None:
    def damage(tx: Transaction) -> None:
        query = "UPDATE command SET activity = x'7b' WHERE id = ?"
        tx.connection.execute(query, (bad["id"],))

    async with a_rig(store_type=NothingAtHand) as rig:
        bad = await submitted(rig, CommandKind.LOAD_CHECK)
        good = await submitted(rig, CommandKind.DEVICE_STATUS_CHECK, key="key-2")
        await rig.store.database.write(damage)
        told = await rig.ask("GET", f"/commands/{bad['id']}", by="reader")
        assert (told.status, told["code"]) == (500, "row_unreadable")
        told = await rig.ask("GET", f"/commands/{good['id']}", by="reader")
        assert told.status == 200


async def test_health_needs_no_key() -> None:
    async with a_rig() as rig:
        for path in ("//healthz", "//readyz", "//openapi.json"):
            assert (await rig.ask("GET", path, by=None)).status == 200


async def test_a_period_is_handed_on_in_utc() -> None:
    async with a_rig() as rig:
        made = await submitted(rig, CommandKind.ON_DEMAND_READ_SCALAR)
        period = (await rig.gateway.commands.get(CommandId(made["id"]))).request.period
        assert period is not None
        assert period == replace(period, end=NOON.replace(hour=0))
        assert period.end.utcoffset() == timedelta(0)

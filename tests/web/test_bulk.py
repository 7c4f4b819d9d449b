"""Bulk requests: a header and rows, all of them or none, counted in one answer."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from adapter.commands.activity import State
from adapter.engine.commands import bulk
from adapter.engine.commands.ports import Filter
from adapter.model.ids import CommandId
from tests.web.both_servers import Rig, Told, a_rig

LINES = "application/x-ndjson"
CSV = "text/csv"
HEADER = {"kind": "load_check", "idempotency_key": "storm-1", "reference": "storm"}


def lines(*rows: object) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def table(header: object, *rows: Sequence[str]) -> bytes:
    return "\r\n".join([json.dumps(header), *map(",".join, rows)]).encode()


async def asked(rig: Rig, body: bytes, *, media: str = LINES, by: str = "switcher") -> Told:
    return await rig.ask("POST", "/commands/bulk", body, by=by, headers={"Content-Type": media})


def counts(told: Told) -> tuple[int, int, int, int]:
    return told["rows"], told["accepted"], told["known"], told["refused"]


async def stored(rig: Rig) -> int:
    return len((await rig.gateway.commands.list(Filter(limit=500))).ids)


async def test_rows_become_commands_and_one_id_follows_the_whole() -> None:
    async with a_rig() as rig:
        rows = ({"device": "M1"}, {"device": "M2", "reference": "own"}, {"devices": ["M3"]})
        made = await asked(rig, lines(HEADER, *rows))
        assert (made.status, counts(made)) == (202, (3, 3, 0, 0))
        path = f"/commands/bulk/{made['id']}"
        assert made.headers["Location"] == f"/api/v1{path}"
        assert (await rig.ask("GET", path)).body == made.body
        assert (made["open"], made["states"]) == (3, {"communication_in_progress": 3})
        shown = (await rig.ask("GET", f"{path}/rows"))["items"]
        assert [(each["line"], each["device"]) for each in shown] == [
            (2, "M1"),
            (3, "M2"),
            (4, "M3"),
        ]
        commands = [await rig.gateway.commands.get(CommandId(each["command"])) for each in shown]
        assert [each.request.reference for each in commands] == ["storm", "own", "storm"]
        assert [each.request.idempotency_key for each in commands] == [
            "storm-1/2",
            "storm-1/3",
            "storm-1/4",
        ]
        await rig.gateway.drain()
        assert len(rig.head_end.calls) == 3
        entries = await rig.gateway.upkeep.audit()
        (note,) = [each.note for each in entries if each.note.action == "BulkSubmitted"]
        assert note.detail["accepted"] == 3


async def test_pages_of_rows_go_on_behind_a_line() -> None:
    async with a_rig() as rig:
        made = await asked(rig, lines(HEADER, *({"device": f"M{n}"} for n in (1, 2, 3))))
        path = f"/commands/bulk/{made['id']}/rows"
        first = await rig.ask("GET", f"{path}?limit=2")
        rest = await rig.ask("GET", f"{path}?limit=2&cursor={first['next']}")
        assert [each["line"] for each in (*first["items"], *rest["items"])] == [2, 3, 4]
        assert rest["next"] is None
        assert (await rig.ask("GET", "/commands/bulk/nothing")).status == 404


async def test_a_table_says_the_same_as_lines_of_json() -> None:
    async with a_rig() as rig:
        header = {
            "kind": "on_demand_read_scalar",
            "idempotency_key": "k",
            "period": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"},
        }
        rows = (
            ("device", "priority", "optional", "period.start", "period.end"),
            ("M1", "urgent", "true", "", ""),
            ('"M2"', "", "", "2026-03-01T06:00:00Z", "2026-03-01T07:00:00Z"),
        )
        made = await asked(rig, table(header, *rows), media=CSV)
        assert counts(made) == (2, 2, 0, 0), made
        shown = (await rig.ask("GET", f"/commands/bulk/{made['id']}/rows"))["items"]
        one, two = [await rig.gateway.commands.get(CommandId(each["command"])) for each in shown]
        assert [each["line"] for each in shown] == [3, 4]
        assert (one.request.priority, one.request.optional) == ("urgent", True)
        assert (two.request.priority, two.request.optional) == (None, False)
        assert one.request.period is not None
        assert two.request.period is not None
        assert (one.request.period.start.hour, two.request.period.start.hour) == (0, 6)


BAD_ROWS: tuple[tuple[Any, str], ...] = (
    ({"device": "nobody"}, "devices"),
    ({"device": "M1", "devicce": 1}, "devicce"),
    ({"device": "M1", "effective_at": "soon"}, "effective_at"),
    ({"device": " M1"}, "device"),
    ({"devices": [" M1"]}, "devices[0]"),
    ({"device": "M1", "kind": "load_check"}, "kind"),
    ({"device": "M1", "devices": ["M1"]}, "device"),
    ({"device": "M1", "priority": "urgend"}, "priority"),
    ({"device": "M1", "past_unclear_order": True}, "past_unclear_order"),
    ({"device": "M1", "idempotency_key": "schedule:x"}, "Idempotency-Key"),
    ({"device": "M1", "callback_url": "http://a.example/"}, "callback_url"),
    ({}, "devices"),
    ([], "line"),
)


async def test_a_row_that_is_refused_is_named_by_line_and_field_and_nothing_is_stored() -> None:
    async with a_rig() as rig:
        told = await asked(rig, lines(HEADER, {"device": "M1"}, *(row for row, _ in BAD_ROWS)))
        assert (told.status, told["code"]) == (422, "bulk_refused")
        named = [(each["line"], each["field"]) for each in told["faults"]]
        assert named == [(line, field) for line, (_, field) in enumerate(BAD_ROWS, 3)]
        assert told["field"] == "line 3: devices"
        assert f"{len(BAD_ROWS)} of {len(BAD_ROWS) + 1} rows are refused" in told["detail"]
        (misspelt,) = [each for each in told["faults"] if each["field"] == "priority"]
        assert "did you mean urgent?" in misspelt["rule"]
        assert await stored(rig) == 0
        assert not [
            each for each in await rig.gateway.upkeep.audit() if "Submitted" in each.note.action
        ]


async def test_the_good_rows_alone_are_stored_where_they_are_wanted() -> None:
    async with a_rig() as rig:
        header = {**HEADER, "partial": True}
        body = lines(header, {"device": "M1"}, {"device": "nobody"}, {"device": "M2"})
        made = await asked(rig, body)
        assert (made.status, counts(made)) == (202, (3, 2, 0, 1))
        assert [(each["line"], each["field"]) for each in made["faults"]] == [(3, "devices")]
        assert (await asked(rig, body)).body == made.body
        assert await stored(rig) == 2


async def test_the_whole_and_each_row_are_accepted_once() -> None:
    async with a_rig() as rig:
        rows = ({"device": "M1", "idempotency_key": "own-1"}, {"device": "M2"})
        body = lines(HEADER, *rows)
        made = await asked(rig, body)
        again = await asyncio.gather(*(asked(rig, body) for _ in range(3)))
        assert {each["id"] for each in again} == {made["id"]}
        other = await asked(rig, lines(HEADER, rows[0]))
        assert (other.status, other["code"]) == (409, "conflict")
        next_one = {**HEADER, "idempotency_key": "storm-2"}
        later = await asked(rig, lines(next_one, rows[0], {"device": "M3"}))
        assert counts(later) == (2, 1, 1, 0)
        changed = {"device": "M2", "idempotency_key": "own-1"}
        third = {**HEADER, "idempotency_key": "storm-3"}
        conflict = await asked(rig, lines(third, changed))
        assert [each["field"] for each in conflict["faults"]] == ["idempotency_key"]
        assert await stored(rig) == 3


async def test_the_same_bulk_at_the_same_time_is_one() -> None:
    async with a_rig() as rig:
        body = lines(HEADER, {"device": "M1"}, {"device": "M2"})
        made = await asyncio.gather(*(asked(rig, body) for _ in range(4)))
        assert [each.status for each in made] == [202] * 4
        assert len({each["id"] for each in made}) == 1
        assert await stored(rig) == 2


async def test_a_meter_that_stands_in_two_rows_is_a_fault_of_the_second() -> None:
    async with a_rig() as rig:
        header = {"kind": "remote_disconnect", "idempotency_key": "k"}
        body = (header, {"device": "M1"}, {"device": "M2"}, {"device": "M1"})
        told = await asked(rig, lines(*body))
        assert told["faults"] == [
            {
                "line": 4,
                "field": "devices",
                "rule": "is in line 2 already: one open command of a kind a meter",
            }
        ]
        assert await stored(rig) == 0
        made = await asked(rig, lines({**header, "partial": True}, *body[1:]))
        assert counts(made) == (3, 2, 0, 1)
        assert made["states"] == {State.COMMUNICATION_IN_PROGRESS.value: 2}


async def test_a_meter_may_stand_in_two_rows_where_the_key_of_one_is_known() -> None:
    async with a_rig() as rig:
        same = {"device": "M1", "idempotency_key": "one"}
        made = await asked(rig, lines({**HEADER, "idempotency_key": "again"}, same, same))
        assert counts(made) == (2, 1, 1, 0)
        header = {**HEADER, "idempotency_key": "later"}
        made = await asked(rig, lines(header, {"device": "M1"}, same))
        assert counts(made) == (2, 1, 1, 0)


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ({}, "kind"),
        ({"kind": "load_check"}, "idempotency_key"),
        ({"kind": "load_chek", "idempotency_key": "k"}, "kind"),
        ({"kind": "load_check", "idempotency_key": "k", "devices": ["M1"]}, "devices"),
        ({"kind": "load_check", "idempotency_key": "k", "al": 1}, "al"),
    ],
)
async def test_a_header_that_is_none_is_refused(header: object, field: str) -> None:
    async with a_rig() as rig:
        told = await asked(rig, lines(header, {"device": "M1"}))
        assert told.status in (400, 422)
        assert told["field"].removeprefix("line 1: ") == field
        assert await stored(rig) == 0


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (b"", LINES, 422),
        (lines(HEADER), LINES, 422),
        (lines(HEADER, {"device": "M1"}), "application/json", 415),
        (b"\xff" + lines(HEADER, {"device": "M1"}), LINES, 400),
        (lines(HEADER) + b"\n{not json", LINES, 422),
        (lines(HEADER) + b'\n{"device": "M1", "device": "M2"}', LINES, 422),
        (table(HEADER, ("device", "device"), ("M1", "M2")), CSV, 422),
        (table(HEADER, ("device", "reference"), ("M1",)), CSV, 422),
        (table(HEADER, ("device",), ('"M1',)), CSV, 422),
    ],
)
async def test_a_file_that_is_none_is_refused(body: bytes, media: str, status: int) -> None:
    async with a_rig() as rig:
        told = await asked(rig, body, media=media)
        assert told.status == status, told
        assert await stored(rig) == 0


NO_HEADER = "the first line must be the header, in JSON"


@pytest.mark.parametrize(
    ("body", "media", "rule"),
    [
        (b"", LINES, NO_HEADER),
        (b"device\nM1", CSV, NO_HEADER),
        (lines(HEADER), LINES, "from 1 to 1000 rows, these are 0"),
        (lines(HEADER) + b"\n{not json", LINES, "is no JSON: Expecting property name"),
        (table(HEADER, ("device", "device"), ("M1", "M2")), CSV, "the column device stands twice"),
        (table(HEADER, ("device", "reference"), ("M1",)), CSV, "2 cells, not 1: device, reference"),
        (lines(HEADER, {"device": "M1", "effective_at": "soon"}), LINES, "is no time, as 2026"),
        (lines(HEADER, {"device": 1}), LINES, "must be a text, not a whole number"),
    ],
)
async def test_what_is_wrong_with_a_file_is_said_for_people(
    body: bytes, media: str, rule: str
) -> None:
    async with a_rig() as rig:
        told = await asked(rig, body, media=media)
        assert told["rule"].startswith(rule), told["rule"]
        assert await stored(rig) == 0


async def test_a_key_needs_the_role_of_the_kind() -> None:
    async with a_rig() as rig:
        header = {"kind": "remote_disconnect", "idempotency_key": "k"}
        assert (await asked(rig, lines(header, {"device": "M1"}), by="operator")).status == 403
        assert (await asked(rig, lines(HEADER, {"device": "M1"}), by="reader")).status == 403


async def test_rows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST_ROWS", 2)
    async with a_rig() as rig:
        told = await asked(rig, lines(HEADER, *({"device": f"M{n}"} for n in (1, 2, 3))))
        assert (told.status, told["field"]) == (422, "rows")
        assert told["rule"] == "from 1 to 2 rows, these are more"
        assert await stored(rig) == 0


async def test_of_a_table_that_cannot_be_read_on_not_even_some_is_taken() -> None:
    async with a_rig() as rig:
        rows = (["device", "reference"], ["M1", ""], ["M2", '"a"b'], ["M3", ""])
        told = await asked(rig, table({**HEADER, "partial": True}, *rows), media=CSV)
        assert (told.status, told["field"]) == (422, "line 4")
        assert await stored(rig) == 0


@pytest.mark.parametrize(
    "row",
    [
        rb'{"device":"M1","\ud800":"x"}',
        rb'{"device":"M1","priority":"\ud800"}',
        rb'{"\ud800":1,"\ud800":2}',
    ],
)
async def test_half_of_a_surrogate_pair_refuses_its_row_alone(row: bytes) -> None:
    async with a_rig() as rig:
        body = lines({**HEADER, "partial": True}, {"device": "M1"}) + b"\n" + row
        told = await asked(rig, body)
        assert (told.status, counts(told)) == (202, (2, 1, 0, 1))
        assert "surrogate" in told["faults"][0]["rule"]

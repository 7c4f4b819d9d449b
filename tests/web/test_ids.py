"""Ids and texts from callers are held to one rule, that of master data, at every door."""

import re
from typing import Any

import pytest

from adapter.model.texts import ID_PATTERN, TEXT_PATTERN, id_problem, text_problem
from adapter.web.api.openapi import document
from tests.web.both_servers import a_rig

NOON = "2026-03-02T12:00:00Z"
COMMAND = {"kind": "load_check", "devices": ["M1"]}
ORDER = {"kind": "cut", "service_point": "SP1", "reference": "R1"}
READING = {"device": "M1", "component": "C1", "at": NOON, "value": "1"}
RECURRENCE = {"first": "00:00:00", "length_s": 900}
SCHEDULE = {"kind": "scheduled_read_interval", "group": "G1", "recurrence": RECURRENCE}
BAD = {
    " M1": "blanks",
    "M1 ": "blanks",
    "M1\u00a0": "blanks",
    "M\u00851": "U+0085",
    "M\u200b1": "U+200B",
    "M\u202e1": "U+202E",
    "\u041c1A": "cyrillic",
    "\uff2d1": "forms of others",
    "Cafe\u0301": "NFC",
    "M\ue0001": "U+E000",
}


def doors(bad: str) -> list[tuple[str, Any, str]]:
    """Path, body and the field that has the bad id."""
    return [
        ("/commands", {**COMMAND, "devices": ["M1", bad]}, "devices[1]"),
        ("/commands", {**COMMAND, "group": bad}, "group"),
        ("/commands", {**COMMAND, "order": bad}, "order"),
        ("/commands", {**COMMAND, "idempotency_key": bad}, "idempotency_key"),
        ("/commands", {**COMMAND, "configuration_group": bad}, "configuration_group"),
        ("/orders", {**ORDER, "service_point": bad}, "service_point"),
        ("/orders", {**ORDER, "reference": bad}, "reference"),
        ("/orders/payment", {"service_point": bad}, "service_point"),
        ("/orders/1/replies/discard", {"reply": bad}, "reply"),
        ("/orders/1/visits/1/complete", {"removed_device": bad}, "removed_device"),
        ("/schedules", {**SCHEDULE, "group": bad}, "group"),
        (
            "/schedules",
            {**SCHEDULE, "recurrence": {**RECURRENCE, "time_zone": bad}},
            "recurrence.time_zone",
        ),
        ("/measurements", {"measurements": [READING, {**READING, "device": bad}]}, "[1].device"),
    ]


@pytest.mark.parametrize("bad", BAD)
async def test_an_id_that_no_import_would_take_is_refused_at_every_door(bad: str) -> None:
    async with a_rig() as rig:
        for path, body, field in doors(bad):
            told = await rig.ask("POST", path, body)
            assert told.status == 422, (path, told)
            assert told["code"] == "invalid_request"
            assert told["field"].endswith(field)
        for path in ("/commands?device=", "/orders?service_point=", "/device-events?device="):
            told = await rig.ask("GET", path + "".join(f"%{each:02x}" for each in bad.encode()))
            assert (told.status, told["code"]) == (422, "bad_query"), path


@pytest.mark.parametrize("bad", BAD)
def test_what_is_wrong_is_said(bad: str) -> None:
    assert BAD[bad] in (id_problem(bad) or "")


@pytest.mark.parametrize("bad", ["a\u200bb", "a\u009bb", "a\u202eb"])
async def test_a_text_with_characters_that_nobody_sees_is_refused(bad: str) -> None:
    async with a_rig() as rig:
        told = await rig.ask("POST", "/commands", {**COMMAND, "reference": bad})
        assert (told.status, told["field"]) == (422, "reference")
        told = await rig.ask("POST", "/orders/1/complete", {"reason": bad})
        assert (told.status, told["field"]) == (422, "reason")


@pytest.mark.parametrize("bad", ["a\u200bb", "a\u009bb", "x" * 1001])
async def test_an_element_of_an_order_is_held_to_the_rule_of_texts_wherever_it_is_given(
    bad: str,
) -> None:
    elements = {"contact": bad}
    async with a_rig() as rig:
        for path, body in (
            ("/orders", {**ORDER, "fields": elements}),
            ("/orders/plan", {"kind": "cut", "service_point": "SP1", "fields": elements}),
            ("/orders/1/correct", {"fields": elements}),
            ("/orders/1/update", {"changes": elements}),
        ):
            told = await rig.ask("POST", path, body)
            assert (told.status, told["field"]) == (422, "fields"), path
            assert told["rule"].startswith("contact: ")


async def test_ids_and_texts_of_other_alphabets_are_taken() -> None:
    async with a_rig() as rig:
        told = await rig.ask("POST", "/commands", {**COMMAND, "reference": " Zähler Ω 17, Αθήνα "})
        assert told.status == 202, told
        told = await rig.ask("GET", "/commands?device=%CE%91%CE%B8%CE%AE%CE%BD%CE%B1")
        assert (told.status, told["code"]) == (422, "unknown_device")


def test_the_patterns_of_the_document_take_whatever_the_rules_take() -> None:
    for code in [*range(0xD800), *range(0xE000, 0x10000)]:
        text = f"1{chr(code)}2"
        assert text_problem(text) is not None or re.search(TEXT_PATTERN, text), hex(code)
        for ident in (text, chr(code)):
            assert id_problem(ident) is not None or re.search(ID_PATTERN, ident), hex(code)


def test_paths_queries_and_bodies_name_one_pattern_for_ids() -> None:
    whole = document()
    parameters = {
        parameter["name"]: parameter["schema"]
        for item in whole["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", [])
    }
    for name in ("command", "device", "order", "visit", "request", "schedule", "service_point"):
        assert parameters[name]["pattern"] == ID_PATTERN
    assert parameters["message"]["type"] == "integer"
    point = whole["components"]["schemas"]["OrderIn"]["properties"]["service_point"]
    assert point["pattern"] == ID_PATTERN

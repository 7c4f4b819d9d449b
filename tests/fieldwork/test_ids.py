"""Ids and texts of a device in a report of a crew are held to the rule of imports."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from adapter.fieldwork.messages import BadReport, read_report
from tests.support import for_every

AT = "2026-03-01T00:00:00Z"
BAD = {
    " M1": "blanks",
    "M1\u00a0": "blanks",
    "M\x001": "U\\+0000",
    "M\n1": "U\\+000A",
    "M\u009b1": "U\\+009B",
    "M\u200b1": "U\\+200B",
    "M\u202e1": "U\\+202E",
    "\u041c1A": "cyrillic",
    "\uff2d1": "forms of others",
    "Cafe\u0301": "NFC",
    "2.16E+11": "spreadsheet",
}
COMPONENT = {"id": "C1", "kind": "scalar", "quantity": "Wh d"}


def reports(bad: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The place of the bad id, and the report."""
    reading = {"component": "C1", "at": AT, "value": "1"}

    def done(work: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"kind": "work_reported", "work": {"at": AT, **work}}

    components = [COMPONENT, {**COMPONENT, "id": bad}]
    return [
        ("id", {"kind": "crew_started", "id": bad}),
        ("activity", {"kind": "crew_started", "activity": bad}),
        ("work.removedDevice", done({"removedDevice": bad})),
        ("work.newDevice.id", done({"newDevice": {"id": bad}})),
        ("work.newDevice.endpoint", done({"newDevice": {"id": "M1", "endpoint": bad}})),
        (
            "work.newDevice.components[1].id",
            done({"newDevice": {"id": "M1", "components": components}}),
        ),
        (
            "work.readings[1].component",
            done({"readings": [reading, {**reading, "component": bad}]}),
        ),
        ("work.readings[0].device", done({"readings": [{**reading, "device": bad}]})),
        (
            "servicePoint",
            {
                "kind": "other_work",
                "servicePoint": bad,
                "task": "D1-TrimTree",
                "createdAt": AT,
                "endedAt": AT,
                "done": True,
            },
        ),
    ]


@for_every("bad", BAD)
def test_an_id_that_no_import_would_take_is_refused_with_its_place(bad: str) -> None:
    for place, report in reports(bad):
        raw = json.dumps({"id": "R1", "activity": "F1", **report}).encode()
        with pytest.raises(BadReport, match=BAD[bad]) as refused:
            read_report(raw)
        assert str(refused.value).startswith(f"{place}: ")


@for_every("name", ("serial", "deviceType", "configurationGroup", "headEnd"))
def test_a_text_of_a_device_with_what_nobody_sees_is_refused(name: str) -> None:
    work = {"at": AT, "newDevice": {"id": "M1", name: "a\u202eb"}}
    told = {"kind": "work_reported", "id": "R1", "activity": "F1", "work": work}
    with pytest.raises(BadReport, match=rf"work.newDevice.{name}: .* U\+202E"):
        read_report(json.dumps(told).encode())


@for_every("good", ("M-1", "Zähler 17", "Москва-1", "計器1", "a/b"))
def test_ids_of_one_alphabet_are_taken(good: str) -> None:
    for _, report in reports(good):
        read_report(json.dumps({"id": "R1", "activity": "F1", **report}).encode())

"""Messages and reports as JSON."""

import json
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from adapter.engine.orders.field_work import CancelRefused, FieldNews, FieldReport, OtherWork
from adapter.fieldwork.messages import (
    BadReport,
    message_json,
    read_message,
    read_report,
    report_json,
)
from adapter.model.device import DisconnectLocation, InstallStatus
from adapter.model.ids import DeviceId, EventId, ServicePointId
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import (
    AppointmentBooked,
    CrewStarted,
    Rescheduled,
    Slot,
    WorkCanceled,
)
from adapter.orders.tasks import FieldEffect
from tests.fieldwork.builders import ACTIVITY, METER, NOON, a_message, a_reading, a_work_report

SLOT = Slot(start=NOON, end=NOON + timedelta(hours=4), taken_by="desk")
FULL = a_work_report(
    new_device=METER,
    new_capabilities=METER.capabilities,
    install_status=InstallStatus.CONN_PRECOMM,
    disconnect_location=DisconnectLocation.SOURCE,
    not_done=frozenset({FieldEffect.MEASURE, FieldEffect.TURN_ON}),
    measurements=(a_reading(),),
    reading_pending=True,
    removed_device=DeviceId("M-1"),
    remarks=("dog", "new lock"),
)
NEWS: tuple[FieldNews, ...] = (
    AppointmentBooked(slot=SLOT),
    CrewStarted(),
    Rescheduled(slot=SLOT, reason="CM-Weather"),
    WorkCanceled(
        reason="CM-NoAccess",
        report=CompletionReport(at=NOON, cause=EventId("R-1")),
        who="crew 7",
    ),
    CancelRefused(reason="they are at it"),
    OtherWork(
        service_point=ServicePointId("SP-1"),
        task="D1-TrimTree",
        created_at=NOON,
        ended_at=NOON,
        done=True,
    ),
    FULL.news,
    a_work_report().news,
)


@pytest.mark.parametrize("news", NEWS, ids=lambda news: type(news).__name__)
def test_a_report_that_was_written_is_read_as_the_same(news: FieldNews) -> None:
    report = FieldReport(id="R-1", activity=ACTIVITY, who="crew 7", news=news)
    assert read_report(report_json(report)) == report


def test_a_message_that_was_written_is_read_as_the_same() -> None:
    message = a_message(appointment=SLOT)
    assert read_message(message_json(message)) == message
    assert message_json(message) == message_json(read_message(message_json(message)))


def test_names_are_in_camel_case_but_for_a_sites_own() -> None:
    shown = json.loads(message_json(a_message()))
    assert shown["site"]["servicePoint"] == "SP-1"
    assert shown["details"] == {"contact_phone": "x"}


def test_a_member_that_a_reader_does_not_know_is_passed_over_in_a_message() -> None:
    shown = json.loads(message_json(a_message()))
    assert read_message(json.dumps({**shown, "priority": 3}).encode()) == a_message()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kind": "happened"}, "happened"),
        ({"color": 1}, "color"),
        ({"id": ""}, "id"),
        ({"work": {"at": "2026-03-10T12:00:00"}}, "at"),
        ({"work": {"at": "soon"}}, "at"),
        (
            {"work": {"at": "2026-03-10T12:00:00Z", "disconnectLocation": "roof"}},
            "disconnectLocation",
        ),
        ({"work": {"at": "2026-03-10T12:00:00Z", "notDone": ["dance"]}}, "notDone"),
        ({"work": {"at": "2026-03-10T12:00:00Z", "readings": [{"component": "R"}]}}, "at"),
        ({"work": {"at": "2026-03-10T12:00:00Z", "remarks": ["x" * 1001]}}, "remarks"),
    ],
)
def test_a_report_of_another_shape_is_refused_by_name(
    change: dict[str, object], named: str
) -> None:
    shown = {**json.loads(report_json(a_work_report())), **change}
    with pytest.raises(BadReport, match=named):
        read_report(json.dumps(shown).encode())


@pytest.mark.parametrize("raw", [b"", b"no json", b"[1]", b"\xff", b"null", b"[" * 5000])
def test_what_is_no_report_is_refused(raw: bytes) -> None:
    with pytest.raises(BadReport):
        read_report(raw)


def test_an_appointment_must_end_after_it_starts() -> None:
    backwards = Slot(start=NOON, end=NOON)
    news = AppointmentBooked(slot=backwards)
    with pytest.raises(BadReport, match="end"):
        read_report(report_json(FieldReport(id="R", activity=ACTIVITY, news=news)))


def test_a_value_keeps_every_digit() -> None:
    raw = report_json(FULL)
    read = read_report(raw).news
    assert msgspec.json.decode(raw)["work"]["readings"][0]["value"] == "1234.50"
    assert str(read.report.measurements[0].value) == "1234.50"  # type: ignore[union-attr]


def test_the_examples_of_the_documentation_are_read() -> None:
    text = (Path(__file__).parents[2] / "docs" / "field-work.md").read_text(encoding="utf-8")
    message, reports = (
        text.partition(f"```json {what}\n")[2].partition("```")[0]
        for what in ("message", "reports")
    )
    told = read_message(message.encode())
    assert told.task == "D1-CutForNonPayment"
    assert told.why is not None
    assert [each.reason for each in told.history] == [
        "NoResponse: the meter did not answer; it may have acted"
    ]
    read = [read_report(line.encode()) for line in reports.splitlines()]
    assert {type(report.news) for report in read} == {type(news) for news in NEWS}

"""Log lines: one JSON object each, no secret in any of them, no flood."""

import json
import logging
from io import StringIO
from typing import Any

import pytest

from adapter.engine.commands.log_fields import whose
from adapter.model.ids import CommunicationId, OrderId
from adapter.model.redaction import redact
from adapter.model.secret import Secret
from adapter.service.log import start_logging
from adapter.service.settings import LogFormat, LogLevel, LogSettings
from tests.builders import a_command, a_request


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def lines(stream: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_an_event_name_with_its_fields() -> None:
    stream = StringIO()
    start_logging(stream=stream)
    logging.getLogger("adapter.x").info("activity_moved", extra={"command": "c1", "tries": 2})
    (line,) = lines(stream)
    assert line["event"] == "activity_moved"
    assert (line["command"], line["tries"], line["level"]) == ("c1", 2, "info")
    assert line["logger"] == "adapter.x"
    assert line["at"].endswith("Z")


COMMAND = "01m8qp265brnhmy7r3cvjz2h5h"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"reason": "x", "communication": f"{COMMAND}-2"}, ["command", "communication", "reason"]),
        ({"trace": "t", "order": "o", "command": COMMAND}, ["command", "order", "trace"]),
        ({"communication": None, "order": "", "count": 1}, ["count"]),
        ({"communication": "no address of ours"}, ["communication"]),
    ],
)
def test_by_what_a_line_is_found_comes_first_and_a_communication_names_its_command(
    given: dict[str, object], found: list[str]
) -> None:
    stream = StringIO()
    start_logging(stream=stream)
    logging.getLogger("adapter.x").info("said", extra=given)
    (line,) = lines(stream)
    assert list(line)[4:] == found
    assert line.get("command", COMMAND) == COMMAND


def test_a_line_about_a_command_has_its_order_as_well() -> None:
    command = a_command(request=a_request(order=OrderId("o1")))
    assert whose(command, CommunicationId(f"{command.id}-1")) == {
        "command": command.id,
        "communication": f"{command.id}-1",
        "order": "o1",
    }


def test_on_a_terminal_lines_are_for_people() -> None:
    stream = Terminal()
    start_logging(stream=stream)
    logging.getLogger("adapter.x").warning("sink_failed", extra={"why": "no route"})
    assert "warning  sink_failed  why=" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_the_form_can_be_asked_for() -> None:
    stream = Terminal()
    start_logging(LogSettings(format=LogFormat.JSON), stream=stream)
    logging.getLogger("adapter.x").warning("sink_failed")
    assert lines(stream)[0]["event"] == "sink_failed"


def test_lines_below_the_level_are_not_written() -> None:
    stream = StringIO()
    start_logging(LogSettings(level=LogLevel.WARNING), stream=stream)
    logging.getLogger("adapter.x").info("activity_moved")
    assert stream.getvalue() == ""


@pytest.mark.parametrize(
    "text",
    [
        "http://gw:8101/openway/status/01h-1/canary0123456789abcdef",
        "POST /openway/status/01h-1/canary0123456789abcdef HTTP/1.1",
        "Authorization: Basic Y2FuYXJ5OmNhbmFyeQcanary",
        "Bearer canary.canary-canary",
        "https://user:canary@head-end.example/x",
        "<wsse:Password Type='digest'>canary</wsse:Password>",
        "<Password>canary</Password>",
        "<a:Nonce>canary</a:Nonce>",
        "password=canary",
        '{"password": "canary"}',
        "api_key: canary",
        "X-Api-Key=canary&x=1",
    ],
)
def test_a_secret_in_a_text_is_masked(text: str) -> None:
    assert "canary" not in redact(text)
    assert "***" in redact(text)


def test_what_is_no_secret_stays() -> None:
    text = "GET /openway/status?wsdl for meter 2.16.840.1: 12 bytes, basic check"
    assert redact(text) == text


@pytest.mark.parametrize("form", [LogFormat.JSON, LogFormat.TEXT])
def test_no_secret_reaches_a_line_in_any_field(form: LogFormat) -> None:
    stream = StringIO()
    start_logging(LogSettings(format=form), stream=stream)
    fields = {
        "url": "http://gw/openway/status/e-1/canary0123456789",
        "password": "canary",
        "Authorization": "canary",
        "secret": Secret("canary"),
        "headers": {"X-Api-Key": "canary", "list": ["Bearer canary.canary"]},
        "raw": b"<Password>canary</Password>",
        "given": Secret("canary"),
    }
    try:
        raise ValueError("https://u:canary@host/")
    except ValueError:
        logging.getLogger("adapter.x").exception("it_failed password=canary", extra=fields)
    assert "canary" not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_a_repeated_line_is_held_back_and_counted() -> None:
    stream = StringIO()
    now = [0.0]
    start_logging(LogSettings(per_minute=3), stream=stream, now=lambda: now[0])
    log = logging.getLogger("adapter.x")
    for number in range(10):
        log.warning("callback_refused", extra={"number": number})
    log.warning("another_event")
    assert [line["event"] for line in lines(stream)] == ["callback_refused"] * 3 + ["another_event"]
    now[0] = 61.0
    log.warning("callback_refused")
    assert lines(stream)[-1]["suppressed"] == 7


def test_starting_again_takes_the_place_of_the_handler_before() -> None:
    first, second = StringIO(), StringIO()
    start_logging(stream=first)
    start_logging(stream=second)
    logging.getLogger("adapter.x").info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1

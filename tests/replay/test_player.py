"""A gateway that does something else than was recorded is caught, and the place is named."""

from collections.abc import Mapping
from typing import Any

from adapter.model.values import replace
from adapter.replay.scenario import RecordedKind, RecordedMessage, Recording
from tests.replay.recordings import played, recording

NAME = "remote_disconnect/success"


def with_message(what: Recording, number: int, **changes: Any) -> Recording:
    messages = list(what.messages)
    messages[number - 1] = replace(messages[number - 1], **changes)
    return replace(what, messages=tuple(messages))


def rewritten(what: Recording, number: int, old: bytes, new: bytes) -> Recording:
    body = what.messages[number - 1].body
    assert old in body
    return with_message(what, number, body=body.replace(old, new))


def number_of(what: Recording, kind: RecordedKind, operation: str) -> int:
    return next(
        at
        for at, each in enumerate(what.messages, 1)
        if each.kind is kind and each.operation.endswith("." + operation)
    )


def test_another_value_in_a_request_is_named_by_xpath() -> None:
    what = recording(NAME)
    changed = rewritten(what, 1, b".243.700001<", b".243.700009<")
    assert played(changed).difference == (
        "message 1: ControlService.DisconnectMeter: "
        "/Envelope/Body/DisconnectMeter/request/MeterRequest/ElectronicSerialNumber: "
        "expected '2.16.840.1.114416.15.243.700009', got '2.16.840.1.114416.15.243.700001'"
    )


def test_prefixes_and_layout_of_a_request_do_not_matter() -> None:
    what = recording(NAME)
    body = what.messages[0].body.replace(b"ctl:", b"q:").replace(b"xmlns:ctl", b"xmlns:q")
    assert body != what.messages[0].body
    assert played(with_message(what, 1, body=body.replace(b"><", b">\n <"))).difference == ""


def test_a_request_at_another_time_is_named() -> None:
    what = recording("device_commissioning/technical_failure")
    changed = with_message(what, 3, at=6.0)
    assert played(changed).difference == (
        "message 3: expected request ProvisioningService.AddMeterDefinitions at 6.0 s, "
        "got it at 5.0 s"
    )


def test_a_request_that_was_not_recorded_is_named() -> None:
    what = recording(NAME)
    result = number_of(what, RecordedKind.REQUEST, "GetDisconnectMeterResult")
    cut = replace(what, messages=what.messages[: result - 1])
    assert played(cut).difference == (
        f"message {result}: nothing was recorded, "
        "got request ControlService.GetDisconnectMeterResult"
    )


def test_a_message_that_is_never_sent_is_named() -> None:
    what = recording(NAME)
    extra = RecordedMessage(
        at=9.0, kind=RecordedKind.REQUEST, operation="ControlService.DisconnectMeter", body=b"<a/>"
    )
    longer = replace(what, messages=(*what.messages, extra))
    assert played(longer).difference == (
        "message 8: request ControlService.DisconnectMeter at 9.0 s was recorded, not sent"
    )


def test_replies_are_judged_and_not_believed() -> None:
    what = recording(NAME)
    reply = number_of(what, RecordedKind.REPLY, "GetDisconnectMeterResult")
    changed = rewritten(what, reply, b">Success<", b">Failure<")
    assert played(changed).difference.startswith("commands[0].summary.")


def test_a_status_without_a_fault_leaves_the_outcome_unknown() -> None:
    what = recording(NAME)
    changed = with_message(what, 2, status=503)
    assert played(changed).difference == (
        'commands[0].history[3].action: expected "TokenReceived", got "SendUnclear"'
    )


def test_a_callback_under_a_wrong_signature_is_refused() -> None:
    what = recording(NAME)
    number = number_of(what, RecordedKind.CALLBACK, "StatusChanged")
    path = what.messages[number - 1].path
    forged = path[:-1] + ("0" if path[-1] != "0" else "1")
    changed = with_message(what, number, path=forged)
    assert played(changed).difference == f"message {number}: {forged} is not our address"


def test_a_callback_that_was_refused_at_the_door_is_quarantined_again() -> None:
    what = recording(NAME)
    number = number_of(what, RecordedKind.CALLBACK, "StatusChanged")
    changed = with_message(what, number, text="no such thing")
    assert played(changed).difference == ("commands[0].history[4].at: expected 1.0, got 3.0")


def test_another_outcome_is_named_by_its_path() -> None:
    what = recording(NAME)
    expected: Mapping[str, Any] = what.expected
    (install,) = expected["installs"]
    wanted = {**expected, "installs": [{**install, "status": "Removed"}]}
    assert played(replace(what, expected=wanted)).difference == (
        'installs[0].status: expected "Removed", got "Disconn-Comm"'
    )

"""XML that is never accepted, and what it must not be taken for."""

import time

import pytest

from adapter.errors import ContractViolation, NotWellFormed, WireError
from adapter.wire import xml
from adapter.wire.notifications import inbound_operation, status_changed
from tests.support import for_every
from tests.wire.bodies import EXAMPLES, codec
from tests.wire.hostile_messages import BARE, GOOD, HOSTILE, NOT_OURS, TOKEN, good_with


@for_every("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_xml_is_refused_at_once(data: bytes) -> None:
    started = time.thread_time()
    with pytest.raises(NotWellFormed) as refusal:
        status_changed(codec(), data)
    assert time.thread_time() - started < 5.0
    assert len(str(refusal.value)) < 500


@for_every("data", NOT_OURS.values(), ids=NOT_OURS)
def test_xml_that_is_not_the_message_is_refused_with_the_place(data: bytes) -> None:
    with pytest.raises(ContractViolation):
        status_changed(codec(), data)


def test_a_flood_of_elements_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(NotWellFormed, match="more than 1000 elements"):
        xml.parse(b"<a>" + b"<b/>" * 2_001 + b"</a>", max_elements=1_000)


def test_a_comment_does_not_cut_a_token_short() -> None:
    split = good_with(TOKEN, TOKEN[:10] + b"<!-- x -->" + TOKEN[10:])
    assert status_changed(codec(), split).token == TOKEN.decode()


def test_cdata_is_text() -> None:
    wrapped = good_with(TOKEN, b"<![CDATA[" + TOKEN + b"]]>")
    assert status_changed(codec(), wrapped).token == TOKEN.decode()


@pytest.mark.parametrize(
    "text",
    [b"<!-- <?php ?> -->", b"<!-- <!DOCTYPE x> -->", b'<![CDATA[<?xml version="1.0"?>]]>'],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_declarations_that_are_only_text_do_not_refuse_a_message(
    text: bytes, encoding: str
) -> None:
    more = good_with(b"<State>", b"<More xmlns='urn:x'>" + text + b"</More><State>")
    data = more.decode().replace('"utf-8"', f'"{encoding}"').encode(encoding)
    assert status_changed(codec(), data).token == TOKEN.decode()


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GOOD,
        BARE,
        GOOD.decode().replace("utf-8", "utf-16").encode("utf-16"),
        b"\xfe\xff" + BARE.decode().encode("utf-16-be"),
        GOOD.replace(b'encoding="utf-8"', b'encoding="UTF-8" standalone="yes"'),
    ],
    ids=["utf-8 with mark", "no declaration", "utf-16", "utf-16 big endian", "upper case"],
)
def test_both_unicode_encodings_are_read(data: bytes) -> None:
    assert status_changed(codec(), data).token == TOKEN.decode()


def test_soap_12_is_read() -> None:
    twelve = good_with(
        b"http://schemas.xmlsoap.org/soap/envelope/", b"http://www.w3.org/2003/05/soap-envelope"
    )
    assert status_changed(codec(), twelve).token == TOKEN.decode()
    assert xml.open_envelope(twelve).soap is xml.Soap.V12


def test_headers_that_must_be_understood_are_passed_over() -> None:
    header = (
        b'<s:Header><Action s:mustUnderstand="1" xmlns="http://example.com/none">x</Action>'
        b"</s:Header><s:Body>"
    )
    assert status_changed(codec(), good_with(b"<s:Body>", header)).token == TOKEN.decode()


def test_an_error_names_the_place() -> None:
    with pytest.raises(ContractViolation) as refusal:
        status_changed(codec(), NOT_OURS["count that is none"])
    assert refusal.value.at == "StatusChanged/input/RequestStatus/FailedEndpoints"


def test_a_message_for_the_head_end_is_none_of_the_listeners() -> None:
    ours = (EXAMPLES / "ControlService.DisconnectMeter.request.xml").read_bytes()
    with pytest.raises(WireError):
        inbound_operation(codec(), ours, None)


def test_an_action_of_another_operation_is_refused() -> None:
    for action in (None, "", '""', '"http://example.com/StatusChanged"'):
        assert inbound_operation(codec(), GOOD, action).endswith("StatusChanged")
    with pytest.raises(ContractViolation, match="SOAPAction"):
        inbound_operation(codec(), GOOD, '"http://example.com/DataArrived"')

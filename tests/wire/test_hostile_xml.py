"""XML that is never accepted, and what it must not be taken for."""

import time

import pytest

from adapter.errors import ContractViolation, NotWellFormed, WireError
from adapter.wire import xml
from adapter.wire.notifications import inbound_operation, status_changed
from tests.support import for_every
from tests.wire.bodies import EXAMPLES, codec

GOOD = (EXAMPLES / "RequestStatusChangedService.StatusChanged.request.xml").read_bytes()
TOKEN = b"9f3b2c44-7d10-4e0a-8f21-3c5a6b7d8e90"
BARE = GOOD.split(b"?>", 1)[1]


def good_with(old: bytes, new: bytes) -> bytes:
    assert old in GOOD
    return GOOD.replace(old, new)


LAUGHS = b"".join(
    b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"lol") for n in range(10)
)
HOSTILE = {
    "billion laughs": b"<!DOCTYPE x [%s]>%s" % (LAUGHS, BARE.replace(TOKEN, b"&l9;")),
    "quadratic blowup": b'<!DOCTYPE x [<!ENTITY a "%s">]>%s'
    % (b"a" * 50_000, BARE.replace(TOKEN, b"&a;" * 50_000)[:200_000]),
    "external entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'
    + BARE.replace(TOKEN, b"&e;"),
    "external document type": b'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + BARE,
    "parameter entity": b'<!DOCTYPE x [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]>' + BARE,
    "default attributes": b'<!DOCTYPE x [<!ATTLIST x role CDATA "admin">]>' + BARE,
    "undeclared entity": good_with(TOKEN, TOKEN + b"&who;"),
    "deep nesting": good_with(b"<input", b"<a>" * 40 + b"</a>" * 40 + b"<input"),
    "very deep nesting": b"<a>" * 10_000 + b"</a>" * 10_000,
    "attribute flood": good_with(
        b"<RequestToken>", b"<RequestToken %s>" % b" ".join(b'a%d="1"' % n for n in range(5_000))
    ),
    "namespace flood": good_with(
        b"<RequestToken>",
        b"<RequestToken %s>" % b" ".join(b'xmlns:n%d="u%d"' % (n, n) for n in range(5_000)),
    ),
    "nested namespace flood": good_with(
        b"<input",
        b"".join(b'<a xmlns:n%d="u" xmlns:m%d="u">' % (n, n) for n in range(20))
        + b"</a>" * 20
        + b"<input",
    ),
    "too many bytes": good_with(b"</s:Envelope>", b" " * xml.MAX_BYTES + b"</s:Envelope>"),
    "utf-7": b'<?xml version="1.0" encoding="utf-7"?>' + BARE,
    "utf-7 without saying so": b"+ADw-a+AD4-" + BARE,
    "utf-32": b"\xff\xfe\x00\x00" + BARE.decode().encode("utf-32-le"),
    "utf-16 without mark": BARE.decode().encode("utf-16-le"),
    "ebcdic": GOOD.decode().encode("cp037"),
    "latin-1": GOOD.replace(b'encoding="utf-8"', b'encoding="iso-8859-1"'),
    "bytes that are not utf-8": good_with(TOKEN, b"\xc0\xaf" + TOKEN),
    "encoded surrogate": good_with(TOKEN, b"\xed\xa0\x80" + TOKEN),
    "xml 1.1": GOOD.replace(b'version="1.0"', b'version="1.1"'),
    "declaration without version": b'<?xml encoding="utf-8"?>' + BARE,
    "processing instruction": good_with(TOKEN, TOKEN + b"<?php x?>"),
    "processing instruction before the root": b"<?xml-stylesheet href='x'?>" + BARE,
    "nul": good_with(TOKEN, TOKEN + b"\x00"),
    "control character": good_with(TOKEN, TOKEN + b"&#2;"),
    "truncated": GOOD[:-20],
    "two roots": BARE + BARE,
    "empty": b"",
    "not xml": b'{"token": 1}',
    "html": b"<html><body><p>502 Bad Gateway<br></body></html>",
    "duplicate attribute": good_with(b"<RequestToken>", b'<RequestToken a="1" a="2">'),
    "undeclared prefix": good_with(b"<RequestToken>", b"<x:RequestToken>"),
}

NOT_OURS = {
    "no envelope": b"<StatusChanged xmlns='http://www.itron.com/ami/2008/10/common'/>",
    "wrong envelope namespace": good_with(b"schemas.xmlsoap.org/soap/", b"example.com/soap/"),
    "wrong namespace": good_with(b"2008/10/common", b"2007/10/common"),
    "two bodies": good_with(b"</s:Body>", b"</s:Body><s:Body><a/></s:Body>"),
    "two messages": good_with(b"</StatusChanged>", b"</StatusChanged><a/>"),
    "empty body": b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/>'
    b"</s:Envelope>",
    "element inside the token": good_with(TOKEN, TOKEN[:8] + b"<b/>" + TOKEN[8:]),
    "token twice": good_with(TOKEN + b"</Id>", TOKEN + b"</Id><Id>" + TOKEN + b"</Id>"),
    "token that is none": good_with(TOKEN, b"1"),
    "token of zeros": good_with(TOKEN, b"00000000-0000-0000-0000-000000000000"),
    "token in braces": good_with(TOKEN, b"{" + TOKEN + b"}"),
    "no token": good_with(b"<Id>" + TOKEN + b"</Id>", b""),
    "no state": good_with(b"<State>Executing</State>", b""),
    "count that is none": good_with(b"<FailedEndpoints>1<", b"<FailedEndpoints>one<"),
    "count without end": good_with(
        b"<FailedEndpoints>1<", b"<FailedEndpoints>" + b"9" * 5_000 + b"<"
    ),
    "time that is none": good_with(b"<CreatedWhen>2025-03", b"<CreatedWhen>2025-13"),
}


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

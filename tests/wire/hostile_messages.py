"""XML that is never accepted: what no reader may take, and what is no message of ours."""

from adapter.wire import xml
from tests.wire.bodies import EXAMPLES

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

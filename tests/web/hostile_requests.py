"""What callers send that is never taken: bodies, heads and commands, each kind a table by name."""

from collections.abc import Callable, Mapping
from functools import cache, partial

from tests.web.both_servers import SOAP_11, data_arrived, status_changed

GOOD = status_changed().decode()
BARE = GOOD.partition("?>")[2]
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_LAUGHS = '<!ENTITY l0 "lol">' + "".join(
    f'<!ENTITY l{n} "' + f"&l{n - 1};" * 10 + '">' for n in range(1, 10)
)
_ATTRIBUTES = " ".join(f'a{n}="1"' for n in range(2_000))
BOMBS = {
    "billion laughs": f"<!DOCTYPE x [{_LAUGHS}]>{BARE.replace('Completed', '&l9;')}",
    "quadratic blow-up": (
        f'<!DOCTYPE x [<!ENTITY a "{"A" * 60_000}">]>{BARE.replace("Completed", "&a;" * 2_000)}'
    ),
    "external entity": (
        '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + BARE.replace("Completed", "&a;")
    ),
    "parameter entity": '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]>' + BARE,
    "external subset": '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + BARE,
    "undefined entity": BARE.replace("Completed", "&nowhere;"),
}
MALFORMED = {
    **BOMBS,
    "nothing": "",
    "no XML": "StatusChanged, dear gateway",
    "cut short": BARE[: len(BARE) // 2],
    "crossed tags": BARE.replace("</s:Body></s:Envelope>", "</s:Envelope></s:Body>"),
    "two roots": BARE + BARE,
    "processing instruction": BARE.replace("<s:Body>", "<s:Body><?php echo 1 ?>"),
    "XML 1.1": '<?xml version="1.1"?>' + BARE,
    "UTF-7": '<?xml version="1.0" encoding="UTF-7"?>' + BARE,
    "too deep": BARE.replace("Completed", "<a>" * 500 + "</a>" * 500),
    "too many attributes": BARE.replace("<s:Body>", f"<s:Body {_ATTRIBUTES}>"),
    "NUL": BARE.replace("Completed", "Comp\0leted"),
    "undeclared prefix": BARE.replace("<s:Body>", "<s:Body><x:y/>"),
}
WRONG = {
    "no envelope": "<hello/>",
    "no body": f'<s:Envelope xmlns:s="{SOAP_11}"/>',
    "empty body": f'<s:Envelope xmlns:s="{SOAP_11}"><s:Body/></s:Envelope>',
    "two bodies": BARE.replace("</s:Envelope>", "<s:Body><a/></s:Body></s:Envelope>"),
    "two elements in the body": BARE.replace("</s:Body>", "<second/></s:Body>"),
    "wrong namespace": BARE.replace("www.itron.com/ami/2008/10/common", "www.itron.com/other"),
    "an operation of the head end": BARE.replace("StatusChanged", "GetRequestStatus"),
    "a response": BARE.replace("StatusChanged>", "StatusChangedResponse>").replace(
        "StatusChanged ", "StatusChangedResponse "
    ),
    "an operation of another address": data_arrived().decode(),
}

BODY = status_changed()
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
LENGTH = f"Content-Length: {len(BODY)}"
UNCLEAR = {
    "gzip, chunked": (("Transfer-Encoding: gzip, chunked",), CHUNKED, 501),
    "identity, chunked": (("Transfer-Encoding: identity, chunked",), CHUNKED, 501),
    "chunked, chunked": (("Transfer-Encoding: chunked, chunked",), CHUNKED, (400, 501)),
    "gzip": (("Transfer-Encoding: gzip",), CHUNKED, (400, 501)),
    "two codings": (("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), CHUNKED, 400),
    "length and coding": ((LENGTH, "Transfer-Encoding: chunked"), CHUNKED, 400),
    "two actions": ((LENGTH, "SOAPAction: x/StatusChanged", "SOAPAction: x/Other"), BODY, 400),
    "an action twice": ((LENGTH, "SOAPAction: StatusChanged", "soapaction: StatusChanged"), BODY,
                        400),
    "two media types": ((LENGTH, "Content-Type: application/json"), BODY, 400),
    "two encodings": ((LENGTH, "Content-Encoding: identity", "Content-Encoding: gzip"), BODY, 400),
    "two lengths": ((LENGTH, LENGTH), BODY, 400),
    "two expectations": ((LENGTH, "Expect: 100-continue", "Expect: x"), BODY, 400),
    "two credentials": ((LENGTH, "Authorization: Basic eDp5", "Authorization: Basic eDp6"), BODY,
                        400),
}  # fmt: skip

UNDERSTOOD = '<s:Header><t xmlns="urn:x" s:mustUnderstand="1"/></s:Header>'
BARE_DATA = data_arrived().decode().partition("?>")[2]


def before(place: str, text: str) -> str:
    assert place in BARE_DATA
    return BARE_DATA.replace(place, text + place, 1)


def inside(text: str) -> str:
    return before("</sub:DataArrived>", text)


BAD_ENVELOPES = {
    "two bodies": before("</s:Envelope>", "<s:Body/>"),
    "two elements in a body": before("</s:Body>", "<second/>"),
    "an element behind the body": before("</s:Envelope>", "<behind/>"),
    "an element before the body": before("<s:Body>", "<front/>"),
    "a header behind the body": before("</s:Envelope>", "<s:Header/>"),
    "two headers": before("<s:Body>", "<s:Header/><s:Header/>"),
    "must be understood": before("<s:Body>", UNDERSTOOD),
    "must be understood, behind": before("</s:Envelope>", UNDERSTOOD),
    "text beside the element": before("</s:Body>", "text"),
    "text before the element": BARE_DATA.replace("<s:Body>", "<s:Body>text", 1),
    "text beside the body": before("</s:Envelope>", "&#120;"),
    "CDATA beside the body": before("<s:Body>", "<![CDATA[x]]>"),
    "text in the header": before("<s:Body>", "<s:Header>x</s:Header>"),
    "text behind all": BARE_DATA + "x",
    "another envelope": BARE_DATA + BARE_DATA,
    "nothing in the body": f'<s:Envelope xmlns:s="{SOAP_11}"><s:Body></s:Body></s:Envelope>',
    "no body": f'<s:Envelope xmlns:s="{SOAP_11}"></s:Envelope>',
    "deep": inside("<a>" * 30 + "</a>" * 30),
    "33 attributes": inside("<a {}/>".format(" ".join(f"a{n}='1'" for n in range(33)))),
    "33 namespaces": inside("<a {}/>".format(" ".join(f"xmlns:a{n}='u'" for n in range(33)))),
    "a prefix nobody declared": inside("<q:a/>"),
    "cut short": BARE_DATA[:-10],
    "instruction": inside("<?x?>"),
    "xml:id": inside('<a xml:id="1 2"/>'),
    "a namespace with a blank": inside('<a xmlns="a b"/>'),
}  # fmt: skip
BEGINNINGS: Mapping[str, Callable[[str], bytes]] = {
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "UTF-16 without a mark, declared": lambda text: (
        '<?xml version="1.0" encoding="utf-16"?>' + text
    ).encode("utf-16-be"),
    "UTF-8 declared as UTF-16": lambda text: (
        '<?xml version="1.0" encoding="UTF-16"?>' + text
    ).encode(),
    **{
        f"declaration {inside}": partial(lambda inside, text: f"<?xml {inside}?>{text}".encode(),
                                         inside)
        for inside in (
            "version=\"1.0'", 'version="1.0" junk', 'version="1.0" standalone="maybe"',
            'version="1.0" encoding="utf-8" encoding="utf-8"', 'version="1.1"', "",
        )
    },
    "two marks": lambda text: ("\ufeff\ufeff" + text).encode(),
    "a blank before the declaration": lambda text: f' <?xml version="1.0"?>{text}'.encode(),
}  # fmt: skip


@cache
def large() -> bytes:
    return data_arrived(values=20_000)


_DOCTYPE = b'?><!DOCTYPE x [<!ENTITY a "b">]>'
_HEADER = b'<s:Header><x xmlns="urn:x" s:mustUnderstand="1"/></s:Header>'
LARGE_AND_WRONG: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda body: body[:-20],
    "crossed tags": lambda body: body[:-30] + b"</wrong>" + body[-30:],
    "more after the end": lambda body: body + b"<a/>",
    "document type": lambda body: body.replace(b"?>", _DOCTYPE, 1),
    "instruction": lambda body: body.replace(b"<s:Body>", b"<s:Body><?php x ?>", 1),
    "no envelope": lambda _: b"<a>" + b" " * (300 * 1024) + b"</a>",
    "no content": lambda body: (
        body[: body.index(b"<s:Body>")] + b" " * (300 * 1024) + b"</s:Envelope>"
    ),
    "wrong namespace": lambda body: body.replace(b"2009/08/subscriptions", b"elsewhere", 1),
    "wrong operation": lambda body: body.replace(b"DataArrived", b"StatusChanged"),
    "must be understood": lambda body: body.replace(b"<s:Body>", _HEADER + b"<s:Body>", 1),
    "other encoding": lambda body: body.replace(b"utf-8", b"cp437", 1),
    "not UTF-8": lambda body: body.replace(b"ITR1", b"IT\xff1"),
}

LOAD_CHECK = {"kind": "load_check", "devices": ["M1"]}
READ = {"kind": "on_demand_read_scalar", "devices": ["M1"]}
_FIRST = "0001-01-01T00:00:00+14:00"
NO_COMMAND: list[tuple[object, int, str | None]] = [
    (b"{", 400, None),
    (b"", 422, "kind"),
    (b"\xff\xfe", 400, None),
    (b"[" * 100_000, 422, "body"),
    (b'{"period": ' * 50_000, 422, "period.period"),
    (b'{"kind": "load_check", "devices": ["M1"], "kind": "remote_disconnect"}', 400, "kind"),
    (b'{"kind": "load_check", "devices": ["M1"], "devices": ["M2"]}', 400, "devices"),
    (b'{"kind": "load_check", "devices": ["M1"], "k\\u0069nd": "load_check"}', 400, "kind"),
    (b'{"kind": 7, "devices": ["M1"], "devices": ["M1"]}', 400, "devices"),
    (b'{"kind": "load_check", "colour": {"a": 1, "b": [{"c": 1, "c": 1}]}}', 400, "c"),
    (b'\xef\xbb\xbf{"kind": "load_check", "devices": ["M1"], "kind": "x"}', 400, None),
    (b"null", 422, "body"),
    (b"[]", 422, "body"),
    ({}, 422, "kind"),
    ({"kind": "explode", "devices": ["M1"]}, 422, "kind"),
    ({"kind": 7}, 422, "kind"),
    ({**LOAD_CHECK, "colour": "red"}, 422, "colour"),
    ({**LOAD_CHECK, "requester": "somebody else"}, 422, "requester"),
    ({**LOAD_CHECK, "devices": "M1"}, 422, "devices"),
    ({**LOAD_CHECK, "devices": [1]}, 422, "devices[0]"),
    ({**LOAD_CHECK, "devices": [""]}, 422, "devices[0]"),
    ({**LOAD_CHECK, "devices": []}, 422, "devices"),
    ({**LOAD_CHECK, "devices": ["M1", "M2"]}, 422, "devices"),
    ({**LOAD_CHECK, "devices": ["M77"]}, 422, "devices"),
    ({**LOAD_CHECK, "devices": ["M9"]}, 422, "devices"),
    ({**LOAD_CHECK, "group": "G1"}, 422, "group"),
    ({**LOAD_CHECK, "reference": "x" * 201}, 422, "reference"),
    ({**LOAD_CHECK, "reference": "a\0b"}, 422, "reference"),
    ({**LOAD_CHECK, "reference": "a\n"}, 422, "reference"),
    (b'{"kind": "load_check", "devices": ["\\ud800"]}', 400, None),
    ({**LOAD_CHECK, "effective_at": "tomorrow"}, 422, "effective_at"),
    ({**LOAD_CHECK, "effective_at": "2026-03-03T00:00:00"}, 422, "effective_at"),
    ({**LOAD_CHECK, "expires_at": "2020-01-01T00:00:00Z"}, 422, "expires_at"),
    ({**LOAD_CHECK, "effective_at": "9999-12-31T23:59:59Z"}, 422, "effective_at"),
    ({**LOAD_CHECK, "effective_at": "9999-12-31T23:59:59-14:00"}, 422, "effective_at"),
    ({**LOAD_CHECK, "expires_at": "0001-01-01T00:00:00+14:00"}, 422, "expires_at"),
    ({**READ, "period": {"start": _FIRST, "end": "2026-03-02T00:00:00Z"}}, 422, "period"),
    ({**LOAD_CHECK, "check_load": True}, 422, "check_load"),
    ({**LOAD_CHECK, "optional": "yes"}, 422, "optional"),
    (READ, 422, "period"),
    (
        {**READ, "period": {"start": "2026-03-02T00:00:00Z", "end": "2026-03-01T00:00:00Z"}},
        422,
        "period",
    ),
    ({**READ, "period": {"start": "2026-03-02T00:00:00Z"}}, 422, "period.end"),
    (
        {**READ, "period": {"start": "2026-03-02", "end": "2026-03-03T00:00:00Z"}},
        422,
        "period.start",
    ),
]
"""(body, status, field) of what cannot become a command."""

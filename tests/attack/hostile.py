"""Hostile input, by kind: all of it to the address of an order under way, with its own token.

Whatever of it were taken for what it pretends to be would tell the end of that order. The inputs
are those of the tests of the doors.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from tests.attack.report import Kind
from tests.attack.target import Standing, Target, head, request
from tests.clock.machine import TOKEN as TOKEN_OF_REST
from tests.web.both_servers import TOKEN, status_changed
from tests.web.hostile_requests import (
    BAD_ENVELOPES,
    BARE,
    BARE_DATA,
    BEGINNINGS,
    BOMBS,
    LARGE_AND_WRONG,
    LENGTH,
    MALFORMED,
    NO_COMMAND,
    UNCLEAR,
    WRONG,
    large,
)
from tests.wire.hostile_messages import HOSTILE, NOT_OURS
from tests.wire.hostile_messages import TOKEN as WIRE_TOKEN

MIB: Final = 1024 * 1024
_QUICK_MIB: Final = 9
"""More than the largest text that is taken. At this size large data, which take long to make, are
left to the tests of bodies."""

_DATA: Final = "/openway/data"
_ENCODINGS: Final = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "cp037")
_LENGTHS: Final = (
    "Content-Length: -1",
    "Content-Length: 99999999999999999999999",
    "Content-Length: 0x10",
    "Content-Length: 1 1",
    "Transfer-Encoding: xchunked",
)
_HEADS: Final = (
    ("Content-Type: application/json",),
    ("Content-Type: multipart/related; boundary=x",),
    ("Content-Type: text/xml; charset=iso-8859-1",),
    ("Content-Type: text/xml; charset=utf-16",),
    ("Content-Encoding: gzip",),
    ("Content-Encoding: bogus",),
    ("Expect: 200-ok",),
    ('SOAPAction: "http://www.itron.com/ami/GetRequestStatus"',),
)
_NO_HTTP: Final = {
    "nothing of HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 hello there\r\n\r\n",
    "a head that is too long": b"POST / HTTP/1.1\r\n" + b"a: " + b"x" * 70_000 + b"\r\n\r\n",
    "a version nobody knows": b"POST / HTTP/9.9\r\nHost: x\r\n\r\n",
    "a name with a blank": b"POST / HTTP/1.1\r\nHost : x\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a head": b"POST / HTTP/1.1\r\nHost: x\0y\r\n\r\n",
    "a line folded": b"POST / HTTP/1.1\r\nHost: x\r\n y: z\r\n\r\n",
}

Message = bytes
Catalogue = Mapping[str, Message]


async def hostile_input(target: Target, *, size_mib: int, every: int) -> list[Kind]:
    """Each `every`-th of a kind, large ones of `size_mib`."""
    kinds = []
    for name, catalogue in catalogues(target, size_mib).items():
        kind = Kind(name=name)
        before = await target.standing()
        for each in list(catalogue)[::every]:
            await target.measured(kind, each, catalogue[each])
        await _judge(target, kind, before)
        kinds.append(kind)
    kinds.append(await _commands(target, every))
    return kinds


def catalogues(target: Target, size_mib: int) -> dict[str, Catalogue]:
    path = urlsplit(target.orders[0].url).path
    forms: dict[str, str | bytes] = {**MALFORMED, **HOSTILE}
    made: dict[str, dict[str, Message]] = {
        "XML: entities and declarations": {
            name: request(path, _own(text, target)) for name, text in BOMBS.items()
        },
        "XML: form, depth, attributes, encodings": {
            name: request(path, _own(text, target))
            for name, text in forms.items()
            if name not in BOMBS
        },
        "encodings and declarations": {
            name: request(path, make(BARE.replace(TOKEN, target.orders[0].token)))
            for name, make in BEGINNINGS.items()
        },
        "envelopes and operations": {
            name: request(path, _own(text, target)) for name, text in WRONG.items()
        },
        "envelopes of data": {
            name: request(_DATA, text.encode()) for name, text in BAD_ENVELOPES.items()
        },
        "numbers, times, tokens": dict(_contents(target, path)),
        "sizes": {name: request(_DATA, body) for name, body in _sizes(size_mib)},
        "heads of requests": dict(_heads(target, path)),
        "no HTTP": dict(_NO_HTTP),
    }
    return dict(made)


def _own(text: str | bytes, target: Target) -> bytes:
    """With the token of the order, in whatever encoding it stands there."""
    body = text if isinstance(text, bytes) else text.encode()
    if len(body) > MIB:
        return body
    for encoding in _ENCODINGS:
        for token in (TOKEN, WIRE_TOKEN.decode()):
            body = body.replace(token.encode(encoding), target.orders[0].token.encode(encoding))
    return body


def _contents(target: Target, path: str) -> Iterator[tuple[str, Message]]:
    """Well-formed, and wrong inside: kept first, and judged then."""
    for name, body in NOT_OURS.items():
        yield name, request(path, _own(body, target))
    good = status_changed(target.orders[0].token).decode()
    bent = {
        "a count of 2^63": good.replace(">1<", f">{2**63}<"),
        "a count of other digits": good.replace(">1<", ">٣<"),
        "a year of five digits": good.replace(">2026-", ">12026-"),
        "a 30th of February": good.replace("2026-03-02", "2026-02-30"),
        "a token with a blank inside": good.replace("-4", "- 4"),
    }
    for name, text in bent.items():
        assert text != good, name
        yield name, request(path, text.encode())


def _sizes(size_mib: int) -> Iterator[tuple[str, bytes]]:
    size = size_mib * MIB
    open_, _, close = BARE_DATA.partition("</sub:DataArrived>")
    begun, end = open_.encode(), b"</sub:DataArrived>" + close.encode()
    yield "one attribute", begun + b"<a b='" + b"x" * size + b"'/>" + end
    yield "one comment", begun + b"<!--" + b"x" * size + b"-->" + end
    yield "one name", begun + b"<" + b"x" * size + b"/>" + end
    yield "one text", begun + b"<a>" + b"x" * size + b"</a>" + end
    yield "one CDATA", begun + b"<a><![CDATA[" + b"<" * size + b"]]></a>" + end
    yield "blanks before all", b" " * size + begun + end
    yield "blanks behind all", begun + end + b" " * size
    yield "depth", begun + b"<a>" * (size // 3)
    yield "elements, and a wrong end", begun + b"<a/>" * (size // 4) + b"</b>" + end
    yield "references, and a wrong end", begun + b"<a>&#120;</a>" * (size // 13) + b"</b>"
    yield "comments, and a wrong end", begun + b"<!--x-->" * (size // 8) + b"<?x?>" + end
    yield "declarations of prefixes", begun + b"<a xmlns:b='u'/>" * (size // 16) + b"</b>"
    if size_mib > _QUICK_MIB:
        for name, spoil in LARGE_AND_WRONG.items():
            yield name, spoil(large())


def _heads(target: Target, path: str) -> Iterator[tuple[str, Message]]:
    body = status_changed(target.orders[0].token)
    for headers in _HEADS:
        yield headers[0], request(path, body, *headers)
    for name, (given, sent, _) in UNCLEAR.items():
        known = not any(each.startswith("Authorization") for each in given)
        fitting = [each.replace(LENGTH, f"Content-Length: {len(sent)}") for each in given]
        yield name, head(path, *fitting, known=known) + sent
    for each in _LENGTHS:
        yield each, head(path, each) + body
    yield "a bad chunk", head(path, "Transfer-Encoding: chunked") + b"zz\r\nhello\r\n"
    yield "no length", head(path)


async def _commands(target: Target, every: int) -> Kind:
    """Bodies of REST that are no command. They are answered with the rule, and not kept."""
    kind = Kind(name="REST: no command")
    before = await target.standing()
    device = json.dumps(target.free_device).encode()
    for number, (given, *_) in list(enumerate(NO_COMMAND))[::every]:
        body = given if isinstance(given, bytes) else json.dumps(given).encode()
        body = body.replace(b'"M1"', device)
        headers = (
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            f"Authorization: Bearer {TOKEN_OF_REST}",
        )
        message = head("/api/v1/commands", *headers, known=False) + body
        name = f"{number}: {body[:30].decode(errors='replace')}"
        status = await target.measured(kind, name, message, to=target.machine.api)
        if status is not None and 400 <= status < 500:
            kind.refused += 1
        else:
            kind.wrong.append(f"{kind.name}: {name} was answered {status}")
    kind.wrong += [f"{kind.name}: {each}" for each in (await target.standing()).changes(before)]
    return kind


async def _judge(target: Target, kind: Kind, before: Standing) -> None:
    """What was answered with 200 was kept, and is in quarantine once it is judged."""
    after = await target.standing()
    more = after.more(before)
    kind.kept = more.pop("quarantined", 0)
    kind.refused = kind.tried - more.total()
    kind.wrong += [f"{kind.name}: {count} became {state}" for state, count in more.items()]
    kind.wrong += [f"{kind.name}: {each}" for each in after.changes(before)]

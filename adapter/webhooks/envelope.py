"""Events as CloudEvents 1.0 has them over HTTP, made of the bytes that are stored."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Raw

from adapter.webhooks.settings import EventForm

SOURCE: Final = "urn:openway:gateway"
_STRUCTURED: Final = "application/cloudevents+json; charset=utf-8"
_JSON: Final = "application/json"
_PLAIN: Final = "".join(map(chr, range(0x21, 0x7F))).translate({0x22: None, 0x25: None})
"""What a header of a CloudEvent has as it is: printable ASCII but the quote and the percent."""


class _Event(msgspec.Struct):
    """One event of the feed, its members as they are."""

    seq: int
    at: Raw
    id: str
    type: str
    subject: Raw
    severity: Raw
    data: Raw
    traceparent: str = ""


class Envelope(NamedTuple):
    """`id` has no dots and only ASCII: it is signed, and a header."""

    id: str
    headers: Mapping[str, str]
    body: bytes


_decode: Final = msgspec.json.Decoder(_Event).decode
_encode: Final = msgspec.json.encode


def envelope(event: bytes, form: EventForm, source: str = SOURCE) -> Envelope:
    """`event` as the feed has it. `sequence` is its number in the feed, with zeros before it so
    that texts are in the same order."""
    made = _decode(event)
    id_ = quote(made.id, safe=":+-_@,").replace(".", "_")
    if form is EventForm.BINARY:
        return Envelope(id_, _headers(made, source), bytes(made.data))
    trace = b',"traceparent":%b' % _encode(made.traceparent) if made.traceparent else b""
    body = (
        b'{"specversion":"1.0","id":%b,"source":%b,"type":%b,"subject":%b,"time":%b,'
        b'"datacontenttype":"application/json","severity":%b,"sequence":"%020d"%b,"data":%b}'
    ) % (
        _encode(made.id),
        _encode(source),
        _encode(made.type),
        made.subject,
        made.at,
        made.severity,
        made.seq,
        trace,
        made.data,
    )
    return Envelope(id_, {"Content-Type": _STRUCTURED}, body)


def _headers(made: _Event, source: str) -> dict[str, str]:
    attributes = {
        "specversion": "1.0",
        "id": made.id,
        "source": source,
        "type": made.type,
        "subject": str(msgspec.json.decode(made.subject)),
        "time": str(msgspec.json.decode(made.at)),
        "severity": str(msgspec.json.decode(made.severity)),
        "sequence": f"{made.seq:020d}",
    }
    if made.traceparent:
        attributes["traceparent"] = made.traceparent
    named = {f"ce-{name}": quote(value, safe=_PLAIN) for name, value in attributes.items()}
    return {"Content-Type": _JSON, **named}

"""What of a request is read before a route is called: its head, its body, who sent it."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from aiohttp import web

from adapter.errors import meant
from adapter.model.json_members import RepeatedMember, check_members
from adapter.model.texts import visible_line
from adapter.server.bodies import unclear_head
from adapter.server.credentials import Caller
from adapter.web.api.call import HALF, bad_query, check_texts, half_pair, misshapen
from adapter.web.api.problems import ProblemRaised

_NOT_UTF8: Final = "\ufffd"
"""What is read in place of bytes that are no UTF-8."""

CALLER: Final = web.RequestKey("caller", Caller)
"""Who sent it, once that is known."""


def check_headers(request: web.Request, limit: int, media: tuple[str, ...]) -> None:
    unclear = unclear_head(request)
    if unclear is not None:
        raise ProblemRaised(unclear.status, f"http_{unclear.status}", unclear.text)
    length = request.content_length
    if length is None and "Transfer-Encoding" not in request.headers:
        raise ProblemRaised(411, "length_needed", "Content-Length is missing")
    if length is not None and length > limit:
        raise ProblemRaised(413, "too_large", f"at most {limit} bytes", rule=str(limit))
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ("identity", ""):
        raise ProblemRaised(
            415, "content_encoding", "no Content-Encoding is accepted", field="Content-Encoding"
        )
    if length != 0 and request.content_type not in media:
        raise ProblemRaised(
            415, "media_type", f"must be {' or '.join(media)}", field="Content-Type"
        )
    if (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
        raise ProblemRaised(415, "charset", "must be utf-8", field="Content-Type")
    if request.headers.get("Expect", "100-continue").lower() != "100-continue":
        raise ProblemRaised(417, "http_417", "only 100-continue", field="Expect")


def decoded(decoder: "msgspec.json.Decoder[msgspec.Struct]", raw: bytes) -> msgspec.Struct:
    """Raises 422 naming the field for JSON of another shape, 400 for what is no JSON and for an
    object that has a member twice."""
    doubt: ValueError | None = None
    try:
        check_members(raw)
    except RepeatedMember as error:
        raise ProblemRaised(
            400, "repeated_member", f"{error}", field=error.name[:100], rule="once in an object"
        ) from None
    except ValueError as error:
        doubt = error  # the decoder says it better, or names the field
    try:
        decoded = decoder.decode(raw)
        if doubt is not None:
            raise doubt
    except msgspec.ValidationError as error:
        raise _misshapen(str(error), decoder.type, raw) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        why = HALF if half_pair(raw) else str(error)
        raise ProblemRaised(400, "malformed_json", f"the body is no JSON: {why}") from None
    check_texts(decoded)
    return decoded


def _misshapen(text: str, body: type[msgspec.Struct], raw: bytes) -> ProblemRaised:
    try:
        given: object = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):  # behind what was read of it
        given = None
    field, rule = misshapen(text, body, given)
    return ProblemRaised(422, "invalid_request", f"{field}: {rule}", field=field, rule=rule)


def query_of(known: Sequence[str], request: web.Request) -> Mapping[str, str]:
    """The query by name. Raises 422 for a name that is unknown or stands twice."""
    found: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in known:
            shown = visible_line(name[:100])
            rule = f"one of {', '.join(known)}{meant(name, known)}" if known else "there is none"
            detail = f"unknown parameter {shown}: {rule}"
            raise ProblemRaised(422, "bad_query", detail, field=shown, rule=rule)
        if name in found:
            raise bad_query(name, "stands twice")
        if _NOT_UTF8 in value:
            raise bad_query(name, "must be UTF-8")
        found[name] = value
    return found

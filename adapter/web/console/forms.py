"""Forms: what people sent, its token, and the body of the route that is made of it."""

import hmac
import json
from collections.abc import Mapping
from functools import cache
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from adapter.server.bodies import read_body
from adapter.server.settings import RestSettings
from adapter.web.api.commands import IDEMPOTENCY_KEY, SECOND_KEY
from adapter.web.api.incoming import check_headers, decoded
from adapter.web.api.problems import ProblemRaised
from adapter.web.console.buttons import ALL_LIMITS, Button, FieldKind

MEDIA: Final = "application/x-www-form-urlencoded"
CSRF: Final = "csrf"
_MOST_FIELDS: Final = 2_000
_MOST_BYTES: Final = 256 * 1024

Form = Mapping[str, str]


async def read_form(request: web.Request, settings: RestSettings) -> Form:
    """Raises ProblemRaised for what is no form, is too large, or has a field twice."""
    limit = min(settings.body_bytes, _MOST_BYTES)
    check_headers(request, limit, (MEDIA,))
    body = await read_body(request, limit=limit, deadline_s=settings.deadline_s)
    if body.status:
        raise ProblemRaised(body.status, f"http_{body.status}", body.text)
    try:
        pairs = parse_qsl(
            body.raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body.raw),
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise ProblemRaised(400, "malformed_form", "the form cannot be read") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise ProblemRaised(400, "malformed_form", "a field stands twice")
    return form


def check_token(form: Form, wanted: str) -> None:
    """Raises ProblemRaised 403 for a form that this session was not given."""
    if not wanted or not hmac.compare_digest(
        form.get(CSRF, "").encode("utf-8", "replace"), wanted.encode()
    ):
        text = "this form has no token of your session: load the page again"
        raise ProblemRaised(403, "csrf_token_missing", text)


def body_of(button: Button, form: Form) -> msgspec.Struct:
    """What the route takes. Raises ProblemRaised 422 naming the field."""
    made: dict[str, object] = dict(button.fixed)
    for field in button.fields:
        given = form.get(field.name, "").strip()
        if field.kind is FieldKind.SECOND_KEY:
            continue
        if field.kind is FieldKind.YES:
            made[field.name] = given == "true"
            continue
        if not given:
            if field.needed:
                raise ProblemRaised(
                    422,
                    "invalid_request",
                    f"{field.label} is needed",
                    field=field.name,
                    rule="is needed",
                )
            continue
        made[field.name] = _value(field.kind, given)
    kind = button.route.takes
    assert kind is not None
    return decoded(_decoder(kind), json.dumps(made).encode())


def _value(kind: FieldKind, given: str) -> object:
    if kind is FieldKind.LINES:
        return [line.strip() for line in given.splitlines() if line.strip()]
    if kind is FieldKind.NUMBER and given.isascii() and given.isdecimal():
        return int(given[:18])
    if kind is FieldKind.LIMIT:
        return "" if given == ALL_LIMITS else given
    return {"true": True, "false": False}.get(given, given) if kind is FieldKind.CHOICE else given


def headers_of(button: Button, form: Form) -> Mapping[str, str]:
    """The second person's key, and the key by which the same form sent twice is one call."""
    headers: dict[str, str] = {}
    for field in button.fields:
        if field.kind is FieldKind.SECOND_KEY and (given := form.get(field.name, "").strip()):
            headers[SECOND_KEY] = given
    if IDEMPOTENCY_KEY in button.route.headers and (once := form.get("once", "")):
        headers[IDEMPOTENCY_KEY] = once
    return headers


@cache
def _decoder(kind: type[msgspec.Struct]) -> "msgspec.json.Decoder[msgspec.Struct]":
    return msgspec.json.Decoder(kind)

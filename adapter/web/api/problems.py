"""Every error of the JSON interface as RFC 9457 problem details: what, where, by which rule."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from aiohttp import web

from adapter.engine.commands.bulk import BulkRefused, RowFault
from adapter.errors import (
    Conflict,
    Forbidden,
    GatewayError,
    InvalidRequest,
    NotFound,
    NotKept,
    StoreFailed,
)

MEDIA_TYPE: Final = "application/problem+json"
LINES: Final = "application/x-ndjson"
HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


class HttpProblem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """RFC 9457. `code` is stable; `field` is the place in the request, `rule` what it breaks;
    `faults` are the rows of a bulk request that are refused."""

    type: str
    title: str
    status: int
    code: str
    detail: str = ""
    field: str | None = None
    rule: str | None = None
    faults: Sequence[RowFault] = ()


TITLES: Final[Mapping[int, str]] = {
    400: "The request cannot be read",
    401: "A key is needed",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "The request did not come in time",
    409: "Conflict",
    410: "No longer kept",
    411: "A length is needed",
    413: "The request is too large",
    415: "Media type not supported",
    417: "Expectation cannot be met",
    422: "The request breaks a rule",
    429: "Too many at once",
    500: "Internal error",
    501: "Not supported",
    503: "Not available now",
}
# fmt: off
MISTAKES: Final = (
    ("a body that is no JSON",                                                400, "malformed_json"),
    ("an object that has a member twice",                                     400, "repeated_member"),
    ("no key, one that is not known, one that has expired",                   401, "unauthorized"),
    ("a key without the role",                                                403, "role_missing"),
    ("no second key where two people are needed",                             403, "second_person_missing"),
    ("a path that names what is not there",                                   404, "not_found"),
    ("a method that the path does not have",                                  405, "http_405"),
    ("the same idempotency key or reference with other content",              409, "conflict"),
    ("what the state of a thing forbids",                                     409, "conflict"),
    ("a body without a length",                                               411, "length_needed"),
    ("a body that is too large",                                              413, "too_large"),
    ("a body of another media type",                                          415, "media_type"),
    ("in a body: a member that is unknown or missing, a value of another type, a word that is none",
                                                                              422, "invalid_request"),
    ("in a query: a parameter that is unknown or stands twice, a value that it cannot have",
                                                                              422, "bad_query"),
    ("a body or a filter that names a device which the registry does not have",
                                                                              422, "unknown_device"),
    ("a filter that names a service point which the registry does not have",  422, "unknown_service_point"),
    ("too many wrong keys from one address",                                  429, "too_many_failures"),
)
# fmt: on
"""What callers do wrong: the status and the code of each, the same on every route."""
_STATUS_OF: Final[tuple[tuple[type[GatewayError], int], ...]] = (
    (InvalidRequest, 422),
    (NotFound, 404),
    (NotKept, 410),
    (Forbidden, 403),
    (Conflict, 409),
    (StoreFailed, 503),
)
"""Narrow before wide: the first that fits counts."""
_PUBLIC_TEXT: Final[Mapping[type[GatewayError], str]] = {
    StoreFailed: "storage failed; nothing was accepted",
}


class ProblemRaised(Exception):
    """Ends the work on a request with this problem."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        field: str | None = None,
        rule: str | None = None,
        headers: Mapping[str, str] | None = None,
        faults: Sequence[RowFault] = (),
    ) -> None:
        super().__init__(detail)
        self.problem = HttpProblem(
            type=f"urn:openway:problem:{code}",
            title=TITLES[status],
            status=status,
            code=code,
            detail=detail,
            field=field,
            rule=rule,
            faults=faults,
        )
        self.headers = dict(headers or {})


def of_error(error: GatewayError) -> ProblemRaised:
    """The problem for one of the gateway's own errors; what is not for outside is a plain 500."""
    status = next((status for kind, status in _STATUS_OF if isinstance(error, kind)), 500)
    if status == 500:
        return ProblemRaised(500, "internal_error", "the request could not be processed")
    detail = next((text for kind, text in _PUBLIC_TEXT.items() if isinstance(error, kind)), None)
    field = rule = None
    if isinstance(error, InvalidRequest):
        field, rule = error.field, error.rule
    headers = {"Retry-After": "5"} if status == 503 else None
    return ProblemRaised(
        status,
        error.code,
        detail or str(error),
        field=field,
        rule=rule,
        headers=headers,
        faults=error.faults if isinstance(error, BulkRefused) else (),
    )


def response_of(raised: ProblemRaised) -> web.Response:
    return web.Response(
        status=raised.problem.status,
        body=msgspec.json.encode(raised.problem),
        content_type=MEDIA_TYPE,
        headers={**HEADERS, **raised.headers},
    )

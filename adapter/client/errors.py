"""What a caller of the REST API has to know of an answer that it did not get.

GatewayError
├── Unreachable         no answer: not there, too slow, or not the API; it may have been carried out
└── ApiProblem          the API said no: HTTP status, stable code, field and rule
    ├── BadRequest      the request breaks a rule, named by field and rule: change it
    ├── KeyRefused      the key is missing, unknown or expired, or its roles do not allow it
    ├── NoSuchThing     no such command, order, device or entry; or it is no longer kept
    ├── StateForbids    the same key with other content, or the state forbids it: look again
    └── TryLater        nothing was accepted for now: the same request may be sent again
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from adapter.errors import GatewayError


class Unreachable(GatewayError):
    """No answer came from the API. `sent` is False where no byte of the request has left."""

    code = "unreachable"

    def __init__(self, text: str, *, sent: bool = True) -> None:
        super().__init__(text)
        self.sent = sent


class ApiProblem(GatewayError):
    """The API refused. `status` is HTTP's, `code` the gateway's own where it gave one; `field` is
    the place in the request and `rule` what it breaks, where they are known; `faults` have `line`,
    `field` and `rule` of the rows of a bulk request. `after_s` is how long the API wants to be left
    alone."""

    def __init__(
        self,
        status: int,
        code: str,
        text: str,
        *,
        field: str | None = None,
        rule: str | None = None,
        faults: Sequence[object] = (),
        after_s: float = 0.0,
    ) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.field = field
        self.rule = rule
        self.faults = tuple(each for each in faults if isinstance(each, Mapping))
        self.after_s = after_s


class BadRequest(ApiProblem):
    pass


class KeyRefused(ApiProblem):
    pass


class NoSuchThing(ApiProblem):
    pass


class StateForbids(ApiProblem):
    pass


class TryLater(ApiProblem):
    pass


_BY_STATUS: Final[Mapping[int, type[ApiProblem]]] = MappingProxyType(
    {
        **dict.fromkeys((400, 405, 408, 411, 413, 415, 417, 422), BadRequest),
        **dict.fromkeys((401, 403), KeyRefused),
        **dict.fromkeys((404, 410), NoSuchThing),
        409: StateForbids,
        **dict.fromkeys((429, 503), TryLater),
    }
)
_BY_CODE: Final[Mapping[str, type[ApiProblem]]] = MappingProxyType(
    {"too_many_failures": KeyRefused}
)
_LONGEST_WISH_S: Final = 3_600.0


def problem_of(
    status: int, body: Mapping[str, object], headers: Mapping[str, str] = MappingProxyType({})
) -> ApiProblem:
    """Of problem details (RFC 9457), or of whatever object came with that status."""
    code = str(body.get("code") or f"http_{status}")
    text = str(body.get("detail") or body.get("title") or f"the API answered {status}")
    kind = _BY_CODE.get(code) or _BY_STATUS.get(status, ApiProblem)
    field, rule, faults = body.get("field"), body.get("rule"), body.get("faults")
    wish = headers.get("Retry-After", "")
    after_s = float(wish) if wish.isascii() and wish.isdigit() and len(wish) < 9 else 0.0
    return kind(
        status,
        code,
        text,
        field=field if isinstance(field, str) else None,
        rule=rule if isinstance(rule, str) else None,
        faults=faults if isinstance(faults, list) else (),
        after_s=min(after_s, _LONGEST_WISH_S),
    )

"""What the routes of every subject share: request, answer, query, common types."""

import asyncio
import json
import re
from collections.abc import (
    AsyncGenerator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Annotated, Final, Protocol, TypeVar

import msgspec
from msgspec import Meta, Struct, inspect

from adapter.engine.commands.ports import AuditEntry, Clock
from adapter.engine.feed.ports import FeedPage
from adapter.engine.gateway import Gateway
from adapter.engine.listing import AskedFilter, UnreadableRow
from adapter.errors import InvalidRequest, NotFound, UnknownDevice, UnknownServicePoint, meant
from adapter.model.decimals import DECIMAL_PATTERN, read_decimal
from adapter.model.device import InstallStatus
from adapter.model.entered_value import value_of_json
from adapter.model.ids import DeviceId, ServicePointId, is_sortable_id
from adapter.model.texts import (
    ID_PATTERN,
    LONGEST,
    TEXT_PATTERN,
    id_problem,
    text_problem,
    visible_line,
)
from adapter.model.whole_numbers import CURSOR, ROW, Span, read_whole
from adapter.server.credentials import ApiKeys, Caller
from adapter.server.issuer import Issuer
from adapter.server.issuer_login import IssuerLogin
from adapter.server.settings import RestSettings, Role
from adapter.settings.changes import RunningSettings
from adapter.web.api.head_end import HeadEndFacts
from adapter.web.api.problems import ProblemRaised
from adapter.web.api.waiting_places import WaitingPlaces

S = TypeVar("S", bound=msgspec.Struct)
E = TypeVar("E", bound=StrEnum)

PREFIX: Final = "/api/v1"
ASKED: Final = ("since", "updated", "requester", "reference")
"""Filters of lists of what somebody asked for."""

MOST_ITEMS: Final = 500
_PAGE: Final = Span(1, MOST_ITEMS)
_EXPORTS_AT_ONCE: Final = 2

READ_AT_ONCE: Final = 64 * 1024
"""Bytes of a body that are read between two turns of the event loop; longer ones are read by a
thread, for nobody else would be answered meanwhile."""

Id = Annotated[str, Meta(min_length=1, max_length=LONGEST, pattern=ID_PATTERN)]
Text = Annotated[str, Meta(max_length=LONGEST, pattern=TEXT_PATTERN)]
NeededText = Annotated[str, Meta(min_length=1, max_length=LONGEST, pattern=TEXT_PATTERN)]
_ADDRESS: Final = r"^https?://[\x21-\x7e]+$"
Address = Annotated[str, Meta(min_length=1, max_length=2_000, pattern=_ADDRESS)]
Moment = Annotated[datetime, Meta(tz=True)]
DecimalText = Annotated[
    msgspec.Raw,
    Meta(
        extra_json_schema={
            "anyOf": [{"type": "number"}, {"type": "string", "pattern": DECIMAL_PATTERN}],
        }
    ),
]
Json = Annotated[object, Meta(extra_json_schema={"description": "Any JSON value."})]
RULES: Final[Mapping[str, str]] = {
    ID_PATTERN: "an id: no blanks around it, and no character that nobody sees",
    TEXT_PATTERN: "a text without characters that nobody sees",
    _ADDRESS: "an address that begins with http:// or https://, of printable ASCII",
}
"""What those patterns mean, for people."""
_CHECKS: Final[Mapping[str | None, Callable[[str], str | None]]] = {
    ID_PATTERN: id_problem,
    TEXT_PATTERN: text_problem,
}
_type_of: Final = cache(inspect.type_info)
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(.+?)`")
_MISSING_FIELD: Final = re.compile(r"missing required field `(.+?)`")
_UNKNOWN_WORD: Final = re.compile(r"^Invalid enum value '(.*)'$", re.DOTALL)
_PATTERN: Final = re.compile(r"^Expected `str` matching regex '(.*)'$", re.DOTALL)
_NO_TIME: Final = "Invalid RFC3339 encoded datetime"
_OTHER_TYPE: Final = re.compile(r"^Expected `([^`]+)`, got `([^`]+)`$")
_LONG_LIST: Final = re.compile(r"^Expected `array` of length <= (\d+)$")
_TYPES: Final[Mapping[str, str]] = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a time",
}
_PLACE: Final = re.compile(r" - at `\$\.?(.*?)`$")
HALF: Final = "a text has half of a surrogate pair (\\ud800 to \\udfff), which is no character"
_PART: Final = re.compile(r"\[[^\]]*\]|[^.\[\]]+")
"""Of a place in a body: `[0]`, or a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One request, its body already read. Names in `query` are those of the route."""

    key: Caller | None
    headers: Mapping[str, str]
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: msgspec.Struct | None
    now: datetime

    @property
    def actor(self) -> str:
        return self.key.name if self.key is not None else ""

    def read(self, kind: type[S]) -> S:
        """The body, which the route has had read as `kind`."""
        assert isinstance(self.body, kind)
        return self.body


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiResponse:
    """`lines` are sent one after the other, as they come, in place of `body`, and `pages` as
    server-sent events; `raw` is sent as it is."""

    body: object = None
    raw: bytes | None = None
    media: str = "application/json"
    lines: AsyncGenerator[bytes, None] | None = None
    pages: AsyncGenerator[FeedPage, None] | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class KeyFile(Protocol):
    """The file of keys, as far as calls change it."""

    problem: str
    """Why what stands in it now is not in force; empty: it is."""

    async def withdraw(self, key: str, *, by: str, reason: str) -> None:
        """By id, or by a name that has one key alone. Raises NotFound, Conflict."""


class ApiContext:
    """What the calls work with. `key_file` is None where keys are of no file, `live` where the
    interface stands without a service."""

    def __init__(self, gateway: Gateway, settings: RestSettings, clock: Clock) -> None:
        self.gateway = gateway
        self.settings = settings
        self.keys = ApiKeys(settings.keys)
        self.key_file: KeyFile | None = None
        self.head_end: HeadEndFacts | None = None
        self.live: RunningSettings | None = None
        self.issuer = (
            None if settings.oidc is None else Issuer(settings.oidc, clock, taken=self.keys.names)
        )
        self.login: IssuerLogin | None = None
        """Where people log in to the console beside keys."""
        if settings.oidc is not None and settings.oidc.login is not None and self.issuer:
            self.login = IssuerLogin(settings.oidc, settings.oidc.login, self.issuer)
        self.waiting = WaitingPlaces(settings.waiting_at_once)
        self.exporting = asyncio.Semaphore(_EXPORTS_AT_ONCE)

    async def caller_of(self, token: str, *, now: datetime) -> Caller | None:
        """Whose token it is; None where it is nobody's."""
        known = self.keys.of_token(token, now=now) if token else None
        if known is None and self.issuer is not None:
            return await self.issuer.caller_of(token, now=now)
        return known


def wait_of(api: ApiContext, asked: ApiRequest) -> float:
    """How many seconds the caller waits, as far as the settings let it."""
    return min(seconds_of(asked, "wait"), api.settings.longest_wait_s)


def answer_from(kind: type[S], value: object, **others: object) -> S:
    """A `kind` with the fields of `value` that bear the same names, and `others` where they differ.
    Raises msgspec.ValidationError where they are of other types, AttributeError where one lacks."""
    fields = {name: getattr(value, name) for name in kind.__struct_fields__ if name not in others}
    return msgspec.convert(fields | others, kind, from_attributes=True)


def decimal_of(place: str, given: msgspec.Raw) -> Decimal:
    """The value of a reading. Raises InvalidRequest naming the place."""
    try:
        return value_of_json(bytes(given))
    except ValueError as error:
        raise InvalidRequest(place, str(error)) from None


async def check_device(api: ApiContext, given: str | None, name: str = "device") -> None:
    """Raises UnknownDevice, for a list of which nothing was found."""
    if given is not None and not await api.gateway.registry.knows_device(DeviceId(given)):
        raise UnknownDevice(name, f"{visible_line(given)} is not in the registry")


async def check_service_point(api: ApiContext, given: str | None) -> None:
    """Raises UnknownServicePoint, for a list of which nothing was found."""
    if given is None:
        return
    try:
        await api.gateway.registry.service_point(ServicePointId(given))
    except NotFound:
        rule = f"{visible_line(given)} is not in the registry"
        raise UnknownServicePoint("service_point", rule) from None


def check_callback(api: ApiContext, url: str | None) -> None:
    """Raises InvalidRequest for an address that no `[[events.callback]]` allows."""
    if url is not None and not api.gateway.feed.deliveries.allowed(url):
        raise InvalidRequest("callback_url", "is not an address that events.callback allows")


def install_status_of(
    api: ApiContext, place: str, name: str | None
) -> tuple[InstallStatus | None, str]:
    """The status of that name, one of the product's or a site's own, and the site's own name where
    it is one: the rule of crew reports. Raises InvalidRequest naming the place."""
    if name is None:
        return None, ""
    lookups = api.gateway.orders.rules.configuration.lookups
    found = lookups.status(name)
    if found is None:
        known = lookups.status_names
        rule = f"{name[:40]} is not one of {', '.join(known)}{meant(name, known)}"
        raise InvalidRequest(place, rule)
    return found


def check_texts(body: Struct) -> None:
    """Hold each `Id` and `Text` of a body to the rules of ids and texts of master data, of which
    their patterns say only a part. Raises ProblemRaised 422 naming the field."""
    for place, rule in _bad_texts(_type_of(type(body)), body, ""):
        raise ProblemRaised(422, "invalid_request", f"{place}: {rule}", field=place, rule=rule)


def _bad_texts(kind: inspect.Type, value: object, place: str) -> Iterator[tuple[str, str]]:
    """(place, what is wrong) of each."""
    match kind, value:
        case inspect.UnionType(), _:
            for each in kind.types:
                yield from _bad_texts(each, value, place)
        case inspect.StructType(), Struct():
            for each_field in kind.fields:
                inner = f"{place}.{each_field.name}" if place else each_field.name
                yield from _bad_texts(each_field.type, getattr(value, each_field.name), inner)
        case inspect.ListType(item_type=inspect.StrType(pattern=pattern)), list() if (
            pattern in _CHECKS
        ):
            check = _CHECKS[pattern]
            for number, item in enumerate(value):
                if (problem := check(item)) is not None:
                    yield f"{place}[{number}]", problem
        case inspect.ListType(), list():
            for number, item in enumerate(value):
                yield from _bad_texts(kind.item_type, item, f"{place}[{number}]")
        case inspect.StrType(pattern=pattern), str() if pattern in _CHECKS:
            if (problem := _CHECKS[pattern](value)) is not None:
                yield place, problem


def half_pair(raw: bytes) -> bool:
    """Whether a text of the body has half of a surrogate pair, which is no character."""
    try:
        json.dumps(json.loads(raw), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def misshapen(text: str, body: type[Struct], given: object) -> tuple[str, str]:
    """The field and the rule, of what the decoder says of a `given` body, which names the field;
    of an unknown word those that it takes for this body, of an id or a text that is none, why."""
    place = _PLACE.search(text)
    rule = _PLACE.sub("", text)
    wrong = _UNKNOWN_WORD.search(rule)
    if place is not None and wrong is not None and (words := words_at(body, place[1])):
        rule = f"{wrong[1][:40]} is not one of {', '.join(words)}{meant(wrong[1], words)}"
    unknown = _UNKNOWN_FIELD.search(text)
    if unknown is not None:
        known = fields_at(body, place[1] if place else "")
        rule = f"unknown field {unknown[1][:100]}{meant(unknown[1], known)}"
    if rule == _NO_TIME:
        rule = "is no time, as 2026-03-01T06:00:00Z"
    if other := _OTHER_TYPE.search(rule):
        wanted = " or ".join(_TYPES.get(each, each) for each in other[1].split(" | "))
        rule = f"must be {wanted}, not {_TYPES.get(other[2], other[2])}"
    if found := _LONG_LIST.search(rule):
        rule = f"at most {found[1]} items"
    if found := _PATTERN.search(rule):
        pattern = found[1].encode().decode("unicode_escape")
        rule = RULES.get(pattern, "has another form")
        value = _at(given, place[1]) if place else None
        if pattern in _CHECKS and isinstance(value, str):
            rule = _CHECKS[pattern](value) or rule
    named = unknown or _MISSING_FIELD.search(text)
    parts = [place[1] if place else "", named[1] if named else ""]
    return ".".join(part for part in parts if part) or "body", rule


def _at(value: object, place: str) -> object:
    """What of a body stands at a place, as msgspec names it; None where that is not one value."""
    for part in _PART.findall(place):
        if isinstance(value, list) and part.startswith("["):
            value = value[int(part[1:-1])] if part != "[...]" else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def words_at(body: type[Struct], place: str) -> tuple[str, ...]:
    """The words that may stand at a place of a body, as msgspec names it (`recurrence.first`,
    `not_done[0]`); none where it takes other values."""
    kinds: tuple[inspect.Type, ...] = (_type_of(body),)
    for name in _PART.findall(place):
        kinds = tuple(_within(kinds, name))
    return tuple(str(each) for kind in _alternatives(kinds) for each in _words(kind))


def fields_at(body: type[Struct], place: str) -> tuple[str, ...]:
    """The fields that an object at a place of a body may have; see `words_at`."""
    kinds: tuple[inspect.Type, ...] = (_type_of(body),)
    for name in _PART.findall(place):
        kinds = tuple(_within(kinds, name))
    found = (each for each in _alternatives(kinds) if isinstance(each, inspect.StructType))
    return tuple(field.encode_name for each in found for field in each.fields)


def _alternatives(kinds: Iterable[inspect.Type]) -> Iterator[inspect.Type]:
    for kind in kinds:
        match kind:
            case inspect.UnionType(types=types):
                yield from _alternatives(types)
            case inspect.Metadata(type=inner):
                yield from _alternatives([inner])
            case _:
                yield kind


def _within(kinds: Iterable[inspect.Type], name: str) -> Iterator[inspect.Type]:
    for kind in _alternatives(kinds):
        match kind:
            case inspect.StructType(fields=fields):
                yield from (each.type for each in fields if each.encode_name == name)
            case inspect.ListType(item_type=item):
                yield item


def _words(kind: inspect.Type) -> Sequence[object]:
    match kind:
        case inspect.EnumType(cls=cls):
            return [each.value for each in cls]
        case inspect.LiteralType(values=values):
            return values
    return ()


class RawBody(Struct, kw_only=True):
    """A body that is no JSON, as it came, of this media type."""

    media: str
    raw: bytes


class ReasonIn(Struct, kw_only=True, forbid_unknown_fields=True):
    reason: Text = ""


class NothingIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """No fields."""


class HistoryEntry(Struct, kw_only=True):
    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Mapping[str, Json]

    @classmethod
    def of(cls, entry: AuditEntry) -> "HistoryEntry":
        note = entry.note
        return answer_from(cls, note, seq=entry.seq, at=entry.at)


class UnreadableOut(Struct, kw_only=True):
    """A row of the page that cannot be read. `error` is the type of the error, `detail` its text;
    `set_aside` its number at /set-aside, null where nothing has tried to work on it yet."""

    id: str
    error: str
    detail: str
    set_aside: int | None

    @classmethod
    def of(cls, row: UnreadableRow) -> "UnreadableOut":
        return msgspec.convert(row, cls, from_attributes=True)


# ---------------------------------------------------------------- the query and the path


def require(key: Caller | None, *roles: Role) -> None:
    """Raises ProblemRaised 403 unless the key has one of the roles."""
    if key is None or not key.roles & set(roles):
        names = " or ".join(role.value for role in roles)
        raise ProblemRaised(403, "role_missing", f"this needs the role {names}", rule=names)


def bad_query(name: str, rule: str) -> ProblemRaised:
    return ProblemRaised(422, "bad_query", f"{name}: {rule}", field=name, rule=rule)


def id_of(asked: ApiRequest, name: str) -> str | None:
    """An id of the query. Raises ProblemRaised 422 for what no id can be."""
    given = asked.query.get(name)
    if given is not None and (problem := id_problem(given)) is not None:
        raise bad_query(name, problem)
    return given


def text_of(asked: ApiRequest, name: str) -> str | None:
    """A text of the query. Raises ProblemRaised 422 for what no text can be."""
    given = asked.query.get(name)
    if given is not None and (problem := text_problem(given)) is not None:
        raise bad_query(name, problem)
    return given


def member(asked: ApiRequest, name: str, kind: type[E]) -> E | None:
    given = asked.query.get(name)
    if given is None:
        return None
    try:
        return kind(given)
    except ValueError:
        raise bad_query(name, f"one of {', '.join(kind)}{meant(given, kind)}") from None


def flag_of(asked: ApiRequest, name: str) -> bool:
    given = asked.query.get(name, "false")
    if given not in ("true", "false"):
        raise bad_query(name, "true or false")
    return given == "true"


def yes_or_no(asked: ApiRequest, name: str) -> bool | None:
    """A flag of the query that may be left open."""
    return flag_of(asked, name) if name in asked.query else None


def whole_of(asked: ApiRequest, name: str, span: Span = CURSOR) -> int:
    """Raises ProblemRaised 422 naming the range."""
    try:
        return read_whole(asked.query[name], span)
    except ValueError:
        raise bad_query(name, f"a whole number, {span}") from None


def row_of(asked: ApiRequest, name: str, what: str) -> int:
    """The number of a row in the path. Raises NotFound for what no row can have."""
    given = asked.path[name]
    try:
        return read_whole(given, ROW)
    except ValueError:
        raise NotFound(f"no {what} {visible_line(given[:40])}") from None


def cursor_of(asked: ApiRequest) -> str | None:
    """The cursor of pages whose items have sortable ids."""
    given = asked.query.get("cursor")
    if given is not None and not is_sortable_id(given):
        raise bad_query("cursor", "must be `next` of the page before")
    return given


def limit_of(asked: ApiRequest) -> int:
    return whole_of(asked, "limit", _PAGE) if "limit" in asked.query else 50


def moment_of(asked: ApiRequest, name: str) -> datetime | None:
    """A time of the query, in UTC. Raises ProblemRaised 422."""
    given = asked.query.get(name)
    return None if given is None else read_moment(name, given)


def read_moment(name: str, text: str) -> datetime:
    """Raises ProblemRaised 422, also for one without a zone."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise bad_query(name, "needs a zone, as in 2026-03-01T06:00:00Z")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_query(name, "a time as 2026-03-01T06:00:00Z") from None


def asked_of(asked: ApiRequest) -> AskedFilter:
    """The filters of `ASKED`. Raises ProblemRaised 422."""
    return AskedFilter(
        since=moment_of(asked, "since"),
        updated=moment_of(asked, "updated"),
        requester=text_of(asked, "requester"),
        reference=text_of(asked, "reference"),
    )


def seconds_of(asked: ApiRequest, name: str) -> float:
    given = asked.query.get(name, "0")
    try:
        seconds = float(read_decimal(given))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise bad_query(name, "seconds, 0 to 86400")
    return seconds

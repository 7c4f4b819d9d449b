"""Routes of bulk requests: many commands of one kind, as lines of JSON or as a table."""

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from adapter.commands.activity import Command, CommandRequest, State
from adapter.commands.flows import CommandKind
from adapter.commands.rules import MOST_DEVICES
from adapter.engine.commands.bulk import BulkHeader, BulkId, BulkRequest, RowFault, check_count
from adapter.errors import InvalidRequest
from adapter.model.json_members import RepeatedMember, json_value
from adapter.model.whole_numbers import ROW
from adapter.web.api.call import (
    HALF,
    PREFIX,
    READ_AT_ONCE,
    ApiContext,
    ApiRequest,
    ApiResponse,
    RawBody,
    answer_from,
    check_callback,
    check_texts,
    half_pair,
    install_status_of,
    limit_of,
    misshapen,
    require,
    whole_of,
)
from adapter.web.api.commands import CommandIn, check_key, key_of, role_for
from adapter.web.api.problems import ProblemRaised

K = TypeVar("K", bound=CommandIn)

CSV: Final = "text/csv"
_OF_THE_WHOLE: Final = ("kind", "idempotency_key", "partial", "devices")


class BulkIn(CommandIn, kw_only=True):
    """The first line of a bulk request: its header. It has the kind, a key for the whole, and what
    all rows share, each a member of a command. The lines behind it are rows: in JSON an object with
    `device` or `devices` and what this row has of its own; in CSV a table whose first line names
    the columns, `period.start` for a member of a member.

    All rows are accepted, or none, unless `partial` is true. A row without an idempotency key has
    that of the header with `/` and its line behind it.
    """

    partial: bool = False


class FaultOut(Struct, kw_only=True):
    """Why a row is refused. `line` is that of the file, from 1: the header's."""

    line: int
    field: str
    rule: str


class BulkOut(Struct, kw_only=True):
    """A bulk request. Of its `rows`, `accepted` became commands, `known` were commands before,
    under their keys, and `refused` are none; `faults` says why, of the first 100. `states` counts
    the commands by where they stand now, `open` are those that are not final."""

    id: str
    kind: CommandKind
    requester: str
    reference: str
    created_at: datetime
    rows: int
    accepted: int
    known: int
    refused: int
    faults: list[FaultOut]
    open: int
    states: Mapping[str, int]

    @classmethod
    def of(cls, header: BulkHeader, states: Mapping[State, int]) -> "BulkOut":
        return answer_from(
            cls,
            header,
            faults=[answer_from(FaultOut, each) for each in header.faults],
            open=sum(count for state, count in states.items() if not state.final),
            states={state.value: count for state, count in sorted(states.items())},
        )


class BulkRowOut(Struct, kw_only=True):
    """A row that is a command, and where that stands."""

    line: int
    command: str
    device: str | None
    state: str
    final: bool
    outcome: str | None

    @classmethod
    def of(cls, line: int, command: Command) -> "BulkRowOut":
        activity, devices = command.activity, command.request.devices
        return cls(
            line=line,
            command=command.id,
            device=devices[0] if devices else None,
            state=activity.state.value,
            final=activity.state.final,
            outcome=None if activity.outcome is None else activity.outcome.value,
        )


class BulkRowPage(Struct, kw_only=True):
    """By lines. `next` is the cursor of the page after this one."""

    items: list[BulkRowOut]
    next: str | None


async def submit_bulk(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    lines = _numbered(asked.read(RawBody))
    header, shared = _header(next(lines, (1, "")))
    require(asked.key, role_for(header.kind))
    key = key_of(asked, header)
    if key is None:
        raise ProblemRaised(
            422,
            "idempotency_key",
            "a bulk request needs an idempotency key",
            field="idempotency_key",
            rule="mandatory",
        )
    table = asked.read(RawBody).media == CSV
    rows = _Rows(api, asked.actor, header, shared, key)
    read = partial(rows.all, _table(lines) if table else _objects(lines), strict=not table)
    large = len(asked.read(RawBody).raw) > READ_AT_ONCE
    request = await asyncio.to_thread(read) if large else read()
    made = await api.gateway.commands.bulk.submit(request, actor=asked.actor)
    found, states = await api.gateway.commands.bulk.get(made.id)
    return ApiResponse(
        status=202,
        body=BulkOut.of(found, states),
        headers={"Location": f"{PREFIX}/commands/bulk/{found.id}"},
    )


async def get_bulk(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=BulkOut.of(*await api.gateway.commands.bulk.get(_bulk(asked))))


async def list_bulk_rows(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    after = whole_of(asked, "cursor", ROW) if "cursor" in asked.query else 0
    found = await api.gateway.commands.bulk.rows(_bulk(asked), after=after, limit=limit)
    return ApiResponse(
        body=BulkRowPage(
            items=[BulkRowOut.of(line, command) for line, command in found],
            next=str(found[-1][0]) if len(found) == limit else None,
        )
    )


def _bulk(asked: ApiRequest) -> BulkId:
    return BulkId(asked.path["bulk"])


# ---------------------------------------------------------------- the file


Line = tuple[int, str]
Member = Mapping[str, object]


class _Bad(Exception):
    """A line that is no row, or no header."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field
        self.rule = rule


class _NoObject(_Bad):
    """A line that is no object of JSON."""


def _numbered(given: RawBody) -> Iterator[Line]:
    """The lines that are not empty. Raises ProblemRaised where it is no text."""
    try:
        text = given.raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ProblemRaised(400, "malformed_lines", f"the body is no UTF-8: {error}") from None
    return ((number, line) for number, line in enumerate(io.StringIO(text), 1) if line.strip())


def _header(line: Line) -> tuple[BulkIn, Member]:
    """With its members as they were given, which rows begin with. Raises ProblemRaised."""
    try:
        members = _object(line[1])
        header = _made(members, BulkIn, strict=True)
    except _NoObject:
        raise _refused(_Bad("line", "the first line must be the header, in JSON")) from None
    except _Bad as error:
        raise _refused(error) from None
    if header.devices:
        raise _refused(_Bad("devices", "devices stand in the rows"))
    return header, {name: each for name, each in members.items() if name not in _OF_THE_WHOLE}


def _refused(error: _Bad) -> ProblemRaised:
    where = f"line 1: {error.field}"
    return ProblemRaised(
        422, "invalid_request", f"{where}: {error.rule}", field=where, rule=error.rule
    )


def _object(line: str) -> Member:
    """Raises _Bad, _NoObject where it is none."""
    if "\\ud" in line.lower() and half_pair(line.encode()):
        raise _Bad("line", HALF)
    try:
        found = json_value(line)
    except RepeatedMember as error:
        raise _Bad(error.name[:100], "once in an object") from None
    except json.JSONDecodeError as error:  # its own text names a line as well: always the first
        rule = f"is no JSON: {error.msg}, column {error.colno}"
        raise _NoObject("line", rule) from None
    except ValueError as error:
        raise _NoObject("line", f"is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise _NoObject("line", "must be an object of JSON")
    return found


def _objects(lines: Iterator[Line]) -> Iterator[tuple[int, Member | _Bad]]:
    for number, line in lines:
        try:
            yield number, _object(line)
        except _Bad as error:
            yield number, error


def _table(lines: Iterator[Line]) -> Iterator[tuple[int, Member | _Bad]]:
    """Each row of a table with the line that it ends in."""
    first, ended = 0, 0

    def texts() -> Iterator[str]:
        nonlocal first, ended
        for number, line in lines:
            first, ended = first or number, number
            yield line

    reader = csv.reader(texts(), strict=True)
    try:
        names = next(reader, [])
        if len(set(names)) != len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            rule = f"the column {twice[:100]} stands twice"
            raise ProblemRaised(422, "invalid_request", rule, field=f"line {first}", rule=rule)
        columns = ", ".join(names)[:200]
        for cells in reader:
            if len(cells) != len(names):
                yield ended, _Bad("line", f"{len(names)} cells, not {len(cells)}: {columns}")
            else:
                yield ended, _nested(zip(names, cells, strict=True))
    except csv.Error as error:
        # Where the next row begins nobody knows: not even some of it is taken.
        rule = f"is no CSV from here on: {error}"
        raise ProblemRaised(
            422, "invalid_request", f"line {ended}: {rule}", field=f"line {ended}", rule=rule
        ) from None


def _nested(cells: Iterable[tuple[str, str]]) -> Member:
    """An empty cell is left out; `a.b` is the member b of a."""
    made: dict[str, object] = {}
    for name, cell in cells:
        if not cell:
            continue
        outer, dot, inner = name.partition(".")
        if not dot:
            made[name] = cell
            continue
        within = made.setdefault(outer, {})
        if isinstance(within, dict):
            within[inner] = cell
    return made


def _made(members: Member, kind: type[K], *, strict: bool) -> K:
    """Raises _Bad. What is not `strict` has all values as text."""
    try:
        made = msgspec.convert(members, kind, strict=strict)
        check_texts(made)
    except msgspec.ValidationError as error:
        raise _Bad(*misshapen(str(error), kind, members)) from None
    except ProblemRaised as error:
        raise _Bad(error.problem.field or "line", error.problem.rule or str(error)) from None
    return made


class _Rows:
    """The rows as they are read: requests by their lines, and what is wrong with the others."""

    def __init__(
        self, api: ApiContext, actor: str, header: BulkIn, shared: Member, key: str
    ) -> None:
        self._api = api
        self._actor = actor
        self._header = header
        self._shared = shared
        self._key = key
        self._requests: dict[int, CommandRequest] = {}
        self._faults: list[RowFault] = []

    def all(self, rows: Iterable[tuple[int, Member | _Bad]], *, strict: bool) -> BulkRequest:
        devices = 0
        for count, (line, row) in enumerate(rows, 1):
            check_count(count)  # at once: no more of them is read
            try:
                if isinstance(row, _Bad):
                    raise row
                self._requests[line] = request = self._request(line, row, strict=strict)
                devices += len(request.devices)
            except _Bad as error:
                self._refuse(line, error.field, error.rule)
            except InvalidRequest as error:
                self._refuse(line, error.field, error.rule)
            except ProblemRaised as error:
                told = error.problem
                self._refuse(line, told.field or "line", told.rule or told.detail)
            if devices > MOST_DEVICES:
                raise InvalidRequest("devices", f"at most {MOST_DEVICES} in all rows")
        header = self._header
        return BulkRequest(
            kind=header.kind,
            key=self._key,
            requester=self._actor,
            reference=header.reference,
            rows=self._requests,
            faults=tuple(self._faults),
            partial=header.partial,
        )

    def _refuse(self, line: int, where: str, rule: str) -> None:
        self._faults.append(RowFault(line=line, field=where, rule=rule))

    def _request(self, line: int, row: Member, *, strict: bool) -> CommandRequest:
        if "kind" in row or "partial" in row:
            raise _Bad("kind" if "kind" in row else "partial", "stands in the header")
        own = dict(row)
        if "device" in own:
            if "devices" in own:
                raise _Bad("device", "device or devices, not both")
            own["devices"] = [own.pop("device")]
        members = {**self._shared, **own, "kind": self._header.kind.value}
        try:
            wanted = _made(members, CommandIn, strict=strict)
        except _Bad as error:
            if "device" in row and error.field == "devices[0]":
                raise _Bad("device", error.rule) from None
            raise
        if wanted.past_unclear_order:
            raise _Bad("past_unclear_order", "takes two people: ask for it alone")
        check_callback(self._api, wanted.callback_url)
        check_key(wanted.idempotency_key)
        name = wanted.install_status_override
        return wanted.request(
            requester=self._actor,
            key=wanted.idempotency_key or f"{self._key}/{line}",
            past_unclear_order=None,
            status=install_status_of(self._api, "install_status_override", name),
        )

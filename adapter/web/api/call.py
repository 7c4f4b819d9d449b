"""One function per route of the JSON interface, each a few lines over `Gateway`."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from adapter.commands.activity import Command, State
from adapter.commands.flows import SWITCH_KINDS, CommandKind
from adapter.engine.commands.ports import Filter, InboxState, Ledger
from adapter.engine.gateway import Gateway
from adapter.errors import InvalidRequest, NotFound, StoreFailed
from adapter.model.device import DeviceView
from adapter.model.ids import CommandId, DeviceId, InboxId, is_sortable_id
from adapter.model.whole_numbers import CURSOR, ROW, Span, read_whole
from adapter.server.credentials import ApiKeys
from adapter.server.settings import ApiKey, RestSettings, Role
from adapter.web.api import registry, schema
from adapter.web.api.problems import ProblemRaised

S = TypeVar("S", bound=msgspec.Struct)
E = TypeVar("E", bound=StrEnum)

PREFIX: Final = "/api/v1"
MOST_ITEMS: Final = 500
_PAGE: Final = Span(1, MOST_ITEMS)
_NUMBER: Final = re.compile(r"[+-]?[0-9]+")
SECOND_KEY: Final = "X-Second-Key"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_EXPORTS_AT_ONCE: Final = 2
_OUR_KEYS: Final = re.compile(r"[0-9a-z]{26}\.\d+|schedule:.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """One request, its body already read. Names in `query` are those of the route."""

    key: ApiKey | None
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
    """`lines` are sent one after the other, as they come, in place of `body`."""

    body: object = None
    lines: AsyncGenerator[bytes, None] | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiContext:
    """What the calls work with."""

    def __init__(self, gateway: Gateway, settings: RestSettings) -> None:
        self.gateway = gateway
        self.settings = settings
        self.keys = ApiKeys(settings.keys)
        self.waiting = asyncio.Semaphore(settings.waiting_at_once)
        self.exporting = asyncio.Semaphore(_EXPORTS_AT_ONCE)


# ---------------------------------------------------------------- commands


async def submit(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(schema.CommandIn)
    require(asked.key, _role_for(wanted.kind))
    key = _idempotency_key(asked, wanted)
    fence = None
    if wanted.through_fence:
        fence = (asked.actor, _second(api, asked, Role.APPROVE).name)
    request = wanted.request(requester=asked.actor, key=key, through_fence=fence)
    command = await api.gateway.commands.submit(request, actor=asked.actor)
    return ApiResponse(
        status=202,
        body=schema.CommandOut.of(command),
        headers={"Location": f"{PREFIX}/commands/{command.id}"},
    )


async def list_commands(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    device, cursor = asked.query.get("device"), cursor_of(asked)
    wanted = Filter(
        kind=member(asked, "kind", CommandKind),
        state=member(asked, "state", State),
        device=DeviceId(device) if device is not None else None,
        open_only=flag_of(asked, "open"),
        before=CommandId(cursor) if cursor is not None else None,
        limit=limit,
    )
    found = await api.gateway.commands.list(wanted)
    return ApiResponse(
        body=schema.CommandPage(
            items=[schema.CommandOut.of(command) for command in found.rows],
            unreadable=[schema.UnreadableOut.of(row) for row in found.unreadable],
            next=found.next(limit),
        )
    )


async def get_command(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wait_s = min(seconds_of(asked, "wait"), api.settings.longest_wait_s)
    if not wait_s:
        return _far(api, await api.gateway.commands.get(_command(asked)))
    if api.waiting.locked():
        raise ProblemRaised(
            429, "too_many_waiting", "too many wait already", headers={"Retry-After": "1"}
        )
    async with api.waiting:
        return _far(api, await api.gateway.commands.wait(_command(asked), timeout_s=wait_s))


async def cancel(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require_for_kind(api, asked)
    reason = asked.read(schema.ReasonIn).reason
    return _shown(await api.gateway.commands.cancel(_command(asked), by=asked.actor, reason=reason))


async def retry(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require_for_kind(api, asked)
    return _shown(await api.gateway.commands.retry(_command(asked), by=asked.actor))


async def discard(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require_for_kind(api, asked)
    reason = asked.read(schema.ReasonIn).reason
    return _shown(
        await api.gateway.commands.discard(_command(asked), by=asked.actor, reason=reason)
    )


async def approve(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return _shown(await api.gateway.commands.approve(_command(asked), by=asked.actor))


async def resolve(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Two people: whoever asks and whoever's key stands in X-Second-Key, one of each role."""
    wanted = asked.read(schema.ResolveIn)
    operates = asked.key is not None and Role.SWITCH in asked.key.roles
    second = _second(api, asked, Role.APPROVE if operates else Role.SWITCH)
    operator, approver = (asked.actor, second.name) if operates else (second.name, asked.actor)
    command = await api.gateway.commands.resolve(
        _command(asked), done=wanted.done, operator=operator, approver=approver, note=wanted.note
    )
    return _shown(command)


async def history(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    command = (await api.gateway.commands.get(_command(asked))).id
    entries = await api.gateway.commands.history(command)
    return ApiResponse(
        body=schema.History(items=[schema.HistoryEntry.of(item) for item in entries])
    )


async def outcomes(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    command = await api.gateway.commands.get(_command(asked))
    found = await api.gateway.commands.outcomes(command.id)
    return ApiResponse(
        body=schema.Outcomes.of(found, await api.gateway.commands.incomplete(command))
    )


async def messages(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    command = (await api.gateway.commands.get(_command(asked))).id
    logged = await api.gateway.commands.messages(command)
    return ApiResponse(body=schema.Messages(items=[schema.MessageOut.of(item) for item in logged]))


# ---------------------------------------------------------------- devices, inbox, books


async def list_devices(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    cursor = asked.query.get("cursor")
    after = DeviceId(cursor) if cursor is not None else None
    found: Sequence[DeviceView] = await api.gateway.registry.devices(after=after, limit=limit)
    return ApiResponse(
        body=schema.DevicePage(
            items=list(found), next=found[-1].device.id if len(found) == limit else None
        )
    )


async def get_device(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=await api.gateway.registry.device(DeviceId(asked.path["device"])))


async def measurements(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    device = (await api.gateway.registry.device(DeviceId(asked.path["device"]))).device.id
    return ApiResponse(
        body=schema.MeasurementList(items=list(await api.gateway.registry.measurements(device)))
    )


async def import_devices(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """All of it, or nothing, but for what belongs to completion events."""
    given = asked.read(registry.ImportIn)
    if given.reason and not given.override_status:
        raise InvalidRequest("reason", "belongs to override_status")
    report = await api.gateway.registry.import_devices(
        given.whole(),
        by=asked.actor,
        override=given.reason if given.override_status else None,
        dry_run=given.dry_run,
    )
    return ApiResponse(body=registry.Imported.of(report))


async def list_inbox(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    before = InboxId(whole_of(asked, "cursor")) if "cursor" in asked.query else None
    state = member(asked, "state", InboxState)
    found = await api.gateway.inbox.list(state=state, limit=limit, before=before)
    return ApiResponse(
        body=schema.InboxPage(
            items=[schema.InboxItem.of(row) for row in found],
            next=str(found[-1].id) if len(found) == limit else None,
        )
    )


async def ledger(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    found: Ledger = await api.gateway.upkeep.ledger()
    return ApiResponse(body=found)


async def list_audit(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    after = whole_of(asked, "cursor") if "cursor" in asked.query else 0
    found = await api.gateway.upkeep.audit(after=after, limit=limit)
    return ApiResponse(
        body=schema.AuditPage(
            items=[schema.AuditItem.of(entry) for entry in found],
            next=str(found[-1].seq) if len(found) == limit else None,
        )
    )


async def verify_audit(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Walks the whole chain. A break is an answer here, not an error."""
    try:
        entries = await api.gateway.upkeep.verify_audit()
    except StoreFailed as broken:
        failed = api.gateway.failed
        if failed is not None and failed.done():
            raise
        return ApiResponse(body=schema.AuditVerified(intact=False, entries=0, problem=str(broken)))
    return ApiResponse(body=schema.AuditVerified(intact=True, entries=entries, problem=None))


# ---------------------------------------------------------------- health


async def healthy(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """The process answers."""
    return ApiResponse(body=schema.Health(status="ok"))


# ---------------------------------------------------------------- what they share


def require(key: ApiKey | None, *roles: Role) -> None:
    """Raises ProblemRaised 403 unless the key has one of the roles."""
    if key is None or not key.roles & set(roles):
        names = " or ".join(role.value for role in roles)
        raise ProblemRaised(403, "role_missing", f"this needs the role {names}", rule=names)


def _role_for(kind: CommandKind) -> Role:
    return Role.SWITCH if kind in SWITCH_KINDS else Role.OPERATE


async def _require_for_kind(api: ApiContext, asked: ApiRequest) -> None:
    command = await api.gateway.commands.get(_command(asked))
    require(asked.key, _role_for(command.request.kind))


def _second(api: ApiContext, asked: ApiRequest, role: Role) -> ApiKey:
    """The other person's key. Raises ProblemRaised 403."""
    given = asked.headers.get(SECOND_KEY, "")
    second = api.keys.of_token(given.strip(), now=asked.now)
    if second is None or role not in second.roles or second.name == asked.actor:
        raise ProblemRaised(
            403,
            "second_person_missing",
            f"this takes two people: {SECOND_KEY} needs the key of another one, with {role}",
            field=SECOND_KEY,
            rule=role.value,
        )
    return second


def _idempotency_key(asked: ApiRequest, wanted: schema.CommandIn) -> str | None:
    given = asked.headers.get(IDEMPOTENCY_KEY)
    if given is not None and wanted.idempotency_key not in (None, given):
        raise ProblemRaised(
            400, "idempotency_key", "header and body name different keys", field=IDEMPOTENCY_KEY
        )
    if given is not None and not (given.isascii() and given.isprintable()):
        raise ProblemRaised(
            400, "idempotency_key", "printable ASCII only", field=IDEMPOTENCY_KEY, rule="ASCII"
        )
    key = wanted.idempotency_key if given is None else given
    if key is not None and _OUR_KEYS.fullmatch(key):
        raise ProblemRaised(
            422,
            "idempotency_key",
            "keys of this form are the gateway's own, for children of orders and schedules",
            field=IDEMPOTENCY_KEY,
            rule="reserved",
        )
    if key is None and wanted.kind in SWITCH_KINDS:
        raise ProblemRaised(
            400,
            "idempotency_key",
            f"{wanted.kind} needs an idempotency key",
            field=IDEMPOTENCY_KEY,
            rule="mandatory for commands that move a switch",
        )
    return key


def _far(api: ApiContext, command: Command) -> ApiResponse:
    """With how far it is, where it is a read for many."""
    return ApiResponse(
        body=schema.CommandOut.of(command, api.gateway.commands.progress(command.id))
    )


def _shown(command: Command) -> ApiResponse:
    return ApiResponse(body=schema.CommandOut.of(command))


def _command(asked: ApiRequest) -> CommandId:
    return CommandId(asked.path["command"])


def bad_query(name: str, rule: str) -> ProblemRaised:
    return ProblemRaised(400, "bad_query", f"{name}: {rule}", field=name, rule=rule)


def member(asked: ApiRequest, name: str, kind: type[E]) -> E | None:
    given = asked.query.get(name)
    if given is None:
        return None
    try:
        return kind(given)
    except ValueError:
        raise bad_query(name, f"one of {', '.join(kind)}") from None


def flag_of(asked: ApiRequest, name: str) -> bool:
    given = asked.query.get(name, "false")
    if given not in ("true", "false"):
        raise bad_query(name, "true or false")
    return given == "true"


def whole_of(asked: ApiRequest, name: str, span: Span = CURSOR) -> int:
    """Raises ProblemRaised 400 naming the range."""
    try:
        return read_whole(asked.query[name], span)
    except ValueError:
        raise bad_query(name, f"a whole number, {span}") from None


def row_of(asked: ApiRequest, name: str, what: str) -> int:
    """The number of a row in the path. Raises NotFound for what is no number, ProblemRaised 400
    for one that no row can have."""
    given = asked.path[name]
    try:
        return read_whole(given, ROW)
    except ValueError:
        if _NUMBER.fullmatch(given):
            rule = f"a whole number, {ROW}"
            raise ProblemRaised(
                400, "bad_number", f"{name}: {rule}", field=name, rule=rule
            ) from None
        raise NotFound(f"no {what} {given[:40]}") from None


def cursor_of(asked: ApiRequest) -> str | None:
    """The cursor of pages whose items have sortable ids."""
    given = asked.query.get("cursor")
    if given is not None and not is_sortable_id(given):
        raise bad_query("cursor", "must be `next` of the page before")
    return given


def limit_of(asked: ApiRequest) -> int:
    return whole_of(asked, "limit", _PAGE) if "limit" in asked.query else 50


def seconds_of(asked: ApiRequest, name: str) -> float:
    given = asked.query.get(name, "0")
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise bad_query(name, "seconds, 0 to 86400")
    return seconds

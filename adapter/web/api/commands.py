"""Routes of commands: what they take and give, and one function per route."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from adapter.commands.activity import (
    Command,
    CommandRequest,
    CommunicationState,
    CompletionState,
    Outcome,
    ReadPeriod,
    State,
    StepKind,
)
from adapter.commands.business_objects import object_of_operation
from adapter.commands.calls import SwitchState
from adapter.commands.flows import SWITCH_KINDS, CommandKind, Priority
from adapter.commands.outcomes import EndpointOutcome, EndpointResult, of_each
from adapter.commands.rules import MOST_DEVICES
from adapter.commands.timing import given_in_utc, in_utc
from adapter.engine.commands.awaited import Progress
from adapter.engine.commands.ports import Filter, Logged
from adapter.engine.commands.summary import summary
from adapter.engine.commands.unclear import unclear_of
from adapter.engine.commands.unsent import Unsent, UnsentReason, unsent_of
from adapter.engine.readings.ports import Blocks
from adapter.model.device import InstallStatus
from adapter.model.ids import CommandId, DeviceId, EndpointId, OrderId
from adapter.model.names import alike
from adapter.server.credentials import Caller
from adapter.server.settings import Role
from adapter.web.api.call import (
    PREFIX,
    Address,
    ApiContext,
    ApiRequest,
    ApiResponse,
    HistoryEntry,
    Id,
    Json,
    Moment,
    ReasonIn,
    Text,
    UnreadableOut,
    answer_from,
    asked_of,
    check_callback,
    check_device,
    cursor_of,
    flag_of,
    id_of,
    install_status_of,
    limit_of,
    member,
    require,
    wait_of,
)
from adapter.web.api.problems import ProblemRaised

SECOND_KEY: Final = "X-Second-Key"
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_OUR_KEYS: Final = re.compile(r"[0-9a-z]{26}\.\d+|schedule:.*")


# ---------------------------------------------------------------- what is taken


class PeriodIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Data wanted in [start, end); `window_*` is when the head end may work (group reads)."""

    start: Moment
    end: Moment
    window_start: Moment | None = None
    window_end: Moment | None = None


class CommandIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A command. `past_unclear_order` needs a second key with `approve` in X-Second-Key.

    The idempotency key may stand here or in the Idempotency-Key header; kinds that move a switch
    need one.
    """

    kind: CommandKind
    devices: Annotated[list[Id], Meta(max_length=MOST_DEVICES)] = []
    group: Id | None = None
    effective_at: Moment | None = None
    expires_at: Moment | None = None
    idempotency_key: Id | None = None
    reference: Text = ""
    order: Id | None = None
    priority: Priority | None = None
    period: PeriodIn | None = None
    configuration_group: Id | None = None
    optional: bool = False
    check_load: bool = False
    check_switch: bool = False
    with_read: bool = False
    emergency_override: bool = False
    user_intervention_required: bool = False
    ignore_install_state: bool = False
    install_status_override: Text | None = None
    past_unclear_order: bool = False
    callback_url: Address | None = None

    def request(
        self,
        *,
        requester: str,
        key: str | None,
        past_unclear_order: tuple[str, str] | None,
        status: tuple[InstallStatus | None, str] = (None, ""),
    ) -> CommandRequest:
        """`status` is what `install_status_override` means, with the site's own name of it."""
        period = self.period
        return CommandRequest(
            kind=self.kind,
            devices=tuple(DeviceId(device) for device in self.devices),
            group=self.group,
            effective_at=given_in_utc("effective_at", self.effective_at),
            expires_at=given_in_utc("expires_at", self.expires_at),
            idempotency_key=key,
            requester=requester,
            reference=self.reference,
            order=OrderId(self.order) if self.order is not None else None,
            priority=self.priority,
            period=None
            if period is None
            else ReadPeriod(
                start=in_utc("period", period.start),
                end=in_utc("period", period.end),
                window_start=given_in_utc("period", period.window_start),
                window_end=given_in_utc("period", period.window_end),
            ),
            configuration_group=self.configuration_group,
            optional=self.optional,
            check_load=self.check_load,
            check_switch=self.check_switch,
            with_read=self.with_read,
            emergency_override=self.emergency_override,
            user_intervention_required=self.user_intervention_required,
            ignore_install_state=self.ignore_install_state,
            past_unclear_order=past_unclear_order,
            install_status_override=status[0],
            site_install_status=status[1],
            callback_url=self.callback_url or "",
        )


class ResolveIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What people found out about an unknown outcome. Two keys: one `switch`, one `approve`."""

    done: bool
    note: Text = ""


# ---------------------------------------------------------------- what is given


class EndpointCounts(Struct, kw_only=True):
    requested: int
    succeeded: int
    failed: int
    missing: int
    unknown: int


class CompletionOut(Struct, kw_only=True):
    event: str
    state: CompletionState
    error: str | None


class CommunicationOut(Struct, kw_only=True):
    """`outbound`, `result_outbound` and `inbound` are the business objects that the source names
    for its request, its result request and its callback; null: it has none."""

    id: str
    step: StepKind
    operation: str
    outbound: str
    result_outbound: str | None
    inbound: str | None
    state: CommunicationState
    token: str | None
    attempt: int
    failure: str | None


class ResolutionOut(Struct, kw_only=True):
    done: bool
    operator: str
    approver: str
    at: datetime


class ProgressOut(Struct, kw_only=True):
    """Of a read for many, while its data are awaited: `read`, `failed` and `waiting` add up to
    `expected`. Who failed is known only once the head end has given the result."""

    expected: int
    read: int
    failed: int
    waiting: int


class UnsentOut(Struct, kw_only=True):
    """Why nothing of a command has left for the head end yet. `until` is when it may leave, as it
    looks now."""

    why: UnsentReason
    text: str
    until: datetime | None


class UnclearOut(Struct, kw_only=True):
    """That it is not known what became of a connect or disconnect at the head end. `look_at` is
    when its switch is looked at."""

    text: str
    look_at: datetime | None


class CommandOut(Struct, kw_only=True):
    """A command and where it stands. Times are UTC; `devices` shows the first 100. `unsent` is said
    where a command is shown or listed, while nothing of it has left for the head end."""

    id: str
    kind: CommandKind
    title: str
    state: State
    final: bool
    outcome: Outcome | None
    reason: str | None
    devices: list[str]
    device_count: int
    group: str | None
    requester: str | None
    reference: str | None
    order: str | None
    created_at: datetime
    effective_at: datetime
    expires_at: datetime
    finished_at: datetime | None
    switch_state: SwitchState | None
    voltage_present: bool | None
    violations: list[str]
    endpoints: EndpointCounts | None
    progress: ProgressOut | None = None
    unsent: UnsentOut | None = None
    unclear: UnclearOut | None = None
    completion_events: list[CompletionOut]
    communications: list[CommunicationOut]
    retries: int
    late_messages: int
    resolution: ResolutionOut | None
    callback_url: str | None = None

    @classmethod
    def of(
        cls, command: Command, progress: Progress | None = None, unsent: Unsent | None = None
    ) -> "CommandOut":
        made = msgspec.convert(summary(command), cls)
        made.callback_url = command.request.callback_url or None
        if progress is not None:
            made.progress = msgspec.convert(progress, ProgressOut, from_attributes=True)
        if unsent is not None:
            made.unsent = msgspec.convert(unsent, UnsentOut, from_attributes=True)
        if (doubt := unclear_of(command)) is not None:
            made.unclear = msgspec.convert(doubt, UnclearOut, from_attributes=True)
        return made


class CommandPage(Struct, kw_only=True):
    """Newest first. `next` is the cursor of the page after this one."""

    items: list[CommandOut]
    unreadable: list[UnreadableOut]
    next: str | None


class CommandAskedOut(Struct, kw_only=True):
    """`request` is all that was asked for, as the gateway keeps it."""

    request: Mapping[str, Json]


class History(Struct, kw_only=True):
    items: list[HistoryEntry]


class OutcomeOut(Struct, kw_only=True):
    """How one endpoint ended. `incomplete`: it was read, but came with so many of its blocks only,
    as `2 of 3 blocks`; else empty."""

    endpoint: str
    result: EndpointResult
    reason: str
    switch_state: SwitchState | None
    incomplete: str

    @classmethod
    def of(cls, outcome: EndpointOutcome, blocks: Blocks | None) -> "OutcomeOut":
        read = outcome.result is EndpointResult.SUCCEEDED
        return answer_from(
            cls,
            outcome,
            switch_state=outcome.switch,
            incomplete=str(blocks) if read and blocks is not None else "",
        )


class Outcomes(Struct, kw_only=True):
    """`incomplete` of those that succeeded were not read with all their blocks."""

    items: list[OutcomeOut]
    incomplete: int

    @classmethod
    def of(
        cls, outcomes: Sequence[EndpointOutcome], short: Mapping[EndpointId, Blocks]
    ) -> "Outcomes":
        items = [OutcomeOut.of(item, short.get(item.endpoint)) for item in outcomes]
        return cls(items=items, incomplete=sum(bool(item.incomplete) for item in items))


class MessageOut(Struct, kw_only=True):
    """One SOAP message; callback secrets are masked. `business_object` is the source's name of the
    communication that it belongs to; null: the source has none (status, cancel)."""

    communication: str
    at: datetime
    outbound: bool
    operation: str
    business_object: str | None
    status: int
    body: str

    @classmethod
    def of(cls, logged: Logged, command: Command) -> "MessageOut":
        made = (each for each in command.communications if each.id == logged.communication)
        kind, communication = command.request.kind, next(made, None)
        about = communication and object_of_operation(kind, communication, logged.operation)
        return answer_from(cls, logged, body=_text(logged.body), business_object=about)


class Messages(Struct, kw_only=True):
    items: list[MessageOut]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


# ---------------------------------------------------------------- the routes


async def submit_command(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(CommandIn)
    require(asked.key, role_for(wanted.kind))
    check_callback(api, wanted.callback_url)
    key = key_of(asked, wanted)
    fence = None
    if wanted.past_unclear_order:
        fence = (asked.actor, (await _second(api, asked, Role.APPROVE)).name)
    status = install_status_of(api, "install_status_override", wanted.install_status_override)
    request = wanted.request(
        requester=asked.actor, key=key, past_unclear_order=fence, status=status
    )
    command = await api.gateway.commands.submit(request, actor=asked.actor)
    return ApiResponse(
        status=202,
        body=CommandOut.of(command),
        headers={"Location": f"{PREFIX}/commands/{command.id}"},
    )


async def list_commands(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    device, cursor = id_of(asked, "device"), cursor_of(asked)
    wanted = Filter(
        kind=member(asked, "kind", CommandKind),
        state=member(asked, "state", State),
        device=DeviceId(device) if device is not None else None,
        open_only=flag_of(asked, "open"),
        asked=asked_of(asked),
        before=CommandId(cursor) if cursor is not None else None,
        limit=limit,
    )
    found = await api.gateway.commands.list(wanted)
    if not found.ids:
        await check_device(api, device)
    unsent = await unsent_of(found.rows, api.gateway.upkeep.switch_safety)
    return ApiResponse(
        body=CommandPage(
            items=[CommandOut.of(command, unsent=unsent.get(command.id)) for command in found.rows],
            unreadable=[UnreadableOut.of(row) for row in found.unreadable],
            next=found.next(limit),
        )
    )


async def get_command(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wait_s = wait_of(api, asked)
    if not wait_s:
        return await _far(api, await api.gateway.commands.get(_command(asked)))
    with api.waiting.taken(asked.key):
        return await _far(api, await api.gateway.commands.wait(_command(asked), timeout_s=wait_s))


async def cancel_command(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require_for_kind(api, asked)
    reason = asked.read(ReasonIn).reason
    return _shown(await api.gateway.commands.cancel(_command(asked), by=asked.actor, reason=reason))


async def retry_command(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require_for_kind(api, asked)
    return _shown(await api.gateway.commands.retry(_command(asked), by=asked.actor))


async def discard_command(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    await _require_for_kind(api, asked)
    reason = asked.read(ReasonIn).reason
    return _shown(
        await api.gateway.commands.discard(_command(asked), by=asked.actor, reason=reason)
    )


async def approve_command(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return _shown(await api.gateway.commands.approve(_command(asked), by=asked.actor))


async def resolve_command(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Two people: whoever asks and whoever's key stands in X-Second-Key, one of each role."""
    wanted = asked.read(ResolveIn)
    operates = asked.key is not None and Role.SWITCH in asked.key.roles
    second = await _second(api, asked, Role.APPROVE if operates else Role.SWITCH)
    operator, approver = (asked.actor, second.name) if operates else (second.name, asked.actor)
    command = await api.gateway.commands.resolve(
        _command(asked), done=wanted.done, operator=operator, approver=approver, note=wanted.note
    )
    return _shown(command)


async def get_command_request(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """What it was made from: a recording needs it to be played back."""
    command = await api.gateway.commands.get(_command(asked))
    return ApiResponse(body=CommandAskedOut(request=msgspec.to_builtins(command.request)))


async def get_command_history(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    command = (await api.gateway.commands.get(_command(asked))).id
    entries = await api.gateway.commands.history(command)
    return ApiResponse(body=History(items=[HistoryEntry.of(item) for item in entries]))


async def get_command_outcomes(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    command = await api.gateway.commands.get(_command(asked))
    found = await api.gateway.commands.outcomes(command.id)
    if command.activity.state.final:
        found = of_each(command, found)
    return ApiResponse(body=Outcomes.of(found, await api.gateway.commands.incomplete(command)))


async def get_command_messages(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    command = await api.gateway.commands.get(_command(asked))
    logged = await api.gateway.commands.messages(command.id)
    return ApiResponse(body=Messages(items=[MessageOut.of(item, command) for item in logged]))


# ---------------------------------------------------------------- what they share


def role_for(kind: CommandKind) -> Role:
    return Role.SWITCH if kind in SWITCH_KINDS else Role.OPERATE


async def _require_for_kind(api: ApiContext, asked: ApiRequest) -> None:
    command = await api.gateway.commands.get(_command(asked))
    require(asked.key, role_for(command.request.kind))


async def _second(api: ApiContext, asked: ApiRequest, role: Role) -> Caller:
    """The other person's key. Raises ProblemRaised 403."""
    given = asked.headers.get(SECOND_KEY, "")
    second = await api.caller_of(given.strip(), now=asked.now)
    if second is None or role not in second.roles or alike(second.name, asked.actor):
        raise ProblemRaised(
            403,
            "second_person_missing",
            f"this takes two people: {SECOND_KEY} needs the key of another one, with {role}",
            field=SECOND_KEY,
            rule=role.value,
        )
    return second


def key_of(asked: ApiRequest, wanted: CommandIn) -> str | None:
    given = asked.headers.get(IDEMPOTENCY_KEY)
    if given is not None and wanted.idempotency_key not in (None, given):
        raise ProblemRaised(
            422, "idempotency_key", "header and body name different keys", field=IDEMPOTENCY_KEY
        )
    if given is not None and not (given.isascii() and given.isprintable()):
        raise ProblemRaised(
            422, "idempotency_key", "printable ASCII only", field=IDEMPOTENCY_KEY, rule="ASCII"
        )
    key = wanted.idempotency_key if given is None else given
    check_key(key)
    if key is None and wanted.kind in SWITCH_KINDS:
        raise ProblemRaised(
            422,
            "idempotency_key",
            f"{wanted.kind} needs an idempotency key",
            field=IDEMPOTENCY_KEY,
            rule="mandatory for commands that move a switch",
        )
    return key


def check_key(key: str | None) -> None:
    """Raises ProblemRaised 422 for a key of the gateway's own."""
    if key is not None and _OUR_KEYS.fullmatch(key):
        raise ProblemRaised(
            422,
            "idempotency_key",
            "keys of this form are the gateway's own, for children of orders and schedules",
            field=IDEMPOTENCY_KEY,
            rule="reserved",
        )


async def _far(api: ApiContext, command: Command) -> ApiResponse:
    """With how far it is, where it is a read for many; and why nothing of it has left."""
    unsent = await unsent_of([command], api.gateway.upkeep.switch_safety)
    progress = api.gateway.commands.progress(command.id)
    return ApiResponse(body=CommandOut.of(command, progress, unsent.get(command.id)))


def _shown(command: Command) -> ApiResponse:
    return ApiResponse(body=CommandOut.of(command))


def _command(asked: ApiRequest) -> CommandId:
    return CommandId(asked.path["command"])

"""What the JSON interface takes and gives, as types; the OpenAPI document is made from them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from adapter.commands.activity import Command, CommandRequest, ReadPeriod
from adapter.commands.calls import SwitchState
from adapter.commands.flows import CommandKind, Priority
from adapter.commands.outcomes import EndpointOutcome, EndpointResult
from adapter.commands.timing import given_in_utc, in_utc
from adapter.engine.commands.awaited import Progress
from adapter.engine.commands.ports import AuditEntry, InboxRow, InboxState, Logged
from adapter.engine.commands.summary import summary
from adapter.engine.listing import UnreadableRow
from adapter.engine.readings.ports import Blocks
from adapter.model.device import DeviceView, InstallStatus
from adapter.model.ids import DeviceId, EndpointId, OrderId
from adapter.model.reading import InitialMeasurement

_NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$(?!\n)"
Id = Annotated[str, Meta(min_length=1, max_length=200, pattern=_NO_CONTROLS)]
Text = Annotated[str, Meta(max_length=200, pattern=_NO_CONTROLS)]
Moment = Annotated[datetime, Meta(tz=True)]
Json = Annotated[object, Meta(extra_json_schema={"description": "Any JSON value."})]


# ---------------------------------------------------------------- in


class PeriodIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Data wanted in [start, end); `window_*` is when the head end may work (group reads)."""

    start: Moment
    end: Moment
    window_start: Moment | None = None
    window_end: Moment | None = None


class CommandIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A command. `through_fence` needs a second key with `approve` in X-Second-Key.

    The idempotency key may stand here or in the Idempotency-Key header; kinds that move a switch
    need one.
    """

    kind: CommandKind
    devices: list[Id] = []
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
    install_status_override: InstallStatus | None = None
    through_fence: bool = False

    def request(
        self, *, requester: str, key: str | None, through_fence: tuple[str, str] | None
    ) -> CommandRequest:
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
            through_fence=through_fence,
            install_status_override=self.install_status_override,
        )


class ReasonIn(Struct, kw_only=True, forbid_unknown_fields=True):
    reason: Text = ""


class NothingIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """No fields."""


class ResolveIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What people found out about an unknown outcome. Two keys: one `switch`, one `approve`."""

    done: bool
    note: Text = ""


# ---------------------------------------------------------------- out


class EndpointCounts(Struct, kw_only=True):
    requested: int
    succeeded: int
    failed: int
    missing: int
    unknown: int


class CompletionOut(Struct, kw_only=True):
    event: str
    state: str
    error: str | None


class CommunicationOut(Struct, kw_only=True):
    id: str
    step: str
    operation: str
    state: str
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


class CommandOut(Struct, kw_only=True):
    """A command and where it stands. Times are UTC; `devices` shows the first 100."""

    id: str
    kind: CommandKind
    title: str
    state: str
    final: bool
    outcome: str | None
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
    switch_state: str | None
    voltage_present: bool | None
    violations: list[str]
    endpoints: EndpointCounts | None
    progress: ProgressOut | None = None
    completion_events: list[CompletionOut]
    communications: list[CommunicationOut]
    retries: int
    late_messages: int
    resolution: ResolutionOut | None

    @classmethod
    def of(cls, command: Command, progress: Progress | None = None) -> "CommandOut":
        made = msgspec.convert(summary(command), cls)
        if progress is not None:
            made.progress = msgspec.convert(progress, ProgressOut, from_attributes=True)
        return made


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


class CommandPage(Struct, kw_only=True):
    """Newest first. `next` is the cursor of the page after this one."""

    items: list[CommandOut]
    unreadable: list[UnreadableOut]
    next: str | None


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
        return cls(
            seq=entry.seq,
            at=entry.at,
            actor=note.actor,
            action=note.action,
            subject=note.subject,
            detail=note.detail,
        )


class History(Struct, kw_only=True):
    items: list[HistoryEntry]


class OutcomeOut(Struct, kw_only=True):
    """How one endpoint ended. `incomplete`: it was read, but came with so many of its blocks only,
    as `2 of 3 blocks`; else empty."""

    endpoint: str
    result: EndpointResult
    reason: str
    switch: SwitchState | None
    incomplete: str

    @classmethod
    def of(cls, outcome: EndpointOutcome, blocks: Blocks | None) -> "OutcomeOut":
        read = outcome.result is EndpointResult.SUCCEEDED
        return cls(
            endpoint=outcome.endpoint,
            result=outcome.result,
            reason=outcome.reason,
            switch=outcome.switch,
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
    """One SOAP message; callback secrets are masked."""

    communication: str
    at: datetime
    outbound: bool
    operation: str
    status: int
    body: str

    @classmethod
    def of(cls, logged: Logged) -> "MessageOut":
        return cls(
            communication=logged.communication,
            at=logged.at,
            outbound=logged.outbound,
            operation=logged.operation,
            status=logged.status,
            body=_shown(logged.body),
        )


class Messages(Struct, kw_only=True):
    items: list[MessageOut]


class DevicePage(Struct, kw_only=True):
    items: list[DeviceView]
    next: str | None


class MeasurementList(Struct, kw_only=True):
    items: list[InitialMeasurement]


class AuditItem(HistoryEntry, kw_only=True):
    """`digest` covers the entry and the digest before it."""

    digest: str

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditItem":
        note = entry.note
        return cls(
            seq=entry.seq,
            at=entry.at,
            actor=note.actor,
            action=note.action,
            subject=note.subject,
            detail=note.detail,
            digest=entry.digest,
        )


class AuditPage(Struct, kw_only=True):
    """Oldest first. `next` is the cursor of the page after this one."""

    items: list[AuditItem]
    next: str | None


class AuditVerified(Struct, kw_only=True):
    """The whole chain was walked; `problem` is the first break."""

    intact: bool
    entries: int
    problem: str | None


class InboxItem(Struct, kw_only=True):
    """A message from the head end. `bytes` is how much of it is kept."""

    id: int
    operation: str
    at: datetime
    communication: str | None
    remote: str
    state: InboxState
    reason: str
    bytes: int
    command: str | None
    token: str | None

    @classmethod
    def of(cls, row: InboxRow) -> "InboxItem":
        return cls(
            id=row.id,
            operation=row.operation,
            at=row.at,
            communication=row.communication,
            remote=row.remote,
            state=row.state,
            reason=row.reason,
            bytes=row.spool_bytes or len(row.raw),
            command=row.command,
            token=row.token,
        )


class InboxPage(Struct, kw_only=True):
    items: list[InboxItem]
    next: str | None


class Health(Struct, kw_only=True):
    status: str


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")

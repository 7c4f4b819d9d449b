"""What the data of each type of event is, for the OpenAPI document."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct

from adapter.commands.calls import SwitchState
from adapter.commands.effects import Severity
from adapter.commands.outcomes import EndpointResult
from adapter.orders.events import ReplyKind
from adapter.orders.order import OrderKind
from adapter.web.api.call import Json
from adapter.web.api.commands import CommandOut
from adapter.web.api.events import Argument
from adapter.web.api.orders import StateName


class CloudEventOut(Struct, kw_only=True):
    """CloudEvents 1.0 as a receiver gets it. `id` is fixed: one that comes twice is one event.
    `sequence` is its place in the feed, with zeros before it; `traceparent` the trace that it is
    told of, where it is traced."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str
    severity: Severity
    sequence: str
    data: Mapping[str, Json]
    traceparent: str | None = None


class EndpointOutcomeOut(Struct, kw_only=True):
    """How one endpoint of a command came out."""

    endpoint: str
    result: EndpointResult
    reason: str
    switch_state: SwitchState | None


class CommandEventOut(CommandOut, kw_only=True):
    """The command as it was then, with its last 50 communications. `outcomes` is there where it has
    ended; null above 64 KiB: then they are at `outcomes_url`."""

    text: str | None
    outcomes: list[EndpointOutcomeOut] | None = None
    outcomes_url: str | None = None


class OrderEventOut(Struct, kw_only=True):
    """`problem` is the code of what people are needed for."""

    id: str
    kind: OrderKind
    state: StateName
    service_point: str
    requester: str
    reference: str
    problem: str | None
    callback_url: str | None


class OrderReplyEventOut(Struct, kw_only=True):
    """A reply to the system that ordered; `id` is that of the reply."""

    id: str
    order: str
    kind: ReplyKind
    requester: str
    reference: str
    created_at: datetime
    callback_url: str | None
    details: Mapping[str, str]


class ServicePointEventOut(Struct, kw_only=True):
    """What a visit changed; null: that stays as it was."""

    service_point: str
    order: str
    visit: str
    cause: str
    at: datetime
    connected: Json
    disconnect_location: Json
    removed: Json
    installed: Json
    install_status: Json


class MeterEventOut(Struct, kw_only=True):
    """A device event or exception; `started_at` and `duration_s` of one that ends something."""

    endpoint: str
    device: str | None
    name: str
    head_end_name: str
    number: int | None
    category: str
    at: datetime
    conversion: str
    sequence: int | None
    exception: bool
    arguments: list[Argument]
    started_at: datetime | None
    duration_s: float | None


class StormEventOut(Struct, kw_only=True, rename={"from_": "from"}):
    """What a storm held back, by standard name."""

    from_: datetime
    to: datetime
    published: int
    in_summary: int
    by_name: Mapping[str, int]


class OutageEventOut(Struct, kw_only=True):
    """`event` is the id of the meter's own event. `started_at` null: nothing told of its begin."""

    endpoint: str
    device: str | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_s: float | None
    event: str


class PayloadEventOut(Struct, kw_only=True):
    """A message or file of data that was loaded; `counts` say what its content became."""

    id: int
    inbox: int | None
    source: str
    operation: str
    at: datetime
    finished_at: datetime
    bytes: int
    counts: Mapping[str, int]


class ReceiverEventOut(Struct, kw_only=True):
    receiver: str
    text: str


class AuditHeadEventOut(Struct, kw_only=True):
    seq: int
    digest: str


class SwitchHoldEventOut(Struct, kw_only=True):
    reason: str
    since: datetime
    text: str


class SilenceEventOut(Struct, kw_only=True):
    last_arrival: datetime | None
    allowed_s: float
    raised_at: datetime | None


class SubscriptionEventOut(Struct, kw_only=True):
    address: str
    detail: str


class GatewayEventOut(Struct, kw_only=True):
    version: str


class HeadEndLostEventOut(Struct, kw_only=True):
    """`failures` in a row. `sent`: the last of them may have reached it."""

    failures: int
    sent: bool


class HeadEndPaceEventOut(Struct, kw_only=True):
    """`took_s`: so long the last of them took, in seconds."""

    took_s: float


class BreakerOpenedEventOut(Struct, kw_only=True):
    failures: int


class PushedBackEventOut(Struct, kw_only=True):
    """`concurrency` is how many calls leave at once from now on, after `pause_s` seconds."""

    fault: str
    concurrency: int
    pause_s: float


class HeadEndAgainEventOut(Struct, kw_only=True):
    """Nothing more is said."""


class QuarantinedEventOut(Struct, kw_only=True):
    operation: str
    reason: str
    remote: str


class UndeliveredEventOut(Struct, kw_only=True):
    """`reason` is the kind of the error."""

    receiver: str
    reason: str


class SetAsideEventOut(Struct, kw_only=True):
    """`row` of this `kind` failed `tries` times; `number` is its own in the list."""

    number: int
    kind: str
    row: str
    error: str
    tries: int
    detail: str


class KeyRefusedEventOut(Struct, kw_only=True):
    """`server` is api or listener."""

    remote: str
    server: str


class ResumeRequestedEventOut(Struct, kw_only=True):
    """Somebody asks that switching goes on; another person may confirm this `request` until
    `expires_at`."""

    request: str
    by: str
    reason: str
    expires_at: datetime


class LimitReachedEventOut(Struct, kw_only=True):
    """The first request had no room in the cap or quota `limit`, for this `member` of what it is
    counted by. It was in the hour or day (`span`) that began at `began`; `most` may leave in it."""

    limit: str
    member: str
    span: str
    most: int
    began: datetime


class OverrideEventOut(Struct, kw_only=True):
    """The `override` by which somebody (`by`) lets more pass than `limit` allows: from `begins_at`
    to `ends_at`. `ended_by` is empty while it is in force."""

    override: str
    limit: str
    by: str
    reason: str
    begins_at: datetime
    ends_at: datetime
    ended_by: str


class SettingsReloadedEventOut(Struct, kw_only=True):
    """`restart`: names of settings that have changed and wait for a restart, with commas between
    them."""

    taken: str
    restart: str


class SettingsRefusedEventOut(Struct, kw_only=True):
    """Why what was found could not be taken."""

    reason: str


class FeedEventType(NamedTuple):
    """`pattern` is what types of the row match."""

    name: str
    pattern: str
    data: type[Struct]


def _row(name: str, data: type[Struct], varies: str = "") -> FeedEventType:
    start = f"openway.{name}"
    if not varies:
        return FeedEventType(start, f"^{start}$".replace(".", r"\."), data)
    ends = varies.replace(", ", "|").replace(" or ", "|")
    some = ends if "|" in ends else "[A-Za-z0-9_-]+"
    pattern = f"^{start}".replace(".", r"\.") + f"({some})$"
    return FeedEventType(f"{start}<{varies}>", pattern, data)


# fmt: off
EVENT_TYPES: Final = (
    _row("gateway.started", GatewayEventOut),
    _row("gateway.stopped", GatewayEventOut),
    _row("head_end.lost", HeadEndLostEventOut),
    _row("head_end.back", HeadEndAgainEventOut),
    _row("head_end.slow", HeadEndPaceEventOut),
    _row("head_end.quick", HeadEndPaceEventOut),
    _row("head_end.breaker_opened", BreakerOpenedEventOut),
    _row("head_end.breaker_closed", HeadEndAgainEventOut),
    _row("head_end.pushed_back", PushedBackEventOut),
    _row("gateway.quarantined", QuarantinedEventOut),
    _row("gateway.undelivered", UndeliveredEventOut),
    _row("gateway.row_set_aside", SetAsideEventOut),
    _row("gateway.key_refused", KeyRefusedEventOut),
    _row("gateway.settings_reloaded", SettingsReloadedEventOut),
    _row("gateway.settings_refused", SettingsRefusedEventOut),
    _row("command.received", CommandEventOut),
    _row("command.to_do.", CommandEventOut, "state"),
    _row("command.", CommandEventOut, "state"),
    _row("command.completion.", CommandEventOut, "event"),
    _row("command.needs_person", CommandEventOut),
    _row("command.late", CommandEventOut),
    _row("command.token_conflict", CommandEventOut),
    _row("order.", OrderEventOut, "state"),
    _row("order.reply.", OrderReplyEventOut, "kind"),
    _row("service_point.changed", ServicePointEventOut),
    _row("device.event", MeterEventOut),
    _row("device.event_storm", StormEventOut),
    _row("outage.", OutageEventOut, "began or ended"),
    _row("payload.loaded", PayloadEventOut),
    _row("feed.", ReceiverEventOut, "undelivered, delivered_again, receiver_stopped or test"),
    _row("gateway.audit_head", AuditHeadEventOut),
    _row("gateway.switch_orders_", SwitchHoldEventOut, "held or released"),
    _row("gateway.resume_requested", ResumeRequestedEventOut),
    _row("gateway.limit_reached", LimitReachedEventOut),
    _row("gateway.override_", OverrideEventOut, "began or ended"),
    _row("head_end.", SilenceEventOut, "silent or silence_over"),
    _row("subscription.", SubscriptionEventOut, "failed or restored"),
)
# fmt: on
"""Every type of event; `openway tables publications` says when each comes."""

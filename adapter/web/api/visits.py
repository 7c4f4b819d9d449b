"""What the JSON interface takes of visits and replies that people see to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta, Struct

from adapter.commands.timing import given_in_utc
from adapter.errors import InvalidRequest
from adapter.model.device import Device, DisconnectLocation, InstallStatus
from adapter.model.ids import DeviceId, EventId
from adapter.model.measurement import (
    CONDITION_LIMIT,
    MOST_DIGITS,
    REGULAR,
    Measurement,
    is_plausible,
)
from adapter.orders.completion import CompletionReport
from adapter.orders.replies import ReplyState, RequesterReply
from adapter.orders.tasks import FieldEffect
from adapter.web.api.schema import Id, Moment, Text


class ReadingIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A register as it was read. `device` where it is not the one that is there afterwards."""

    component: Id
    value: Decimal
    at: Moment | None = None
    condition: Annotated[int, Meta(ge=0, le=CONDITION_LIMIT)] = REGULAR
    device: Id | None = None


class WorkIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What was done at the place, as people say; `at` left out is now.

    `new_device` is in the registry already. What was done goes before what the task's name
    promises: `not_done` are its effects that did not happen, `cut_at` where supply was opened.
    """

    at: Moment | None = None
    new_device: Id | None = None
    removed_device: Id | None = None
    install_status: InstallStatus | None = None
    cut_at: DisconnectLocation | None = None
    not_done: list[FieldEffect] = []
    readings: list[ReadingIn] = []
    reading_pending: bool = False
    remarks: list[Text] = []

    def report(self, cause: EventId, device: Device | None, now: datetime) -> CompletionReport:
        """`device` is the registry's record of `new_device`."""
        at = given_in_utc("at", self.at) or now
        for each in self.readings:
            if not is_plausible(each.value):
                raise InvalidRequest("value", f"must be a number of at most {MOST_DIGITS} digits")
        return CompletionReport(
            at=at,
            cause=cause,
            new_device=device,
            install_status=self.install_status,
            cut_at=self.cut_at,
            not_done=frozenset(self.not_done),
            measurements=tuple(
                Measurement(
                    id=f"{cause}/{each.component}",
                    component=each.component,
                    at=given_in_utc("at", each.at) or at,
                    value=each.value,
                    condition=each.condition,
                    device=None if each.device is None else DeviceId(each.device),
                )
                for each in self.readings
            ),
            reading_pending=self.reading_pending,
            removed_device=None if self.removed_device is None else DeviceId(self.removed_device),
            remarks=tuple(self.remarks),
        )


class VisitCancelIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a visit was not made, in the words of D1-CancelReasonLookup or the site's own."""

    reason: Id
    at: Moment | None = None
    remarks: list[Text] = []


class ReplyIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which reply; left out, all that were refused or have failed so far."""

    reply: Text = ""


class OneReplyIn(Struct, kw_only=True, forbid_unknown_fields=True):
    reply: Id


class ReplyOut(Struct, kw_only=True):
    """`due_at` is when it is tried next; None once it is delivered, refused or given up."""

    id: str
    kind: str
    state: str
    attempts: int
    last_error: str
    created_at: datetime
    due_at: datetime | None
    details: Mapping[str, str]

    @classmethod
    def of(cls, reply: RequesterReply) -> "ReplyOut":
        return cls(
            id=reply.id,
            kind=reply.kind.value,
            state=reply.state.value,
            attempts=reply.attempts,
            last_error=reply.last_error,
            created_at=reply.created_at,
            due_at=reply.due_at if reply.state is ReplyState.QUEUED else None,
            details=reply.details,
        )


class ReplyList(Struct, kw_only=True):
    items: list[ReplyOut]

    @classmethod
    def of(cls, replies: Sequence[RequesterReply]) -> "ReplyList":
        return cls(items=[ReplyOut.of(each) for each in replies])


class EnteredIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A reading that people have. `condition`: six digits, higher is better."""

    device: Id
    component: Id
    at: Moment
    value: Decimal
    condition: Annotated[int, Meta(ge=0, le=CONDITION_LIMIT)] = REGULAR


class ReadingsIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """All are taken, or none. Of a device, component and time the last one entered counts."""

    measurements: Annotated[list[EnteredIn], Meta(min_length=1, max_length=10_000)]

    def values(self) -> list[Measurement]:
        return [
            Measurement(
                id="",
                device=DeviceId(each.device),
                component=each.component,
                at=each.at,
                value=each.value,
                condition=each.condition,
            )
            for each in self.measurements
        ]


class EnteredOut(Struct, kw_only=True):
    entered: int

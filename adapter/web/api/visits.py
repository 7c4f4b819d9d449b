"""Routes of visits, requests and replies of service orders that people see to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from adapter.commands.timing import given_in_utc
from adapter.errors import NotFound
from adapter.model.device import Device, DisconnectLocation, InstallStatus
from adapter.model.ids import DeviceId, EventId, OrderId
from adapter.model.measurement import (
    CONDITION_LIMIT,
    REGULAR,
    Measurement,
)
from adapter.orders.completion import CompletionReport
from adapter.orders.order import ChildId
from adapter.orders.replies import RequesterReply
from adapter.orders.tasks import FieldEffect
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    DecimalText,
    Id,
    Moment,
    NeededText,
    NothingIn,
    Text,
    decimal_of,
    install_status_of,
)
from adapter.web.api.orders import OrderOut, ReplyOut, RequestOut

# ---------------------------------------------------------------- what is taken and given


class ReadingIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """A register as it was read. `device` where it is not the one that is there afterwards."""

    component: Id
    value: DecimalText
    at: Moment | None = None
    condition: Annotated[int, Meta(ge=0, le=CONDITION_LIMIT)] = REGULAR
    device: Id | None = None


class VisitCompleteIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """What was done at the place, as people say; `at` left out is now.

    `new_device` is in the registry already; `install_status` is what it was left as, a site's own
    too. What was done goes before what the task's name
    promises: `not_done` are its effects that did not happen, `disconnect_location` where supply
    was opened.
    """

    at: Moment | None = None
    new_device: Id | None = None
    removed_device: Id | None = None
    install_status: Text | None = None
    disconnect_location: DisconnectLocation | None = None
    not_done: list[FieldEffect] = []
    readings: list[ReadingIn] = []
    reading_pending: bool = False
    remarks: list[Text] = []

    def report(
        self,
        cause: EventId,
        device: Device | None,
        status: tuple[InstallStatus | None, str],
        now: datetime,
    ) -> CompletionReport:
        """`device` is the registry's record of `new_device`, `status` what `install_status` means,
        with the site's own name where it is one."""
        at = given_in_utc("at", self.at) or now
        values = [
            decimal_of(f"readings[{number}].value", each.value)
            for number, each in enumerate(self.readings)
        ]
        return CompletionReport(
            at=at,
            cause=cause,
            new_device=device,
            install_status=status[0],
            site_status=status[1],
            disconnect_location=self.disconnect_location,
            not_done=frozenset(self.not_done),
            measurements=tuple(
                Measurement(
                    id=f"{cause}/{each.component}",
                    component=each.component,
                    at=given_in_utc("at", each.at) or at,
                    value=value,
                    condition=each.condition,
                    device=None if each.device is None else DeviceId(each.device),
                )
                for each, value in zip(self.readings, values, strict=True)
            ),
            reading_pending=self.reading_pending,
            removed_device=None if self.removed_device is None else DeviceId(self.removed_device),
            remarks=tuple(self.remarks),
        )


class VisitCancelIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Why a visit was not made, in the words of D1-CancelReasonLookup or the site's own."""

    reason: NeededText
    at: Moment | None = None
    remarks: list[Text] = []


class ReplyRetryIn(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which reply; left out, all that were refused or have failed so far."""

    reply: Text = ""


class ReplyDiscardIn(Struct, kw_only=True, forbid_unknown_fields=True):
    reply: Id


class ReplyList(Struct, kw_only=True):
    items: list[ReplyOut]

    @classmethod
    def of(cls, replies: Sequence[RequesterReply]) -> "ReplyList":
        return cls(items=[ReplyOut.of(each) for each in replies])


# ---------------------------------------------------------------- the routes


async def complete_visit(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(VisitCompleteIn)
    status = install_status_of(api, "install_status", wanted.install_status)
    visit, cause = await _visit(api, asked)
    device = None
    if wanted.new_device is not None:
        device = (await api.gateway.registry.device(DeviceId(wanted.new_device))).device
    order = await api.gateway.orders.operator.complete_visit(
        visit, wanted.report(cause, device, status, asked.now), by=asked.actor
    )
    return ApiResponse(body=OrderOut.of(order))


async def cancel_visit(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(VisitCancelIn)
    visit, cause = await _visit(api, asked)
    found = CompletionReport(
        at=given_in_utc("at", wanted.at) or asked.now, cause=cause, remarks=tuple(wanted.remarks)
    )
    order = await api.gateway.orders.operator.cancel_visit(
        visit, found, by=asked.actor, reason=wanted.reason
    )
    return ApiResponse(body=OrderOut.of(order))


async def _visit(api: ApiContext, asked: ApiRequest) -> tuple[ChildId, EventId]:
    """The visit, and an id for what is said of it as it is now: the same thing said twice at once
    counts once. Raises NotFound."""
    order, wanted = OrderId(asked.path["order"]), asked.path["visit"]
    shown = await api.gateway.orders.show(order)
    for child in shown.children:
        if child.fact.id == wanted and child.field is not None:
            return child.fact.id, EventId(f"{wanted}/by-hand/{child.field.version}")
    raise NotFound(f"no visit {wanted} of order {order}")


async def retry_request(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    asked.read(NothingIn)
    order, request = OrderId(asked.path["order"]), asked.path["request"]
    made = await api.gateway.orders.operator.retry_request(order, request, by=asked.actor)
    return ApiResponse(body=RequestOut.of(made))


async def retry_replies(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    order, reply = OrderId(asked.path["order"]), asked.read(ReplyRetryIn).reply
    sent = await api.gateway.orders.operator.retry_replies(order, by=asked.actor, reply=reply)
    return ApiResponse(body=ReplyList.of(sent))


async def discard_reply(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    order, reply = OrderId(asked.path["order"]), asked.read(ReplyDiscardIn).reply
    ended = await api.gateway.orders.operator.give_up_reply(order, reply, by=asked.actor)
    return ApiResponse(body=ReplyOut.of(ended))

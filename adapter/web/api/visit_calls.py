"""One function per route about visits, requests and replies of service orders."""

from adapter.commands.timing import given_in_utc
from adapter.errors import NotFound
from adapter.model.ids import DeviceId, EventId, OrderId
from adapter.orders.completion import CompletionReport
from adapter.orders.order import ChildId
from adapter.web.api import orders, visits
from adapter.web.api.call import ApiContext, ApiRequest, ApiResponse
from adapter.web.api.schema import NothingIn


async def complete_visit(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(visits.WorkIn)
    visit, cause = await _visit(api, asked)
    device = None
    if wanted.new_device is not None:
        device = (await api.gateway.registry.device(DeviceId(wanted.new_device))).device
    order = await api.gateway.orders.operator.complete_visit(
        visit, wanted.report(cause, device, asked.now), by=asked.actor
    )
    return ApiResponse(body=orders.OrderOut.of(order))


async def cancel_visit(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(visits.VisitCancelIn)
    visit, cause = await _visit(api, asked)
    found = CompletionReport(
        at=given_in_utc("at", wanted.at) or asked.now, cause=cause, remarks=tuple(wanted.remarks)
    )
    order = await api.gateway.orders.operator.cancel_visit(
        visit, found, by=asked.actor, reason=wanted.reason
    )
    return ApiResponse(body=orders.OrderOut.of(order))


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
    return ApiResponse(body=orders.RequestOut.of(made))


async def retry_replies(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    order, reply = OrderId(asked.path["order"]), asked.read(visits.ReplyIn).reply
    sent = await api.gateway.orders.operator.retry_replies(order, by=asked.actor, reply=reply)
    return ApiResponse(body=visits.ReplyList.of(sent))


async def discard_reply(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    order, reply = OrderId(asked.path["order"]), asked.read(visits.OneReplyIn).reply
    ended = await api.gateway.orders.operator.give_up_reply(order, reply, by=asked.actor)
    return ApiResponse(body=visits.ReplyOut.of(ended))


async def enter_readings(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    values = asked.read(visits.ReadingsIn).values()
    await api.gateway.readings.entered.enter(values, by=asked.actor)
    return ApiResponse(body=visits.EnteredOut(entered=len(values)))

"""One function per route of service orders, each a few lines over `Orders`."""

from adapter.commands.timing import given_in_utc
from adapter.engine.orders.ports import OrderFilter
from adapter.model.ids import OrderId, ServicePointId
from adapter.orders.order import OrderKind, OrderState
from adapter.web.api import orders as schema
from adapter.web.api.call import (
    PREFIX,
    ApiContext,
    ApiRequest,
    ApiResponse,
    bad_query,
    cursor_of,
    flag_of,
    limit_of,
    member,
)
from adapter.web.api.schema import NothingIn, ReasonIn, UnreadableOut

LISTED = ("kind", "state", "service_point", "open", "limit", "cursor")


async def submit_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(schema.OrderIn)
    order = await api.gateway.orders.submit(
        wanted.request(requester=asked.actor), actor=asked.actor
    )
    return ApiResponse(
        status=202,
        body=schema.OrderOut.of(order),
        headers={"Location": f"{PREFIX}/orders/{order.id}"},
    )


async def plan_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    request = asked.read(schema.PlanIn).request(requester=asked.actor)
    return ApiResponse(body=schema.PlanOut.of(await api.gateway.orders.plan(request)))


async def plan_rest_of_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    return ApiResponse(body=schema.PlanOut.of(await api.gateway.orders.plan_of(_order(asked))))


async def list_orders(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    point, cursor = asked.query.get("service_point"), cursor_of(asked)
    found = await api.gateway.orders.list(
        OrderFilter(
            kind=member(asked, "kind", OrderKind),
            state=_state(asked),
            service_point=ServicePointId(point) if point is not None else None,
            open_only=flag_of(asked, "open"),
            before=OrderId(cursor) if cursor is not None else None,
            limit=limit,
        )
    )
    return ApiResponse(
        body=schema.OrderPage(
            items=[schema.OrderOut.of(order) for order in found.rows],
            unreadable=[UnreadableOut.of(row) for row in found.unreadable],
            next=found.next(limit),
        )
    )


async def get_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    orders, order = api.gateway.orders, _order(asked)
    shown = await orders.show(order)
    return ApiResponse(body=schema.OrderShownOut.of(shown, await orders.history(order)))


async def cancel_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(schema.CancelIn)
    request = await api.gateway.orders.cancel(
        _order(asked), by=asked.actor, reason=wanted.reason, reference=wanted.reference
    )
    return ApiResponse(body=schema.RequestOut.of(request))


async def update_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(schema.UpdateIn)
    request = await api.gateway.orders.update(
        _order(asked), wanted.changes, by=asked.actor, reference=wanted.reference
    )
    return ApiResponse(body=schema.RequestOut.of(request))


async def retry_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    asked.read(NothingIn)
    order = await api.gateway.orders.operator.retry(_order(asked), by=asked.actor)
    return ApiResponse(body=schema.OrderOut.of(order))


async def correct_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(schema.CorrectIn)
    order = await api.gateway.orders.operator.correct(
        _order(asked),
        by=asked.actor,
        fields=wanted.fields,
        effective_at=given_in_utc("effective_at", wanted.effective_at),
        service_at=given_in_utc("service_at", wanted.service_at),
    )
    return ApiResponse(body=schema.OrderOut.of(order))


async def complete_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(schema.HandIn)
    order = await api.gateway.orders.operator.complete_by_hand(
        _order(asked), by=asked.actor, reason=wanted.reason
    )
    return ApiResponse(body=schema.OrderOut.of(order))


async def discard_order(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(ReasonIn)
    order = await api.gateway.orders.operator.discard(
        _order(asked), by=asked.actor, reason=wanted.reason
    )
    return ApiResponse(body=schema.OrderOut.of(order))


async def record_payment(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = asked.read(schema.PaymentIn)
    orders = await api.gateway.orders.payment(
        ServicePointId(wanted.service_point), by=asked.actor, reference=wanted.reference
    )
    return ApiResponse(body=schema.OrderList.of(orders))


async def list_todo(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    found = await api.gateway.orders.todo(limit=limit_of(asked))
    return ApiResponse(
        body=schema.TodoList(items=[schema.TodoOut.of(each, now=asked.now) for each in found])
    )


def _order(asked: ApiRequest) -> OrderId:
    return OrderId(asked.path["order"])


def _state(asked: ApiRequest) -> OrderState | None:
    given = asked.query.get("state")
    if given is None:
        return None
    found = next((each for each in OrderState if schema.slug(each) == given), None)
    if found is None:
        known = ", ".join(schema.slug(each) for each in OrderState)
        raise bad_query("state", f"one of {known}")
    return found

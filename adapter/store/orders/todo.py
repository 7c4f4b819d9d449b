"""What of orders waits for people: orders, visits, requests to cancel or update, replies."""

import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec

from adapter.engine.orders.ports import Child
from adapter.engine.upkeep import todo_kinds as kinds
from adapter.engine.upkeep.todo import Todo, Way
from adapter.model.todo import TodoSubject
from adapter.orders.algorithms.rows import NEW_DEVICE
from adapter.orders.field_activity import FIELD_ERRORS, FieldActivity, FieldState
from adapter.orders.maintenance import MaintenanceActivity
from adapter.orders.order import CHILD_ERROR, OrderState, ServiceOrder
from adapter.orders.replies import ReplyState, RequesterReply
from adapter.orders.tasks import FieldEffect
from adapter.store.connection import SqlConnection
from adapter.store.orders import queries as sql
from adapter.store.registry.service_points import without_supply
from adapter.store.rows import moment
from adapter.store.upkeep.unreadable import made_of

log = logging.getLogger(__name__)

_order: Final = msgspec.json.Decoder(ServiceOrder).decode
_child: Final = msgspec.json.Decoder(Child).decode
_request: Final = msgspec.json.Decoder(MaintenanceActivity).decode
_reply: Final = msgspec.json.Decoder(RequesterReply).decode


def todo(db: SqlConnection, limit: int) -> list[Todo]:
    """What cannot be read of it is set aside some day, and is on the list then."""
    found: list[Todo] = []
    makers: tuple[tuple[str, Callable[[tuple[Any, ...]], Todo | None]], ...] = (
        (sql.TODO_ORDERS, lambda row: _order_todo(db, row)),
        (sql.TODO_GIVEN_UP, lambda row: _given_up(db, row)),
        (sql.TODO_REQUESTS, _request_todo),
        (sql.TODO_REPLIES, _reply_todo),
    )
    for query, make in makers:
        rows = [("", row) for row in list(db.execute(query, (limit,)))]
        made, bad = made_of(rows, make)
        found += [each for each in made if each is not None]
        if bad:
            log.warning("todo_not_read", extra={"rows": len(bad), "error": repr(bad[0][1])})
    return sorted(found, key=lambda each: (-each.priority, each.since, each.id))[:limit]


def _order_todo(db: SqlConnection, row: tuple[Any, ...]) -> Todo:
    """Of the order; where it waits for a visit that is in error, of the visit."""
    priority, since, body = row
    order = _order(body)
    child = _awaited(db, order)
    in_error = child is not None and child.fact.state in CHILD_ERROR
    visit = child.field if child is not None and in_error else None
    problem = order.problem
    dark = problem is not None and problem.without_supply
    return Todo(
        subject=TodoSubject.ORDER if visit is None else TodoSubject.VISIT,
        id=order.id if visit is None else visit.id,
        order=order.id,
        priority=priority,
        since=moment(since),
        code=problem.code if problem is not None else "",
        text=problem.text if problem is not None else "",
        action=problem.action if problem is not None else "",
        fault=order.kind,
        device="" if visit is None else order.fields.get(NEW_DEVICE, ""),
        service_point=order.service_point,
        dark=dark or without_supply(db, order.service_point),
        behind=(child.command or "") if child is not None and in_error else "",
        ways=_ways_of_order(order, dark) if visit is None else _ways_of_visit(visit),
    )


def _given_up(db: SqlConnection, row: tuple[Any, ...]) -> Todo | None:
    """Of an order to reconnect; None where supply is on again."""
    _, since, body = row
    order = _order(body)
    off = without_supply(db, order.service_point)
    return kinds.of_given_up(order, moment(since)) if off else None


def _awaited(db: SqlConnection, order: ServiceOrder) -> Child | None:
    if order.awaited_child is None:
        return None
    body = db.execute(sql.CHILD, (order.awaited_child,)).get
    return None if body is None else _child(body)


def _ways_of_order(order: ServiceOrder, dark: bool) -> tuple[Way, ...]:
    """Who is dark by the order is not left so by closing it."""
    if dark:
        return (kinds.RETRY_ORDER,)
    if order.state is OrderState.ACTIVITY_ERROR:
        return (kinds.RETRY_ORDER, kinds.COMPLETE_ORDER, kinds.GIVE_UP_ORDER)
    return (kinds.RETRY_ORDER, kinds.GIVE_UP_ORDER)


def _ways_of_visit(visit: FieldActivity) -> tuple[Way, ...]:
    """What was installed has to be told: where the order does not name it, people do."""
    if visit.state is FieldState.VALIDATION_ERROR or visit.state not in FIELD_ERRORS:
        return (kinds.RETRY_OF_VISIT,)
    installs = FieldEffect.INSTALL in visit.spec.changes
    done = kinds.INSTALLED if installs else kinds.COMPLETE_VISIT
    return (kinds.RETRY_OF_VISIT, done, kinds.CANCEL_VISIT)


def _request_todo(row: tuple[Any, ...]) -> Todo:
    request = _request(row[0])
    return Todo(
        subject=TodoSubject.REQUEST,
        id=request.id,
        order=request.order,
        since=request.created_at,
        code=f"{request.purpose}_{request.state.name.lower()}",
        text=request.outcome,
        action="see to the child, then retry the request",
        ways=(kinds.RETRY_REQUEST,),
    )


def _reply_todo(row: tuple[Any, ...]) -> Todo:
    reply = _reply(row[0])
    refused = reply.state is ReplyState.REFUSED
    return Todo(
        subject=TodoSubject.REPLY,
        id=reply.id,
        order=reply.order,
        since=reply.created_at,
        code=f"reply_{'refused' if refused else 'undelivered'}",
        text=f"{reply.attempts} tries: {reply.last_error}",
        action="see to the requester's system, then send the reply again, or give it up"
        if refused
        else "see to the requester's system; the reply is tried on",
        ways=(kinds.RETRY_REPLY, kinds.GIVE_UP_REPLY),
    )

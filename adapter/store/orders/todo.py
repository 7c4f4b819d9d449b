"""What waits for people, read from the rows of orders, requests, replies and failed rows."""

import logging
from typing import Any, Final

import apsw
import msgspec

from adapter.engine.orders.ports import Todo, TodoSubject
from adapter.engine.upkeep.set_aside import RowKind
from adapter.model.ids import OrderId
from adapter.orders.lifecycle import TODO_PRIORITY
from adapter.orders.maintenance import MaintenanceActivity
from adapter.orders.order import ServiceOrder
from adapter.orders.replies import ReplyState, RequesterReply
from adapter.store.orders import queries as sql
from adapter.store.rows import moment
from adapter.store.upkeep.failed_rows import made_of

log = logging.getLogger(__name__)

_order: Final = msgspec.json.Decoder(ServiceOrder).decode
_request: Final = msgspec.json.Decoder(MaintenanceActivity).decode
_reply: Final = msgspec.json.Decoder(RequesterReply).decode


def todo(db: apsw.Connection, limit: int) -> list[Todo]:
    """What cannot be read of it is set aside some day, and stands here then."""
    found: list[Todo] = []
    for query, make in (
        (sql.TODO_ORDERS, _order_todo),
        (sql.TODO_REQUESTS, _request_todo),
        (sql.TODO_REPLIES, _reply_todo),
        (sql.TODO_SET_ASIDE, _set_aside_todo),
    ):
        rows = [("", row) for row in db.execute(query, (limit,))]
        made, bad = made_of(rows, make)
        found += made
        if bad:
            log.warning("todo_not_read", extra={"rows": len(bad), "error": repr(bad[0][1])})
    return sorted(found, key=lambda each: (-each.priority, each.since, each.id))[:limit]


def _order_todo(row: tuple[Any, ...]) -> Todo:
    priority, since, body = row
    order = _order(body)
    problem = order.problem
    return Todo(
        subject=TodoSubject.ORDER,
        id=order.id,
        order=order.id,
        priority=priority,
        since=moment(since),
        code=problem.code if problem is not None else "",
        text=problem.text if problem is not None else "",
        action=problem.action if problem is not None else "",
    )


def _request_todo(row: tuple[Any, ...]) -> Todo:
    request = _request(row[0])
    return Todo(
        subject=TodoSubject.REQUEST,
        id=request.id,
        order=request.order,
        priority=TODO_PRIORITY,
        since=request.created_at,
        code=f"{request.purpose}_{request.state.name.lower()}",
        text=request.outcome,
        action="see to the child, then retry the request",
    )


def _reply_todo(row: tuple[Any, ...]) -> Todo:
    reply = _reply(row[0])
    return Todo(
        subject=TodoSubject.REPLY,
        id=reply.id,
        order=reply.order,
        priority=TODO_PRIORITY,
        since=reply.created_at,
        code=f"reply_{'refused' if reply.state is ReplyState.REFUSED else 'undelivered'}",
        text=f"{reply.attempts} tries: {reply.last_error}",
        action="see to the requester's system, then send the reply again, or give it up"
        if reply.state is ReplyState.REFUSED
        else "see to the requester's system; the reply is tried on",
    )


def _set_aside_todo(row: tuple[Any, ...]) -> Todo:
    number, kind, key, error, detail, first = row
    return Todo(
        subject=TodoSubject.SET_ASIDE,
        id=str(number),
        order=OrderId(key if kind == RowKind.ORDER else ""),
        priority=TODO_PRIORITY,
        since=moment(first),
        code=f"{kind}_set_aside",
        text=f"{kind} {key}: {error}: {detail}",
        action=f"mend what is wrong, then openway set-aside retry {number}, or discard it",
    )

"""What came out of an order fixture: plain data in a fixed order, ids replaced by numbers."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from adapter.engine.orders.ports import Child, OrderPass, OrderShown
from adapter.model.ids import OrderId, ServicePointId
from adapter.orders.algorithms.verdict import Decision, DecisionOutcome
from adapter.orders.maintenance import MaintenanceActivity
from adapter.orders.replies import RequesterReply
from adapter.replay.order_stage import OrderStage

_MOST = 1000


async def outcome(stage: OrderStage) -> Mapping[str, object]:
    """What `expected.json` holds."""
    shown = [await stage.orders.show(order) for order in stage.submitted]
    made = {
        "done": stage.done,
        "orders": [_order(each, stage.scenario.start) for each in shown],
        "crew": _crew(stage),
        "world": await _world(stage),
        "todo": [
            {"order": item.order, "code": item.code, "text": item.text, "priority": item.priority}
            for item in await stage.orders.todo(limit=_MOST)
        ],
    }
    text = json.dumps(json.loads(msgspec.json.encode(made)))
    plain = json.loads(_numbered(text, stage.submitted, shown))
    assert isinstance(plain, dict)
    return plain


def _numbered(text: str, orders: Sequence[OrderId], shown: Sequence[OrderShown]) -> str:
    """Ids as `order-1`, `order-1.2`, and `command-1.2` for the command of such a child."""
    for number, order in enumerate(shown, start=1):
        for child in order.children:
            if child.command is not None:
                text = text.replace(child.command, f"command-{number}.{child.fact.number}")
    for number, id_ in enumerate(orders, start=1):
        text = text.replace(id_, f"order-{number}")
    return re.sub(r"127\.0\.0\.1:\d+", "gateway.example", text)


def _order(shown: OrderShown, start: datetime) -> dict[str, object]:
    order = shown.order
    return {
        "id": order.id,
        "kind": order.kind.value,
        "state": order.state.value,
        "problem": None if order.problem is None else order.problem.code,
        "without_supply": order.problem is not None and order.problem.without_supply,
        "ended_at": None if order.ended_at is None else (order.ended_at - start).total_seconds(),
        "fields": dict(order.fields),
        "children": [_child(child, start) for child in shown.children],
        "decisions": [_pass(each, start) for each in shown.passes],
        "replies": [_reply(reply, start) for reply in shown.replies],
        "requests": [_request(request) for request in shown.requests],
    }


def _child(child: Child, start: datetime) -> dict[str, object]:
    fact = child.fact
    ended = None if fact.ended_at is None else (fact.ended_at - start).total_seconds()
    return {
        "id": fact.id,
        "does": fact.spec.task or fact.spec.business_object,
        "device": fact.spec.device,
        "state": fact.state.value,
        "reason": fact.reason,
        "algorithm": fact.algorithm,
        "row": fact.row,
        "from": (fact.created_at - start).total_seconds(),
        "to": ended,
    }


def _pass(looked: OrderPass, start: datetime) -> dict[str, object]:
    """One look: what the last algorithm decided, and which were passed before it."""
    decisions = looked.decisions
    passed = [each.algorithm for each in decisions if each.outcome is DecisionOutcome.PASS]
    other = [_decision(each) for each in decisions if each.outcome is not DecisionOutcome.PASS]
    return {"at": (looked.at - start).total_seconds(), "passed": passed, "decided": other}


def _decision(decision: Decision) -> dict[str, object]:
    child = decision.child
    return {
        "cell": decision.cell,
        "type": decision.type,
        "algorithm": decision.algorithm,
        "row": decision.row,
        "outcome": decision.outcome.value,
        "child": None if child is None else child.task or child.business_object,
        "note": decision.note,
        "problem": None if decision.problem is None else decision.problem.code,
    }


def _reply(reply: RequesterReply, start: datetime) -> dict[str, object]:
    return {
        "at": (reply.created_at - start).total_seconds(),
        "kind": reply.kind.value,
        "state": reply.state.value,
        "details": dict(reply.details),
    }


def _request(request: MaintenanceActivity) -> dict[str, object]:
    return {
        "id": request.id,
        "purpose": request.purpose.value,
        "state": request.state.value,
        "outcome": request.outcome,
        "child": request.child,
    }


def _crew(stage: OrderStage) -> dict[str, object]:
    return {
        "heard": [
            {"id": message.id, "kind": message.kind.value, "task": message.task}
            for message in stage.heard.messages
        ],
        "told": [
            {"id": report.id, "news": type(report.news).__name__} for report in stage.crew.told
        ],
        "unwanted": [
            {"id": report.id, "news": type(report.news).__name__, "reason": why}
            for report, why in stage.crew.unfit
        ],
    }


async def _world(stage: OrderStage) -> list[dict[str, object]]:
    """Every service point: what the records say, and where the simulated meter's switch stands."""
    found = []
    for row in stage.scenario.point:
        world = await stage.order_store.world(ServicePointId(row.id), OrderId(""))
        point, event, device = world.service_point, world.installed, world.device
        assert point is not None
        meter = None
        if device is not None and device.endpoint is not None:
            meter = stage.simulator.world.population.find(device.endpoint)
        found.append(
            {
                "point": point.id,
                "connected": point.connected,
                "disconnect_location": point.disconnect_location.value,
                "device": None if event is None else event.device,
                "status": None if event is None else event.status.value,
                "history": [] if event is None else [each.on for each in event.history],
                "switch": None if meter is None else meter.switch.value,
                "removed": [
                    {"device": gone.id, "status": old.status.value} for gone, old in world.removed
                ],
            }
        )
    return found

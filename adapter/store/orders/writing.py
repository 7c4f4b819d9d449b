"""How a case is written: every guard first, then every row, in one open transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeAlias

from adapter.engine.orders.ports import CaseSaved, Child, InstallWrite, OrderChange, WorldWrite
from adapter.model.device import InstallEvent
from adapter.model.ids import endpoint_key
from adapter.orders.lifecycle import DARK_PRIORITY, TODO_PRIORITY
from adapter.orders.maintenance import MaintenanceActivity, MaintenanceState
from adapter.orders.order import ERROR_STATES, OrderState, ServiceOrder
from adapter.orders.payment import RESTORING, given_up
from adapter.orders.replies import ReplyState, RequesterReply, alarming
from adapter.store import rows
from adapter.store.commands import queries
from adapter.store.commands.reading import in_use
from adapter.store.commands.writing import note_all, publish
from adapter.store.connection import SqlConnection
from adapter.store.orders import queries as sql
from adapter.store.registry.importing import twin_of_device
from adapter.store.registry.registry import install_unmoved, put_device, put_install
from adapter.store.rows import encode, micros, micros_or_none
from adapter.store.transaction import Transaction

Value: TypeAlias = int | float | bytes | str | None

_REQUEST_TODO: Final = (MaintenanceState.ERROR, MaintenanceState.VALIDATION_ERROR)


class CaseWriter:
    """Writes cases into one transaction. `at` is the store's clock."""

    def __init__(self, tx: Transaction, at: datetime) -> None:
        self._tx = tx
        self._db: SqlConnection = tx.connection
        self._at = at

    def insert(self, write: OrderChange, content: str) -> None:
        order = write.case.order
        row = {
            **_order_row(write),
            "requester": order.requester,
            "reference": order.external_reference,
            "content": content,
            "service_point": order.service_point,
            "kind": order.kind,
        }
        self._db.execute(sql.INSERT_ORDER, row)
        self._along(write)

    def save(self, write: OrderChange) -> CaseSaved:
        refused = self._refused(write)
        if refused is not None:
            return refused
        order = write.case.order
        for other in write.supersedes:
            self._db.execute(sql.YIELD_POINT, (micros(self._at), other))
        version = write.case.version + 1
        self._db.execute(sql.UPDATE_ORDER, {**_order_row(write), "version": version})
        blocker = write.case.blocked_by
        if blocker is not None and not order.final:
            # It may have ended after this one looked at it: then nobody would wake this one.
            row = {"id": order.id, "blocked_by": blocker, "at": micros(self._at)}
            self._db.execute(sql.WAKE_UNBLOCKED, row)
        if write.awaits is not None:
            row = {"id": order.id, "awaits": write.awaits, "at": micros(self._at)}
            self._db.execute(sql.WAKE_UNAWAITED, row)
        for activity in write.recalls:
            self._db.execute(sql.DROP_MESSAGES, (activity,))
        self._along(write)
        self._world(write.world)
        for new in write.opens:
            self.insert(new.change, new.content)
        for activity in write.drops:
            self._db.execute(sql.DROP_MESSAGES, (activity,))
        if write.report is not None:
            report = write.report
            body = encode(report)
            self._db.execute(
                sql.INSERT_REPORT, (report.id, report.activity, micros(self._at), body)
            )
        if order.final:
            self._db.execute(sql.WAKE_BLOCKED, (micros(self._at), order.id))
        if order.state is OrderState.COMPLETED and order.kind in RESTORING:
            self._db.execute(sql.SUPPLY_RESTORED, (order.service_point,))
        return CaseSaved.SAVED

    def _refused(self, write: OrderChange) -> CaseSaved | None:
        order = write.case.order
        if self._db.execute(sql.ORDER_VERSION, (order.id,)).get != write.case.version:
            return CaseSaved.MOVED
        report = write.report
        if report and self._db.execute(sql.REPORT_KNOWN, (report.id,)).get is not None:
            return CaseSaved.KNOWN
        if any(self._reference_taken(each) for each in write.case.requests):
            return CaseSaved.REFERENCE_TAKEN
        if write.holds:
            holder = self._db.execute(sql.HOLDER, (order.service_point,)).get
            if holder not in (None, order.id, *write.supersedes):
                return CaseSaved.POINT_TAKEN
        for activity in (*write.drops, *write.recalls):
            if self._db.execute(sql.LEAVING, (activity,)).get is not None:
                return CaseSaved.LEAVING
        return None if self._world_unmoved(write.world) else CaseSaved.WORLD_MOVED

    def _reference_taken(self, request: MaintenanceActivity) -> bool:
        key = (request.requester, request.reference)
        return self._db.execute(sql.REFERENCE_HOLDER, key).get not in (None, request.id)

    def _world_unmoved(self, world: WorldWrite) -> bool:
        before = world.point_before
        if before is not None:
            body = self._db.execute(queries.SERVICE_POINT, (before.id,)).get
            if body is None or rows.decode_service_point(body) != before:
                return False
        unmoved = all(self._install_unmoved(each) for each in world.installs)
        return unmoved and self._endpoints_free(world) and not self._twins(world)

    def _twins(self, world: WorldWrite) -> bool:
        """Whether a device comes that people take for one which is known by now."""
        return any(twin_of_device(self._db, each.id) is not None for each in world.devices)

    def _endpoints_free(self, world: WorldWrite) -> bool:
        """Whether no device comes with an endpoint that is another's by now (I7)."""
        gone = {each.event.device for each in world.installs if each.event.removed_at is not None}
        coming = {each.id: each for each in world.devices}
        for write in world.installs:
            id = write.event.device
            if id in gone or self._db.execute(queries.INSTALL_OPEN, (id,)).get is not None:
                continue
            body = self._db.execute(queries.DEVICE, (id,)).get
            device = coming.get(id) or (None if body is None else rows.decode_device(body))
            if device is None or device.endpoint is None:
                continue
            holders = in_use(self._db, endpoint_key(device.endpoint))
            if {each.device.id for each in holders} - {id, *gone}:
                return False
        return True

    def _install_unmoved(self, write: InstallWrite) -> bool:
        planned = write.replaces
        if planned is None:
            return install_unmoved(self._db, write.event)
        return bool(
            self._db.execute(queries.INSTALL_GUARD, _install_key(planned)).get == planned.version
        )

    def _world(self, world: WorldWrite) -> None:
        if world.point_after is not None:
            after = world.point_after
            self._db.execute(queries.UPSERT_SERVICE_POINT, (after.id, encode(after)))
        for device in world.devices:
            put_device(self._db, device)
        for install in world.installs:
            if install.replaces is not None:
                self._db.execute(sql.DELETE_INSTALL, _install_key(install.replaces))
            put_install(self._db, install.event, install.event.version + 1)
        for m in world.measurements:
            row = (m.id, m.device or "", micros(m.at), encode(m))
            self._db.execute(sql.INSERT_CREW_MEASUREMENT, row)

    def _along(self, write: OrderChange) -> None:
        order, same = write.case.order, write.unchanged
        children = (each for each in write.case.children if each.fact.id not in same)
        for child in children:
            self._db.execute(sql.UPSERT_CHILD, _child_row(order, child))
        requests = (each for each in write.case.requests if each.id not in same)
        for request in requests:
            self._db.execute(sql.UPSERT_REQUEST, _request_row(request))
        for made in write.passes:
            self._db.execute(sql.INSERT_PASS, (order.id, made.number, encode(made)))
        for reply in write.replies:
            self._db.execute(sql.INSERT_REPLY, {**reply_row(reply), "of_order": reply.order})
        for message in write.messages:
            due = micros(message.created_at)
            self._db.execute(
                sql.INSERT_MESSAGE,
                (message.id, message.activity, message.number, due, encode(message)),
            )
        publish(self._tx, write.publications, self._at)
        note_all(self._tx, write.audit, self._at)


def _order_row(write: OrderChange) -> Mapping[str, Value]:
    case = write.case
    order = case.order
    troubled = order.state in ERROR_STATES or given_up(order)
    since = order.state_since or order.created_at
    return {
        "id": order.id,
        "state": order.state,
        "open": not order.final,
        "holds": write.holds,
        "todo": _priority(order) if troubled else None,
        "since": micros(since) if troubled else None,
        "blocked_by": case.blocked_by,
        "awaits": write.awaits,
        "wake": micros_or_none(case.wake),
        "body": encode(order),
    }


def _priority(order: ServiceOrder) -> int:
    dark = given_up(order) or (order.problem is not None and order.problem.without_supply)
    return DARK_PRIORITY if dark else TODO_PRIORITY + order.priority


def _child_row(order: ServiceOrder, child: Child) -> Mapping[str, Value]:
    fact = child.fact
    return {
        "id": fact.id,
        "of_order": order.id,
        "number": fact.number,
        "service_point": order.service_point,
        "device": fact.spec.device,
        "task": fact.spec.task,
        "open": not fact.final,
        "body": encode(child),
    }


def _request_row(request: MaintenanceActivity) -> tuple[Value, ...]:
    return (
        request.id,
        request.order,
        request.requester,
        request.reference,
        request.state in _REQUEST_TODO,
        encode(request),
    )


def reply_row(reply: RequesterReply) -> Mapping[str, Value]:
    queued = reply.state is ReplyState.QUEUED
    return {
        "id": reply.id,
        "state": reply.state,
        "due": micros(reply.due_at) if queued else None,
        "alarm": alarming(reply),
        "body": encode(reply),
    }


def _install_key(event: InstallEvent) -> tuple[str, str, int]:
    return event.device, event.service_point, micros(event.installed_at)

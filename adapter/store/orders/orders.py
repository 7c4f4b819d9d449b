"""Service orders in the gateway's SQLite file: the OrderStore port over the store's own threads."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, get_args

import msgspec

from adapter.engine.commands.ports import AuditNote
from adapter.engine.listing import MOST_LOOKED_AT, Listing
from adapter.engine.orders.field_work import (
    FieldMessage,
    FieldNews,
    FieldReport,
    OpenVisit,
    OtherWork,
)
from adapter.engine.orders.ports import (
    CaseSaved,
    Child,
    MessageState,
    OrderChange,
    OrderFilter,
    OrderLook,
    OrderPass,
    OrderRecord,
    OrderShown,
    OrderWorld,
    OutgoingMessage,
    WorldWanted,
)
from adapter.engine.upkeep.set_aside import RowKind
from adapter.engine.upkeep.todo import Todo
from adapter.model.device import Device, InstallEvent
from adapter.model.ids import DeviceId, OrderId, ServicePointId
from adapter.model.measurement import Measurement
from adapter.model.values import replace
from adapter.orders.activities import ChildKind
from adapter.orders.field_activity_rules import OtherTask
from adapter.orders.maintenance import MaintenanceActivity
from adapter.orders.order import ChildId, OpenOrder, OrderKind, OrderState, ServiceOrder
from adapter.orders.replies import RequesterReply
from adapter.store import rows
from adapter.store.commands import queries
from adapter.store.commands.reading import changed_since, first_id_since
from adapter.store.commands.writing import note_all
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.memory import MOST_ORDERS, VersionMemory, order_memory
from adapter.store.orders import queries as sql
from adapter.store.orders.todo import todo
from adapter.store.orders.writing import CaseWriter, reply_row
from adapter.store.rows import encode, micros, moment
from adapter.store.transaction import Transaction
from adapter.store.upkeep.failed_rows import (
    note_unreadable,
    readable,
)
from adapter.store.upkeep.unreadable import Readable, made_of, unreadable_rows

_order: Final = msgspec.json.Decoder(ServiceOrder).decode
_child: Final = msgspec.json.Decoder(Child).decode
_request: Final = msgspec.json.Decoder(MaintenanceActivity).decode
_pass: Final = msgspec.json.Decoder(OrderPass).decode
_reply: Final = msgspec.json.Decoder(RequesterReply).decode
_NEWS: Final[Mapping[frozenset[str], type[FieldNews]]] = MappingProxyType(
    {frozenset(each.name for each in fields(kind)): kind for kind in get_args(FieldNews)}
)
"""A stored report does not name the kind of its news; no two kinds have the same members."""
_message: Final = msgspec.json.Decoder(FieldMessage).decode
_measurement: Final = msgspec.json.Decoder(Measurement).decode

_FORMER: Final = 5
"""So many former installations are looked at; the newest."""

_LAST: Final = "\x7f"
"""Sorts behind every id."""


class SqliteOrders:
    """The OrderStore port beside the commands, in the same file and the same transactions."""

    def __init__(self, store: Database) -> None:
        self._store = store
        self._memory = order_memory(most=MOST_ORDERS if store.remembering else 0)
        self._opening = store.openings
        self.set_aside = store.set_aside

    # ------------------------------------------------------------ cases

    async def submit(self, write: OrderChange, content: str) -> tuple[OrderId, bool]:
        at = self._store.now()

        def work(tx: Transaction) -> tuple[OrderId, bool]:
            order = write.case.order
            key = (order.requester, order.external_reference)
            known = tx.connection.execute(sql.ORDER_OF_REFERENCE, key).get
            if known is not None:
                return known[0], known[1] == content
            CaseWriter(tx, at).insert(write, content)
            return order.id, True

        return await self._store.write(work)

    async def load(self, orders: Sequence[OrderId]) -> Mapping[OrderId, OrderRecord]:
        memory = self._at_hand
        known = [(order, memory.get(order)) for order in orders]
        found = await self._store.read(lambda db: [_load(db, *each) for each in known])
        return {each.order.id: each for each in map(self._kept, found) if each is not None}

    async def look(self, order: OrderId, wanted: WorldWanted) -> OrderLook | None:
        known = self._at_hand.get(order)
        found = await self._store.read(lambda db: _look(db, order, known, wanted))
        self._kept(found and found[0])
        return found

    @property
    def _at_hand(self) -> VersionMemory[OrderId, OrderRecord]:
        """Of a file that was opened anew, what stood here before is not asked for."""
        self._store.check_open()
        if self._opening != self._store.openings:
            self._memory.clear()
            self._opening = self._store.openings
        return self._memory

    def _kept(self, record: OrderRecord | None) -> OrderRecord | None:
        if record is not None:
            self._at_hand.put([record])
        return record

    async def save(self, batch: Sequence[OrderChange]) -> Sequence[CaseSaved]:
        at = self._store.now()
        results = await self._store.write(
            lambda tx: [CaseWriter(tx, at).save(write) for write in batch]
        )
        for write, saved in zip(batch, results, strict=True):
            if saved is CaseSaved.SAVED:
                self._kept(_as_read(write))
        return results

    async def save_and_look(
        self, write: OrderChange, wanted: WorldWanted
    ) -> tuple[CaseSaved, OrderLook | None]:
        at = self._store.now()

        def work(tx: Transaction) -> tuple[CaseSaved, OrderLook | None]:
            saved = CaseWriter(tx, at).save(write)
            if saved is not CaseSaved.SAVED:
                return saved, None
            return saved, _look(tx.connection, write.case.order.id, _as_read(write), wanted)

        saved, look = await self._store.write(work)
        self._kept(look and look[0])
        return saved, look

    async def world(self, point: ServicePointId, order: OrderId) -> OrderWorld:
        return await self._store.read(lambda db: _world(db, point, order))

    async def due(self, *, limit: int, now: datetime) -> Sequence[OrderId]:
        return await self._store.read(
            lambda db: [row[0] for row in db.execute(sql.DUE, _due(now, limit))]
        )

    async def put_off(self, orders: Sequence[OrderId], now: datetime, until: datetime) -> None:
        rows_ = [{"id": order, "now": micros(now), "until": micros(until)} for order in orders]
        await self._store.write(lambda tx: tx.connection.executemany(sql.PUT_OFF, rows_))

    async def next_wake(self) -> datetime | None:
        """When something of orders is due next, for whoever turns the clock by hand."""
        at = await self._store.read(lambda db: db.execute(sql.NEXT_WAKE).get)
        return None if at is None else moment(at)

    async def wake(self, orders: Sequence[OrderId], at: datetime) -> None:
        def work(tx: Transaction) -> list[tuple[OrderId, int | None]]:
            run, due = tx.connection.execute, micros(at)
            return [(x, run(sql.WAKE_TO_VERSION, {"id": x, "at": due}).get) for x in orders]

        for order, version in await self._store.write(work):
            if version is not None:
                before = self._at_hand.as_of(order, version - 1)
                if before is not None:  # nothing of it is another than before
                    self._at_hand.put([replace(before, version=version)])

    async def waiting_for(self, devices: Sequence[DeviceId]) -> Sequence[OrderId]:
        wanted = encode(list(devices)).decode()
        return await self._store.read(
            lambda db: [row[0] for row in db.execute(sql.OPEN_ON_DEVICE, (wanted,))]
        )

    async def waiting_at(self, names: Sequence[str]) -> Sequence[OrderId]:
        wanted = {"names": encode(list(names)).decode()}
        return await self._store.read(
            lambda db: [row[0] for row in db.execute(sql.OPEN_ON_NAMED, wanted)]
        )

    async def list(self, wanted: OrderFilter) -> Listing[ServiceOrder, OrderId]:
        return await self._store.query(lambda db: _list(db, wanted))

    async def shown(self, order: OrderId) -> OrderShown | None:
        known = self._at_hand.get(order)
        return await self._store.query(lambda db: _shown(db, order, known))

    async def replies(self, order: OrderId) -> Sequence[RequesterReply]:
        return await self._store.query(lambda db: _replies(db, order))

    async def request(self, requester: str, reference: str) -> MaintenanceActivity | None:
        key = (requester, reference)
        body = await self._store.read(lambda db: db.execute(sql.REQUEST_OF_REFERENCE, key).get)
        return None if body is None else _request(body)

    async def todo(self, *, limit: int) -> Sequence[Todo]:
        return await self._store.query(lambda db: todo(db, limit))

    async def order_of(self, child: ChildId) -> OrderId | None:
        return await self._store.read(lambda db: db.execute(sql.ORDER_OF_CHILD, (child,)).get)

    async def other_work(self, report: FieldReport, news: OtherWork) -> bool:
        at = self._store.now()
        ended = None if news.ended_at is None else micros(news.ended_at)
        row = (
            report.activity, news.service_point, news.task,
            micros(news.created_at), ended, news.done,
        )  # fmt: skip

        def work(tx: Transaction) -> bool:
            if tx.connection.execute(sql.REPORT_KNOWN, (report.id,)).get is not None:
                return False
            tx.connection.execute(sql.UPSERT_OTHER_WORK, row)
            known = (report.id, report.activity, micros(at), encode(report))
            tx.connection.execute(sql.INSERT_REPORT, known)
            return True

        return await self._store.write(work)

    async def report_known(self, report: str) -> bool:
        found = await self._store.read(lambda db: db.execute(sql.REPORT_KNOWN, (report,)).get)
        return found is not None

    # ------------------------------------------------------------ field messages and replies

    async def next_messages(
        self, *, limit: int, now: datetime, lease_until: datetime
    ) -> Sequence[OutgoingMessage]:
        def work(tx: Transaction) -> Readable[OutgoingMessage]:
            found = list(tx.connection.execute(sql.MESSAGES_DUE, _due(now, limit)))
            lease = micros(lease_until)
            tx.connection.executemany(sql.LEAVE, [(lease, row[0]) for row in found])
            return made_of([(row[0], row) for row in found], _outgoing)

        if not await self._store.read(lambda db: db.execute(sql.MESSAGES_DUE, _due(now, 1)).get):
            return []
        made, bad = await self._store.write(work)
        await note_unreadable(self._store, RowKind.FIELD_MESSAGE, bad)
        return made

    async def settle_message(
        self, message: str, state: MessageState, *, due: datetime | None = None
    ) -> None:
        row = {
            "id": message,
            "state": state,
            "due": None if due is None else micros(due),
            "tried": state is not MessageState.SENT,
        }
        await self._store.write(lambda tx: tx.connection.execute(sql.SETTLE_MESSAGE, row))

    async def open_visits(self) -> Sequence[OpenVisit]:
        return await self._store.query(_open_visits)

    async def next_replies(self, *, limit: int, now: datetime) -> Sequence[RequesterReply]:
        def due(db: SqlConnection) -> list[tuple[str, bytes]]:
            return list(db.execute(sql.REPLIES_DUE, _due(now, limit)))

        return await readable(self._store, RowKind.REPLY, due, _reply)

    async def drop_reply(self, reply: str) -> None:
        await self._store.write(lambda tx: tx.connection.execute(sql.DROP_REPLY, (reply,)))

    async def settle_reply(self, reply: RequesterReply, *, note: AuditNote | None = None) -> bool:
        at, row = self._store.now(), reply_row(reply)

        def work(tx: Transaction) -> bool:
            body = tx.connection.execute(sql.REPLY, (reply.id,)).get
            if body is None or _reply(body).version + 1 != reply.version:
                return False
            tx.connection.execute(sql.UPDATE_REPLY, row)
            note_all(tx, () if note is None else (note,), at)
            return True

        return await self._store.write(work)

    async def enter_measurements(
        self, measurements: Sequence[Measurement], notes: Sequence[AuditNote]
    ) -> None:
        at = self._store.now()

        def work(tx: Transaction) -> None:
            tx.connection.executemany(
                sql.ENTER_MEASUREMENT,
                [(m.id, m.device or "", micros(m.at), encode(m)) for m in measurements],
            )
            note_all(tx, notes, at)

        await self._store.write(work)

    async def crew_measurements(
        self, device: DeviceId, start: datetime, end: datetime
    ) -> Sequence[Measurement]:
        key = (device, micros(start), micros(end))
        return await self._store.read(
            lambda db: [_measurement(row[0]) for row in db.execute(sql.CREW_MEASUREMENTS, key)]
        )


def _due(now: datetime, limit: int) -> dict[str, int]:
    return {"now": micros(now), "limit": limit}


def _outgoing(row: tuple[Any, ...]) -> OutgoingMessage:
    _, attempts, body = row
    return OutgoingMessage(message=_message(body), attempts=attempts)


def _load(db: SqlConnection, order: OrderId, known: OrderRecord | None) -> OrderRecord | None:
    """`known` is how it was stored some time."""
    row = db.execute(sql.ORDER, (order,)).fetchone()
    if row is None:
        return None
    version, wake, blocked_by = row
    if known is None or known.version != version:
        known = OrderRecord(
            order=_order(db.execute(sql.ORDER_BODY, (order,)).get),
            children=tuple(_child(row[0]) for row in db.execute(sql.CHILDREN, (order,))),
            requests=tuple(_request(row[0]) for row in db.execute(sql.REQUESTS, (order,))),
            version=version,
        )
    return replace(
        known,
        children=tuple(_leaving(db, child) for child in known.children),
        blocked_by=blocked_by,
        wake=None if wake is None else moment(wake),
    )


def _as_read(write: OrderChange) -> OrderRecord:
    """The record as it is read once the change is saved: the order of names in a mapping is that of
    the file."""
    case, same = write.case, write.unchanged
    return replace(
        case,
        order=_order(encode(case.order)),
        children=tuple(x if x.fact.id in same else _child(encode(x)) for x in case.children),
        requests=tuple(x if x.id in same else _request(encode(x)) for x in case.requests),
        version=case.version + 1,
    )


def _leaving(db: SqlConnection, child: Child) -> Child:
    """As it is now; nothing is sent of a visit that is over."""
    open_ = child.field is not None and not child.fact.final
    leaving = open_ and db.execute(sql.LEAVING, (child.fact.id,)).get is not None
    return child if child.leaving is leaving else replace(child, leaving=leaving)


def _shown(db: SqlConnection, order: OrderId, known: OrderRecord | None) -> OrderShown | None:
    case = _load(db, order, known)
    if case is None:
        return None
    return OrderShown(
        order=case.order,
        children=case.children,
        passes=tuple(_pass(row[0]) for row in db.execute(sql.PASSES, (order,))),
        replies=tuple(_replies(db, order)),
        requests=case.requests,
    )


def _replies(db: SqlConnection, order: OrderId) -> list[RequesterReply]:
    return [_reply(row[0]) for row in db.execute(sql.REPLIES, (order,))]


def _look(
    db: SqlConnection, order: OrderId, known: OrderRecord | None, wanted: WorldWanted
) -> OrderLook | None:
    case = _load(db, order, known)
    if case is None:
        return None
    return case, _world(db, case.order.service_point, order) if wanted(case) else None


def _world(db: SqlConnection, point: ServicePointId, order: OrderId) -> OrderWorld:
    body = db.execute(queries.SERVICE_POINT, (point,)).get
    current = _installs(db, point, removed=False, limit=1)
    removed = _installs(db, point, removed=True, limit=_FORMER)
    return OrderWorld(
        service_point=None if body is None else rows.decode_service_point(body),
        device=current[0][0] if current else None,
        installed=current[0][1] if current else None,
        removed=tuple(sorted(removed, key=lambda pair: pair[1].removed_at or moment(0))),
        open_orders=tuple(
            OpenOrder(id=id_, kind=OrderKind(kind), state=OrderState(state))
            for id_, kind, state in db.execute(sql.OPEN_ORDERS, (point, order))
        ),
        other_tasks=_other_tasks(db, point, order),
    )


def _installs(
    db: SqlConnection, point: ServicePointId, *, removed: bool, limit: int
) -> list[tuple[Device, InstallEvent]]:
    found = db.execute(sql.INSTALLS_AT_POINT, (point, removed, limit))
    return [(rows.decode_device(device), rows.decode_install(event)) for event, device in found]


def _other_tasks(db: SqlConnection, point: ServicePointId, order: OrderId) -> tuple[OtherTask, ...]:
    """Visits of other orders that are open, or were done of late; and work that is not ours."""
    of_others = (point, order)
    rows_ = [*db.execute(sql.OPEN_AT_POINT, of_others), *db.execute(sql.CLOSED_AT_POINT, of_others)]
    facts = (_child(row[0]).fact for row in rows_)
    visits = [
        OtherTask(
            id=fact.id, task=fact.spec.task, created_at=fact.created_at, done_at=fact.ended_at
        )
        for fact in facts
        if fact.spec.kind is ChildKind.FIELD and (fact.completed or not fact.final)
    ]
    others = [
        OtherTask(
            id=id_,
            task=task,
            created_at=moment(created),
            done_at=None if ended is None else moment(ended),
        )
        for id_, task, created, ended in db.execute(sql.OTHER_WORK, (point,))
    ]
    return (*visits, *others)


def _list(db: SqlConnection, wanted: OrderFilter) -> Listing[ServiceOrder, OrderId]:
    values = {"before": wanted.before or _LAST}
    if wanted.service_point is not None:
        text, values["service_point"] = sql.LIST_POINT, wanted.service_point
    elif wanted.state is not None:
        text, values["state"] = sql.LIST_STATE, wanted.state
    elif wanted.kind is not None:
        text, values["kind"] = sql.LIST_KIND, wanted.kind
    else:
        text = sql.LIST_ALL
    first = first_id_since(wanted.asked.since)
    found: list[tuple[OrderId, bytes]] = []
    looked_at: OrderId | None = None
    for count, (order, *marks, body) in enumerate(db.execute(text, values), 1):
        if order < first:
            break
        if _fits(db, order, marks, wanted):
            found.append((order, body))
        if len(found) >= wanted.limit:
            break
        if count >= MOST_LOOKED_AT:
            looked_at = order
            break
    made, bad = made_of(found, _order)
    unreadable = unreadable_rows(db, RowKind.ORDER, bad)
    ids = [order for order, _ in found]
    return Listing(ids=ids, rows=made, unreadable=unreadable, looked_at=looked_at)


def _fits(db: SqlConnection, order: OrderId, marks: Sequence[object], wanted: OrderFilter) -> bool:
    """By the columns, for the body of a row need not be readable."""
    kind, state, point, is_open, requester, reference = marks
    return (
        wanted.kind in (None, kind)
        and wanted.state in (None, state)
        and wanted.service_point in (None, point)
        and (bool(is_open) or not wanted.open_only)
        and wanted.asked.requester in (None, requester)
        and wanted.asked.reference in (None, reference)
        and changed_since(db, order, wanted.asked.updated)
    )


def _report(body: bytes) -> FieldReport:
    raw = msgspec.json.decode(body)
    news = msgspec.convert(raw["news"], _NEWS[frozenset(raw["news"])])
    return FieldReport(id=raw["id"], activity=raw["activity"], news=news, who=raw["who"])


def _open_visits(db: SqlConnection) -> list[OpenVisit]:
    reports: dict[str, list[FieldReport]] = {}
    for (body,) in db.execute(sql.REPORTED_OF_OPEN):
        report = _report(body)
        reports.setdefault(report.activity, []).append(report)
    sent = (_message(row[0]) for row in db.execute(sql.SENT_OF_OPEN))
    return [
        OpenVisit(messages=tuple(messages), reports=tuple(reports.get(activity, ())))
        for activity, messages in groupby(sent, key=lambda message: message.activity)
    ]

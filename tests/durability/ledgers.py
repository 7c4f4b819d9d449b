"""The second and the third ledger: what the head end wrote down, and what the store holds."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import apsw

from adapter.commands.activity import Command
from adapter.commands.flows import SWITCH_OPERATIONS
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import AuditEntry, Filter, InboxRow, Ledger, PublicationRow
from adapter.engine.orders.ports import OrderFilter
from adapter.errors import StoreFailed
from adapter.model.device import DeviceView
from adapter.model.ids import EndpointId
from adapter.orders.order import ServiceOrder
from adapter.simulator.meters import Meter
from adapter.simulator.server import Simulator
from adapter.store.commands import reading
from adapter.store.commands.commands import SqliteStore
from adapter.store.orders.orders import SqliteOrders

_PAGE: Final = 500
_ALL: Final = 10_000_000


@dataclass(slots=True, kw_only=True)
class Order:
    """One request that reached the head end. `status` None: it gave no answer."""

    sequence: int
    operation: str
    endpoints: Sequence[str]
    address: str
    acted: bool = False
    answered: bool = False
    status: int | None = None
    fault: str = ""

    @property
    def communication(self) -> str:
        """The attempt, as the callback address names it; "" where it names none."""
        return self.address.rpartition("/")[0].rpartition("/")[2]

    @property
    def command(self) -> str:
        return self.communication.rpartition("-")[0]

    @property
    def refused(self) -> bool:
        """Whether the head end said, by name, that it did nothing."""
        named = bool(self.fault) and self.fault not in ("InternalServiceFault", "OperationFault")
        return not self.acted and self.answered and named


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchJob:
    """A switch order that the head end has worked off, or still does."""

    token: str
    endpoint: str
    began: datetime
    ended: datetime | None


@dataclass(slots=True, kw_only=True)
class HeadEndLedger:
    orders: dict[int, Order] = field(default_factory=dict)
    answered: Counter[str] = field(default_factory=Counter)
    """SHA-256 of every callback that was answered with 2xx, and how often."""
    tried: Counter[str] = field(default_factory=Counter)
    jobs: list[SwitchJob] = field(default_factory=list)
    meters: dict[str, Meter] = field(default_factory=dict)

    @property
    def switch_orders(self) -> list[Order]:
        return [row for _, row in sorted(self.orders.items()) if row.operation in SWITCH_OPERATIONS]


def read_head_end(journal: Path, simulator: Simulator) -> HeadEndLedger:
    ledger = HeadEndLedger()
    for line in journal.read_text(encoding="utf-8").splitlines():
        _take(ledger, json.loads(line))
    for token, job in simulator.world.jobs.items():
        if job.operation in SWITCH_OPERATIONS:
            ledger.jobs += [
                SwitchJob(token=token, endpoint=each, began=job.created_at, ended=job.finished_at)
                for each in job.asked.endpoints
            ]
    population = simulator.world.population
    ledger.meters = {esn: meter for esn in population if (meter := population.find(esn))}
    return ledger


def _take(ledger: HeadEndLedger, line: dict[str, Any]) -> None:
    match line["kind"]:
        case "request":
            ledger.orders[line["sequence"]] = Order(
                sequence=line["sequence"],
                operation=line["operation"],
                endpoints=line["endpoints"],
                address=line.get("address", ""),
            )
        case "acted":
            ledger.orders[line["sequence"]].acted = True
        case "answered":
            order = ledger.orders[line["sequence"]]
            order.answered = line["status"] is not None
            order.status, order.fault = line["status"], line.get("fault", "")
        case "delivery":
            ledger.tried[line["sha256"]] += 1
            if line["status"] is not None and 200 <= line["status"] < 300:
                ledger.answered[line["sha256"]] += 1


@dataclass(slots=True, kw_only=True)
class StoreLedger:
    commands: dict[str, Command]
    orders: dict[str, ServiceOrder]
    inbox: list[InboxRow]
    audit: list[AuditEntry]
    publications: list[PublicationRow]
    devices: dict[str, DeviceView]
    counts: Ledger
    broken_chain: str
    sent_to_sink: Counter[str]

    @property
    def received(self) -> Counter[str]:
        """SHA-256 of the bytes that are kept; these messages are all too small for the spool."""
        assert not any(row.spool for row in self.inbox)
        return Counter(hashlib.sha256(row.raw).hexdigest() for row in self.inbox)

    def view(self, endpoint: str) -> DeviceView | None:
        return next((x for x in self.devices.values() if x.device.endpoint == endpoint), None)


async def read_store(path: Path, published: Path) -> StoreLedger:
    """Opened anew, as the next process would, when nobody else has it."""
    store = SqliteStore(path, now=SystemClock().now)
    await store.open()
    try:
        broken = ""
        try:
            await store.verify_audit()
        except StoreFailed as error:
            broken = str(error)
        return StoreLedger(
            commands={item.id: item for item in await _commands(store)},
            orders={item.id: item for item in await _orders(store)},
            inbox=await _inbox(store),
            audit=list(await store.audit(limit=_ALL)),
            publications=list(await store.outbox("nobody", limit=_ALL)),
            devices={view.device.id: view for view in await store.devices(limit=_ALL)},
            counts=await store.ledger(),
            broken_chain=broken,
            sent_to_sink=Counter(_published(published)),
        )
    finally:
        await store.close()


def read_audit(path: Path) -> Sequence[AuditEntry]:
    """As far as it is written, while a gateway is writing it."""
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return reading.audit(db, None, 0, _ALL)
    finally:
        db.close()


def _published(path: Path) -> Iterable[str]:
    """Whole lines: the last one may have been cut off by a kill."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            yield json.loads(line)[0]
        except ValueError:
            continue


async def _commands(store: SqliteStore) -> list[Command]:
    found: list[Command] = []
    while True:
        before = found[-1].id if found else None
        page = (await store.list(Filter(limit=_PAGE, before=before))).rows
        found += page
        if len(page) < _PAGE:
            return found


async def _orders(store: SqliteStore) -> Sequence[ServiceOrder]:
    return (await SqliteOrders(store.database).list(OrderFilter(limit=_ALL))).rows


async def _inbox(store: SqliteStore) -> list[InboxRow]:
    found: list[InboxRow] = []
    while True:
        before = found[-1].id if found else None
        page = await store.inbox(limit=_PAGE, before=before)
        found += page
        if len(page) < _PAGE:
            return found


def endpoint_of(view: DeviceView) -> EndpointId:
    assert view.device.endpoint is not None
    return view.device.endpoint

"""Builds and connects everything; nothing else does."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from adapter.commands.clocks import ClockPolicy
from adapter.commands.flows import CommandKind
from adapter.engine.beside import Beside
from adapter.engine.clock import SystemClock
from adapter.engine.commands.dispatcher import DispatchSettings, current_communication
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.message_log import MessageLog
from adapter.engine.commands.ports import Clock, Sink, Store
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.gateway import Gateway, GatewaySettings
from adapter.engine.orders.defaults import Outgoing, PublishedReplies
from adapter.engine.orders.facts import MasterData, StoredMeasurements
from adapter.engine.orders.orders import Orders
from adapter.engine.orders.ports import FinalMeasurements, OrderRules, Requester
from adapter.engine.orders.sink import OrderSink
from adapter.engine.readings.entered import EnteredReadings
from adapter.engine.readings.ports import ErrorRecords
from adapter.engine.readings.ports import MeasurementStore as StoredData
from adapter.engine.schedules.schedules import Schedules
from adapter.engine.upkeep.clock_watch import ClockWatch
from adapter.engine.upkeep.retention import Retention
from adapter.engine.upkeep.witness import Witness
from adapter.errors import ContractError, SettingsError, StoreFailed
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.link import FieldWorkLink, field_work_of
from adapter.fieldwork.replies import WebhookReplies
from adapter.headend.client import HeadEndClient, HttpCall
from adapter.headend.contract import ContractWire
from adapter.headend.settings import HeadEndSettings
from adapter.server.connections import bind, url_of
from adapter.service.callback_keys import callback_keys
from adapter.service.checks import catalog_of, check_files
from adapter.service.orders_file import load_rules
from adapter.service.payloads import PayloadServices, taking
from adapter.service.settings import (
    IntakeSettings,
    RetentionSettings,
    Settings,
    SubscriptionSettings,
)
from adapter.service.upkeep import corrections, kept_days, subscriptions_of
from adapter.store.commands.commands import SqliteStore
from adapter.store.commands.holds import SqliteHolds
from adapter.store.orders.orders import SqliteOrders
from adapter.store.readings.reports import SqliteReports
from adapter.store.schedules import SqliteSchedules
from adapter.store.upkeep.retention import SqlitePruning
from adapter.web.api.rest import Rest
from adapter.web.listener.listener import Listener
from adapter.wire.codec import Codec
from adapter.wire.gate import check_contract
from adapter.wire.inbox import InboxReader

log = logging.getLogger(__name__)

_SWITCH_S: Final = 0.0005
"""A thread that waits for the interpreter is let in so soon. While a large body is read, the usual
5 ms would be waited for at every step of the thread that stores callbacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """A gateway, the store below it and the client beside it."""

    store: SqliteStore
    codec: Codec
    client: HeadEndClient
    gateway: Gateway
    taking: PayloadServices
    orders: Orders
    field_work: FieldWorkLink | None = None
    beside: Beside = field(default_factory=Beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderParts:
    """What service orders are connected to. None: what stands in for it
    (`engine/orders/defaults.py`), and of measurements those that the gateway itself has."""

    rules: OrderRules | None = None
    field_work: FieldWorkLink | None = None
    requester: Requester | None = None
    measurements: FinalMeasurements | None = None
    master_data: MasterData | None = None


def connect(
    *,
    store: SqliteStore,
    codec: Codec,
    head_end: HeadEndSettings,
    identity: CallbackIdentity,
    settings: GatewaySettings,
    clock: Clock,
    sinks: Sequence[Sink] = (),
    zone: tzinfo = UTC,
    intake: IntakeSettings | None = None,
    subscriptions: SubscriptionSettings | None = None,
    longest_catch_up: timedelta | None = None,
    retention: RetentionSettings | None = None,
    orders: OrderParts | None = None,
    clock_policy: ClockPolicy | None = None,
) -> Core:
    """A gateway over an open store and a head end that is not connected yet."""
    order_store = SqliteOrders(store.database)
    order_sink = OrderSink(order_store, clock)
    messages = MessageLog(store, clock)
    hold_store = SqliteHolds(store.database)
    holds = SwitchHolds(hold_store, clock)
    watch = ClockWatch(holds, hold_store, clock, clock_policy or ClockPolicy())
    made = taking(store, clock, intake or IntakeSettings(), zone=str(zone))
    made.intake.paused = lambda: holds.doubts_clock

    def observed(http_call: HttpCall) -> None:
        current = current_communication.get()
        if current is not None:
            operation = http_call.call.operation.value
            messages.add(
                current, operation, http_call.request, http_call.status or 0, http_call.reply
            )

    client = HeadEndClient(head_end, ContractWire(codec, zone=zone), observe=observed)
    gateway = Gateway(
        store=store,
        head_end=client,
        reader=InboxReader(codec, zone),
        clock=clock,
        identity=identity,
        settings=settings,
        sinks=(*sinks, order_sink),
        messages=messages,
        intake=made.intake,
        data=made.data,
        holds=holds,
        clock_watch=watch,
    )
    parts = orders or OrderParts()
    running_orders = _orders(order_store, store, made.data, gateway, clock, settings, parts)
    order_sink.poke = running_orders.poke
    gateway.data_loaded = running_orders.arrived
    schedules = Schedules(SqliteSchedules(store.database), gateway, clock, longest=longest_catch_up)
    watch.corrections += corrections(store, gateway, schedules, running_orders, clock, settings)
    return Core(
        store=store,
        codec=codec,
        client=client,
        gateway=gateway,
        taking=made,
        orders=running_orders,
        field_work=parts.field_work,
        beside=Beside(
            set_aside=store.set_aside,
            events=made.events,
            desk=made.desk,
            reports=SqliteReports(store.database),
            orders=running_orders,
            entered=EnteredReadings(order_store, store, clock, running_orders.measured),
            schedules=schedules,
            retention=Retention(
                SqlitePruning(store.database),
                clock,
                kept_days(retention or RetentionSettings()),
                paused=lambda: holds.doubts_clock,
            ),
            subscriptions=subscriptions_of(
                store, head_end, client.limits, codec, clock, identity, subscriptions, holds
            ),
        ),
    )


def _orders(
    store: SqliteOrders,
    commands: Store,
    data: StoredData,
    gateway: Gateway,
    clock: Clock,
    settings: GatewaySettings,
    parts: OrderParts,
) -> Orders:
    return Orders(
        store=store,
        commands=commands,
        gateway=gateway,
        field_work=parts.field_work or Outgoing(),
        requester=parts.requester or PublishedReplies(commands),
        measurements=parts.measurements or StoredMeasurements(data, store),
        clock=clock,
        rules=parts.rules or load_rules(None, settings.head_end_kinds),
        lease_s=settings.dispatch.lease_s,
        master_data=parts.master_data,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The whole service, running."""

    core: Core
    listener: Listener
    rest: Rest

    @property
    def gateway(self) -> Gateway:
        return self.core.gateway

    @property
    def orders(self) -> Orders:
        return self.core.orders


@asynccontextmanager
async def build(
    settings: Settings, *, sinks: Sequence[Sink] = (), orders: OrderParts | None = None
) -> AsyncIterator[App]:
    """The service by its settings: opened, recovered, listening; closed on the way out.

    `orders` are a site's own parts; rules, field work and where replies go come from the settings
    where they are None.

    Raises SettingsError, ContractError when the WSDL lacks what a command needs, StoreFailed.
    """
    _head_end(settings)
    check_files(settings)
    codec = contract(settings.contract.wsdl, settings.engine.kinds)
    clock = SystemClock()
    store = SqliteStore(settings.store.path, now=clock.now)
    async with AsyncExitStack() as stack:
        await store.open()
        stack.push_async_callback(store.close)
        yield await stack.enter_async_context(
            over(store, settings, codec=codec, clock=clock, sinks=sinks, orders=orders)
        )


@asynccontextmanager
async def over(
    store: SqliteStore,
    settings: Settings,
    *,
    codec: Codec,
    clock: Clock,
    sinks: Sequence[Sink] = (),
    orders: OrderParts | None = None,
) -> AsyncIterator[App]:
    """The service over an open store of one's own. Raises SettingsError, StoreFailed."""
    given = orders or OrderParts()
    head_end = _head_end(settings)
    listening = bind(settings.listener.host, settings.listener.port, section="listener")
    async with AsyncExitStack() as stack:
        stack.callback(listening.close)
        tls = settings.listener.tls is not None
        public = settings.listener.public_url or url_of(listening, tls=tls)
        core = connect(
            store=store,
            codec=codec,
            head_end=head_end,
            identity=CallbackIdentity(
                public + settings.listener.path_prefix, await callback_keys(settings, store)
            ),
            settings=gateway_settings(settings),
            clock=clock,
            sinks=sinks,
            zone=ZoneInfo(settings.contract.time_zone),
            intake=settings.intake,
            subscriptions=settings.subscriptions,
            longest_catch_up=timedelta(seconds=settings.schedules.longest_catch_up_s),
            retention=settings.retention,
            clock_policy=settings.clock,
            orders=replace(
                given,
                rules=given.rules or _rules(settings),
                field_work=given.field_work or field_work_of(settings.field_work, clock),
                requester=given.requester or _requester(settings, clock, stack),
            ),
        )
        path = settings.store.path.with_suffix(".witness")
        witness = Witness(store, path, core.gateway.holds, clock)
        await witness.check()
        stack.push_async_callback(witness.try_note)
        app = await stack.enter_async_context(running(core, settings, listening, clock))
        watching = asyncio.get_running_loop().create_task(witness.keep())
        stack.callback(watching.cancel)
        yield app


def _requester(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Requester | None:
    if not settings.replies.url:
        return None
    made = WebhookReplies(settings.replies, clock)
    stack.push_async_callback(made.close)
    return made


def _rules(settings: Settings) -> OrderRules:
    asked = settings.orders
    return replace(
        load_rules(asked.file, settings.engine.kinds),
        visit_time_out=timedelta(seconds=asked.visit_time_out_s) or None,
        message_tries=asked.message_tries,
    )


def _head_end(settings: Settings) -> HeadEndSettings:
    if settings.head_end is None:
        raise SettingsError("head_end.base_url: is needed to serve")
    return settings.head_end


@asynccontextmanager
async def running(
    core: Core, settings: Settings, listening: socket.socket, clock: Clock
) -> AsyncIterator[App]:
    """Start client, gateway, listener and REST in the order in which they need each other."""
    sys.setswitchinterval(_SWITCH_S)
    listener = Listener(
        core.gateway,
        core.codec,
        settings.listener,
        clock=clock,
        listening=listening,
        spool=core.taking.spool,
    )
    rest = Rest(core.gateway, settings.api, clock=clock, beside=core.beside)
    async with AsyncExitStack() as stack:
        core.client.open()
        stack.push_async_callback(core.client.close)
        await core.gateway.start()
        stack.push_async_callback(core.gateway.stop)
        core.beside.start()
        stack.push_async_callback(core.beside.stop)
        if isinstance(core.field_work, Crew):  # the only one that keeps nothing itself
            core.field_work.recover(await core.orders.open_visits())
        await core.orders.start()
        stack.push_async_callback(core.orders.stop)
        if core.field_work is not None:
            await core.field_work.start(core.orders)
            stack.push_async_callback(core.field_work.stop)
        await listener.start()
        stack.push_async_callback(listener.stop)
        await rest.start()
        stack.push_async_callback(rest.stop)
        yield App(core=core, listener=listener, rest=rest)


def contract(folder: Path | None, kinds: frozenset[CommandKind]) -> Codec:
    """The codec of a folder's WSDL. Raises ContractError naming the commands that would break."""
    catalog = catalog_of(folder)
    broken = [item for item in check_contract(catalog) if item.command in kinds]
    if broken:
        raise ContractError("; ".join(f"{item.command}: {item.problem}" for item in broken))
    return Codec(catalog)


def gateway_settings(settings: Settings) -> GatewaySettings:
    return GatewaySettings(
        policies=settings.commands,
        dispatch=DispatchSettings(
            concurrency=settings.engine.concurrency,
            lease_s=settings.engine.lease_s,
            switch=settings.switch,
        ),
        head_end_kinds=settings.engine.kinds,
    )


async def serve(settings: Settings, *, sinks: Sequence[Sink] = ()) -> None:
    """Run the service until SIGINT or SIGTERM. Raises StoreFailed when storage broke (I12)."""
    async with build(settings, sinks=sinks) as app:
        settle()
        await until_stopped(app.gateway, app.core.beside.desk)


def settle() -> None:
    """What is there now stays: contract and codec are not looked through for garbage again and
    again, which takes some 60 ms, in which no callback is answered."""
    gc.collect()
    gc.freeze()


async def until_stopped(gateway: Gateway, desk: ErrorRecords | None = None) -> None:
    """Return on SIGINT or SIGTERM; raise the error with which the store failed. On SIGHUP `desk`
    reads its tables again."""
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[BaseException | None] = loop.create_future()

    def stop(error: BaseException | None = None) -> None:
        if not stopping.done():
            stopping.set_result(error)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        if desk is not None:
            task = loop.create_task(_reload(desk))
            reloads.add(task)
            task.add_done_callback(reloads.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    if gateway.failed is not None:
        gateway.failed.add_done_callback(lambda failed: stop(failed.result()))
    error = await stopping
    if error is not None:
        raise error


async def _reload(desk: ErrorRecords) -> None:
    try:
        await desk.reload(by="SIGHUP")
    except SettingsError as error:
        log.error("tables_refused", extra={"why": str(error)})
    except StoreFailed as error:
        log.error("tables_not_noted", extra={"why": str(error)})

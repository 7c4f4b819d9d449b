"""Puts a gateway together: over a store and a head end behind its port, or over HTTP."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta, tzinfo
from functools import partial

from adapter.commands.clocks import ClockPolicy
from adapter.engine.commands.commands import Commands
from adapter.engine.commands.correlator import MessageReader
from adapter.engine.commands.dispatcher import current_communication
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.message_log import MessageLog
from adapter.engine.commands.ports import Clock, DeviceRegistry, HeadEnd, Sink
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.commands.switch_safety import SwitchSafety
from adapter.engine.commands.workers import connect_workers
from adapter.engine.feed.deliveries import EventDeliveries
from adapter.engine.feed.feed import Feed
from adapter.engine.feed.ports import Receiver
from adapter.engine.gateway import Gateway
from adapter.engine.inbox import Inbox
from adapter.engine.loops import Loops
from adapter.engine.orders.defaults import Outgoing, PublishedReplies
from adapter.engine.orders.facts import MasterData, StoredMeasurements
from adapter.engine.orders.orders import Orders
from adapter.engine.orders.ports import FinalMeasurements, OrderRules, Requester
from adapter.engine.orders.sink import OrderSink
from adapter.engine.readings.completeness import Completeness
from adapter.engine.readings.entered import EnteredReadings
from adapter.engine.readings.readings import Readings
from adapter.engine.registry.registry import Registry
from adapter.engine.registry.store_registry import StoreRegistry
from adapter.engine.runner import Runner
from adapter.engine.schedules.schedules import Schedules
from adapter.engine.subscriptions.subscriptions import (
    SubscriptionHeadEnd,
    Subscriptions,
    UpkeepSettings,
)
from adapter.engine.upkeep.callback_checks import CallbackChecks
from adapter.engine.upkeep.clock_watch import ClockWatch
from adapter.engine.upkeep.durations import Durations, Measure
from adapter.engine.upkeep.retention import Retention
from adapter.engine.upkeep.signals import Signals, say_set_aside
from adapter.engine.upkeep.todo import Todos
from adapter.engine.upkeep.upkeep import Upkeep
from adapter.engine.upkeep.witness import Witness, WitnessPolicy
from adapter.errors import NotSent
from adapter.fieldwork.link import FieldWorkLink
from adapter.headend.client import HeadEndClient, HttpCall
from adapter.headend.contract import ContractWire
from adapter.headend.settings import HeadEndSettings
from adapter.headend.subscriptions import SubscriptionClient
from adapter.service.orders_file import load_rules
from adapter.service.payloads import PayloadServices, taking
from adapter.service.settings import IntakeSettings, RetentionSettings, SubscriptionSettings
from adapter.service.upkeep import (
    HeadEndWatch,
    corrections,
    doubts,
    kept_days,
    todo_sources,
    upkeep,
)
from adapter.store.commands.commands import SqlStore
from adapter.store.commands.holds import SqliteHolds
from adapter.store.commands.switch_safety import SqliteSwitchSafety
from adapter.store.feed import SqliteFeed
from adapter.store.feed_deliveries import SqliteDeliveries
from adapter.store.orders.orders import SqliteOrders
from adapter.store.readings.completeness import SqliteCompleteness
from adapter.store.readings.reports import SqliteReports
from adapter.store.registry.service_points import SqliteServicePoints
from adapter.store.schedules import SqliteSchedules
from adapter.store.subscriptions import SqliteSubscriptions
from adapter.store.upkeep.durations import SqliteDurations
from adapter.store.upkeep.retention import SqlitePruning
from adapter.store.upkeep.todo import SqliteTodos
from adapter.subscriptions.reconcile import Held, SubscriptionCall
from adapter.wire.codec import Codec
from adapter.wire.inbox import InboxReader


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """A gateway, the store below it and the client beside it."""

    store: SqlStore
    codec: Codec
    client: HeadEndClient
    gateway: Gateway
    taking: PayloadServices
    identity: CallbackIdentity
    subscribing: SubscriptionClient
    receivers: Sequence[Receiver] = ()
    requester: Requester | None = None
    field_work: FieldWorkLink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderParts:
    """What service orders are connected to. None: what stands in for it
    (`engine/orders/defaults.py`), and of measurements those that the gateway itself has."""

    rules: OrderRules | None = None
    field_work: FieldWorkLink | None = None
    requester: Requester | None = None
    measurements: FinalMeasurements | None = None
    master_data: MasterData | None = None


class NoSubscriptions:
    """For a gateway that wants none: the head end is not asked."""

    async def ask(self, call: SubscriptionCall) -> tuple[Held, ...]:
        raise NotSent("this gateway wants no subscriptions")


def connect(
    *,
    store: SqlStore,
    codec: Codec,
    head_end: HeadEndSettings,
    identity: CallbackIdentity,
    settings: CommandSettings,
    clock: Clock,
    sinks: Sequence[Sink] = (),
    zone: tzinfo = UTC,
    intake: IntakeSettings | None = None,
    subscriptions: SubscriptionSettings | None = None,
    longest_catch_up: timedelta | None = None,
    retention: RetentionSettings | None = None,
    orders: OrderParts | None = None,
    clock_policy: ClockPolicy | None = None,
    witness: WitnessPolicy | None = None,
    receivers: Sequence[Receiver] = (),
    alarm_after: timedelta = timedelta(minutes=15),
) -> Core:
    """A gateway over an open store and a head end that is not connected yet. Without
    `subscriptions` the head end is asked for none, and its silence is not looked at; without a
    `witness` an older copy of the store is not known for one."""
    messages = MessageLog(store, clock)

    durations = Durations(clock, SqliteDurations(store.database))

    def observed(made: HttpCall) -> None:
        operation = made.call.operation.value
        durations.add(Measure.CALL, operation, made.took_s)
        if made.error is not None:
            durations.call_failures[operation, made.error.code] += 1
        current = current_communication.get()
        if current is not None:
            messages.add(
                current,
                operation,
                made.request,
                made.status or 0,
                made.reply,
                sent_at=made.sent_at,
                replied_at=made.replied_at,
            )

    client = HeadEndClient(
        head_end, ContractWire(codec, zone=zone), observe=observed, clock=clock.now
    )
    subscribing = SubscriptionClient(head_end, codec, limits=client.limits, clock=clock.now)
    payloads = taking(store, clock, intake or IntakeSettings(), zone=zone)
    gateway = assemble(
        store=store,
        head_end=client,
        reader=InboxReader(codec, zone),
        clock=clock,
        identity=identity,
        payloads=payloads,
        settings=settings,
        sinks=sinks,
        messages=messages,
        durations=durations,
        subscribing=subscribing,
        subscriptions=None if subscriptions is None else upkeep(subscriptions, identity.public_url),
        longest_catch_up=longest_catch_up,
        retention=retention,
        orders=orders,
        clock_policy=clock_policy,
        witness=witness,
        receivers=receivers,
        alarm_after=alarm_after,
    )
    client.switches_barred = gateway.upkeep.holds.barred
    watch = HeadEndWatch(client.limits, gateway.upkeep.signals, clock)
    gateway.upkeep.doubts.append(watch.doubt)
    gateway.upkeep.todo.sources.append(watch.todo)
    return Core(
        store=store,
        codec=codec,
        client=client,
        gateway=gateway,
        taking=payloads,
        identity=identity,
        subscribing=subscribing,
        receivers=receivers,
        requester=None if orders is None else orders.requester,
        field_work=None if orders is None else orders.field_work,
    )


def assemble(
    *,
    store: SqlStore,
    head_end: HeadEnd,
    reader: MessageReader,
    clock: Clock,
    identity: CallbackIdentity,
    payloads: PayloadServices,
    settings: CommandSettings | None = None,
    sinks: Sequence[Sink] = (),
    messages: MessageLog | None = None,
    durations: Durations | None = None,
    devices: DeviceRegistry | None = None,
    subscribing: SubscriptionHeadEnd | None = None,
    subscriptions: UpkeepSettings | None = None,
    longest_catch_up: timedelta | None = None,
    retention: RetentionSettings | None = None,
    orders: OrderParts | None = None,
    clock_policy: ClockPolicy | None = None,
    witness: WitnessPolicy | None = None,
    receivers: Sequence[Receiver] = (),
    alarm_after: timedelta = timedelta(minutes=15),
    entropy: Callable[[], int] = lambda: secrets.randbits(80),
) -> Gateway:
    """A gateway over an open store and any head end that fits the ports; `devices` is a site's own
    registry. What is None is what serves without it."""
    settings, runner, database = settings or CommandSettings(), Runner(), store.database
    hold_store, order_store = SqliteHolds(database), SqliteOrders(database)
    signals = Signals(clock, store)
    durations = durations or Durations(clock, SqliteDurations(database))
    payloads.intake.seen = partial(durations.since, Measure.ARRIVAL_TO_SEEN)
    store.set_aside.given_up = lambda row: say_set_aside(signals, row)
    holds = SwitchHolds(hold_store, clock, signals)
    watch = ClockWatch(holds, hold_store, clock, clock_policy or ClockPolicy())
    payloads.intake.paused = lambda: holds.doubts_clock
    devices, order_sink = devices or StoreRegistry(store), OrderSink(order_store, clock)
    workers = connect_workers(
        store=store,
        head_end=head_end,
        reader=reader,
        devices=devices,
        data=payloads.data,
        clock=clock,
        identity=identity,
        settings=settings,
        holds=holds,
        messages=messages or MessageLog(store, clock),
        sinks=(*sinks, order_sink),
        runner=runner,
        signals=signals,
        durations=durations,
        entropy=entropy,
        moved=lambda command: order_sink.moved(command),
    )
    commands = Commands(store, store, workers, payloads.data, clock)
    safety = SwitchSafety(
        SqliteSwitchSafety(database),
        holds,
        clock,
        settings.dispatch.switch,
        settings.dispatch.limits,
        workers.submitter.next_id,
        store.load,
        runner.poke,
    )
    registry = Registry(store, devices, SqliteServicePoints(database), clock)
    parts = orders or OrderParts()
    running_orders = Orders(
        store=order_store,
        command_store=store,
        commands=commands,
        registry=registry,
        holds=holds,
        runner=runner,
        signals=signals,
        field_work=parts.field_work or Outgoing(),
        requester=parts.requester or PublishedReplies(),
        measurements=parts.measurements or StoredMeasurements(payloads.data, order_store),
        clock=clock,
        rules=parts.rules or load_rules(None, settings.head_end_kinds, settings.dispatch.head_end),
        lease_s=settings.dispatch.lease_s,
        master_data=parts.master_data,
    )
    order_sink.poke, order_sink.moved = running_orders.poke, running_orders.command_moved
    schedules = Schedules(SqliteSchedules(database), commands, clock, longest=longest_catch_up)
    watch.corrections += corrections(store, commands, schedules, running_orders, clock, settings)
    kept_subscriptions = Subscriptions(
        SqliteSubscriptions(database),
        subscribing or NoSubscriptions(),
        clock,
        subscriptions or UpkeepSettings(silence=None),
        paused=lambda: holds.doubts_clock,
        signals=signals,
    )
    completeness = Completeness(
        SqliteCompleteness(database, payloads.zone, settings.dispatch.head_end),
        store,
        commands,
        schedules,
        clock,
        payloads.zone,
    )
    feed = Feed(
        SqliteFeed(database),
        EventDeliveries(
            receivers, SqliteDeliveries(database), clock, alarm_after=alarm_after, signals=signals
        ),
    )
    keeping = Upkeep(
        store,
        holds=holds,
        switch_safety=safety,
        clock_watch=watch,
        retention=Retention(
            SqlitePruning(database),
            clock,
            kept_days(retention or RetentionSettings()),
            paused=lambda: holds.doubts_clock,
        ),
        todo=Todos(
            SqliteTodos(database),
            clock,
            todo_sources(holds, safety, kept_subscriptions, feed.deliveries),
        ),
        signals=signals,
        durations=durations,
        registry=registry,
        callback_checks=CallbackChecks(identity.public_url, clock.now),
        runner=runner,
        witness=None if witness is None else Witness(store, hold_store, holds, clock, witness),
    )

    keeping.doubts += doubts(kept_subscriptions, feed.deliveries)

    def published() -> None:
        feed.saved()
        runner.poke("publish", *feed.deliveries.names)

    database.published = published
    inbox = Inbox(store, identity, runner, workers.correlator, signals, durations)
    loops = Loops(
        runner,
        workers=workers,
        inbox=inbox,
        intake=payloads.intake,
        orders=running_orders,
        events=payloads.events,
        feed=feed,
        schedules=schedules,
        subscriptions=kept_subscriptions,
        registry=registry,
        upkeep=keeping,
        completeness=completeness,
    )
    return Gateway(
        commands=commands,
        orders=running_orders,
        readings=Readings(
            reports=SqliteReports(database),
            entered=EnteredReadings(order_store, store, clock, running_orders.measured),
            error_records=payloads.desk,
            completeness=completeness,
        ),
        events=payloads.events,
        feed=feed,
        schedules=schedules,
        subscriptions=kept_subscriptions,
        registry=registry,
        upkeep=keeping,
        inbox=inbox,
        loops=loops,
    )

"""The service by its settings: built, started, run until it is stopped."""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from adapter.commands.flows import CommandKind
from adapter.engine.clock import SystemClock
from adapter.engine.commands.correlator import ParkingPolicy
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Clock, Sink
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.feed.ports import Receiver
from adapter.engine.gateway import Gateway
from adapter.engine.orders.ports import OrderRules, Requester
from adapter.engine.tracing import trace_with
from adapter.errors import ContractError, SettingsError, StoreFailed
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.link import field_work_of
from adapter.fieldwork.replies import WebhookReplies
from adapter.headend.settings import HeadEndSettings
from adapter.model.device import THIS_HEAD_END
from adapter.model.values import replace
from adapter.server.connections import bind, url_of
from adapter.service.api_keys import WatchedKeys
from adapter.service.assembly import Core, OrderParts, connect
from adapter.service.callback_keys import callback_keys
from adapter.service.certificates import certificate_ends
from adapter.service.checks import catalog_of, check_files
from adapter.service.live_settings import LiveSettings, ReadSettings
from adapter.service.metrics import Metrics
from adapter.service.orders_file import load_rules
from adapter.service.settings import EventSettings, LoadedSettings, Settings, TracingSettings
from adapter.service.stores import store_of
from adapter.service.upkeep import witness_policy
from adapter.store.commands.commands import SqlStore
from adapter.web.api.head_end import HeadEndFacts
from adapter.web.api.rest import Rest
from adapter.web.listener.listener import Listener
from adapter.webhooks.sender import WebhookReceiver
from adapter.wire.codec import Codec
from adapter.wire.gate import check_contract, check_hosted, grouped

log = logging.getLogger(__name__)

_YOUNG: Final = 10_000
"""Objects that are made before the youngest are looked through for garbage: the usual 700 are those
of a few requests that are still under way, and looking at them again and again takes a tenth."""

_SWITCH_S: Final = 0.0005
"""A thread that waits for the interpreter is let in so soon. While a large body is read, the usual
5 ms would be waited for at every step of the thread that stores callbacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The whole service, running."""

    core: Core
    listener: Listener
    rest: Rest
    keys: WatchedKeys
    live: LiveSettings

    @property
    def gateway(self) -> Gateway:
        return self.core.gateway


@asynccontextmanager
async def build(
    settings: Settings,
    *,
    sinks: Sequence[Sink] = (),
    orders: OrderParts | None = None,
    read: ReadSettings | None = None,
) -> AsyncIterator[App]:
    """The service by its settings: opened, recovered, listening; closed on the way out.

    `orders` are a site's own parts; rules, field work and where replies go come from the settings
    where they are None. `read` reads the settings anew at a reload; without it only the files of
    TLS are read again.

    Raises SettingsError, also for a WSDL that lacks what a command needs, StoreFailed.
    """
    _head_end(settings)
    check_files(settings)
    codec = contract(settings.contract.wsdl, settings.engine.kinds)
    for remark in codec.catalog.remarks:
        log.warning("contract_remark", extra={"remark": remark})
    clock = SystemClock()
    store = store_of(settings.store, now=clock.now)
    async with AsyncExitStack() as stack:
        await store.open()
        stack.push_async_callback(store.close)
        yield await stack.enter_async_context(
            over(store, settings, codec=codec, clock=clock, sinks=sinks, orders=orders, read=read)
        )


@asynccontextmanager
async def traced(settings: TracingSettings) -> AsyncIterator[None]:
    """The collector is told of all spans meanwhile, where there is one. Raises SettingsError."""
    if not settings.endpoint:
        yield
        return
    try:
        from adapter.service.tracing import OpenTelemetry, provider
    except ImportError as error:
        text = "tracing.endpoint: needs the extra: pip install 'openway-gateway[otel]'"
        raise SettingsError(text) from error
    made = provider(settings)
    trace_with(OpenTelemetry(made))
    try:
        yield
    finally:
        trace_with(None)
        await asyncio.to_thread(made.shutdown)


@asynccontextmanager
async def over(
    store: SqlStore,
    settings: Settings,
    *,
    codec: Codec,
    clock: Clock,
    sinks: Sequence[Sink] = (),
    orders: OrderParts | None = None,
    read: ReadSettings | None = None,
) -> AsyncIterator[App]:
    """The service over an open store of one's own. Raises SettingsError, StoreFailed."""
    given = orders or OrderParts()
    head_end = _head_end(settings)
    listening = bind(settings.listener.host, settings.listener.port, section="listener")
    async with AsyncExitStack() as stack:
        stack.callback(listening.close)
        await stack.enter_async_context(traced(settings.tracing))
        tls = settings.listener.tls is not None
        public = settings.listener.public_url or url_of(listening, tls=tls)
        rules = given.rules or _rules(settings)
        core = connect(
            store=store,
            codec=codec,
            head_end=head_end,
            identity=CallbackIdentity(
                public + settings.listener.path_prefix, await callback_keys(settings, store)
            ),
            settings=command_settings(settings),
            clock=clock,
            sinks=sinks,
            zone=ZoneInfo(settings.contract.time_zone),
            intake=settings.intake,
            subscriptions=settings.subscriptions,
            longest_catch_up=timedelta(seconds=settings.schedules.longest_catch_up_s),
            retention=settings.retention,
            clock_policy=settings.clock,
            witness=witness_policy(settings.store),
            receivers=_receivers(settings.events, clock),
            alarm_after=timedelta(seconds=settings.events.alarm_s),
            orders=replace(
                given,
                rules=rules,
                field_work=given.field_work
                or field_work_of(settings.field_work, clock, rules.configuration.lookups),
                requester=given.requester or _requester(settings, clock, stack),
            ),
        )
        yield await stack.enter_async_context(running(core, settings, listening, clock, read))


def _receivers(settings: EventSettings, clock: Clock) -> list[Receiver]:
    return [WebhookReceiver(each, clock, source=settings.source) for each in settings.receivers]


def _requester(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Requester | None:
    if not settings.replies.url:
        return None
    made = WebhookReplies(settings.replies, clock)
    stack.push_async_callback(made.close)
    return made


def _rules(settings: Settings) -> OrderRules:
    asked = settings.orders
    return replace(
        load_rules(asked.file, settings.engine.kinds, _name(settings)),
        visit_time_out=timedelta(seconds=asked.visit_time_out_s) or None,
        message_tries=asked.message_tries,
    )


def _name(settings: Settings) -> str:
    """What the site calls its head end."""
    return THIS_HEAD_END if settings.head_end is None else settings.head_end.name


def _head_end(settings: Settings) -> HeadEndSettings:
    if settings.head_end is None:
        raise SettingsError("head_end.base_url: is needed to serve")
    return settings.head_end


@asynccontextmanager
async def running(
    core: Core,
    settings: Settings,
    listening: socket.socket,
    clock: Clock,
    read: ReadSettings | None = None,
) -> AsyncIterator[App]:
    """Start client, gateway, listener and REST in the order in which they need each other."""
    sys.setswitchinterval(_SWITCH_S)
    listener = Listener(
        core.gateway.inbox,
        core.codec,
        settings.listener,
        clock=clock,
        listening=listening,
        spool=core.taking.spool,
        checks=core.gateway.upkeep.callback_checks,
    )
    rest = Rest(core.gateway, settings.api, clock=clock)
    rest.api.head_end = _facts(settings, core)
    keys = WatchedKeys(settings.api, rest.api.keys, clock, core.store)
    rest.api.key_file = keys
    loaded = LoadedSettings(settings=settings, origin={}) if read is None else read()
    live = LiveSettings(
        replace(loaded, settings=settings),
        read or (lambda: loaded),
        core=core,
        listener=listener,
        rest=rest,
        keys=keys,
        store=core.store,
        clock=clock,
    )
    rest.api.live = live
    core.gateway.loops.runner.add("keys", keys.once)
    core.gateway.upkeep.doubts += [keys.doubt, live.doubt]
    if rest.api.issuer is not None:
        core.gateway.upkeep.doubts.append(rest.api.issuer.doubt)
    core.gateway.upkeep.todo.sources += [keys.todo, live.todo]
    rest.metrics = Metrics(
        gateway=core.gateway,
        store=core.store,
        limits=core.client.limits,
        intake=core.taking.intake,
        listener=listener,
        rest=rest,
        clock=clock,
    )
    async with AsyncExitStack() as stack:
        core.client.open()
        stack.push_async_callback(core.client.close)
        if isinstance(core.field_work, Crew):  # the only one that keeps nothing itself
            core.field_work.recover(await core.gateway.orders.open_visits())
        await core.gateway.start()
        await keys.start()
        stack.push_async_callback(core.gateway.stop)
        if core.field_work is not None:
            await core.field_work.start(core.gateway.orders)
            stack.push_async_callback(core.field_work.stop)
        await listener.start()
        stack.push_async_callback(listener.stop)
        await rest.start()
        stack.push_async_callback(_stop_both, listener, rest)
        yield App(core=core, listener=listener, rest=rest, keys=keys, live=live)


def _facts(settings: Settings, core: Core) -> HeadEndFacts:
    folder = settings.contract.wsdl
    return HeadEndFacts(
        name=_name(settings),
        base_url="" if settings.head_end is None else settings.head_end.base_url,
        contract="the packaged WSDL" if folder is None else str(folder),
        remarks=core.codec.catalog.remarks,
        certificates=partial(certificate_ends, settings),
    )


async def _stop_both(listener: Listener, rest: Rest) -> None:
    """Each lets its requests end, for `drain_s` at most: side by side, not one after the other."""
    await asyncio.gather(rest.stop(), listener.stop())


def contract(folder: Path | None, kinds: frozenset[CommandKind]) -> Codec:
    """The codec of a folder's WSDL. Raises SettingsError naming the operations that are missing or
    wrong, and the commands that would break; ContractError where the packaged one lacks them."""
    catalog = catalog_of(folder)
    broken = [item for item in check_contract(catalog) if item.command in kinds]
    told = [
        f"{operation}: {problem} (needed by {', '.join(commands)})"
        for operation, problem, commands in grouped(broken)
    ]
    known = {item.operation for item in broken}
    hosted = check_hosted(catalog).items()
    told += [f"{key}: {problem} (hosted here)" for key, problem in hosted if key not in known]
    if told:
        kind = ContractError if folder is None else SettingsError
        raise kind(f"contract.wsdl: {'; '.join(told)}")
    return Codec(catalog)


def command_settings(settings: Settings) -> CommandSettings:
    return CommandSettings(
        policies=settings.commands,
        dispatch=DispatchSettings(
            concurrency=settings.engine.concurrency,
            lease_s=settings.engine.lease_s,
            switch=settings.switch,
            head_end=_name(settings),
            quotas=settings.engine.quota,
        ),
        parking=ParkingPolicy(
            most=settings.callbacks.parked_most,
            longest_s=settings.callbacks.parked_s,
            quarantine_bytes=settings.listener.quarantine.total_bytes,
        ),
        head_end_kinds=settings.engine.kinds,
    )


async def serve(
    settings: Settings,
    *,
    sinks: Sequence[Sink] = (),
    read: ReadSettings | None = None,
    started: Callable[[App], None] = lambda app: None,
) -> None:
    """Run the service until SIGINT or SIGTERM. `started` is called once it answers. Raises
    StoreFailed when storage broke (I12)."""
    async with AsyncExitStack() as stack:
        with made_to_stay():
            app = await stack.enter_async_context(build(settings, sinks=sinks, read=read))
        started(app)
        await until_stopped(app.gateway, app.live)
        await leave(app, settings.api.leave_s)


async def leave(app: App, longest_s: float) -> None:
    """Serve as before for so long, and say that it ends: at `/readyz`, and on each connection. A
    second SIGINT or SIGTERM ends it at once."""
    app.gateway.upkeep.leaving = True
    app.listener.leave()
    app.rest.leave()
    again = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, again.set)
    log.info("leaving", extra={"seconds": longest_s})
    with suppress(TimeoutError):
        async with asyncio.timeout(longest_s):
            await again.wait()


@contextmanager
def made_to_stay() -> Iterator[None]:
    """What is made meanwhile, contract and codec above all, is not looked through for garbage,
    neither now nor later: a look takes some 70 ms, in which nothing is sent or answered."""
    gc.disable()
    try:
        yield
        gc.freeze()
        gc.set_threshold(_YOUNG)
    finally:
        gc.enable()


async def until_stopped(gateway: Gateway, live: LiveSettings | None = None) -> None:
    """Return on SIGINT or SIGTERM; raise the error with which the store failed. On SIGHUP the
    settings are read again, API keys and tables with them."""
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[BaseException | None] = loop.create_future()

    def stop(error: BaseException | None = None) -> None:
        if not stopping.done():
            stopping.set_result(error)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    reloads: set[asyncio.Task[None]] = set()

    def reload(live: LiveSettings) -> None:
        task = loop.create_task(_reload(live))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    if live is not None:
        loop.add_signal_handler(signal.SIGHUP, reload, live)
    if gateway.failed is not None:
        gateway.failed.add_done_callback(lambda failed: stop(failed.result()))
    error = await stopping
    if error is not None:
        raise error


async def _reload(live: LiveSettings) -> None:
    try:
        await live.reload(by="SIGHUP")
    except StoreFailed as error:
        log.error("reload_not_noted", extra={"reason": str(error)})

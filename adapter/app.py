"""Builds and connects everything; nothing else does."""

import asyncio
import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo

from adapter.commands.calls import Reading, RequestStatus
from adapter.engine.clock import SystemClock
from adapter.engine.dispatcher import current_exchange
from adapter.engine.gateway import Gateway, GatewaySettings
from adapter.engine.identity import CallbackIdentity
from adapter.engine.message_log import MessageLog
from adapter.engine.ports import Clock, Sink, Store
from adapter.headend.client import Exchange, HeadEndClient
from adapter.headend.contract import ContractWire
from adapter.headend.settings import HeadEndSettings
from adapter.wire.codec import Codec
from adapter.wire.notifications import data_arrived, status_changed

log = logging.getLogger(__name__)


class WireReader:
    """The engine's Reader over the codec. `zone` is the head end's, for times that say none."""

    def __init__(self, codec: Codec, zone: tzinfo = UTC) -> None:
        self._codec = codec
        self._zone = zone

    def status(self, raw: bytes) -> RequestStatus:
        return status_changed(self._codec, raw, zone=self._zone)

    def readings(self, raw: bytes) -> tuple[Reading, ...]:
        return data_arrived(self._codec, raw, zone=self._zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """A gateway and what it was made of. `start` and `stop` are in the right order."""

    store: Store
    codec: Codec
    client: HeadEndClient
    gateway: Gateway

    async def start(self) -> None:
        self.client.open()
        await self.gateway.start()

    async def stop(self) -> None:
        await self.gateway.stop()
        await self.client.close()
        await self.store.close()


def connect(
    *,
    store: Store,
    codec: Codec,
    head_end: HeadEndSettings,
    identity: CallbackIdentity,
    settings: GatewaySettings,
    clock: Clock | None = None,
    sinks: Sequence[Sink] = (),
    zone: tzinfo = UTC,
) -> Core:
    """A gateway over an open store and a head end that is not connected yet."""
    ticking = clock or SystemClock()
    messages = MessageLog(store, ticking)

    def observed(exchange: Exchange) -> None:
        current = current_exchange.get()
        if current is not None:
            operation = exchange.call.operation.value
            messages.add(current, operation, exchange.request, exchange.status or 0, exchange.reply)

    client = HeadEndClient(
        head_end,
        ContractWire(codec, zone=zone, max_bytes=head_end.max_reply_bytes),
        observe=observed,
    )
    gateway = Gateway(
        store=store,
        head_end=client,
        reader=WireReader(codec, zone),
        clock=ticking,
        identity=identity,
        settings=settings,
        sinks=sinks,
        messages=messages,
    )
    return Core(store=store, codec=codec, client=client, gateway=gateway)


async def until_stopped(core: Core) -> None:
    """Return on SIGINT or SIGTERM, or raise the error with which the store failed."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    waits: list[asyncio.Future[object]] = [loop.create_task(stopping.wait())]
    if core.gateway.failed is not None:
        waits.append(core.gateway.failed)  # type: ignore[arg-type]  # only its being done matters
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    waits[0].cancel()
    if core.gateway.failed is not None and core.gateway.failed.done():
        raise core.gateway.failed.result()

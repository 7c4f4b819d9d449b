"""Commands a second, submit to final state over SOAP, beside plain zeep doing the same calls.

The head end is a simulator in a process of its own. Plain zeep asks each meter the same way: ping,
status until Completed, result; from 16 threads, with nothing written to disk and no callbacks.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zeep
from zeep.transports import Transport

from adapter.commands.activity import CommandRequest, State
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.settings import CommandSettings
from adapter.headend.settings import HeadEndSettings, LimitSettings
from adapter.model.ids import DeviceId
from adapter.registry.files import read_file
from adapter.server.connections import bind, url_of
from adapter.service.app import running
from adapter.service.assembly import connect
from adapter.service.settings import Api, Settings
from adapter.store.commands.commands import SqliteStore
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from bench.report import Rate

_THREADS = 16
_FIRST = 700_001
_PREFIX = "2.16.840.1.114416.15.243."


@contextmanager
def head_end(meters: int, folder: Path) -> Iterator[str]:
    """A simulator in its own process; ended with the block."""
    command = [sys.executable, "-m", "adapter", "simulate", "--port", "0", "--json"]
    command += ["--meters", str(meters), "--write-devices", str(folder / "devices.json")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(timeout=10)


def plain_zeep(url: str, count: int) -> Rate:
    catalog = Catalog.load()
    local = [_service(catalog, url, key) for key in (Operation.PING, Operation.REQUEST_STATUS)]
    latencies: list[float] = []

    def one(number: int) -> None:
        started = time.perf_counter()
        diagnostic, common = local
        body = {"ElectronicSerialNumbers": {"string": [f"{_PREFIX}{_FIRST + number}"]}}
        token = diagnostic.PingByEndpoints(request={"EndpointCollectionRequest": body})
        while common.GetRequestStatus(input={"Id": token}).State != "Completed":
            time.sleep(0.01)
        diagnostic.GetPingByEndpointsResult(input={"Id": token})
        latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(one, range(count)))
    seconds = time.perf_counter() - started
    name = f"plain zeep, {_THREADS} threads, no store, no callbacks"
    return Rate(name=name, count=count, seconds=seconds, latencies=latencies)


def _service(catalog: Catalog, url: str, key: Operation) -> Any:
    spec = catalog.spec(key)
    place = catalog.place
    file = next(
        path for path in place.glob("*.wsdl") if f'name="{spec.service}"' in path.read_text()
    )
    transport = Transport(timeout=30, operation_timeout=30)  # type: ignore[no-untyped-call]
    client = zeep.Client(str(file), transport=transport)  # type: ignore[no-untyped-call]
    binding = next(iter(client.wsdl.bindings))
    bindings = [name for name in client.wsdl.bindings if spec.service in str(name)]
    name = str(bindings[0] if bindings else binding)
    return client.create_service(name, f"{url}{spec.path}")  # type: ignore[no-untyped-call]


async def gateway(url: str, count: int, folder: Path, place: Path, *, at_once: int) -> Rate:
    codec = Codec(Catalog.load())
    clock = SystemClock()
    listening = bind("127.0.0.1", 0)
    store = SqliteStore(place / "bench.db", now=clock.now)
    await store.open()
    core = connect(
        store=store,
        codec=codec,
        head_end=HeadEndSettings(base_url=url, limits=LimitSettings(concurrency=64)),
        identity=CallbackIdentity(url_of(listening, tls=False), (b"bench" * 8,)),
        settings=CommandSettings(),
        clock=clock,
    )
    await core.gateway.registry.import_devices(read_file(folder / "devices.json"))
    try:
        async with running(core, Settings(api=Api(port=0)), listening, clock) as app:
            latencies: list[float] = []
            places = asyncio.Semaphore(at_once)

            async def one(number: int) -> State:
                async with places:
                    return await timed(number)

            async def timed(number: int) -> State:
                started = time.perf_counter()
                device = DeviceId(f"M{_FIRST + number}")
                command = await app.gateway.commands.submit(
                    CommandRequest(kind=CommandKind.DEVICE_STATUS_CHECK, devices=(device,))
                )
                done = await app.gateway.commands.wait(command.id, timeout_s=300)
                latencies.append(time.perf_counter() - started)
                return done.activity.state

            started = time.perf_counter()
            states = await asyncio.gather(*(one(number) for number in range(count)))
            seconds = time.perf_counter() - started
            if set(states) != {State.COMPLETED}:
                raise SystemExit(f"not all commands completed: {set(states)}")
            name = f"gateway, {at_once} at once: durable, callbacks, results"
            return Rate(name=name, count=count, seconds=seconds, latencies=latencies)
    finally:
        await store.close()


def measure(count: int) -> tuple[Rate, list[Rate]]:
    """The baseline; the gateway with as many at once; and a burst. Each has its own head end."""
    ours = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with head_end(count, folder) as url:
            baseline = plain_zeep(url, min(count, 500))
        for at_once in (_THREADS, count):
            with head_end(count, folder) as url:
                place = folder / str(at_once)
                place.mkdir()
                some = min(count, 500) if at_once == _THREADS else count
                ours.append(asyncio.run(gateway(url, some, folder, place, at_once=at_once)))
    return baseline, ours

"""What StatusChanged feels of a large payload, and how fast measurements become durable.

Gateway, head end that sends the payload, and head end that sends status messages are processes of
their own, as they are in life; so is the worker that the gateway starts.
"""

import asyncio
import gc
import json
import logging
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Import, InboxState
from adapter.engine.commands.settings import CommandSettings
from adapter.headend.settings import HeadEndSettings
from adapter.model.device import Device
from adapter.model.ids import DeviceId, EndpointId
from adapter.server import event_loop
from adapter.server.connections import bind, url_of
from adapter.service.app import running
from adapter.service.assembly import Core, connect
from adapter.service.log import start_logging
from adapter.service.settings import Api, Settings
from adapter.store.commands.commands import SqliteStore
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from bench.payloads import ESN, INTERVALS, write_payload
from bench.report import Details, Figure, Part, shown

_KEY = "bench" * 8
_ALONE_S = 5.0

_SENDER = """
import sys, urllib.request
with open(sys.argv[2], 'rb') as body:
    size = body.seek(0, 2); body.seek(0)
    headers = {'Content-Type': 'text/xml; charset=utf-8', 'Content-Length': str(size)}
    asked = urllib.request.Request(sys.argv[1], data=body, headers=headers)
    assert urllib.request.urlopen(asked, timeout=600).status == 200
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """`statuses`: alone, then beside the payload as a whole, while it was sent, and while it was
    taken in; last a bare fdatasync of 4 kB before anything else ran. `measurements` became durable
    in so many seconds from the first byte sent, and from the answer on. `grown`: the most bytes by
    which the gateway's process was larger than before the payload."""

    payload_bytes: int
    statuses: dict[str, Sequence[float]]
    measurements: int
    seconds: tuple[float, float]
    grown: int


def device(number: int) -> Device:
    return Device(id=DeviceId(f"D{number}"), endpoint=EndpointId(f"{ESN}{number}"))


def measure(size: int, part: Part, each_s: float = 0.01) -> None:
    """Adds a table and figures to the part. The gateway is this process."""
    with open(os.devnull, "w") as nowhere:
        handler = start_logging(stream=nowhere)
        found = event_loop.run(_measure(size, each_s))
        logging.getLogger().removeHandler(handler)
    title = f"StatusChanged while {found.payload_bytes / 1e6:.0f} MB are taken in, ms"
    rows = [(name, *_quantiles(took)) for name, took in found.statuses.items()]
    columns = ("what", "count", "p50", "p99", "max")
    part.details.append(Details(title=title, columns=columns, rows=rows))
    beside = list(found.statuses.values())[1]
    rates = [found.measurements / seconds for seconds in found.seconds]
    part.figures += [
        Figure(
            what="p99 of StatusChanged beside a large payload",
            unit="ms",
            each=[quantiles(beside, n=100, method="inclusive")[98] * 1000],
        ),
        Figure(
            what="durable measurements, from the first byte sent",
            unit="/s",
            each=rates[:1],
            more=True,
        ),
        Figure(
            what="durable measurements, from the answer on", unit="/s", each=rates[1:], more=True
        ),
        Figure(what="the gateway's process grew meanwhile by", unit="MB", each=[found.grown / 1e6]),
    ]


def _quantiles(took: Sequence[float]) -> tuple[str, ...]:
    if len(took) < 2:
        return (str(len(took)), "", "", "")
    cuts = quantiles(took, n=100, method="inclusive")
    return (str(len(took)), *(shown(each * 1000) for each in (cuts[49], cuts[98], max(took))))


async def _measure(size: int, each_s: float) -> Beside:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        meters = await asyncio.to_thread(write_payload, folder / "payload.xml", size)
        disk = await asyncio.to_thread(_disk, folder / "disk")
        clock = SystemClock()
        listening = bind("127.0.0.1", 0)
        url = url_of(listening, tls=False)
        store = SqliteStore(folder / "bench.db", now=clock.now)
        await store.open()
        core = connect(
            store=store,
            codec=Codec(Catalog.load()),
            head_end=HeadEndSettings(base_url="http://127.0.0.1:9"),
            identity=CallbackIdentity(url, (_KEY.encode(),)),
            settings=CommandSettings(),
            clock=clock,
        )
        await store.import_(Import(devices=tuple(device(number) for number in range(meters))))
        try:
            async with running(core, Settings(api=Api(port=0)), listening, clock):
                gc.freeze()
                return await _beside(core, store, folder / "payload.xml", url, disk, each_s)
        finally:
            await store.close()


async def _beside(
    core: Core, store: SqliteStore, payload: Path, url: str, disk: Sequence[float], each_s: float
) -> Beside:
    statuses = await _python("-m", "bench.sides.status_client", url, _KEY, str(each_s))
    assert statuses.stdin is not None
    assert statuses.stdout is not None
    await statuses.stdout.readline()
    marks = [time.perf_counter()]
    await asyncio.sleep(_ALONE_S)
    before = _forget_peak()
    marks.append(time.perf_counter())
    sender = await _python("-c", _SENDER, f"{url}/openway/data", str(payload))
    if await sender.wait() != 0:
        raise SystemExit("the payload was not taken")
    marks.append(time.perf_counter())
    while not await store.inbox(state=InboxState.STORED, limit=1):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    marks.append(time.perf_counter())
    grown = _memory("VmHWM") - before
    statuses.stdin.close()
    told = await statuses.stdout.read()
    await statuses.wait()
    sent = [(at, took) for at, took in json.loads(told)]

    def between(start: float, end: float) -> list[float]:
        return [took for at, took in sent if start <= at < end]

    (taken,) = await core.taking.data.payloads()
    new = taken.counts["new"]
    if new != taken.counts["parts"] * INTERVALS:
        raise SystemExit(f"{new} of {taken.counts['parts'] * INTERVALS} measurements are there")
    alone, sending, answered, shown_at = marks
    return Beside(
        payload_bytes=taken.size,
        statuses={
            "alone": between(alone, sending),
            "beside the payload, first byte to last row": between(sending, shown_at),
            "  while it was sent and spooled": between(sending, answered),
            "  while it was parsed and staged": between(answered, shown_at),
            "a bare fdatasync of 4 kB on this disk, before": disk,
        },
        measurements=new,
        seconds=(shown_at - sending, shown_at - answered),
        grown=grown,
    )


async def _python(*arguments: str) -> Process:
    places = os.pathsep.join(place for place in ("", *sys.path))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": places},
    )


def _disk(path: Path, seconds: float = 2.0) -> Sequence[float]:
    """How long the disk takes for 4 kB in place, once every 10 ms: no commit can be faster."""
    took: list[float] = []
    with open(path, "w+b", buffering=0) as file:
        file.write(bytes(4096 * 256))
        os.fsync(file.fileno())
        first = time.perf_counter()
        while time.perf_counter() - first < seconds:
            file.seek(len(took) % 256 * 4096)
            started = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - started)
            time.sleep(0.01)
    return took


def _forget_peak() -> int:
    """The memory of this process now; the peak is counted from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise SystemExit("this machine does not say how much memory a process has")

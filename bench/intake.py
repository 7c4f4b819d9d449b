"""Payloads of any size: speed of parsing and normalising, memory, and what others feel of it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from adapter.app import connect, running
from adapter.engine.clock import SystemClock
from adapter.engine.gateway import GatewaySettings
from adapter.engine.identity import CallbackIdentity
from adapter.engine.ports import Import, InboxState
from adapter.headend.settings import HeadEndSettings
from adapter.model.device import Device
from adapter.model.ids import DeviceId, EndpointId, ExchangeId
from adapter.settings import Api, Settings
from adapter.store.sqlite import SqliteStore
from adapter.web.connections import bind, url_of
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from bench.callbacks import status_message
from bench.report import Rate

INTERVALS = 96
_PREFIX = "2.16.840.1.114416.15.243."
_XML = {"Content-Type": "text/xml; charset=utf-8"}
_HEAD = (
    b'<?xml version="1.0" encoding="utf-8"?>'
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
    b'<DataArrived xmlns="http://www.itron.com/ami/2009/08/subscriptions"><input>'
    b'<ReadDataCollection xmlns:b="http://www.itron.com/ami/2008/10/data">'
)
_TAIL = b"</ReadDataCollection></input></DataArrived></s:Body></s:Envelope>"
_IDENTITY_KEY = b"bench" * 8


def payload(size: int) -> Iterator[bytes]:
    """A DataArrived of about `size` bytes: 96 quarter hours of one channel for each meter."""
    yield _HEAD
    made = number = 0
    values = [
        b"".join(
            b"<b:IntervalValue><b:ChannelValue>%d.%d</b:ChannelValue><b:ProfileStatuses/>"
            b"</b:IntervalValue>" % (80 + (slot * 7 + kind) % 150, slot % 10)
            for slot in range(INTERVALS)
        )
        for kind in range(8)
    ]
    while made < size:
        part = (
            b"<b:ReadData><b:Identifier>%s%d</b:Identifier><b:DeviceClass>C</b:DeviceClass>"
            b"<b:ScalingType>Scaled</b:ScalingType><b:LoadProfileChannels><b:LoadProfileChannel>"
            b"<b:IntervalLength>15</b:IntervalLength><b:PulseMultiplier>1</b:PulseMultiplier>"
            b"<b:Quantity>Wh d</b:Quantity><b:TimeDataEnd>2024-05-02T00:00:00Z</b:TimeDataEnd>"
            b"<b:IntervalValues>%s</b:IntervalValues></b:LoadProfileChannel>"
            b"</b:LoadProfileChannels><b:BlockInfo><b:Block>1</b:Block>"
            b"<b:TotalBlocks>1</b:TotalBlocks></b:BlockInfo></b:ReadData>"
            % (_PREFIX.encode(), number, values[number % 8])
        )
        made += len(part)
        number += 1
        yield part
    yield _TAIL


def write_payload(path: Path, size: int) -> int:
    """The file; how many meters are in it."""
    parts = 0
    with open(path, "wb") as file:
        for part in payload(size):
            file.write(part)
            parts += 1
    return parts - 2


# ---------------------------------------------------------------- one core

_PROGRAMS = {
    "normalise": """
from adapter.engine.spool import pieces_of
from adapter.intake.batches import batches
from adapter.intake.worker import encode_batch
from adapter.readings.lookups import Lookups
count = 0
for batch in batches(pieces_of(path), Lookups()):
    encode_batch(batch)
    count += sum(len(normal.rows) for normal in batch.normals)
""",
    "tree": """
from lxml import etree
name = "{http://www.itron.com/ami/2008/10/data}ChannelValue"
values = [element.text for element in etree.parse(path).iter(name)]
count = len(values)
""",
    "iterparse": """
from lxml import etree
tag = "{http://www.itron.com/ami/2008/10/data}ReadData"
count = 0
for _, element in etree.iterparse(str(path), events=("end",), tag=tag):
    count += 96
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]
""",
}
_AROUND = """
import gc, json, sys, time
from pathlib import Path
gc.disable()
path = Path(sys.argv[1])
{imports}
started = time.process_time()
{program}
seconds = time.process_time() - started
# Not ru_maxrss, which begins with that of the process that forked this one.
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps([count, seconds, int(peak.split()[1]) * 1024]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Values read, CPU seconds, most bytes of memory of a process that read one file."""

    values: int
    seconds: float
    memory: int


def _run(program: str, path: Path) -> Ran:
    lines = _PROGRAMS[program].strip().splitlines()
    imports = [line for line in lines if line.startswith("from ")]
    rest = [line for line in lines if line not in imports]
    text = _AROUND.format(imports="\n".join(imports), program="\n".join(rest))
    done = subprocess.run(
        [sys.executable, "-c", text, str(path)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, ["", *sys.path]))},
    )
    values, seconds, memory = json.loads(done.stdout)
    return Ran(values=values, seconds=seconds, memory=memory)


def _xmllint(path: Path) -> float | None:
    """CPU seconds of `xmllint --stream --noout`; None where it is not installed."""
    program = shutil.which("xmllint")
    if program is None:
        return None
    before = os.times()
    subprocess.run([program, "--stream", "--noout", str(path)], check=True)
    after = os.times()
    return (
        after.children_user
        + after.children_system
        - (before.children_user + before.children_system)
    )


def measure(size: int = 10_000_000) -> tuple[Rate, list[Rate]]:
    """Intervals a second of CPU, of one file: the baseline (a whole tree, walked), then others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "payload.xml"
        meters = write_payload(path, size)
        count = meters * INTERVALS
        ran = {name: _run(name, path) for name in _PROGRAMS}
        lint = _xmllint(path)
    if ran["normalise"].values != count:
        raise SystemExit(f"{ran['normalise'].values} of {count} intervals were normalised")

    def rate(name: str, seconds: float) -> Rate:
        return Rate(name=name, count=count, seconds=seconds)

    others = [
        rate("lxml iterparse by device, nothing read", ran["iterparse"].seconds),
        rate("parsed, normalised, encoded for the store", ran["normalise"].seconds),
    ]
    if lint is not None:
        others.insert(0, rate("xmllint --stream --noout", lint))
    return rate("lxml whole tree, values only", ran["tree"].seconds), others


def memory(sizes: Sequence[int] = (10_000_000, 200_000_000)) -> list[tuple[int, int]]:
    """(size of the payload, most bytes of the process that parsed and normalised it)."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder) / "payload.xml"
            write_payload(path, size)
            found.append((size, _run("normalise", path).memory))
    return found


# ---------------------------------------------------------------- the whole service


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """StatusChanged while nothing else happened, and while a payload was posted and taken in;
    the measurements that were durable at its end, counted from the first byte that was sent."""

    alone: Rate
    beside: Rate
    measurements: Rate
    payload_bytes: int


async def _beside(size: int, each_s: float) -> Beside:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        meters = await asyncio.to_thread(write_payload, folder / "payload.xml", size)
        codec, clock = Codec(Catalog.load()), SystemClock()
        listening = bind("127.0.0.1", 0)
        store = SqliteStore(folder / "bench.db", now=clock.now)
        await store.open()
        identity = CallbackIdentity(url_of(listening, tls=False), (_IDENTITY_KEY,))
        core = connect(
            store=store,
            codec=codec,
            head_end=HeadEndSettings(base_url="http://127.0.0.1:9"),
            identity=identity,
            settings=GatewaySettings(),
            clock=clock,
        )
        await store.import_(Import(devices=tuple(_device(number) for number in range(meters))))
        try:
            async with (
                running(core, Settings(api=Api(port=0)), listening, clock) as app,
                aiohttp.ClientSession(headers=_XML) as http,
            ):
                bodies = _Statuses(codec, identity, http)
                alone = await bodies.until(asyncio.sleep(2.0), each_s, "StatusChanged alone")
                started = time.perf_counter()
                taking = _post_and_take(app.listener.url, folder, store)
                beside = await bodies.until(taking, each_s, "StatusChanged beside the payload")
                seconds = time.perf_counter() - started
                taken = await core.taking.data.payloads() if core.taking else []
        finally:
            await store.close()
    new = taken[0].counts["new"]
    if new != meters * INTERVALS:
        raise SystemExit(f"{new} of {meters * INTERVALS} measurements are in the store")
    name = "measurements, from the first byte sent to all shown"
    measurements = Rate(name=name, count=new, seconds=seconds)
    return Beside(alone=alone, beside=beside, measurements=measurements, payload_bytes=size)


def _device(number: int) -> Device:
    return Device(id=DeviceId(f"D{number}"), endpoint=EndpointId(f"{_PREFIX}{number}"))


async def _post_and_take(url: str, folder: Path, store: SqliteStore) -> None:
    """From a process of its own, as a head end is, so that its work is not the gateway's."""
    program = (
        "import sys, urllib.request\n"
        "with open(sys.argv[2], 'rb') as body:\n"
        "    size = body.seek(0, 2); body.seek(0)\n"
        "    headers = {'Content-Type': 'text/xml; charset=utf-8', 'Content-Length': str(size)}\n"
        "    asked = urllib.request.Request(sys.argv[1], data=body, headers=headers)\n"
        "    assert urllib.request.urlopen(asked, timeout=600).status == 200\n"
    )
    place = f"{url}/openway/data"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, place, str(folder / "payload.xml")
    )
    if await process.wait() != 0:
        raise SystemExit("the payload was not taken")
    while not await store.inbox(state=InboxState.STORED, limit=1):  # noqa: ASYNC110
        await asyncio.sleep(0.1)


class _Statuses:
    """Sends a status message every `each_s` seconds and measures the time to its answer."""

    def __init__(
        self, codec: Codec, identity: CallbackIdentity, http: aiohttp.ClientSession
    ) -> None:
        self._codec = codec
        self._identity = identity
        self._http = http
        self._sent = 0

    async def until(self, end: Coroutine[object, object, None], each_s: float, name: str) -> Rate:
        ending = asyncio.create_task(end)
        latencies: list[float] = []
        first = time.perf_counter()
        while not ending.done():
            self._sent += 1
            body = status_message(self._codec, self._sent)
            place = self._identity.address(ExchangeId(f"bench-{self._sent}"))
            started = time.perf_counter()
            async with self._http.post(place, data=body) as answer:
                await answer.read()
            latencies.append(time.perf_counter() - started)
            await asyncio.sleep(each_s)
        await ending
        seconds = time.perf_counter() - first
        return Rate(name=name, count=len(latencies), seconds=seconds, latencies=latencies)


def measure_beside(size: int = 200_000_000, each_s: float = 0.01) -> Beside:
    return asyncio.run(_beside(size, each_s))


# ---------------------------------------------------------------- all of it, printed


def show_all(scale: float, show: Callable[..., None]) -> None:
    """`scale` 1 is 10 MB for speed, 10 and 200 MB for memory, 200 MB beside StatusChanged."""
    baseline, others = measure(max(1_000_000, int(10_000_000 * scale)))
    show("DataArrived, intervals a second of CPU on one core", others, baseline=baseline)
    small, large = memory((int(10_000_000 * scale), int(200_000_000 * scale)))
    grown = (large[1] - small[1]) / 1e6
    print(
        f"Memory of the parser: {small[1] / 1e6:.0f} MB for {small[0] / 1e6:.0f} MB, "
        f"{large[1] / 1e6:.0f} MB for {large[0] / 1e6:.0f} MB (growth {grown:.1f} MB)\n"
    )
    found = measure_beside(int(200_000_000 * scale))
    size = found.payload_bytes / 1e6
    show(f"StatusChanged while {size:.0f} MB are taken in", [found.beside], baseline=found.alone)
    rate = found.measurements
    print(f"Durable measurements: {rate.count} at {rate.per_second:,.0f} a second ({rate.name})\n")

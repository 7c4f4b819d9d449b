"""Payloads of any size: speed of parsing and normalising, memory, and what others feel of it."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Import
from adapter.store.commands.commands import SqliteStore
from bench import beside
from bench.payloads import INTERVALS, write_payload
from bench.report import Rate

# ---------------------------------------------------------------- one core

_PROGRAMS = {
    "stage": """
from adapter.engine.readings.ports import StagingTarget
from adapter.engine.readings.spool import pieces_of
from adapter.engine.readings.batches import batches
from adapter.readings.lookups import Lookups
from adapter.store.readings.file import open_place
count = 0
place = StagingTarget(module="", store=str(path.with_name("bench.db")), payload=1, load=1)
stage = open_place(place, Lookups())
for batch in batches(pieces_of(path), Lookups()):
    count += stage.put([batch]).counts.new
stage.seal()
stage.close()
""",
    "normalise": """
from adapter.engine.readings.spool import pieces_of
from adapter.engine.readings.batches import batches
from adapter.readings.lookups import Lookups
count = 0
for batch in batches(pieces_of(path), Lookups()):
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
started, begun = time.process_time(), time.perf_counter()
{program}
seconds, passed = time.process_time() - started, time.perf_counter() - begun
# Not ru_maxrss, which begins with that of the process that forked this one.
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps([count, seconds, passed, int(peak.split()[1]) * 1024]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Of a process that read a file: values, seconds of CPU and in all, most bytes of memory."""

    values: int
    seconds: float
    passed: float
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
    values, seconds, passed, memory = json.loads(done.stdout)
    return Ran(values=values, seconds=seconds, passed=passed, memory=memory)


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


def measure(size: int) -> tuple[Rate, list[Rate]]:
    """Intervals a second of CPU, of one file: the baseline (a whole tree, walked), then others."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "payload.xml"
        count = write_payload(path, size) * INTERVALS
        ran = {name: _run(name, path) for name in ("normalise", "tree", "iterparse")}
        lint = _xmllint(path)
    _complete(ran["normalise"], count)

    def rate(name: str, seconds: float) -> Rate:
        return Rate(name=name, count=count, seconds=seconds)

    others = [
        rate("lxml iterparse by device, nothing read", ran["iterparse"].seconds),
        rate("parsed and normalised", ran["normalise"].seconds),
    ]
    if lint is not None:
        others.insert(0, rate("xmllint --stream --noout", lint))
    return rate("plain lxml: whole tree, walked for values", ran["tree"].seconds), others


def staged(sizes: Sequence[int]) -> list[tuple[int, Ran]]:
    """What the worker does with a payload, in a process: parse, normalise, make durable."""
    found = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "payload.xml"
            meters = write_payload(path, size)
            asyncio.run(_make_store(path.with_name("bench.db"), meters))
            ran = _run("stage", path)
        _complete(ran, meters * INTERVALS)
        found.append((size, ran))
    return found


async def _make_store(path: Path, meters: int) -> None:
    store = SqliteStore(path, now=SystemClock().now)
    await store.open()
    await store.import_(Import(devices=tuple(beside.device(number) for number in range(meters))))
    await store.close()


def _complete(ran: Ran, count: int) -> None:
    if ran.values != count:
        raise SystemExit(f"{ran.values} of {count} intervals were read")


# ---------------------------------------------------------------- all of it, printed


def show_all(scale: float, show: Callable[..., None]) -> None:
    """`scale` 1 is 10 MB for speed, 10 and 200 MB for memory, 200 MB beside StatusChanged."""
    small, large = int(10_000_000 * scale), int(200_000_000 * scale)
    baseline, others = measure(max(1_000_000, small))
    show(f"DataArrived, {small / 1e6:.0f} MB, intervals a second of CPU", others, baseline=baseline)
    if shutil.which("xmllint") is None:
        print("xmllint is not here: `apt-get install libxml2-utils` brings it into this table.\n")
    ran = staged((small, large))
    for size, one in ran:
        print(
            f"Worker, {size / 1e6:.0f} MB: {one.values / one.passed:,.0f} measurements a second "
            f"parsed, normalised and durable in SQLite; most memory {one.memory / 1e6:.1f} MB"
        )
    print(f"  growth {(ran[1][1].memory - ran[0][1].memory) / 1e6:.1f} MB\n")
    found = beside.measure(large)
    alone, *others = found.statuses
    title = f"StatusChanged while {found.payload_bytes / 1e6:.0f} MB are taken in"
    show(title, [*others, found.disk], baseline=alone)
    for rate in found.measurements:
        print(f"Durable measurements, {rate.name}: {rate.count} at {rate.per_second:,.0f} a second")
    print(f"The gateway's process grew by {found.grown / 1e6:.1f} MB meanwhile\n")

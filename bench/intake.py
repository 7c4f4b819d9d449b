"""Payloads of any size: speed of parsing and normalising, memory, and what others feel of it."""

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Import
from adapter.engine.readings.ports import WaitingPayload
from adapter.store.commands.commands import SqliteStore
from adapter.store.readings.measurements import SqliteMeasurements
from bench import beside
from bench.payloads import INTERVALS, write_payload
from bench.report import Details, Figure, Part, Ran, comparison, ratios, shown
from bench.rounds import Options, interleaved

_SMALL: Final = 10_000_000
_LARGE: Final = 200_000_000

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
    "ahead": """
from adapter.engine.readings.ports import StagingTarget
from adapter.engine.readings.worker import SecondWorker
from adapter.readings.lookups import Lookups
from adapter.store.readings.file import open_place
count = 0
second = SecondWorker()
place = StagingTarget(module="", store=str(path.with_name("bench.db")), payload=1, load=1)
stage = open_place(place, Lookups())
for batch in second.batches({"file": str(path), "tables": "{}"}):
    count += stage.put([batch]).counts.new
stage.seal()
stage.close()
second.stop()
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
import gc, json, os, sys, time
from pathlib import Path
gc.disable()
path = Path(sys.argv[1])
{imports}
started, begun = sum(os.times()[:4]), time.perf_counter()
{program}
seconds, passed = sum(os.times()[:4]) - started, time.perf_counter() - begun
# Not ru_maxrss, which begins with that of the process that forked this one.
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(json.dumps([count, seconds, passed, int(peak.split()[1]) * 1024]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFile:
    """Of a process that read a file: values, seconds of CPU and in all, most bytes of memory."""

    values: int
    seconds: float
    passed: float
    memory: int


def _run(program: str, path: Path) -> ReadFile:
    lines = _PROGRAMS[program].strip().splitlines()
    imports = [line for line in lines if line.startswith("from ")]
    rest = [line for line in lines if line not in imports]
    text = _AROUND.format(imports="\n".join(imports), program="\n".join(rest))
    done = subprocess.run(
        [sys.executable, "-c", text, str(path)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, ["", *sys.path]))},
    )
    values, seconds, passed, memory = json.loads(done.stdout)
    return ReadFile(values=values, seconds=seconds, passed=passed, memory=memory)


def _complete(ran: ReadFile, count: int) -> None:
    if ran.values != count:
        raise SystemExit(f"{ran.values} of {count} intervals were read")


# ---------------------------------------------------------------- beside xmllint

_LINT = "xmllint --stream --noout"
_OURS = "parsed and normalised"
_NEVER_ALIKE = "the same, values that never repeat"
_TWO = "two processes, half of it each"
_TREE = "lxml, whole tree, walked for values"
_ITERPARSE = "lxml iterparse by device, nothing read"

NO_XMLLINT: Final = (
    "NO xmllint HERE: nothing in this run is a share of its CPU. "
    "`apt-get install libxml2-utils` brings it; the tree of lxml stands in its place."
)


def _beside_others(size: int, options: Options, folder: Path, part: Part) -> None:
    """Intervals, in turns: CPU of one process, and time that passes with two."""
    files = {name: folder / f"{name}.xml" for name in ("whole", "never", "first", "second")}
    count = write_payload(files["whole"], size) * INTERVALS
    never = write_payload(files["never"], size, repeating=False) * INTERVALS
    halves = [write_payload(files[name], size // 2) * INTERVALS for name in ("first", "second")]
    pair = [files["first"], files["second"]]
    sides: dict[str, Callable[[], Ran]] = {
        _OURS: partial(_read, "normalise", [files["whole"]], count),
        _NEVER_ALIKE: partial(_read, "normalise", [files["never"]], never),
        _TWO: partial(_read, "normalise", pair, sum(halves)),
        _TREE: partial(_read, "tree", [files["whole"]], count),
        _ITERPARSE: partial(_read, "iterparse", [files["whole"]], count),
    }
    lint = shutil.which("xmllint")
    if lint is None:
        part.notes.append(NO_XMLLINT)
    else:
        sides[_LINT] = partial(_xmllint, lint, files["whole"], count)
    ran = interleaved(sides, options.rounds)
    part.details.append(comparison(f"DataArrived, {size / 1e6:.0f} MB, intervals", ran))
    beside, against = (_TREE, "lxml's tree") if lint is None else (_LINT, "`xmllint --stream`")
    cpu = ratios(ran[beside], ran[_OURS], lambda one: one.cpu_ms)
    unlike = ratios(ran[beside], ran[_NEVER_ALIKE], lambda one: one.cpu_ms)
    wall = ratios(ran[_TWO], ran[beside], lambda one: one.per_second)
    part.figures += [
        Figure(
            what=f"parsed and normalised, share of {against}, CPU of one worker",
            unit="ratio",
            each=cpu,
            more=True,
        ),
        Figure(what="the same, values that never repeat", unit="ratio", each=unlike, more=True),
        Figure(
            what=f"two workers, half of it each, share of {against}, time that passes",
            unit="ratio",
            each=wall,
            more=True,
        ),
    ]


def _read(program: str, paths: Sequence[Path], count: int) -> Ran:
    """One process for each file, at the same time."""
    with ThreadPoolExecutor(len(paths)) as pool:
        several = list(pool.map(partial(_run, program), paths))
    if sum(each.values for each in several) != count:
        raise SystemExit(f"{several} are not all of {count} intervals")
    cpu = sum(each.seconds for each in several)
    return Ran(count=count, seconds=max(each.passed for each in several), cpu_s=cpu)


def _xmllint(program: str, path: Path, count: int) -> Ran:
    before, started = _of_children(), time.perf_counter()
    subprocess.run([program, "--stream", "--noout", str(path)], check=True)
    passed = time.perf_counter() - started
    return Ran(count=count, seconds=passed, cpu_s=_of_children() - before)


def _of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# ---------------------------------------------------------------- durable, in flat memory


def _staged(sizes: Sequence[int], folder: Path, part: Part) -> None:
    """What the worker does with a payload, in a process: parse, normalise, make durable. The last
    one also with a second worker that reads it."""
    rows, runs = [], []
    for program, size in (*(("stage", size) for size in sizes), ("ahead", sizes[-1])):
        path = folder / f"{size}.xml"
        meters = write_payload(path, size)
        asyncio.run(_make_store(path.with_name("bench.db"), meters))
        ran = _run(program, path)
        _complete(ran, meters * INTERVALS)
        for left in (path, *folder.glob("bench.db*"), *folder.glob("bench.*db*")):
            left.unlink(missing_ok=True)
        runs.append(ran)
        rows.append(
            (
                f"{size / 1e6:.0f} MB" + (", two workers" if program == "ahead" else ""),
                shown(ran.values),
                shown(ran.seconds / ran.values * 1e6),
                shown(ran.values / ran.passed),
                shown(ran.memory / 1e6),
            )
        )
    small, large, two = runs[0], runs[-2], runs[-1]
    columns = ("payload", "measurements", "CPU us each", "a second", "most MB of memory")
    title = "The worker alone: parsed, normalised and durable"
    part.details.append(Details(title=title, columns=columns, rows=rows))
    what = f"memory of the worker, {rows[-2][0]} / {rows[0][0]}: growth"
    grown = (large.memory - small.memory) / 1e6
    gained = large.passed / two.passed
    part.figures += [
        Figure(what=what, unit="MB", each=[grown]),
        Figure(what="durable values a second, two workers / one", unit="ratio", each=[gained]),
    ]


async def _make_store(path: Path, meters: int) -> None:
    """With the devices, and the payload as one that was begun: the first one, by its first load."""
    clock = SystemClock()
    store = SqliteStore(path, now=clock.now)
    await store.open()
    await store.import_(Import(devices=tuple(beside.device(number) for number in range(meters))))
    arrived = WaitingPayload(
        inbox=None,
        source="bench",
        operation="DataSubscriberService.DataArrived",
        at=clock.now(),
        file="bench.xml",
        size=0,
        digest=b"bench",
    )
    await SqliteMeasurements(store.database).start(arrived, now=clock.now())
    await store.close()


# ---------------------------------------------------------------- all of it


def measure(options: Options) -> Part:
    """10 MB for speed, 10 and 200 MB for memory, 200 MB beside StatusChanged, at scale 1."""
    part = Part(title="Payloads")
    small, large = options.some(_SMALL, least=1_000_000), options.some(_LARGE, least=5_000_000)
    with tempfile.TemporaryDirectory() as folder:
        _beside_others(small, options, Path(folder), part)
        _staged((small, large), Path(folder), part)
    beside.measure(large, part)
    return part

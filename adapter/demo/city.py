"""A city's day, read by group: the simulated head end in a process of its own, and the books after.

Of the meters 2 % fail, 1 % send their data twice, 1 % after the end and 1 % never; a day comes in
three blocks, with gaps. In the end every meter is read, failed with a reason, or missing, and what
is stored of it is what the simulator says it told, meter by meter.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from adapter.commands.activity import Command, CommandRequest, ReadPeriod
from adapter.commands.flows import CommandKind
from adapter.commands.outcomes import EndpointResult
from adapter.commands.timing import POLICIES
from adapter.demo.demo import ANY_PORT, core_for
from adapter.engine.clock import SystemClock
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.readings.reports import ValueQuery
from adapter.errors import SettingsError
from adapter.model.ids import EndpointId
from adapter.model.values import replace
from adapter.server.connections import bind, url_of
from adapter.service.app import App, running
from adapter.simulator.meters import Population
from adapter.simulator.registry import registry_parts
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec

GROUP: Final = "Substation 1"
QUANTITY: Final = "Wh d"
_IMPORTED_AT_ONCE: Final = 500
_ROWS_AT_ONCE: Final = 20_000
_METERS_AT_ONCE: Final = 2_000
_MOST_TOLD: Final = 10
_CONFIG: Final = """\
[population]
count = {meters}
group_size = {meters}
generating_share = 0.0
skipped_share = 0.01
seed = {seed}
[limits]
intervals_per_block = {per_block}
callback_timeout_s = 300.0
[[script]]
id = "fails"
effect = "endpoint_failure"
operation = "InterrogateByGroup"
probability = 0.02
[[script]]
id = "twice"
effect = "duplicate_data"
probability = 0.01
[[script]]
id = "late"
effect = "late_data"
seconds = 0.5
probability = 0.01
[[script]]
id = "never"
effect = "drop_data"
probability = 0.01
"""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class City:
    """What is read. `window_s` is how long the gateway waits for data after the result."""

    meters: int
    quarters: int = 96
    blocks: int = 3
    seed: int = 7
    window_s: float = 60.0
    timeout_s: float = 7_200.0

    def config(self) -> str:
        """The simulator's settings, as its file has them."""
        per_block = -(-self.quarters // self.blocks)
        return _CONFIG.format(meters=self.meters, seed=self.seed, per_block=per_block)


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a process took: seconds of CPU, and the most memory in MiB."""

    cpu_s: float
    memory_mib: int


@dataclass(slots=True, kw_only=True)
class CityReport:
    """How the day ended. Energy in kWh; `differs` names what does not agree, the first few."""

    ends: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    doubled: int = 0
    late: int = 0
    payloads: int = 0
    payload_bytes: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    stored_kwh: Decimal = Decimal()
    metered_kwh: Decimal = Decimal()
    compared: int = 0
    disagreements: int = 0
    differs: list[str] = field(default_factory=list)
    period: tuple[datetime, datetime] | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    used: dict[str, Used] = field(default_factory=dict)

    @property
    def agree(self) -> bool:
        return not self.disagreements

    def disagree(self, text: str) -> None:
        self.disagreements += 1
        if len(self.differs) < _MOST_TOLD:
            self.differs.append(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    app: App
    admin: str
    simulator: int


async def read_city(city: City, folder: Path, say: Say) -> CityReport:
    """Run it in a folder without a store. Raises SettingsError where there is one, TimeoutError
    where the command does not end in time."""
    if (folder / "gateway.db").exists():
        raise SettingsError(f"{folder}: has a store already; the books would not be of one day")
    books = CityReport()
    started = time.monotonic()

    def lap(name: str) -> None:
        nonlocal started
        now = time.monotonic()
        books.seconds[name], started = now - started, now

    async with _running(city, folder) as run:
        gateway = run.app.gateway
        population = Population(plan=SimulatorConfig.load(folder / "city.toml").population)
        for part in registry_parts(population, _IMPORTED_AT_ONCE):
            await gateway.registry.import_devices(part, by="city")
        lap("import")
        say(f"{city.meters} meters imported, {books.seconds['import']:.0f} s")
        end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        start = end - timedelta(minutes=15 * city.quarters)
        books.period = (start, end)
        command = await gateway.commands.submit(
            CommandRequest(
                kind=CommandKind.SCHEDULED_READ_INTERVAL,
                group=GROUP,
                period=ReadPeriod(start=start, end=end),
                requester="city",
            )
        )
        lap("submit")
        say(f"command {command.id} for group {GROUP}, {books.seconds['submit']:.0f} s")
        done = await _follow(city, run, command, say)
        lap("read")
        _note_used(books, run)
        say(f"ended {done.activity.state}, {done.activity.outcome}; holding it against the meters")
        stored = await _stored(run.app, start, end, books)
        await _hold_against(run, done, stored, books)
        await _payloads(run.app, books)
        lap("compare")
    return books


# ---------------------------------------------------------------- running it


@asynccontextmanager
async def _running(city: City, folder: Path) -> AsyncIterator[_Running]:
    """Simulator and gateway, each knowing the other's address."""
    (folder / "city.toml").write_text(city.config(), encoding="utf-8")
    policies = {
        kind: replace(policy, measurement_s=city.window_s) for kind, policy in POLICIES.items()
    }
    async with AsyncExitStack() as stack:
        listening = bind("127.0.0.1", 0)
        process = await _simulator(folder / "city.toml", url_of(listening, tls=False))
        stack.push_async_callback(_end, process)
        assert process.stdout is not None
        told = json.loads(await process.stdout.readline())
        core = await stack.enter_async_context(
            core_for(
                told["url"],
                listening,
                folder,
                codec=Codec(Catalog.load()),
                settings=CommandSettings(policies=policies),
            )
        )
        app = await stack.enter_async_context(running(core, ANY_PORT, listening, SystemClock()))
        yield _Running(app=app, admin=told["admin"], simulator=process.pid)


async def _simulator(config: Path, listener: str) -> asyncio.subprocess.Process:
    places = os.pathsep.join(place for place in sys.path if place)
    given = ("--config", str(config), "--deliver-to", listener, "--json")
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "adapter", "simulate", *given),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": places},
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    await process.wait()


async def _follow(city: City, run: _Running, command: Command, say: Say) -> Command:
    """The command when it is final; a line whenever it is further."""
    gateway, began, shown = run.app.gateway, time.monotonic(), ""
    while True:
        found = await gateway.commands.wait(command.id, timeout_s=5.0)
        if found.activity.state.rests:
            return found
        seconds = time.monotonic() - began
        if seconds > city.timeout_s:
            raise TimeoutError(f"still {found.activity.state} after {seconds:.0f} s")
        how = gateway.commands.progress(command.id)
        if how is not None:
            line = f"read {how.read:>7}  failed {how.failed:>5}  to come {how.waiting:>7}"
            if line != shown:
                used = _used(os.getpid())
                memory = f", {used.memory_mib} MiB" if used else ""
                say(f"{seconds:5.0f} s  {line}  ({found.activity.state}{memory})")
            shown = line


def _note_used(books: CityReport, run: _Running) -> None:
    worker = run.app.core.taking.intake.worker_pid
    pids = {"gateway": os.getpid(), "intake worker": worker, "simulator": run.simulator}
    for name, pid in pids.items():
        if pid is not None and (used := _used(pid)) is not None:
            books.used[name] = used


def _used(pid: int) -> Used | None:
    """Of a running process, where the system tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        ticks = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return None
    (peak,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    seconds = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
    return Used(cpu_s=seconds, memory_mib=int(peak) // 1024)


# ---------------------------------------------------------------- the books


@dataclass(slots=True)
class _StoredEnergy:
    intervals: int = 0
    kwh: Decimal = Decimal()


async def _stored(
    app: App, start: datetime, end: datetime, books: CityReport
) -> dict[EndpointId, _StoredEnergy]:
    """What the gateway has of each meter: the latest revision of every interval."""
    found: dict[EndpointId, _StoredEnergy] = {}
    reports, cursor = app.core.gateway.readings.reports, None
    while True:
        page = await reports.values(ValueQuery(start, end), cursor=cursor, limit=_ROWS_AT_ONCE)
        for row in page.rows:
            mine = found.get(EndpointId(row.endpoint))
            if mine is None:
                mine = found[EndpointId(row.endpoint)] = _StoredEnergy()
            mine.intervals += 1
            if row.value is not None:
                mine.kwh += Decimal(row.value)
        if page.next is None:
            break
        cursor = page.next
    books.stored_kwh = sum((each.kwh for each in found.values()), Decimal())
    return found


async def _hold_against(
    run: _Running, done: Command, stored: dict[EndpointId, _StoredEnergy], books: CityReport
) -> None:
    """Every meter: how it ended and what is stored of it, beside the simulator's account."""
    outcomes = {row.endpoint: row for row in await run.app.gateway.commands.outcomes(done.id)}
    books.ends.update(row.result.value for row in outcomes.values())
    token = done.communications[-1].token
    for row in await asyncio.to_thread(lambda: list(_account(run.admin, str(token)))):
        esn = EndpointId(row["esn"])
        outcome, have = outcomes.get(esn), stored.get(esn, _StoredEnergy())
        reason, copies = row["reason"], row.get("copies", 0)
        intervals, wh = row.get("energy", {}).get(QUANTITY, (0, "0"))
        kwh = Decimal(wh).scaleb(-3) if copies else Decimal()
        books.compared += 1
        books.metered_kwh += kwh
        books.doubled += copies > 1
        books.late += bool(row.get("late"))
        books.counts["sent"] += intervals * bool(copies)
        books.counts["sent_again"] += intervals * max(copies - 1, 0)
        if reason is not None:
            books.reasons[reason] += 1
            right = (EndpointResult.FAILED, reason)
        else:
            ended = EndpointResult.SUCCEEDED if copies else EndpointResult.MISSING
            right = (ended, outcome.reason if outcome is not None else "")
        if outcome is None or (outcome.result, outcome.reason) != right:
            books.disagree(f"{esn}: {outcome} where the simulator says {right}")
        if have.intervals != intervals * bool(copies) or have.kwh != kwh:
            books.disagree(f"{esn}: {have} stored, {intervals} and {kwh} kWh told")
    if books.compared != len(outcomes):
        books.disagree(f"{len(outcomes)} outcomes for {books.compared} meters")


def _account(admin: str, token: str) -> Iterator[dict[str, Any]]:
    offset, count = 0, 1
    while offset < count:
        page = f"{admin}/requests/{token}/meters?offset={offset}&limit={_METERS_AT_ONCE}"
        with urlopen(page, timeout=60) as answer:
            found = json.load(answer)
        count = found["count"]
        offset += len(found["meters"])
        yield from found["meters"]


async def _payloads(app: App, books: CityReport) -> None:
    """The books of the payloads: nothing lost, nothing twice, what was sent again is known."""
    reports, before = app.core.gateway.readings.reports, None
    while page := await reports.payloads(before=before, limit=500):
        before = page[-1].id
        for payload in page:
            books.payloads += 1
            books.payload_bytes += payload.size
            books.counts.update(payload.counts)
            if payload.state != "loaded":
                books.disagree(f"payload {payload.id} is {payload.state}: {payload.reason}")
    counts = books.counts
    if counts["new"] != counts["sent"] or counts["repeated"] != counts["sent_again"]:
        books.disagree(f"the payloads' counts do not add up: {dict(counts)}")
    for name in ("errors", "bad_parts", "revised", "filtered"):
        if counts[name]:
            books.disagree(f"{counts[name]} {name}")

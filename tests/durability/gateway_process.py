"""The gateway as a process that is killed and started again, a simulator beside it, requesters."""

import asyncio
import atexit
import functools
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from adapter.commands.flows import CommandKind
from adapter.engine.clock import SystemClock
from adapter.engine.commands.ports import Import, Saved
from adapter.model.values import replace
from adapter.simulator.faults import Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig, SimulatorLimits, Timing
from adapter.store.commands.commands import SqliteStore

T = TypeVar("T")
START_S: Final = 60.0
"""How long a process may take to listen, on a machine that has other things to do."""
TOKEN: Final = "requester-" + "0" * 32
DARK: Final = 4
"""Meters beside those that are worked with: they lose their supply again and again."""
GROUP: Final = "Substation 1"
"""What the simulator calls the first `group_size` meters."""
_PORTS: Final = range(20_000, 32_000)
"""Below those that the system gives to callers, who might take ours while nobody listens."""

_POLICY: Final = """
send_s = 60.0
poll_first_s = 0.25
poll_every_s = 0.25
poll_longest_s = 0.5
settle_s = 0.3
settle_looks = 3
hold_s = 0.2
measurement_s = 1.5
retry.attempts = 6
retry.first_wait_s = 0.05
retry.longest_wait_s = 0.2
"""


def free_port() -> int:
    """A port that nobody listens on and nobody is given by chance."""
    rng = random.SystemRandom()
    while True:
        port = rng.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


async def until(
    holds: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within_s: float, why: str
) -> None:
    """Return when the condition holds; fail, saying what was waited for, when it does not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        found = holds()
        if found is True or (not isinstance(found, bool) and await found):
            return
        assert loop.time() < deadline, f"not within {within_s:g} s: {why}"
        await asyncio.sleep(0.02)


async def within(future: "asyncio.Future[T]", seconds: float, why: str) -> T:
    """What the future gives; it outlives the waiting, so that others can still ask it."""
    await asyncio.wait({future}, timeout=seconds)
    assert future.done(), f"not within {seconds:g} s: {why}"
    return future.result()


def settings_file(
    folder: Path,
    head_end: str,
    *,
    listener: int,
    api: int,
    extra: str = "",
    expires_s: float = 600.0,
    reply_s: float = 60.0,
    users_file: str = "",
) -> Path:
    """Settings with deadlines of a test's length."""
    (folder / "keys").write_text(f"requester operate,switch {TOKEN}\n", encoding="utf-8")
    text = (
        '[store]\npath = "gateway.db"\n'
        f"[listener]\nport = {listener}\n"
        + (f'users_file = "{users_file}"\n' if users_file else "")
        + "[listener.connections]\ndrain_s = 2.0\n"
        f'[api]\nport = {api}\nkeys_file = "keys"\n[api.connections]\ndrain_s = 2.0\n'
        f'[head_end]\nbase_url = "{head_end}"\n'
        "[head_end.limits]\nconcurrency = 32\nbreaker_unknown = 1000\nbreaker_not_sent = 1000\n"
        "pushback_pause_s = 0.02\npushback_longest_s = 0.1\n"
        f"{extra}\n"
        '[engine]\nlease_s = 1.0\n[log]\nlevel = "warning"\nformat = "text"\n'
    )
    for kind in CommandKind:
        text += f"[commands.{kind}]\nexpires_s = {expires_s}\nreply_s = {reply_s}{_POLICY}"
    path = folder / "openway.toml"
    path.write_text(text, encoding="utf-8")
    return path


@dataclass(slots=True)
class Life:
    """One process of the gateway, from its start to its end."""

    pid: int
    ready: "asyncio.Future[None]"
    ended: "asyncio.Future[int]"


@functools.cache
def _hatchery() -> "subprocess.Popen[bytes]":
    """The process that all others are forked from: one for all tests of this process."""
    made = subprocess.Popen(
        [sys.executable, "-m", "tests.durability.forked_gateways"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )

    def close() -> None:
        assert made.stdin is not None
        assert made.stdout is not None
        made.stdin.close()
        made.wait(START_S)
        made.stdout.close()

    atexit.register(close)
    return made


class Nursery:
    """Starts gateways one after the other; never two at once."""

    def __init__(self, folder: Path, settings: Path) -> None:
        self._order = {"settings": str(settings), "log": str(folder / "gateway.log")}
        self._lives: dict[int, Life] = {}
        self._starting: asyncio.Future[Life] | None = None
        self.kills = 0
        self.starts = 0

    async def open(self) -> None:
        """Listen to what is told of the processes, in the event loop that runs now."""
        self._process = _hatchery()
        assert self._process.stdout is not None
        loop = asyncio.get_running_loop()
        self._reader = asyncio.StreamReader()
        told = os.fdopen(os.dup(self._process.stdout.fileno()), "rb", buffering=0)
        self._transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), told
        )
        self._listening = loop.create_task(self._listen())

    async def close(self) -> None:
        """Leave no process behind, and nothing unread."""
        for life in list(self._lives.values()):
            await self.kill(life)
        self._listening.cancel()
        self._transport.close()

    async def start(self, *, crash_at: str = "", planted: str = "") -> Life:
        """A process that has begun; it may be killed before it is ready."""
        assert self._process.stdin is not None
        self._starting = asyncio.get_running_loop().create_future()
        order = {**self._order, "crash_at": crash_at, "planted": planted}
        assert self._process.poll() is None, "there is nothing to fork from"
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        self.starts += 1
        return await within(self._starting, START_S, "it is forked")

    async def kill(self, life: Life) -> None:
        """SIGKILL, and wait until it is gone."""
        if not life.ended.done():
            os.kill(life.pid, signal.SIGKILL)
            self.kills += 1
        await within(life.ended, START_S, "it is killed")

    async def stop(self, life: Life) -> int:
        """SIGTERM; the exit status."""
        os.kill(life.pid, signal.SIGTERM)
        return await within(life.ended, START_S, "it stops")

    async def _listen(self) -> None:
        async for line in self._reader:
            told = json.loads(line)
            if "started" in told:
                self._started(told["started"])
            elif "ready" in told:
                self._life(told["ready"]).ready.set_result(None)
            elif "ended" in told:
                life = self._life(told["ended"])
                life.ended.set_result(told["status"])
                if not life.ready.done():
                    life.ready.cancel()
        if self._starting is not None and not self._starting.done():
            self._starting.set_exception(AssertionError("there is nothing to fork from"))

    def _life(self, pid: int) -> Life:
        """A child may be heard before its parent has told of it."""
        if pid not in self._lives or self._lives[pid].ended.done():
            loop = asyncio.get_running_loop()
            self._lives[pid] = Life(pid, loop.create_future(), loop.create_future())
        return self._lives[pid]

    def _started(self, pid: int) -> None:
        assert self._starting is not None
        self._starting.set_result(self._life(pid))


@dataclass(slots=True, kw_only=True)
class Rig:
    """Everything of one run. `folder` keeps the three ledgers' files."""

    folder: Path
    simulator: Simulator
    nursery: Nursery
    api: str
    lives: list[Life] = field(default_factory=list)

    @property
    def store_path(self) -> Path:
        return self.folder / "gateway.db"

    @property
    def published(self) -> Path:
        return self.folder / "gateway.published"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    def store_size(self) -> int:
        """Bytes of the largest of the store's files."""
        return max(file.stat().st_size for file in self.folder.glob("gateway.db*"))

    async def outages(self, until: "asyncio.Task[None]") -> None:
        """Exceptions from the street, for as long as the task runs."""
        dark = list(self.simulator.world.population)[-DARK:]
        while not until.done():
            now = self.simulator.clock.now()
            self.simulator.world.outages.begin(dark, seconds=0.1, now=now)
            self.simulator.wake()
            await asyncio.wait({until}, timeout=0.3)

    async def start(self, *, crash_at: str = "", planted: str = "", ready: bool = True) -> Life:
        life = await self.nursery.start(crash_at=crash_at, planted=planted)
        self.lives.append(life)
        if ready:
            both: set[asyncio.Future[object]] = {life.ready, life.ended}  # type: ignore[arg-type]
            await asyncio.wait(both, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            assert not life.ended.done(), f"it has ended: see {self.folder}/gateway.log"
            assert life.ready.done(), "it does not come up"
        return life


@asynccontextmanager
async def rig(
    folder: Path,
    scripts: Sequence[Script] = (),
    *,
    meters: int = 40,
    seed: int = 1,
    callback_attempts: int = 1,
    extra: str = "",
    expires_s: float = 600.0,
    spare: int = 0,
    also: Import | None = None,
    devices: bool = True,
) -> AsyncIterator[Rig]:
    """Simulator running, devices known to the store, no gateway started yet.

    `spare` further meters are for others than the requesters, `also` is more master data; without
    `devices` the simulator's meters are loaded by somebody else, under other names.
    """
    config = SimulatorConfig(
        population=PopulationPlan(
            count=meters + spare + DARK, seed=seed, generating_share=0.0, group_size=8
        ),
        limits=SimulatorLimits(callback_attempts=callback_attempts, callback_retry_s=0.2),
        timing=Timing(jitter=0.5),
        journal=folder / "journal.jsonl",
        scripts=tuple(scripts),
    )
    listener, api = free_port(), free_port()
    address = f"http://127.0.0.1:{listener}/openway"
    config = replace(
        config,
        data_subscribers={"gateway": f"{address}/data"},
        exception_subscribers={"gateway": f"{address}/exceptions"},
    )
    async with Simulator(config) as simulator:
        store = SqliteStore(folder / "gateway.db", now=SystemClock().now)
        await store.open()
        if devices:
            loaded = await store.import_(registry_of(simulator.world.population))
            assert loaded is Saved.SAVED
        if also is not None:
            assert await store.import_(also) is Saved.SAVED
        await store.close()
        settings = settings_file(
            folder,
            simulator.url,
            listener=listener,
            api=api,
            extra=extra,
            expires_s=expires_s,
        )
        nursery = Nursery(folder, settings)
        await nursery.open()
        try:
            yield Rig(
                folder=folder,
                simulator=simulator,
                nursery=nursery,
                api=f"http://127.0.0.1:{api}/api/v1",
            )
        finally:
            await nursery.close()

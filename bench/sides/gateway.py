"""A gateway in a process of its own, over a store in a folder; measured by what it is asked.

python -m bench.sides.gateway JSON    {"head_end": url, "folder": ..., "meters": n, "waiting": n,
                                       "counting": false, "sampling": false, "store_url": ""}

It answers lines of JSON: {"do": "run", "work": [...]}, {"do": "submit", "count": n},
{"do": "ledger"}, and {"do": "await", "count": n} with callback addresses and tokens. With
`waiting`, so many more commands are open in its store from the start on: their head end has taken
them and does not call back. When it is ready it tells the moments of its start, by the clock that
all processes of a machine have in common (`time.monotonic`).
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from adapter.commands.activity import CommandRequest
from adapter.commands.flows import CommandKind
from adapter.commands.timing import Policy
from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Import
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.gateway import Gateway
from adapter.headend.settings import HeadEndSettings, LimitSettings
from adapter.model.device import Device, InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import DeviceId, EndpointId, ServicePointId
from adapter.server import event_loop
from adapter.server.connections import bind, url_of
from adapter.server.settings import ApiKey, Role
from adapter.service.app import made_to_stay, running
from adapter.service.assembly import connect
from adapter.service.log import start_logging
from adapter.service.settings import Api, Settings, StoreSettings
from adapter.service.stores import store_of
from adapter.store.commands.commands import SqlStore
from adapter.wire.codec import packaged_codec
from bench.counts import Counter
from bench.open_commands import INSTALLED, fill, waiting
from bench.payloads import ESN
from bench.processes import LOOK_S, QUIET_LOOKS, is_quiet
from bench.sampling import Sampler

KEY: Final = b"bench" * 8
RECORDER: Final = "recorder-" + "0" * 32
_KEY_OF_RECORDER: Final = ApiKey.of("recorder", RECORDER, Role.ADMIN)
FIRST: Final = 700_001
OFF: Final = FIRST + 1_000
"""Meters from this number on are off: a connect has something to do there."""

_OTHERS: Final = 10_000_000
"""Commands that are awaited from this number on: more than ever wait from the start on."""

_AT_ONCE: Final = 5_000
_SHARES: Final = {"urgent": 1.0, "normal": 1.0, "bulk": 1.0}
"""All calls for every class, so that 64 at once are 64 at once."""

_LONG_S: Final = 30 * 86_400.0
_WAIT_S: Final = 180.0

NEVER_POLLS: Final = Policy(
    expires_s=_LONG_S, reply_s=_LONG_S, poll_first_s=_LONG_S / 2, poll_longest_s=_LONG_S / 2
)
"""What waits, waits on: a measurement that polled a hundred thousand would measure that."""


def meters(first: int, count: int) -> Import:
    """So many meters, each at a service point of its own: on, but for those from OFF on."""
    numbers = range(first, first + count)
    return Import(
        devices=tuple(
            Device(id=DeviceId(f"M{n}"), endpoint=EndpointId(f"{ESN}{n}"), capabilities=_CAN)
            for n in numbers
        ),
        service_points=tuple(ServicePoint(id=ServicePointId(f"SP{n}")) for n in numbers),
        installs=tuple(
            InstallEvent(
                device=DeviceId(f"M{n}"),
                service_point=ServicePointId(f"SP{n}"),
                installed_at=INSTALLED,
                status=InstallStatus.CONN_COMM if n < OFF else InstallStatus.DISCONN_COMM,
            )
            for n in numbers
        ),
    )


_CAN: Final = frozenset(kind.value for kind in CommandKind)


async def prepare(store: SqlStore, gateway: Gateway, count: int, waiting: int) -> None:
    """Meters to work with, and commands that wait, in a store that has none."""
    if await store.devices(limit=1):
        return
    for start in range(0, count, _AT_ONCE):
        some = meters(FIRST + start, min(_AT_ONCE, count - start))
        await gateway.registry.import_devices(some)
    await fill(store, waiting)


class Work:
    """Commands of one kind for meters from a number on: so many at once, or so many a second."""

    def __init__(
        self, gateway: Gateway, *, kind: str, count: int, first: int = 0, **pace: float
    ) -> None:
        self._gateway = gateway
        self._kind = CommandKind(kind)
        self._first, self._count = FIRST + first, count
        self._rate = pace.get("rate")
        self._places = asyncio.Semaphore(int(pace.get("at_once", count)))
        self.latencies: list[float] = []
        self.states: dict[str, int] = {}

    async def run(self) -> None:
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(self._first, self._first + self._count):
                if self._rate is not None:
                    due = started + (number - self._first) / self._rate
                    await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._one(number))

    async def _one(self, number: int) -> None:
        async with self._places:
            started = time.perf_counter()
            request = CommandRequest(kind=self._kind, devices=(DeviceId(f"M{number}"),))
            command = await self._gateway.commands.submit(request)
            done = await self._gateway.commands.wait(command.id, timeout_s=_WAIT_S)
            self.latencies.append(time.perf_counter() - started)
        state = f"{done.activity.state} {done.activity.outcome}"
        self.states[state] = self.states.get(state, 0) + 1


class Measured:
    """What the process is asked for."""

    def __init__(
        self,
        gateway: Gateway,
        store: SqlStore,
        identity: CallbackIdentity,
        counter: Counter | None,
        sampler: Sampler | None,
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._identity = identity
        self._counter = counter
        self._sampler = sampler
        self._awaiting = _OTHERS

    async def answer(self, do: str, **what: Any) -> dict[str, Any]:
        match do:
            case "run":
                return await self._run(what["work"])
            case "submit":
                return await self._submit(**what)
            case "ledger":
                return await self._ledger()
            case "await":
                return await self._await(**what)
        raise SystemExit(f"{do!r} is nothing that a gateway can be asked")

    async def _run(self, several: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Until all of it is final and nothing is left to do, publications and logs included."""
        works = [Work(self._gateway, **each) for each in several]
        before = None if self._counter is None else self._counter.now()
        if self._sampler is not None:
            self._sampler.start()
        commits, cpu = self._store.database.commits, time.process_time()
        started = time.perf_counter()
        await asyncio.gather(*(work.run() for work in works))
        seconds = time.perf_counter() - started
        await _rest()
        answer: dict[str, Any] = {
            "seconds": seconds,
            "cpu_s": time.process_time() - cpu,
            "commits": self._store.database.commits - commits,
            "latencies": [work.latencies for work in works],
            "states": [work.states for work in works],
        }
        if self._counter is not None and before is not None:
            answer["counts"] = asdict(self._counter.now() - before)
        if self._sampler is not None:
            answer["sampled"] = asdict(self._sampler.stop())
        return answer

    async def _submit(self, count: int, first: int = 0) -> dict[str, Any]:
        """Commands that are only asked for: their head end has taken them and is silent."""
        for number in range(FIRST + first, FIRST + first + count):
            device = DeviceId(f"M{number}")
            request = CommandRequest(kind=CommandKind.DEVICE_STATUS_CHECK, devices=(device,))
            await self._gateway.commands.submit(request)
        end = time.monotonic() + _WAIT_S
        while True:
            states = dict((await self._store.ledger()).communications_by_state)
            if not states.keys() & {"queued", "sending"} or time.monotonic() > end:
                await _rest()
                return {"states": states}
            await asyncio.sleep(0.1)

    async def _await(self, count: int) -> dict[str, Any]:
        """New commands whose head end has taken them: where each is called back, with its token."""
        made = list(waiting(self._awaiting, count))
        self._awaiting += count
        await self._store.submit(made)
        (places,) = zip(*(item.command.communications for item in made), strict=True)
        await _rest()
        return {"to": [(self._identity.address(item.id), item.token) for item in places]}

    async def _ledger(self) -> dict[str, Any]:
        started = time.perf_counter()
        await self._gateway.upkeep.ledger()
        return {"seconds": time.perf_counter() - started}


async def _rest() -> None:
    """Until the process has had nothing to do for a while, at most 10 s."""
    looks, end = 0, time.monotonic() + 10.0
    while looks < QUIET_LOOKS and time.monotonic() < end:
        before = time.process_time()
        await asyncio.sleep(LOOK_S)
        looks = looks + 1 if is_quiet(time.process_time() - before) else 0


async def serve(
    *,
    head_end: str,
    folder: str,
    meters: int,
    waiting: int = 0,
    counting: bool = False,
    sampling: bool = False,
    store_url: str = "",
) -> None:
    counter = Counter() if counting else None
    clock, listening = SystemClock(), bind("127.0.0.1", 0)
    async with AsyncExitStack() as stack:
        stack.enter_context(nullcontext() if counter is None else counter.counting())
        with made_to_stay():
            began = time.monotonic()
            codec = packaged_codec()
            identity = CallbackIdentity(url_of(listening, tls=False), (KEY,))
            opening = time.monotonic()
            place = StoreSettings(path=Path(folder) / "gateway.db", url=store_url)
            store = store_of(place, now=clock.now)
            await store.open()
            opened = time.monotonic()
            stack.push_async_callback(store.close)
            core = connect(
                store=store,
                codec=codec,
                head_end=HeadEndSettings(
                    base_url=head_end,
                    limits=LimitSettings(concurrency=64, shares=_SHARES),
                ),
                identity=identity,
                settings=CommandSettings(policies=dict.fromkeys(CommandKind, NEVER_POLLS)),
                clock=clock,
            )
            await prepare(store, core.gateway, meters, waiting)
            app = await stack.enter_async_context(
                running(core, Settings(api=Api(port=0, keys=(_KEY_OF_RECORDER,))), listening, clock)
            )
        ready = {
            "url": url_of(listening, tls=False),
            "api": app.rest.url,
            "began": began,
            "opening": opening,
            "opened": opened,
            "started": time.monotonic(),
        }
        sampler = Sampler() if sampling else None
        measured = Measured(app.gateway, store, identity, counter, sampler)
        print(json.dumps(ready), flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await measured.answer(**json.loads(line))), flush=True)


def main() -> None:
    """Its log goes where the store is, as a service's goes to a file."""
    asked = json.loads(sys.argv[1])
    with open(Path(asked["folder"]) / "log", "a") as log:
        start_logging(stream=log)
        event_loop.run(serve(**asked))


if __name__ == "__main__":
    main()

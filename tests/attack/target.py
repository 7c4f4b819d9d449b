"""What is attacked: `openway serve` as a process, a simulated head end, and orders under way.

How a wrong acceptance is seen, from three sides: the journal of the head end (which switch orders
reached it and which it carried out), the registry (the status of each install event), and the
gateway's own counts (completion events, commands, states of what came in).
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from adapter.commands.flows import RESULT_OF, SWITCH_OPERATIONS, Operation
from adapter.server.credentials import basic_header_of
from adapter.simulator.faults import Effect, Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import device_id
from adapter.simulator.server import Simulator
from adapter.simulator.settings import Access, SimulatorConfig, Timing
from tests.attack.report import Kind
from tests.clock.machine import Machine, cut, load, machine
from tests.durability.gateway_process import until
from tests.web.raw_connection import connected

USER: Final = "head-end"
PASSWORD: Final = "a password: of the head end"
KNOWN: Final = f"Authorization: {basic_header_of(USER, PASSWORD)}"
UNDER_WAY: Final = 4
"""The first meters: what is asked of them the head end works at for ever."""

_UNDER_WAY_S: Final = 6 * 3_600.0
"""Longer than any attack: an order that ran out meanwhile were no longer what is attacked, and the
gateway would begin to look at its switch."""

WAIT_S: Final = 60.0
LOOKS: Final = 3
"""So often the head end is asked of each order before a claim counts as followed up."""

_QUESTIONS: Final = (
    Operation.REQUEST_STATUS,
    *(RESULT_OF[each] for each in sorted(SWITCH_OPERATIONS)),
)

_JUDGED_S: Final = 300.0
"""A flood leaves thousands."""

_ANSWER_S: Final = 120.0
_READ: Final = ("new", "loading")
_PROGRESS: Final = "communication_in_progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A switch order whose end an attacker wants to invent. `url` is its callback address."""

    command: str
    token: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What may not change by an attack, and what came in."""

    switched: Mapping[str, int]
    installed: Mapping[str, str]
    completions: Mapping[str, int]
    accepted: int
    under_way: int
    inbox: Mapping[str, int]

    def changes(self, before: "Standing") -> list[str]:
        """What is not as it was, the inbox left aside."""
        names = ("switched", "installed", "completions", "accepted", "under_way")
        pairs = ((name, getattr(before, name), getattr(self, name)) for name in names)
        return [f"{name}: was {was}, is {is_}" for name, was, is_ in pairs if was != is_]

    def more(self, before: "Standing") -> Counter[str]:
        """Messages that came in, by what became of them."""
        return Counter(self.inbox) - Counter(before.inbox)


@dataclass(slots=True)
class Target:
    machine: Machine
    head_end: Simulator
    orders: list[Order]
    done: Order

    async def ask(self, path: str) -> Any:
        return await self.machine.ask("GET", f"/api/v1{path}")

    async def standing(self) -> Standing:
        """Once everything that came is judged."""
        await until(self._read, within_s=_JUDGED_S, why="all that came in is judged")
        counts = await self.ask("/ledger")
        devices = (await self.ask("/devices?limit=500"))["items"]
        return Standing(
            switched={each: self.head_end.journal.requests[each] for each in SWITCH_OPERATIONS},
            installed={
                each["device"]["id"]: (each["installed"] or {}).get("status", "")
                for each in devices
            },
            completions=counts["completion_events"],
            accepted=counts["accepted"],
            under_way=counts["commands_by_state"].get(_PROGRESS, 0),
            inbox=counts["inbox_by_state"],
        )

    async def asked_again(self) -> None:
        """Until the gateway has asked the head end of its orders so often that a claim of an end
        has been followed up. Of an order that is said to be done it asks the result alone."""
        counts = self.head_end.journal.requests

        def asked() -> int:
            return sum(counts[each] for each in _QUESTIONS)

        wanted = asked() + LOOKS * len(self.orders)
        await until(
            lambda: asked() >= wanted,
            within_s=WAIT_S,
            why="the head end is asked again",
        )

    async def _read(self) -> bool:
        counts = (await self.ask("/ledger"))["inbox_by_state"]
        return not any(counts.get(state) for state in _READ)

    @property
    def free_device(self) -> str:
        """One that nobody has asked anything of."""
        return device_id(list(self.head_end.world.population)[-1])

    async def send(self, message: bytes, *, to: str = "") -> int | None:
        """One message on a connection of its own, to the listener or to the address given. The
        status of the answer; None: none came."""
        async with connected(to or self.machine.listener) as raw:
            sending = asyncio.create_task(raw.send(message))
            try:
                async with asyncio.timeout(_ANSWER_S):
                    return await raw.status()
            except (OSError, asyncio.IncompleteReadError):
                return None
            finally:
                sending.cancel()
                await asyncio.wait({sending})
                if not sending.cancelled():
                    sending.exception()  # cut off: it was answered before it was all read

    async def measured(self, kind: Kind, name: str, message: bytes, *, to: str = "") -> int | None:
        """The same, and what it cost the gateway's process until the answer."""
        cost = Cost(self.machine.pid)
        status = await self.send(message, to=to)
        kind.tried += 1
        kind.cost(name, cost.cpu_ms(), cost.memory())
        return status


class Cost:
    """Of a process from now on."""

    def __init__(self, pid: int) -> None:
        self._process = Path(f"/proc/{pid}")
        (self._process / "clear_refs").write_text("5", encoding="ascii")  # the peak is what is now
        self._clock = (~pid << 3) | 2  # as clock_getcpuclockid has it
        self._peak, self._cpu = self._high(), time.clock_gettime(self._clock)

    def cpu_ms(self) -> float:
        return 1000 * (time.clock_gettime(self._clock) - self._cpu)

    def memory(self) -> int:
        """By how many bytes its largest size has grown."""
        return self._high() - self._peak

    def _high(self) -> int:
        for line in (self._process / "status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the system tells no VmHWM")


def request(path: str, body: bytes, *headers: str, known: bool = True) -> bytes:
    """A message as the head end sends it, whatever its body."""
    return head(path, f"Content-Length: {len(body)}", *headers, known=known) + body


def head(path: str, *headers: str, known: bool = True) -> bytes:
    """`headers` with a Content-Type replace the usual one."""
    rows = [f"POST {path} HTTP/1.1", "Host: gateway"]
    if not any(each.lower().startswith("content-type:") for each in headers):
        rows.append("Content-Type: text/xml; charset=utf-8")
    rows += [KNOWN] if known else []
    return ("\r\n".join([*rows, *headers]) + "\r\n\r\n").encode()


@asynccontextmanager
async def a_head_end(folder: Path, *, meters: int) -> AsyncIterator[Simulator]:
    config = SimulatorConfig(
        population=PopulationPlan(count=meters, generating_share=0.0),
        timing=Timing(jitter=0.0),
        access=Access(callback_user=USER, callback_password=PASSWORD),
        journal=folder / "journal.jsonl",
    )
    async with Simulator(config) as head_end:
        first = list(head_end.world.population)[:UNDER_WAY]
        head_end.world.scripts.add_all(
            [Script(effect=Effect.NEVER_FINISH, meter=str(each)) for each in first]
        )
        yield head_end


@asynccontextmanager
async def a_target(folder: Path, *, meters: int = 8) -> AsyncIterator[Target]:
    """Running: orders under way, and one that is completed."""
    (folder / "callback-users").write_text(f"{USER}:{PASSWORD}\n", encoding="utf-8")
    async with a_head_end(folder, meters=meters) as head_end:
        made = machine(
            folder,
            head_end,
            clock=False,
            caller=f"{USER}:{PASSWORD}",
            reply_s=_UNDER_WAY_S,
            expires_s=_UNDER_WAY_S,
        )
        async with made.serving():
            await load(made, head_end)
            done = await cut(made, head_end, UNDER_WAY)
            orders = [await cut(made, head_end, number) for number in range(UNDER_WAY)]
            target = Target(made, head_end, [], Order(command=done, token="", url=""))
            await until(lambda: _completed(target), within_s=WAIT_S, why="one is completed")
            await until(
                lambda: len(_by_command(head_end)) > UNDER_WAY, within_s=WAIT_S, why="all are sent"
            )
            found = _by_command(head_end)
            target.orders = [found[each] for each in orders]
            target.done = found[done]
            await until(lambda: _tokens(target), within_s=WAIT_S, why="all tokens are known")
            await until(lambda: _told(target), within_s=WAIT_S, why="the head end has told of all")
            yield target


async def _completed(target: Target) -> bool:
    return bool((await target.ask(f"/commands/{target.done.command}"))["state"] == "completed")


async def _tokens(target: Target) -> bool:
    states = [await target.ask(f"/commands/{each.command}") for each in target.orders]
    return all(each["state"] == _PROGRESS for each in states)


async def _told(target: Target) -> bool:
    """What it says of its own accord is in: that each has begun and runs, and that one has ended.
    It would count as what an attacker has sent."""
    came = (await target.ask("/ledger"))["inbox_by_state"]
    return bool(sum(came.values()) >= 2 * len(target.orders) + 3)


def _by_command(head_end: Simulator) -> dict[str, Order]:
    """Of the head end's jobs those that move a switch, by the gateway's command."""
    found = {}
    for token, job in head_end.world.jobs.items():
        address = job.asked.address or ""
        command = address.rpartition("/")[0].rpartition("/")[2].rpartition("-")[0]
        found[command] = Order(command=command, token=token, url=address)
    return found

"""Those who want commands carried out: they submit, wait for the end, and note what they were told.

A requester never gives up: an answer that did not come is asked for again under the same
idempotency key. What it was told is the first of the three ledgers.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp

from adapter.commands.activity import State
from adapter.commands.flows import FLOWS, READ_KINDS, SWITCH_KINDS, CommandKind, Scope
from tests.durability.gateway_process import GROUP, TOKEN

_AGAIN_S: Final = 0.05
_WAIT_S: Final = 2
_CALL_S: Final = 10.0
K = CommandKind

Mix = Sequence[tuple[CommandKind, int]]
EVERYTHING: Final[Mix] = (
    (K.REMOTE_DISCONNECT, 50),  # or a connect, as the switch is
    (K.DEVICE_STATUS_CHECK, 12),
    (K.READ_DISCONNECT_STATE, 8),
    (K.LOAD_CHECK, 5),
    (K.MULTI_DEVICE_STATUS_CHECK, 5),
    (K.ON_DEMAND_READ_SCALAR, 10),
    (K.ON_DEMAND_READ_INTERVAL, 5),
    (K.SCHEDULED_READ_SCALAR, 2),
    (K.SCHEDULED_READ_INTERVAL, 2),
    (K.DEVICE_DECOMMISSIONING, 5),  # or a commissioning, as it is
)
SWITCHING: Final[Mix] = ((K.REMOTE_DISCONNECT, 1),)


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One command as its requester sees it. `ids`: what the gateway has called it."""

    key: str
    kind: CommandKind
    device: str
    ids: list[str] = field(default_factory=list)
    calls: int = 0
    refused: int = 0
    """HTTP status of a refusal; 0 for none."""
    final: dict[str, Any] | None = None
    told: list[str] = field(default_factory=list)
    """Every final state that was ever reported, to see that it never changes."""

    @property
    def acknowledged(self) -> bool:
        return bool(self.ids)


@dataclass(slots=True)
class Requesters:
    """`workers` of them at once, each with meters of its own, until it is `enough`."""

    api: str
    devices: Sequence[str]
    seed: int = 1
    workers: int = 5
    attempts: list[Attempt] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    refused_connections: int = 0
    mix: Mix = EVERYTHING
    _session: aiohttp.ClientSession = field(init=False)

    async def run(self) -> None:
        """Until it is enough and everything begun is final."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        timeout = aiohttp.ClientTimeout(total=_CALL_S)
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as self._session,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self.workers):
                mine = self.devices[number :: self.workers]
                group.create_task(_Worker(self, number, mine).run())

    async def submit(self, attempt: Attempt, body: dict[str, Any]) -> None:
        """Ask until there is an answer."""
        while True:
            attempt.calls += 1
            headers = {"Idempotency-Key": attempt.key}
            told = await self._call("POST", "/commands", json=body, headers=headers)
            if told is None or told[0] >= 500 or told[0] == 429:
                await asyncio.sleep(_AGAIN_S)
                continue
            status, answer = told
            if status >= 400:
                attempt.refused = status
            else:
                attempt.ids.append(answer["id"])
            return

    async def end(self, attempt: Attempt, *, give_up: bool = False) -> dict[str, Any]:
        """Wait until the command is final, or waits for people. With `give_up` one that a rule has
        stopped is discarded."""
        while True:
            path = f"/commands/{attempt.ids[0]}"
            told = await self._call("GET", f"{path}?wait={_WAIT_S}")
            if give_up and told is not None and told[1].get("state") == "validation_error":
                await self._call("POST", f"{path}/discard", json={"reason": "given up"})
                continue
            if told is not None and told[0] == 200 and State(told[1]["state"]).rests:
                attempt.told.append(told[1]["state"])
                attempt.final = told[1]
                return attempt.final
            if told is None or told[0] != 200:
                await asyncio.sleep(_AGAIN_S)

    async def cancel(self, attempt: Attempt) -> None:
        """Ask once; whether it was heard shows in how the command ends."""
        await self._call("POST", f"/commands/{attempt.ids[0]}/cancel", json={"reason": "again"})

    async def ledger(self) -> dict[str, Any]:
        """The gateway's own counts."""
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{self.api}/ledger") as answer,
        ):
            found: dict[str, Any] = await answer.json()
            return found

    async def _call(self, method: str, path: str, **rest: Any) -> tuple[int, Any] | None:
        """Status and answer; None where the connection broke."""
        try:
            async with self._session.request(method, self.api + path, **rest) as answer:
                return answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            self.refused_connections += 1
            return None

    def begin(self, kind: CommandKind, device: str, worker: int) -> Attempt | None:
        if self.enough.is_set():
            return None
        attempt = Attempt(key=f"k-{worker}-{len(self.attempts)}", kind=kind, device=device)
        self.attempts.append(attempt)
        return attempt


class _Worker:
    def __init__(self, requesters: Requesters, number: int, devices: Sequence[str]) -> None:
        self._all = requesters
        self._number = number
        self._devices = list(devices)
        self._rng = random.Random(requesters.seed * 1_000 + number)
        self._open: set[str] = set()
        self._decommissioned: set[str] = set()
        self._fenced: set[str] = set()

    async def run(self) -> None:
        kinds, weights = zip(*self._all.mix, strict=True)
        while True:
            (kind,) = self._rng.choices(kinds, weights)
            device = self._rng.choice(self._devices)
            if not await self._one(*self._fitting(kind, device)):
                return

    def _fitting(self, kind: CommandKind, device: str) -> tuple[CommandKind, str]:
        """The last meter of a worker is commissioned and decommissioned, the others switched, but
        for those whose last order has an outcome that nobody knows."""
        if kind is K.DEVICE_DECOMMISSIONING:
            device = self._devices[-1]
            return K.DEVICE_COMMISSIONING if device in self._decommissioned else kind, device
        if kind in SWITCH_KINDS:
            free = [each for each in self._devices[:-1] if each not in self._fenced]
            if not free:  # an order for a fenced meter ends when people decide, which none do here
                return K.DEVICE_STATUS_CHECK, device
            device = self._rng.choice(free)
            return K.REMOTE_CONNECT if device in self._open else K.REMOTE_DISCONNECT, device
        return kind, device

    async def _one(self, kind: CommandKind, device: str) -> bool:
        attempt = self._all.begin(kind, device, self._number)
        if attempt is None:
            return False
        body = self._body(kind, device)
        await self._all.submit(attempt, body)
        if not attempt.acknowledged:
            return True
        chance = self._rng.random()
        if kind in SWITCH_KINDS and chance < 0.1:
            await self._contend(kind, device)
        elif chance < 0.18:
            await self._all.cancel(attempt)
        elif chance < 0.3:
            await self._all.submit(attempt, body)  # a nervous requester asks twice
        final = await self._all.end(attempt)
        self._note(kind, device, final)
        return True

    async def _contend(self, kind: CommandKind, device: str) -> None:
        """The opposite order, or the same again, while the first is open. Where that one was
        quicker, the same again has nothing to do any more and is refused."""
        other = self._rng.choice((K.REMOTE_CONNECT, K.REMOTE_DISCONNECT))
        attempt = self._all.begin(other, device, self._number)
        if attempt is None:
            return
        await self._all.submit(attempt, {**self._body(other, device), "optional": True})
        if attempt.acknowledged:
            self._note(other, device, await self._all.end(attempt, give_up=True))

    def _note(self, kind: CommandKind, device: str, final: dict[str, Any]) -> None:
        if final["state"] == "needs_person":
            self._fenced.add(device)
        if final["state"] != "completed":
            return
        match kind:
            case K.REMOTE_DISCONNECT:
                self._open.add(device)
            case K.REMOTE_CONNECT:
                self._open.discard(device)
            case K.DEVICE_DECOMMISSIONING:
                self._decommissioned.add(device)
            case K.DEVICE_COMMISSIONING:
                self._decommissioned.discard(device)
            case _:
                pass

    def _body(self, kind: CommandKind, device: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        body: dict[str, Any] = {"kind": kind.value, "devices": [device]}
        if kind is K.MULTI_DEVICE_STATUS_CHECK:
            body["devices"] = self._devices
        if FLOWS[kind].scope is Scope.GROUP:
            body = {"kind": kind.value, "group": GROUP}
        if kind in READ_KINDS:
            start = now - timedelta(hours=1)
            body["period"] = {"start": start.isoformat(), "end": now.isoformat()}
        return body

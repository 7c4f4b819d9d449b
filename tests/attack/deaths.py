"""Kills, copies that are put back, and clocks that are set, on the real program.

Each has a gateway of its own. Kills are judged by three ledgers: what requesters were told, what
the head end wrote down, and what the store holds. After a restore it is judged whether any meter
was switched twice, and at a clock that is off whether anything left.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from adapter.commands.flows import Operation
from adapter.model.values import replace
from adapter.simulator.registry import device_id
from adapter.simulator.server import Simulator
from tests.attack.report import Kind
from tests.attack.target import PASSWORD, UNDER_WAY, USER, WAIT_S, a_head_end
from tests.clock.lives import FAR, HOUR
from tests.clock.machine import (
    USERS_FILE,
    Machine,
    can_set_clocks,
    cut,
    load,
    machine,
    order_while_off,
)
from tests.durability.checks import RULES, Ledgers, publications_arrive
from tests.durability.gateway_process import until
from tests.durability.ledgers import read_head_end, read_store
from tests.durability.requesters import SWITCHING, Requesters
from tests.durability.restores import STORE, WAYS, copied, put_back
from tests.durability.runs import UNREAD

METERS: Final = 24
CLOCKS: Final = (3 * HOUR, -3 * HOUR, FAR, -FAR)
_LONGEST_S: Final = 1.5
_MACHINE: Final = ("openway.toml", "keys", "gateway.key", USERS_FILE)
_WITNESS: Final = "gateway.witness"


async def kills(folder: Path, *, count: int, seed: int) -> Kind:
    """SIGKILL at random moments under load, some before the start is over; then a life in peace."""
    kind, rng = Kind(name="kills at random moments"), random.Random(seed)
    async with _site(folder) as (head_end, made):
        await made.start()
        await load(made, head_end)
        asked = Requesters(
            f"{made.api}/api/v1", _devices(head_end), seed=seed, workers=4, mix=SWITCHING
        )
        load_ = asyncio.get_running_loop().create_task(asked.run())
        try:
            while kind.tried < count:
                await asyncio.wait({load_}, timeout=rng.uniform(0.0, _LONGEST_S))
                await made.kill()
                kind.tried += 1
                await made.start(ready=kind.tried == count or rng.random() < 0.8)
            asked.enough.set()
            async with asyncio.timeout(2 * WAIT_S):
                await load_
            await head_end.sent()
            await until(lambda: _read(asked), within_s=WAIT_S, why="all that came in is read")
        finally:
            load_.cancel()
        assert await made.stop() == 0
        ledgers = Ledgers(
            requesters=asked.attempts,
            head_end=read_head_end(folder / "journal.jsonl", head_end),
            store=await read_store(made.folder / "gateway.db", made.folder / "none"),
        )
        rules = [rule for rule in RULES if rule is not publications_arrive]  # nobody takes them
        kind.wrong += [f"{kind.name}: {each}" for rule in rules for each in rule(ledgers)]
        kind.without_effect = kind.tried
    return kind


async def restores(folder: Path, *, ways: Sequence[str] = WAYS, seed: int) -> Kind:
    """A copy of the store, taken while disconnects leave, is put back after they have left. It is
    held, or has seen all that left."""
    kind, rng = Kind(name="copies put back"), random.Random(seed)
    folder.mkdir()
    for number, way in enumerate(ways):
        async with _site(folder / str(number)) as (head_end, made):
            await made.start()
            await load(made, head_end)
            wanted = range(UNDER_WAY, UNDER_WAY + rng.randint(2, 6))
            orders = [await cut(made, head_end, each) for each in wanted]
            copy = folder / str(number) / "copy"
            copied(made.folder, copy, *STORE, _WITNESS)
            for order in orders:
                await _completed(made, order)
            await made.kill()
            restored = _put_back(way, copy, made, folder / str(number) / "kept")
            async with restored.serving():
                held = bool(await restored.held())
                await _completed(restored, await _ping(restored, head_end))
            kind.tried += 1
            kind.refused += held
            twice = _twice(head_end)
            kind.without_effect += not held and not twice
            kind.wrong += [f"{way}: {each}" for each in twice]
    return kind


async def clocks(folder: Path, *, count: int) -> Kind:
    """The wall clock is set while it runs: a disconnect leaves when it is right again."""
    kind = Kind(name="clocks that are set")
    if not can_set_clocks():
        return kind
    async with _site(folder, clock=True) as (head_end, made):
        await made.start()
        await load(made, head_end)
        for number, by in enumerate(CLOCKS[:count]):
            kind.tried += 1
            try:
                await order_while_off(made, head_end, UNDER_WAY + number, by)
                kind.refused += 1
            except AssertionError as wrong:
                kind.wrong.append(f"{kind.name}: {by}: {wrong}")
        kind.wrong += _twice(head_end)
    return kind


@asynccontextmanager
async def _site(folder: Path, *, clock: bool = False) -> AsyncIterator[tuple[Simulator, Machine]]:
    """Nothing started yet; nothing is left behind."""
    (folder / "store").mkdir(parents=True)
    async with a_head_end(folder, meters=UNDER_WAY + METERS) as head_end:
        made = machine(folder / "store", head_end, clock=clock, caller=f"{USER}:{PASSWORD}")
        try:
            yield head_end, made
        finally:
            if made.process is not None:
                await made.kill()


def _put_back(way: str, copy: Path, made: Machine, kept: Path) -> Machine:
    """The machine that starts on it: settings and keys are there, whatever became of the rest."""
    copied(made.folder, kept, *_MACHINE)
    place = put_back(way, copy, made.folder)
    copied(kept, place, *_MACHINE)
    return replace(made, folder=place, settings=place / _MACHINE[0], process=None)


def _devices(head_end: Simulator) -> list[str]:
    found = list(head_end.world.population)[UNDER_WAY : UNDER_WAY + METERS]
    return [device_id(each) for each in found]


def _twice(head_end: Simulator) -> list[str]:
    count = head_end.journal.count
    return [
        f"{endpoint} was disconnected {times} times"
        for endpoint in head_end.world.population
        if (times := count(Operation.DISCONNECT_METER, endpoint)) > 1
    ]


async def _read(asked: Requesters) -> bool:
    counts = (await asked.ledger())["inbox_by_state"]
    return not any(counts.get(state) for state in UNREAD)


async def _completed(made: Machine, command: str) -> None:
    async def is_it() -> bool:
        return bool((await made.ask("GET", f"/api/v1/commands/{command}"))["state"] == "completed")

    await until(is_it, within_s=WAIT_S, why=f"{command} is completed")


async def _ping(made: Machine, head_end: Simulator) -> str:
    """A round of all loops: what was due before it has had its turn."""
    body = {"kind": "device_status_check", "devices": [_devices(head_end)[-1]]}
    return str((await made.ask("POST", "/api/v1/commands", body))["id"])

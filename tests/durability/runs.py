"""One run: load on a gateway that dies, its last life in peace, then the three ledgers."""

import asyncio
import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapter.engine.upkeep.signals import SIGNALS, Signal
from adapter.simulator.faults import Effect, Script
from tests.durability.checks import Finding, Ledgers, Report, Wrong, judge
from tests.durability.gateway_process import Life, Rig, rig, until, within
from tests.durability.ledgers import read_head_end, read_store
from tests.durability.orders import ITEMS, SETTINGS, SMART, FileCrew, OrderRequesters, items
from tests.durability.requesters import EVERYTHING, Mix, Requesters

SIGKILLED: Final = -9
_BAD: Final = re.compile(r"(\d\d:){2}\d\d  (error|critical) |Traceback|\w*(Error|Exception): ")
_OF_OTHERS: Final = frozenset(
    f"  {SIGNALS[each].log}"
    for each in (Signal.NEEDS_PERSON, Signal.HEAD_END_LOST, Signal.BREAKER_OPENED)
)
"""Lines as loud that tell of the head end, not of the gateway."""
STEADY: Final = 30
"""So many looks in a row must show the same before a run counts as over."""
POINT_S: Final = 30.0
"""How long the load may take to lead a process to a named point."""
WORK_S: Final = 10.0
"""How long a life that is to send something is left alone for it."""
UNREAD: Final = ("new", "parked", "loading")
QUIET_S: Final = 60.0
"""How long the last life may take to bring everything to an end."""

MISHAPS: Final = (
    Script(effect=Effect.CALLBACK_FIRST, probability=0.15),
    Script(effect=Effect.DUPLICATE_CALLBACK, probability=0.05, count=1),
    Script(effect=Effect.DROP_CALLBACK, probability=0.05),
    Script(effect=Effect.LOSE_REPLY, operation="DisconnectMeter", probability=0.05),
    Script(effect=Effect.LOSE_REPLY, operation="ReconnectMeter", probability=0.05),
    Script(effect=Effect.TRUNCATE_REPLY, operation="Get*Result", probability=0.03),
    Script(
        effect=Effect.FAULT,
        operation="*connectMeter",
        fault="TooManyConcurrentRequestsFault",
        probability=0.05,
    ),
)

Deaths = Callable[[Rig, Requesters], Awaitable[Life]]
"""Lets the gateway die as often as the test wants; gives its last life, which is running."""


@dataclass(slots=True, kw_only=True)
class Plan:
    title: str
    deaths: Deaths
    scripts: tuple[Script, ...] = MISHAPS
    seed: int = 1
    meters: int = 30
    workers: int = 5
    mix: Mix = EVERYTHING
    callback_attempts: int = 1
    """How often the head end tries a callback that got no answer: nobody says that it does."""
    extra: str = ""
    """Further settings, as TOML."""
    expires_s: float = 600.0
    orders: bool = False
    """Whether service orders are part of the load."""
    breaks: bool = False
    """Whether errors in the log belong to it."""
    at_least: int = 0
    """Commands to begin before the last life is left in peace."""
    peace: bool = True
    """Whether the last life brings all to an end. Where a plant may keep it from that it is killed,
    and the ledgers are read as they stand."""


async def run_plan(folder: Path, plan: Plan) -> Report:
    """Load, deaths, peace, and the report of what the ledgers say."""
    ledgers, kills = await play(folder, plan)
    found = judge(ledgers, title=plan.title, kills=kills)
    if not plan.breaks:
        found.findings += logged_errors(folder / "gateway.log")
    print(f"\n{found}")  # noqa: T201
    return found


async def play(folder: Path, plan: Plan) -> tuple[Ledgers, int]:
    """Load, deaths, peace; the ledgers, and how often the gateway was killed."""
    extra = f"{plan.extra}\n{SETTINGS}" if plan.orders else plan.extra
    async with rig(
        folder,
        plan.scripts,
        meters=plan.meters,
        seed=plan.seed,
        callback_attempts=plan.callback_attempts,
        extra=extra,
        expires_s=plan.expires_s,
        spare=SMART,
        also=items(),
    ) as made:
        asked = Requesters(
            made.api,
            [f"M{700_001 + number}" for number in range(plan.meters)],
            seed=plan.seed,
            workers=plan.workers,
            mix=plan.mix,
        )
        points = [f"SP{700_001 + plan.meters + number}" for number in range(SMART)]
        points += [f"SP-I{number}" for number in range(ITEMS)]
        ordered = OrderRequesters(made.api, points if plan.orders else [])
        last = await _under_load(made, plan, asked, ordered)
        if plan.peace:
            await settle(made, asked)
            status = await made.nursery.stop(last)
            assert status == 0, f"SIGTERM ended it with {status}"
        else:
            await made.nursery.kill(last)
        return await read_ledgers(made, asked, ordered), made.nursery.kills


async def _under_load(made: Rig, plan: Plan, asked: Requesters, ordered: OrderRequesters) -> Life:
    """Deaths, and then peace until all that was begun has come to its end; the last life."""
    begin = asyncio.get_running_loop().create_task
    load, orders = begin(asked.run()), begin(ordered.run())
    around = [begin(made.outages(load)), begin(FileCrew(made.folder).work(orders))]
    try:
        last = await plan.deaths(made, asked)
        if not plan.peace:
            return last
        await until(
            lambda: load.done() or len(asked.attempts) >= plan.at_least,
            within_s=QUIET_S,
            why=f"{plan.at_least} commands are begun",
        )
        asked.enough.set()
        ordered.enough.set()
        async with asyncio.timeout(QUIET_S):
            await asyncio.gather(load, orders, *around)
        return last
    finally:
        for task in (load, orders, *around):
            task.cancel()


def logged_errors(log: Path) -> list[Finding]:
    """What went wrong inside, even where all came right in the end."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    wrong = [line for line in lines if _BAD.match(line) and not any(x in line for x in _OF_OTHERS)]
    return [Finding(Wrong.UNEXPECTED, "log", line[:200]) for line in wrong[:5]]


async def settle(made: Rig, asked: Requesters) -> None:
    """Until the head end has nothing more to say, and the gateway nothing more to do."""
    await made.simulator.sent()
    seen: list[int] = []

    async def quiet() -> bool:
        counts = await asked.ledger()
        unread = [counts["inbox_by_state"].get(state, 0) for state in UNREAD]
        sent = set()
        if made.published.exists():
            sent = set(made.published.read_text(encoding="utf-8").split("\n")) - {""}
        seen.append(counts["publications"])
        steady = len(seen) > STEADY and len(set(seen[-STEADY:])) == 1
        return (
            steady
            and not any(unread)
            and len({line.split('"')[1] for line in sent}) >= int(counts["publications"])
        )

    await until(quiet, within_s=QUIET_S, why="the inbox is read and everything is published")
    await made.simulator.sent()


async def read_ledgers(made: Rig, asked: Requesters, ordered: OrderRequesters) -> Ledgers:
    """All three, when nobody writes any more."""
    return Ledgers(
        requesters=asked.attempts,
        orders=ordered.attempts,
        head_end=read_head_end(made.journal, made.simulator),
        store=await read_store(made.store_path, made.published),
    )


def killed_at_random(
    kills: int, *, seed: int, longest_s: float = 0.9, most_requests: int = 0
) -> Deaths:
    """SIGKILL at moments drawn from the seed, one in five of them before the start is over. With
    `most_requests` every second life that was ready has sent up to so many first: on a machine that
    has other things to do, seconds alone are too short for any work."""

    async def deaths(made: Rig, asked: Requesters) -> Life:
        rng = random.Random(seed)
        while made.nursery.kills < kills:
            early = rng.random() < 0.2
            requests = rng.randint(0, most_requests) * rng.randint(0, 1)
            life = await made.start(ready=not early)
            if not early and requests:
                await _has_sent(requests, made, life)
            moment = rng.uniform(0.0, 0.3 if early else longest_s)
            _, waiting = await asyncio.wait({life.ended}, timeout=moment)
            assert waiting, f"it ended by itself: {life.ended.result()}"
            await made.nursery.kill(life)
        return await made.start()

    return deaths


async def _has_sent(requests: int, made: Rig, life: Life) -> None:
    """Until so many more have reached the head end, or time enough has passed for it."""
    reached, loop = made.simulator.journal.requests, asyncio.get_running_loop()
    wanted, last = reached.total() + requests, loop.time() + WORK_S
    await until(
        lambda: reached.total() >= wanted or life.ended.done() or loop.time() >= last,
        within_s=POINT_S,
        why=f"{requests} requests are sent",
    )


def killed_at(*points: str, planted: str = "") -> Deaths:
    """A process for each `name:n`: it is waited for until it has died there."""

    async def deaths(made: Rig, asked: Requesters) -> Life:
        for point in points:
            life = await made.start(crash_at=point, planted=planted, ready=False)
            status = await within(life.ended, POINT_S, f"it dies at {point}")
            assert status == SIGKILLED, f"{point}: ended with {status}"
            made.nursery.kills += 1
        return await made.start(planted=planted)

    return deaths

"""From a world to the last reply, through the real gateway: the same table that plans are held to.

All cases of a kind run side by side in one gateway with one simulated head end; each is a test of
its own.
"""

import asyncio
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from adapter.commands.calls import SwitchState
from adapter.engine.orders.ports import OrderShown
from adapter.model.device import Category, Device, InstallStatus
from adapter.orders.order import ChildState, OrderKind, OrderState
from adapter.orders.plan import SMART_COMMANDS
from tests.engine.orders.site_with_orders import CLOSED, Place, Rig, at_rest, rig, titles
from tests.orders.test_paths import CASES, STUCK, World
from tests.support import run

UNHURRIED = {"send_s": 90.0, "reply_s": 90.0, "measurement_s": 90.0}
"""Nothing here ends by a time-out: so many cases at once take as long as the machine takes."""


@dataclass(frozen=True)
class Seen:
    """What became of one case."""

    children: str
    state: OrderState
    problem: str
    replies: tuple[str, ...]
    states: frozenset[ChildState]
    parallel: bool
    world: str


def kind_of(device: Device | None) -> str:
    if device is None:
        return ""
    if device.category is Category.ITEM:
        return "item"
    return "smart" if device.smart else "manual"


def place_of(number: int, kind: OrderKind, world: World) -> Place:
    device = kind_of(world.device)
    spare = "item" if world.category is Category.ITEM else "smart"
    if kind is OrderKind.EXCHANGE and device:
        spare = device
    if world.status is InstallStatus.REMOVED:
        spare = "manual"
    return Place(
        number=number,
        kind=device,
        status=world.status,
        connected=world.connected,
        location=world.location,
        category=world.category,
        commands=SMART_COMMANDS if world.commands is None else world.commands,
        components=world.device.components if world.device is not None else (),
        spare=spare,
        read=bool(world.readings),
        cycle="" if world.scheduled is None else f"C{world.scheduled}",
    )


def cases_of(kind: OrderKind) -> list[tuple[str, OrderKind, World, str]]:
    return [case for case in (*CASES, *STUCK) if case[1] is kind]


@cache
def played(kind: OrderKind) -> list[Seen]:
    """Every case of the kind, run to its end."""
    cases = cases_of(kind)

    async def scenario(folder: Path) -> list[Seen]:
        async with rig(folder, places=len(cases), policy=UNHURRIED) as made:
            plays = (
                play(made, place_of(number, kind, world), kind, world)
                for number, (_, _, world, _) in enumerate(cases)
            )
            return list(await asyncio.gather(*plays))

    with tempfile.TemporaryDirectory() as folder:
        return run(scenario(Path(folder)), seconds=110)


async def play(made: Rig, place: Place, kind: OrderKind, world: World) -> Seen:
    await made.put(place)
    order = await made.submit(kind, place, fields=world.fields)
    while not at_rest(
        shown := await made.until(
            order.id,
            lambda shown: (
                at_rest(shown)
                or any(not c.fact.final and c.wait is not None for c in shown.children)
            ),
        )
    ):
        for component in world.device.components if world.device is not None else ():
            await made.measure(place.device, datetime.now(UTC), component=component.id)
        waits = [c.fact.id for c in shown.children if c.wait is not None]
        await made.until(
            order.id,
            lambda shown, waits=waits: all(  # type: ignore[misc]
                c.fact.final for c in shown.children if c.fact.id in waits
            ),
        )
    shown = await made.ended(order.id)
    done = shown.order.state is OrderState.COMPLETED
    replies = await made.replied(order.id, "success") if done else made.answers.of(order.id)
    ends = [(c.fact.created_at, c.fact.ended_at) for c in shown.children]
    return Seen(
        children=titles(shown),
        state=shown.order.state,
        problem=shown.order.problem.code if shown.order.problem is not None else "",
        replies=tuple(replies),
        states=frozenset(c.fact.state for c in shown.children),
        parallel=any(end is None or end > start for (_, end), (start, _) in pairwise(ends)),
        world=await contradiction(made, place, shown),
    )


async def contradiction(made: Rig, place: Place, shown: OrderShown) -> str:
    """Where the records and the meter's switch disagree, if no crew was there."""
    by_hand = any(child.field is not None for child in shown.children)
    status = await made.status(place.device) if place.kind == "smart" else None
    if by_hand or status not in (InstallStatus.CONN_COMM, InstallStatus.DISCONN_COMM):
        return ""
    switch = made.switch(place.number)
    records = SwitchState.CONNECTED if status in CLOSED else SwitchState.DISCONNECTED
    return "" if switch is records else f"{status}, and the switch is {switch}"


def parameters(cases: list[tuple[str, OrderKind, World, str]]) -> list[object]:
    found: list[object] = []
    for case in cases:
        number = next(n for n, each in enumerate(cases_of(case[1])) if each is case)
        found.append(pytest.param(case[1], number, case[3], id=f"{case[1]}: {case[0]}"))
    return found


@pytest.mark.parametrize(("kind", "number", "children"), parameters(CASES))
def test_an_order_completes_by_these_children(kind: OrderKind, number: int, children: str) -> None:
    seen = played(kind)[number]
    assert (seen.children, seen.state) == (children, OrderState.COMPLETED), seen.problem
    assert seen.states <= {ChildState.COMPLETED}
    assert not seen.parallel, "one child at a time"
    interim = ["interim"] * (len(children.split(" > ")) if children else 0)
    kinds = [kind for kind in seen.replies if kind != "interim"]
    assert kinds == ["acknowledgement", "success"]
    assert seen.replies.count("interim") >= len(interim)
    assert not seen.world


@pytest.mark.parametrize(("kind", "number", "code"), parameters(STUCK))
def test_an_order_that_cannot_be_done_says_why(kind: OrderKind, number: int, code: str) -> None:
    seen = played(kind)[number]
    assert seen.problem == code
    assert seen.state in (OrderState.ACTIVITY_ERROR, OrderState.VALIDATION_ERROR)

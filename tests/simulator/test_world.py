"""The whole of it: the same from the same seed, small with many meters, turned by any clock."""

import asyncio
import os
import subprocess
import sys
from datetime import datetime, timedelta
from functools import partial

import aiohttp
import pytest

from adapter.model.device import ComponentKind
from adapter.model.ids import EndpointId
from adapter.simulator.jobs import Delivery
from adapter.simulator.meters import Population, PopulationPlan
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.world import SimulatedWorld
from tests.simulator.running_simulator import (
    DISCONNECT,
    GROUP_READ,
    NOON,
    ONE,
    PING,
    READ,
    TWO,
    Heard,
    Rig,
    codec,
    play,
    request,
    running,
)

_MANY = """
import resource
import sys
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.world import SimulatedWorld
from adapter.simulator.work import STATUS_CHANGED
from datetime import UTC, datetime, timedelta

def used():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

count = int(sys.argv[1])
before = used()
world = SimulatedWorld(SimulatorConfig.read({"population": {"count": count, "group_size": count}}))
now = datetime(2026, 3, 2, 12, tzinfo=UTC)
asked = {"request": {"GroupRequest": {"GroupName": "Substation 1"}, "Parameters": {
    "ReadingStartTime": "2026-03-01T00:00:00Z", "ReadingEndTime": "2026-03-02T00:00:00Z",
    "InterrogationWindowStartTime": "2026-03-01T00:00:00Z",
    "InterrogationWindowEndTime": "2026-03-03T00:00:00Z", "RetrievePriorSelfRead": True}}}
reply = world.act(world.arrive("DataService.InterrogateByGroup", asked), now=now)
while world.schedule.run_one(now + timedelta(hours=1)) is not None:
    pass
assert world.jobs[reply.token].succeeded == count
print(used() - before)
"""


def scenario(seed: int) -> list[tuple[str, bytes]]:
    """What a simulator of this seed sends in a small story, and what it answers."""
    replies: list[tuple[str, bytes]] = []
    heard: list[Heard] = []

    async def scene(rig: Rig) -> None:
        for operation, target in ((DISCONNECT, ONE), (READ, TWO), (GROUP_READ, "Substation 1")):
            body = request(operation, target, address="http://127.0.0.1:1/a")
            replies.append((operation, (await rig.post(operation, encode(operation, body)))[1]))
            await rig.start(operation, target)
            await rig.turn()
        heard.extend(rig.heard)

    play(
        scene,
        population={"count": 8, "seed": seed, "unreachable_share": 0.3},
        script=[{"effect": "duplicate_callback", "probability": 0.5}],
    )
    lanes = sorted(heard, key=lambda told: told.path)
    return replies + [(told.path, told.raw) for told in lanes]


def encode(operation: str, body: dict[str, object]) -> bytes:
    return codec().encode_request(operation, body)


def test_the_same_seed_and_requests_give_the_same_bytes() -> None:
    assert scenario(3) == scenario(3)


def test_another_seed_gives_other_tokens_and_values() -> None:
    assert scenario(3)[0] != scenario(4)[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("meters", [25_000, pytest.param(100_000, marks=pytest.mark.soak)])
def test_many_meters_read_as_one_group_take_little_memory(meters: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MANY, str(meters)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 600 * meters


def test_a_population_keeps_only_what_was_changed() -> None:
    population = Population(plan=PopulationPlan(count=100_000))
    last = EndpointId("2.16.840.1.114416.15.243.800000")
    meter = population.find(last)
    assert meter is not None
    assert population.changed == 0
    population.put(meter)
    assert population.changed == 1
    assert len(population) == 100_000
    assert population.find(EndpointId("2.16.840.1.114416.15.243.800001")) is None
    assert population.find(EndpointId("2.16.840.1.114416.15.243.0700001")) is None


@pytest.mark.parametrize(
    ("share", "flag", "value"),
    [
        ("unregistered_share", "registered", False),
        ("disconnected_share", "switch", "Disconnected"),
        ("unreachable_share", "reachable", False),
        ("backfeed_share", "backfeed", True),
        ("without_switch_share", "remote_switch", False),
        ("generating_share", "generates", True),
    ],
)
def test_a_share_of_the_meters_is_as_the_plan_says(share: str, flag: str, value: object) -> None:
    plan = PopulationPlan(count=1_000, **{share: 0.2})  # type: ignore[arg-type]  # a share
    population = Population(plan=plan)
    found = [getattr(population.find(esn), flag) == value for esn in population]
    assert 150 < sum(found) < 250


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_master_data_bill_a_meter_by_its_register_or_by_its_load_profile(share: float) -> None:
    plan = PopulationPlan(count=1_000, interval_billed_share=share)
    devices = registry_of(Population(plan=plan)).devices
    by = [tuple(each.kind for each in device.components if each.billing) for device in devices]
    assert set(by) <= {(ComponentKind.SCALAR,), (ComponentKind.INTERVAL,)}
    assert abs(by.count((ComponentKind.INTERVAL,)) - share * 1_000) < 50


async def test_a_month_passes_in_a_moment() -> None:
    async with running(
        {
            "timing": {
                "initializing_s": 3_600.0,
                "executing_s": 86_400.0,
                "acting_s": 2e6,
                "completed_s": 2.1e6,
            }
        }
    ) as rig:
        await rig.start(DISCONNECT, ONE)
        await rig.turn(30 * 86_400)
        assert rig.states() == ["Initializing", "Executing", "Completed"]


def test_steps_of_one_moment_run_in_the_order_they_were_put_in() -> None:
    world = SimulatedWorld(SimulatorConfig())
    seen: list[str] = []

    def note(name: str, due: datetime) -> list[Delivery]:
        seen.append(name)
        return []

    for name in "abc":
        world.schedule.put(NOON, partial(note, name))
    world.schedule.put(NOON - timedelta(seconds=1), partial(note, "first"))
    while world.schedule.run_one(NOON) is not None:
        pass
    assert seen == ["first", "a", "b", "c"]


@pytest.mark.seconds(20)
async def test_by_the_machines_clock_everything_happens_by_itself() -> None:
    async with running() as listening:
        states = listening.states
        config = SimulatorConfig.read({"timing": {"completed_s": 0.06}})
        async with Simulator(config, codec=codec()) as simulator:
            listening.simulator = simulator
            await listening.start(PING, ONE)
            await listening.until(lambda: len(states()) == 3)
            await simulator.sent()
    assert states() == ["Initializing", "Executing", "Completed"]


async def test_a_burst_of_requests_is_answered_and_told_whole() -> None:
    async with running({"population": {"count": 200}}) as rig:
        targets = [str(esn) for esn in rig.simulator.world.population]
        tokens = await asyncio.gather(*(rig.start(DISCONNECT, esn) for esn in targets))
        await rig.turn()
        assert len(set(tokens)) == len(targets) == 200
        assert sorted(rig.states()) == sorted(["Initializing", "Executing", "Completed"] * 200)
        journal = rig.simulator.journal
        assert all(journal.count(DISCONNECT, esn) == 1 for esn in targets)


async def test_a_head_end_that_was_down_is_back_at_the_same_address_with_the_same_meters() -> None:
    async with running() as rig:
        await rig.run(DISCONNECT, ONE)
        waiting = await rig.start(DISCONNECT, TWO)
        address = rig.simulator.url
        await rig.simulator.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await rig.start(PING, ONE)
        assert await rig.simulator.start() == address
        assert await rig.switch(ONE) == "Disconnected"
        assert (await rig.result(DISCONNECT, waiting))["Result"] == "Success"


async def test_a_callback_refused_is_tried_again_only_as_often_as_configured() -> None:
    async def refuse(_: Heard) -> int:
        return 503

    async with running({"limits": {"callback_attempts": 3}}) as rig:
        rig.answer = refuse
        await rig.start(DISCONNECT, ONE)
        await rig.turn(0.9)
        assert len(rig.heard) == 3
        for _ in range(5):
            await rig.turn(1)
        assert len(rig.heard) == 9
        undelivered = rig.simulator.journal.undelivered
        assert undelivered["RequestStatusChangedService.StatusChanged"] == 9


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/x", "http://a..b/x", "http://127.0.0.1:99999/x"]
)
async def test_an_address_where_nobody_listens_only_costs_the_callback(address: str) -> None:
    async with running() as rig:
        await rig.call(DISCONNECT, request(DISCONNECT, ONE, address=address))
        await rig.turn()
        entries = rig.simulator.journal.entries(operation="StatusChanged")
        assert [entry["status"] for entry in entries] == [None] * 3
        assert await rig.switch(ONE) == "Disconnected"


async def test_callbacks_carry_the_action_and_the_credentials_configured() -> None:
    async with running({"access": {"callback_user": "he", "callback_password": "s3cret"}}) as rig:
        await rig.start(DISCONNECT, ONE)
        await rig.turn()
        headers = rig.heard[0].headers
        action = codec().catalog.spec("RequestStatusChangedService.StatusChanged").soap_action
        assert headers["SOAPAction"] == f'"{action}"'
        assert headers["Content-Type"] == "text/xml; charset=utf-8"
        assert headers["Authorization"] == "Basic aGU6czNjcmV0"
        assert "Expect" not in headers

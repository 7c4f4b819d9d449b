"""A feeder outage at the simulated head end, seen through every real part of the gateway."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from adapter.demo.demo import DemoSite, stage
from adapter.engine.events.events import DeviceEvents
from adapter.engine.events.ports import EventFilter
from adapter.model.ids import EndpointId
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.reported import KINDS
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.subscriptions import SimulatedSubscriptionKind, Subscription
from adapter.web.listener.addresses import EXCEPTIONS_PATH

_METERS = 300


async def until(what: Callable[[], Awaitable[bool]]) -> None:
    """Bounded by the test's own time-out."""
    while not await what():  # noqa: ASYNC110 - the stages have no event for it
        await asyncio.sleep(0.02)


def feeder(made: DemoSite) -> tuple[EndpointId, ...]:
    return tuple(made.simulator.world.population)


def subscribe(made: DemoSite) -> None:
    address = made.app.listener.url + EXCEPTIONS_PATH
    made.simulator.world.subscriptions.put(
        Subscription(
            system="gateway", kind=SimulatedSubscriptionKind.EXCEPTIONS, addresses=(address,)
        )
    )


async def test_a_feeder_outage_shows_who_is_dark_and_then_that_nobody_is(tmp_path: Path) -> None:
    async def dark(events: DeviceEvents, count: int) -> bool:
        return await events.count_without_supply() == count and bool(await events.events())

    config = SimulatorConfig(population=PopulationPlan(count=_METERS))
    async with stage(tmp_path, config=config) as made:
        subscribe(made)
        events: DeviceEvents = made.app.core.gateway.events
        now = made.simulator.clock.now()
        made.simulator.world.outages.begin(feeder(made), seconds=4.0, now=now)
        made.simulator.wake()
        await until(lambda: dark(events, _METERS))
        (first, *_) = await events.outages(limit=1)
        assert first.device is not None
        assert (first.started_at, first.ended_at) == (now, None)
        await until(lambda: dark(events, 0))
        over = await events.outages(ongoing=False)
        assert len(over) == _METERS
        assert {item.duration_s for item in over} == {4.0}
        counts = await events.counts()
        assert dict(counts) == {"power_down": _METERS, "power_up": _METERS}


async def test_what_meters_report_by_themselves_is_taken_once_or_kept_as_unknown(
    tmp_path: Path,
) -> None:
    async with stage(tmp_path) as made:
        events = made.app.core.gateway.events
        reported, now = made.simulator.world.reported, made.simulator.clock.now()
        meter = made.endpoint(3)
        reported.tell([meter], KINDS["power_down"], now=now, times=3)
        reported.tell([meter], KINDS["cover_removed"], now=now, arguments={"Cause": "crew"})
        made.simulator.wake()

        async def both() -> bool:
            return bool(await events.events()) and bool(await events.errors())

        await until(both)
        (event,) = await events.events(EventFilter(endpoint=meter))
        assert (event.event.name, event.device) == ("power_down", made.device(3))
        assert not event.event.exception
        (error,) = await events.errors()
        assert error.unknown.seed.arguments == (("Cause", "crew"),)

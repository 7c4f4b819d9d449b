"""D1-CHKMSMT over the measurement store: what is loaded, what the order is told, what is kept."""

import signal
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.ports import Import
from adapter.engine.orders.ports import FinalMeasurements
from adapter.model.device import InstallStatus
from adapter.model.ids import DeviceId
from adapter.model.measurement import Measurement
from adapter.model.values import replace
from adapter.orders.lifecycle import POLL
from adapter.orders.order import ChildState, OrderKind, OrderState
from tests.engine.orders.site_with_orders import Place, rig, state_is, titles
from tests.engine.orders.waiting_order import METER, Waiting, at_noon, waiting
from tests.forked import python
from tests.orders.builders import INTERVAL, NOON, a_reading

DONE, WAITS = OrderState.COMPLETED, OrderState.IN_PROGRESS
SEEN = "measurement:load"


async def facts(made: Waiting) -> list[str]:
    """What the measurement check saw, look by look."""
    looks = (await made.shown()).passes
    return [each.facts[SEEN] for look in looks for each in look.decisions if SEEN in each.facts]


async def state(made: Waiting) -> OrderState:
    return (await made.shown()).order.state


async def test_an_order_goes_on_as_soon_as_its_data_are_loaded(tmp_path: Path) -> None:
    async with waiting(tmp_path) as made:
        await made.submit()
        assert await state(made) is WAITS
        await made.arrive(at_noon())
        await made.work()
        shown = await made.shown()
        assert shown.order.state is DONE
        assert shown.order.fields["readAt"] == NOON.isoformat()
        assert await facts(made) == ["none", f"{NOON.isoformat()},501000,normal"]


async def test_the_last_revision_counts_with_its_condition(tmp_path: Path) -> None:
    async with waiting(tmp_path) as made:
        await made.register()
        for body in (at_noon(), at_noon("CommunicationFailure", wh=0)):
            await made.arrive(body)
        await made.work()
        await made.submit()
        assert await state(made) is WAITS
        assert await facts(made) == [f"{NOON.isoformat()},201000,poor"]
        await made.arrive(at_noon("PartialInterval"))
        await made.work()
        assert await state(made) is DONE
        assert (await facts(made))[-1] == f"{NOON.isoformat()},401000,bottom"


def killed_at(point: str, folder: Path) -> int:
    status, _ = python("tests.engine.orders.waiting_order", str(folder), OPENWAY_CRASH_AT=point)
    return status


@pytest.mark.seconds(600)
async def test_a_kill_between_data_that_are_seen_and_the_order_that_is_told_heals(
    tmp_path: Path,
) -> None:
    async def before() -> None:
        async with waiting(tmp_path) as made:
            await made.submit()
            await made.arrive(at_noon())

    async def after() -> None:
        async with waiting(tmp_path) as made:
            data = made.core.taking.data
            assert await data.measurements_between(NOON, NOON, device=METER.id)
            await made.work()
            assert await state(made) is WAITS, "nobody has told it"
            await made.clock.turn(NOON + POLL)
            await made.work()
            assert await state(made) is DONE

    await before()
    assert killed_at("intake.after_loaded:1", tmp_path) == -signal.SIGKILL
    await after()


async def test_a_wait_ends_at_its_time_out_counted_from_the_service_date(tmp_path: Path) -> None:
    async with waiting(tmp_path, now=NOON - timedelta(days=2)) as made:
        await made.submit()
        (child,) = (await made.shown()).children
        assert child.fact.spec.due_at == NOON + timedelta(hours=72)
        await made.clock.turn(NOON + timedelta(hours=72))
        await made.work()
        shown = await made.shown()
        assert shown.children[0].fact.state is ChildState.TIMED_OUT
        assert shown.children[1].fact.spec.task == "D1-ReadMeter"


class Own:
    """A site's measurement system."""

    def __init__(self) -> None:
        self.found: list[Measurement] = []
        self.away = False

    async def final(
        self, device: DeviceId, start: datetime, end: datetime, *, near: datetime
    ) -> Sequence[Measurement]:
        if self.away:
            raise ConnectionError("nobody there")
        assert start <= near < end
        return [each for each in self.found if each.device == device and start <= each.at < end]


async def test_a_sites_own_measurement_system_is_asked_instead(tmp_path: Path) -> None:
    own = Own()
    port: FinalMeasurements = own
    async with waiting(tmp_path, measurements=port) as made:
        await made.submit()
        await made.arrive(at_noon())
        await made.work()
        assert await state(made) is WAITS
        own.found.append(replace(a_reading(NOON, component="load"), device=METER.id))
        await made.orders.measured([METER.id])
        await made.work()
        assert await state(made) is DONE


async def test_a_look_that_fails_is_repeated_after_a_pause_though_its_hint_is_gone(
    tmp_path: Path,
) -> None:
    own = Own()
    async with waiting(tmp_path, measurements=own) as made:
        await made.submit()
        own.found.append(replace(a_reading(NOON, component="load"), device=METER.id))
        own.away = True
        await made.orders.measured([METER.id])
        await made.work()
        own.away = False
        await made.work()
        assert await state(made) is WAITS, "its hint is gone"
        await made.clock.turn(NOON + timedelta(seconds=DispatchSettings().lease_s))
        await made.work()
        assert await state(made) is DONE


async def test_an_order_is_found_by_the_endpoint_or_the_serial_number_of_its_meter(
    tmp_path: Path,
) -> None:
    """Both over HTTP, and long before the next poll."""
    async with rig(tmp_path) as made:
        smart = await made.put(Place(number=0, components=(INTERVAL,)))
        manual = await made.put(
            Place(
                number=1,
                kind="manual",
                status=InstallStatus.MANUAL_ON,
                spare="manual",
                cycle="C3",
            )
        )
        for place, component in ((smart, "load"), (manual, "kwh")):
            order = await made.submit(OrderKind.ENABLE, place)
            await made.until(order.id, lambda shown: len(shown.children) == 1)
            at = (await made.orders.get(order.id)).service_at + timedelta(seconds=1)
            await made.measure(place.device, at.replace(microsecond=0), component=component)
            shown = await made.ended(order.id)
            assert (shown.order.state, len(shown.children)) == (DONE, 1)
        assert not await made.orders.todo()


async def test_the_reading_of_a_meter_that_was_taken_away_ends_the_service(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, read=True))
        registry = made.made.app.gateway.registry
        event = (await registry.device(place.device)).installed
        assert event is not None
        gone = replace(event, removed_at=datetime.now(UTC))
        await registry.import_devices(Import(installs=(gone,)))
        order = await made.submit(OrderKind.DISABLE, place)
        shown = await made.until(order.id, state_is(OrderState.COMPLETED))
        assert titles(shown) == ""
        assert shown.order.fields["readValue"] == "kwh=1234.5"

"""Times long before the meter's life or after receipt are marked, and nothing is told by them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adapter.engine.commands.ports import Import
from adapter.engine.readings.ports import StoredValue
from adapter.model.device import InstallEvent
from adapter.model.ids import DeviceId, EndpointId, ServicePointId
from adapter.model.measurement import REGULAR
from adapter.readings.conditions import CLOCK, SUSPECT
from adapter.readings.life import life_of
from tests.builders import NOON
from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.engine.readings.test_unset_times import events, exceptions_arrived
from tests.wire.payloads import data_arrived, event_log, interval, meter_event, read_data, register

DAY = timedelta(days=1)
FAR = NOON + timedelta(days=400)
INSTALLED = datetime(2020, 6, 1, tzinfo=UTC)


async def install(rig: Rig, name: str = "m1", at: datetime = INSTALLED) -> None:
    point = InstallEvent(
        device=DeviceId(f"D-{name}"), service_point=ServicePointId("SP"), installed_at=at
    )
    await rig.load(Import(installs=(point,)))


async def values(rig: Rig) -> list[StoredValue]:
    """Of all times: `Rig.values` begins in 2000."""
    always = (datetime(1900, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    return list(await rig.data.values_between(*always, endpoint=EndpointId("m1"), limit=10))


def wire(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat() + "Z"


@pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])
async def test_a_value_of_a_time_that_is_not_believed_is_not_regular(
    tmp_path: Path, spooled: bool
) -> None:
    conditions = {
        datetime(1970, 1, 1, 0, 15, tzinfo=UTC): CLOCK,
        INSTALLED - (5 * 366 + 1) * DAY: CLOCK,
        INSTALLED - 5 * 366 * DAY: REGULAR,
        INSTALLED - 30 * DAY: REGULAR,
        NOON: REGULAR,
        NOON + DAY: REGULAR,
        NOON + DAY + timedelta(seconds=1): CLOCK,
        FAR: CLOCK,
    }
    async with a_rig(tmp_path) as rig:
        await install(rig)
        told = "".join(register("7", at=wire(at)) for at in conditions)
        await rig.take(data_arrived(read_data("m1", registers=told)), spooled=spooled)
        rows = await values(rig)
        assert {row.at: row.condition for row in rows} == conditions
        assert {row.head_end_value for row in rows} == {Decimal(7)}
        assert await rig.data.errors() == []


async def test_only_the_intervals_of_that_time_are_marked_and_worse_conditions_stay(
    tmp_path: Path,
) -> None:
    end = NOON + DAY + timedelta(minutes=15)
    values = [interval(1), interval(2), interval(3, "Tamper")]
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("m1", values, end=wire(end))))
        await rig.take(data_arrived(read_data("m2", [4, 5], end=wire(end))))
        assert [row.condition for row in await rig.values("m1")] == [REGULAR, REGULAR, SUSPECT]
        assert [row.condition for row in await rig.values("m2")] == [REGULAR, CLOCK]


async def test_a_value_that_waited_for_its_device_is_held_against_its_own_receipt(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path) as rig:
        late = register("7", at=wire(FAR))
        await rig.take(data_arrived(read_data("later", registers=late)))
        await rig.clock.turn(FAR + DAY)
        await rig.add(a_meter("later"))
        await rig.intake.reprocess()
        (row,) = await rig.values("later")
        assert row.condition == CLOCK


@pytest.mark.parametrize(
    ("at", "doubt"),
    [
        (FAR, "is after its receipt"),
        (datetime(1970, 1, 1, tzinfo=UTC), "is long before the meter's life"),
        (INSTALLED - 2_000 * DAY, "is long before the meter's life"),
    ],
)
async def test_an_entry_of_a_log_of_that_time_is_an_error_record_and_no_event(
    tmp_path: Path, at: datetime, doubt: str
) -> None:
    odd = meter_event("Primary Power Down", at=wire(at))
    async with a_rig(tmp_path) as rig:
        await install(rig)
        log = event_log(odd, meter_event("Primary Power Up"))
        payload = await rig.take(data_arrived(read_data("m2"), read_data("m1", [1], log=log)))
        assert (payload.counts["events"], payload.counts["errors"]) == (1, 1)
        assert [when for when, _ in await events(rig)] == [
            datetime(2024, 5, 1, 7, 12, 9, tzinfo=UTC)
        ]
        assert await rig.events.count_without_supply() == 0
        (error,) = await rig.data.errors()
        assert (error.endpoint, error.reason, error.part) == ("m1", "doubtful_time", 1)
        assert error.detail == f"event 'Primary Power Down': {wire(at)} {doubt}"
        assert b"Primary Power Down" in error.body
        counts = await rig.intake.reprocess()
        assert (counts.errors, counts.events) == (1, 0)
        assert len(await rig.data.errors()) == 1
        assert len(await events(rig)) == 1
        await rig.desk.discard(error.id, by="me", reason="its clock was reset")
        assert await rig.data.errors() == []


@pytest.mark.parametrize("at", [FAR, datetime(1970, 1, 1, tzinfo=UTC)])
async def test_an_outage_of_that_time_is_told_under_the_time_of_its_receipt(
    tmp_path: Path, at: datetime
) -> None:
    received = wire(NOON - timedelta(minutes=5))
    async with a_rig(tmp_path) as rig:
        await rig.take(exceptions_arrived(received=received, timestamp=wire(at)))
        assert await events(rig) == [(NOON - timedelta(minutes=5), received)]
        assert await rig.events.count_without_supply() == 1
        (error,) = await rig.data.errors()
        assert error.reason == "doubtful_time"
        assert error.detail.endswith("; told under the time of its receipt")
        await rig.intake.reprocess()
        assert len(await rig.data.errors()) == 1
        assert len(await events(rig)) == 1


async def test_it_is_an_event_once_the_installation_is_put_right(tmp_path: Path) -> None:
    at = INSTALLED - 2_000 * DAY
    log = event_log(meter_event("Primary Power Down", at=wire(at)))
    async with a_rig(tmp_path) as rig:
        await install(rig)
        await rig.take(data_arrived(read_data("m1", log=log)))
        assert await events(rig) == []
        await install(rig, at=at - DAY)
        assert (await rig.intake.reprocess()).events == 1
        assert [when for when, _ in await events(rig)] == [at]
        assert await rig.data.errors() == []


def test_a_meter_nobody_installed_has_lived_since_there_are_such_meters() -> None:
    life = life_of(installed=None, received=10**16)
    assert life == life_of(installed=-(10**18), received=10**16)
    assert life.doubt(life.first - 1)
    assert not life.doubt(life.first)

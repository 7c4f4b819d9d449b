"""A time that nobody set is absent: it is no event's time and no reading's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.support import every_case
from tests.wire.payloads import (
    SUB,
    data_arrived,
    envelope,
    event_log,
    meter_event,
    read_data,
    register,
)
from tests.wire.test_results import UNSET

RECEIVED = "2024-05-02T11:20:00Z"
AT = "2024-05-02T11:19:00Z"
METERS = dict(zip((f"m{number}" for number in range(1, 10)), UNSET, strict=False))
"""A meter for each time that nobody set."""


def exceptions_arrived(*, received: str, timestamp: str, meter: str = "m1") -> bytes:
    return envelope(
        f'<ExceptionsArrived xmlns="{SUB}"><input><MeterExceptionCollection><MeterException>'
        f"<ElectronicSerialNumber>{meter}</ElectronicSerialNumber>"
        f"<ReceivedWhen>{received}</ReceivedWhen>"
        "<ExceptionCategory>PowerOutageOrRestoration</ExceptionCategory>"
        f"<Name>Primary Power Down</Name><ID>18001</ID><Timestamp>{timestamp}</Timestamp>"
        "</MeterException></MeterExceptionCollection></input></ExceptionsArrived>"
    )


@asynccontextmanager
async def a_meter_each(folder: Path) -> AsyncIterator[Rig]:
    assert len(METERS) == len(UNSET)
    async with a_rig(folder, *map(a_meter, METERS)) as rig:
        yield rig


async def events(rig: Rig, meter: str = "m1") -> list[tuple[datetime, str]]:
    while await rig.events.once():
        pass
    rows = (row.event for row in await rig.events.events())
    return [(event.at, event.received) for event in rows if event.endpoint == meter]


async def test_an_outage_whose_time_nobody_set_is_dated_by_its_receipt(tmp_path: Path) -> None:
    async with a_meter_each(tmp_path) as rig:
        with every_case() as case:
            for meter, time in METERS.items():
                body = exceptions_arrived(received=RECEIVED, timestamp=time, meter=meter)
                with case(time):
                    await rig.take(body)
                    at = datetime(2024, 5, 2, 11, 20, tzinfo=UTC)
                    assert await events(rig, meter) == [(at, RECEIVED)]
        assert await rig.data.errors() == []
        assert await rig.events.count_without_supply() == len(METERS)


ODD = ("x", "1601-01-01T00:00:00Z", "1899-12-30T00:00:00", "2024-02-30T00:00:00Z", "0000")


async def test_an_outage_whose_time_cannot_be_one_is_dated_by_its_receipt_and_told(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path, *map(a_meter, ODD)) as rig:
        with every_case() as case:
            for time in ODD:
                body = exceptions_arrived(received=RECEIVED, timestamp=time, meter=time)
                with case(time):
                    payload = await rig.take(body)
                    at = datetime(2024, 5, 2, 11, 20, tzinfo=UTC)
                    assert await events(rig, time) == [(at, RECEIVED)]
                    (error,) = await rig.data.errors(payload=payload.id)
                    assert (error.endpoint, error.reason) == (time, "bad_part")
                    told = f"{time!r}; told under the time of its receipt"
                    assert error.detail == f"event 'Primary Power Down' has no time: {told}"
        await rig.intake.reprocess()
        assert await rig.events.count_without_supply() == len(ODD)


async def test_a_receipt_that_nobody_set_is_none(tmp_path: Path) -> None:
    async with a_meter_each(tmp_path) as rig:
        with every_case() as case:
            for meter, time in METERS.items():
                body = exceptions_arrived(received=time, timestamp=AT, meter=meter)
                with case(time):
                    await rig.take(body)
                    at = datetime(2024, 5, 2, 11, 19, tzinfo=UTC)
                    assert await events(rig, meter) == [(at, "")]


async def test_an_exception_without_any_time_is_an_error_record(tmp_path: Path) -> None:
    async with a_meter_each(tmp_path) as rig:
        with every_case() as case:
            for meter, time in METERS.items():
                body = exceptions_arrived(received=time, timestamp=time, meter=meter)
                with case(time):
                    payload = await rig.take(body)
                    assert await events(rig, meter) == []
                    (error,) = await rig.data.errors(payload=payload.id)
                    assert (error.endpoint, error.reason) == (meter, "bad_part")
                    assert error.detail == "MeterException/Timestamp: is missing"


async def test_an_entry_of_a_log_whose_time_nobody_set_costs_itself(tmp_path: Path) -> None:
    async with a_meter_each(tmp_path) as rig:
        with every_case() as case:
            for meter, time in METERS.items():
                odd = meter_event("Primary Power Down", at=time)
                log = event_log(odd, meter_event("Primary Power Up"))
                with case(time):
                    payload = await rig.take(data_arrived(read_data(meter, [1], log=log)))
                    (told,) = await events(rig, meter)
                    assert told[0] == datetime(2024, 5, 1, 7, 12, 9, tzinfo=UTC)
                    assert len(await rig.values(meter)) == 1
                    (error,) = await rig.data.errors(payload=payload.id)
                    assert error.endpoint == meter
                    assert error.detail.startswith("MeterEvent[1]/Timestamp: nobody set it: ")


async def test_it_is_no_readings_time(tmp_path: Path) -> None:
    async with a_meter_each(tmp_path) as rig:
        with every_case() as case:
            for meter, time in METERS.items():
                registers = register("5", at=time) + register("7", at=AT)
                part = read_data(meter, [1, 2], end=time, registers=registers)
                with case(time):
                    payload = await rig.take(data_arrived(part))
                    assert await rig.numbers(meter) == [Decimal("0.007")]
                    errors = await rig.data.errors(payload=payload.id)
                    told = [(error.endpoint, error.reason) for error in errors]
                    assert told == [(meter, "not_a_time")] * 2

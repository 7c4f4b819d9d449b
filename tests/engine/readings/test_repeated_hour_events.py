"""Events of the hour that comes twice, without an offset: nobody guesses when they were."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.engine.readings.store_with_intake import Rig, a_rig
from tests.engine.readings.test_repeated_hour import CHICAGO, SET_BACK, in_december
from tests.engine.readings.test_unset_times import events, exceptions_arrived
from tests.support import every_case
from tests.wire.payloads import data_arrived, event_log, meter_event, read_data

MINUTE = timedelta(minutes=1)
AT = "2026-11-01T01:30:00"
FIRST, SECOND = SET_BACK - 30 * MINUTE, SET_BACK + 30 * MINUTE
NOT_KNOWN = f"event 'Primary Power Down': {AT} comes twice; told as the first"


def wire(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat() + "Z"


async def when(rig: Rig) -> list[datetime]:
    return [at for at, _ in await events(rig)]


async def details(rig: Rig) -> list[str]:
    records = await rig.data.errors()
    assert {each.reason for each in records} <= {"doubtful_time"}
    return [each.detail for each in records]


RECEIPTS = {
    FIRST: (FIRST, True),
    FIRST + 20 * MINUTE: (FIRST, True),
    SECOND - 6 * MINUTE: (FIRST, True),
    SECOND - 4 * MINUTE: (SECOND, True),
    SECOND + MINUTE: (SECOND, True),
    SECOND + 60 * MINUTE: (SECOND, True),
    SECOND + 61 * MINUTE: (FIRST, False),
    SECOND + timedelta(days=3): (FIRST, False),
}


async def test_the_head_ends_receipt_tells_when_an_outage_was_and_else_a_record_does(
    tmp_path: Path,
) -> None:
    with every_case() as case:
        for number, (received, (at, known)) in enumerate(RECEIPTS.items()):
            with case(received):
                folder = tmp_path / str(number)
                folder.mkdir()
                async with in_december(folder, tables=CHICAGO) as rig:
                    body = exceptions_arrived(received=wire(received), timestamp=AT)
                    await rig.take(body)
                    assert await when(rig) == [at]
                    assert await details(rig) == ([] if known else [NOT_KNOWN])
                    assert await rig.events.count_without_supply() == 1


@pytest.mark.parametrize("receipt", ["", AT, "x"])
async def test_a_receipt_that_comes_twice_or_is_none_tells_nothing(
    tmp_path: Path, receipt: str
) -> None:
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        await rig.take(exceptions_arrived(received=receipt, timestamp=AT))
        assert await when(rig) == [FIRST]
        assert await details(rig) == [NOT_KNOWN]
        assert (await rig.intake.reprocess()).errors == 1
        assert await when(rig) == [FIRST]
        (error,) = await rig.data.errors()
        await rig.desk.discard(error.id, by="me", reason="an hour more or less")
        assert await details(rig) == []


@pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])
async def test_an_entry_of_a_log_is_told_as_the_first_and_a_record_says_that_nobody_knows(
    tmp_path: Path, spooled: bool
) -> None:
    log = event_log(
        meter_event("Primary Power Down", at=AT),
        meter_event("Primary Power Up", at="2026-11-01T02:00:00"),
        meter_event("Primary Power Down", at=f"{AT}-06:00"),
    )
    async with in_december(tmp_path, tables=CHICAGO) as rig:
        payload = await rig.take(data_arrived(read_data("m1", log=log)), spooled=spooled)
        assert payload.counts["events"] == 3
        assert sorted(await when(rig)) == [FIRST, SECOND, SET_BACK + 60 * MINUTE]
        assert await details(rig) == [NOT_KNOWN]


async def test_what_arrives_before_the_second_time_is_of_the_first(tmp_path: Path) -> None:
    async with a_rig(tmp_path, tables=CHICAGO) as rig:
        await rig.clock.turn(SET_BACK - 10 * MINUTE)
        log = event_log(meter_event("Primary Power Down", at=AT))
        await rig.take(data_arrived(read_data("m1", log=log)))
        assert (await when(rig), await details(rig)) == ([FIRST], [])


async def test_other_hours_and_zones_without_such_an_hour_have_no_record(tmp_path: Path) -> None:
    standard = {"time": {"zone": "America/Chicago", "shift": "standard"}}
    times = {
        "2026-11-01T00:59:59": (CHICAGO, datetime(2026, 11, 1, 5, 59, 59, tzinfo=UTC)),
        "2026-11-01T02:00:00": (CHICAGO, datetime(2026, 11, 1, 8, tzinfo=UTC)),
        AT: (standard, SECOND),
        "2026-07-01T01:30:00": (standard, datetime(2026, 7, 1, 7, 30, tzinfo=UTC)),
        "2026-11-01T01:30:00Z": (CHICAGO, datetime(2026, 11, 1, 1, 30, tzinfo=UTC)),
    }
    with every_case() as case:
        for number, (text, (tables, at)) in enumerate(times.items()):
            with case(text):
                folder = tmp_path / str(number)
                folder.mkdir()
                async with in_december(folder, tables=tables) as rig:
                    await rig.take(exceptions_arrived(received="", timestamp=text))
                    assert (await when(rig), await details(rig)) == ([at], [])


async def test_the_log_of_a_device_class_is_read_by_the_clock_of_that_class(tmp_path: Path) -> None:
    tables = {"time": {"zone": "America/Chicago", "classes": {"ITR1": "standard"}}}
    log = event_log(meter_event("Primary Power Down", at=AT))
    async with in_december(tmp_path, tables=tables) as rig:
        await rig.take(data_arrived(read_data("m1", log=log)))
        assert (await when(rig), await details(rig)) == ([SECOND], [])

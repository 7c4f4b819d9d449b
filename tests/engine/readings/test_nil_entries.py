"""Entries that are nil, and pieces that cannot be read, cost themselves: never the meter."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path

import pytest

from adapter.engine.readings.ports import PayloadState
from tests.engine.readings.store_with_intake import a_meter, a_rig
from tests.support import every_case
from tests.wire.payloads import data_arrived, event_log, interval, meter_event, read_data, register

NIL = '<b:IntervalValue i:nil="true"/>'
EMPTY = "<b:IntervalValue><b:ChannelValue/><b:ProfileStatuses/></b:IntervalValue>"
NIL_VALUE = '<b:IntervalValue><b:ChannelValue i:nil="1"/><b:ProfileStatuses/></b:IntervalValue>'
NO_VALUE = (
    "<b:IntervalValue><b:ProfileStatuses><b:ProfileStatus>PowerFailure</b:ProfileStatus>"
    "</b:ProfileStatuses></b:IntervalValue>"
)
NESTED = "<b:IntervalValue><b:ChannelValue><b:a/></b:ChannelValue></b:IntervalValue>"
MISSING = "ChannelValue: is missing"
END = datetime(2024, 5, 2, tzinfo=UTC)


WITHOUT_VALUE = {
    "nil": (NIL, "is nil"),
    "empty value": (EMPTY, MISSING),
    "nil value": (NIL_VALUE, MISSING),
    "no value": (NO_VALUE, MISSING),
    "nested": (NESTED, "ChannelValue: has elements where text belongs"),
}


@pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])
async def test_an_interval_without_a_value_keeps_its_place_and_the_others_their_times(
    tmp_path: Path, spooled: bool
) -> None:
    cases = {f"m-{n}": case for n, case in enumerate(product(WITHOUT_VALUE, range(4)))}
    meters = (a_meter(f"{meter}{end}") for meter in cases for end in ("", "-good"))
    async with a_rig(tmp_path, *meters) as rig:
        with every_case() as case:
            for meter, (name, at) in cases.items():
                entry, why = WITHOUT_VALUE[name]
                values = [interval(value) for value in (100, 110, 120, 130)]
                values[at] = entry
                total = register("1234.5", at="2024-05-01T00:00:00Z")
                part = read_data(meter, values, registers=total)
                good = read_data(f"{meter}-good", [3])
                with case(f"{name} {at}"):
                    payload = await rig.take(data_arrived(part, good), spooled=spooled)
                    assert payload.state is PayloadState.LOADED
                    rows = [row for row in await rig.values(meter) if row.seconds]
                    assert {row.at: row.head_end_value for row in rows} == {
                        END - timedelta(minutes=15 * (3 - number)): 100 + 10 * number
                        for number in range(4)
                        if number != at
                    }
                    assert len(await rig.values(meter)) == 4
                    assert len(await rig.values(f"{meter}-good")) == 1
                    (error,) = await rig.data.errors(payload=payload.id)
                    assert (error.endpoint, error.reason, error.part) == (meter, "bad_part", 0)
                    place = f"LoadProfileChannel[1]/IntervalValue[{at + 1}]"
                    assert error.detail == f"{place}: {why}"


async def test_many_nil_intervals_of_a_channel_are_one_record(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("m1", [*[NIL] * 95, 7])))
        (row,) = await rig.values("m1")
        assert (row.at, row.head_end_value) == (END, Decimal(7))
        (error,) = await rig.data.errors()
        assert error.detail == (
            "LoadProfileChannel[1]/IntervalValue[1], [2], [3], [4], [5] and 90 more: is nil"
        )


async def test_a_channel_of_nothing_else_says_so_and_costs_nothing(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("m1", [NIL, NIL], registers=register("1"))))
        assert [row.seconds for row in await rig.values("m1")] == [0]
        assert len(await rig.data.errors()) == 1


async def test_a_nil_interval_takes_nothing_away_from_what_is_known(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("m1", [1, 2, 3])))
        await rig.take(data_arrived(read_data("m1", [1, NIL, 4])))
        assert [row.head_end_value for row in await rig.values("m1")] == [1, 2, 4]


async def test_what_waits_for_its_device_keeps_the_places_of_its_intervals(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("later", [NIL, 1, NIL, 3, NIL])))
        await rig.add(a_meter("later"))
        await rig.intake.reprocess()
        assert {row.at: row.head_end_value for row in await rig.values("later")} == {
            END - timedelta(minutes=45): 1,
            END - timedelta(minutes=15): 3,
        }


@pytest.mark.parametrize(
    ("channel", "detail"),
    [
        ('<b:LoadProfileChannel i:nil="true"/>', "LoadProfileChannel[2]: is nil"),
        ("<b:LoadProfileChannel/>", "LoadProfileChannel[2]/Quantity: is missing"),
        (
            "<b:LoadProfileChannel><b:Quantity>Wh r</b:Quantity></b:LoadProfileChannel>",
            "LoadProfileChannel[2]/TimeDataEnd: is missing",
        ),
    ],
)
async def test_a_channel_that_is_nil_or_lacks_something_costs_itself(
    tmp_path: Path, channel: str, detail: str
) -> None:
    part = read_data("m1", [1, 2], registers=register("9"))
    more = part.replace("</b:LoadProfileChannels>", f"{channel}</b:LoadProfileChannels>")
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(more))
        assert len(await rig.values("m1")) == 3
        (error,) = await rig.data.errors()
        assert (error.endpoint, error.detail) == ("m1", detail)


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ('<b:RegisterValue i:nil="true"/>', "RegisterValue[1]: is nil"),
        (register("5").replace("Wh d", ""), "RegisterValue[1]/Quantity: is missing"),
        (
            register("5").replace("<b:Quantity>Wh d<", '<b:Quantity i:nil="true"><'),
            "RegisterValue[1]/Quantity: is missing",
        ),
        (
            register("5").replace("2024-05-02T00:00:00Z", ""),
            "RegisterValue[1]/Timestamp: is missing",
        ),
        (
            register("5").replace("CurrentRegister", "<b:a/>"),
            "RegisterValue[1]/Source: has elements where text belongs",
        ),
    ],
)
async def test_a_register_that_is_nil_or_lacks_something_costs_itself(
    tmp_path: Path, entry: str, detail: str
) -> None:
    part = read_data("m1", [1, 2], registers=entry + register("9", at="2024-05-01T12:00:00Z"))
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(part))
        assert len(await rig.values("m1")) == 3
        (error,) = await rig.data.errors()
        assert (error.endpoint, error.detail) == ("m1", detail)


async def test_a_register_of_a_nil_value_costs_itself(tmp_path: Path) -> None:
    nil = register("5").replace('<b:Value i:type="x:decimal">5<', '<b:Value i:nil="true"><')
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("m1", [1, 2], registers=nil)))
        assert len(await rig.values("m1")) == 2
        (error,) = await rig.data.errors()
        assert (error.endpoint, error.reason, error.detail) == ("m1", "not_a_number", "no value")


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ('<e:MeterEvent i:nil="true"/>', "MeterEvent[1]: is nil"),
        ("<e:MeterEvent/>", "MeterEvent[1]/Timestamp: is missing"),
        (meter_event("Door", at=""), "MeterEvent[1]/Timestamp: is missing"),
        (
            meter_event("<e:a/>"),
            "MeterEvent[1]/Name: has elements where text belongs",
        ),
    ],
)
async def test_an_event_that_is_nil_or_lacks_something_costs_itself(
    tmp_path: Path, entry: str, detail: str
) -> None:
    log = event_log(entry, meter_event("Primary Power Down"))
    async with a_rig(tmp_path) as rig:
        payload = await rig.take(data_arrived(read_data("m1", [1, 2], log=log)))
        assert payload.counts["events"] == 1
        assert len(await rig.values("m1")) == 2
        (error,) = await rig.data.errors()
        assert (error.endpoint, error.detail) == ("m1", detail)


async def test_statuses_and_arguments_that_are_nil_say_nothing(tmp_path: Path) -> None:
    odd = interval(5, "PowerFailure").replace(
        "<b:ProfileStatuses>", '<b:ProfileStatuses><b:ProfileStatus i:nil="true"/>'
    )
    event = meter_event("Primary Power Down").replace(
        "<e:Arguments>", '<e:Arguments><e:Argument i:nil="true"/>'
    )
    async with a_rig(tmp_path) as rig:
        payload = await rig.take(data_arrived(read_data("m1", [odd], log=event_log(event))))
        assert payload.counts["events"] == 1
        (row,) = await rig.values("m1")
        assert row.statuses == ("PowerFailure",)
        assert await rig.data.errors() == []


async def test_a_nil_part_costs_itself_and_is_told_by_its_number(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived('<b:ReadData i:nil="true"/>', read_data("m1", [1])))
        assert len(await rig.values("m1")) == 1
        (error,) = await rig.data.errors()
        assert (error.part, error.detail) == (0, "ReadData: is nil")


async def test_no_more_than_some_pieces_of_a_part_are_told_one_by_one(tmp_path: Path) -> None:
    bad = register("5").replace("Wh d", "")
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("m1", [1], registers=bad * 1_000)))
        errors = await rig.data.errors()
        assert len(errors) == 21
        assert errors[-1].detail == "and 980 more pieces that cannot be read"


async def test_the_part_is_kept_once_however_many_pieces_of_it_are_bad(tmp_path: Path) -> None:
    part = read_data("m1", [1], registers="<b:RegisterValue/>" * 40)
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(part))
        records = await rig.data.errors()
        assert [each.endpoint for each in records] == ["m1"] * 21
        assert [b"RegisterValue" in each.body for each in records] == [True] + [False] * 20
        assert records[-1].detail == "and 20 more pieces that cannot be read"
        assert (await rig.intake.reprocess()).bad_parts == 21
        assert await rig.data.errors() == records


@pytest.mark.parametrize("name", ["DeviceSerialNumber", "DeviceClass", "ScalingType"])
async def test_what_is_said_beside_the_values_takes_none_of_them_away(
    tmp_path: Path, name: str
) -> None:
    body = read_data("m1", [1, 2], serial="S", registers=register("7")).replace(
        f"<b:{name}>", f"<b:{name}><b:a/>"
    )
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(body))
        assert len(await rig.values()) == 3
        (error,) = await rig.data.errors()
        assert error.endpoint == "m1"
        assert error.detail == f"ReadData/{name}: has elements where text belongs"

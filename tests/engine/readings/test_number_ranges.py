"""Whole numbers of a payload: outside the contract's type they cost the piece they stand in."""

from itertools import product
from pathlib import Path

import pytest

from adapter.engine.readings.ports import ErrorRecord, PayloadState
from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.support import every_case
from tests.wire.payloads import data_arrived, event_log, meter_event, read_data

INT = 2**31
BAD_INTS = [
    str(INT),
    str(-INT - 1),
    str(2**63),
    str(10**30),
    "9" * 5000,
    "x",
    "²",
    "٣",
    "1_0",
    "1.0",
]
both = pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])


def with_block(number: str, total: str, meter: str = "m1") -> str:
    plain = read_data(meter, [1, 2], block=(77, 78))
    return plain.replace(">77<", f">{number}<").replace(">78<", f">{total}<")


async def open_errors(rig: Rig) -> list[ErrorRecord]:
    return list(await rig.data.errors())


def of_a_meter_each(*names: str) -> dict[str, tuple[str, str]]:
    """Every bad number of every name, each for a meter of its own."""
    return {f"m-{at}": case for at, case in enumerate(product(names, BAD_INTS))}


@both
async def test_a_block_number_out_of_range_costs_only_the_block_info(
    tmp_path: Path, spooled: bool
) -> None:
    cases = of_a_meter_each("Block", "TotalBlocks")
    meters = (a_meter(f"{meter}{end}") for meter in cases for end in ("", "-good"))
    async with a_rig(tmp_path, *meters) as rig:
        with every_case() as case:
            for meter, (name, number) in cases.items():
                first, total = (number, "3") if name == "Block" else ("1", number)
                body = data_arrived(
                    with_block(first, total, meter), read_data(f"{meter}-good", [3])
                )
                with case(f"{name} {number[:40]}"):
                    payload = await rig.take(body, spooled=spooled)
                    assert payload.state is PayloadState.LOADED
                    assert len(await rig.values(meter)) == 2
                    assert len(await rig.values(f"{meter}-good")) == 1
                    (error,) = await rig.data.errors(payload=payload.id)
                    assert (error.endpoint, error.reason, error.part) == (meter, "bad_part", 0)
                    assert error.detail.startswith(f"ReadData/BlockInfo/{name}: ")


@pytest.mark.parametrize("number", [str(INT - 1), str(-INT), "+3", " 3 ", "003"])
async def test_a_block_number_at_the_edge_is_taken(tmp_path: Path, number: str) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(with_block("1", number)))
        assert len(await rig.values("m1")) == 2
        assert await open_errors(rig) == []


@pytest.mark.parametrize("length", ["65536", "-1", str(10**30), "²", "x"])
async def test_an_interval_length_out_of_range_costs_only_its_channel(
    tmp_path: Path, length: str
) -> None:
    async with a_rig(tmp_path) as rig:
        good = read_data("m1", [1, 2])
        start, end = (
            good.index("<b:LoadProfileChannel>"),
            good.index("</b:LoadProfileChannels>"),
        )
        channel = good[start:end]
        bad = channel.replace(">15<", f">{length}<").replace("Wh d", "Wh r")
        await rig.take(data_arrived(good.replace(channel, bad + channel)))
        assert len(await rig.values("m1")) == 2
        (error,) = await open_errors(rig)
        assert error.endpoint == "m1"
        assert error.detail.startswith("LoadProfileChannel[1]/IntervalLength: ")


def with_event(name: str, number: str) -> str:
    """An event log in which one number is this one."""
    event = meter_event("Cover Removed")
    if name == "UnreportedEventCount":
        return event_log(event, unreported=77).replace(">77<", f">{number}<")
    right = {"ID": "18001", "SequenceNumber": "4"}[name]
    return event_log(event.replace(f"<e:{name}>{right}<", f"<e:{name}>{number}<"), event)


async def test_a_number_of_an_event_out_of_range_costs_only_that_event(tmp_path: Path) -> None:
    cases = of_a_meter_each("ID", "SequenceNumber", "UnreportedEventCount")
    async with a_rig(tmp_path, *(a_meter(meter) for meter in cases)) as rig:
        with every_case() as case:
            for meter, (name, number) in cases.items():
                with case(f"{name} {number[:40]}"):
                    body = data_arrived(read_data(meter, [1], log=with_event(name, number)))
                    payload = await rig.take(body)
                    assert payload.counts["events"] == 1
                    assert len(await rig.values(meter)) == 1
                    (error,) = await rig.data.errors(payload=payload.id)
                    assert error.endpoint == meter
                    assert f"{name}: " in error.detail


async def test_what_was_lost_with_a_number_is_mended_by_a_corrected_file_or_closed(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(with_block("1", str(10**30))))
        counts = await rig.intake.reprocess()
        assert (counts.new, counts.bad_parts) == (0, 1)
        (error,) = await open_errors(rig)
        await rig.desk.discard(error.id, by="me", reason="one block, and it is here")
        assert await open_errors(rig) == []

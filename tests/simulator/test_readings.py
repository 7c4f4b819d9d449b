"""What DataArrived and the interactive result bring, by the flags of the request."""

import asyncio
from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

import pytest

from adapter.model.ids import RequestToken
from adapter.readings.conditions import CONDITIONS
from adapter.simulator.flaws import EXTENDED_WORDS, PROFILE_WORDS
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.codec import JsonValue
from tests.simulator.running_simulator import (
    DISCONNECT,
    ENDPOINTS_READ,
    GROUP_READ,
    INTERACTIVE,
    ONE,
    READ,
    STRANGER,
    THREE,
    TWO,
    Heard,
    Rig,
    codec,
    dig,
    play,
    rows,
    running,
    text,
)


async def test_load_profile_and_registers_agree_on_what_was_used() -> None:
    async with running() as rig:
        period = {
            "ReadingStartTime": "2026-03-01T00:00:00Z",
            "ReadingEndTime": "2026-03-02T00:00:00Z",
        }
        await rig.run(READ, ONE, RetrieveLoadProfileData=True, **period)
        for end in period.values():
            await rig.run(
                READ,
                ONE,
                ReadingStartTime="2026-02-01T00:00:00Z",
                ReadingEndTime=end,
                RetrieveRecentRegisters=True,
            )
        profile, first, last = rig.data()
        channel = dig(profile, "LoadProfileChannels", 0)
        values = [int(text(row, "ChannelValue")) for row in rows(channel, "IntervalValues")]
        assert len(values) == 96
        assert text(channel, "TimeDataEnd") == "2026-03-02T00:00:00Z"
        totals = [int(text(row, "RegisterValues", 0, "Value", "value")) for row in (first, last)]
        assert sum(values) == totals[1] - totals[0]
        assert "RegisterValues" not in profile
        assert "LoadProfileChannels" not in first


async def test_a_register_names_quantity_source_time_and_type() -> None:
    async with running({"population": {"generating_share": 0.0}}) as rig:
        await rig.run(READ, ONE, RetrieveRecentRegisters=True)
        [row] = rig.data()
        register = dig(row, "RegisterValues", 0)
        assert isinstance(register, dict)
        value = register.pop("Value")
        assert dig(value, "type") == "xs:decimal"
        assert register == {
            "Quantity": "Wh d",
            "Source": "CurrentRegister",
            "Timestamp": "2026-03-02T00:00:00Z",
        }
        assert (row["ScalingType"], row["DeviceSerialNumber"]) == ("Scaled", "700001")


async def test_a_generating_meter_has_a_second_quantity() -> None:
    async with running({"population": {"generating_share": 1.0}}) as rig:
        await rig.run(READ, ONE, RetrieveRecentRegisters=True, RetrieveLoadProfileData=True)
        [row] = rig.data()
        for channels in ("RegisterValues", "LoadProfileChannels"):
            assert [text(found, "Quantity") for found in rows(row, channels)] == ["Wh d", "Wh r"]


async def test_nothing_is_read_from_the_future() -> None:
    async with running() as rig:
        await rig.run(
            READ,
            ONE,
            ReadingStartTime="2026-03-02T11:00:00Z",
            ReadingEndTime="2026-03-02T18:00:00Z",
            RetrieveLoadProfileData=True,
        )
        [row] = rig.data()
        channel = dig(row, "LoadProfileChannels", 0)
        assert text(channel, "TimeDataEnd") == "2026-03-02T12:00:00Z"
        assert len(rows(channel, "IntervalValues")) == 4


@pytest.mark.parametrize(
    ("option", "times"),
    [
        ("ReportAtStartTime", ["2026-02-27T00:00:00Z"]),
        ("ReportAtEndTime", ["2026-03-01T00:00:00Z"]),
        (
            "ReportAllInPeriod",
            ["2026-02-27T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"],
        ),
    ],
)
async def test_self_reads_come_at_the_times_asked_for(option: str, times: list[str]) -> None:
    async with running({"population": {"generating_share": 0.0}}) as rig:
        await rig.run(
            READ,
            ONE,
            ReadingStartTime="2026-02-27T00:00:00Z",
            ReadingEndTime="2026-03-01T00:00:00Z",
            ReportSelfReadOption=option,
        )
        [row] = rig.data()
        told = rows(row, "RegisterValues")
        assert [text(register, "Timestamp") for register in told] == times
        assert {text(register, "Source") for register in told} == {"SelfReadRegister"}


async def test_a_group_is_read_meter_by_meter_in_portions() -> None:
    async with running(
        {"population": {"count": 100, "group_size": 25}, "limits": {"meters_per_message": 10}}
    ) as rig:
        result = await rig.run(GROUP_READ, "Substation 2", RetrievePriorSelfRead=True)
        assert (result["GroupName"], result["Result"]) == ("Substation 2", "Success")
        assert len(rig.data()) == 25
        sizes = [
            len(rows(told.body, "input", "ReadDataCollection"))
            for told in rig.heard
            if told.path == "/data"
        ]
        assert sizes == [10, 10, 5]
        assert {text(row, "RegisterValues", 0, "Source") for row in rig.data()} == {
            "SelfReadRegister"
        }
        assert rig.heard[-1].status["SuccessfulEndpoints"] == 25


async def test_a_named_group_and_a_configuration_group_can_be_read() -> None:
    async with running(
        {
            "population": {"count": 5, "configuration_groups": ["All"]},
            "groups": {"Feeder 7": [TWO, THREE]},
        }
    ) as rig:
        await rig.run(GROUP_READ, "Feeder 7", RetrieveLoadProfileData=True)
        assert [row["Identifier"] for row in rig.data()] == [TWO, THREE]
        await rig.run(GROUP_READ, "All", RetrievePriorSelfRead=True)
        assert len(rig.data()) == 2 + 5


async def test_endpoints_can_be_interrogated_by_name() -> None:
    async with running({"population": {"count": 5}}) as rig:
        result = await rig.run(
            ENDPOINTS_READ, TWO, THREE, RetrieveLoadProfileData=True, RetrievePriorSelfRead=True
        )
        assert result["Result"] == "Success"
        assert [row["Identifier"] for row in rig.data()] == [TWO, THREE]
        for row in rig.data():
            assert len(rows(row, "LoadProfileChannels", 0, "IntervalValues")) == 96
            assert rows(row, "RegisterValues")


async def test_an_endpoint_that_is_not_there_fails_in_an_interrogation() -> None:
    async with running({"population": {"count": 2}}) as rig:
        result = await rig.run(ENDPOINTS_READ, ONE, STRANGER, RetrieveLoadProfileData=True)
        failures = rows(result, "EndpointFailureResult", "Failures")
        assert [text(row, "ElectronicSerialNumber") for row in failures] == [STRANGER]
        assert [row["Identifier"] for row in rig.data()] == [ONE]


@pytest.mark.parametrize(
    ("operation", "target"), [(GROUP_READ, "Substation 1"), (ENDPOINTS_READ, ONE)]
)
async def test_an_interrogation_waits_for_its_window(operation: str, target: str) -> None:
    async with running({"population": {"count": 2}}) as rig:
        token = await rig.start(
            operation,
            target,
            InterrogationWindowStartTime="2026-03-02T14:00:00Z",
            InterrogationWindowEndTime="2026-03-02T15:00:00Z",
        )
        await rig.turn(3_600)
        assert rig.states() == ["Initializing"]
        await rig.turn(3_601)
        assert (await rig.result(operation, token))["Result"] == "Success"


async def test_a_long_profile_comes_in_numbered_blocks() -> None:
    async with running({"limits": {"intervals_per_block": 40}}) as rig:
        await rig.run(READ, ONE, RetrieveLoadProfileData=True, RetrieveRecentRegisters=True)
        blocks = rig.data()
        assert [dig(row, "BlockInfo", "Block") for row in blocks] == [1, 2, 3]
        assert {dig(row, "BlockInfo", "TotalBlocks") for row in blocks} == {3}
        ends = [text(row, "LoadProfileChannels", 0, "TimeDataEnd") for row in blocks]
        assert ends == ["2026-03-01T10:00:00Z", "2026-03-01T20:00:00Z", "2026-03-02T00:00:00Z"]
        assert ["RegisterValues" in row for row in blocks] == [True, False, False]


async def test_an_interactive_read_brings_its_data_with_the_result_only() -> None:
    async with running() as rig:
        result = await rig.run(INTERACTIVE, ONE, RetrieveRecentRegisterData=True)
        assert result["Identifier"] == ONE
        assert text(result, "ReadDataCollection", 0, "Identifier") == ONE
        assert rig.data() == []


async def test_the_data_comes_before_the_request_has_completed() -> None:
    async with running() as rig:
        await rig.run(READ, ONE)
        kinds = [told.operation.rpartition(".")[2] for told in rig.heard]
        assert kinds == ["StatusChanged", "StatusChanged", "DataArrived", "StatusChanged"]


async def test_an_outage_is_told_as_exceptions_and_seen_in_reads_and_events() -> None:
    async with running() as rig:
        status, told = await rig.admin("POST", "/outage", {"match": f"*{ONE[-6:]}", "seconds": 600})
        assert (status, told) == (200, {"without_supply": 1})
        await rig.turn(0)
        result = await rig.run(READ, ONE)
        assert text(result, "EndpointFailureResult", "Failures", 0, "FailureReason") == "NoResponse"
        await rig.turn(600)
        exceptions = [
            dig(told.body, "input", "MeterExceptionCollection", 0)
            for told in rig.heard
            if told.path == "/exceptions"
        ]
        assert [(text(row, "Name"), dig(row, "ID")) for row in exceptions] == [
            ("Primary Power Down", 18001),
            ("Primary Power Up", 18002),
        ]
        assert text(exceptions[0], "ElectronicSerialNumber") == ONE
        await rig.turn(3_600)
        await rig.run(
            READ,
            ONE,
            ReadingStartTime="2026-03-02T11:45:00Z",
            ReadingEndTime="2026-03-02T13:00:00Z",
            RetrieveLoadProfileData=True,
            RetrieveLogEvents=True,
        )
        [row] = rig.data()
        events = rows(row, "EventLog", "MeterEvents")
        assert [text(event, "Name") for event in events] == [
            "Primary Power Down",
            "Primary Power Up",
        ]
        values = rows(row, "LoadProfileChannels", 0, "IntervalValues")
        statuses = [rows(value, "ProfileStatuses") for value in values]
        assert ["PartialInterval", "PowerFailure"] in statuses


async def test_an_empty_event_log_is_there_when_asked_for() -> None:
    async with running() as rig:
        await rig.run(READ, ONE, RetrieveLogEvents=True)
        [row] = rig.data()
        assert dig(row, "EventLog", "UnreportedEventCount") == 0
        assert dig(row, "EventLog", "MeterEvents") == []


async def test_a_share_of_the_intervals_is_skipped_and_the_same_ones_when_read_again() -> None:
    async with running({"population": {"skipped_share": 0.1}}) as rig:
        for _ in range(2):
            await rig.run(
                READ,
                ONE,
                ReadingStartTime="2026-02-20T00:00:00Z",
                ReadingEndTime="2026-03-02T00:00:00Z",
                RetrieveLoadProfileData=True,
            )
        first, again = rig.data()
        assert first == again
        values = rows(first, "LoadProfileChannels", 0, "IntervalValues")
        skipped = [value for value in values if rows(value, "ProfileStatuses")]
        assert 60 < len(skipped) < 140
        assert {text(value, "ChannelValue") for value in skipped} == {"0"}
        assert rows(skipped[0], "ProfileStatuses") == ["SkippedInterval"]


@pytest.mark.skipif(
    "Europe/Berlin" not in available_timezones(), reason="no time zone data on this machine"
)
async def test_intervals_of_summer_time_say_so_from_the_change_on() -> None:
    async with running({"population": {"time_zone": "Europe/Berlin"}}) as rig:
        await rig.turn(30 * 86_400)
        await rig.run(
            READ,
            ONE,
            ReadingStartTime="2026-03-29T00:00:00Z",
            ReadingEndTime="2026-03-29T02:00:00Z",
            RetrieveLoadProfileData=True,
        )
        [row] = rig.data()
        values = rows(row, "LoadProfileChannels", 0, "IntervalValues")
        told = [rows(value, "ProfileStatuses") for value in values]
        assert told == [[]] * 4 + [["DaylightSavingsTime"]] * 4


TEN_DAYS: dict[str, Any] = {
    "ReadingStartTime": "2026-02-20T00:00:00Z",
    "ReadingEndTime": "2026-03-02T00:00:00Z",
    "RetrieveLoadProfileData": True,
}


def test_meters_that_send_pulses_send_what_the_others_send_in_other_words() -> None:
    async def scene(rig: Rig) -> None:
        await rig.run(READ, ONE, **TEN_DAYS)
        whole.append([profile_of(row) for row in rig.data()])

    whole: list[list[tuple[str, list[Decimal]]]] = []
    play(scene)
    play(scene, population={"raw_share": 1.0})
    scaled, raw = whole
    assert {kind for kind, _ in scaled} == {"Scaled"}
    assert {kind for kind, _ in raw} == {"None"}
    assert [values for _, values in raw] == [values for _, values in scaled]


def profile_of(row: JsonValue) -> tuple[str, list[Decimal]]:
    """ScalingType, and the watt-hours that the first channel says."""
    channel = dig(row, "LoadProfileChannels", 0)
    kind, pulse = text(row, "ScalingType"), Decimal(text(channel, "PulseMultiplier"))
    factor = pulse if kind == "None" else Decimal(1)
    assert (kind == "None") == (pulse != 1)
    told = rows(channel, "IntervalValues")
    return kind, [Decimal(text(value, "ChannelValue")) * factor for value in told]


async def test_every_status_word_of_the_contract_can_come() -> None:
    shares = {"noted_share": 0.2, "skipped_share": 0.05, "clock_reset_share": 0.5}
    async with running({"population": shares}) as rig:
        for _ in range(2):
            await rig.run(READ, ONE, **TEN_DAYS)
        first, again = rig.data()
        assert first == again
        seen: set[str] = set()
        for value in rows(first, "LoadProfileChannels", 0, "IntervalValues"):
            assert isinstance(value, dict)
            seen.update(map(str, rows(value, "ProfileStatuses")))
            if "ExtendedProfileStatuses" in value:
                seen.update(map(str, rows(value, "ExtendedProfileStatuses")))
        assert seen >= {*PROFILE_WORDS, *EXTENDED_WORDS, "SkippedInterval"}
        assert seen >= {"ClockResetForward", "ClockResetBackwards", "LongInterval"}
        assert seen <= CONDITIONS.keys()


def test_the_words_are_those_of_the_contract() -> None:
    caused = {"DaylightSavingsTime", "PartialInterval", "PowerFailure", "SkippedInterval"}
    caused |= {"LongInterval", "ClockResetForward", "ClockResetBackwards"}
    assert {*PROFILE_WORDS, *EXTENDED_WORDS} | caused == CONDITIONS.keys()


async def test_a_clock_set_forward_leaves_an_interval_out_and_one_set_back_makes_one_long() -> None:
    async with running({"population": {"clock_reset_share": 1.0}}) as rig:
        await rig.run(READ, ONE, **TEN_DAYS)
        [row] = rig.data()
        told = [
            tuple(map(str, rows(value, "ProfileStatuses")))
            for value in rows(row, "LoadProfileChannels", 0, "IntervalValues")
        ]
        after = [told[place + 1] for place, words in enumerate(told) if words == FORWARD]
        assert after
        assert set(after) == {("SkippedInterval",)}
        assert told.count(BACK) + len(after) == 10


FORWARD = ("PartialInterval", "ClockResetForward")
BACK = ("LongInterval", "ClockResetBackwards")


@pytest.mark.seconds(60)
async def test_a_slow_listener_slows_a_large_read_and_holds_up_no_other_request() -> None:
    gate = asyncio.Event()

    async def slow(told: Heard) -> int:
        if told.path == "/data":
            await gate.wait()
        return 200

    async with running() as listening:
        listening.answer = slow
        config = SimulatorConfig.read(
            {
                "population": {"count": 3_000, "group_size": 3_000},
                "data_subscribers": {"gateway": f"{listening.base}/data"},
                "timing": {"honour_windows": False, "portion_s": 0.0},
            }
        )
        async with Simulator(config, codec=codec()) as simulator:
            listening.simulator = simulator
            read = await listening.start(GROUP_READ, "Substation 1", RetrievePriorSelfRead=True)
            job = simulator.world.jobs[RequestToken(read)]
            await listening.until(lambda: job.succeeded >= 500)
            other = await listening.start(DISCONNECT, ONE)
            done = simulator.world.jobs[RequestToken(other)]
            await listening.until(lambda: done.finished)
            assert job.succeeded < 600
            gate.set()
            await listening.until(lambda: job.finished)
            await simulator.sent()
    assert len(listening.data()) == 3_000

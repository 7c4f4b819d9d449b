"""Multipliers, units and interval lengths that cannot be right: told, and nothing of it regular."""

from decimal import Decimal
from pathlib import Path

import pytest

from adapter.engine.readings.ports import StoredValue
from adapter.model.device import ComponentKind, Device, MeasuringComponent
from adapter.model.ids import DeviceId, EndpointId
from adapter.model.measurement import REGULAR
from adapter.readings.components import same_unit
from adapter.readings.conditions import PARTIAL, SUSPECT, UNUSABLE
from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.support import every_case, for_every
from tests.wire.payloads import data_arrived, interval, read_data, register

both = pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])
SCALED = "<b:ScalingType>Scaled</b:ScalingType>"
PULSE = "<b:PulseMultiplier>1</b:PulseMultiplier>"
MULTIPLIERS = {
    "<b:PulseMultiplier>0</b:PulseMultiplier>": "0 is not above zero",
    "<b:PulseMultiplier>0.00</b:PulseMultiplier>": "0.00 is not above zero",
    "<b:PulseMultiplier>-1</b:PulseMultiplier>": "-1 is not above zero",
    "<b:PulseMultiplier>-2.5e-2</b:PulseMultiplier>": "-2.5e-2 is not above zero",
    "<b:PulseMultiplier/>": "is missing, and the values are pulses",
    '<b:PulseMultiplier i:nil="true"/>': "is missing, and the values are pulses",
    "": "is missing, and the values are pulses",
    "<b:PulseMultiplier>NaN</b:PulseMultiplier>": "NaN",
    "<b:PulseMultiplier>INF</b:PulseMultiplier>": "INF",
    "<b:PulseMultiplier>many</b:PulseMultiplier>": "many",
}


@both
async def test_pulses_without_a_multiplier_above_zero_are_an_error_record_with_the_raw_texts(
    tmp_path: Path, spooled: bool
) -> None:
    meters = {f"m-{n}": each for n, each in enumerate(MULTIPLIERS.items())}
    async with a_rig(tmp_path, *map(a_meter, meters)) as rig:
        parts = [
            read_data(name, [100, 200], scaling="None", registers=register("7")).replace(
                PULSE, text
            )
            for name, (text, _) in meters.items()
        ]
        payload = await rig.take(data_arrived(*parts), spooled=spooled)
        errors = {each.endpoint: each for each in await rig.data.errors()}
        with every_case() as case:
            for name, (text, detail) in meters.items():
                with case(text):
                    error = errors[name]
                    assert (error.reason, error.detail) == ("bad_pulse_multiplier", detail)
                    assert b'"texts":["100","200"]' in error.body
                    assert [row.seconds for row in await rig.values(name)] == [0]
        assert (payload.counts["values"], payload.counts["rejected"]) == (
            len(meters),
            2 * len(meters),
        )


async def test_a_multiplier_of_values_that_are_scaled_does_not_count(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        for text in MULTIPLIERS:
            await rig.take(data_arrived(read_data("m1", [100]).replace(PULSE, text)))
        assert await rig.data.errors() == []
        assert [row.condition for row in await rig.values()] == [REGULAR]


async def test_where_nobody_says_whether_these_are_pulses_the_multiplier_has_to_be_one(
    tmp_path: Path,
) -> None:
    words = {
        "": "ScalingType: is missing: nobody knows whether these are pulses",
        "<b:ScalingType/>": "ScalingType: is missing: nobody knows whether these are pulses",
        "<b:ScalingType>Odd</b:ScalingType>": (
            "ScalingType: 'Odd' is unknown: nobody knows whether these are pulses"
        ),
    }
    async with a_rig(tmp_path) as rig:
        with every_case() as case:
            for text, reason in words.items():
                with case(text):
                    for one in ("1", "1.0", "01"):
                        part = read_data("m1", [100], pulse=one).replace(SCALED, text)
                        await rig.take(data_arrived(part))
                        assert await rig.data.errors() == []
                    part = read_data("m2", [100], pulse="10", registers=register("7"))
                    payload = await rig.take(data_arrived(part.replace(SCALED, text)))
                    (error,) = await rig.data.errors(payload=payload.id)
                    assert error.detail == f"LoadProfileChannel[1]/{reason}"
                    await rig.desk.discard(error.id, by="me", reason="seen")
        assert await rig.numbers("m1") == [Decimal("0.1")]
        assert [row.seconds for row in await rig.values("m2")] == [0]


# ---------------------------------------------------------------- the measuring component


def component(
    unit: str = "",
    seconds: int = 0,
    *,
    quantity: str = "Wh d",
    name: str = "L",
    scalar: bool = False,
) -> MeasuringComponent:
    kind = ComponentKind.SCALAR if scalar else ComponentKind.INTERVAL
    return MeasuringComponent(id=name, kind=kind, quantity=quantity, unit=unit, seconds=seconds)


def meter(*components: MeasuringComponent, name: str = "m1") -> Device:
    return Device(id=DeviceId(f"D-{name}"), endpoint=EndpointId(name), components=components)


async def told(rig: Rig, name: str = "m1") -> tuple[list[StoredValue], list[str]]:
    records = [each for each in await rig.data.errors() if each.endpoint == name]
    assert {each.reason for each in records} <= {"component_disagrees"}
    return await rig.values(name), [each.detail for each in records]


DISAGREE = (
    (component("Wh", 900), "Wh and not kWh"),
    (component("MWh", 900), "MWh and not kWh"),
    (component("kVARh", 900), "kVARh and not kWh"),
    (component("kW"), "kW and not kWh"),
    (component("kWh", 3600), "3600 s and not 900 s"),
    (component("", 1800), "1800 s and not 900 s"),
    (component("m3", 86_400), "m3, 86400 s and not kWh, 900 s"),
)
AGREE = (
    component("kWh", 900),
    component("KWH", 900),
    component("k Wh"),
    component("", 900),
    component(),
)


@both
async def test_values_that_a_component_is_not_said_to_measure_are_not_regular_and_told(
    tmp_path: Path, spooled: bool
) -> None:
    wrong = {f"w-{n}": each for n, each in enumerate(DISAGREE)}
    right = {f"r-{n}": each for n, each in enumerate(AGREE)}
    devices = [meter(each, name=name) for name, (each, _) in wrong.items()]
    devices += [meter(each, name=name) for name, each in right.items()]
    values = [1000, interval(2000, "PartialInterval"), interval(3000, "Overflow")]
    async with a_rig(tmp_path, *devices) as rig:
        body = data_arrived(*(read_data(name, values) for name in (*wrong, *right)))
        payload = await rig.take(body, spooled=spooled)
        assert (payload.counts["values"], payload.counts["errors"]) == (36, len(wrong))
        with every_case() as case:
            for name, (_, words) in wrong.items():
                with case(words):
                    rows, details = await told(rig, name)
                    assert details == [f"component L has {words}"]
                    assert [row.value for row in rows] == [1, 2, 3]
                    assert [row.condition for row in rows] == [SUSPECT, SUSPECT, UNUSABLE]
                    assert {row.conversion for row in rows} == {
                        f"Wh d x 0.001 = kWh; component L has {words}"
                    }
            for name, each in right.items():
                with case(each):
                    rows, details = await told(rig, name)
                    assert details == []
                    assert [row.condition for row in rows] == [REGULAR, PARTIAL, UNUSABLE]


async def test_a_register_is_held_against_the_unit_of_its_component(tmp_path: Path) -> None:
    wrong = meter(component("Wh", scalar=True))
    right = meter(component("kWh", 900, scalar=True), name="m2")
    async with a_rig(tmp_path, wrong, right) as rig:
        body = [read_data(name, registers=register("7000")) for name in ("m1", "m2")]
        await rig.take(data_arrived(*body))
        rows, details = await told(rig)
        assert ([row.condition for row in rows], details) == (
            [SUSPECT],
            ["component L has Wh and not kWh"],
        )
        rows, details = await told(rig, "m2")
        assert ([row.condition for row in rows], details) == ([REGULAR], [])


async def test_of_several_components_of_a_quantity_the_one_that_agrees_has_the_values(
    tmp_path: Path,
) -> None:
    hourly, quarters = component("kWh", 3600, name="H"), component("kWh", 900, name="Q")
    async with a_rig(tmp_path, meter(hourly, quarters)) as rig:
        await rig.take(data_arrived(read_data("m1", [1000])))
        (row,) = await rig.values()
        assert (row.component, row.condition) == ("Q", REGULAR)
        assert await rig.data.errors() == []


async def test_once_the_component_is_put_right_its_values_are_regular_and_the_record_closed(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path, meter(component("Wh", 900))) as rig:
        await rig.take(data_arrived(read_data("m1", [1000, interval(2000, "PartialInterval")])))
        assert (await rig.intake.reprocess()).errors == 1
        assert len(await rig.data.errors()) == 1
        assert len(await rig.values(revisions=True)) == 2
        await rig.add(meter(component("kWh", 900)))
        assert (await rig.intake.reprocess()).errors == 0
        assert await rig.data.errors() == []
        rows = await rig.values()
        assert [(row.value, row.condition) for row in rows] == [
            (Decimal(1), REGULAR),
            (Decimal(2), PARTIAL),
        ]


async def test_what_waited_for_its_device_and_disagrees_with_it_is_seen_under_its_own_record(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("later", [1000])))
        await rig.add(meter(component("Wh", 900), name="later"))
        assert (await rig.intake.reprocess()).errors == 1
        rows, details = await told(rig, "later")
        assert ([row.condition for row in rows], details) == (
            [SUSPECT],
            ["component L has Wh and not kWh"],
        )
        await rig.add(meter(component("kWh", 900), name="later"))
        assert (await rig.intake.reprocess()).errors == 0
        rows, details = await told(rig, "later")
        assert ([row.condition for row in rows], details) == ([REGULAR], [])


async def test_a_table_of_the_sites_own_that_gives_the_components_unit_puts_it_right_too(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path, meter(component("Wh", 900))) as rig:
        await rig.take(data_arrived(read_data("m1", [1000])))
        rig.tables["quantities"] = {"Wh d": {"unit": "Wh"}}
        await rig.intake.reprocess()
        assert await rig.data.errors() == []
        (row,) = [row for row in await rig.values() if row.unit == "Wh"]
        assert (row.value, row.condition) == (Decimal(1000), REGULAR)


@for_every("one, other, same", [
    ("kWh", "kWh", True), ("kWh", "KWH", True), ("kvarh", "kVARh", True), (" k Wh ", "kWh", True),
    ("MWh", "mWh", False), ("MWh", "MWH", True), ("Wh", "kWh", False), ("V", "", False),
    ("m3", "M3", False), ("kW", "kWh", False),
])  # fmt: skip
def test_a_unit_is_written_in_more_than_one_way(one: str, other: str, same: bool) -> None:
    assert same_unit(one, other) is same is same_unit(other, one)

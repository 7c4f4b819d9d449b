"""An error record says whose it is by every identifier that came, whichever of them was blank."""

from pathlib import Path

from adapter.engine.readings.ports import ErrorRecord
from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.wire.payloads import data_arrived, event_log, meter_event, read_data, register

BAD = register("4779253A")


async def record(rig: Rig, part: str) -> ErrorRecord:
    await rig.take(data_arrived(part))
    return (await rig.data.errors())[-1]


async def test_a_blank_identifier_beside_a_serial_number_leaves_no_record_without_a_name(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path, a_meter("m1", serial="S-1"), a_meter("m2", serial="S-2")) as rig:
        known = await record(rig, read_data("", registers=BAD, serial="S-1"))
        assert (known.endpoint, known.reason) == ("m1", "not_a_number")
        assert known.detail == "4779253A; serial number S-1"
        stranger = await record(rig, read_data(" ", registers=BAD, serial="S-9"))
        assert stranger.endpoint == ""
        assert stranger.detail.endswith("; serial number S-9")
        unknown = await record(rig, read_data("", registers=register("1"), serial="S-9"))
        assert (unknown.endpoint, unknown.detail) == ("", "- / S-9")


async def test_a_blank_identifier_beside_an_electronic_serial_number_is_that_meters(
    tmp_path: Path,
) -> None:
    esn = "<b:ElectronicSerialNumber>m2</b:ElectronicSerialNumber>"
    async with a_rig(tmp_path) as rig:
        part = read_data("", registers=BAD).replace("</b:ReadData>", f"{esn}</b:ReadData>")
        assert (await record(rig, part)).endpoint == "m2"
        good = read_data("", registers=register("1")).replace(
            "</b:ReadData>", f"{esn}</b:ReadData>"
        )
        await rig.take(data_arrived(good))
        assert len(await rig.values("m2")) == 1


async def test_pieces_and_events_of_a_device_named_by_its_serial_number_say_it(
    tmp_path: Path,
) -> None:
    nil = '<b:RegisterValue i:nil="true"/>'
    log = event_log(meter_event("Power Down", "2024-02-30T00:00:00Z"))
    async with a_rig(tmp_path, a_meter("m1", serial="S-1")) as rig:
        for part in (
            read_data("", registers=nil, serial="S-1"),
            read_data("", log=log, serial="S-1"),
            read_data("", registers=register("1"), serial="S-1").replace(
                "<b:RegisterValues>", "<b:BlockInfo><b:Block>x</b:Block></b:BlockInfo>"
                "<b:RegisterValues>"
            ),
        ):  # fmt: skip
            found = await record(rig, part)
            assert found.endpoint == "m1", found
            assert found.detail.endswith("; serial number S-1"), found

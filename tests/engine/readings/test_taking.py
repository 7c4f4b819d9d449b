"""Payloads to measurements: shown whole or not at all, repeated without effect, revised."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from pathlib import Path

import pytest

from adapter.commands.calls import ReadingKind
from adapter.engine.commands.ports import Import, InboxState
from adapter.engine.readings.ports import PayloadState
from adapter.model.ids import DeviceId, EndpointId
from adapter.model.values import replace
from tests.builders import NOON, an_install
from tests.engine.readings.store_with_intake import ALWAYS, a_meter, a_rig
from tests.support import every_case
from tests.wire.payloads import (
    data_arrived,
    event_log,
    interval,
    meter_event,
    read_data,
    register,
)

both = pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])


@both
async def test_values_become_measurements_that_can_be_asked_for_by_device_and_component(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path, a_meter("m1", "Wh d"), a_meter("m2")) as rig:
        body = data_arrived(
            read_data("m1", [1000, interval(2000, "PartialInterval")]), read_data("m2", [5])
        )
        payload = await rig.take(body, spooled=spooled)
        assert payload.state is PayloadState.LOADED
        assert payload.size == len(body)
        assert payload.counts["new"] == 3
        first, second = await rig.data.measurements_between(*ALWAYS, device=DeviceId("D-m1"))
        assert (first.value, first.condition) == (Decimal(1), 501000)
        assert (second.value, second.condition) == (Decimal(2), 401000)
        assert first.at == datetime(2024, 5, 1, 23, 45, tzinfo=UTC)
        by_component = await rig.data.measurements_between(*ALWAYS, component="m1-Wh d")
        assert [item.value for item in by_component] == [Decimal(1), Decimal(2)]
        (value, _) = await rig.values("m1")
        assert (value.head_end_value, value.unit, value.seconds) == (Decimal(1000), "kWh", 900)
        assert value.payload == payload.id


@both
async def test_the_same_payload_again_changes_nothing(tmp_path: Path, spooled: bool) -> None:
    async with a_rig(tmp_path) as rig:
        body = data_arrived(read_data("m1", [1, 2, 3], registers=register("9")))
        await rig.take(body, spooled=spooled)
        before = await rig.values(revisions=True)
        again = await rig.take(body, spooled=spooled)
        assert (again.counts["new"], again.counts["repeated"]) == (0, 4)
        assert await rig.values(revisions=True) == before


async def test_another_value_for_the_same_time_is_a_revision_and_the_latest_counts(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("m1", [1000, 2000])))
        payload = await rig.take(data_arrived(read_data("m1", [1000, 2500])))
        assert (payload.counts["repeated"], payload.counts["revised"]) == (1, 1)
        assert await rig.numbers() == [Decimal(1), Decimal("2.5")]
        kept = [item.value for item in await rig.values(revisions=True)]
        assert kept == [Decimal(1), Decimal(2), Decimal("2.5")]


async def test_a_number_written_otherwise_is_no_revision(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("m1", [interval("1.50")])))
        payload = await rig.take(data_arrived(read_data("m1", [interval("1.5")])))
        assert payload.counts["repeated"] == 1


async def test_two_values_for_one_time_in_one_payload_are_both_kept(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        reset = interval(4000, "ClockResetBackwards")
        body = data_arrived(read_data("m1", [1000, 2000]), read_data("m1", [1000, reset]))
        payload = await rig.take(body)
        assert (payload.counts["repeated"], payload.counts["revised"]) == (1, 1)
        assert await rig.numbers() == [Decimal(1), Decimal(4)]
        assert (await rig.take(body)).counts["new"] == 0


async def test_blocks_in_any_order_make_the_same_day(tmp_path: Path) -> None:
    blocks = [
        read_data("m1", [1, 2], end="2024-05-01T00:30:00Z", block=(0, 3)),
        read_data("m1", [3, 4], end="2024-05-01T01:00:00Z", block=(1, 3)),
        read_data("m1", [5, 6], end="2024-05-01T01:30:00Z", block=(2, 3)),
    ]

    async def scenario(order: tuple[str, ...], folder: Path) -> None:
        async with a_rig(folder) as rig:
            for block in order:
                await rig.take(data_arrived(block))
            assert await rig.numbers() == [Decimal(n) / 1000 for n in range(1, 7)]

    for number, order in enumerate(permutations(blocks)):
        folder = tmp_path / str(number)
        folder.mkdir()
        await scenario(order, folder)


async def test_what_a_device_is_not_configured_for_is_filtered_unless_all_is_kept(
    tmp_path: Path,
) -> None:
    body = data_arrived(
        read_data("m1", [1]), read_data("m1", [2], quantity="Wh r", registers=register("3"))
    )
    async with a_rig(tmp_path, a_meter("m1", "Wh d")) as rig:
        payload = await rig.take(body)
        assert (payload.counts["new"], payload.counts["filtered"]) == (1, 2)
    all_kept = {"devices": {"keep_all": True}}
    async with a_rig(tmp_path, a_meter("m1", "Wh d"), tables=all_kept) as rig:
        payload = await rig.take(body)
        assert (payload.counts["new"], payload.counts["filtered"]) == (2, 0)


async def test_a_device_is_found_by_its_serial_number_where_the_tables_say_so(
    tmp_path: Path,
) -> None:
    tables = {"devices": {"ids": ["serial", "esn"]}}
    meters = (a_meter("m1", serial="700"), a_meter("m2", serial="701"))
    async with a_rig(tmp_path, *meters, tables=tables) as rig:
        await rig.take(data_arrived(read_data("m1", [7000], serial="701")))
        assert await rig.numbers("m2") == [Decimal(7)]
        assert await rig.numbers("m1") == []


FOUR = (
    a_meter("m1", serial="700"),
    a_meter("m2", serial="701"),
    a_meter("m3", serial="702"),
    a_meter("m4", serial="702"),
)


@pytest.mark.parametrize(
    ("esn", "serial", "detail"),
    [
        ("m9", "700", "m9 / 700"),
        ("", "702", "- / 702: may be D-m3, D-m4"),
        ("m1", "701", "m1 / 701: may be D-m1, D-m2"),
        ("m1", "702", "m1 / 702: may be D-m1, D-m3, D-m4"),
    ],
    ids=["unknown-esn", "one-serial-of-two", "contradiction", "contradiction-of-two"],
)
async def test_data_that_may_be_another_customers_are_an_error_record(
    tmp_path: Path, esn: str, serial: str, detail: str
) -> None:
    """A name that is given is never replaced by another one that somebody knows."""
    async with a_rig(tmp_path, *FOUR) as rig:
        payload = await rig.take(data_arrived(read_data(esn, [7000], serial=serial)))
        assert (payload.counts["new"], payload.counts["errors"]) == (0, 1)
        (error,) = await rig.data.errors()
        assert (error.reason, error.detail) == ("unknown_device", detail)
        assert [await rig.numbers(f"m{number}") for number in (1, 2, 3, 4)] == [[]] * 4


@pytest.mark.parametrize(
    ("esn", "serial"), [("m1", "700"), ("m1", ""), ("", "700"), ("m1", "999"), ("m3", "702")]
)
async def test_data_whose_names_agree_are_taken(tmp_path: Path, esn: str, serial: str) -> None:
    async with a_rig(tmp_path, *FOUR) as rig:
        payload = await rig.take(data_arrived(read_data(esn, [7000], serial=serial)))
        assert (payload.counts["new"], payload.counts["errors"]) == (1, 0)


@pytest.mark.parametrize("removed", [True, False], ids=["passed-on", "of-two"])
async def test_data_of_an_endpoint_go_to_the_device_that_is_not_removed(
    tmp_path: Path, removed: bool
) -> None:
    old = a_meter("m1")
    new = replace(old, id=DeviceId("Z-new"))
    async with a_rig(tmp_path, old, new) as rig:
        if removed:
            gone = an_install(old.id, "SP-1", removed_at=NOON)
            await rig.load(Import(installs=(gone, an_install(new.id, "SP-1"))))
        payload = await rig.take(data_arrived(read_data("m1", [7000])))
        if removed:
            (value,) = await rig.values("m1")
            assert value.device == new.id
        else:
            assert payload.counts["new"] == 0
            (error,) = await rig.data.errors()
            assert error.detail == "m1 / -: may be D-m1, Z-new"


@both
async def test_an_unknown_quantity_waits_for_its_row_in_the_tables(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        body = data_arrived(read_data("m1", [70, 71], quantity="Gas"), read_data("m2", [1]))
        payload = await rig.take(body, spooled=spooled)
        assert (payload.counts["new"], payload.counts["errors"]) == (1, 1)
        (error,) = await rig.data.errors()
        assert (error.reason, error.detail, error.endpoint) == ("unknown_quantity", "Gas", "m1")
        assert body[error.position :].startswith(b"<b:ReadData><b:Identifier>m1")
        assert (await rig.intake.reprocess()).errors == 1
        rig.tables["quantities"] = {"Gas": {"unit": "m3", "multiplier": "0.01"}}
        assert (await rig.intake.reprocess()).new == 2
        assert await rig.numbers() == [Decimal("0.7"), Decimal("0.71")]
        assert await rig.data.errors() == []
        assert (await rig.intake.reprocess()).new == 0


async def test_data_of_an_unknown_meter_wait_for_the_registry(tmp_path: Path) -> None:
    async with a_rig(tmp_path, a_meter("m1")) as rig:
        late = read_data("m8", [1000, interval(2000, "Tamper")], scaling="None", pulse="2")
        await rig.take(data_arrived(late))
        assert [item.reason for item in await rig.data.errors()] == ["unknown_device"]
        await rig.add(a_meter("m8"))
        assert (await rig.intake.reprocess()).new == 2
        first, second = await rig.values("m8")
        assert (first.value, second.value) == (Decimal(2), Decimal(4))
        assert second.statuses == ("Tamper",)


@both
async def test_a_text_that_is_no_number_rejects_its_block_and_the_counts_say_so(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path, a_meter("m1", "Wh d"), a_meter("m2")) as rig:
        body = data_arrived(
            read_data("m1", [*range(95), interval("abc")]),
            read_data("m2", [1, 2]),
            read_data("m1", [3, 4, 5], quantity="Wh r"),
            read_data("m9", [6]),
        )
        payload = await rig.take(body, spooled=spooled)
        told = {name: payload.counts[name] for name in ("values", "new", "filtered")}
        assert told == {"values": 5, "new": 2, "filtered": 3}
        assert (payload.counts["errors"], payload.counts["rejected"]) == (2, 97)
        assert (await rig.values("m1"), len(await rig.values("m2"))) == ([], 2)


@both
async def test_a_bad_part_is_set_aside_with_its_position_and_the_rest_is_loaded(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        bad = read_data("m2", [1]).replace("<b:TimeDataEnd>2024", "<b:Else>2024")
        bad = bad.replace("</b:TimeDataEnd>", "</b:Else>")
        body = data_arrived(read_data("m1", [1]), bad, read_data("m3", [3]))
        payload = await rig.take(body, spooled=spooled)
        assert payload.state is PayloadState.LOADED
        assert (payload.counts["new"], payload.counts["bad_parts"]) == (2, 1)
        (error,) = await rig.data.errors()
        assert (error.reason, error.part) == ("bad_part", 1)
        assert body[error.position :].startswith(bad.encode()[:60])
        assert b"m2" in error.body


@pytest.mark.parametrize("share", [0.2, 0.5, 0.99])
@both
async def test_a_truncated_payload_shows_nothing_and_can_be_judged_again(
    tmp_path: Path, spooled: bool, share: float
) -> None:
    async with a_rig(tmp_path) as rig:
        whole = data_arrived(*(read_data("m1", [1] * 96) for _ in range(20)))
        cut = whole[: int(len(whole) * share)]
        inbox = await rig.arrive(cut, spooled=spooled)
        await rig.work()
        (payload,) = await rig.data.payloads()
        assert payload.state is PayloadState.QUARANTINED
        assert payload.position is not None
        assert len(cut) - 100 <= payload.position <= len(cut)
        row = await rig.row(inbox)
        assert row.state is InboxState.QUARANTINED
        assert f"byte {payload.position}" in row.reason
        assert await rig.values() == []
        assert not await rig.data.sweep(limit=1)
        assert (await rig.take(whole, spooled=spooled)).counts["new"] == 96


HOSTILE = (
    b"<a><![CDATA[",
    b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    b"\x00\x01\x02",
    b"",
    b"<html/>",
    b'<?xml version="1.0" encoding="ebcdic"?><ReadDataCollection/>',
    data_arrived(read_data("m1", [1])).replace(b"m1", b"m\xff1"),
    data_arrived(read_data("m1", [1])).replace(b"<input>", b"<input>" * 300),
)


@both
async def test_hostile_payloads_are_quarantined_and_the_next_one_is_taken(
    tmp_path: Path, spooled: bool
) -> None:
    meters = [f"m-{at}" for at in range(len(HOSTILE))]
    async with a_rig(tmp_path, *(a_meter(meter) for meter in meters)) as rig:
        with every_case() as case:
            for hostile, meter in zip(HOSTILE, meters, strict=True):
                with case(hostile[:60]):
                    payload = await rig.take(hostile, spooled=spooled)
                    assert payload.state is PayloadState.QUARANTINED
                    assert payload.position is not None
                    after = await rig.take(data_arrived(read_data(meter, [1])))
                    assert after.counts["new"] == 1


@both
async def test_events_are_handed_on_in_the_order_of_loading(tmp_path: Path, spooled: bool) -> None:
    async with a_rig(tmp_path) as rig:
        log = event_log(meter_event("Down"), meter_event("Up", "2024-05-01T08:00:00Z"))
        await rig.take(data_arrived(read_data("m1", log=log)), spooled=spooled)
        first, second = await rig.data.arrived_events()
        assert (first.seed.name, second.seed.name) == ("Down", "Up")
        assert second.at == datetime(2024, 5, 1, 8, tzinfo=UTC)
        after = await rig.data.arrived_events(after=(first.load, first.id))
        assert [event.id for event in after] == [second.id]


async def test_readings_of_payloads_are_readings_for_commands(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        told = [100, interval(200, "Tamper"), interval(0, "SkippedInterval"), -1]
        body = data_arrived(read_data("m1", told))
        await rig.take(body)
        wanted = [EndpointId("m1"), EndpointId("m2")]
        have = await rig.data.with_readings(wanted, ReadingKind.INTERVAL, *ALWAYS)
        assert have == {"m1"}
        found = await rig.data.readings_of(wanted, ReadingKind.INTERVAL, *ALWAYS)
        assert [(row.value, row.seconds, row.statuses, row.condition) for row in found] == [
            (Decimal(100), 900, (), 501000),
            (Decimal(200), 900, ("Tamper",), 301000),
            (None, 900, ("SkippedInterval",), 201000),
            (Decimal(-1), 900, (), 301000),
        ]
        stored = await rig.values()
        assert [row.condition for row in found] == [row.condition for row in stored]
        early, late = (row.at for row in found[:2])
        for start, end, count in ((early, early, 1), (early, late, 2), (late, late, 1)):
            of = (wanted, ReadingKind.INTERVAL, start, end)
            assert len(await rig.data.readings_of(*of)) == count
        assert not await rig.data.with_readings(wanted, ReadingKind.REGISTER, *ALWAYS)
        await rig.take(body.replace(b"<input>", b"<input> "))
        assert await rig.data.readings_of(wanted, ReadingKind.INTERVAL, *ALWAYS) == found


@both
async def test_bodies_are_removed_after_their_time_and_measurements_stay(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        inbox = await rig.arrive(data_arrived(read_data("m1", [1])), spooled=spooled)
        await rig.work()
        await rig.clock.turn(rig.clock.now() + timedelta(days=2))
        rig.intake.keep_house_now()
        await rig.work()
        row = await rig.row(inbox)
        assert (row.raw, row.spool, row.state) == (b"", "", InboxState.STORED)
        assert list(rig.spool.folder.glob("*.gz")) == []
        assert await rig.numbers() == [Decimal("0.001")]


@both
async def test_events_that_a_log_does_not_tell_are_counted(tmp_path: Path, spooled: bool) -> None:
    async with a_rig(tmp_path) as rig:
        body = data_arrived(
            read_data("m1", [1], log=event_log(meter_event("Down"), unreported=3)),
            read_data("m2", [1], log=event_log(unreported=40)),
            read_data("m3", [1], log=event_log(unreported=-1)),
        )
        payload = await rig.take(body, spooled=spooled)
        assert (payload.counts["events"], payload.counts["unreported"]) == (1, 43)


MANY = data_arrived(
    *(read_data(f"m{number % 3 + 1}", range(number, number + 96)) for number in range(60)),
    read_data("nobody", [1, 2]),
    read_data("m2", [1]).replace("<b:Block>1<", "<b:Block>x<"),
    read_data("m3", ["one"], end="2024-05-03T00:00:00Z"),
    read_data("m1", log=event_log(meter_event("Down"))),
)


async def test_two_workers_make_of_a_payload_what_one_does(tmp_path: Path) -> None:
    async def made_by(workers: int) -> list[object]:
        made: list[object] = []
        folder = tmp_path / str(workers)
        folder.mkdir()
        async with a_rig(folder, workers=workers) as rig:
            for body in (MANY[:-2_000], MANY, *HOSTILE, MANY.replace(b"2024", b"2023")):
                payload = await rig.take(body, spooled=True)
                row = (await rig.store.inbox())[-1]
                made.append((payload.state, payload.counts, payload.position, row.reason))
            made += [
                (each.part, each.position, each.reason, each.detail, each.body)
                for each in await rig.data.errors()
            ]
            for meter in ("m1", "m2", "m3"):
                made += await rig.values(meter, revisions=True)
        return made

    one = await made_by(1)
    assert len(one) > 2 * 3 * 96
    assert await made_by(2) == one

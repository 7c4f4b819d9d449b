"""From bytes to measurements that are asked for: exact values and times, exact byte positions."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from adapter.engine.commands.ports import InboxState
from adapter.engine.readings.ports import PayloadState
from adapter.readings.conditions import CONDITIONS
from tests.engine.readings.store_with_intake import a_rig
from tests.wire.payloads import (
    data_arrived,
    event_log,
    interval,
    meter_event,
    read_data,
    register,
)

both = pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])

# fmt: off
KINDS = (
    #  xsi:type               as it is written            Wh, exactly
    ("decimal",               "1234567.890",              "1234567.89"),
    ("integer",               "-18446744073709551616",    "-18446744073709551616"),
    ("long",                  "-9223372036854775808",     "-9223372036854775808"),
    ("int",                   "2147483647",               "2147483647"),
    ("short",                 "-32768",                   "-32768"),
    ("byte",                  "-128",                     "-128"),
    ("unsignedLong",          "18446744073709551615",     "18446744073709551615"),
    ("unsignedInt",           "4294967295",               "4294967295"),
    ("unsignedShort",         "65535",                    "65535"),
    ("unsignedByte",          "255",                      "255"),
    ("nonNegativeInteger",    "0",                        "0"),
    ("positiveInteger",       "+1",                       "1"),
    ("nonPositiveInteger",    "-0",                       "0"),
    ("negativeInteger",       "-1",                       "-1"),
    ("float",                 "1.25E3",                   "1250"),
    ("double",                "4.9e-7",                   "0.00000049"),
)
# fmt: on
IN_CHICAGO = {"time": {"zone": "America/Chicago"}}


@both
async def test_registers_of_every_numeric_kind_are_stored_exactly(
    tmp_path: Path, spooled: bool
) -> None:
    start = datetime(2024, 5, 2, tzinfo=UTC)
    rows = [
        register(text, kind=f"x:{kind}", at=(start + timedelta(hours=hour)).isoformat())
        for hour, (kind, text, _) in enumerate(KINDS)
    ]
    async with a_rig(tmp_path) as rig:
        body = data_arrived(read_data("m1", registers="".join(rows)))
        payload = await rig.take(body, spooled=spooled)
        assert (payload.counts["new"], payload.counts["errors"]) == (len(KINDS), 0)
        found = await rig.values()
        assert [item.head_end_value for item in found] == [Decimal(wh) for _, _, wh in KINDS]
        assert [item.value for item in found] == [Decimal(wh) / 1000 for _, _, wh in KINDS]
        assert {item.unit for item in found} == {"kWh"}


@both
@pytest.mark.parametrize(
    ("end", "count", "first", "last"),
    [
        ("2024-03-11T00:00:00", 92, "2024-03-10T06:15", "2024-03-11T05:00"),
        ("2024-11-04T00:00:00", 100, "2024-11-03T05:15", "2024-11-04T06:00"),
        ("2024-03-01T00:00:00", 96, "2024-02-29T06:15", "2024-03-01T06:00"),
    ],
    ids=["spring", "autumn", "leap day"],
)
async def test_a_local_day_without_offsets_has_its_intervals_at_their_times(
    tmp_path: Path, spooled: bool, end: str, count: int, first: str, last: str
) -> None:
    async with a_rig(tmp_path, tables=IN_CHICAGO) as rig:
        body = data_arrived(read_data("m1", range(1, count + 1), end=end))
        assert (await rig.take(body, spooled=spooled)).counts["new"] == count
        found = await rig.values()
        times = [item.at for item in found]
        assert times[0] == datetime.fromisoformat(f"{first}:00+00:00")
        assert times[-1] == datetime.fromisoformat(f"{last}:00+00:00")
        steps = {late - early for early, late in pairwise(times)}
        assert steps == {timedelta(minutes=15)}
        assert [item.head_end_value for item in found] == list(map(Decimal, range(1, count + 1)))
        zone = "time without offset read in America/Chicago"
        assert {item.conversion for item in found} == {f"Wh d x 0.001 = kWh; {zone}"}


@both
async def test_the_29th_of_february_is_a_day_in_leap_years_only(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        rows = register("1", at="2024-02-29T12:00:00Z") + register("2", at="2023-02-29T12:00Z")
        payload = await rig.take(data_arrived(read_data("m1", registers=rows)), spooled=spooled)
        assert (payload.counts["new"], payload.counts["errors"]) == (1, 1)
        (value,) = await rig.values()
        assert value.at == datetime(2024, 2, 29, 12, tzinfo=UTC)
        (record,) = await rig.data.errors()
        assert (record.reason, record.detail) == ("not_a_time", "2023-02-29T12:00Z")


@both
async def test_fractions_offsets_and_no_zone_of_registers_and_events(
    tmp_path: Path, spooled: bool
) -> None:
    rows = (
        register("1", at="2024-07-01T00:00:00.9999999Z")
        + register("2", at="2024-07-01T01:00:00.0000001-05:00")
        + register("3", at="2024-07-01T02:00:00.1234567")
    )
    log = event_log(
        meter_event("A", "2024-07-01T00:00:00.9999999Z"),
        meter_event("B", "2024-07-01T02:00:00.1234567"),
        meter_event("C", "2024-11-03T01:30:00"),
    )
    async with a_rig(tmp_path, tables=IN_CHICAGO) as rig:
        await rig.take(data_arrived(read_data("m1", registers=rows, log=log)), spooled=spooled)
        assert [item.at.isoformat() for item in await rig.values()] == [
            "2024-07-01T00:00:00.999999+00:00",
            "2024-07-01T06:00:00+00:00",
            "2024-07-01T07:00:00.123456+00:00",
        ]
        assert [item.at.isoformat() for item in await rig.data.arrived_events()] == [
            "2024-07-01T00:00:00.999999+00:00",
            "2024-07-01T07:00:00.123456+00:00",
            "2024-11-03T06:30:00+00:00",
        ]


@both
async def test_a_clock_that_was_reset_leaves_a_gap_or_counts_a_time_twice(
    tmp_path: Path, spooled: bool
) -> None:
    """Forward: an hour has no intervals. Back: of an hour that was read twice the later counts."""
    async with a_rig(tmp_path) as rig:
        forward = data_arrived(
            read_data("m1", [1, 2], end="2024-05-01T01:00:00Z"),
            read_data("m1", [interval(3, "ClockResetForward"), 4], end="2024-05-01T02:30:00Z"),
        )
        await rig.take(forward, spooled=spooled)
        found = [(item.at, item.head_end_value, item.condition) for item in await rig.values()]
        assert [at.strftime("%H:%M") for at, _, _ in found] == [
            "00:45", "01:00", "02:15", "02:30",
        ]  # fmt: skip
        assert [code for _, _, code in found] == [
            501000, 501000, CONDITIONS["ClockResetForward"], 501000,
        ]  # fmt: skip
        back = data_arrived(
            read_data("m1", [interval(5, "ClockResetBackwards"), 6], end="2024-05-01T01:00:00Z")
        )
        payload = await rig.take(back, spooled=spooled)
        assert (payload.counts["revised"], payload.counts["new"]) == (2, 0)
        assert [item.head_end_value for item in await rig.values()] == list(
            map(Decimal, (5, 6, 3, 4))
        )
        assert (await rig.values())[0].condition == CONDITIONS["ClockResetBackwards"]
        kept = [item.head_end_value for item in await rig.values(revisions=True)]
        assert kept == list(map(Decimal, (1, 5, 2, 6, 3, 4)))


# ---------------------------------------------------------------- what is refused

GOOD = data_arrived(*(read_data(f"m{number}", range(96)) for number in (1, 2, 3)))
MIDDLE = GOOD.index(b"m2")
TAG = GOOD.index(b"</b:IntervalValues>")


# fmt: off
REFUSED = {
    "truncated":            (GOOD[:MIDDLE], MIDDLE),
    "truncated at a tag":   (GOOD[: GOOD.rindex(b"</s:Body>")], GOOD.rindex(b"</s:Body>")),
    "interleaved":          (GOOD[:TAG] + GOOD, TAG),
    "one after the other":  (GOOD + GOOD, len(GOOD)),
    "no UTF-8":             (GOOD[:MIDDLE] + b"\xc3\x28" + GOOD[MIDDLE:], MIDDLE),
    "NUL":                  (GOOD.replace(b"m3", b"m\x003"), GOOD.index(b"m3") + 1),
    "Latin-1":              (GOOD.replace(b"ITR1", b"Z\xe4hler"), GOOD.index(b"ITR1") + 1),
    "entity":               (GOOD.replace(b"<input>", b"<input><!ENTITY a 'b'>"),
                             GOOD.index(b"<input>") + 7),
    "entity reference":     (GOOD.replace(b"m2", b"&m2;"), MIDDLE),
    "encoding":             (GOOD.replace(b'encoding="utf-8"', b'encoding="utf-7"'), 0),
}
# fmt: on


@both
async def test_payloads_that_cannot_be_read_on_are_quarantined_with_their_byte_and_others_taken(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        for name, (body, position) in REFUSED.items():
            inbox = await rig.arrive(body, spooled=spooled)
            await rig.work()
            payload = (await rig.data.payloads())[0]
            assert payload.state is PayloadState.QUARANTINED, name
            assert payload.position == position, name
            row = await rig.row(inbox)
            assert row.state is InboxState.QUARANTINED
            assert f"byte {position}" in row.reason
            assert await rig.values() == []
        loaded = await rig.take(GOOD, spooled=spooled)
        assert (loaded.state, loaded.counts["new"]) == (PayloadState.LOADED, 3 * 96)
        assert len(await rig.values("m3")) == 96


async def test_a_part_that_never_ends_is_refused_and_the_next_payload_is_taken(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path) as rig:
        endless = GOOD.replace(b"m2", b"m2" * 20_000_000, 1)
        payload = await rig.take(endless, spooled=True)
        assert payload.state is PayloadState.QUARANTINED
        assert payload.position is not None
        assert f"at byte {payload.position}" in payload.reason
        assert (await rig.take(GOOD, spooled=True)).counts["new"] == 3 * 96

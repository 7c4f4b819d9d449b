"""What people do about payloads that were not understood: look, mend, try again, give up."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adapter.engine.commands.ports import InboxState
from adapter.engine.readings.batches import batches
from adapter.engine.readings.ports import Batch, ErrorRecord, Payload, PayloadId, PayloadState
from adapter.engine.readings.spool import HEAD_BYTES
from adapter.errors import Conflict, NotFound, SettingsError
from adapter.readings.lookups import Lookups
from adapter.readings.seeds import BadPart
from adapter.wire.stream import MOST_BAD_PARTS, Broken, parts
from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.wire.payloads import (
    SUB,
    data_arrived,
    envelope,
    event_log,
    interval,
    meter_event,
    read_data,
    register,
)

both = pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])
NAMELESS = read_data("", [1])
"""A part that says of no device what it is: never understood."""


def large(tail: str) -> bytes:
    """More than the head that is shown, with something broken far behind it."""
    return data_arrived(*(read_data("m1", range(96)) for _ in range(20)), tail)


# ---------------------------------------------------------------- too many of them


@both
async def test_a_body_with_more_than_a_thousand_bad_parts_is_quarantined_as_a_whole(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        some = data_arrived(read_data("m1", [1]), NAMELESS * MOST_BAD_PARTS)
        payload = await rig.take(some, spooled=spooled)
        assert payload.state is PayloadState.LOADED
        assert payload.counts["bad_parts"] == MOST_BAD_PARTS
        body = data_arrived(read_data("m2", [1]), NAMELESS * (MOST_BAD_PARTS + 1))
        inbox = await rig.arrive(body, spooled=spooled)
        await rig.arrive(data_arrived(read_data("m3", [1])))
        await rig.work()
        row = await rig.row(inbox)
        assert row.state is InboxState.QUARANTINED
        assert row.reason.startswith(
            "more than 1000 parts cannot be read, the first one: ReadData/Identifier: is missing"
        )
        _, refused, _ = await rig.data.payloads()
        assert refused.position == body.rindex(NAMELESS.encode())
        assert await rig.values("m2") == []
        assert len(await rig.values("m3")) == 1
        assert await rig.data.errors(payload=refused.id) == []


# ---------------------------------------------------------------- looking


@both
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_a_refused_message_is_shown_by_its_head_and_around_the_byte(
    tmp_path: Path, spooled: bool, encoding: str
) -> None:
    text = large("<b:ReadData><oops></b:ReadData>").decode().replace("utf-8", encoding, 1)
    body = text.encode(encoding)
    async with a_rig(tmp_path) as rig:
        inbox = await rig.arrive(body, spooled=spooled)
        await rig.work()
        row = await rig.row(inbox)
        assert row.state is InboxState.QUARANTINED
        shown = await rig.desk.excerpt(row)
        assert shown.head == text.encode()[:HEAD_BYTES]
        assert (shown.complete, shown.removed, shown.size) == (False, False, len(body))
        assert shown.position is not None
        assert shown.position == text.encode().index(b"</b:ReadData>", text.index("oops")) + 2
        at = shown.position - shown.excerpt_from
        assert shown.excerpt[:at].endswith(b"<b:ReadData><oops></")
        assert shown.excerpt[at:].startswith(b"b:ReadData>")
        assert f"byte {shown.position}" in row.reason


async def test_a_small_message_is_shown_whole(tmp_path: Path) -> None:
    body = b"<ReadDataCollection><"
    async with a_rig(tmp_path) as rig:
        inbox = await rig.arrive(body)
        await rig.work()
        shown = await rig.desk.excerpt(await rig.row(inbox))
        assert (shown.head, shown.complete, shown.size, shown.position) == (body, True, 21, 20)


@both
async def test_a_body_that_is_no_longer_kept_is_said_to_be_removed(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        body = data_arrived(read_data("m1", [1]))
        inbox = await rig.arrive(body, spooled=spooled)
        await rig.work()
        shown = await rig.desk.excerpt(await rig.row(inbox))
        assert (shown.head, shown.removed) == (body, False)
        await rig.clock.turn(rig.clock.now() + timedelta(days=2))
        rig.intake.keep_house_now()
        await rig.work()
        shown = await rig.desk.excerpt(await rig.row(inbox))
        assert (shown.head, shown.removed, shown.size) == (b"", True, len(body))


# ---------------------------------------------------------------- bad parts


async def left_behind(rig: Rig, body: bytes, *bad: int, xml: int, spooled: bool) -> ErrorRecord:
    """The payload as a program left it that did not understand its parts `bad`, and kept so many
    bytes of each."""
    inbox = await rig.arrive(body, spooled=spooled)
    (what,) = await rig.data.waiting(limit=1)
    assert what.inbox == inbox
    started = await rig.data.start(what, now=rig.clock.now())
    assert started is not None
    read = list(parts([body]))
    lookups = Lookups()
    good = [number for number in range(len(read)) if number not in bad]
    for batch in batches([body], lookups, only=good) if good else ():
        await rig.data.stage(started, batch, lookups)
    whole = body[body.index(b"<b:ReadData>") : body.rindex(b"</b:ReadData>") + 13]
    marked = whole.replace(b"<b:ReadData>", b'<b:ReadData xmlns:b="%s">' % _DAT, 1)
    refused = tuple(
        BadPart(index=part, position=read[part].position, reason="once unknown", xml=marked[:xml])
        for part in bad
    )
    counts = await rig.data.stage(started, Batch(parts=len(bad), bad=refused), lookups)
    await rig.data.loaded(started, counts, inbox=inbox, now=rig.clock.now())
    return (await rig.data.errors())[0]


_DAT = b"http://www.itron.com/ami/2008/10/data"


@both
@pytest.mark.parametrize("xml", [100_000, 0], ids=["by itself", "in the body"])
async def test_a_bad_part_is_read_again_and_its_record_closed(
    tmp_path: Path, spooled: bool, xml: int
) -> None:
    async with a_rig(tmp_path) as rig:
        record = await left_behind(
            rig, data_arrived(read_data("m1", [1000])), 0, xml=xml, spooled=spooled
        )
        assert (record.part, record.reason) == (0, "bad_part")
        counts = await rig.intake.reprocess()
        assert (counts.new, counts.errors, counts.bad_parts) == (1, 0, 0)
        assert await rig.numbers() == [Decimal(1)]
        assert await rig.data.errors() == []
        (closed,) = await rig.data.errors(state="resolved")
        assert closed.position == record.position
        again = await rig.intake.reprocess()
        assert (again.new, again.bad_parts) == (0, 0)
        assert (await rig.intake.once()).endpoints == ("m1",)  # who waits for them is told
        assert (await rig.intake.once()).endpoints == ()


@both
async def test_only_the_parts_that_can_be_read_are_closed(tmp_path: Path, spooled: bool) -> None:
    async with a_rig(tmp_path) as rig:
        body = data_arrived(
            read_data("m1", [1000]), NAMELESS, read_data("m2", [2000]), read_data("m3", [3000])
        )
        await left_behind(rig, body, 1, 2, xml=0, spooled=spooled)
        counts = await rig.intake.reprocess()
        assert (counts.new, counts.bad_parts) == (1, 1)
        (left,) = await rig.data.errors()
        assert left.part == 1
        found = [await rig.numbers(name) for name in ("m1", "m2", "m3")]
        assert found == [[Decimal(1)], [Decimal(2)], [Decimal(3)]]


@both
async def test_what_a_mended_part_does_not_map_becomes_a_record_of_its_own(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        body = data_arrived(read_data("m1", [5], quantity="Gas"))
        before = await left_behind(rig, body, 0, xml=0, spooled=spooled)
        assert (await rig.intake.reprocess()).errors == 1
        (record,) = await rig.data.errors()
        assert (record.reason, record.detail) == ("unknown_quantity", "Gas")
        assert record.position == before.position > 0
        rig.tables["quantities"] = {"Gas": {"unit": "m3"}}
        assert (await rig.intake.reprocess()).new == 1
        assert await rig.data.errors() == []


async def test_a_log_is_read_with_what_stands_beside_it(tmp_path: Path) -> None:
    log = event_log(meter_event("Up")).replace("b:EventLog", "e:EventLog")
    wrapper = (
        f'<EventsArrived xmlns="{SUB}" xmlns:e="http://www.itron.com/ami/2008/10/events" '
        'xmlns:i="http://www.w3.org/2001/XMLSchema-instance" '
        'xmlns:x="http://www.w3.org/2001/XMLSchema"><input><Identifier>m1</Identifier>'
        f"{log}</input></EventsArrived>"
    )
    async with a_rig(tmp_path) as rig:
        inbox = await rig.arrive(envelope(wrapper))
        (what,) = await rig.data.waiting(limit=1)
        started = await rig.data.start(what, now=rig.clock.now())
        assert started is not None
        xml = b'<e:EventLog xmlns:e="http://www.itron.com/ami/2008/10/events"/>'
        bad = BadPart(index=0, position=1, reason="once unknown", xml=xml)
        counts = await rig.data.stage(started, Batch(bad=(bad,)), Lookups())
        await rig.data.loaded(started, counts, inbox=inbox, now=rig.clock.now())
        assert (await rig.intake.reprocess()).events == 1
        (arrived,) = await rig.data.arrived_events()
        assert (arrived.endpoint, arrived.seed.name) == ("m1", "Up")


async def test_a_part_of_which_nothing_is_kept_stays(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await left_behind(rig, data_arrived(read_data("m1", [1])), 0, xml=0, spooled=True)
        for file in rig.spool.folder.glob("*.gz"):
            file.unlink()
        assert (await rig.intake.reprocess()).bad_parts == 1
        assert len(await rig.data.errors()) == 1


# ---------------------------------------------------------------- corrected files


async def take_file(rig: Rig, path: Path, body: bytes, corrects: int | None = None) -> Payload:
    await asyncio.to_thread(path.write_bytes, body)
    await rig.hand(path, corrects=corrects)
    await rig.work()
    return (await rig.data.payloads())[0]


async def test_a_corrected_file_closes_the_bad_parts_that_it_stands_in_for(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        wrong = await take_file(
            rig, tmp_path / "a.xml", data_arrived(read_data("m1", [1000]), NAMELESS)
        )
        (record,) = await rig.data.errors()
        assert record.position == data_arrived(read_data("m1", [1000]), NAMELESS).index(
            b"<b:ReadData>", 500
        )
        half = data_arrived(read_data("m1", [1000]), NAMELESS, NAMELESS)
        await take_file(rig, tmp_path / "b.xml", half, wrong.id)
        assert len(await rig.data.errors()) == 3
        right = data_arrived(read_data("m1", [1000]), read_data("m2", [2000]))
        loaded = await take_file(rig, tmp_path / "c.xml", right, wrong.id)
        assert (loaded.counts["new"], loaded.counts["repeated"]) == (1, 1)
        assert {item.payload for item in await rig.data.errors()} == {wrong.id + 1}
        (closed,) = await rig.data.errors(state="corrected")
        assert closed.id == record.id
        notes = [entry.note for entry in await rig.store.audit(subject=f"payload:{wrong.id}")]
        assert notes[-1].action == "Corrected"
        assert notes[-1].detail["by"] == loaded.id


@both
async def test_a_message_that_was_refused_as_a_whole_is_closed_by_its_corrected_file(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        inbox = await rig.arrive(data_arrived(read_data("m1", [1]))[:-20], spooled=spooled)
        await rig.work()
        (wrong,) = await rig.data.payloads()
        right = data_arrived(read_data("m1", [1]))
        loaded = await take_file(rig, tmp_path / "a.xml", right, wrong.id)
        row = await rig.row(inbox)
        assert row.state is InboxState.DISCARDED
        assert row.reason.endswith(f"corrected by payload {loaded.id}")


async def test_a_file_that_was_loaded_before_closes_too(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        wrong = await take_file(rig, tmp_path / "a.xml", data_arrived(NAMELESS))
        right = data_arrived(read_data("m1", [1]))
        await take_file(rig, tmp_path / "b.xml", right)
        assert len(await rig.data.errors()) == 1
        await take_file(rig, tmp_path / "b.xml", right, wrong.id)
        assert await rig.data.errors() == []
        assert rig.spool.tickets() == []
        await take_file(rig, tmp_path / "b.xml", right, 4711)
        assert rig.spool.tickets() == []


async def open_records(rig: Rig, payload: int) -> list[str]:
    return [item.endpoint for item in await rig.desk.errors(payload=PayloadId(payload))]


async def test_values_are_closed_once_a_corrected_file_has_each_of_them(tmp_path: Path) -> None:
    abc, end = interval("abc"), "2024-05-03T00:00:00Z"
    wrong_body = data_arrived(
        read_data("m1", [1000, abc]),
        read_data("m2", [7], quantity="Gas"),
        read_data("m3", [abc, 2000]),
        read_data("m8", [1000], pulse="x", scaling="None"),
        read_data("m1", registers=register("-", at=end)),
    )
    shifted = read_data("m3", [1000, 2000], end=end)  # of the next day
    async with a_rig(tmp_path) as rig:
        wrong = await take_file(rig, tmp_path / "a.xml", wrong_body)
        assert await open_records(rig, wrong.id) == ["m1", "m2", "m3", "m8", "m1"]
        right = data_arrived(read_data("m1", [1000, 1500]), read_data("m3", [2000]), shifted)
        loaded = await take_file(rig, tmp_path / "b.xml", right, wrong.id)
        assert await open_records(rig, wrong.id) == ["m2", "m3", "m8", "m1"]
        (closed,) = await rig.data.errors(state="corrected")
        assert (closed.endpoint, closed.reason) == ("m1", "not_a_number")
        (*_, entry) = await rig.store.audit(subject=f"payload:{wrong.id}")
        assert (entry.note.action, entry.note.detail["by"]) == ("Corrected", loaded.id)
        assert entry.note.detail["records"] == [closed.id]

        rig.tables["quantities"] = {"Gas": {"unit": "m3"}}
        await rig.desk.reload(by="ann")
        await rig.add(a_meter("m8"))
        right = data_arrived(
            read_data("m2", [7], quantity="Gas"),
            read_data("m3", [1000, 2000]),
            read_data("m8", [1000]),
            read_data("m1", registers=register("9", at=end)),
        )
        await take_file(rig, tmp_path / "c.xml", right, wrong.id)
        assert await open_records(rig, wrong.id) == []
        assert len(await rig.data.errors(state="corrected")) == 5


async def test_values_that_a_corrected_file_repeats_close_and_those_of_others_do_not(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("m1", [1000])))
        wrong = await take_file(
            rig, tmp_path / "a.xml", data_arrived(read_data("m1", [interval("abc")]))
        )
        await take_file(rig, tmp_path / "b.xml", data_arrived(read_data("m2", [2000])), wrong.id)
        assert await open_records(rig, wrong.id) == ["m1"]
        right = await take_file(
            rig, tmp_path / "c.xml", data_arrived(read_data("m1", [1000])), wrong.id
        )
        assert (right.counts["new"], right.counts["repeated"]) == (0, 1)
        assert await open_records(rig, wrong.id) == []


async def test_more_records_than_are_looked_at_at_once_are_closed(tmp_path: Path) -> None:
    """Each register is a record of its own."""
    times = [f"2024-05-{day:02}T{hour:02}:00:00Z" for day in (1, 2, 3) for hour in range(24)]

    def body(value: str) -> bytes:
        made = "".join(register(value, at=at) for at in times)
        return data_arrived(read_data("m1", registers=made))

    async with a_rig(tmp_path) as rig:
        wrong = await take_file(rig, tmp_path / "a.xml", body("?"))
        assert wrong.counts["errors"] == wrong.counts["rejected"] == 72
        await take_file(rig, tmp_path / "b.xml", body("5"), wrong.id)
        assert await open_records(rig, wrong.id) == []
        assert len(await rig.data.errors(state="corrected")) == 72


async def test_a_file_is_no_correction_of_itself(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        body = data_arrived(read_data("m1", [interval("abc")]), read_data("m1", [1000]))
        wrong = await take_file(rig, tmp_path / "a.xml", body)
        await take_file(rig, tmp_path / "a.xml", body, wrong.id)
        assert await open_records(rig, wrong.id) == ["m1"]


async def test_a_file_that_was_refused_as_a_whole_says_by_what_it_was_corrected(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path) as rig:
        body = data_arrived(read_data("m1", [1]))
        wrong = await take_file(rig, tmp_path / "a.xml", body[:-20])
        right = await take_file(rig, tmp_path / "b.xml", body, wrong.id)
        await take_file(rig, tmp_path / "b.xml", body, wrong.id)
        (_, refused) = await rig.data.payloads()
        assert refused.state is PayloadState.QUARANTINED
        assert refused.reason == f"{wrong.reason}; corrected by payload {right.id}"


async def test_an_error_record_is_discarded_once_with_a_reason(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await take_file(rig, tmp_path / "a.xml", data_arrived(NAMELESS))
        (record,) = await rig.desk.errors()
        await rig.desk.discard(record.id, by="ann", reason="a test meter")
        assert await rig.desk.errors() == []
        with pytest.raises(Conflict, match="discarded"):
            await rig.desk.discard(record.id, by="ann", reason="again")
        with pytest.raises(NotFound):
            await rig.desk.discard(4711, by="ann", reason="")
        (entry,) = await rig.store.audit(subject=f"intake-error:{record.id}")
        assert (entry.note.actor, entry.note.detail) == ("ann", {"reason": "a test meter"})


# ---------------------------------------------------------------- tables


async def test_tables_are_read_again_or_those_before_stay(tmp_path: Path) -> None:
    async with a_rig(tmp_path, a_meter("m1")) as rig:
        rig.tables["quantities"] = {"Gas": {"unit": "m3"}}
        gas = data_arrived(read_data("m1", [5], quantity="Gas"))
        assert (await rig.take(gas)).counts["errors"] == 1
        made = await rig.desk.reload(by="ann")
        assert (made.events, made.storm_rules, made.since) == (2, 1, rig.clock.now())
        assert (await rig.take(gas, spooled=True)).counts["new"] == 1

        rig.tables["quantities"] = {"Gas": {"unit": "l"}, "Steam": {"multiplier": "x"}}
        with pytest.raises(SettingsError, match="Steam"):
            await rig.desk.reload(by="ann")
        rig.tables["quantities"] = {"Gas": {"unit": "l"}}
        rig.event_tables["event"] = [{"name": "Cover", "standard": ""}]
        with pytest.raises(SettingsError, match="event 1 needs"):
            await rig.desk.reload(by="ann")
        (*_, value) = await rig.values()
        assert value.unit == "m3"
        assert (await rig.take(gas)).counts["repeated"] == 1

        rig.event_tables["event"] = [{"name": "Cover", "standard": "tamper"}]
        assert (await rig.desk.reload(by="ann")).events == 3
        assert (await rig.take(gas)).counts["new"] == 1
        entries = await rig.store.audit(subject="tables")
        assert [entry.note.actor for entry in entries] == ["ann", "ann"]


def test_only_the_wanted_parts_are_made_and_nothing_is_read_behind_them() -> None:
    body = [data_arrived(*(read_data(f"m{n}", [n]) for n in range(4)))[:-200], b"<<<"]
    found = list(batches(body, Lookups(), only=[0, 2]))
    assert [batch.normals[0].identifier for batch in found] == ["m0", "m2"]
    assert [batch.parts for batch in found] == [1, 1]
    with pytest.raises(Broken):
        list(batches(body, Lookups(), only=[3]))

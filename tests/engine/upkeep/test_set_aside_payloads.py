"""One payload, file, error record or event that cannot be worked, and the others behind it."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.engine.commands.ports import InboxState, Received
from adapter.engine.readings.ports import PayloadState
from adapter.engine.readings.spool import hand_in
from adapter.engine.upkeep.set_aside import FailedState, RowKind
from adapter.events.types import StormRule, event_tables
from tests.engine.events.events_on_a_store import NOON, EventStage, event_stage, power
from tests.engine.readings.store_with_intake import ALWAYS, DATA
from tests.engine.upkeep.broken_rows import BROKEN, Broken, Stage, a_stage, kept, plant
from tests.wire.payloads import data_arrived, event_log, meter_event, read_data

ESN = "2.16.840.1.114416.15.243.70000{}"


async def arrive(stage: Stage, body: bytes, *, spooled: bool = False) -> None:
    spool = None
    if spooled:
        spooling = stage.taking.spool.begin(stage.clock.now())
        await spooling.add(body)
        spool = await spooling.done()
    raw = b"" if spooled else body
    await stage.store.receive(
        [Received(operation=DATA, raw=raw, at=stage.clock.now(), spool=spool)]
    )


def of(number: int, *values: object) -> bytes:
    return data_arrived(read_data(ESN.format(number), values or (1, 2)))


async def values(stage: Stage, number: int) -> int:
    from adapter.model.ids import EndpointId

    found = await stage.taking.data.values_between(*ALWAYS, endpoint=EndpointId(ESN.format(number)))
    return len(found)


def bad_device(folder: Path, number: int) -> Broken:
    """JSON by which the meter is found, and of which no device can be made."""
    broken = Broken(folder, "device", "body", "id", f"M{number}")
    body = json.dumps({"endpoint": ESN.format(number)}).encode()
    plant(folder, "UPDATE device SET body = ? WHERE id = ?", body, f"M{number}")
    return broken


@pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])
@pytest.mark.seconds(120)
async def test_a_payload_that_fails_holds_up_no_other_and_keeps_its_body(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_stage(tmp_path) as stage:
        broken = bad_device(tmp_path, 1)
        await arrive(stage, of(1), spooled=spooled)
        await arrive(stage, of(2), spooled=spooled)
        await stage.work()
        assert await values(stage, 2) == 2
        row = await stage.only(RowKind.PAYLOAD, FailedState.WAITING)
        assert (row.row, row.tries) == ("1", 1)
        assert "ValidationError" in (row.error, row.detail.partition(":")[0])
        await stage.tries()
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at) as stage:
        await stage.later(timedelta(days=3))
        stage.taking.intake.keep_house_now()
        await stage.work()
        row = await stage.only(RowKind.PAYLOAD)
        assert row.tries == 5
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        await stage.work()
        assert (await stage.failed(), await values(stage, 1)) == ([], 2)


async def test_a_payload_that_is_discarded_is_over_and_listed_as_refused(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        bad_device(tmp_path, 1)
        await arrive(stage, of(1))
        await stage.work()
        await stage.tries()
        row = await stage.only(RowKind.PAYLOAD)
        await stage.set_aside.discard(row.id, by="me", reason="a test meter")
        await stage.work()
        (inbound,) = await stage.gateway.inbox.list()
        assert inbound.state is InboxState.DISCARDED
        (payload,) = await stage.taking.data.payloads()
        assert payload.state is PayloadState.QUARANTINED
        assert "a test meter" in payload.reason


async def test_data_of_a_set_aside_payload_are_not_waited_for(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        bad_device(tmp_path, 1)
        await arrive(stage, of(1))
        await stage.work()
        assert await stage.store.untaken(stage.clock.now())
        await stage.tries()
        assert not await stage.store.untaken(stage.clock.now())


async def test_a_file_whose_ticket_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        for number in (1, 2):
            path = tmp_path / f"{number}.xml"
            path.write_bytes(of(number))
            await hand_in(stage.taking.spool, path, stage.clock)
        first, second = stage.taking.spool.handed_in()
        ticket = stage.taking.spool.folder / "incoming" / f"{first}.json"
        good = ticket.read_bytes()
        ticket.write_bytes(BROKEN)
        await stage.work()
        assert stage.taking.spool.handed_in() == [first]
        assert (await stage.only(RowKind.FILE, FailedState.WAITING)).row == first
        await stage.tries()
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at) as stage:
        row = await stage.only(RowKind.FILE)
        stage.taking.intake.keep_house_now()
        await stage.later(timedelta(days=1))
        assert (stage.taking.spool.folder / first).exists()
        ticket.write_bytes(good)
        await stage.set_aside.retry(row.id, by="me")
        await stage.work()
        assert stage.taking.spool.handed_in() == []
        assert [await values(stage, number) for number in (1, 2)] == [2, 2]
        assert await stage.failed() == []
        assert second != first


async def test_a_file_that_is_discarded_is_not_looked_at_again(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        path = tmp_path / "1.xml"
        path.write_bytes(of(1))
        await hand_in(stage.taking.spool, path, stage.clock)
        bad_device(tmp_path, 1)
        await stage.work()
        await stage.tries()
        row = await stage.only(RowKind.FILE)
        await stage.set_aside.discard(row.id, by="me", reason="no use")
        assert stage.taking.spool.handed_in() == []
        await stage.work()


async def test_an_error_record_that_fails_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        unknown = [read_data(f"u{n}", [1], quantity=f"Odd {n}") for n in (1, 2)]
        bad = read_data("", [1])
        await arrive(stage, data_arrived(*unknown, bad))
        await stage.work()
        intake = stage.taking.intake
        assert len(await stage.taking.data.errors()) == 3
        broken = Broken(tmp_path, "intake_error", "body", "id", 1)
        for tries in range(1, 6):
            counts = await intake.reprocess()
            assert (counts.errors, counts.bad_parts) == (2, 1)
            row = (await stage.failed())[0]
            assert (row.kind, row.tries) == (RowKind.ERROR_RECORD, tries)
            await stage.clock.turn(stage.clock.now() + timedelta(minutes=11))
        row = await stage.only(RowKind.ERROR_RECORD)
        await intake.reprocess()
        assert (await stage.only(RowKind.ERROR_RECORD)).tries == 5
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        await intake.reprocess()
        assert await stage.failed() == []


async def test_an_error_record_that_is_discarded_is_closed(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        await arrive(stage, data_arrived(read_data("u1", [1], quantity="Odd")))
        await stage.work()
        Broken(tmp_path, "intake_error", "body", "id", 1)
        for _ in range(5):
            await stage.taking.intake.reprocess()
            await stage.clock.turn(stage.clock.now() + timedelta(minutes=11))
        row = await stage.only(RowKind.ERROR_RECORD)
        await stage.set_aside.discard(row.id, by="me", reason="no use")
        assert await stage.taking.data.errors() == []


async def test_a_body_that_cannot_be_forgotten_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        for number in (1, 2):
            await arrive(stage, of(number))
        await stage.work()
        broken = Broken(tmp_path, "payload", "counts", "id", 1)
        kept_raw = "SELECT group_concat(raw_kept, '') FROM (SELECT * FROM payload ORDER BY id)"
        await stage.clock.turn(stage.clock.now() + timedelta(days=2))
        stage.taking.intake.keep_house_now()
        await stage.work()
        assert kept(tmp_path, kept_raw) == "10"

        async def keep_house() -> None:
            stage.taking.intake.keep_house_now()
            await stage.work()

        await stage.tries(keep_house)
        row = await stage.only(RowKind.BODY)
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        await keep_house()
        assert (kept(tmp_path, kept_raw), await stage.failed()) == ("00", [])


# ---------------------------------------------------------------- events


async def at_events(stage: EventStage, state: FailedState | None = None) -> list[tuple[str, str]]:
    rows = await stage.store.set_aside.rows(state=state)
    return [(each.kind.value, each.row) for each in rows]


async def wear_out(stage: EventStage) -> None:
    for _ in range(5):
        await stage.clock.turn(stage.clock.now() + timedelta(minutes=11))
        await stage.work()


@pytest.mark.parametrize("number", [1, 2, 3], ids=["first", "middle", "last"])
async def test_an_event_that_cannot_be_read_is_passed_by_the_cursor(
    tmp_path: Path, number: int
) -> None:
    async with event_stage(tmp_path) as stage:
        await stage.arrive([power(n, NOON, sequence=n) for n in (1, 2, 3)])
        broken = Broken(tmp_path, "arrived_event", "body", "id", number)
        await stage.work()
        assert len(await stage.published()) == 2
        await stage.arrive([power(4, NOON, sequence=4)])
        await stage.work()
        assert len(await stage.published()) == 3
        await wear_out(stage)
        assert await at_events(stage, FailedState.SET_ASIDE) == [("event", str(number))]
    async with event_stage(tmp_path) as stage:
        await stage.clock.turn(NOON + timedelta(days=1))
        (row,) = await stage.store.set_aside.rows()
        assert row.tries == 5
        await stage.work()
        broken.mend()
        await stage.store.set_aside.retry(row.id, by="me")
        await stage.work()
        assert (len(await stage.published()), await at_events(stage)) == (4, [])


async def test_an_event_that_cannot_be_taken_costs_none_of_its_batch(tmp_path: Path) -> None:
    """Its own transaction fails: a trigger stands for whatever the store refuses."""
    async with event_stage(tmp_path) as stage:
        refuse = (
            "CREATE TRIGGER refused BEFORE INSERT ON device_event WHEN NEW.sequence = 2 "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
        plant(tmp_path, refuse)
        await stage.arrive([power(n, NOON, sequence=n) for n in (1, 2, 3)])
        await stage.work()
        assert len(await stage.published()) == 2
        await wear_out(stage)
        assert await at_events(stage, FailedState.SET_ASIDE) == [("event", "2")]
        plant(tmp_path, "DROP TRIGGER refused")
        (row,) = await stage.store.set_aside.rows()
        await stage.store.set_aside.discard(row.id, by="me", reason="no use")
        await stage.work()
        assert len(await stage.published()) == 2
        assert await at_events(stage) == [("event", "2")]


async def test_an_unknown_event_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        odd = (meter_event(f"Odd {n}").replace(">18001<", ">99<") for n in (1, 2))
        log = event_log(*odd)
        await arrive(stage, data_arrived(read_data(ESN.format(1), [1], log=log)))
        await stage.work()
        events = stage.taking.events
        assert len(await events.errors()) == 2
        broken = Broken(tmp_path, "event_error", "body", "id", 1)
        for _ in range(5):
            taken = await events.reprocess(by="me")
            assert taken.unknown == 1
            await stage.clock.turn(stage.clock.now() + timedelta(minutes=11))
        row = await stage.only(RowKind.EVENT_ERROR)
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        assert (await events.reprocess(by="me")).unknown == 2


async def test_a_storm_that_cannot_be_summed_up_holds_up_no_other(tmp_path: Path) -> None:
    tables = event_tables(storms=(StormRule(publications=1, window_s=60.0),))
    async with event_stage(tmp_path, tables) as stage:
        await stage.arrive([power(n, NOON, sequence=n) for n in (1, 2, 3)])
        await stage.work()
        plant(tmp_path, "INSERT INTO event_window VALUES ('a', 1, 2, 1, 1, ?, 0)", BROKEN)
        await stage.clock.turn(NOON + timedelta(minutes=2))
        await stage.work()
        told = [row.publication.type for row in await stage.published()]
        assert told.count("openway.device.event_storm") == 1
        await wear_out(stage)
        assert await at_events(stage, FailedState.SET_ASIDE) == [("storm", "a/1")]
        plant(tmp_path, "UPDATE event_window SET counts = ? WHERE bucket = 'a'", b"{}")
        (row,) = await stage.store.set_aside.rows()
        await stage.store.set_aside.retry(row.id, by="me")
        await stage.work()
        told = [row.publication.type for row in await stage.published()]
        assert told.count("openway.device.event_storm") == 2

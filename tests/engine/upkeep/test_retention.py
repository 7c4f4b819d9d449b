"""What is removed, when, and what never is: by age, in small batches, the clock turned by hand."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import Command, State
from adapter.engine.commands.ports import (
    Change,
    Disposition,
    InboxState,
    LoggedCall,
    Received,
)
from adapter.engine.events.ports import EventFilter
from adapter.engine.upkeep.retention import Kept, Retention
from adapter.events.types import EventType, StormRule, event_tables
from adapter.model.ids import InboxId
from adapter.model.values import replace
from adapter.service.settings import RetentionSettings
from adapter.service.upkeep import kept_days
from adapter.store.connection import SqlConnection
from adapter.store.upkeep.retention import SqlitePruning
from tests.builders import a_command, a_note, a_publication, a_submission
from tests.engine.events.events_on_a_store import NOON, EventStage, event_stage, power
from tests.engine.readings.store_with_intake import a_rig
from tests.wire.payloads import data_arrived, read_data

DAYS: Mapping[Kept, float | None] = dict.fromkeys(Kept, 10.0)
OPEN = EventFilter(limit=1_000)


@dataclass
class Kept10(EventStage):
    """An event stage whose rows are kept for ten days."""

    @property
    def retention(self) -> Retention:
        return Retention(SqlitePruning(self.store.database), self.clock, DAYS)

    async def days_later(self, days: float) -> None:
        await self.clock.turn(self.clock.now() + timedelta(days=days))

    async def count(self, table: str) -> int:
        def work(db: SqlConnection) -> int:
            found: int = db.execute(f"SELECT count(*) FROM {table}").get
            return found

        return await self.store.database.query(work)

    async def put_command(self, number: int, state: State) -> Command:
        made = a_submission(number, command=a_command(number, state=state))
        await self.store.submit([made])
        return (await self.store.load([made.command.id]))[made.command.id]


@asynccontextmanager
async def kept(folder: Path) -> AsyncIterator[Kept10]:
    async with event_stage(folder, event_tables(storms=(StormRule(publications=1),))) as made:
        yield Kept10(
            store=made.store, data=made.data, events=made.events, clock=made.clock, loads=0
        )


# ---------------------------------------------------------------- messages of commands


async def test_messages_stay_until_their_command_has_ended_and_they_are_old(tmp_path: Path) -> None:
    ended = {State.COMPLETED, State.DISCARDED, State.CANCELED, State.RESOLVED}
    states = (*ended, State.NEEDS_PERSON, State.WAITING_FOR_MEASUREMENT, State.PENDING)

    async def said(made: Kept10, command: Command) -> InboxId:
        """One message of its communication, and one of the head end about it."""
        at, (communication, *_) = made.clock.now(), command.communications
        call = LoggedCall(
            communication=communication.id,
            sent_at=at,
            replied_at=at,
            operation="x",
            request=b"<x/>",
            status=200,
            reply=b"<y/>",
        )
        made.store.log_call(call)
        (inbox,) = await made.store.receive([Received(operation="x", raw=b"<x/>", at=at)])
        applied = Disposition(inbox=inbox, state=InboxState.APPLIED, command=command.id)
        await made.store.save([Change(inbox=(applied,))])
        return inbox

    async with kept(tmp_path) as made:
        told: dict[State, tuple[Command, InboxId]] = {}
        for number, state in enumerate(states, 1):
            command = await made.put_command(number, state)
            told[state] = (command, await said(made, command))
        await made.days_later(9.9)
        assert sum((await made.retention.run()).values()) == 0
        await made.days_later(0.2)
        await made.retention.run()
        for state, (command, inbox) in told.items():
            assert bool(await made.store.messages(command.id)) == (state not in ended)
            assert (await made.store.inbox_row(inbox) is None) == (state in ended)
            assert (await made.store.load([command.id]))[command.id] == command


# ---------------------------------------------------------------- the inbox


async def test_only_messages_that_were_dealt_with_are_removed(tmp_path: Path) -> None:
    gone = {InboxState.APPLIED, InboxState.IGNORED, InboxState.STORED, InboxState.DISCARDED}
    async with kept(tmp_path) as made:
        at = made.clock.now()
        ids = await made.store.receive(
            [Received(operation="", raw=b"raw", at=at, state=state) for state in InboxState]
        )
        await made.days_later(11)
        retention = Retention(SqlitePruning(made.store.database), made.clock, {Kept.INBOX: 10.0})
        assert await retention.run() == {Kept.INBOX: len(gone)}
        left = [row for row in [await made.store.inbox_row(number) for number in ids] if row]
        assert {row.state for row in left} == set(InboxState) - gone
        assert {row.raw for row in left} == {b"raw"}
        assert await made.count("inbox_raw") == len(InboxState) - len(gone)


async def test_undecided_quarantine_is_kept_unless_a_site_says_otherwise(tmp_path: Path) -> None:
    async with kept(tmp_path) as made:
        received = Received(
            operation="",
            raw=b"raw",
            at=made.clock.now(),
            state=InboxState.QUARANTINED,
            reason="not XML",
        )
        (inbox,) = await made.store.receive([received])
        await made.days_later(5_000)
        usual = Retention(
            SqlitePruning(made.store.database), made.clock, kept_days(RetentionSettings())
        )
        await usual.run()
        row = await made.store.inbox_row(inbox)
        assert row is not None
        assert row.raw == b"raw"
        only = Retention(SqlitePruning(made.store.database), made.clock, {Kept.QUARANTINE: 10.0})
        assert await only.run() == {Kept.QUARANTINE: 1}
        row = await made.store.inbox_row(inbox)
        assert row is not None
        assert row.state is InboxState.DISCARDED
        assert row.reason == "not XML; nobody decided about it in time"
        told = [each.note for each in await made.store.audit(subject=f"inbox:{inbox}")]
        assert [(each.actor, each.action) for each in told] == [
            ("listener", "Refused"),
            ("gateway", "Discarded"),
        ]
        await usual.run()
        assert await made.store.inbox_row(inbox) is None
        assert await made.store.verify_audit() == 2


@pytest.mark.parametrize("spooled", [False, True])
async def test_bodies_of_refused_payloads_go_once_they_are_discarded_and_those_of_open_parts_stay(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        pruned = Retention(SqlitePruning(rig.store.database), rig.clock, {Kept.INBOX: 10.0})
        broken = await rig.arrive(b"<broken", spooled=spooled)
        bad = await rig.arrive(data_arrived(read_data("", [1])), spooled=spooled)
        await rig.work()

        async def later() -> list[bool]:
            await rig.clock.turn(rig.clock.now() + timedelta(days=20))
            rig.intake.keep_house_now()
            await rig.work()
            await pruned.run()
            found = [await rig.store.inbox_row(inbox) for inbox in (broken, bad)]
            return [row is not None and not (await rig.desk.excerpt(row)).removed for row in found]

        assert await later() == [True, True]
        discarded = Disposition(inbox=broken, state=InboxState.DISCARDED)
        await rig.store.save([Change(inbox=(discarded,))])
        (record,) = await rig.data.errors()
        assert await later() == [False, True]
        await rig.desk.discard(record.id, by="ann", reason="")
        assert await later() == [False, False]
        assert [await rig.store.inbox_row(inbox) for inbox in (broken, bad)] == [None, None]
        assert list(rig.spool.folder.glob("*.gz")) == []
        assert len(await rig.data.payloads()) == 2


# ---------------------------------------------------------------- events


async def test_old_events_go_with_their_spells_but_not_what_began_an_outage_that_lasts(
    tmp_path: Path,
) -> None:
    async with kept(tmp_path) as made:
        hour = timedelta(hours=1)
        await made.arrive([power(1, NOON), power(1, NOON + hour, up=True), power(2, NOON)])
        await made.work()
        await made.days_later(11)
        fresh = made.clock.now()
        await made.arrive([power(3, NOON), power(3, fresh, up=True)])
        await made.work()
        removed = await made.retention.run()
        assert (removed[Kept.ARRIVALS], removed[Kept.EVENTS]) == (3, 2)
        left = [item.event.endpoint for item in await made.events.events(OPEN)]
        assert sorted(left) == sorted([power(n, NOON).identifier for n in (2, 3, 3)])
        (dark,) = await made.events.outages()
        assert dark.started_at == NOON
        (over,) = await made.events.outages(ongoing=False)
        assert over.ended_at == fresh
        await made.arrive([power(2, fresh, up=True)])
        await made.work()
        assert await made.events.count_without_supply() == 0
        longest = (await made.events.outages(ongoing=False))[-1]
        assert longest.started_at == NOON


async def test_arrivals_that_nobody_has_looked_at_and_unknown_ones_stay(tmp_path: Path) -> None:
    async with kept(tmp_path) as made:
        cover = replace(power(1, NOON), name="Cover Removed", number=None)
        await made.arrive([cover])
        await made.work()
        await made.arrive([power(2, NOON)])
        await made.days_later(11)
        removed = await made.retention.run()
        assert sum(removed.values()) == removed[Kept.PUBLICATIONS] == 2
        made.again(event_tables([EventType(name="Cover Removed", standard="tamper")]))
        assert (await made.events.reprocess(by="ann")).new == 1
        await made.work()
        removed = await made.retention.run()
        assert removed[Kept.ARRIVALS] == 2
        assert removed[Kept.EVENT_ERRORS] == 1
        assert removed[Kept.EVENTS] == 0


async def test_storms_that_were_summed_up_are_forgotten_and_others_not(tmp_path: Path) -> None:
    async with kept(tmp_path) as made:
        await made.arrive([power(number, NOON) for number in range(5)])
        await made.work()
        assert await made.count("event_window") == 1
        await made.days_later(20)
        assert (await made.retention.run())[Kept.STORMS] == 0
        await made.work()
        assert (await made.retention.run())[Kept.STORMS] == 1
        assert await made.count("event_window") == 0


# ---------------------------------------------------------------- the rest


async def test_publications_wait_for_the_slowest_sink_and_the_audit_is_whole(
    tmp_path: Path,
) -> None:
    async with kept(tmp_path) as made:
        for number in range(4):
            told = a_publication(f"event-{number}")
            await made.store.save([Change(publications=(told,), audit=(a_note(),))])
        await made.store.delivered("fast", 4)
        await made.store.delivered("slow", 2)
        await made.store.database.write(lambda tx: None)  # what was delivered goes along with it
        await made.days_later(11)
        assert (await made.retention.run())[Kept.PUBLICATIONS] == 2
        assert [row.seq for row in await made.store.outbox("slow", limit=10)] == [3, 4]
        assert await made.store.verify_audit() == 4


async def test_closed_error_records_go_and_open_ones_stay(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(read_data("", [1]), read_data("m9", [1])))
        first, second = await rig.data.errors()
        await rig.desk.discard(first.id, by="ann", reason="")
        await rig.clock.turn(rig.clock.now() + timedelta(days=11))
        retention = Retention(SqlitePruning(rig.store.database), rig.clock, DAYS)
        assert (await retention.run())[Kept.ERRORS] == 1
        assert await rig.data.errors(state="discarded") == []
        assert [record.id for record in await rig.data.errors()] == [second.id]


async def test_a_sweep_goes_in_batches_with_a_rest_after_each_and_once_an_hour(
    tmp_path: Path,
) -> None:
    async with kept(tmp_path) as made:
        for _ in range(5):
            batch = [
                Received(operation="", raw=b"", at=made.clock.now(), state=InboxState.IGNORED)
            ] * 50
            await made.store.receive(batch)
        young = Received(operation="", raw=b"", at=made.clock.now(), state=InboxState.NEW)
        await made.store.receive([young])
        await made.days_later(11)
        retention = Retention(SqlitePruning(made.store.database), made.clock, {Kept.INBOX: 10.0})
        left = []
        for _ in range(5):
            assert await retention.once() == 0
            left.append(await made.count("inbox"))
        assert left == [151, 51, 1, 1, 1]
        assert retention.last == made.clock.now()
        assert not retention.running
        old = Received(operation="", raw=b"", at=NOON, state=InboxState.IGNORED)
        (late,) = await made.store.receive([old])
        await retention.once()
        assert await made.store.inbox_row(late) is not None
        await made.days_later(1 / 24)
        await retention.once()
        assert await made.store.inbox_row(late) is None
        (state,) = [item for item in retention.states() if item.what is Kept.INBOX]
        assert (state.days, state.removed) == (10.0, 251)


async def test_a_sweep_that_is_asked_for_begins_at_once(tmp_path: Path) -> None:
    async with kept(tmp_path) as made:
        retention = Retention(SqlitePruning(made.store.database), made.clock, {Kept.INBOX: 10.0})
        await retention.once()
        assert not retention.running
        retention.ask()
        assert retention.running


def test_nought_days_are_for_ever() -> None:
    days = kept_days(RetentionSettings(messages_days=0.0, inbox_days=1.5))
    assert (days[Kept.MESSAGES], days[Kept.QUARANTINE], days[Kept.INBOX]) == (None, None, 1.5)
    assert set(days) == set(Kept)

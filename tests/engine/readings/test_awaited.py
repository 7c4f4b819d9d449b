"""Reads that wait for data: what is asked about, how far they are, when a meter is missing."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from adapter.commands.activity import Command, Outcome, ReadPeriod, State, StepKind, Tally
from adapter.commands.calls import ReadingKind
from adapter.commands.flows import CommandKind
from adapter.commands.rules import SwitchPolicy
from adapter.commands.timing import POLICIES
from adapter.engine.clock import HandClock
from adapter.engine.commands.apply import Applier
from adapter.engine.commands.at_once import AtOnce
from adapter.engine.commands.awaited import MANY, Awaited, Progress
from adapter.engine.commands.completer import Completer
from adapter.engine.commands.monitor import Monitor
from adapter.engine.commands.ports import Change, Disposition, Import, InboxState, Received
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.commands.validation import Validation
from adapter.engine.readings.intake import PayloadIntake
from adapter.engine.registry.store_registry import StoreRegistry
from adapter.model.ids import EndpointId, InboxId
from adapter.service.payloads import taking
from adapter.service.settings import IntakeSettings
from adapter.store.commands.commands import SqliteStore
from adapter.store.readings.measurements import SqliteMeasurements
from tests.builders import NOON, a_command, a_device, a_request, a_submission, at
from tests.wire.payloads import data_arrived, read_data

DATA = "DataSubscriberService.DataArrived"
WINDOW_S = 60.0
LEASE_S = 30.0
FEW, CITY = 3, MANY + 50


def a_read(meters: int, state: State = State.WAITING_FOR_MEASUREMENT) -> Command:
    """The result is here, nobody failed, and data are awaited until WINDOW_S after NOON."""
    period = ReadPeriod(start=NOON - timedelta(hours=1), end=NOON)
    kind = CommandKind.SCHEDULED_READ_INTERVAL
    return a_command(
        devices=tuple(f"M-{number:04}" for number in range(meters)),
        request=a_request(kind, devices=(), group="Feeder 7", period=period),
        state=state,
        communications=(),
        steps_done=(StepKind.MAIN,),
        tally=Tally(requested=meters, succeeded=meters),
        window_until=at(WINDOW_S),
        retry_at=NOON,
    )


@dataclass
class Waiting:
    store: SqliteStore
    data: SqliteMeasurements
    clock: HandClock
    monitor: Monitor
    intake: PayloadIntake
    command: Command

    async def work(self, seconds: float) -> Command:
        """Turn the clock to so many seconds after NOON and do what is due."""
        await self.clock.turn(at(seconds))
        while await self.monitor.once():
            pass
        return (await self.store.load([self.command.id]))[self.command.id]

    async def arrives(self, seconds: float) -> InboxId:
        """A payload that is here and waits to be taken in."""
        taking = Received(operation=DATA, raw=b"", at=at(seconds), state=InboxState.LOADING)
        (inbox,) = await self.store.receive([taking])
        return inbox

    async def taken(self, inbox: InboxId, meters: Sequence[int], *, minutes: float = 0.0) -> None:
        """It is taken in, and gave these meters an interval that ends so long before NOON."""
        endpoints = [self.command.targets[number].endpoint for number in meters]
        when = NOON - timedelta(minutes=minutes)
        stored = Disposition(inbox=inbox, state=InboxState.STORED)
        await self.store.save([Change(inbox=(stored,))])
        body = data_arrived(*(read_data(each, [1], end=when.isoformat()) for each in endpoints))
        row = await self.store.inbox_row(inbox)
        assert row is not None
        taking = Received(operation=DATA, raw=body, at=row.at, state=InboxState.LOADING)
        await self.store.receive([taking])
        brought = await self.intake.once()
        assert set(brought.endpoints) == set(endpoints)
        self.monitor.data_arrived(brought.endpoints)


class LoadedInBetween(SqliteMeasurements):
    """Measurements among which a payload is loaded just after they have said who has readings."""

    on_answer: Callable[[], Awaitable[None]] | None = None

    async def with_readings(
        self,
        endpoints: Sequence[EndpointId],
        kind: ReadingKind,
        start: datetime,
        end: datetime,
    ) -> frozenset[EndpointId]:
        found = await super().with_readings(endpoints, kind, start, end)
        if self.on_answer is not None:
            load, self.on_answer = self.on_answer, None
            await load()
        return found


@asynccontextmanager
async def waiting(
    folder: Path, meters: int, data_type: type[SqliteMeasurements] = SqliteMeasurements
) -> AsyncIterator[Waiting]:
    clock = HandClock(NOON)
    store = SqliteStore(folder / "gateway.db", now=clock.now)
    await store.open()
    try:
        command = a_read(meters)
        devices = tuple(a_device(each.device, endpoint=each.endpoint) for each in command.targets)
        await store.import_(Import(devices=devices))
        await store.submit([a_submission(command=command, wake=NOON)])
        made = taking(store, clock, IntakeSettings())
        data = data_type(store.database)
        registry, monitors = StoreRegistry(store), list[Monitor]()
        holds = SwitchHolds(None, clock)
        at_once = AtOnce(holds)

        def changed(saved: Command) -> None:
            monitors[0].changed(saved)

        applier = Applier(store, clock, POLICIES, at_once, changed=changed)
        rules = Validation(store, registry, frozenset(CommandKind), SwitchPolicy())
        completer = Completer(data, registry, applier, clock)
        monitors.append(
            Monitor(store, data, applier, completer, clock, rules, holds, at_once, lease_s=LEASE_S)
        )
        yield Waiting(store, data, clock, monitors[0], made.intake, command)
        await made.intake.stop()
    finally:
        await store.close()


@pytest.mark.parametrize("meters", [FEW, CITY])
async def test_what_came_in_time_is_not_missing(tmp_path: Path, meters: int) -> None:
    async with waiting(tmp_path, meters) as made:
        inbox = await made.arrives(WINDOW_S - 1)
        held = await made.work(WINDOW_S + 1)
        assert held.activity.state is State.WAITING_FOR_MEASUREMENT
        await made.taken(inbox, range(1, meters))
        done = await made.work(WINDOW_S + LEASE_S + 2)
        assert done.activity.state is State.COMPLETED
        tally = done.activity.tally
        assert (tally.succeeded, tally.missing) == (meters - 1, 1)
        missing = [
            row.endpoint for row in await made.store.outcomes(done.id) if row.result == "missing"
        ]
        assert missing == [done.targets[0].endpoint]


@pytest.mark.parametrize("meters", [FEW, CITY])
async def test_what_is_loaded_while_the_store_is_asked_is_seen_at_once(
    tmp_path: Path, meters: int
) -> None:
    async with waiting(tmp_path, meters, LoadedInBetween) as made:
        assert isinstance(made.data, LoadedInBetween)
        inbox = await made.arrives(0)
        made.data.on_answer = partial(made.taken, inbox, range(meters))
        assert (await made.work(0)).activity.state is State.COMPLETED


@pytest.mark.parametrize("meters", [FEW, CITY])
async def test_what_comes_after_the_window_holds_nothing_up(tmp_path: Path, meters: int) -> None:
    async with waiting(tmp_path, meters) as made:
        await made.work(0)
        await made.arrives(WINDOW_S + 0.5)
        done = await made.work(WINDOW_S + 1)
        assert done.activity.outcome is Outcome.NO_DATA


@pytest.mark.parametrize("meters", [FEW, CITY])
async def test_the_interval_that_ends_with_the_start_is_the_period_before_s(
    tmp_path: Path, meters: int
) -> None:
    async with waiting(tmp_path, meters) as made:
        await made.taken(await made.arrives(1), range(meters), minutes=60)
        assert not (await made.work(2)).activity.state.final
        await made.taken(await made.arrives(3), range(meters), minutes=45)
        assert (await made.work(4)).activity.state is State.COMPLETED


async def test_a_city_is_followed_payload_by_payload(tmp_path: Path) -> None:
    async with waiting(tmp_path, CITY) as made:
        assert made.monitor.progress(made.command.id) is None
        await made.work(0)
        await made.taken(await made.arrives(1), range(100))
        version = (await made.work(2)).version
        assert made.monitor.progress(made.command.id) == Progress(
            expected=CITY, read=100, failed=0, waiting=CITY - 100
        )
        # Without data of this period a payload changes nothing.
        await made.taken(await made.arrives(3), range(100, 110), minutes=120)
        assert (await made.work(4)).version == version
        await made.taken(await made.arrives(5), range(100, CITY))
        done = await made.work(6)
        assert done.activity.state is State.COMPLETED
        assert done.activity.tally.succeeded == CITY
        assert made.monitor.progress(done.id) is None


def test_who_failed_is_known_with_the_result() -> None:
    awaited = Awaited()
    assert awaited.follow(a_read(MANY)) is None
    read = awaited.follow(a_read(CITY, State.COMMUNICATION_IN_PROGRESS))
    assert read is not None
    awaited.arrived([*read.wanted[:5], *a_read(CITY + 1).targets[-1:][0].endpoint])
    assert [len(asked.arrived) for _, asked in awaited.to_ask()] == [5]
    read.left -= read.arrived
    read.learn(read.wanted[:-10])
    assert awaited.progress(a_read(CITY).id) == Progress(
        expected=CITY, read=5, failed=10, waiting=CITY - 15
    )
    assert awaited.follow(a_read(CITY, State.COMPLETED)) is None
    assert awaited.progress(a_read(CITY).id) is None

"""What is said once when it matters: to-do, log line, count and event agree."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from adapter.commands.activity import CommandRequest, ReadPeriod
from adapter.commands.effects import Severity
from adapter.commands.flows import CommandKind
from adapter.demo.demo import DemoSite
from adapter.engine.clock import HandClock
from adapter.engine.upkeep.signals import SIGNALS, Signal, Signals, say_quarantined
from adapter.headend.settings import Timeouts
from adapter.simulator.faults import EFFECTS, Effect
from adapter.simulator.heard import HEARD
from tests.builders import NOON
from tests.engine.commands.quick_site import fast, finish, script, world

E, S, C = Effect, Signal, CommandKind
METER = 23
_WAIT_S: Final = 60.0
_LIFE: Final = frozenset({S.STARTED, S.STOPPED})


def test_every_effect_of_the_simulator_has_a_row() -> None:
    assert set(HEARD) == set(EFFECTS)


@dataclass(frozen=True)
class Heard:
    lines: frozenset[str]
    counts: frozenset[str]
    events: frozenset[str]
    todo: frozenset[str]


async def counted(made: DemoSite) -> frozenset[str]:
    """The signals that a machine reads at `/metrics`, but for noughts."""
    metrics = made.app.rest.metrics
    assert metrics is not None
    return frozenset(
        each.labels["signal"]
        for family in text_string_to_metric_families((await metrics.text()).decode())
        for each in family.samples
        if each.name == "openway_signals_total" and each.value
    )


async def heard(made: DemoSite, caplog: pytest.LogCaptureFixture) -> Heard:
    upkeep = made.app.gateway.upkeep
    await upkeep.signals.once()
    rows = await made.app.core.store.outbox("nobody", limit=1_000)
    return Heard(
        lines=frozenset(record.msg for record in caplog.records),
        counts=await counted(made),
        events=frozenset(row.publication.type for row in rows),
        todo=frozenset(entry.first.subject.value for entry in await upkeep.todo.list()),
    )


async def settled(made: DemoSite, request: CommandRequest) -> None:
    """Until it is final, or waits for people."""
    commands = made.app.gateway.commands
    found = await commands.submit(request, actor="test")
    async with asyncio.timeout(_WAIT_S):
        while not found.activity.state.rests and found.activity.waits_since is None:
            found = await commands.wait(found.id, timeout_s=0.05)


def has_event(events: frozenset[str], event: str) -> bool:
    before = f"openway.{event.partition('<')[0]}"
    return any(each.startswith(before) if "<" in event else each == before for each in events)


@pytest.mark.parametrize("effect", sorted(EFFECTS))
async def test_to_do_log_count_and_event_tell_the_same_of_each_effect(
    effect: Effect, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    row = HEARD[effect]
    soon = Timeouts(reply_s=1.0, total_s=1.5)
    async with world(tmp_path, row.script, policies=fast(hold_s=60.0), timeouts=soon) as made:
        period = ReadPeriod(start=NOON - timedelta(days=1), end=NOON)
        read = row.kind is C.ON_DEMAND_READ_SCALAR
        request = CommandRequest(
            kind=row.kind, devices=(made.device(METER),), period=period if read else None
        )
        await settled(made, request)
        found = await heard(made, caplog)
    said = frozenset(map(Signal, found.counts)) - _LIFE
    assert said == row.said
    for signal in set(SIGNALS) - _LIFE:
        line = SIGNALS[signal]
        assert (line.log in found.lines) == (signal in said), signal
        assert has_event(found.events, line.event) == (signal in said), signal
    waiting = {SIGNALS[each].todo for each in said} - {None}
    assert found.todo == {each.value for each in waiting if each is not None}


async def test_a_head_end_that_is_gone_is_said_once_and_so_is_its_return(tmp_path: Path) -> None:
    gone = script(E.CLOSE_BEFORE, first=8)
    async with world(tmp_path, gone) as made:
        upkeep = made.app.gateway.upkeep
        wrong: list[str] = []
        for number in range(20):
            asked = CommandRequest(kind=C.DEVICE_STATUS_CHECK, devices=(made.device(number),))
            await finish(made, asked)
            wrong += (await upkeep.ready()).wrong
            if upkeep.signals.counts[S.HEAD_END_BACK]:
                break
        assert wrong
        assert all("the head end" in each for each in wrong)
        assert upkeep.signals.counts[S.HEAD_END_LOST] == 1
        assert upkeep.signals.counts[S.HEAD_END_BACK] == 1
        assert not (await upkeep.ready()).wrong


# ---------------------------------------------------------------- how it is said


@pytest.fixture
def signals() -> Signals:
    return Signals(HandClock(NOON))


def lines(caplog: pytest.LogCaptureFixture, signal: Signal) -> int:
    return sum(record.msg == SIGNALS[signal].log for record in caplog.records)


def test_the_same_is_said_once_an_hour_and_counted_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = HandClock(NOON)
    said = Signals(clock)
    for _ in range(3):
        said.tell(S.KEY_REFUSED, "10.0.0.1", remote="10.0.0.1")
    said.tell(S.KEY_REFUSED, "10.0.0.2", remote="10.0.0.2")
    assert (lines(caplog, S.KEY_REFUSED), said.counts[S.KEY_REFUSED]) == (2, 4)


def test_a_flood_of_ever_new_causes_is_counted_and_not_said(
    signals: Signals, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(20_000):
        signals.tell(S.KEY_REFUSED, f"address {number}", remote="x")
    assert lines(caplog, S.KEY_REFUSED) == 60
    assert signals.counts[S.KEY_REFUSED] == 20_000


def test_particulars_of_a_refusal_make_no_new_cause(
    signals: Signals, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abc":
        reason = f"callback address of '{name}' is not genuine"
        say_quarantined(signals, "StatusChanged", reason, "10.0.0.1")
    assert lines(caplog, S.QUARANTINED) == 1


def test_what_is_serious_is_no_mere_information() -> None:
    serious = {signal for signal, row in SIGNALS.items() if row.severity is Severity.CRITICAL}
    assert {S.HEAD_END_LOST, S.NEEDS_PERSON, S.CLOCK_DOUBTED, S.SWITCH_ORDERS_HELD} <= serious

"""What is said once when it matters: to-do, log line, count and event agree."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pytest

from adapter.commands.activity import CommandRequest, ReadPeriod
from adapter.commands.effects import Severity
from adapter.commands.flows import CommandKind
from adapter.demo.demo import DemoSite
from adapter.engine.clock import HandClock
from adapter.engine.upkeep.signals import SIGNALS, Signal, Signals, say_quarantined
from adapter.headend.settings import Timeouts
from adapter.simulator.faults import EFFECTS, Effect
from tests.builders import NOON
from tests.engine.commands.quick_site import fast, finish, script, world

E, S, C = Effect, Signal, CommandKind
METER = 23
_WAIT_S: Final = 60.0
_LIFE: Final = frozenset({S.STARTED, S.STOPPED})


@dataclass(frozen=True)
class Case:
    """What an effect makes people hear of; the command that it strikes, and the rest of it."""

    said: frozenset[Signal] = frozenset()
    kind: CommandKind = C.REMOTE_DISCONNECT
    operation: str = "DisconnectMeter"
    rest: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


def case(*said: Signal, read: bool = False, operation: str = "", **rest: object) -> Case:
    kind = C.ON_DEMAND_READ_SCALAR if read else C.REMOTE_DISCONNECT
    named = "ContingencyReadByEndpoints" if read else "DisconnectMeter"
    return Case(frozenset(said), kind, operation or named, rest)


CASES: Final[Mapping[Effect, Case]] = MappingProxyType(
    {
        E.DELAY: case(seconds=0.1),
        E.HANG: case(S.NEEDS_PERSON),
        E.CLOSE_BEFORE: case(S.NEEDS_PERSON, S.HEAD_END_LOST, operation="*"),
        E.FAULT: case(S.PUSHED_BACK, fault="TooManyConcurrentRequestsFault", first=1),
        E.INTERNAL_FAULT: case(S.NEEDS_PERSON),
        E.HTTP_STATUS: case(S.NEEDS_PERSON, status=502),
        E.HTML_PAGE: case(S.NEEDS_PERSON),
        E.DELAY_REPLY: case(seconds=0.1),
        E.LOSE_REPLY: case(),
        E.HANG_AFTER: case(),
        E.ERROR_AFTER: case(),
        E.HTTP_STATUS_AFTER: case(status=500),
        E.TRUNCATE_REPLY: case(),
        E.EMPTY_REPLY: case(),
        E.WRONG_TOKEN: case(S.QUARANTINED),
        E.REPEAT_TOKEN: case(S.QUARANTINED),
        E.NO_TOKEN: case(),
        E.CALLBACK_FIRST: case(),
        E.FORGET_TOKEN: case(),
        E.NEVER_FINISH: case(S.NEEDS_PERSON),
        E.PENDING_RESULT: case(),
        E.TRUNCATE_FAILURES: case(count=0),
        E.DROP_CALLBACK: case(),
        E.DUPLICATE_CALLBACK: case(count=2),
        E.DELAY_CALLBACK: case(seconds=0.2),
        E.REORDER_CALLBACKS: case(),
        E.WRONG_CALLBACK_TOKEN: case(S.QUARANTINED),
        E.DROP_DATA: case(read=True, operation="*"),
        E.DUPLICATE_DATA: case(read=True, operation="*", count=1),
        E.LATE_DATA: case(read=True, operation="*", seconds=0.2),
        E.UNASKED_DATA: case(read=True, operation="*"),
        E.ENDPOINT_FAILURE: case(S.COMMAND_WAITS),
        E.OMIT_DEVICE: case(),
    }
)
"""Nothing is said of what heals itself."""


def test_every_effect_of_the_simulator_has_a_case() -> None:
    assert set(CASES) == set(EFFECTS)


@dataclass(frozen=True)
class Heard:
    lines: frozenset[str]
    counts: Mapping[Signal, int]
    events: frozenset[str]
    todo: frozenset[str]


async def heard(made: DemoSite, caplog: pytest.LogCaptureFixture) -> Heard:
    upkeep = made.app.gateway.upkeep
    await upkeep.signals.once()
    rows = await made.app.core.store.outbox("nobody", limit=1_000)
    return Heard(
        lines=frozenset(record.msg for record in caplog.records),
        counts=dict(upkeep.signals.counts),
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
    row = CASES[effect]
    wrong = script(effect, row.operation, **row.rest)
    soon = Timeouts(reply_s=1.0, total_s=1.5)
    async with world(tmp_path, wrong, policies=fast(hold_s=60.0), timeouts=soon) as made:
        period = ReadPeriod(start=NOON - timedelta(days=1), end=NOON)
        read = row.kind is C.ON_DEMAND_READ_SCALAR
        request = CommandRequest(
            kind=row.kind, devices=(made.device(METER),), period=period if read else None
        )
        await settled(made, request)
        found = await heard(made, caplog)
    said = frozenset(found.counts) - _LIFE
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

"""Whatever the head end does, a command ends, says what is true of the meter, and plays back."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapter.commands.activity import State
from adapter.commands.calls import SwitchState
from adapter.commands.flows import FLOWS, SWITCH_KINDS, CommandKind, Scope
from adapter.model.values import replace
from adapter.replay.catalogue import scenario
from adapter.replay.catalogue_rows import ScenarioRow
from adapter.replay.recorder import Recorder
from adapter.replay.scenario import Act, Do, Recording, Scenario
from adapter.simulator.faults import EFFECTS, Effect, FaultStage
from adapter.simulator.world import SimulatedWorld
from tests.replay.recordings import codec, played
from tests.support import run

WAITS: Final = {Effect.HANG, Effect.HANG_AFTER, Effect.DELAY, Effect.DELAY_REPLY}
"""These cost real time, or need it."""

TROUBLE: Final = tuple(effect for effect in Effect if effect not in WAITS)
SHORT: Final = {
    "expires_s": 7_200.0,
    "reply_s": 600.0,
    "settle_s": 300.0,
    "hold_s": 600.0,
    "measurement_s": 600.0,
}
NEEDED: Final[dict[str, st.SearchStrategy[Any]]] = {
    "seconds": st.sampled_from([5.0, 70.0, 700.0, 4_000.0]),
    "fault": st.sampled_from(
        ["OperationFault", "SecurityFault", "TooManyCommandsFault", "RequestNotFoundFault"]
    ),
    "count": st.integers(0, 2),
}


@st.composite
def scripts(draw: st.DrawFn, kind: CommandKind) -> dict[str, object]:
    effect = draw(st.sampled_from(TROUBLE))
    own = FLOWS[kind].request.operation.value.rpartition(".")[2]
    others = ["*", "Get*Result", "GetRequestStatus", "CancelRequest", "ReadDisconnectStateByMeters"]
    row: dict[str, object] = {
        "effect": effect.value,
        "operation": draw(st.sampled_from([own, own, *others])),
    }
    needs = EFFECTS[effect].needs
    if needs == "status":  # a 4xx counts as a refusal, which it is not once the head end acted
        known = [202, 302, 408, 500, 503]
        row["status"] = draw(st.sampled_from(known))
    elif needs is not None:
        row[needs] = draw(NEEDED[needs])
    if effect is Effect.ENDPOINT_FAILURE:
        row["reason"] = draw(st.sampled_from(["NoResponse", "TooManyRequests", "ErrorResponse"]))
    if EFFECTS[effect].stage is FaultStage.CALLBACK and draw(st.booleans()):
        row["state"] = draw(st.sampled_from(["Initializing", "Executing", "Completed"]))
    return {**row, **draw(st.sampled_from([{}, {"nth": 1}, {"nth": 2}, {"first": 2}]))}


@st.composite
def troubled(draw: st.DrawFn, kinds: tuple[CommandKind, ...]) -> Scenario:
    kind = draw(st.sampled_from(kinds))
    acts = [
        Act(at=draw(st.sampled_from([0.0, 2.0, 9.0, 10.0, 400.0])), do=Do.CANCEL),
        Act(at=draw(st.sampled_from([100.0, 700.0, 1_300.0])), do=Do.RETRY),
        Act(at=draw(st.sampled_from([1.0, 5.0, 11.0, 61.0])), do=Do.FORGET_TOKENS),
    ]
    some = draw(st.lists(st.sampled_from(acts), max_size=2, unique_by=lambda act: act.do))
    row = ScenarioRow(
        kind=kind,
        name="any_trouble",
        shows="",
        script=tuple(draw(st.lists(scripts(kind), min_size=1, max_size=3))),
        acts=tuple(some),
        ask={"check_switch": True} if kind in SWITCH_KINDS and draw(st.booleans()) else {},
        meters=1 if FLOWS[kind].scope is Scope.METER else draw(st.integers(1, 4)),
        policy={**SHORT, "max_endpoints": 2, "retry": {"attempts": draw(st.integers(1, 3))}},
    )
    return replace(scenario(row), seed=draw(st.integers(1, 1_000)))


async def recorded(what: Scenario) -> tuple[Recording, SimulatedWorld]:
    """The recording, and the head end as it was left."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        recorder = Recorder(what, codec(), Path(folder))
        await recorder.open(stack)
        await recorder.run()
        return await recorder.recording(), recorder.simulator.world


def check(made: Recording) -> dict[str, Any]:
    expected: Mapping[str, Any] = made.expected
    (command,) = expected["commands"]
    summary: dict[str, Any] = command["summary"]
    assert State(summary["state"]).rests
    counts = summary["endpoints"]
    if counts is not None:
        parts = ("succeeded", "failed", "missing", "unknown")
        assert sum(counts[part] for part in parts) == counts["requested"]
        assert len(command["outcomes"]) == counts["requested"]
    first, second = played(made), played(made)
    assert first.difference == ""
    assert first.transcript == second.transcript
    return summary


few = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    log = logging.getLogger("adapter")
    before = log.level
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(before)


@few
@given(troubled(tuple(CommandKind)))
def test_every_command_ends_and_plays_back(what: Scenario) -> None:
    made, _ = run(recorded(what))
    check(made)


@few
@given(troubled((CommandKind.REMOTE_CONNECT, CommandKind.REMOTE_DISCONNECT)))
def test_a_switch_order_says_what_is_true_and_is_not_repeated_on_a_guess(what: Scenario) -> None:
    made, world = run(recorded(what))
    summary = check(made)
    off = summary["kind"] == CommandKind.REMOTE_DISCONNECT
    meter = world.population.find(next(iter(world.population)))
    assert meter is not None
    done = meter.switch is (SwitchState.DISCONNECTED if off else SwitchState.CONNECTED)
    if summary["state"] == "completed":
        assert done
    if summary["state"] in ("discarded", "canceled"):
        assert not done
    operation = FLOWS[CommandKind(summary["kind"])].request.operation
    moved = [job for job in world.jobs.values() if job.operation == operation and job.succeeded]
    assert len(moved) <= 1

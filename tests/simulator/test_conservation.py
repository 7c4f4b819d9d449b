"""Whatever is asked and scripted: every answer fits the contract, and the sums agree."""

from collections.abc import Callable
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.commands.calls import FailureReason, RemoteResult, RemoteState
from adapter.simulator.faults import Effect, Script
from adapter.simulator.jobs import Delivery, FaultRaised
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.operations import WORK
from adapter.simulator.settings import SimulatorConfig, SimulatorLimits
from adapter.simulator.world import SimulatedWorld
from tests.simulator.running_simulator import (
    CANCEL,
    NOON,
    STRANGER,
    codec,
    request,
    result_of,
    text,
)

COUNT = 12
ESNS = [f"2.16.840.1.114416.15.243.{700_001 + number}" for number in range(COUNT)]
OPERATIONS = [key for key in WORK if key in codec().catalog.operations]

scripts = st.builds(
    Script,
    effect=st.sampled_from(Effect),
    meter=st.sampled_from(["*", *ESNS]),
    nth=st.sampled_from([None, 1, 2]),
    probability=st.sampled_from([0.3, 1.0]),
    state=st.sampled_from([None, *list(RemoteState)[:3]]),
    seconds=st.sampled_from([0.0, 0.5, 60.0]),
    status=st.just(503),
    fault=st.just("OperationFault"),
    reason=st.sampled_from(FailureReason),
    count=st.integers(0, 3),
)
requests = st.tuples(
    st.sampled_from(OPERATIONS),
    st.lists(st.sampled_from([*ESNS, STRANGER, "none"]), min_size=1, max_size=6, unique=True),
    st.booleans(),
)


def a_world(rows: list[Script], seed: int) -> SimulatedWorld:
    plan = PopulationPlan(
        count=COUNT,
        seed=seed,
        group_size=5,
        unregistered_share=0.2,
        disconnected_share=0.3,
        unreachable_share=0.2,
        backfeed_share=0.3,
        without_switch_share=0.2,
    )
    world = SimulatedWorld(
        SimulatorConfig(
            population=plan,
            limits=SimulatorLimits(meters_per_message=2, intervals_per_block=40),
            data_subscribers={"gateway": "http://127.0.0.1:1/data"},
        )
    )
    world.scripts.add_all(rows)
    return world


def call(
    world: SimulatedWorld, operation: str, body: dict[str, object], now: datetime
) -> str | None:
    """The token a request got, if any. Its bytes go through the codec both ways."""
    message = codec().decode(codec().encode_request(operation, body))
    arrival = world.arrive(operation, message.body)
    try:
        reply = world.act(arrival, now=now)
    except FaultRaised as fault:
        check_fault(operation, fault)
        return None
    codec().encode_response(operation, reply.body)
    return reply.token


def check_fault(operation: str, fault: FaultRaised) -> None:
    assert fault.name in codec().catalog.spec(operation).faults, f"{operation}: {fault.name}"
    fields = {"Message": fault.message, **fault.fields}
    told = codec().encode_fault(fault.name, fields, reason=fault.message)
    assert codec().decode(told).body["fault"] == fault.name


def run_until(world: SimulatedWorld, now: datetime, take: Callable[[Delivery], None]) -> None:
    while (deliveries := world.schedule.run_one(now)) is not None:
        for delivery in deliveries:
            take(delivery)


@settings(max_examples=60, deadline=None)
@given(st.lists(scripts, max_size=4), st.lists(requests, min_size=1, max_size=5), st.integers(1, 9))
def test_every_request_ends_with_one_outcome_per_endpoint(
    rows: list[Script], asked: list[tuple[str, list[str], bool]], seed: int
) -> None:
    world = a_world(rows, seed)
    told: dict[str, list[str]] = {}

    def take(delivery: Delivery) -> None:
        message = codec().decode(codec().encode_request(delivery.operation, delivery.body))
        if message.operation == "RequestStatusChangedService.StatusChanged":
            state = text(message.body, "input", "RequestStatus", "State")
            told.setdefault(str(delivery.token), []).append(state)

    tokens: dict[str, str] = {}
    for operation, endpoints, canceled in asked:
        targets = ["Substation 1"] if operation.endswith("ByGroup") else endpoints
        body = request(operation, *targets, address="http://127.0.0.1:1/status")
        token = call(world, operation, body, NOON)
        if token is not None:
            tokens[token] = operation
            if canceled:
                call(world, CANCEL, {"input": {"Id": token}}, NOON)
    run_until(world, NOON + timedelta(days=1), take)
    for job in world.jobs.values():
        if job.never_finishes and job.result is not RemoteResult.CANCELED:
            assert not job.finished
            continue
        assert job.finished
        if job.result is RemoteResult.CANCELED:
            assert (job.succeeded, len(job.failures)) == (0, 0)
        else:
            assert job.succeeded + len(job.failures) == len(job.asked.endpoints)
        assert told.get(job.token, []).count("Completed") <= 1 + 3 * len(rows)
    for token, operation in tokens.items():
        call(world, result_of(operation), {"input": {"Id": token}}, NOON + timedelta(days=1))

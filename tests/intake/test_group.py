"""A group interrogation over HTTP with everything that goes wrong: every meter ends as something,
and what is stored adds up to what the simulator's meters counted."""

import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adapter.commands.activity import CommandRequest, ReadPeriod, State
from adapter.commands.flows import CommandKind
from adapter.commands.outcomes import EndpointResult
from adapter.commands.timing import POLICIES, Policy
from adapter.demo import Stage, stage
from adapter.engine.data_ports import PayloadState
from adapter.engine.gateway import GatewaySettings
from adapter.model.ids import EndpointId
from adapter.simulator.energy import intervals
from adapter.simulator.faults import Effect, Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.settings import Limits, SimulatorConfig, Timing
from adapter.store.measurements import SqliteMeasurements
from tests.support import run

KIND = CommandKind.SCHEDULED_READ_INTERVAL
SEED = 7


def a_city(meters: int, quarters: int) -> SimulatorConfig:
    """One group: 2 % fail, 1 % send twice, 1 % late, 1 % never; three blocks each."""
    return SimulatorConfig(
        population=PopulationPlan(
            count=meters, group_size=meters, generating_share=0.0, seed=SEED, skipped_share=0.01
        ),
        timing=Timing(jitter=0.0),
        limits=Limits(intervals_per_block=-(-quarters // 3), callback_timeout_s=300.0),
        scripts=(
            Script(
                effect=Effect.ENDPOINT_FAILURE,
                id="fails",
                operation="InterrogateByGroup",
                probability=0.02,
            ),
            Script(effect=Effect.DUPLICATE_DATA, id="twice", probability=0.01),
            Script(effect=Effect.LATE_DATA, id="late", probability=0.01, seconds=0.5),
            Script(effect=Effect.DROP_DATA, id="never", probability=0.01),
        ),
    )


def policies(measurement_s: float) -> dict[CommandKind, Policy]:
    return {
        kind: replace(policy, measurement_s=measurement_s, reply_s=3600.0)
        for kind, policy in POLICIES.items()
    }


async def interrogate(
    folder: Path, *, meters: int, quarters: int, measurement_s: float, timeout_s: float
) -> None:
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    start = end - timedelta(minutes=15 * quarters)
    settings = GatewaySettings(policies=policies(measurement_s))
    async with stage(folder, config=a_city(meters, quarters), settings=settings) as made:
        gateway = made.app.gateway
        asked = CommandRequest(
            kind=KIND, group="Substation 1", period=ReadPeriod(start=start, end=end)
        )
        command = await gateway.submit(asked)
        done = await gateway.wait(command.id, timeout_s=timeout_s)
        assert done.activity.state is State.COMPLETED
        outcomes = {item.endpoint: item.result for item in await gateway.outcomes(command.id)}
        assert len(outcomes) == meters
        ends = Counter(outcomes.values())
        assert set(ends) <= {
            EndpointResult.SUCCEEDED, EndpointResult.FAILED, EndpointResult.MISSING,
        }  # fmt: skip
        assert 0 < ends[EndpointResult.FAILED] < 0.05 * meters
        assert 0 < ends[EndpointResult.MISSING] < 0.05 * meters
        await agree(made, outcomes, start, end, quarters)


async def agree(
    made: Stage,
    outcomes: dict[EndpointId, EndpointResult],
    start: datetime,
    end: datetime,
    quarters: int,
) -> None:
    """What is stored is what the meters counted, and the books of the payloads add up."""
    data = made.app.gateway.data
    assert isinstance(data, SqliteMeasurements)
    totals: Counter[str] = Counter()
    for payload in await data.payloads(limit=1_000_000):
        assert payload.state is PayloadState.LOADED
        totals.update(payload.counts)
    assert totals["errors"] == totals["bad_parts"] == totals["revised"] == 0
    assert totals["values"] == totals["new"] + totals["repeated"] + totals["filtered"]
    assert totals["repeated"] > 0
    seen = 0
    for esn in outcomes:
        meter = made.simulator.world.population.find(esn)
        assert meter is not None
        stored = await data.values_between(
            start, end, endpoint=meter.esn, revisions=True, limit=quarters + 1
        )
        seen += len(stored)
        if outcomes[meter.esn] is EndpointResult.SUCCEEDED:
            counted = intervals(meter, "Wh d", start=start, end=end, seed=SEED)
            expected = {row.end: Decimal(row.wh) for row in counted}
            assert len(stored) == quarters
            for item in stored:
                assert item.external == (0 if item.value is None else expected[item.at])
        elif outcomes[meter.esn] is EndpointResult.FAILED:
            assert stored == []
    assert seen == totals["new"]


def test_every_meter_of_a_group_ends_as_read_failed_or_missing(tmp_path: Path) -> None:
    run(
        interrogate(tmp_path, meters=1_000, quarters=6, measurement_s=10.0, timeout_s=100),
        seconds=110,
    )


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    ("meters", "quarters"), [(10_000, 96), (int(os.environ.get("SOAK_METERS", "100000")), 96)]
)
def test_a_city_day_is_interrogated(tmp_path: Path, meters: int, quarters: int) -> None:
    run(
        interrogate(
            tmp_path, meters=meters, quarters=quarters, measurement_s=600.0, timeout_s=7000
        ),
        seconds=7100,
    )

"""What the simulator sends is, after the gateway's own intake, what its meters counted."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from adapter.commands.calls import ReadParameters
from adapter.engine.readings.batches import batches
from adapter.model.values import replace
from adapter.readings.lookups import Lookups
from adapter.simulator.energy import DELIVERED, total_wh
from adapter.simulator.flaws import Flaws
from adapter.simulator.jobs import JobRequest
from adapter.simulator.meters import PULSES, Meter, Population, PopulationPlan
from adapter.simulator.readings import read_data
from tests.simulator.running_simulator import codec

DATA = "DataSubscriberService.DataArrived"
PLAN = PopulationPlan(count=10, time_zone="Europe/Berlin")


def a_meter(pulse: str) -> Meter:
    population = Population(plan=PLAN)
    meter = population.find(next(iter(population)))
    assert meter is not None
    return replace(meter, pulse=pulse)


@pytest.mark.parametrize("pulse", ["", *PULSES])
@pytest.mark.parametrize(
    ("start", "quarters"),
    [
        (datetime(2026, 3, 28, 23, tzinfo=UTC), 92),
        (datetime(2026, 10, 24, 22, tzinfo=UTC), 100),
        (datetime(2028, 2, 28, 23, tzinfo=UTC), 96),
    ],
)
def test_a_day_of_a_meter_is_taken_in_to_the_watt_hour(
    pulse: str, start: datetime, quarters: int
) -> None:
    meter, flaws = a_meter(pulse), Flaws.of(PLAN)
    end = start + quarters * timedelta(minutes=15)
    read = ReadParameters(start=start, end=end, load_profile=True, registers=True)
    asked = JobRequest(endpoints=(meter.esn,), read=read, sources=("CurrentRegister",))
    data = read_data(meter, asked, now=end, flaws=flaws, per_block=40)
    assert len(data) == 3
    body = codec().encode_request(DATA, {"input": {"ReadDataCollection": data}})
    found = [normal for batch in batches([body], Lookups()) for normal in batch.normals]
    rows = [row for normal in found if normal.seconds for row in normal.rows]
    counted = total_wh(meter, DELIVERED, end, seed=PLAN.seed) - total_wh(
        meter, DELIVERED, start, seed=PLAN.seed
    )
    assert len(rows) == quarters
    assert sum(Decimal(row[1] or 0) for row in rows) == Decimal(counted) / 1000
    (register,) = (row for normal in found if not normal.seconds for row in normal.rows)
    assert register[1] is not None
    assert Decimal(register[1]) == Decimal(total_wh(meter, DELIVERED, end, seed=PLAN.seed)) / 1000

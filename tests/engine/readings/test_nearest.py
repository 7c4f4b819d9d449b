"""The few measurements nearest to a moment are enough to choose as if all were looked at."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from adapter.model.ids import DeviceId
from adapter.orders.algorithms.chkmsmt import CheckMeasurement, ReadWindow, choose
from adapter.store.connection import SqlConnection
from adapter.store.readings import queries
from tests.engine.readings.store_with_intake import a_meter, a_rig
from tests.wire.payloads import data_arrived, interval, read_data

FIRST, LAST = datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 3, tzinfo=UTC)
WORDS = ((), (), ("PartialInterval",), ("CommunicationFailure",), ("SkippedInterval",), ("Tamper",))
PARAMS = CheckMeasurement()


def a_body(draw: Random) -> bytes:
    """Some intervals of two meters, each with or without a status, ending anywhere."""
    parts = []
    for meter in ("m1", "m2"):
        rows = [interval(draw.randrange(9), *draw.choice(WORDS)) for _ in range(draw.randrange(60))]
        end = FIRST + draw.randrange(1, 192) * timedelta(minutes=15)
        parts.append(read_data(meter, rows or [interval(1)], end=end.isoformat()))
    return data_arrived(*parts)


async def test_what_is_chosen_from_the_nearest_is_what_is_chosen_from_all(tmp_path: Path) -> None:
    draw = Random(7)
    meters = (a_meter("m1", "Wh d"), a_meter("m2", "Wh d"))
    async with a_rig(tmp_path, *meters) as rig:
        for _ in range(12):
            await rig.take(a_body(draw))
        device = DeviceId("D-m1")
        everything = await rig.data.measurements_between(FIRST, LAST, device=device)
        assert len(everything) > 60
        found = 0
        for _ in range(60):
            start = FIRST + draw.random() * timedelta(hours=40)
            end = start + draw.random() * timedelta(hours=12)
            near = start + draw.random() * (end - start)
            span = ReadWindow(start=start, end=end, reference=near)
            few = await rig.data.nearest(device, FIRST, LAST, near=near)
            assert len(few) <= 2 * len({each.condition for each in everything})
            chosen = choose(tuple(few), span, PARAMS)
            assert chosen == choose(tuple(everything), span, PARAMS)
            inside = await rig.data.nearest(device, start, end, near=near)
            assert all(start <= each.at < end for each in inside)
            assert choose(tuple(inside), span, PARAMS) == chosen
            found += chosen is not None
        assert found > 20
        plan = await rig.store.database.query(plan_of(queries.NEAREST))
        assert not [line for line in plan if line.startswith("SCAN measured")], plan


def plan_of(query: str) -> Callable[[SqlConnection], list[str]]:
    values = dict.fromkeys(("device", "start", "end", "near"))
    return lambda db: [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values)]

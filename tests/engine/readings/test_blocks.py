"""A meter whose data come in blocks is incomplete until the last of them is here."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import apsw
import pytest

from adapter.model.ids import EndpointId
from adapter.store.files import connect_writer
from adapter.store.migrate import migrate
from adapter.store.readings import file, values
from tests.builders import NOON
from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.wire.payloads import data_arrived, read_data, register

DAY = (datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 2, tzinfo=UTC))
METERS = [EndpointId("m1"), EndpointId("m2")]
BEFORE_IT_RAN = NOON - timedelta(minutes=1)


def block(number: int, *, meter: str = "m1", first: int = 0, of: int = 3) -> str:
    """Half an hour of the first day of May, numbered from `first` on."""
    ends = DAY[0] + timedelta(minutes=30 * (number + 1))
    values = [2 * number + 1, 2 * number + 2]
    return read_data(meter, values, end=ends.isoformat(), block=(number + first, of))


async def missing(rig: Rig, *, ran_until: datetime | None = None) -> dict[str, str]:
    """Of m1 and m2, for a read that ran from just before NOON until then, else until now."""
    came = (BEFORE_IT_RAN, ran_until or rig.clock.now())
    found = await rig.data.missing_blocks(METERS, *DAY, came=came)
    return {endpoint: str(each) for endpoint, each in found.items()}


@pytest.mark.parametrize("order", tuple(permutations(range(3))))
@pytest.mark.parametrize("first", [0, 1])
async def test_it_is_whole_with_the_last_block_in_whatever_order(
    tmp_path: Path, order: tuple[int, ...], first: int
) -> None:
    async with a_rig(tmp_path) as rig:
        for count, number in enumerate(order, 1):
            again = order[:count]  # what came is told again, and counts once
            for each in (number, *again):
                await rig.take(data_arrived(block(each, first=first)))
            assert await missing(rig) == ({"m1": f"{count} of 3 blocks"} if count < 3 else {})


@pytest.mark.parametrize("spooled", [False, True], ids=["row", "spooled"])
async def test_a_block_that_comes_after_the_read_makes_the_meter_whole(
    tmp_path: Path, spooled: bool
) -> None:
    async with a_rig(tmp_path) as rig:
        first_two = [block(number, meter=each) for number in (0, 1) for each in METERS]
        await rig.take(data_arrived(*first_two), spooled=spooled)
        ended = rig.clock.now()
        short = {"m1": "2 of 3 blocks", "m2": "2 of 3 blocks"}
        assert await missing(rig, ran_until=ended) == short
        await rig.clock.turn(NOON + timedelta(days=9))
        await rig.take(data_arrived(block(2)), spooled=spooled)
        assert await missing(rig, ran_until=ended) == {"m2": "2 of 3 blocks"}


async def test_a_block_that_came_before_the_read_counts_too(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(block(1)))
        await rig.clock.turn(NOON + timedelta(hours=2))
        await rig.take(data_arrived(block(0), block(2)))
        came = (NOON + timedelta(hours=1), rig.clock.now())
        assert await rig.data.missing_blocks(METERS, *DAY, came=came) == {}


async def test_only_the_period_and_the_meters_asked_for_are_told(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(block(0), block(0, meter="m2"), block(0, meter="m3")))
        came = (BEFORE_IT_RAN, rig.clock.now())
        only = await rig.data.missing_blocks([METERS[1]], *DAY, came=came)
        assert {each: str(found) for each, found in only.items()} == {"m2": "1 of 3 blocks"}
        next_day = (DAY[1], DAY[1] + timedelta(days=1))
        assert await rig.data.missing_blocks(METERS, *next_day, came=came) == {}


async def test_blocks_of_a_payload_that_was_refused_did_not_come(tmp_path: Path) -> None:
    async with a_rig(tmp_path) as rig:
        await rig.take(data_arrived(block(0), block(1)))
        await rig.take(data_arrived(block(2))[:-40])
        assert await missing(rig) == {"m1": "2 of 3 blocks"}


async def test_registers_of_another_time_do_not_move_the_block_they_come_with(
    tmp_path: Path,
) -> None:
    async with a_rig(tmp_path) as rig:
        registers = register("7", at="2024-01-31T23:59:59Z", source="SelfReadRegister")
        registers += register("9", at="2024-07-01T00:00:00Z")
        end = (DAY[0] + timedelta(minutes=30)).isoformat()
        first = read_data("m1", [1, 2], end=end, block=(0, 3), registers=registers)
        await rig.take(data_arrived(first, block(1)))
        assert await missing(rig) == {"m1": "2 of 3 blocks"}
        await rig.take(data_arrived(block(2)))
        assert await missing(rig) == {}


async def test_what_came_in_one_piece_is_whole(tmp_path: Path) -> None:
    async with a_rig(tmp_path, a_meter("m1")) as rig:
        await rig.take(data_arrived(read_data("m1", [1, 2], end="2024-05-01T00:30:00Z")))
        assert await missing(rig) == {}


# ---------------------------------------------------------------- what it costs


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[apsw.Connection]:
    path = tmp_path_factory.mktemp("plans") / "gateway.db"
    gateway = connect_writer(path, None)
    file.prepare(path, gateway, None)
    migrate(gateway)
    gateway.close()
    connection = file.connect_reader_of_both(path, None)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("query", "key"),
    [
        (values.SHORT, "SEARCH block_seen USING PRIMARY KEY (load>? AND load<?)"),
        (values.AT_ANY_TIME, "SEARCH b USING PRIMARY KEY (load=? AND endpoint=?)"),
    ],
)
def test_blocks_are_searched_for_by_a_key(plans: apsw.Connection, query: str, key: str) -> None:
    names = ("start", "end", "since", "until", "key", "kind")
    given = {name: None for name in names if f":{name}" in query}
    plan = [str(row[3]) for row in plans.execute("EXPLAIN QUERY PLAN " + query, given)]
    assert key in plan
    # Loads are walked through from the newest back, and only so far.
    tables = [line for line in plan if line.startswith("SCAN") and "VIRTUAL TABLE" not in line]
    assert set(tables) <= {"SCAN load"}
    assert not [line for line in plan if "ORDER BY" in line]

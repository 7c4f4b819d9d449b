"""The simulator's own account of a read: what each meter did, told, and how often it was sent."""

from decimal import Decimal
from typing import Any

from adapter.simulator.readings import energy_told
from tests.simulator.running_simulator import GROUP_READ, ONE, THREE, TWO, Rig, dig, running

FOUR = "2.16.840.1.114416.15.243.700004"
FIVE = "2.16.840.1.114416.15.243.700005"
GROUP = "Substation 1"
SETTINGS: dict[str, Any] = {
    "population": {"count": 5, "group_size": 5, "generating_share": 0.0, "raw_share": 0.5},
    "limits": {"intervals_per_block": 32, "meters_per_message": 2},
    "timing": {"jitter": 0.0},
}


async def read(rig: Rig) -> list[dict[str, Any]]:
    """A group of five of which each has a trouble of its own; the account of it."""
    await rig.script("endpoint_failure", meter=TWO, reason="NoResponse")
    await rig.script("duplicate_data", meter=THREE, count=2)
    await rig.script("late_data", meter=FOUR, seconds=60)
    await rig.script("drop_data", meter=FIVE)
    token = await rig.start(GROUP_READ, GROUP, RetrieveLoadProfileData=True)
    await rig.turn()
    await rig.turn(120)
    pages: list[dict[str, Any]] = []
    for offset in (0, 3):
        status, told = await rig.admin("GET", f"/requests/{token}/meters?offset={offset}&limit=3")
        assert (status, told["count"]) == (200, 5)
        page: Any = told["meters"]
        pages += page
    return pages


async def test_the_account_of_a_group_is_what_was_sent() -> None:
    async with running(SETTINGS) as rig:
        rows = await read(rig)
        assert [row["esn"] for row in rows] == [ONE, TWO, THREE, FOUR, FIVE]
        assert [row["reason"] for row in rows] == [None, "NoResponse", None, None, None]
        assert [row.get("copies") for row in rows] == [1, None, 3, 1, 0]
        assert [row.get("late") for row in rows] == [False, None, False, True, False]
        for row in rows:
            blocks = [data for data in rig.data() if data["Identifier"] == row["esn"]]
            assert len(blocks) == 3 * row.get("copies", 0)
            if blocks:
                ((quantity, (count, wh)),) = energy_told(blocks).items()
                told, energy = row["energy"][quantity]
                assert (count, wh) == (told * row["copies"], Decimal(energy) * row["copies"])
                assert told == 96
        assert (await rig.admin("GET", "/requests/nothing/meters"))[0] == 404


async def test_late_data_come_after_the_end_however_long_the_read_takes() -> None:
    async with running({**SETTINGS, "timing": {"jitter": 0.0, "portion_s": 20.0}}) as rig:
        await read(rig)
        late = [FOUR.encode() in heard.raw for heard in rig.heard]
        ended = ["Completed" in str(heard.body) for heard in rig.heard]
        assert late.index(True) > ended.index(True)


async def test_only_the_last_blocks_are_lost_or_late_where_their_number_is_given() -> None:
    async with running(SETTINGS) as rig:
        await rig.script("drop_data", meter=ONE, count=1)
        await rig.script("late_data", meter=TWO, seconds=60, count=2)
        await rig.script("drop_data", meter=THREE, count=3)
        token = await rig.start(GROUP_READ, GROUP, RetrieveLoadProfileData=True)
        await rig.turn()
        assert _blocks(rig) == {ONE: [1, 2], TWO: [1], FOUR: [1, 2, 3], FIVE: [1, 2, 3]}
        await rig.turn(120)
        assert _blocks(rig)[TWO] == [1, 2, 3]
        _, told = await rig.admin("GET", f"/requests/{token}/meters?offset=0&limit=5")
        rows: Any = told["meters"]
        assert [row["copies"] for row in rows] == [1, 1, 0, 1, 1]
        assert [sum(count for count, _ in row["energy"].values()) for row in rows] == [
            64, 96, 96, 96, 96,
        ]  # fmt: skip


def _blocks(rig: Rig) -> dict[str, list[int]]:
    """The numbers of the blocks that came, by meter."""
    found: dict[str, list[int]] = {}
    for row in rig.data():
        block = dig(row, "BlockInfo", "Block")
        assert isinstance(block, int)
        found.setdefault(str(row["Identifier"]), []).append(block)
    return found


async def test_a_member_that_stands_twice_is_refused_by_the_simulator_too() -> None:
    async with running(SETTINGS) as rig:
        url = f"{rig.simulator.admin_url}/scripts"
        body = b'{"effect": "hang", "effect": "delay", "seconds": 1}'
        async with rig.session.post(url, data=body) as answer:
            assert answer.status == 400
            assert "'effect' stands twice" in await answer.text()

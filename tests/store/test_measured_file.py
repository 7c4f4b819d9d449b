"""Measurements have a file of their own, which belongs to the gateway's."""

import asyncio
import shutil
from pathlib import Path

import apsw
import pytest

from adapter.engine.readings.ports import LoadId, PayloadId, StagingTarget
from adapter.errors import StoreFailed
from adapter.readings.lookups import Lookups
from adapter.store.readings.file import StagingFile, path_beside
from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.store.conftest import MakeStore
from tests.support import run
from tests.wire.payloads import data_arrived, read_data

BODY = data_arrived(read_data("m1", range(1, 97)))


def loaded(folder: Path, *bodies: bytes) -> None:
    async def scenario() -> None:
        async with a_rig(folder) as rig:
            for body in bodies:
                await rig.take(body)

    run(scenario())


def test_a_start_without_the_measurements_is_refused(tmp_path: Path, path: Path) -> None:
    loaded(tmp_path, BODY)
    path_beside(path).unlink()
    with pytest.raises(StoreFailed, match=r"gateway\.measurements\.db is missing"):
        loaded(tmp_path)


def test_a_start_with_measurements_older_than_the_store_is_refused(
    tmp_path: Path, path: Path
) -> None:
    loaded(tmp_path, BODY)
    shutil.copy(path_beside(path), tmp_path / "backup")
    loaded(tmp_path, data_arrived(read_data("m2", [1])))
    shutil.copy(tmp_path / "backup", path_beside(path))
    with pytest.raises(StoreFailed, match=r"older than gateway\.db"):
        loaded(tmp_path)


def test_an_earlier_load_that_is_sealed_after_a_later_one_does_not_make_the_file_older(
    tmp_path: Path, path: Path
) -> None:
    loaded(tmp_path, BODY, data_arrived(read_data("m1", [5000])))
    first = StagingTarget(module="", store=str(path), payload=PayloadId(1), load=LoadId(1))
    staging = StagingFile(first, Lookups())
    staging.seal()
    staging.close()
    loaded(tmp_path)


def test_a_store_older_than_its_measurements_shows_only_what_it_knows(
    tmp_path: Path, path: Path
) -> None:
    """The gateway's file was restored; the loads it forgot are counted again from there."""
    loaded(tmp_path, data_arrived(read_data("m2", [1])))
    shutil.copy(path, tmp_path / "backup")
    loaded(tmp_path, BODY)
    shutil.copy(tmp_path / "backup", path)

    async def scenario() -> None:
        async with a_rig(tmp_path) as rig:
            assert await rig.values("m1") == []
            assert (await rig.take(data_arrived(read_data("m3", [3])))).counts["new"] == 1
            assert await rig.values("m1") == []
            assert (await rig.take(BODY)).counts["new"] == 96
            assert len(await rig.values("m1", revisions=True)) == 96

    run(scenario())


async def test_a_file_of_another_program_is_not_touched(make: MakeStore, path: Path) -> None:
    connection = apsw.Connection(str(path_beside(path)))
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(StoreFailed, match="another program"):
        await make().open()


async def test_a_load_is_seen_whole_or_not_at_all_while_it_is_asked_for(tmp_path: Path) -> None:
    """Questions asked all the time while payloads are loaded never see a part of one."""

    async def asked(rig: Rig, seen: list[int]) -> None:
        seen.append(len(await rig.values("m1")))

    async with a_rig(tmp_path, a_meter("m1")) as rig:
        long = data_arrived(*(read_data("m1", range(96), end=day(n)) for n in range(1, 25)))
        await rig.arrive(long, spooled=True)
        seen: list[int] = []
        task = asyncio.ensure_future(rig.intake.once())
        while not task.done():
            await asked(rig, seen)
        await asked(rig, seen)
        assert set(seen) == {0, 24 * 96}


def day(number: int) -> str:
    return f"2024-05-{number + 1:02}T00:00:00Z"

"""Killed in the middle of a payload: afterwards there is no gap and no double."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from adapter.engine.commands.ports import InboxState
from adapter.engine.readings.ports import PayloadState
from tests.engine.readings.store_with_intake import Rig, a_meter, a_rig
from tests.forked import python
from tests.wire.payloads import data_arrived, read_data

METERS = [f"m{number}" for number in range(40)]
END = b"</ReadDataCollection>"
BODY = data_arrived(*(read_data(name, range(96)) for name in METERS))


def killed_at(point: str, folder: Path, *, workers: int = 1) -> int:
    module = "tests.engine.readings.intake_process"
    status, _ = python(module, str(folder), str(workers), OPENWAY_CRASH_AT=point)
    return status


def child_of(parent: int) -> int:
    """The process that was started by another one, which has no other."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                return int(stat.parent.name)
    raise ProcessLookupError(parent)


async def everything(rig: Rig) -> dict[str, int]:
    return {name: len(await rig.values(name, revisions=True)) for name in METERS}


POINTS = ("intake.staged:1", "intake.staged:3", "intake.before_loaded:1", "intake.after_loaded:1")
WAYS = {"message": (False, 1), "file": (True, 1), "two": (False, 2)}
IN_SHORT = {*(("message", point) for point in POINTS), ("file", POINTS[2]), ("two", POINTS[1])}


@pytest.mark.parametrize(
    ("point", "handed_in", "workers"),
    [
        pytest.param(
            *(point, *given),
            id=f"{name}-{point}",
            marks=[] if (name, point) in IN_SHORT else [pytest.mark.soak],
        )
        for name, given in WAYS.items()
        for point in POINTS
    ],
)
async def test_a_kill_in_the_middle_of_a_payload_leaves_no_gap_and_no_double(
    tmp_path: Path, point: str, handed_in: bool, workers: int
) -> None:
    async def before() -> None:
        async with a_rig(tmp_path) as rig:
            if handed_in:
                (tmp_path / "a.xml").write_bytes(BODY)
                await rig.hand(tmp_path / "a.xml")
            else:
                await rig.arrive(BODY, spooled=True)

    async def after() -> None:
        async with a_rig(tmp_path, workers=workers) as rig:
            shown = await everything(rig)
            assert set(shown.values()) == ({96} if "after" in point else {0})
            await rig.work()
            assert set((await everything(rig)).values()) == {96}
            (payload,) = await rig.data.payloads()
            assert payload.state is PayloadState.LOADED
            assert not await rig.data.sweep(limit=1)
            assert rig.spool.tickets() == []
            assert [row.state for row in await rig.store.inbox()] == (
                [] if handed_in else [InboxState.STORED]
            )

    await before()
    assert killed_at(point, tmp_path, workers=workers) == -signal.SIGKILL
    await after()


@pytest.mark.parametrize(("workers", "of"), [(1, 0), (2, 0), (2, 1)])
async def test_a_worker_that_is_killed_costs_nothing_but_time(
    tmp_path: Path, workers: int, of: int
) -> None:
    meters = (a_meter(name) for name in METERS)
    async with a_rig(tmp_path, *meters, workers=workers) as rig:
        killed: list[int] = []

        def kill(counts: object) -> None:
            process = rig.intake.worker_pid
            if process is not None and not killed:
                killed.append(child_of(process) if of else process)
                os.kill(killed[0], signal.SIGKILL)

        rig.intake.progress = kill
        # So long that the one that reads is not done when the first of it is staged.
        again = (read_data(METERS[0], range(96)) for _ in range(400))
        await rig.arrive(BODY.replace(END, "".join(again).encode() + END), spooled=True)
        await rig.work()
        assert killed
        assert set((await everything(rig)).values()) == {96}


async def test_a_body_that_kills_the_worker_every_time_is_quarantined(tmp_path: Path) -> None:
    async with a_rig(tmp_path, *(a_meter(name) for name in METERS)) as rig:

        def kill(counts: object) -> None:
            with suppress(ProcessLookupError):  # it may have died of the last one already
                if rig.intake.worker_pid is not None:
                    os.kill(rig.intake.worker_pid, signal.SIGKILL)

        rig.intake.progress = kill
        long = data_arrived(*(read_data("m1", range(96)) for _ in range(4_000)))
        inbox = await rig.arrive(long, spooled=True)
        await rig.work()
        row = await rig.row(inbox)
        assert row.state is InboxState.QUARANTINED
        assert "3 times" in row.reason
        assert await rig.values("m1") == []

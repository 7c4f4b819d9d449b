"""After any storage error nothing is acknowledged any more (I12)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter.errors import StoreFailed
from adapter.model.values import replace
from tests.builders import a_command, a_message, a_note, a_submission
from tests.store.conftest import MakeStore
from tests.store.faults import Disk, FaultyFiles


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk()
    files = FaultyFiles("faulty", disk)
    yield disk
    files.unregister()


@pytest.mark.parametrize("fault", ["sync", "write", "write full"])
@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_broken_disk_stops_every_call_until_it_is_opened_again(
    make: MakeStore, disk: Disk, fault: str, after: int
) -> None:
    store = make("faulty")
    await store.open()
    await store.submit([a_submission(1)])
    disk.after = after
    disk.broken = {fault}
    answers: list[object] = []
    for first in range(10, 40, 6):
        wave = [store.submit([a_submission(n)]) for n in range(first, first + 6)]
        answers += await asyncio.gather(*wave, return_exceptions=True)
    refused = [isinstance(answer, StoreFailed) for answer in answers]
    assert any(refused)
    assert refused == sorted(refused), "nothing is acknowledged after the first failure"
    disk.broken = set()
    for call in (
        store.submit([a_submission(2)]),
        store.save([]),
        store.receive([a_message()]),
        store.load([]),
        store.ledger(),
        store.audit_head(),
    ):
        with pytest.raises(StoreFailed, match="must be opened again"):
            await call
    await store.close()
    again = make("faulty")
    await again.open()
    acknowledged = [n for n, bad in zip(range(10, 40), refused, strict=True) if not bad]
    for number in (1, *acknowledged):
        assert await again.by_key(f"key-{number}") is not None
    assert await again.by_key("key-2") is None
    await again.close()


async def test_nothing_is_answered_before_the_disk_has_it(make: MakeStore, disk: Disk) -> None:
    store = make("faulty")
    await store.open()
    disk.moving.clear()
    disk.reached.clear()
    pending = asyncio.ensure_future(store.submit([a_submission(1)]))
    assert await asyncio.to_thread(disk.reached.wait, 30)
    assert await store.by_key("key-1") is None
    assert not pending.done()
    disk.moving.set()
    await pending
    assert await store.by_key("key-1") is not None
    await store.close()


async def test_a_broken_disk_under_a_reader_stops_the_store_too(
    make: MakeStore, disk: Disk
) -> None:
    store = make("faulty")
    await store.open()
    await store.submit([a_submission(number) for number in range(2, 500)])
    await store.close()
    await store.open()
    disk.broken = {"read"}
    with pytest.raises(StoreFailed):
        await store.ledger()
    disk.broken = set()
    with pytest.raises(StoreFailed, match="must be opened again"):
        await store.submit([a_submission(1)])
    await store.close()


async def test_a_store_on_a_broken_disk_does_not_open(make: MakeStore, disk: Disk) -> None:
    disk.broken = {"sync"}
    with pytest.raises(StoreFailed, match="cannot open"):
        await make("faulty").open()


async def test_one_bad_row_does_not_hurt_its_neighbours(make: MakeStore) -> None:
    """Calls that share a transaction fail each for itself."""
    store = make()
    await store.open()
    unstorable = a_submission(2, audit=(a_note(), a_note(detail={"x": object()})))
    answers = await asyncio.gather(
        store.submit([a_submission(1, audit=(a_note(),))]),
        store.submit([unstorable]),
        store.submit([a_submission(3, command=replace(a_command(3), version=2**70))]),
        store.submit([a_submission(4, audit=(a_note(),))]),
        return_exceptions=True,
    )
    bad = [isinstance(answer, Exception) for answer in answers]
    assert bad == [False, True, True, False]
    assert not any(isinstance(answer, StoreFailed) for answer in answers)
    assert [await store.by_key(f"key-{n}") is not None for n in (1, 2, 3, 4)] == [
        True,
        False,
        False,
        True,
    ]
    assert await store.verify_audit() == 2
    await store.close()


async def test_what_goes_along_and_fails_hurts_none_of_those_it_goes_with(
    make: MakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store = make()
    await store.open()
    store.database.write_along(lambda tx: int("a bad row"))
    async with asyncio.timeout(30):
        await asyncio.gather(store.submit([a_submission(1)]), store.submit([a_submission(2)]))
        await store.submit([a_submission(3)])
        assert (await store.ledger()).accepted == 3
    assert "not_written" in caplog.messages
    await store.close()


async def test_a_disk_that_breaks_under_what_goes_along_leaves_nobody_waiting(
    make: MakeStore, disk: Disk
) -> None:
    store = make("faulty")
    await store.open()
    await store.submit([a_submission(1)])
    await store.delivered("sink", 1)
    disk.broken = {"write"}
    async with asyncio.timeout(30):
        answers = await asyncio.gather(
            *(store.submit([a_submission(number)]) for number in (2, 3)), return_exceptions=True
        )
    assert [type(each) for each in answers] == [StoreFailed] * 2
    disk.broken = set()
    await store.close()


async def test_a_call_whose_caller_has_gone_does_not_hurt_the_others(make: MakeStore) -> None:
    store = make()
    await store.open()
    impatient = asyncio.ensure_future(store.submit([a_submission(1)]))
    await asyncio.sleep(0)
    impatient.cancel()
    await store.submit([a_submission(2)])
    assert (await store.ledger()).accepted == 2
    await store.close()
    with pytest.raises(StoreFailed, match="not open"):
        await store.ledger()


async def test_calls_that_arrive_during_a_commit_share_the_next_one(
    make: MakeStore, disk: Disk
) -> None:
    store = make("faulty")
    await store.open()
    commits, syncs = store.database.commits, disk.syncs
    await asyncio.gather(*(store.submit([a_submission(n)]) for n in range(300)))
    assert (await store.ledger()).accepted == 300
    assert 1 <= store.database.commits - commits < 30
    assert disk.syncs - syncs >= store.database.commits - commits, "every commit reaches the disk"
    await store.close()

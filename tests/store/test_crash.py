"""The process dies at the worst moments; what was acknowledged is there afterwards."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import Change, Filter, PublicationRow
from adapter.engine.registry.importer import Importer
from adapter.errors import StoreFailed
from adapter.store.commands.commands import SqliteStore
from tests.builders import NOON, a_note, a_publication, a_submission
from tests.forked import python
from tests.store.conftest import MakeStore
from tests.store.writing_process import devices_of
from tests.support import run

_COUNT = 400


def _submit(path: Path, **environment: str) -> tuple[int, set[int]]:
    """Exit status and the numbers that were acknowledged."""
    status, told = python(
        "tests.store.writing_process", "submit", str(path), str(_COUNT), **environment
    )
    return status, {int(line) for line in told.split()}


def _stored(make: MakeStore) -> set[int]:
    """The numbers of what is stored; each with its key, its audit entry and its publication."""

    async def look() -> set[int]:
        store = make()
        await store.open()
        commands = (await store.list(Filter(limit=_COUNT))).rows
        noted = {int(entry.note.subject) for entry in await store.audit()}
        told = {
            int(row.publication.id.removeprefix("e-")) for row in await store.outbox("s", limit=999)
        }
        kept = {
            number
            for number in range(_COUNT)
            if await store.by_key(f"key-{number}") == a_submission(number).command.id
        }
        assert len(commands) == len(kept)
        assert kept == noted == told
        assert await store.verify_audit() == len(kept)
        await store.close()
        return kept

    return run(look())


@pytest.mark.parametrize("point", ["store.before_commit", "store.after_commit"])
@pytest.mark.parametrize("arrival", [1, 7, 30])
def test_what_was_acknowledged_survives_a_kill_around_the_commit(
    make: MakeStore, path: Path, point: str, arrival: int
) -> None:
    status, acknowledged = _submit(path, OPENWAY_CRASH_AT=f"{point}:{arrival}")
    assert status == -signal.SIGKILL
    stored = _stored(make)
    assert acknowledged <= stored
    assert len(stored) < _COUNT
    status, again = _submit(path)
    assert status == 0
    assert again == set(range(_COUNT))
    assert _stored(make) == again


async def test_what_was_delivered_just_before_a_kill_is_offered_again_and_nothing_is_missing(
    make: MakeStore, path: Path
) -> None:
    """What a sink has taken is noted along with the next transaction: a kill may come first."""
    store = make()
    await store.open()
    await store.save([Change(publications=tuple(a_publication(f"e-{n}") for n in range(4)))])
    rows = await store.outbox("sink", limit=9)
    await store.delivered("sink", rows[2].seq)
    assert await store.outbox("sink", limit=9) == rows[3:]
    assert await _offered_after_a_kill(path, "killed at once") == rows
    await store.save([Change(audit=(a_note(),))])
    assert await _offered_after_a_kill(path, "killed later") == rows[3:]
    await store.close()


async def _offered_after_a_kill(path: Path, name: str) -> Sequence[PublicationRow]:
    """By the files as a process leaves them that ends here."""
    files = path.parent.parent / f"{path.parent.name} {name}"
    shutil.copytree(path.parent, files)
    store = SqliteStore(files / path.name, now=HandClock(NOON).now)
    await store.open()
    offered = await store.outbox("sink", limit=9)
    await store.close()
    shutil.rmtree(files)
    return offered


@pytest.mark.parametrize("point", ["store.before_commit", "store.after_commit"])
@pytest.mark.parametrize("arrival", [1, 2, 7])
def test_an_import_that_is_killed_leaves_whole_parts_each_with_its_audit_entry(
    make: MakeStore, path: Path, point: str, arrival: int
) -> None:
    """A part is there with all its devices and its entry, or nothing of it; the same file again
    brings the rest."""
    count = 50

    async def there() -> set[int]:
        store = make()
        await store.open()
        parts = [devices_of(number) for number in range(count // 5)]
        found = {
            number: len((await store.known(part)).devices) for number, part in enumerate(parts)
        }
        assert set(found.values()) <= {0, 5}
        entries = [each.note for each in await store.audit() if each.note.action == "Imported"]
        whole = {number for number, devices in found.items() if devices}
        assert [note.detail["devices"] for note in entries] == [5] * len(whole)
        await store.verify_audit()
        await store.close()
        return whole

    status, told = python(
        "tests.store.writing_process", "import", str(path), str(count),
        OPENWAY_CRASH_AT=f"{point}:{arrival}",
    )  # fmt: skip
    assert status == -signal.SIGKILL
    acknowledged = {int(line) for line in told.split()}
    stored = run(there())
    assert acknowledged <= stored
    assert len(stored) < count // 5
    missing = [number for number in range(count // 5) if number not in stored]

    async def again() -> None:
        store = make()
        await store.open()
        for number in missing:
            await Importer(store, HandClock(NOON)).load(devices_of(number), by="ann")
        await store.close()

    run(again())
    assert run(there()) == set(range(count // 5))


def test_a_full_disk_stops_the_store_and_loses_nothing_acknowledged(
    make: MakeStore, path: Path
) -> None:
    """A limit on the size of files stands in for the disk: the write-ahead log cannot grow."""
    status, acknowledged = _submit(path, ROOM_BYTES=str(200_000))
    assert status == 3
    assert 0 < len(acknowledged) < _COUNT
    assert acknowledged <= _stored(make)


async def test_a_second_process_is_refused_until_the_first_has_gone(
    make: MakeStore, path: Path
) -> None:
    async def opens() -> None:
        store = make()
        await store.open()
        await store.close()

    command = [sys.executable, "-m", "tests.store.writing_process", "hold", str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        with pytest.raises(StoreFailed, match=f"in use by process {holder.pid}"):
            await opens()
        holder.kill()
        holder.wait(timeout=30)
    await opens()

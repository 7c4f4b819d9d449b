"""What was noted about a command: found from its row, entry by entry, and nothing is left out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import apsw
import pytest

from adapter.engine.commands.ports import AuditNote, Change, Saved
from adapter.errors import StoreFailed
from adapter.model.ids import CommandId
from adapter.model.values import replace
from adapter.store.commands.commands import SqliteStore
from tests.builders import a_command, a_note, a_submission, at
from tests.store.conftest import MakeStore


@asynccontextmanager
async def opened(store: SqliteStore) -> AsyncIterator[SqliteStore]:
    await store.open()
    yield store
    await store.close()


_COMMANDS = [a_command(number) for number in (1, 2, 3)]


def _notes(of: CommandId, *actions: str) -> tuple[AuditNote, ...]:
    return tuple(a_note(of, action) for action in actions)


async def _fill(store: SqliteStore) -> None:
    """Three commands; entries with their saves, two of them in one transaction, and without."""
    await store.submit(
        [
            a_submission(number, command=command, audit=_notes(command.id, "one", "two"))
            for number, command in enumerate(_COMMANDS, 1)
        ]
    )
    for version in range(2):
        moved = [
            Change(
                command=replace(command, version=version),
                wake=at(version),
                audit=(*_notes(command.id, f"saved {version}"), a_note("another", "beside")),
            )
            for command in _COMMANDS
        ]
        assert await store.save(moved) == [Saved.SAVED] * 3
    twice = [
        Change(
            command=replace(_COMMANDS[0], version=version),
            audit=_notes(_COMMANDS[0].id, f"in one transaction {version}"),
        )
        for version in (2, 3)
    ]
    assert await asyncio.gather(*(store.save([each]) for each in twice)) == [[Saved.SAVED]] * 2
    await store.save([Change(audit=_notes(_COMMANDS[0].id, "alone"))])


_ACTIONS = ["one", "two", "saved 0", "saved 1"]
_OF_THE_FIRST = [*_ACTIONS, "in one transaction 2", "in one transaction 3", "alone"]


@pytest.mark.parametrize("remembered", [0, 1_000])
async def test_all_that_was_noted_is_found_also_by_another_process(
    path: Path, remembered: int
) -> None:
    def store() -> SqliteStore:
        return SqliteStore(path, now=lambda: at(0), remembered=remembered)

    async def actions(store: SqliteStore, command: CommandId, after: int = 0) -> list[str]:
        return [each.note.action for each in await store.audit(subject=command, after=after)]

    async with opened(store()) as one:
        await _fill(one)
    async with opened(store()) as other:
        first, second, _ = (command.id for command in _COMMANDS)
        assert await actions(other, first) == _OF_THE_FIRST
        assert await actions(other, second) == _ACTIONS
        change = Change(
            command=replace(_COMMANDS[1], version=2), audit=_notes(second, "after a restart")
        )
        assert await other.save([change]) == [Saved.SAVED]
        assert await other.save([change]) == [Saved.MOVED]
        assert await actions(other, second) == [*_ACTIONS, "after a restart"]
        entries = await other.audit(subject=first)
        for place, each in enumerate(entries, 1):
            assert await actions(other, first, each.seq) == _OF_THE_FIRST[place:]
        assert await other.verify_audit() == len(await other.audit(limit=1_000))


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE command SET noted = 0 WHERE number = 1", "not found from"),
        ("UPDATE audit SET previous = NULL WHERE seq = 2", "leads to no earlier"),
        ("UPDATE audit SET previous = 1 WHERE previous = 3 AND subject = 2", "leads to no earlier"),
        ("UPDATE audit SET previous = 0 WHERE seq = 2", "not found from"),
        ("UPDATE audit SET previous = seq WHERE seq = 2", "leads to no earlier"),
    ],
    ids=["from the command", "no link", "another command's", "cut short", "its own"],
)
async def test_an_entry_that_its_command_no_longer_leads_to_is_found(
    make: MakeStore, path: Path, statement: str, found: str
) -> None:
    async with opened(make()) as store:
        await _fill(store)
        await store.verify_audit()
        with closing(apsw.Connection(str(path))) as other:
            other.execute(statement)
            assert other.changes()
        with pytest.raises(StoreFailed, match=found):
            await store.verify_audit()
        assert await store.audit(subject=_COMMANDS[0].id)


async def test_a_communication_that_is_saved_twice_in_a_transaction_is_as_it_was_saved_last(
    make: MakeStore,
) -> None:
    """Rows are written many at a time, by what has changed of them."""
    one, two = _COMMANDS[:2]
    (first,), (second,) = one.communications, two.communications
    tried, moved = replace(second, tries=1), replace(first, wake=at(60))
    last = replace(moved, tries=2)
    changes = [
        Change(command=replace(two, communications=(tried,))),
        Change(command=replace(one, communications=(moved,))),
        Change(command=replace(one, version=1, communications=(last,))),
    ]
    async with opened(make()) as store:
        await store.submit([a_submission(1, command=one), a_submission(2, command=two)])
        commits = store.database.commits
        saved = await asyncio.gather(*(store.save([each]) for each in changes))
        assert saved == [[Saved.SAVED]] * 3
        assert store.database.commits == commits + 1
    async with opened(make()) as again:
        loaded = await again.load([one.id, two.id])
        assert loaded[one.id].communications == (last,)
        assert loaded[two.id].communications == (tried,)

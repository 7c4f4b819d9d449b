"""Commands that are kept at hand: never believed against the file, and bounded."""

from pathlib import Path

from adapter.commands.activity import State
from adapter.engine.commands.ports import Change, Saved
from adapter.model.values import replace
from adapter.store.commands import writing
from adapter.store.commands.commands import SqliteStore
from adapter.store.memory import command_memory
from tests.builders import (
    a_command,
    a_command_id,
    a_note,
    a_submission,
    a_token,
    an_awaiting_communication,
    at,
)


async def test_a_command_that_moved_behind_what_is_at_hand_is_not_saved_and_is_read_again(
    tmp_path: Path,
) -> None:
    store = SqliteStore(tmp_path / "gateway.db", now=lambda: at(0))
    await store.open()
    await store.submit([a_submission(1)])
    (mine,) = (await store.load([a_command_id(1)])).values()
    behind = "UPDATE command SET version = version + 1, wake = 0 WHERE id = ?"
    await store.database.write(lambda tx: tx.connection.execute(behind, (mine.id,)))
    moved = replace(mine, activity=replace(mine.activity, state=State.COMPLETED))
    change = Change(command=moved, audit=(a_note(),))
    assert await store.save([change]) == [Saved.MOVED]
    assert await store.verify_audit() == 0
    (found,) = (await store.load([mine.id])).values()
    assert found.version == mine.version + 1
    await store.close()


async def test_what_the_file_has_is_found_where_what_is_at_hand_is_behind_it(
    tmp_path: Path,
) -> None:
    """A save is committed a moment before what is at hand has it."""
    store = SqliteStore(tmp_path / "gateway.db", now=lambda: at(0))
    await store.open()
    await store.submit([a_submission(1)])
    (mine,) = (await store.load([a_command_id(1)])).values()
    sent = an_awaiting_communication(token=a_token(1))
    told = Change(command=replace(mine, communications=(sent,)))
    await store.database.write(lambda tx: writing.save(tx, [told], at(0)))
    (behind,) = (await store.load([mine.id])).values()
    assert behind == mine
    (found,) = await store.find(tokens=[a_token(1)])
    assert (found.version, found.communication) == (mine.version + 1, sent)
    await store.close()


async def test_what_was_saved_is_what_a_new_opening_reads(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "gateway.db", now=lambda: at(0))
    await store.open()
    await store.submit([a_submission(1)])
    (mine,) = (await store.load([a_command_id(1)])).values()
    moved = replace(mine, activity=replace(mine.activity, state=State.COMPLETED, reason="done"))
    assert await store.save([Change(command=moved)]) == [Saved.SAVED]
    at_hand = await store.load([mine.id])
    await store.close()
    await store.open()
    assert await store.load([mine.id]) == at_hand
    await store.close()


def test_it_holds_the_last_used_within_its_bound_and_nothing_older_over_newer() -> None:
    memory = command_memory(most=33)
    first, second, third, fourth = (a_command(number) for number in range(1, 5))
    memory.put([first, second, third])
    assert memory.get(first.id) is first
    memory.put([fourth])
    assert memory.get(second.id) is None
    assert memory.get(first.id) is first
    newer = replace(first, version=3)
    memory.put([newer])
    memory.put([first])
    assert memory.get(first.id) is newer
    assert memory.as_of(first.id, 0) is None
    memory.forget(first.id)
    assert memory.get(first.id) is None

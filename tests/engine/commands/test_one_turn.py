"""What comes together in one turn of the event loop is one batch; each part answers for itself."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest

from adapter.commands.activity import Command, CommunicationState, State, Work
from adapter.commands.calls import RemoteState
from adapter.commands.events import TimePassed, TokenReceived, Validated
from adapter.commands.flows import CommandKind
from adapter.engine.commands.apply import SavedWith
from adapter.engine.commands.ports import Change, Disposition, InboxState, Leased
from adapter.errors import NotFound, StoreFailed
from adapter.model.ids import InboxId
from adapter.store.commands import writing
from adapter.store.commands.commands import SqliteStore
from tests.builders import NOON, a_command_id, a_token
from tests.commands.engine_by_hand import Engine, Told, an_engine
from tests.engine.commands.site_by_hand import ByHand, by_hand
from tests.engine.commands.test_taken_callbacks import under_way
from tests.store.faults import Disk, FaultyFiles
from tests.web.both_servers import status_changed

CUT: Final = CommandKind.REMOTE_DISCONNECT
NOWHERE: Final = Disposition(inbox=InboxId(4711), state=InboxState.APPLIED)
"""Of a message that was removed while it was judged."""


def a_cut(number: int) -> Told:
    return Told(a_command_id(number), CUT, a_token(number), [], lost=False)


async def test_what_of_a_batch_cannot_be_stored_costs_the_others_nothing(tmp_path: Path) -> None:
    async with an_engine(tmp_path) as engine:
        one, two, three = await engine.submit([a_cut(1), a_cut(2), a_cut(3)])
        bad, *good = await asyncio.gather(
            engine.applier.apply(two.id, Validated(), SavedWith(inbox=(NOWHERE,))),
            engine.applier.apply(one.id, Validated()),
            engine.applier.apply(three.id, Validated()),
            return_exceptions=True,
        )
        assert isinstance(bad, NotFound)
        states = [item.activity.state for item in good if isinstance(item, Command)]
        assert states == [State.COMMUNICATION_IN_PROGRESS] * 2
        found = (await engine.store.load([two.id]))[two.id]
        assert found.activity.state is State.PENDING


async def test_what_moved_behind_what_is_at_hand_is_stepped_again_beside_the_others(
    tmp_path: Path,
) -> None:
    async with an_engine(tmp_path) as engine:
        told = [a_cut(number) for number in range(1, 5)]
        one, two, *_ = await engine.submit(told)
        behind = [Change(command=one), Change(command=two)]
        await engine.store.database.write(lambda tx: writing.save(tx, behind, NOON))
        after = await asyncio.gather(*(engine.applier.apply(x.id, Validated()) for x in told))
        assert {each.activity.state for each in after} == {State.COMMUNICATION_IN_PROGRESS}
        assert [each.version for each in after] == [2, 2, 1, 1]


@pytest.mark.parametrize("refused", [1, 2], ids=["of its own command", "of another command"])
async def test_a_reply_is_not_doubted_because_of_a_message_that_cannot_be_stored(
    refused: int, tmp_path: Path
) -> None:
    async with an_engine(tmp_path) as engine:
        sent = a_cut(1)
        await engine.accept([sent])
        await engine.submit([sent, a_cut(2)])
        message = engine.applier.apply(
            a_command_id(refused), TimePassed(), SavedWith(inbox=(NOWHERE,))
        )
        token = TokenReceived(communication=sent.communication, token=sent.token)
        bad, told = await asyncio.gather(
            message, engine.applier.apply(sent.id, token), return_exceptions=True
        )
        assert isinstance(bad, NotFound)
        assert isinstance(told, Command)
        assert told.communication(sent.communication).state is CommunicationState.AWAITING


async def test_what_a_caller_that_has_gone_asked_for_is_done_and_hurts_nobody(
    tmp_path: Path,
) -> None:
    async with an_engine(tmp_path) as engine:
        one, two = await engine.submit([a_cut(1), a_cut(2)])
        gone = asyncio.ensure_future(engine.applier.apply(one.id, Validated()))
        stays = asyncio.ensure_future(engine.applier.apply(two.id, Validated()))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await stays).activity.state is State.COMMUNICATION_IN_PROGRESS
        found = (await engine.store.load([one.id]))[one.id]
        assert found.activity.state is State.COMMUNICATION_IN_PROGRESS


async def test_a_callback_whose_sender_has_gone_and_that_comes_again_moves_nothing_more(
    tmp_path: Path,
) -> None:
    async with an_engine(tmp_path, at_once=True) as engine:
        sent = a_cut(1)
        await engine.accept([sent])
        told = (sent, RemoteState.EXECUTING, True)
        gone = asyncio.ensure_future(engine.take(*told))
        await asyncio.sleep(0)  # it is judged, and waits for the disk
        gone.cancel()
        await engine.hear([told, told])
        states = sorted(row.state for row in await engine.store.inbox())
        assert len(states) == 3
        assert set(states) <= {InboxState.APPLIED, InboxState.IGNORED}
        after = (await engine.store.load([sent.id]))[sent.id].communication(sent.communication)
        assert (after.state, after.token) == (CommunicationState.AWAITING, sent.token)


async def test_a_switch_order_that_two_have_at_hand_leaves_once(tmp_path: Path) -> None:
    """A lease may run out while its work waits: then another has the same, and an older picture."""
    async with an_engine(tmp_path) as engine:
        sent = a_cut(1)
        (command,) = await engine.submit([sent])
        await engine.applier.apply(command.id, Validated())
        store = SqliteStore(engine.store.database.path, now=engine.store.database.now)
        store.database, store.set_aside = engine.store.database, engine.store.set_aside
        other = Engine(store, engine.clock)
        await store.load([command.id])
        await engine.dispatch()
        stale = (await store.load([command.id]))[command.id]
        assert stale.communication(sent.communication).work is Work.SEND
        leased = Leased(
            command=command.id,
            communication=sent.communication,
            operation=stale.communication(sent.communication).operation,
            priority=0,
        )
        other.leasing.calls.append((leased, Work.SEND))
        assert await other.dispatcher.start_taken() == 1
        await other.dispatcher.settle()
        assert (engine.head_end.requests, other.head_end.requests) == (1, 0)


async def test_what_was_leased_in_its_save_when_the_process_ended_is_free_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with an_engine(tmp_path, at_once=True) as engine:
        (command,) = await engine.submit([a_cut(1)])
        await engine.applier.apply(command.id, Validated())
        assert len(engine.leasing.calls) == 1
        after = Engine(engine.store, engine.clock)
        assert await after.dispatch() == 0, "it is leased"
        await after.dispatcher.recover()
        assert await after.dispatch() == 1
        assert (engine.head_end.requests, after.head_end.requests) == (0, 1)


class OnABrokenDisk(SqliteStore):
    def __init__(self, path: Path, *, now: Callable[[], datetime]) -> None:
        super().__init__(path, now=now, vfs="of one turn")


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    files = FaultyFiles("of one turn", disk)
    yield disk
    files.unregister()


async def callbacks(made: ByHand) -> list[tuple[bytes, str]]:
    """Of two requests and of none; one of them twice."""
    told = []
    for meter in (3, 4):
        _, address, token = await under_way(made, meter)
        told.append((status_changed(token, "Executing"), address))
    return [*told, told[0], (status_changed("11111111-2222-4333-8444-555555555555"), "")]


async def test_nobody_is_answered_before_the_disk_has_the_turn(disk: Disk, tmp_path: Path) -> None:
    async with by_hand(tmp_path, store_type=OnABrokenDisk) as made:
        told = await callbacks(made)
        disk.moving.clear()
        disk.reached.clear()
        answers = [asyncio.ensure_future(made.tell(body, url=url)) for body, url in told]
        assert await asyncio.to_thread(disk.reached.wait, 30)
        done, _ = await asyncio.wait(answers, timeout=0.1)
        assert not done
        disk.moving.set()
        assert await asyncio.gather(*answers) == [200] * len(told)
        assert len(await made.gateway.inbox.list()) == len(told)


@pytest.mark.parametrize("fault", ["sync", "write"])
async def test_where_the_disk_breaks_in_the_middle_of_a_turn_nobody_is_answered_200(
    fault: str, disk: Disk, tmp_path: Path
) -> None:
    async with by_hand(tmp_path, store_type=OnABrokenDisk) as made:
        told = await callbacks(made)
        disk.broken = {fault}
        answers = await asyncio.gather(*(made.tell(body, url=url) for body, url in told))
        disk.broken = set()
        assert answers == [503] * len(told)
        assert [await made.tell(body, url=url) for body, url in told] == answers
        with pytest.raises(StoreFailed):
            await made.gateway.inbox.list()

"""Callbacks that are judged as they come in: one transaction for the bytes and what they do."""

import asyncio
from pathlib import Path

import pytest

from adapter.commands.activity import Command, State
from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import InboxState
from adapter.model.ids import InboxId, RequestToken
from adapter.store.commands.commands import SqliteStore
from tests.engine.commands.site_by_hand import ByHand, by_hand
from tests.store.nothing_at_hand import NothingAtHand
from tests.web.both_servers import status_changed

METER = 3


async def under_way(made: ByHand, meter: int = METER) -> tuple[Command, str, RequestToken]:
    """A command whose request the head end has taken, its callback address and its token."""
    command = await made.submit(CommandKind.DEVICE_STATUS_CHECK, meter)
    while True:
        (communication,) = (await made.gateway.commands.get(command.id)).communications
        if communication.token is not None:
            address = made.identity.address(communication.id)
            return command, address, communication.token
        await made.gateway.commands.wait(command.id, timeout_s=0.01)


async def rows(made: ByHand) -> list[tuple[InboxState, str]]:
    return [(row.state, row.reason) for row in reversed(await made.gateway.inbox.list())]


async def test_a_plain_callback_is_stored_with_its_effect(tmp_path: Path) -> None:
    async with by_hand(tmp_path) as made:
        command, address, token = await under_way(made)
        assert await made.tell(status_changed(token, "Executing"), url=address) == 200
        (row,) = await made.gateway.inbox.list()
        assert (row.state, row.command, row.token) == (InboxState.APPLIED, command.id, token)
        assert row.raw == status_changed(token, "Executing")
        told = (await made.gateway.commands.get(command.id)).communications[0].status
        assert told is not None
        assert told.state == "Executing"


async def test_the_same_callback_many_times_at_once_takes_effect_once(tmp_path: Path) -> None:
    async with by_hand(tmp_path) as made:
        command, address, token = await under_way(made)
        body = status_changed(token, "Executing")
        answers = await asyncio.gather(*(made.tell(body, url=address) for _ in range(12)))
        assert set(answers) == {200}
        newest, *_ = await made.gateway.inbox.list()
        for number in range(1, newest.id + 1):
            await made.gateway.inbox.judged(InboxId(number), timeout_s=30.0)
        states = [state for state, _ in await rows(made)]
        assert sorted(states) == sorted([InboxState.APPLIED] + 11 * [InboxState.IGNORED])
        history = await made.gateway.commands.history(command.id)
        told = [entry for entry in history if entry.note.action == "StatusNotified"]
        assert len(told) == 1


async def test_a_callback_of_another_request_at_its_address_goes_the_careful_way(
    tmp_path: Path,
) -> None:
    async with by_hand(tmp_path) as made:
        command, address, _ = await under_way(made)
        crossed = status_changed("11111111-2222-4333-8444-555555555555", "Completed")
        assert await made.tell(crossed, url=address) == 200
        (row,) = await made.gateway.inbox.list()
        judged = await made.gateway.inbox.judged(row.id, timeout_s=30.0)
        assert judged.state is InboxState.QUARANTINED
        held = await made.gateway.commands.get(command.id)
        assert held.activity.state is State.COMMUNICATION_IN_PROGRESS


async def test_what_is_not_at_hand_ends_the_same(tmp_path: Path) -> None:
    async with by_hand(tmp_path, store_type=NothingAtHand) as made:
        command, address, token = await under_way(made)
        assert await made.tell(status_changed(token, "Executing"), url=address) == 200
        (row,) = await made.gateway.inbox.list()
        judged = await made.gateway.inbox.judged(row.id, timeout_s=30.0)
        assert (judged.state, judged.command) == (InboxState.APPLIED, command.id)


@pytest.mark.parametrize("store_type", [SqliteStore, NothingAtHand])
async def test_what_is_told_of_a_command_that_is_over_is_kept_and_moves_nothing(
    store_type: type[SqliteStore], tmp_path: Path
) -> None:
    async with by_hand(tmp_path, store_type=store_type) as made:
        command, address, token = await under_way(made)
        done = await made.finish(command)
        earlier = len(await made.gateway.inbox.list())
        late = [
            status_changed(token, "Executing"),
            status_changed(token),
            status_changed(token, result="Failure"),
        ]
        told = await asyncio.gather(*(made.tell(body, url=address) for body in (*late, late[2])))
        assert set(told) == {200}
        for row in (await made.gateway.inbox.list())[: len(told)]:
            await made.gateway.inbox.judged(row.id, timeout_s=30.0)
        found = await rows(made)
        assert sorted(found[earlier:]) == sorted(
            [
                (InboxState.IGNORED, "Completed is known"),
                (InboxState.IGNORED, "received before"),
                (InboxState.APPLIED, "late"),
                (InboxState.APPLIED, "late"),
            ]
        )
        after = await made.gateway.commands.get(command.id)
        assert (after.activity.state, after.activity.outcome) == (
            done.activity.state,
            done.activity.outcome,
        )
        assert after.communications == done.communications

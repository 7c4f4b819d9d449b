"""Every store: claiming what is due, leases, the next time to look, the budget."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.commands.activity import Command, Communication, CommunicationState, Work
from adapter.commands.flows import Operation
from adapter.engine.commands.ports import (
    Change,
    Debit,
    Disposition,
    InboxState,
    Leased,
    Saved,
    Store,
)
from adapter.model.values import replace
from adapter.store.commands.commands import SqliteStore
from tests.builders import (
    NOON,
    HandClock,
    a_command,
    a_command_id,
    a_communication,
    a_message,
    a_submission,
    a_token,
    an_awaiting_communication,
    at,
)
from tests.store.commands.conftest import Subject
from tests.store.commands.model import ModelStore
from tests.support import run


async def claimed(store: Store, seconds: float = 0, *, limit: int = 10) -> list[str]:
    leased = await store.claim(
        Work.SEND, limit=limit, now=at(seconds), lease_until=at(seconds + 30)
    )
    return [item.communication for item in leased]


def queued(number: int, seconds: float, priority: int, operation: Operation) -> Command:
    communication = a_communication(a_command_id(number), wake=at(seconds), operation=operation)
    return a_command(number, communications=(communication,))


async def queue(store: Store, rows: Sequence[tuple[int, float, int, Operation]]) -> None:
    await store.submit(
        [a_submission(row[0], command=queued(*row), priority=row[2]) for row in rows]
    )


def ids(*numbers: int) -> list[str]:
    return [f"{a_command_id(number)}-1" for number in numbers]


PING, READ = Operation.PING, Operation.CONTINGENCY_READ
ROWS = (
    (1, -10, 2, PING),
    (2, -1, 0, READ),
    (3, -2, 0, PING),
    (4, -5, 1, READ),
    (5, -2, 0, READ),
    (6, 1, 0, PING),
)


async def test_the_most_urgent_and_then_the_oldest_are_claimed_first(subject: Subject) -> None:
    async with subject.opened() as store:
        await queue(store, ROWS)
        assert await claimed(store, limit=4) == ids(3, 5, 2, 4)
        assert await claimed(store) == ids(1)
        assert await claimed(store) == []


async def test_a_claim_tells_what_it_is_about(subject: Subject) -> None:
    async with subject.opened() as store:
        await queue(store, [(1, 0, 2, READ)])
        assert await store.claim(Work.SEND, limit=1, now=NOON, lease_until=at(1)) == [
            Leased(
                command=a_command_id(),
                communication=a_communication().id,
                operation=READ,
                priority=2,
            )
        ]


async def test_a_lease_that_has_ended_can_be_claimed_again(subject: Subject) -> None:
    async with subject.opened() as store:
        await queue(store, [(1, 0, 0, PING)])
        assert await claimed(store, 0) == ids(1)
        assert await store.next_wake() == at(30)
        assert await claimed(store, 29) == []
        assert await claimed(store, 30) == ids(1)


async def test_skipped_operations_do_not_hide_the_others(subject: Subject) -> None:
    async with subject.opened() as store:
        await queue(store, ROWS)
        leased = await store.claim(
            Work.SEND, limit=3, now=NOON, lease_until=at(30), skip=frozenset({READ})
        )
        assert [item.communication for item in leased] == ids(3, 1)
        assert await claimed(store) == ids(5, 2, 4)


async def test_only_the_work_asked_for_is_claimed(subject: Subject) -> None:
    async with subject.opened() as store:
        waiting = an_awaiting_communication(token=a_token(), wake=NOON)
        sending = a_communication(
            ordinal=2, state=CommunicationState.SENDING, work=Work.NONE, wake=at(-1), sent_at=NOON
        )
        await store.submit([a_submission(command=a_command(communications=(waiting, sending)))])
        assert await claimed(store) == []
        leased = await store.claim(Work.STATUS, limit=5, now=NOON, lease_until=at(1))
        assert [item.communication for item in leased] == [waiting.id]


async def test_a_save_that_leaves_an_communication_alone_keeps_its_lease(subject: Subject) -> None:
    """A callback for one communication must not make another, that is being sent, claimable."""
    async with subject.opened() as store:
        both = a_command(communications=(a_communication(), a_communication(ordinal=2)))
        await store.submit([a_submission(command=both)])
        loaded = (await store.load([both.id]))[both.id]
        assert len(await claimed(store)) == 2
        noted = replace(loaded.communications[0], tries=1)
        moved = replace(loaded.communications[1], wake=at(5))
        await store.save([Change(command=replace(loaded, communications=(noted, moved)))])
        assert await claimed(store, 10) == [moved.id]
        assert await claimed(store, 30) == [noted.id]


async def test_commands_come_due_in_the_order_of_their_times(subject: Subject) -> None:
    async with subject.opened() as store:
        wakes = {1: at(3), 2: at(1), 3: None, 4: at(2), 5: at(9)}
        await store.submit([a_submission(n, wake=wake) for n, wake in wakes.items()])
        first = await store.due(limit=2, now=at(5), lease_until=at(20))
        assert first == [a_command_id(2), a_command_id(4)]
        assert await store.due(limit=9, now=at(5), lease_until=at(20)) == [a_command_id(1)]
        assert await store.due(limit=9, now=at(5), lease_until=at(20)) == []
        loaded = (await store.load([a_command_id(5)]))[a_command_id(5)]
        await store.save([Change(command=loaded, wake=None)])
        again = await store.due(limit=9, now=at(20), lease_until=at(30))
        assert again == [a_command_id(1), a_command_id(2), a_command_id(4)]


async def test_the_next_wake_is_the_earliest_of_everything_that_waits(subject: Subject) -> None:
    async with subject.opened() as store:
        assert await store.next_wake() is None
        no_work = a_communication(state=CommunicationState.UNCLEAR, work=Work.NONE, wake=at(1))
        idle = a_command(1, communications=(no_work,))
        await store.submit([a_submission(command=idle, wake=at(50))])
        assert await store.next_wake() == at(50)
        await queue(store, [(2, 40, 2, PING), (3, 45, 0, PING)])
        assert await store.next_wake() == at(40)
        assert await store.next_wake(frozenset({PING})) == at(50)
        (inbox,) = await store.receive([a_message(at=at(30))])
        assert await store.next_wake() == at(30)
        park = Disposition(inbox=inbox, state=InboxState.PARKED, token=a_token(), wake=at(35))
        await store.save([Change(inbox=(park,))])
        assert await store.next_wake() == at(35)
        await store.save([Change(inbox=(Disposition(inbox=inbox, state=InboxState.APPLIED),))])
        assert await store.next_wake() == at(40)


async def test_a_debit_beyond_the_limit_refuses_the_whole_change(subject: Subject) -> None:
    debit = Debit(bucket="disconnects", limit=2, window_s=60)
    async with subject.opened() as store:
        await store.submit([a_submission(n) for n in (1, 2, 3)])
        commands = await store.load([a_command_id(n) for n in (1, 2, 3)])
        changes = [Change(command=command, debit=debit) for command in commands.values()]
        assert await store.save(changes) == [Saved.SAVED, Saved.SAVED, Saved.OVER_BUDGET]
        subject.clock.turn(59.999)
        assert await store.save(changes[2:]) == [Saved.OVER_BUDGET]
        other = replace(debit, bucket="another")
        assert await store.save([Change(debit=other)]) == [Saved.SAVED]
        subject.clock.turn(0.001)
        assert await store.save(changes[2:]) == [Saved.SAVED]


def test_the_budget_is_spent_across_a_restart(subject: Subject) -> None:
    debit = Change(debit=Debit(bucket="b", limit=1, window_s=60))

    async def once(store: Store) -> Saved:
        return (await store.save([debit]))[0]

    assert subject.use(once) is Saved.SAVED
    assert subject.use(once) is Saved.OVER_BUDGET


@pytest.mark.parametrize("kind", ["model", "sqlite"])
@settings(max_examples=15, deadline=None)
@given(
    limit=st.integers(0, 4),
    window=st.sampled_from([0.5, 10.0, 60.0]),
    waits=st.lists(st.sampled_from([0.0, 0.1, 0.4, 3.0, 9.9, 30.0]), max_size=40),
)
def test_no_window_ever_holds_more_than_the_limit(
    kind: str,
    tmp_path_factory: pytest.TempPathFactory,
    limit: int,
    window: float,
    waits: list[float],
) -> None:
    clock = HandClock()
    path = tmp_path_factory.mktemp("budget") / "gateway.db"
    store = ModelStore(now=clock) if kind == "model" else SqliteStore(path, now=clock)
    debit = Change(debit=Debit(bucket="b", limit=limit, window_s=window))

    async def scenario() -> list[float]:
        await store.open()
        spent: list[float] = []
        for wait in waits:
            clock.turn(wait)
            if await store.save([debit]) == [Saved.SAVED]:
                spent.append((clock.time - NOON).total_seconds())
        await store.close()
        return spent

    spent = run(scenario())
    assert len(spent) == 0 if limit == 0 else len(spent) > 0 or not waits
    for start in spent:
        inside = [time for time in spent if start <= time < start + window - 1e-9]
        assert len(inside) <= limit


async def test_an_communication_that_is_not_queued_any_more_loses_its_lease(
    subject: Subject,
) -> None:
    async with subject.opened() as store:
        await queue(store, [(1, 0, 0, PING)])
        assert await claimed(store) == ids(1)
        command = (await store.load([a_command_id()]))[a_command_id()]
        communication: Communication = replace(
            command.communications[0],
            state=CommunicationState.FETCHING,
            work=Work.RESULT,
            wake=at(1),
        )
        await store.save([Change(command=replace(command, communications=(communication,)))])
        leased = await store.claim(Work.RESULT, limit=1, now=at(1), lease_until=at(9))
        assert [item.communication for item in leased] == ids(1)


async def test_claims_at_once_never_share_an_communication(subject: Subject) -> None:
    async with subject.opened() as store:
        await queue(store, [(number, 0, number % 3, PING) for number in range(60)])
        leased = await asyncio.gather(*(claimed(store, limit=7) for _ in range(10)))
        taken = [communication for some in leased for communication in some]
        assert len(taken) == len(set(taken)) == 60


async def test_of_saves_at_once_for_one_command_one_wins(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission()])
        answers = await asyncio.gather(
            *(store.save([Change(command=a_command())]) for _ in range(20))
        )
        assert sorted(answer for (answer,) in answers) == [Saved.MOVED] * 19 + [Saved.SAVED]


async def test_what_an_ended_process_had_claimed_is_due_again_at_once(subject: Subject) -> None:
    async with subject.opened() as store:
        await queue(store, [(1, -5, 0, PING), (2, 10, 0, PING), (3, -5, 0, READ)])
        assert await claimed(store) == ids(1, 3)
        assert await claimed(store, 1) == []
        assert await store.free_claimed(now=at(1), until=at(31)) == 2
        assert await claimed(store, 1) == ids(1, 3)
        assert await claimed(store, 10) == ids(2)


async def test_a_claim_that_reaches_further_than_claims_do_is_left_alone(subject: Subject) -> None:
    async with subject.opened() as store:
        await queue(store, [(1, 0, 0, PING)])
        assert await claimed(store) == ids(1)
        assert await store.free_claimed(now=at(1), until=at(29)) == 0
        assert await store.free_claimed(now=at(30), until=at(60)) == 0
        assert await claimed(store, 30) == ids(1)

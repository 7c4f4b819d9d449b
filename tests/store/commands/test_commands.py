"""Every store: submitting, loading, saving, lanes, tokens."""

from adapter.commands.activity import Command, CommunicationState, State, Work
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.outcomes import EndpointOutcome, EndpointResult
from adapter.engine.commands.ports import (
    Accepted,
    Change,
    Duplicate,
    Filter,
    KeyConflict,
    LaneTaken,
    Saved,
    Store,
)
from adapter.model.ids import DeviceId, EndpointId
from adapter.model.values import replace
from tests.builders import (
    NOON,
    a_command,
    a_command_id,
    a_communication,
    a_note,
    a_publication,
    a_request,
    a_submission,
    a_token,
    an_awaiting_communication,
    at,
)
from tests.store.commands.conftest import Subject

LANE = "meter:M-1"


async def loaded(store: Store, number: int = 1) -> Command:
    return (await store.load([a_command_id(number)]))[a_command_id(number)]


async def test_a_submitted_command_is_loaded_as_it_was(subject: Subject) -> None:
    many = a_command(
        devices=tuple(f"M-{n}" for n in range(300)),
        communications=tuple(
            a_communication(
                ordinal=n, endpoints=tuple(EndpointId(f"E-{n}-{m}") for m in range(100))
            )
            for n in range(1, 13)
        ),
    )
    async with subject.opened() as store:
        await store.submit([a_submission(command=many)])
        assert await loaded(store) == many


def test_everything_survives_closing_and_opening(subject: Subject) -> None:
    async def before(store: Store) -> tuple[object, ...]:
        await store.submit([a_submission(1, lanes=(LANE,), wake=at(9), audit=(a_note(),))])
        moved = replace(
            await loaded(store), communications=(an_awaiting_communication(token=a_token()),)
        )
        assert await store.save([Change(command=moved, wake=at(3))]) == [Saved.SAVED]
        return await everything(store)

    async def everything(store: Store) -> tuple[object, ...]:
        return (
            await loaded(store),
            await store.next_wake(),
            await store.holders([LANE]),
            await store.find(tokens=[a_token()]),
            await store.audit(),
            await store.audit_head(),
            await store.ledger(),
        )

    was = subject.use(before)
    assert subject.use(everything) == was


async def test_unknown_ids_are_left_out_of_what_is_loaded(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission(1), a_submission(2)])
        wanted = [a_command_id(2), a_command_id(9), a_command_id(1)]
        assert list(await store.load(wanted)) == [a_command_id(2), a_command_id(1)]
        assert await store.load([]) == {}


async def test_submitting_a_batch_again_answers_the_same_and_stores_nothing_more(
    subject: Subject,
) -> None:
    batch = [
        a_submission(1, audit=(a_note(),), publications=(a_publication(),)),
        a_submission(2, key=None),
    ]
    async with subject.opened() as store:
        first = await store.submit(batch)
        before = await store.ledger(), await store.audit_head()
        assert await store.submit(batch) == first
        assert first == [Accepted(id=a_command_id(1)), Accepted(id=a_command_id(2))]
        assert (await store.ledger(), await store.audit_head()) == before


async def test_a_known_key_gives_its_command_or_a_conflict_when_the_content_differs(
    subject: Subject,
) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission(1, key="k", content="c")])
        answers = await store.submit(
            [a_submission(2, key="k", content="c"), a_submission(3, key="k", content="other")]
        )
        assert answers == [Duplicate(id=a_command_id(1)), KeyConflict(id=a_command_id(1))]
        assert await store.by_key("k") == a_command_id(1)
        assert await store.by_key("unheard") is None
        assert list(await store.load([a_command_id(2), a_command_id(3)])) == []


async def test_the_same_key_twice_in_one_batch_makes_one_command(subject: Subject) -> None:
    async with subject.opened() as store:
        answers = await store.submit(
            [a_submission(1, key="k", content="c"), a_submission(2, key="k", content="c")]
        )
        assert answers == [Accepted(id=a_command_id(1)), Duplicate(id=a_command_id(1))]


async def test_a_taken_lane_refuses_the_whole_submission(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission(1, lanes=(LANE,))])
        before = await store.ledger(), await store.audit_head()
        late = a_submission(
            2, lanes=("meter:M-2", LANE), audit=(a_note(),), publications=(a_publication(),)
        )
        assert await store.submit([late]) == [LaneTaken(holders={LANE: a_command_id(1)})]
        assert await store.holders([LANE, "meter:M-2"]) == {LANE: a_command_id(1)}
        assert (await store.ledger(), await store.audit_head()) == before
        assert await store.by_key("key-2") is None


async def test_a_steal_takes_the_lane_from_its_holder(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission(1, lanes=(LANE,))])
        await store.submit([a_submission(2, lanes=(LANE,), steal=True)])
        assert await store.holders([LANE]) == {LANE: a_command_id(2)}
        await store.save([Change(command=await loaded(store, 1), release=True)])
        assert await store.holders([LANE]) == {LANE: a_command_id(2)}


async def test_lanes_are_acquired_and_released_with_a_save(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission(1), a_submission(2)])
        assert await store.save([Change(command=await loaded(store, 1), acquire=(LANE,))]) == [
            Saved.SAVED
        ]
        mine = Change(command=await loaded(store, 1), acquire=(LANE,))
        other = Change(command=await loaded(store, 2), acquire=(LANE,), audit=(a_note(),))
        assert await store.save([mine, other]) == [Saved.SAVED, Saved.LANE_TAKEN]
        assert (await loaded(store, 2)).version == 0
        assert await store.audit() == []
        await store.save([Change(command=await loaded(store, 1), release=True)])
        assert await store.holders([LANE]) == {}
        assert await store.save([other]) == [Saved.SAVED]


async def test_a_save_is_refused_when_the_command_has_moved(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission(1)])
        mine = Change(
            command=await loaded(store), audit=(a_note(),), publications=(a_publication(),)
        )
        assert await store.save([mine, mine]) == [Saved.SAVED, Saved.MOVED]
        assert await store.save([mine]) == [Saved.MOVED]
        assert (await loaded(store)).version == 1
        assert len(await store.audit()) == 1
        unheard = Change(command=a_command(7))
        assert await store.save([unheard]) == [Saved.MOVED]


async def test_a_save_changes_what_may_change_and_only_that(subject: Subject) -> None:
    async with subject.opened() as store:
        was = a_command()
        await store.submit([a_submission(1)])
        changed = replace(
            was,
            request=a_request(CommandKind.REMOTE_CONNECT),
            targets=(),
            activity=replace(was.activity, state=State.COMPLETED, reason="done"),
            communications=(
                replace(
                    was.communications[0],
                    state=CommunicationState.COMPLETED,
                    work=Work.NONE,
                    wake=None,
                ),
                a_communication(ordinal=2),
            ),
        )
        await store.save([Change(command=changed)])
        expected = replace(changed, request=was.request, targets=was.targets, version=1)
        assert await loaded(store) == expected


async def test_a_token_belongs_to_one_communication(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission(1), a_submission(2)])
        one, two = await loaded(store, 1), await loaded(store, 2)
        mine = an_awaiting_communication(one.id, token=a_token())
        await store.save([Change(command=replace(one, communications=(mine,)))])
        stolen = replace(two, communications=(an_awaiting_communication(two.id, token=a_token()),))
        answer = await store.save([Change(command=stolen, audit=(a_note(),))])
        assert answer == [Saved.TOKEN_TAKEN]
        assert await loaded(store, 2) == two
        assert await store.audit() == []
        twice = replace(
            two,
            communications=tuple(
                an_awaiting_communication(two.id, n, token=a_token(5)) for n in (1, 2)
            ),
        )
        assert await store.save([Change(command=twice)]) == [Saved.TOKEN_TAKEN]
        again = Change(command=await loaded(store, 1))
        assert await store.save([again]) == [Saved.SAVED]


async def test_communications_are_found_by_id_and_by_token(subject: Subject) -> None:
    async with subject.opened() as store:
        sent = an_awaiting_communication(token=a_token())
        queued = a_communication(ordinal=2)
        await store.submit([a_submission(command=a_command(communications=(sent, queued)))])
        found = await store.find(
            communications=[queued.id, sent.id], tokens=[a_token(), a_token(9)]
        )
        assert [(item.command, item.communication) for item in found] == [
            (a_command_id(), queued),
            (a_command_id(), sent),
        ]
        assert await store.find() == []


async def test_a_later_outcome_of_an_endpoint_replaces_the_earlier(subject: Subject) -> None:
    def outcome(endpoint: str, result: EndpointResult) -> EndpointOutcome:
        return EndpointOutcome(endpoint=EndpointId(endpoint), result=result)

    async with subject.opened() as store:
        failed = outcome("E-2", EndpointResult.FAILED)
        await store.submit(
            [a_submission(1, outcomes=(failed, outcome("E-1", EndpointResult.SUCCEEDED)))]
        )
        missing = outcome("E-1", EndpointResult.MISSING)
        await store.save([Change(command=await loaded(store), outcomes=(missing,))])
        assert await store.outcomes(a_command_id()) == [missing, failed]
        assert await store.outcomes(a_command_id(2)) == []


async def test_listing_filters_and_pages_newest_first(subject: Subject) -> None:
    ping = CommandKind.DEVICE_STATUS_CHECK
    commands = [
        a_command(1, state=State.COMPLETED),
        a_command(2, kind=ping, devices=("M-2",)),
        a_command(3, kind=ping, devices=("M-1", "M-2"), state=State.COMPLETED),
        a_command(4, state=State.AWAITING_APPROVAL),
        a_command(5, devices=("M-2",)),
    ]
    async with subject.opened() as store:
        await store.submit([a_submission(n, command=c) for n, c in enumerate(commands, 1)])

        async def listed(wanted: Filter) -> list[int]:
            ids = [a_command_id(n) for n in range(6)]
            return [ids.index(command.id) for command in (await store.list(wanted)).rows]

        assert await listed(Filter()) == [5, 4, 3, 2, 1]
        assert await listed(Filter(limit=2)) == [5, 4]
        assert await listed(Filter(limit=2, before=a_command_id(4))) == [3, 2]
        assert await listed(Filter(kind=ping)) == [3, 2]
        assert await listed(Filter(state=State.COMPLETED)) == [3, 1]
        assert await listed(Filter(open_only=True)) == [5, 4, 2]
        assert await listed(Filter(open_only=True, limit=1)) == [5]
        assert await listed(Filter(open_only=True, before=a_command_id(5))) == [4, 2]
        assert await listed(Filter(device=DeviceId("M-2"))) == [5, 3, 2]
        assert await listed(Filter(device=DeviceId("M-2"), open_only=True, kind=ping)) == [2]
        assert await listed(Filter(state=State.COMPLETED, kind=ping)) == [3]
        assert await listed(Filter(device=DeviceId("M-9"))) == []


async def test_interrupted_sends_are_found_after_a_restart(subject: Subject) -> None:
    async with subject.opened() as store:
        await store.submit([a_submission(1, priority=2), a_submission(2)])
        command = await loaded(store)
        begun = replace(
            command.communications[0],
            state=CommunicationState.SENDING,
            work=Work.NONE,
            sent_at=NOON,
        )
        await store.save([Change(command=replace(command, communications=(begun,)))])
    async with subject.opened() as store:
        (found,) = await store.sending()
        assert (found.command, found.communication) == (a_command_id(), a_communication().id)
        assert (found.operation, found.priority) == (Operation.DISCONNECT_METER, 2)

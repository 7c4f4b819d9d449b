"""One row of the commands' loops that cannot be worked: inbox, timers, communications, outbox."""

from datetime import timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import Command, CommandRequest, CommunicationState, State, Work
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.commands.message_log import MessageLog
from adapter.engine.commands.ports import Change, InboxState, Received
from adapter.engine.upkeep.set_aside import WAITS, FailedState, RowKind
from adapter.errors import StoreFailed
from adapter.model.ids import CommunicationId, DeviceId
from adapter.store.connection import SqlConnection
from tests.builders import a_publication
from tests.engine.upkeep.broken_rows import Broken, Receiver, Stage, a_stage, kept, plant
from tests.web.both_servers import STATUS, status_changed

FAR = 2**62
"""Microseconds that no calendar has."""


async def submit(
    stage: Stage, number: int, kind: CommandKind = CommandKind.DEVICE_STATUS_CHECK
) -> Command:
    request = CommandRequest(kind=kind, devices=(DeviceId(f"M{number}"),), requester="me")
    return await stage.gateway.commands.submit(request, actor="me")


async def callback(stage: Stage, command: Command) -> None:
    (communication,) = (await stage.gateway.commands.get(command.id)).communications[-1:]
    assert communication.token is not None
    await stage.store.receive(
        [
            Received(
                operation=STATUS,
                raw=status_changed(communication.token),
                at=stage.clock.now(),
                communication=communication.id,
            )
        ]
    )


async def states(stage: Stage) -> list[InboxState]:
    return [row.state for row in reversed(await stage.gateway.inbox.list())]


async def test_a_message_whose_communication_cannot_be_read_holds_up_no_other(
    tmp_path: Path,
) -> None:
    async with a_stage(tmp_path) as stage:
        one, two = await submit(stage, 1), await submit(stage, 2)
        await stage.work()
        await callback(stage, one)
        await callback(stage, two)
        broken = Broken(tmp_path, "communication", "body", "command", one.id)
        plant(tmp_path, "UPDATE communication SET due = NULL WHERE command = ?", one.id)
        plant(tmp_path, "UPDATE command SET wake = NULL WHERE id = ?", one.id)
        await stage.work()
        assert await states(stage) == [InboxState.NEW, InboxState.APPLIED]
        row = await stage.only(RowKind.MESSAGE, FailedState.WAITING)
        assert (row.row, row.tries, row.error) == ("1", 1, "ValidationError")
        assert row.due == stage.clock.now() + WAITS[0]
        await stage.clock.turn(stage.clock.now() + WAITS[0])
        await stage.work()
        assert (await stage.only(RowKind.MESSAGE, FailedState.WAITING)).tries == 2
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at) as stage:
        assert (await stage.only(RowKind.MESSAGE, FailedState.WAITING)).tries == 2
        for wait in WAITS[1:]:
            await stage.clock.turn(stage.clock.now() + wait)
            await stage.work()
        row = await stage.only(RowKind.MESSAGE)
        assert (row.tries, row.due, row.last) == (5, None, stage.clock.now())
        assert row.first < row.last
        entries = await stage.gateway.upkeep.audit(after=0, limit=500)
        assert [e.note.subject for e in entries if e.note.action == "SetAside"] == ["inbox:1"]
        await stage.later(timedelta(days=1))
        assert (await stage.only(RowKind.MESSAGE)).tries == 5
        broken.mend()
        await stage.set_aside.retry(row.id, by="me", reason="mended")
        await stage.work()
        assert await stage.failed() == []
        assert await states(stage) == [InboxState.APPLIED, InboxState.APPLIED]


async def test_a_message_with_an_impossible_time_is_set_aside_and_discarded(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        one = await submit(stage, 1)
        await stage.work()
        await stage.store.receive([Received(operation=STATUS, raw=b"<x/>", at=stage.clock.now())])
        plant(tmp_path, "UPDATE inbox SET at = ? WHERE id = 1", FAR)
        await callback(stage, one)
        await stage.work()
        assert (await stage.only(RowKind.MESSAGE, FailedState.WAITING)).error == "OverflowError"
        await stage.tries()
        row = await stage.only(RowKind.MESSAGE)
        await stage.set_aside.discard(row.id, by="me", reason="damaged")
        state = kept(tmp_path, "SELECT state FROM inbox WHERE id = 1")
        assert state == InboxState.DISCARDED
        last = (await stage.gateway.upkeep.audit(after=0, limit=500))[-1].note
        assert (last.actor, last.action, last.detail["reason"]) == (
            "me",
            "SetAsideDiscarded",
            "damaged",
        )


async def test_a_command_that_cannot_be_read_holds_up_no_timer_of_another(tmp_path: Path) -> None:
    later = timedelta(hours=1)
    async with a_stage(tmp_path) as stage:
        made = [
            await stage.gateway.commands.submit(
                CommandRequest(
                    kind=CommandKind.DEVICE_STATUS_CHECK,
                    devices=(DeviceId(f"M{number}"),),
                    requester="me",
                    effective_at=stage.clock.now() + later,
                ),
                actor="me",
            )
            for number in (1, 2)
        ]
        broken = Broken(tmp_path, "command", "activity", "id", made[0].id)
        await stage.later(later)
        assert len(stage.head_end.calls) == 1
        assert (await stage.only(RowKind.COMMAND, FailedState.WAITING)).row == made[0].id
        await stage.tries()
        row = await stage.only(RowKind.COMMAND)
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at) as stage:
        await stage.later(timedelta(minutes=5))
        assert (await stage.only(RowKind.COMMAND)).tries == row.tries
        broken.mend()
        await stage.set_aside.retry(row.id, by="me")
        await stage.later(timedelta(seconds=31))
        assert await stage.failed() == []
        assert (await stage.gateway.commands.get(made[0].id)).communications != ()


async def test_a_command_that_is_discarded_ends(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        at = stage.clock.now() + timedelta(hours=1)
        request = CommandRequest(
            kind=CommandKind.DEVICE_STATUS_CHECK,
            devices=(DeviceId("M1"),),
            requester="me",
            effective_at=at,
        )
        command = await stage.gateway.commands.submit(request, actor="me")
        broken = Broken(tmp_path, "command", "activity", "id", command.id)
        await stage.later(timedelta(hours=1))
        await stage.tries()
        row = await stage.only(RowKind.COMMAND)
        broken.mend()
        await stage.set_aside.discard(row.id, by="me", reason="no use")
        assert (await stage.gateway.commands.get(command.id)).activity.state.final
        await stage.later(timedelta(hours=1))
        await stage.only(RowKind.COMMAND, FailedState.DISCARDED)


async def test_a_switch_order_that_is_set_aside_stays_fenced_and_leaves_once(
    tmp_path: Path,
) -> None:
    async with a_stage(tmp_path) as stage:
        cut = await submit(stage, 1, CommandKind.REMOTE_DISCONNECT)
        broken = Broken(tmp_path, "communication", "body", "command", cut.id)
        plant(tmp_path, "UPDATE command SET wake = NULL WHERE id = ?", cut.id)
        other = await submit(stage, 2, CommandKind.REMOTE_DISCONNECT)
        await stage.work()
        assert [call.endpoints for call in stage.head_end.calls] == [(other.targets[0].endpoint,)]
        await stage.tries()
        row = await stage.only(RowKind.COMMUNICATION)
        assert await stage.store.holders(["D-M1", "M1", *_lanes(tmp_path, cut)])
        again = await submit(stage, 1, CommandKind.REMOTE_DISCONNECT)
        assert again.activity.state is State.VALIDATION_ERROR
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at) as stage:
        broken.mend()
        for _ in range(3):
            await stage.set_aside.retry(row.id, by="me")
        for _ in range(3):
            await stage.later(timedelta(seconds=31))
        switched = [
            call for call in stage.head_end.calls if call.operation is Operation.DISCONNECT_METER
        ]
        assert len(switched) == 1
        assert await stage.failed() == []


def _lanes(folder: Path, command: Command) -> list[str]:
    found = kept(
        folder, "SELECT name FROM lane JOIN command ON number = command WHERE id = ?", command.id
    )
    assert isinstance(found, list)  # by device and by endpoint
    return [str(name) for name in found]


async def test_a_send_that_breaks_unexpectedly_is_unclear_and_never_repeated(
    tmp_path: Path,
) -> None:
    async with a_stage(tmp_path) as stage:
        first = await stage.gateway.registry.device(DeviceId("M1"))
        stage.head_end.breaks_for = frozenset({str(first.device.endpoint)})
        cut = await submit(stage, 1, CommandKind.REMOTE_DISCONNECT)
        ping = await submit(stage, 2)
        await stage.work()
        assert (await stage.gateway.commands.get(ping.id)).communications[0].token is not None
        communication = (await stage.gateway.commands.get(cut.id)).communications[0]
        assert communication.state is not CommunicationState.SENDING
        for _ in range(20):
            await stage.later(timedelta(minutes=10))
        sent = [c for c in stage.head_end.calls if c.operation is Operation.DISCONNECT_METER]
        assert len(sent) == 1
        notes = [e.note for e in await stage.gateway.upkeep.audit(after=0, limit=500)]
        assert "secret" not in str(notes)


async def test_a_start_with_a_broken_send_settles_the_other_sends(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        made = [await submit(stage, number) for number in (1, 2)]
        for each in made:
            (communication,) = (
                each.communications or (await stage.gateway.commands.get(each.id)).communications
            )
            await _begin_sending(stage, each, communication.id)
        broken = Broken(tmp_path, "communication", "body", "command", made[0].id)
        plant(tmp_path, "UPDATE command SET wake = NULL")
    async with a_stage(tmp_path) as stage:
        after = await stage.gateway.commands.get(made[1].id)
        assert after.communications[0].state is not CommunicationState.SENDING
        await stage.only(RowKind.COMMUNICATION, FailedState.WAITING)
        broken.mend()
        await stage.later(WAITS[0])
        assert await stage.failed() == []
        settled = (await stage.gateway.commands.get(made[0].id)).communications[0]
        assert settled.state is not CommunicationState.SENDING
        assert settled.work is not Work.SEND or settled.sent_at is not None


async def _begin_sending(stage: Stage, command: Command, communication: CommunicationId) -> None:
    """As a gateway leaves it that dies between the intent and the answer."""
    from adapter.commands.events import Dispatched
    from adapter.commands.timing import POLICIES
    from adapter.engine.commands.apply import Applier
    from adapter.engine.commands.at_once import AtOnce
    from adapter.engine.commands.switch_holds import SwitchHolds

    at_once = AtOnce(SwitchHolds(None, stage.clock))
    applier = Applier(stage.store, stage.clock, POLICIES, at_once)
    await applier.apply(command.id, Dispatched(communication=communication))


async def test_an_communication_of_an_unknown_operation_holds_up_no_claim(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        one, two = await submit(stage, 1), await submit(stage, 2)
        plant(tmp_path, "UPDATE communication SET operation = 'A.B' WHERE command = ?", one.id)
        await stage.work()
        assert [call.endpoints for call in stage.head_end.calls] == [(two.targets[0].endpoint,)]
        assert (await stage.only(RowKind.COMMUNICATION, FailedState.WAITING)).error == "ValueError"


async def publish(stage: Stage, *names: str) -> None:
    await stage.store.save([Change(publications=tuple(map(a_publication, names)))])


async def test_a_publication_that_cannot_be_read_holds_up_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        await publish(stage, "a", "b", "c")
        broken = Broken(tmp_path, "publication", "body", "id", "b")
        await stage.work()
        assert stage.sink.taken == ["a", "c"]
        await stage.tries()
        found = await stage.failed(FailedState.SET_ASIDE)
        assert {(each.kind, each.row.partition("/")[2]) for each in found} == {
            (RowKind.PUBLICATION, "receiver"),
            (RowKind.PUBLICATION, "orders"),
        }
        at = stage.clock.now()
    async with a_stage(tmp_path, at=at, sink=Receiver()) as stage:
        await publish(stage, "d")
        await stage.work()
        assert stage.sink.taken == ["d"]
        broken.mend()
        for each in found:
            await stage.set_aside.retry(each.id, by="me")
        await stage.work()
        assert stage.sink.taken == ["d", "b"]
        assert await stage.failed() == []


async def test_a_publication_that_the_sink_does_not_take_is_passed(tmp_path: Path) -> None:
    sink = Receiver(refuses=frozenset({"b", "c"}))
    async with a_stage(tmp_path, sink=sink) as stage:
        await publish(stage, "a", "b", "c", "d")
        for _ in range(3):
            await stage.later(timedelta(seconds=6))
        assert sink.taken == ["a", "d"]
        await publish(stage, "e")
        await stage.work()
        assert sink.taken == ["a", "d", "e"]
        await stage.tries()
        found = await stage.failed(FailedState.SET_ASIDE)
        assert [each.error for each in found] == ["ConnectionError"] * 2
        sink.refuses = frozenset()
        await stage.set_aside.retry(found[0].id, by="me")
        await stage.set_aside.discard(found[1].id, by="me", reason="of no use")
        await stage.later(timedelta(seconds=6))
        assert sink.taken == ["a", "d", "e", "b"]


async def test_publications_that_are_refused_and_have_none_behind_them_are_set_aside(
    tmp_path: Path,
) -> None:
    for names in (["a"], ["a", "b", "c"]):
        sink = Receiver(refuses=frozenset(names))
        folder = tmp_path / "".join(names)
        folder.mkdir()
        async with a_stage(folder, sink=sink) as stage:
            await publish(stage, *names)
            for wait in (timedelta(), timedelta(seconds=6), timedelta(seconds=6)):
                await stage.later(wait)
            assert {each.state for each in await stage.failed()} == {FailedState.WAITING}
            await stage.tries()
            found = await stage.failed(FailedState.SET_ASIDE)
            assert [each.row for each in found] == [
                f"{n}/receiver" for n in range(1, len(names) + 1)
            ]
            assert {(each.error, each.tries) for each in found} == {("ConnectionError", 5)}
            tried = sink.asked
            for _ in range(5):
                await stage.later(timedelta(minutes=10))
            assert sink.asked == tried  # it waits for people
            sink.refuses = frozenset()
            await stage.set_aside.retry(found[0].id, by="me")
            for each in found[1:]:
                await stage.set_aside.discard(each.id, by="me", reason="of no use")
            await stage.later(timedelta(seconds=6))
            assert sink.taken == ["a"]


async def test_what_was_set_aside_while_a_sink_was_away_is_offered_when_it_takes_something(
    tmp_path: Path,
) -> None:
    sink = Receiver(away=True)
    async with a_stage(tmp_path, sink=sink) as stage:
        await publish(stage, "a")
        await stage.work()
        await stage.tries()
        await stage.only(RowKind.PUBLICATION)
        sink.away, sink.refuses = False, frozenset({"a"})
        await publish(stage, "b")
        await stage.later(timedelta(seconds=6))
        assert sink.taken == ["b"]
        await stage.work()
        assert (await stage.only(RowKind.PUBLICATION, FailedState.WAITING)).tries == 1
        await stage.tries()
        await stage.only(RowKind.PUBLICATION)  # once: it is to blame itself
        await publish(stage, "c")
        await stage.later(timedelta(seconds=6))
        assert sink.taken == ["b", "c"]
        await stage.only(RowKind.PUBLICATION)


async def test_a_sink_that_is_away_has_few_publications_noted_however_many_come(
    tmp_path: Path,
) -> None:
    sink = Receiver(away=True)
    async with a_stage(tmp_path, sink=sink) as stage:
        for number in range(30):
            await publish(stage, f"p{number:03}")
            await stage.later(timedelta(minutes=5))
        assert len(await stage.failed()) == 10
        sink.away = False
        await stage.later(timedelta(minutes=1))
        await stage.work()
        assert sorted(sink.taken) == [f"p{n:03}" for n in range(30)]
        assert await stage.failed() == []


async def test_a_sink_that_is_away_costs_no_publication(tmp_path: Path) -> None:
    sink = Receiver(away=True)
    async with a_stage(tmp_path, sink=sink) as stage:
        await publish(stage, *(f"p{n:03}" for n in range(30)))
        for _ in range(30):
            await stage.later(timedelta(minutes=1))
        assert await stage.failed() == []
        sink.away = False
        await stage.later(timedelta(minutes=1))
        assert sink.taken == [f"p{n:03}" for n in range(30)]


async def test_a_message_that_cannot_be_logged_costs_no_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        command = await submit(stage, 1)
        await stage.work()
        communication = (await stage.gateway.commands.get(command.id)).communications[0].id
        messages = MessageLog(stage.store, stage.clock)
        messages.add(communication, "Op", b"<a/>", 2**70, b"<b/>")
        messages.add(communication, "Op", b"<c/>", 200, b"<d/>")
        logged = [each.body for each in await stage.gateway.commands.messages(command.id)]
        assert (b"<a/>" in logged, b"<c/>" in logged) == (False, True)


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("INSERT INTO debit (bucket, at) VALUES ('x', ?)", (2**70,)),
        ("INSERT INTO debit (bucket, at) VALUES (?, 1)", ("\ud800",)),
        ("SELECT json_extract(?, '$.x')", ("{",)),
        ("SELECT sum(value) FROM json_each(?)", ("[9223372036854775807, 1]",)),
        ("INSERT INTO debit (bucket, at) VALUES (?, 1)", (None,)),
        ("INSERT INTO debit (bucket, at) VALUES ('x', 'y')", ()),
    ],
    ids=["integer", "surrogate", "json", "sum", "null", "type"],
)
async def test_an_error_of_a_rows_values_is_that_rows_and_no_storage_error(
    tmp_path: Path, statement: str, values: tuple[object, ...]
) -> None:
    async with a_stage(tmp_path) as stage:

        def work(db: SqlConnection) -> object:
            return list(db.execute(statement, values))

        with pytest.raises(Exception) as raised:
            await stage.store.database.write(lambda tx: work(tx.connection))
        assert not isinstance(raised.value, StoreFailed)
        if statement.startswith("SELECT"):
            with pytest.raises(Exception) as raised:
                await stage.store.database.read(work)
            assert not isinstance(raised.value, StoreFailed)
        await publish(stage, "a")


async def test_an_error_of_the_storage_still_stops_everything(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        await publish(stage, "a", "b")
        plant(tmp_path, "ALTER TABLE publication RENAME TO gone")
        with pytest.raises(StoreFailed):
            await stage.work()
        with pytest.raises(StoreFailed):
            await stage.store.ledger()

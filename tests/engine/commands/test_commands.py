"""All twelve commands over real SOAP, HTTP and SQLite, and what goes along with them."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.commands.activity import (
    CommandRequest,
    CompletionState,
    Outcome,
    ReadPeriod,
    State,
)
from adapter.commands.calls import FailureReason, RemoteState
from adapter.commands.flows import FLOWS, READ_KINDS, CommandKind, Operation, Scope
from adapter.demo.demo import DemoSite, twelve
from adapter.engine.commands.ports import Filter, InboxState
from adapter.errors import Conflict, InvalidRequest, UnknownDevice
from adapter.model.ids import DeviceId
from adapter.model.reading import not_regular
from adapter.simulator.faults import Effect
from tests.builders import NOON
from tests.engine.commands.quick_site import fast, finish, script, sends, world
from tests.engine.commands.site_by_hand import by_hand

S, V, K = State, Outcome, CommandKind


def period() -> ReadPeriod:
    now = datetime.now(UTC)
    return ReadPeriod(start=now - timedelta(hours=2), end=now)


@pytest.mark.parametrize("kind", CommandKind)
async def test_a_command_reaches_its_result_and_its_completion_events(
    kind: CommandKind, tmp_path: Path
) -> None:
    async with world(tmp_path) as made:
        request = next(x for x in twelve(made, now=datetime.now(UTC)) if x.kind is kind)
        done = await finish(made, request)
        assert done.activity.state is S.COMPLETED, done.activity
        expected = FLOWS[kind].completion
        events = done.activity.completions
        assert [event.kind for event in events] == ([expected] if expected else [])
        assert all(event.state is CompletionState.EXECUTED for event in events)
        operations = {
            message.operation for message in await made.app.gateway.commands.messages(done.id)
        }
        assert FLOWS[kind].request.operation in operations
        result = FLOWS[kind].result
        assert result is None or result.operation in operations
        await books_agree(made)


async def books_agree(made: DemoSite) -> None:
    """I10: nothing is lost between acceptance and final states, received and disposed."""
    ledger = await made.app.gateway.upkeep.ledger()
    assert sum(ledger.commands_by_state.values()) == ledger.accepted
    assert sum(ledger.inbox_by_state.values()) == ledger.received
    assert await made.app.gateway.upkeep.verify_audit() > 0


@pytest.mark.parametrize("kind", sorted(READ_KINDS))
async def test_a_read_makes_measurements_from_what_arrived(
    kind: CommandKind, tmp_path: Path
) -> None:
    async with world(tmp_path) as made:
        group = FLOWS[kind].scope is Scope.GROUP
        request = CommandRequest(
            kind=kind,
            devices=() if group else (made.device(1),),
            group="Substation 1" if group else None,
            period=period(),
        )
        done = await finish(made, request)
        assert done.activity.outcome is V.SUCCEEDED
        rows = await made.app.gateway.registry.measurements(made.device(1))
        assert rows
        assert all(row.values for row in rows)


async def test_a_measurement_and_its_event_say_what_the_intake_made_of_the_values(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, noted_share=1.0) as made:
        device, app = made.device(1), made.app.gateway
        request = CommandRequest(kind=K.ON_DEMAND_READ_INTERVAL, devices=(device,), period=period())
        done = await finish(made, request)
        assert done.activity.outcome is V.SUCCEEDED
        (measurement,) = await app.registry.measurements(device)
        first, last = measurement.start, measurement.end
        taken = await made.app.core.taking.data.values_between(first, last, device=device)
        assert [(v.at, v.condition) for v in measurement.values] == [
            (row.at, row.condition) for row in taken if row.seconds
        ]
        (executed,) = (
            entry.note.detail["note"]
            for entry in await app.commands.history(done.id)
            if entry.note.action == "CompletionExecuted"
        )
        assert executed == not_regular([measurement]) != ""
        (event,) = (
            row.publication
            for row in await made.app.core.store.outbox("test", limit=100)
            if row.publication.type == "openway.command.completion.D1-CreateIMD"
        )
        assert event.data["text"] == executed


async def test_data_that_come_after_the_result_complete_the_read(tmp_path: Path) -> None:
    late = script(Effect.LATE_DATA, seconds=1.0)
    async with world(tmp_path, late, policies=fast(measurement_s=15.0)) as made:
        request = CommandRequest(
            kind=K.ON_DEMAND_READ_INTERVAL, devices=(made.device(1),), period=period()
        )
        done = await finish(made, request)
        assert done.activity.outcome is V.SUCCEEDED
        history = await made.app.gateway.commands.history(done.id)
        assert any(S.WAITING_FOR_MEASUREMENT in str(entry.note.detail) for entry in history)


async def test_a_read_whose_data_never_come_says_so_within_its_window(tmp_path: Path) -> None:
    async with world(tmp_path, script(Effect.DROP_DATA), policies=fast(measurement_s=0.3)) as made:
        request = CommandRequest(
            kind=K.ON_DEMAND_READ_SCALAR, devices=(made.device(1),), period=period()
        )
        done = await finish(made, request)
        assert (done.activity.state, done.activity.outcome) == (S.DISCARDED, V.NO_DATA)


async def test_a_request_for_many_is_split_and_every_endpoint_has_one_outcome(
    tmp_path: Path,
) -> None:
    silent = script(
        Effect.ENDPOINT_FAILURE, meter="*700007", reason=FailureReason.COMMUNICATION_ERROR
    )
    omitted = script(Effect.OMIT_DEVICE, meter="*700009")
    async with world(tmp_path, silent, omitted, policies=fast(max_endpoints=6)) as made:
        devices = tuple(made.device(number) for number in range(20))
        done = await finish(made, CommandRequest(kind=K.READ_DISCONNECT_STATE, devices=devices))
        counts = done.activity.tally
        assert done.activity.outcome is V.PARTIAL
        assert (counts.requested, counts.succeeded, counts.failed, counts.missing) == (
            20,
            18,
            1,
            1,
        )
        assert len(done.communications) == 4
        rows = {row.endpoint: row for row in await made.app.gateway.commands.outcomes(done.id)}
        assert len(rows) == 20
        assert rows[made.endpoint(6)].reason == "CommunicationError"


async def test_a_cut_failure_list_leaves_the_others_unknown(tmp_path: Path) -> None:
    failing = script(Effect.ENDPOINT_FAILURE, meter="*70000[1-4]")
    cut = script(Effect.TRUNCATE_FAILURES, count=1)
    async with world(tmp_path, failing, cut) as made:
        devices = tuple(made.device(number) for number in range(10))
        done = await finish(made, CommandRequest(kind=K.MULTI_DEVICE_STATUS_CHECK, devices=devices))
        counts = done.activity.tally
        assert counts.requested == counts.succeeded + counts.failed + counts.unknown
        assert (counts.failed, counts.unknown) == (1, 9)


async def test_an_unreachable_meter_is_an_answer_not_an_error(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        request = CommandRequest(kind=K.DEVICE_STATUS_CHECK, devices=(made.device(39),))
        done = await finish(made, request)
        assert (done.activity.state, done.activity.outcome) == (S.COMPLETED, V.UNREACHABLE)


async def test_a_read_whose_reply_is_lost_is_sent_again_and_the_first_answer_is_ignored(
    tmp_path: Path,
) -> None:
    lost = script(Effect.LOSE_REPLY, "PingByEndpoints", first=1)
    slow = script(Effect.DELAY_CALLBACK, "PingByEndpoints", seconds=5.0)
    async with by_hand(tmp_path, lost, slow, policies=fast()) as made:
        done = await made.finish(await made.submit(K.DEVICE_STATUS_CHECK, 1))
        assert done.activity.outcome is V.SUCCEEDED
        assert made.sends(Operation.PING) == 2
        assert [communication.attempt for communication in done.communications] == [1, 2]


async def test_all_callbacks_lost_are_healed_by_polling(tmp_path: Path) -> None:
    async with world(tmp_path, script(Effect.DROP_CALLBACK)) as made:
        request = CommandRequest(kind=K.LOAD_CHECK, devices=(made.device(1),))
        done = await finish(made, request)
        assert done.activity.outcome is V.SUCCEEDED
        assert (await made.app.gateway.upkeep.ledger()).received == 0


async def test_a_callback_about_another_token_is_quarantined_and_moves_nothing(
    tmp_path: Path,
) -> None:
    wrong = script(Effect.WRONG_CALLBACK_TOKEN, state=RemoteState.COMPLETED)
    async with world(tmp_path, wrong) as made:
        request = CommandRequest(kind=K.REMOTE_DISCONNECT, devices=(made.device(3),))
        done = await finish(made, request)
        assert done.activity.outcome is V.SUCCEEDED
        (row,) = await made.app.gateway.inbox.list(state=InboxState.QUARANTINED)
        assert "token" in row.reason


async def test_cancel_before_sending_takes_effect_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        gateway = made.app.gateway
        request = CommandRequest(
            kind=K.REMOTE_DISCONNECT,
            devices=(made.device(3),),
            effective_at=datetime.now(UTC) + timedelta(hours=1),
        )
        waiting = await gateway.commands.submit(request)
        assert waiting.activity.state is S.WAITING_FOR_EFFECTIVE_DATE
        done = await gateway.commands.cancel(waiting.id, by="anna")
        assert done.activity.state is S.CANCELED
        assert sends(made, Operation.DISCONNECT_METER, 3) == 0
        with pytest.raises(Conflict):
            await gateway.commands.cancel(waiting.id, by="anna")


async def test_cancel_at_the_head_end_ends_canceled(tmp_path: Path) -> None:
    stuck = script(Effect.NEVER_FINISH, "PingByEndpoints")
    async with world(tmp_path, stuck) as made:
        gateway = made.app.gateway
        request = CommandRequest(kind=K.DEVICE_STATUS_CHECK, devices=(made.device(1),))
        command = await gateway.commands.submit(request)
        while not (await gateway.commands.get(command.id)).communications[0].token:
            await gateway.commands.wait(command.id, timeout_s=0.05)
        await gateway.commands.cancel(command.id, by="anna")
        done = await gateway.commands.wait(command.id, timeout_s=10)
        assert (done.activity.state, done.activity.outcome) == (S.CANCELED, V.CANCELED)
        assert made.simulator.journal.count(Operation.CANCEL_REQUEST) >= 1


async def test_the_same_key_gives_the_same_command_and_other_content_is_refused(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as made:
        gateway = made.app.gateway
        asked = CommandRequest(
            kind=K.DEVICE_STATUS_CHECK, devices=(made.device(1),), idempotency_key="k-1"
        )
        twins = await asyncio.gather(*(gateway.commands.submit(asked) for _ in range(5)))
        assert len({command.id for command in twins}) == 1
        other = CommandRequest(
            kind=K.DEVICE_STATUS_CHECK, devices=(made.device(2),), idempotency_key="k-1"
        )
        with pytest.raises(Conflict, match="idempotency key"):
            await gateway.commands.submit(other)
        await gateway.commands.wait(twins[0].id, timeout_s=10)
        assert sends(made, Operation.PING, 1) == 1


async def test_an_opposite_order_waits_in_validation_error_and_can_be_retried(
    tmp_path: Path,
) -> None:
    async with by_hand(tmp_path) as made:
        cut = await made.submit(K.REMOTE_DISCONNECT, 3)
        refused = await made.submit(K.REMOTE_CONNECT, 3, ignore_install_state=True)
        assert refused.activity.state is S.VALIDATION_ERROR
        assert cut.id in refused.activity.reason
        assert (await made.finish(cut)).activity.outcome is V.SUCCEEDED
        retried = await made.gateway.commands.retry(refused.id, by="anna")
        assert (await made.finish(retried)).activity.outcome is V.SUCCEEDED


async def test_wrong_input_names_field_and_rule_and_stores_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        gateway = made.app.gateway
        known, unknown = (made.device(1),), (DeviceId("NOBODY"),)
        backwards = ReadPeriod(start=period().end, end=period().start)
        with pytest.raises(UnknownDevice, match="NOBODY"):
            await gateway.commands.submit(CommandRequest(kind=K.LOAD_CHECK, devices=unknown))
        with pytest.raises(InvalidRequest, match="end must be after start"):
            await gateway.commands.submit(
                CommandRequest(kind=K.ON_DEMAND_READ_SCALAR, devices=known, period=backwards)
            )
        with pytest.raises(InvalidRequest, match="exactly one device"):
            await gateway.commands.submit(
                CommandRequest(kind=K.LOAD_CHECK, devices=known + unknown)
            )
        assert (await gateway.commands.list(Filter())).rows == []


async def test_an_effective_date_is_waited_for(tmp_path: Path) -> None:
    async with by_hand(tmp_path) as made:
        soon = await made.submit(K.LOAD_CHECK, 1, effective_at=NOON + timedelta(seconds=2))
        assert soon.activity.state is S.WAITING_FOR_EFFECTIVE_DATE
        done = await made.finish(soon)
        assert done.activity.outcome is V.SUCCEEDED
        assert done.communications[0].sent_at is not None
        assert done.communications[0].sent_at >= done.activity.effective_at


@pytest.mark.parametrize("count", [100, pytest.param(300, marks=pytest.mark.soak)])
@pytest.mark.seconds(90)
async def test_a_burst_of_commands_ends_without_an_error(tmp_path: Path, count: int) -> None:
    """More at once than may be under way, or are read from the inbox in one go."""
    async with world(tmp_path, count=count + 40) as made:
        gateway = made.app.gateway
        commands = await asyncio.gather(
            *(
                gateway.commands.submit(
                    CommandRequest(kind=K.DEVICE_STATUS_CHECK, devices=(made.device(40 + n),))
                )
                for n in range(count)
            )
        )
        done = await asyncio.gather(
            *(gateway.commands.wait(command.id, timeout_s=60) for command in commands)
        )
        assert {command.activity.outcome for command in done} == {V.SUCCEEDED}
        assert made.simulator.journal.count(Operation.PING) == count
        await books_agree(made)

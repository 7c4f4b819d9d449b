"""What each operation does, over real HTTP, in the contract's own words."""

import pytest

from adapter.simulator.jobs import FaultRaised
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.world import SimulatedWorld
from adapter.wire.served import served_by_head_end
from tests.simulator.running_simulator import (
    ADD,
    CANCEL,
    CTL_PING,
    DISCONNECT,
    GROUP_READ,
    INTERACTIVE,
    NOON,
    ONE,
    PING,
    READ,
    RECONNECT,
    REMOVE,
    STATUS,
    STRANGER,
    SWITCHES,
    THREE,
    TWO,
    VOLTAGE,
    Faulted,
    codec,
    dig,
    request,
    result_of,
    rows,
    running,
    text,
)
from tests.support import for_every

WORK = (DISCONNECT, RECONNECT, VOLTAGE, CTL_PING, PING, SWITCHES, READ, GROUP_READ, INTERACTIVE)
SINGLE = (DISCONNECT, RECONNECT, VOLTAGE, INTERACTIVE)
MANY = (CTL_PING, PING, SWITCHES, READ)


def target(operation: str) -> str:
    return "Substation 1" if operation == GROUP_READ else ONE


@pytest.mark.parametrize("operation", WORK)
async def test_a_request_tells_its_three_states_and_then_gives_its_result(operation: str) -> None:
    async with running({"population": {"count": 3}}) as rig:
        token = await rig.start(operation, target(operation))
        await rig.turn()
        assert rig.states() == ["Initializing", "Executing", "Completed"]
        assert {
            text(told.status, "RequestToken", "Id") for told in rig.heard if told.path == "/status"
        } == {token}
        last = next(told.status for told in reversed(rig.heard) if told.path == "/status")
        assert last["Result"] == "Success"
        assert last["SuccessfulEndpoints"] == last["EndpointsScheduled"]
        result = await rig.result(operation, token)
        assert result["Result"] == "Success"
        assert text(result, "RequestToken", "Id") == token


@pytest.mark.parametrize("operation", WORK)
async def test_a_result_asked_for_too_early_is_a_fault_of_its_own(operation: str) -> None:
    async with running() as rig:
        token = await rig.start(operation, target(operation))
        with pytest.raises(Faulted) as caught:
            await rig.result(operation, token)
        assert caught.value.name == "RequestNotFinishedFault"
        assert caught.value.status == 500
        assert text(caught.value.body, "detail", "Id") == token


@pytest.mark.parametrize("operation", WORK)
async def test_the_result_may_say_pending_instead_where_configured(operation: str) -> None:
    async with running({"answers": {"unfinished": "pending"}}) as rig:
        token = await rig.start(operation, target(operation))
        assert (await rig.result(operation, token))["Result"] == "Pending"
        await rig.turn()
        assert (await rig.result(operation, token))["Result"] == "Success"


@pytest.mark.parametrize("operation", [*map(result_of, WORK), STATUS, CANCEL])
async def test_an_unknown_token_is_not_found(operation: str) -> None:
    async with running() as rig:
        with pytest.raises(Faulted) as caught:
            await rig.call(operation, {"input": {"Id": "00000000-0000-4000-8000-000000000000"}})
        assert caught.value.name == "RequestNotFoundFault"


async def test_a_token_of_another_operation_is_not_found() -> None:
    async with running() as rig:
        token = await rig.start(DISCONNECT, ONE)
        await rig.turn()
        with pytest.raises(Faulted, match="RequestNotFoundFault"):
            await rig.result(RECONNECT, token)


@pytest.mark.parametrize("operation", SINGLE)
async def test_one_unknown_meter_is_refused_by_name(operation: str) -> None:
    async with running() as rig:
        with pytest.raises(Faulted) as caught:
            await rig.start(operation, STRANGER)
        kind = "Endpoint" if operation == INTERACTIVE else "Meter"
        assert caught.value.name == f"{kind}NotFoundFault"
        detail = dig(caught.value.body, "detail")
        assert STRANGER in (detail.values() if isinstance(detail, dict) else ())


@pytest.mark.parametrize("operation", SINGLE)
async def test_one_meter_that_is_not_registered_is_refused_by_name(operation: str) -> None:
    async with running({"population": {"unregistered_share": 1.0}}) as rig:
        with pytest.raises(Faulted) as caught:
            await rig.start(operation, ONE)
        kind = "Endpoint" if operation == INTERACTIVE else "Meter"
        assert caught.value.name == f"{kind}NotRegisteredFault"


@pytest.mark.parametrize("operation", MANY)
async def test_some_bad_endpoints_are_failures_and_all_bad_ones_a_fault(operation: str) -> None:
    async with running() as rig:
        result = await rig.run(operation, ONE, STRANGER)
        failed = rows(result, "EndpointFailureResult", "Failures")
        dia = operation.startswith("Diagnostic")
        assert [
            (text(row, "ElectronicSerialNumber"), text(row, "FailureReason")) for row in failed
        ] == [(STRANGER, "InvalidIdentifier" if dia else "TargetNotFound")]
        assert dig(result, "EndpointFailureResult", "MaximumResultsSent") is False
        with pytest.raises(Faulted) as caught:
            await rig.start(operation, STRANGER, f"{STRANGER}9")
        assert caught.value.name == "NoValidTargetsFoundFault"
        reasons = rows(caught.value.body, "detail", "InvalidEndpoints")
        assert [text(row, "FailureReason") for row in reasons] == ["TargetNotFound"] * 2


@pytest.mark.parametrize("operation", [CTL_PING, PING, READ, DISCONNECT])
async def test_a_callback_address_must_be_http(operation: str) -> None:
    async with running() as rig:
        for address in ("gateway:8088/status", "ftp://gateway/status", "http://"):
            body = request(operation, ONE, address=address)
            with pytest.raises(Faulted) as caught:
                await rig.call(operation, body)
            assert caught.value.name == "InvalidUriFormatFault"


@pytest.mark.parametrize("operation", [READ, GROUP_READ, INTERACTIVE])
async def test_a_period_that_ends_before_it_starts_is_refused(operation: str) -> None:
    async with running() as rig:
        with pytest.raises(Faulted) as caught:
            await rig.start(operation, target(operation), ReadingEndTime="2026-02-01T00:00:00Z")
        assert caught.value.name == "InvalidDateTimeRangeFault"
        assert dig(caught.value.body, "detail", "End") == "2026-02-01T00:00:00Z"


async def test_what_is_no_serial_number_at_all_is_an_invalid_identifier() -> None:
    async with running() as rig:
        result = await rig.run(CTL_PING, ONE, "meter one")
        failed = dig(result, "EndpointFailureResult", "Failures", 0)
        assert text(failed, "FailureReason") == "InvalidIdentifier"
        with pytest.raises(Faulted, match="MeterNotFoundFault"):
            await rig.start(DISCONNECT, "meter one")


async def test_an_empty_list_of_endpoints_is_an_argument_fault() -> None:
    async with running() as rig:
        with pytest.raises(Faulted) as caught:
            await rig.start(PING)
        assert caught.value.name == "ArgumentFault"
        assert dig(caught.value.body, "detail", "ParameterName") == "ElectronicSerialNumbers"


async def test_a_group_that_does_not_exist_is_refused() -> None:
    async with running() as rig:
        with pytest.raises(Faulted) as caught:
            await rig.start(GROUP_READ, "Substation 99")
        assert caught.value.name == "GroupNotFoundFault"
        assert dig(caught.value.body, "detail", "GroupName") == "Substation 99"


async def test_disconnect_and_reconnect_move_the_switch_only_when_the_endpoint_is_reached() -> None:
    async with running() as rig:
        token = await rig.start(DISCONNECT, ONE)
        await rig.turn(0.03)
        meter = rig.simulator.world.population.find(ONE)  # type: ignore[arg-type]
        assert meter is not None
        assert meter.switch == "Connected"
        await rig.turn()
        assert (await rig.result(DISCONNECT, token))["ElectronicSerialNumber"] == ONE
        assert await rig.switch(ONE) == "Disconnected"
        await rig.run(RECONNECT, ONE)
        assert await rig.switch(ONE) == "Connected"


async def test_a_reconnect_by_the_customer_only_arms_the_switch() -> None:
    async with running() as rig:
        await rig.run(DISCONNECT, ONE)
        await rig.run(RECONNECT, ONE, IsUserInterventionRequired=True)
        assert await rig.switch(ONE) == "Armed"
        await rig.run(DISCONNECT, ONE)
        assert await rig.switch(ONE) == "Disconnected"


async def test_a_reconnect_is_refused_while_the_load_side_is_live() -> None:
    async with running({"population": {"backfeed_share": 1.0}}) as rig:
        await rig.run(DISCONNECT, ONE)
        assert (await rig.run(VOLTAGE, ONE))["IsVoltagePresent"] is True
        result = await rig.run(RECONNECT, ONE)
        assert result["Result"] == "Failure"
        assert text(result, "MeterFailure", "FailureReason") == "InvalidTargetState"
        assert await rig.switch(ONE) == "Disconnected"


async def test_load_side_voltage_follows_the_switch() -> None:
    async with running() as rig:
        assert (await rig.run(VOLTAGE, ONE))["IsVoltagePresent"] is True
        await rig.run(DISCONNECT, ONE)
        assert (await rig.run(VOLTAGE, ONE))["IsVoltagePresent"] is False


@pytest.mark.parametrize("operation", [DISCONNECT, RECONNECT])
async def test_a_meter_without_remote_switch_cannot_be_switched(operation: str) -> None:
    async with running({"population": {"without_switch_share": 1.0}}) as rig:
        result = await rig.run(operation, ONE)
        assert text(result, "MeterFailure", "FailureReason") == "OperationNotSupported"


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (DISCONNECT, "NoResponse"),
        (VOLTAGE, "NoResponse"),
        (CTL_PING, "CommunicationError"),
        (PING, "CommunicationError"),
        (SWITCHES, "NoResponse"),
        (READ, "NoResponse"),
        (INTERACTIVE, "NoResponse"),
    ],
)
async def test_an_unreachable_meter_fails_with_its_reason(operation: str, reason: str) -> None:
    async with running({"population": {"unreachable_share": 1.0}}) as rig:
        result = await rig.run(operation, ONE)
        assert result["Result"] == "Failure"
        failure = {
            DISCONNECT: ("MeterFailure",),
            VOLTAGE: ("MeterFailure",),
            INTERACTIVE: ("EndpointFailure",),
        }.get(operation, ("EndpointFailureResult", "Failures", 0))
        assert text(result, *failure, "FailureReason") == reason
        assert rig.data() == []


async def test_a_meter_that_is_commissioned_can_be_worked_with_and_after_deregistering_not() -> (
    None
):
    async with running({"population": {"unregistered_share": 1.0}}) as rig:
        assert (await rig.provision(ADD, ONE, group="Commercial"))["Result"] == "Success"
        assert (await rig.run(PING, ONE))["Result"] == "Success"
        meter = rig.simulator.world.population.find(ONE)  # type: ignore[arg-type]
        assert meter is not None
        assert meter.configuration_group == "Commercial"
        assert (await rig.provision(REMOVE, ONE))["Result"] == "Success"
        with pytest.raises(Faulted, match="MeterNotRegisteredFault"):
            await rig.start(DISCONNECT, ONE)
        assert rig.states() == ["Initializing", "Executing", "Completed"], "provisioning tells none"


async def test_registration_can_take_its_time_after_commissioning() -> None:
    async with running(
        {"population": {"unregistered_share": 1.0}, "timing": {"registration_s": 60.0}}
    ) as rig:
        await rig.provision(ADD, ONE)
        with pytest.raises(Faulted, match="MeterNotRegisteredFault"):
            await rig.start(DISCONNECT, ONE)
        await rig.turn(61)
        await rig.start(DISCONNECT, ONE)


async def test_provisioning_tells_which_meters_it_refused() -> None:
    async with running() as rig:
        result = await rig.provision(ADD, ONE, STRANGER)
        assert result["Result"] == "Failure"
        assert (
            text(result, "EndpointFailureResult", "Failures", 0, "ElectronicSerialNumber")
            == STRANGER
        )
        result = await rig.provision(REMOVE, STRANGER)
        assert (
            text(result, "EndpointFailureResult", "Failures", 0, "FailureReason")
            == "TargetNotFound"
        )


async def test_strangers_can_be_commissioned_where_configured() -> None:
    async with running({"answers": {"add_unknown_meters": True}}) as rig:
        assert (await rig.provision(ADD, "2.16.840.1.114416.0.77"))["Result"] == "Success"
        assert (await rig.run(PING, "2.16.840.1.114416.0.77"))["Result"] == "Success"


async def test_the_status_of_a_request_can_be_asked_for_at_any_time() -> None:
    async with running() as rig:
        token = await rig.start(PING, ONE, TWO, STRANGER)
        status = await rig.status(token)
        assert (status["State"], status["Result"]) == ("Initializing", "Pending")
        await rig.turn()
        status = await rig.status(token)
        assert (status["State"], status["Result"]) == ("Completed", "Failure")
        assert (status["SuccessfulEndpoints"], status["FailedEndpoints"]) == (2, 1)
        assert text(status, "CreatedWhen") == "2026-03-02T12:00:00.0000001Z"
        assert text(status, "FinishedWhen").startswith("2026-03-02T12:00:00.05")


async def test_a_request_canceled_in_time_does_nothing_and_one_too_late_ends_as_it_was() -> None:
    async with running() as rig:
        token = await rig.start(DISCONNECT, ONE)
        await rig.call(CANCEL, {"input": {"Id": token}})
        await rig.turn()
        assert (await rig.status(token))["Result"] == "Canceled"
        assert (await rig.result(DISCONNECT, token))["Result"] == "Canceled"
        assert rig.states()[-1] == "Completed"
        assert await rig.switch(ONE) == "Connected"
        late = await rig.start(DISCONNECT, ONE)
        await rig.turn()
        await rig.call(CANCEL, {"input": {"Id": late}})
        await rig.turn()
        assert (await rig.result(DISCONNECT, late))["Result"] == "Success"


async def test_without_a_callback_address_nothing_is_told_and_polling_works() -> None:
    async with running() as rig:
        reply = await rig.call(DISCONNECT, request(DISCONNECT, ONE))
        await rig.turn()
        assert rig.heard == []
        token = text(reply, "DisconnectMeterResult", "Id")
        assert (await rig.status(token))["State"] == "Completed"


async def test_too_many_open_requests_are_refused_until_one_has_ended() -> None:
    async with running({"limits": {"concurrent_requests": 1}}) as rig:
        await rig.start(PING, ONE)
        with pytest.raises(Faulted, match="TooManyConcurrentRequestsFault"):
            await rig.start(PING, TWO)
        await rig.turn()
        await rig.start(PING, TWO)


async def test_a_token_is_forgotten_after_its_lifetime() -> None:
    async with running({"timing": {"token_lifetime_s": 60.0}}) as rig:
        token = await rig.start(PING, ONE)
        await rig.turn()
        await rig.turn(59)
        await rig.status(token)
        await rig.turn(2)
        with pytest.raises(Faulted, match="RequestNotFoundFault"):
            await rig.status(token)


async def test_a_long_failure_list_is_cut_and_says_so() -> None:
    async with running(
        {"population": {"unreachable_share": 1.0}, "limits": {"failures_per_result": 2}}
    ) as rig:
        result = await rig.run(PING, ONE, TWO, THREE)
        assert len(rows(result, "EndpointFailureResult", "Failures")) == 2
        assert dig(result, "EndpointFailureResult", "MaximumResultsSent") is True


@for_every("operation", [spec.key for spec in served_by_head_end(codec().catalog)])
def test_every_operation_that_the_head_end_hosts_is_simulated(operation: str) -> None:
    world = SimulatedWorld(SimulatorConfig())
    with pytest.raises(FaultRaised) as caught:
        world.act(world.arrive(operation, {}), now=NOON)
    assert caught.value.name == "ArgumentFault", "an empty request lacks an argument, no more"

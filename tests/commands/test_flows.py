"""The command-flow table equals the source document, names included."""

from typing import Any

import pytest

from adapter.commands.flows import (
    COMPLETION_TITLES,
    FLOWS,
    NATURE,
    RESULT_OF,
    STATUS_CHANGED,
    WINDOW_OPERATIONS,
    CommandKind,
    Completion,
    Leaves,
    Operation,
    Scope,
)
from adapter.model.device import InstallEffect

# The twelve rows of "Itron OpenWay Command Flows": command; outbound communication and object;
# result communication and object; inbound communication; completion event.
# fmt: off
SOURCE = (
    ("Device Commissioning", ("Itron - Add Meter Definition (Commission)", "D8-AddMeterDefinitionsDR"), None, None, "Device Commissioning Completion Event"),  # noqa: E501
    ("Device Decommissioning", ("Itron - Deregister Meter (Decommission)", "D8-DeregisterMeterDR"), None, None, "Device Decommissioning Completion Event"),  # noqa: E501
    ("Remote Connect", ("Itron - Reconnect Meter (Remote Connect)", "D8-ReconnectMeterDR"), ("Itron - Reconnect Meter Result", "D8-ReconnectMeterResultDR"), "D8-StatusChanged", "Connect Device Completion Event"),  # noqa: E501
    ("Remote Disconnect", ("Itron - Meter Remote Disconnect", "D8-DisconnectMeterDR"), ("Itron - Disconnect Meter Result", "D8-DisconnectMeterResultDR"), "D8-StatusChanged", "Disconnect Device Completion Event"),  # noqa: E501
    ("On-Demand Read (Scalar)", ("Itron - Contingency Read (Scalar)", "D8-ReadScalarDR"), ("Itron - On Demand Read Result", "D8-ReadOnDemandReadResultDR"), "D8-StatusChanged", "Create IMD Completion Event"),  # noqa: E501
    ("On-Demand Read (Interval)", ("Itron - Contingency Read (Interval)", "D8-ReadIntervalDR"), ("Itron - On Demand Read Result", "D8-ReadOnDemandReadResultDR"), "D8-StatusChanged", "Create IMD Completion Event"),  # noqa: E501
    ("Scheduled Read (Scalar)", ("Itron - Interrogate By Group", "D8-InterrogateByGroupDR"), ("Itron - Interrogate by Group Results", "D8-InterrogateByGroupResultDR"), "D8-StatusChanged", "Create IMD Completion Event"),  # noqa: E501
    ("Scheduled Read (Interval)", ("Itron - Interrogate By Group", "D8-InterrogateByGroupDR"), ("Itron - Interrogate by Group Results", "D8-InterrogateByGroupResultDR"), "D8-StatusChanged", "Create IMD Completion Event"),  # noqa: E501
    ("Device Status Check", ("Itron - Ping By Endpoints (Status Check)", "D8-PingByEndpointsDR"), ("Itron - Ping By Endpoints Result", "D8-PingByEndpointsResultDR"), "D8-StatusChanged", None),  # noqa: E501
    ("Multi-Device Status Check", ("Itron – Ping By Endpoints Multi-Device", "D8-PingByEndpointsMultiDvcDR"), ("Itron – Ping By Endpoints Multi Dvc Result", "D8-PingByEndpointsMDResultDR"), "D8-StatusChanged", None),  # noqa: E501
    ("Load Check", ("Itron – Detect Load Side Voltage", "D8-DetectLoadSideVoltgeByMtrDR"), ("Itron – Detect Load Side Voltage Result", "D8-DetLoadSideVoltageMtrRsltDR"), "D8-StatusChanged", None),  # noqa: E501
    ("Read Disconnect State", ("Itron - Read Disconnect State", "D8-ReadDisconStateByMtrDR"), ("Itron - ReadDisconnectStateByMeter Result", "D8-ReadDisconStByMtrResultDR"), "D8-StatusChanged", None),  # noqa: E501
)
# fmt: on


def test_there_is_one_row_for_every_kind_in_the_order_of_the_source() -> None:
    assert [row.title for row in FLOWS.values()] == [row[0] for row in SOURCE]
    assert set(FLOWS) == set(CommandKind)
    assert len(FLOWS) == len(SOURCE) == 12


@pytest.mark.parametrize("row", SOURCE, ids=lambda row: row[0])
def test_names_and_objects_equal_the_source(row: tuple[Any, ...]) -> None:
    title, outbound, result, inbound, completion = row
    flow = next(item for item in FLOWS.values() if item.title == title)
    assert (flow.request.title, flow.request.business_object) == outbound
    ours = flow.result and (flow.result.title, flow.result.business_object)
    assert ours == result
    assert flow.notice == inbound
    assert (flow.completion and COMPLETION_TITLES[flow.completion]) == completion


@pytest.mark.parametrize("kind", CommandKind)
def test_a_kind_with_a_callback_has_a_result_call_and_one_without_is_synchronous(
    kind: CommandKind,
) -> None:
    flow = FLOWS[kind]
    assert (flow.notice == STATUS_CHANGED) == (flow.result is not None)
    assert flow.synchronous == (flow.notice is None)
    if flow.result is not None:
        assert RESULT_OF[flow.request.operation] is flow.result.operation
        assert flow.result.operation.value.partition(".")[2].startswith("Get")


def test_every_operation_of_a_request_belongs_to_one_result() -> None:
    assert len(set(RESULT_OF.values())) == len(RESULT_OF)
    asked = {flow.request.operation for flow in FLOWS.values()}
    assert set(RESULT_OF) <= asked
    helpers = {Operation.REQUEST_STATUS, Operation.CANCEL_REQUEST}
    spare = {Operation.INTERROGATE_ENDPOINTS, Operation.INTERROGATE_ENDPOINTS_RESULT}
    assert set(Operation) - spare == asked | set(RESULT_OF.values()) | helpers
    assert not spare & (asked | set(RESULT_OF.values()))


@pytest.mark.parametrize("kind", CommandKind)
def test_the_head_end_is_told_a_window_by_requests_that_name_a_group(kind: CommandKind) -> None:
    flow = FLOWS[kind]
    assert (flow.request.operation in WINDOW_OPERATIONS) == (flow.scope is Scope.GROUP)


def test_only_scheduled_reads_name_a_group() -> None:
    groups = {kind for kind, flow in FLOWS.items() if flow.scope is Scope.GROUP}
    assert groups == {CommandKind.SCHEDULED_READ_SCALAR, CommandKind.SCHEDULED_READ_INTERVAL}


@pytest.mark.parametrize("kind", CommandKind)
def test_our_columns_agree_with_the_source(kind: CommandKind) -> None:
    flow, nature = FLOWS[kind], NATURE[kind]
    assert (nature.reads is not None) == (flow.completion is Completion.CREATE_IMD)
    effects = {
        Completion.COMMISSION_DEVICE: InstallEffect.COMMISSION,
        Completion.DECOMMISSION_DEVICE: InstallEffect.DECOMMISSION,
        Completion.CONNECT_DEVICE: InstallEffect.CONNECT,
        Completion.DISCONNECT_DEVICE: InstallEffect.DISCONNECT,
    }
    effect = None if flow.completion is None else effects.get(flow.completion)
    assert nature.effect is effect
    leaves = {InstallEffect.CONNECT: Leaves.CLOSED, InstallEffect.DISCONNECT: Leaves.OPEN}
    assert nature.leaves is (None if effect is None else leaves.get(effect))
    assert nature.schedulable == (flow.scope is Scope.GROUP)

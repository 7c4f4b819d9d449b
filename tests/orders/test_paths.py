"""Which children an order needs, from a world to the last reply: the documented paths and traps.

One line per case: the kind, the world, the children in order. `plan` runs the real lifecycle.
"""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from adapter.commands.flows import CommandKind
from adapter.model.device import (
    Category,
    Device,
    DisconnectLocation,
    InstallEffect,
    InstallStatus,
    override_problem,
)
from adapter.model.measurement import Measurement
from adapter.orders.configuration import parse_configuration
from adapter.orders.order import OrderKind, OrderState, View
from adapter.orders.plan import SMART_COMMANDS, make_plan
from tests.orders.builders import (
    INTERVAL,
    NOON,
    a_manual_meter,
    a_reading,
    a_smart_meter,
    a_view,
    an_item,
    an_order,
)
from tests.support import for_every

K, S = OrderKind, InstallStatus
SOURCE, DEVICE = DisconnectLocation.SOURCE, DisconnectLocation.DEVICE
SMART, MANUAL, ITEM = a_smart_meter(), a_manual_meter(), an_item()
BY_INTERVAL = a_smart_meter("M-1", INTERVAL)
READ = (a_reading(),)
UPDATE = [
    "installationEventStatusOverride=Conn-PreComm activityBOToCreate=D1-DeviceCommission",
    "installationEventStatusOverride=Conn-Decomm activityBOToCreate=D1-DeviceCommission",
]
NO_REMOTE: frozenset[str] = frozenset()
NO_SWITCH = SMART_COMMANDS - {CommandKind.REMOTE_CONNECT, CommandKind.REMOTE_DISCONNECT}
NO_OFF = SMART_COMMANDS - {CommandKind.REMOTE_DISCONNECT}
NO_COMMISSION = SMART_COMMANDS - {CommandKind.DEVICE_COMMISSIONING}
NO_READ = SMART_COMMANDS - {CommandKind.ON_DEMAND_READ_SCALAR}


@dataclass(frozen=True, kw_only=True)
class World:
    device: Device | None = None
    status: InstallStatus | None = None
    connected: bool = True
    location: DisconnectLocation = DEVICE
    category: Category = Category.METER
    commands: frozenset[str] | None = None
    readings: tuple[Measurement, ...] = ()
    scheduled: int | None = None
    fields: dict[str, str] = field(default_factory=dict)

    def view(self, kind: OrderKind) -> View:
        due = () if self.scheduled is None else (NOON + timedelta(days=self.scheduled),)
        return a_view(
            kind,
            device=self.device,
            status=self.status,
            connected=self.connected,
            location=self.location,
            category=self.category,
            commands=self.commands,
            measurements=self.readings,
            scheduled_reads=due,
        )


W = World
ON, OFF = S.CONN_COMM, S.DISCONN_COMM
HAND_ON, HAND_OFF = S.MANUAL_ON, S.MANUAL_OFF
IT, MI = Category.ITEM, Category.MULTI_ITEM

# fmt: off
CASES: list[tuple[str, OrderKind, World, str]] = [
    # Enable: the service point and what is installed there
    ("bare point, source open",          K.ENABLE, W(connected=False, location=SOURCE), "ConnSPAtSrceAndInstMtr > DeviceCommission > RemoteConnect > OnDemandReadScalar"),
    ("bare point, open at the meter",    K.ENABLE, W(connected=False), "ConnSPAtMtrAndInstMtr > DeviceCommission > RemoteConnect > OnDemandReadScalar"),
    ("connected, no meter",              K.ENABLE, W(), "InstallMeter > DeviceCommission > RemoteConnect > OnDemandReadScalar"),
    ("meter planned, not in place",      K.ENABLE, W(device=SMART, status=S.PENDING), "InstallMeter > DeviceCommission > RemoteConnect > OnDemandReadScalar"),
    ("smart, disconnected",              K.ENABLE, W(device=SMART, status=OFF), "RemoteConnect > OnDemandReadScalar"),
    ("smart, disconnected, read",        K.ENABLE, W(device=SMART, status=OFF, readings=READ), "RemoteConnect"),
    ("smart, pre-connected",             K.ENABLE, W(device=SMART, status=S.PRECONN_COMM), "RemoteConnect > OnDemandReadScalar"),
    ("smart, not commissioned",          K.ENABLE, W(device=SMART, status=S.CONN_PRECOMM), "DeviceCommission > OnDemandReadScalar"),
    ("smart, decommissioned, on",        K.ENABLE, W(device=SMART, status=S.CONN_DECOMM), "DeviceCommission > OnDemandReadScalar"),
    ("smart, decommissioned, off",       K.ENABLE, W(device=SMART, status=S.DISCONN_DECOMM), "DeviceCommission > RemoteConnect > OnDemandReadScalar"),
    ("smart, on, not read",              K.ENABLE, W(device=SMART, status=ON), "OnDemandReadScalar"),
    ("already enabled and read",         K.ENABLE, W(device=SMART, status=ON, readings=READ), ""),
    ("smart, interval data",             K.ENABLE, W(device=BY_INTERVAL, status=ON), "WaitForMeasurement"),
    ("smart, off, source open",          K.ENABLE, W(device=SMART, status=OFF, connected=False, location=SOURCE), "ConnectSPAtSource > RemoteConnect > OnDemandReadScalar"),
    ("smart, off, open at the meter",    K.ENABLE, W(device=SMART, status=OFF, connected=False), "ConnectSPAtMeter > RemoteConnect > OnDemandReadScalar"),
    ("smart, no remote command",         K.ENABLE, W(device=SMART, status=OFF, commands=NO_REMOTE), "TurnOnMeter > ReadMeter"),
    ("smart, no switch",                 K.ENABLE, W(device=SMART, status=OFF, commands=NO_SWITCH), "TurnOnMeter > OnDemandReadScalar"),
    ("smart, cannot be commissioned",    K.ENABLE, W(device=SMART, status=S.CONN_PRECOMM, commands=NO_COMMISSION), "ReadMeter"),
    ("smart, off, not to be commissioned", K.ENABLE, W(device=SMART, status=S.DISCONN_DECOMM, commands=NO_COMMISSION), "TurnOnMeter > ReadMeter"),
    ("smart, cannot be read on demand",  K.ENABLE, W(device=SMART, status=ON, commands=NO_READ), "ReadMeter"),
    ("the same, a scheduled read ahead", K.ENABLE, W(device=SMART, status=ON, commands=NO_READ, scheduled=3), "WaitForScheduledRead"),
    ("manual, already on",               K.ENABLE, W(device=MANUAL, status=HAND_ON), "ReadMeter"),
    ("manual, on, scheduled read ahead", K.ENABLE, W(device=MANUAL, status=HAND_ON, scheduled=3), "WaitForScheduledRead"),
    ("manual, on, schedule too late",    K.ENABLE, W(device=MANUAL, status=HAND_ON, scheduled=30), "ReadMeter"),
    ("manual, on and read",              K.ENABLE, W(device=MANUAL, status=HAND_ON, readings=READ), ""),
    ("manual, off",                      K.ENABLE, W(device=MANUAL, status=HAND_OFF), "TurnOnMeter > ReadMeter"),
    ("manual, off, source open",         K.ENABLE, W(device=MANUAL, status=HAND_OFF, connected=False, location=SOURCE), "ConnectSPAtSourceAndTurnOn > ReadMeter"),
    ("manual, off, open at the meter",   K.ENABLE, W(device=MANUAL, status=HAND_OFF, connected=False), "ConnectSPAtMeterAndTurnOn > ReadMeter"),
    ("manual, on, source open",          K.ENABLE, W(device=MANUAL, status=HAND_ON, connected=False, location=SOURCE), "ConnectSPAtSource > ReadMeter"),
    ("item missing, source open",        K.ENABLE, W(connected=False, location=SOURCE, category=IT), "ConnSPAtSrceAndInstDvc"),
    ("item missing, open at device",     K.ENABLE, W(connected=False, category=IT), "ConnSPAtDvcAndInstDvc"),
    ("item missing, connected",          K.ENABLE, W(category=IT), "InstallDevice"),
    ("item off, source open",            K.ENABLE, W(device=ITEM, status=HAND_OFF, connected=False, location=SOURCE, category=IT), "ConnSPAtSrceAndTurnOnDvc"),
    ("item off, open at device",         K.ENABLE, W(device=ITEM, status=HAND_OFF, connected=False, category=IT), "ConnectSPAtDvcAndTurnOn"),
    ("item on, open at device",          K.ENABLE, W(device=ITEM, status=HAND_ON, connected=False, category=IT), "ConnectSPAtDevice"),
    ("item off",                         K.ENABLE, W(device=ITEM, status=HAND_OFF, category=IT), "TurnOnItem"),
    ("item on: nothing to do or read",   K.ENABLE, W(device=ITEM, status=HAND_ON, category=IT), ""),
    ("multi-item, source open",          K.ENABLE, W(connected=False, location=SOURCE, category=MI), "ConnectSPAtSource"),
    ("multi-item, open at device",       K.ENABLE, W(connected=False, category=MI), "ConnectSPAtDevice"),
    ("multi-item, connected",            K.ENABLE, W(category=MI), ""),
    ("meter planned, source open",       K.ENABLE, W(device=SMART, status=S.PENDING, connected=False, location=SOURCE), "ConnSPAtSrceAndInstMtr > DeviceCommission > RemoteConnect > OnDemandReadScalar"),
    ("manual meter planned",             K.ENABLE, W(device=MANUAL, status=S.PENDING), "InstallMeter"),
    ("smart, on, source open",           K.ENABLE, W(device=SMART, status=ON, connected=False, location=SOURCE), "ConnectSPAtSource > OnDemandReadScalar"),
    ("smart, new, source open",          K.ENABLE, W(device=SMART, status=S.CONN_PRECOMM, connected=False, location=SOURCE), "ConnectSPAtSource > DeviceCommission > OnDemandReadScalar"),
    ("smart, pre-connected, no switch",  K.ENABLE, W(device=SMART, status=S.PRECONN_COMM, commands=NO_SWITCH), "TurnOnMeter > OnDemandReadScalar"),
    ("smart, off, interval data",        K.ENABLE, W(device=BY_INTERVAL, status=OFF), "RemoteConnect > WaitForMeasurement"),
    ("manual, off, scheduled read",      K.ENABLE, W(device=MANUAL, status=HAND_OFF, scheduled=3), "TurnOnMeter > WaitForScheduledRead"),
    ("meter taken away, still OFF",      K.ENABLE, W(device=MANUAL, status=S.REMOVED), "InstallMeter"),
    ("item on, source open",             K.ENABLE, W(device=ITEM, status=HAND_ON, connected=False, location=SOURCE, category=IT), "ConnectSPAtSource"),
    # Disable
    ("smart, on",                        K.DISABLE, W(device=SMART, status=ON), "RemoteDisconnect > OnDemandReadScalar"),
    ("smart, on, read",                  K.DISABLE, W(device=SMART, status=ON, readings=READ), "RemoteDisconnect"),
    ("smart, no remote command",         K.DISABLE, W(device=SMART, status=ON, commands=NO_REMOTE), "TurnOffMeter > ReadMeter"),
    ("smart, no off",                    K.DISABLE, W(device=SMART, status=ON, commands=NO_OFF), "TurnOffMeter > OnDemandReadScalar"),
    ("smart, on, not commissioned",      K.DISABLE, W(device=SMART, status=S.CONN_PRECOMM), "TurnOffMeter > ReadMeter"),
    ("smart, already off",               K.DISABLE, W(device=SMART, status=OFF), "OnDemandReadScalar"),
    ("smart, off and read",              K.DISABLE, W(device=SMART, status=OFF, readings=READ), ""),
    ("smart, source open",               K.DISABLE, W(device=SMART, status=ON, connected=False, location=SOURCE, readings=READ), ""),
    ("dead meter needs a visit to read", K.DISABLE, W(device=SMART, status=ON, connected=False, location=SOURCE), "ReadMeter"),
    ("no device: nothing off, no read",  K.DISABLE, W(), ""),
    ("bare point",                       K.DISABLE, W(connected=False, location=SOURCE), ""),
    ("off and taken away, no status",    K.DISABLE, W(device=MANUAL, status=S.REMOVED), ""),
    ("manual, on",                       K.DISABLE, W(device=MANUAL, status=HAND_ON), "TurnOffMeter > ReadMeter"),
    ("manual, off",                      K.DISABLE, W(device=MANUAL, status=HAND_OFF), "ReadMeter"),
    ("item on",                          K.DISABLE, W(device=ITEM, status=HAND_ON, category=IT), "TurnOffItem"),
    ("item off",                         K.DISABLE, W(device=ITEM, status=HAND_OFF, category=IT), ""),
    ("multi-item",                       K.DISABLE, W(category=MI), "DisconnectItemSPAtSource"),
    ("multi-item, disconnected",         K.DISABLE, W(category=MI, connected=False), ""),
    ("smart, decommissioned, on",        K.DISABLE, W(device=SMART, status=S.CONN_DECOMM), "TurnOffMeter > ReadMeter"),
    ("smart, pre-connected: is off",     K.DISABLE, W(device=SMART, status=S.PRECONN_COMM, readings=READ), ""),
    ("smart, interval data",             K.DISABLE, W(device=BY_INTERVAL, status=ON), "RemoteDisconnect > WaitForMeasurement"),
    ("smart, no read, scheduled read",   K.DISABLE, W(device=SMART, status=ON, commands=NO_READ, scheduled=3), "RemoteDisconnect > WaitForScheduledRead"),
    ("meter only planned",               K.DISABLE, W(device=SMART, status=S.PENDING), ""),
    ("manual, on, scheduled read",       K.DISABLE, W(device=MANUAL, status=HAND_ON, scheduled=3), "TurnOffMeter > WaitForScheduledRead"),
    ("manual, on, read",                 K.DISABLE, W(device=MANUAL, status=HAND_ON, readings=READ), "TurnOffMeter"),
    ("item, source open",                K.DISABLE, W(device=ITEM, status=HAND_ON, connected=False, location=SOURCE, category=IT), ""),
    # Cut for non-payment: no measurement check
    ("smart, on",                        K.CUT, W(device=SMART, status=ON), "RemoteDisconnect"),
    ("smart, no remote command",         K.CUT, W(device=SMART, status=ON, commands=NO_REMOTE), "CutForNonPayment"),
    ("smart, decommissioned, on",        K.CUT, W(device=SMART, status=S.CONN_DECOMM), "CutForNonPayment"),
    ("smart, already off",               K.CUT, W(device=SMART, status=OFF), ""),
    ("smart, pre-connected",             K.CUT, W(device=SMART, status=S.PRECONN_COMM), ""),
    ("cut at the source before",         K.CUT, W(device=SMART, status=ON, connected=False, location=SOURCE), ""),
    ("no device",                        K.CUT, W(), ""),
    ("manual, on",                       K.CUT, W(device=MANUAL, status=HAND_ON), "CutForNonPayment"),
    ("manual, off",                      K.CUT, W(device=MANUAL, status=HAND_OFF), ""),
    ("item on",                          K.CUT, W(device=ITEM, status=HAND_ON, category=IT), "CutItemForNonPayment"),
    ("multi-item",                       K.CUT, W(category=MI), "CutItemForNonPayment"),
    ("smart, not commissioned, on",      K.CUT, W(device=SMART, status=S.CONN_PRECOMM), "CutForNonPayment"),
    ("smart, no off",                    K.CUT, W(device=SMART, status=ON, commands=NO_OFF), "CutForNonPayment"),
    ("off and taken away before",        K.CUT, W(device=MANUAL, status=S.REMOVED), ""),
    ("item off",                         K.CUT, W(device=ITEM, status=HAND_OFF, category=IT), ""),
    ("multi-item, disconnected",         K.CUT, W(category=MI, connected=False), ""),
    # Reconnect for payment
    ("smart, off",                       K.RECONNECT, W(device=SMART, status=OFF), "RemoteConnect"),
    ("smart, pre-connected",             K.RECONNECT, W(device=SMART, status=S.PRECONN_COMM), "RemoteConnect"),
    ("smart, no remote command",         K.RECONNECT, W(device=SMART, status=OFF, commands=NO_REMOTE), "ReconnectForPayment"),
    ("smart, already on",                K.RECONNECT, W(device=SMART, status=ON), ""),
    ("smart, decommissioned, off",       K.RECONNECT, W(device=SMART, status=S.DISCONN_DECOMM), "DeviceCommission > RemoteConnect"),
    ("the same, not to be commissioned", K.RECONNECT, W(device=SMART, status=S.DISCONN_DECOMM, commands=NO_COMMISSION), "ReconnectForPayment"),
    ("cut at the source",                K.RECONNECT, W(device=SMART, status=ON, connected=False, location=SOURCE), "ReconnectForPayment"),
    ("cut at source and at the meter",   K.RECONNECT, W(device=SMART, status=OFF, connected=False, location=SOURCE), "ReconnectForPayment"),
    ("manual, off",                      K.RECONNECT, W(device=MANUAL, status=HAND_OFF), "ReconnectForPayment"),
    ("manual, on",                       K.RECONNECT, W(device=MANUAL, status=HAND_ON), ""),
    ("cut, then the meter pulled",       K.RECONNECT, W(device=MANUAL, status=S.REMOVED), "InstallMeter"),
    ("item off",                         K.RECONNECT, W(device=ITEM, status=HAND_OFF, category=IT), "ReconnectItemForPayment"),
    ("multi-item, disconnected",         K.RECONNECT, W(category=MI, connected=False), "ReconnectItemForPayment"),
    ("multi-item, connected",            K.RECONNECT, W(category=MI), ""),
    ("smart, no switch",                 K.RECONNECT, W(device=SMART, status=OFF, commands=NO_SWITCH), "ReconnectForPayment"),
    ("smart, on, not commissioned",      K.RECONNECT, W(device=SMART, status=S.CONN_PRECOMM), "DeviceCommission"),
    ("manual, cut at the source",        K.RECONNECT, W(device=MANUAL, status=HAND_ON, connected=False, location=SOURCE), "ReconnectForPayment"),
    ("no meter any more",                K.RECONNECT, W(), "InstallMeter > DeviceCommission > RemoteConnect"),
    ("item, cut at the source",          K.RECONNECT, W(device=ITEM, status=HAND_ON, connected=False, location=SOURCE, category=IT), "ReconnectItemForPayment"),
    ("item on",                          K.RECONNECT, W(device=ITEM, status=HAND_ON, category=IT), ""),
    # Meter exchange
    ("smart, on",                        K.EXCHANGE, W(device=SMART, status=ON), "ExchangeMeter > DeviceCommission > RemoteConnect > DeviceDecommission > OnDemandReadScalar"),
    ("smart, off: stays off",            K.EXCHANGE, W(device=SMART, status=OFF), "ExchangeMeter > DeviceCommission > DeviceDecommission > OnDemandReadScalar"),
    ("smart, off, connect wanted",       K.EXCHANGE, W(device=SMART, status=OFF, fields={"connectNewDevice": "D1CN"}), "ExchangeMeter > DeviceCommission > RemoteConnect > DeviceDecommission > OnDemandReadScalar"),
    ("smart, on, connect not wanted",    K.EXCHANGE, W(device=SMART, status=ON, fields={"connectNewDevice": "D1NC"}), "ExchangeMeter > DeviceCommission > DeviceDecommission > OnDemandReadScalar"),
    ("smart, never commissioned",        K.EXCHANGE, W(device=SMART, status=S.CONN_PRECOMM), "ExchangeMeter > DeviceCommission > RemoteConnect > OnDemandReadScalar"),
    ("smart, already decommissioned",    K.EXCHANGE, W(device=SMART, status=S.DISCONN_DECOMM), "ExchangeMeter > DeviceCommission > OnDemandReadScalar"),
    ("point not connected",              K.EXCHANGE, W(device=SMART, status=ON, connected=False, location=SOURCE), "ExchangeMeter > DeviceCommission > DeviceDecommission > ReadMeter"),
    ("manual",                           K.EXCHANGE, W(device=MANUAL, status=HAND_ON), "ExchangeMeter"),
    ("item",                             K.EXCHANGE, W(device=ITEM, status=HAND_ON, category=IT), "ExchangeDevice"),
    ("smart, decommissioned, on",        K.EXCHANGE, W(device=SMART, status=S.CONN_DECOMM), "ExchangeMeter > DeviceCommission > RemoteConnect > OnDemandReadScalar"),
    ("smart, pre-connected",             K.EXCHANGE, W(device=SMART, status=S.PRECONN_COMM), "ExchangeMeter > DeviceCommission > DeviceDecommission > OnDemandReadScalar"),
    ("manual, off",                      K.EXCHANGE, W(device=MANUAL, status=HAND_OFF), "ExchangeMeter"),
    ("item off",                         K.EXCHANGE, W(device=ITEM, status=HAND_OFF, category=IT), "ExchangeDevice"),
    # Back-to-back
    ("smart, on",                        K.BACK_TO_BACK, W(device=SMART, status=ON), "RemoteDisconnect > RemoteConnect > OnDemandReadScalar"),
    ("smart, on, read",                  K.BACK_TO_BACK, W(device=SMART, status=ON, readings=READ), "RemoteDisconnect > RemoteConnect"),
    ("smart, off: on before off and on", K.BACK_TO_BACK, W(device=SMART, status=OFF), "RemoteConnect > RemoteDisconnect > RemoteConnect > OnDemandReadScalar"),
    ("smart, not commissioned",          K.BACK_TO_BACK, W(device=SMART, status=S.CONN_PRECOMM), "DeviceCommission > RemoteDisconnect > RemoteConnect > OnDemandReadScalar"),
    ("smart, no switch",                 K.BACK_TO_BACK, W(device=SMART, status=ON, commands=NO_SWITCH), "OnDemandReadScalar"),
    ("smart, on only",                   K.BACK_TO_BACK, W(device=SMART, status=ON, commands=NO_OFF), "OnDemandReadScalar"),
    ("smart, no remote command",         K.BACK_TO_BACK, W(device=SMART, status=ON, commands=NO_REMOTE), "ReadMeter"),
    ("manual, on",                       K.BACK_TO_BACK, W(device=MANUAL, status=HAND_ON), "ReadMeter"),
    ("manual, off",                      K.BACK_TO_BACK, W(device=MANUAL, status=HAND_OFF), "TurnOnMeter > ReadMeter"),
    ("item on",                          K.BACK_TO_BACK, W(device=ITEM, status=HAND_ON, category=IT), ""),
    ("smart, pre-connected",             K.BACK_TO_BACK, W(device=SMART, status=S.PRECONN_COMM), "RemoteConnect > RemoteDisconnect > RemoteConnect > OnDemandReadScalar"),
    ("smart, decommissioned, off",       K.BACK_TO_BACK, W(device=SMART, status=S.DISCONN_DECOMM), "DeviceCommission > RemoteConnect > RemoteDisconnect > RemoteConnect > OnDemandReadScalar"),
    ("smart, off, no switch",            K.BACK_TO_BACK, W(device=SMART, status=OFF, commands=NO_SWITCH), "TurnOnMeter > OnDemandReadScalar"),
    ("smart, interval data",             K.BACK_TO_BACK, W(device=BY_INTERVAL, status=ON), "RemoteDisconnect > RemoteConnect > WaitForMeasurement"),
    ("manual, on, read",                 K.BACK_TO_BACK, W(device=MANUAL, status=HAND_ON, readings=READ), ""),
    ("item off",                         K.BACK_TO_BACK, W(device=ITEM, status=HAND_OFF, category=IT), "TurnOnItem"),
    ("multi-item, connected",            K.BACK_TO_BACK, W(category=MI), ""),
]
# fmt: on


@for_every(
    ("kind", "world", "children"),
    [pytest.param(k, w, c, id=f"{k}: {name}") for name, k, w, c in CASES],
)
def test_an_order_completes_by_these_children(kind: OrderKind, world: World, children: str) -> None:
    plan = make_plan(an_order(kind, fields=world.fields), world.view(kind))
    assert " > ".join(plan.titles) == children
    assert plan.outcome is OrderState.COMPLETED
    assert plan.problems == ()


# fmt: off
STUCK: list[tuple[str, OrderKind, World, str]] = [
    ("exchange without a device",           K.EXCHANGE, W(), "no_device"),
    ("exchange of a multi-item",            K.EXCHANGE, W(category=MI), "no_device"),
    ("connect wanted, point not connected", K.EXCHANGE, W(device=SMART, status=ON, connected=False, fields={"connectNewDevice": "D1CN"}), "not_ready"),
    ("back-to-back without a device",       K.BACK_TO_BACK, W(), "not_ready"),
    ("back-to-back, meter only planned",    K.BACK_TO_BACK, W(device=SMART, status=S.PENDING), "not_ready"),
    ("back-to-back at an open source",      K.BACK_TO_BACK, W(device=SMART, status=ON, connected=False, location=SOURCE), "not_ready"),
]
# fmt: on


@pytest.mark.parametrize(
    ("kind", "world", "code"), [pytest.param(k, w, c, id=n) for n, k, w, c in STUCK]
)
def test_an_order_that_cannot_be_done_says_why(kind: OrderKind, world: World, code: str) -> None:
    plan = make_plan(an_order(kind, fields=world.fields), world.view(kind))
    assert plan.outcome is OrderState.ACTIVITY_ERROR
    assert plan.problem is not None
    assert plan.problem.code == code
    assert plan.problem.action


def test_the_plan_names_cell_algorithm_row_and_facts_of_each_step() -> None:
    view = a_view(K.ENABLE, connected=False, location=SOURCE)
    first, *_ = make_plan(an_order(K.ENABLE), view).steps
    assert (first.cell, first.type) == (2, "D1-CRSPACT")
    assert first.algorithm == "Connect SP and/or Install Device"
    assert first.row == "parameter row 1"
    assert first.facts["servicePointConnected"] == "false"
    assert first.facts["disconnectLocation"] == "D1SR"


def test_the_plan_names_what_would_refuse_the_order_today() -> None:
    view = a_view(K.CUT, device=SMART, status=ON, point={"life_support": True})
    plan = make_plan(an_order(K.CUT), view)
    assert [each.code for each in plan.problems] == ["restricted"]
    assert plan.steps == ()
    assert plan.outcome is OrderState.ACTIVITY_ERROR


def test_a_plan_of_an_order_for_tomorrow_says_that_it_waits() -> None:
    order = an_order(K.CUT, effective_at=NOON + timedelta(days=1))
    plan = make_plan(order, a_view(K.CUT, device=SMART, status=ON))
    assert plan.notes == (f"waits until {order.effective_at.isoformat()}",)


@pytest.mark.parametrize(
    ("off", "on"),
    [
        (off, on)
        for off in InstallStatus
        for on in InstallStatus
        if not override_problem(InstallEffect.DISCONNECT, off)
        and not override_problem(InstallEffect.CONNECT, on)
    ],
)
def test_a_change_over_with_statuses_of_the_sites_own_ends_with_supply_on(
    off: InstallStatus, on: InstallStatus
) -> None:
    cells = [
        {"type": "D1-UPDDVC", "rows": UPDATE},
        {"type": "D1-REMONOFF", "status_after_disconnect": off, "status_after_connect": on},
    ]
    matrix = parse_configuration({"orchestration": {"back_to_back": cells}}).matrix
    world = World(device=SMART, status=S.CONN_COMM, readings=READ)
    plan = make_plan(an_order(K.BACK_TO_BACK), world.view(K.BACK_TO_BACK), matrix=matrix)
    assert plan.outcome is OrderState.COMPLETED
    assert plan.titles[:2] == ("RemoteDisconnect", "RemoteConnect")
    assert plan.view.on

"""What a site writes in its orders file, through the real gateway: one file, one case a rule."""

import asyncio
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from adapter.engine.commands.ports import Import
from adapter.model.device import DisconnectLocation, InstallStatus, ServicePoint
from adapter.orders.activities import ChildKind
from adapter.orders.algorithms.verdict import Create, Pass, Verdict
from adapter.orders.order import ChildSpec, OrderKind, OrderState, ServiceOrder, View
from tests.engine.orders.site_with_orders import Place, Rig, rig, titles

K, S = OrderKind, InstallStatus
SOURCE = DisconnectLocation.SOURCE

FILE = f"""
[orders]
fourth_measurement_check = "none"

[[orders.orchestration.disable]]
type = "D1-UPDDVC"
error_if_missing = "Yes"
field_activity_bo = "D1-FieldActivity"
element = "request/keepOn"
stop_value = "Y"
rows = [
  "installEventStatusOverride=Conn-Comm spTypeCategory=D1IT specificFieldTask=D1-TurnOffItem",
  "installEventStatusOverride=Conn-Comm activityBOToCreate=D1-RemoteDisconnect alternativeFieldTask=skip",
  "installEventStatusOverride=Conn-Comm specificFieldTask=D1-TurnOffMeter",
]

[[orders.orchestration.cut]]
type = "custom"
name = "Warn first"
function = "{__name__}:warn_first"

[[orders.orchestration.cut]]
type = "D1-UPDDVC"
error_if_missing = "Con"
rows = ["installEventStatusOverride=Conn-Comm activityBOToCreate=D1-RemoteDisconnect"]

[orders.element."request/keepOn"]
values = ["Y", "N"]

[orders.activity_type.enable]
field_task_by_service_point_condition = [
  "spType=Farm servicePointConnected=false specificFieldTask=D1-ConnectSPAtSource",
]

[orders.activity_type.enable-override]
kind = "enable"
override_algorithm = "{__name__}:send_an_investigator"
field_task_by_service_point_condition = [
  "servicePointConnected=false executeOverrideAlgorithm=true",
]

[orders.activity_type.enable-by-hand]
kind = "enable"
field_task_by_device_condition = [
  "installationEventStatusOverride=Disconn-Comm specificFieldTask=D1-TurnOnMeter",
]

[orders.activity_type.back_to_back]
compatibility_algorithm = "{__name__}:fits"

[service_point_type.Stall]
field_tasks = ["D1-ReadMeter"]
"""  # noqa: E501


def fits(order: ServiceOrder, view: View) -> bool:
    """Whether the device suits the new customer: only one that is not the old one does."""
    return view.device is not None and view.device.id.endswith("-new")


def send_an_investigator(order: ServiceOrder, view: View) -> ChildSpec:
    return ChildSpec(
        business_object="D1-FieldActivity",
        kind=ChildKind.FIELD,
        task="D1-ConnectSPAtMeter" if view.children else "D1-ServiceInvestigation",
    )


def warn_first(order: ServiceOrder, view: View) -> Verdict:
    """A site's own algorithm: a visit that warns comes before every cut."""
    if any(child.spec.task == "D1-DisconnectWarning" for child in view.children):
        return Pass(note="warned")
    return Create(
        child=ChildSpec(
            business_object="D1-FieldActivity", kind=ChildKind.FIELD, task="D1-DisconnectWarning"
        )
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    kind: OrderKind
    children: str
    place: dict[str, object] = field(default_factory=dict)
    sp_type: str = ""
    activity_type: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    problem: str = ""


NO_SWITCH = frozenset({"on_demand_read_scalar"})
BARE: dict[str, object] = {"kind": "", "connected": False, "location": SOURCE}
CASES = [
    Case(name="Yes stops where no device is", kind=K.DISABLE, children="", place=BARE,
         problem="not_ready"),
    Case(name="the element's stop value comes first", kind=K.DISABLE, children="", place=BARE,
         fields={"keepOn": "Y"}),
    Case(name="another value does not stop it", kind=K.DISABLE, children="RemoteDisconnect",
         fields={"keepOn": "N"}),
    Case(name="skip goes to the next row", kind=K.DISABLE, children="TurnOffMeter",
         place={"commands": NO_SWITCH}),
    Case(name="a site's own algorithm", kind=K.CUT,
         children="DisconnectWarning > RemoteDisconnect"),
    Case(name="no alternative", kind=K.CUT, children="DisconnectWarning",
         place={"commands": NO_SWITCH}, problem="not_supported"),
    Case(name="a row for a service point type", kind=K.ENABLE, sp_type="Farm",
         place={"connected": False, "read": True}, children="ConnectSPAtSource"),
    Case(name="not for another type", kind=K.ENABLE, sp_type="House",
         place={"connected": False, "read": True}, children="ConnectSPAtMeter"),
    Case(name="an override algorithm", kind=K.ENABLE, activity_type="enable-override",
         place={"connected": False, "read": True},
         children="ServiceInvestigation > ConnectSPAtMeter"),
    Case(name="a row by the device", kind=K.ENABLE, activity_type="enable-by-hand",
         place={"status": S.DISCONN_COMM, "read": True}, children="TurnOnMeter"),
    Case(name="an incompatible device is swapped and not switched", kind=K.BACK_TO_BACK,
         children="ExchangeMeter > DeviceCommission > RemoteConnect > OnDemandReadScalar"),
    Case(name="a task that the type does not allow", kind=K.ENABLE, sp_type="Stall",
         place={"connected": False, "read": True}, children="ConnectSPAtMeter",
         problem="child_failed"),
]  # fmt: skip


async def play(made: Rig, number: int, case: Case) -> tuple[str, str]:
    """The children, and the problem's code where the order waits for people."""
    place = await made.put(Place(number=number, **case.place))  # type: ignore[arg-type]
    point = ServicePoint(
        id=place.point,
        connected=place.connected,
        disconnect_location=place.location,
        sp_type=case.sp_type,
    )
    await made.made.app.gateway.registry.import_devices(Import(service_points=(point,)))
    order = await made.submit(
        case.kind, place, fields=case.fields, activity_type=case.activity_type
    )
    shown = await made.ended(order.id)
    problem = shown.order.problem
    assert (shown.order.state is OrderState.COMPLETED) is (problem is None)
    return titles(shown), problem.code if problem is not None else ""


@pytest.mark.seconds(60)
async def test_a_sites_rules_decide(tmp_path: Path) -> None:
    async with rig(tmp_path, places=len(CASES), rules=tomllib.loads(FILE)) as made:
        plays = (play(made, number, case) for number, case in enumerate(CASES))
        seen = dict(zip((c.name for c in CASES), await asyncio.gather(*plays), strict=True))
    assert seen == {case.name: (case.children, case.problem) for case in CASES}

"""An exchange that is not to connect (D1NC): how the new device is recorded, and what follows."""

from adapter.commands.flows import CommandKind
from adapter.model.device import Device, InstallStatus
from adapter.model.ids import EventId
from adapter.orders.completion import CompletionReport, apply_field_work, leaves_off
from adapter.orders.order import OrderKind
from adapter.orders.plan import SMART_COMMANDS, Assumptions, make_plan
from adapter.orders.tasks import FieldEffect
from tests.orders.builders import NOON, a_manual_meter, a_smart_meter, a_view, an_item, an_order
from tests.support import for_every

K, S = OrderKind, InstallStatus
NEW = a_manual_meter("M-2")
NO_SWITCH = SMART_COMMANDS - {CommandKind.REMOTE_CONNECT}


@for_every(
    ("device", "commands", "wish", "status"),
    [
        (NEW, frozenset(), "D1NC", S.MANUAL_OFF),
        (NEW, frozenset(), "D1CN", S.MANUAL_ON),
        (NEW, frozenset(), "", S.MANUAL_ON),
        (an_item("I-2"), frozenset(), "D1NC", S.MANUAL_OFF),
        (a_smart_meter("M-2"), NO_SWITCH, "D1NC", S.DISCONN_DECOMM),
        (a_smart_meter("M-2"), NO_SWITCH, "D1CN", S.CONN_PRECOMM),
        (a_smart_meter("M-2"), SMART_COMMANDS, "D1NC", S.DISCONN_DECOMM),
    ],
)
def test_a_new_device_is_recorded_as_the_order_wants_it_left(
    device: Device, commands: frozenset[str], wish: str, status: InstallStatus
) -> None:
    report = CompletionReport(
        at=NOON, cause=EventId("r"), new_device=device, new_capabilities=commands
    )
    off = leaves_off({"connectNewDevice": wish})
    after = apply_field_work(a_view(K.EXCHANGE), (FieldEffect.INSTALL,), report, left_off=off)
    assert after.status is status
    assert after.installed is not None
    on = status in (S.MANUAL_ON, S.CONN_PRECOMM)
    assert [each.on for each in after.installed.history] == [on]


def test_what_the_crew_says_of_the_new_device_goes_before_the_wish() -> None:
    report = CompletionReport(
        at=NOON, cause=EventId("r"), new_device=NEW, install_status=S.MANUAL_ON
    )
    after = apply_field_work(a_view(K.EXCHANGE), (FieldEffect.INSTALL,), report, left_off=True)
    assert after.status is S.MANUAL_ON


def test_a_device_that_is_planned_is_left_off_too() -> None:
    view = a_view(K.EXCHANGE, device=NEW, status=S.PENDING)
    report = CompletionReport(at=NOON, cause=EventId("r"))
    after = apply_field_work(view, (FieldEffect.INSTALL,), report, left_off=True)
    assert after.status is S.MANUAL_OFF


@for_every(
    ("before", "fields", "after"),
    [
        (S.MANUAL_ON, {"connectNewDevice": "D1NC"}, S.MANUAL_OFF),
        (S.MANUAL_OFF, {}, S.MANUAL_OFF),
        (S.MANUAL_ON, {}, S.MANUAL_ON),
    ],
)
def test_an_exchange_plans_the_new_manual_meter_as_it_leaves_it(
    before: InstallStatus, fields: dict[str, str], after: InstallStatus
) -> None:
    view = a_view(K.EXCHANGE, device=a_manual_meter(), status=before)
    made = make_plan(an_order(K.EXCHANGE, fields=fields), view, assume=Assumptions(new_device=NEW))
    assert made.titles[0] == "ExchangeMeter"
    assert "TurnOnMeter" not in made.titles
    assert made.view.status is after


def test_service_that_is_enabled_later_has_the_meter_turned_on() -> None:
    view = a_view(K.EXCHANGE, device=a_manual_meter(), status=S.MANUAL_OFF)
    left = make_plan(an_order(K.EXCHANGE), view, assume=Assumptions(new_device=NEW)).view
    later = a_view(K.ENABLE, device=left.device, status=left.status)
    assert make_plan(an_order(K.ENABLE), later).titles[0] == "TurnOnMeter"

"""Before a remote connect of an order: is there voltage on the load side, and what follows."""

from typing import Any

import pytest

from adapter.commands.activity import UnsureLoadCheck
from adapter.commands.flows import CommandKind
from adapter.errors import SettingsError
from adapter.model.device import InstallStatus
from adapter.model.values import replace
from adapter.orders.algorithms.verdict import Create, Error
from adapter.orders.commands import command_request
from adapter.orders.configuration import parse_configuration
from adapter.orders.evaluate import Evaluation, evaluate
from adapter.orders.events import ChildFailed, ChildGaveUp
from adapter.orders.lifecycle import observe
from adapter.orders.order import (
    ChildFact,
    ChildId,
    ChildSpec,
    ChildState,
    LoadCheck,
    OnLoadSideVoltage,
    OnUnsureLoadCheck,
    OrderKind,
    OrderState,
)
from adapter.orders.plan import SMART_COMMANDS, make_plan
from tests.orders.builders import NOON, a_child, a_smart_meter, a_view, an_order
from tests.support import for_every

K, S = OrderKind, InstallStatus
DETECTS = SMART_COMMANDS | {CommandKind.LOAD_CHECK}
VISIT: dict[str, Any] = {
    "on_load_side_voltage": OnLoadSideVoltage.VISIT,
    "on_unsure_load_check": OnUnsureLoadCheck.VISIT,
}
VOLTAGE, UNSURE = "load_side_voltage: voltage on the load side", "load_check_unsure: no answer"


def look(
    kind: OrderKind = K.ENABLE,
    *children: ChildFact,
    commands: frozenset[str] = DETECTS,
    fields: dict[str, str] | None = None,
    **activity_type: Any,
) -> Evaluation:
    view = a_view(
        kind,
        device=a_smart_meter(),
        status=S.DISCONN_COMM,
        commands=commands,
        children=children,
        activity_type=activity_type,
    )
    return evaluate(an_order(kind, fields=fields or {}, children=len(children)), view)


def wanted(evaluation: Evaluation) -> ChildSpec:
    assert isinstance(evaluation.verdict, Create)
    return evaluation.verdict.child


def held(reason: str, number: int = 1, *, checked: bool = True) -> ChildFact:
    """A connect that its load check kept from being sent."""
    failed = a_child("D1-RemoteConnect", number, ChildState.FAILED, check_load=checked)
    return replace(failed, reason=reason)


def visit(number: int = 2, state: ChildState = ChildState.COMPLETED) -> ChildFact:
    return a_child("D1-FieldActivity", number=number, state=state, task="D1-ServiceInvestigation")


@for_every(
    ("kind", "status"),
    [
        (K.ENABLE, S.DISCONN_COMM),
        (K.ENABLE, S.PRECONN_COMM),
        (K.RECONNECT, S.DISCONN_COMM),
        (K.RECONNECT, S.PRECONN_COMM),
        (K.BACK_TO_BACK, S.DISCONN_COMM),
    ],
)
def test_every_kind_that_connects_checks_the_load_first(
    kind: OrderKind, status: InstallStatus
) -> None:
    view = a_view(kind, device=a_smart_meter(), status=status, commands=DETECTS)
    order = an_order(kind)
    child = wanted(evaluate(order, view))
    assert (child.command, child.check_load) == (CommandKind.REMOTE_CONNECT, True)
    request = command_request(order, ChildId("SO-1.1"), child)
    assert request.check_load
    assert request.unsure_load_check is UnsureLoadCheck.END
    assert make_plan(order, view).steps[0].note.endswith("load check first")


def test_the_second_half_of_a_change_over_is_checked_too() -> None:
    off = a_child("D1-RemoteDisconnect", state=ChildState.COMPLETED)
    assert wanted(look(K.BACK_TO_BACK, off)).check_load


def test_a_new_meter_of_an_exchange_is_checked_too() -> None:
    view = a_view(K.EXCHANGE, device=a_smart_meter(), status=S.CONN_COMM, commands=DETECTS)
    made = make_plan(an_order(K.EXCHANGE), view)
    (connect,) = (x for x in made.steps if x.title == "RemoteConnect")
    assert connect.child.check_load


@for_every(
    ("commands", "fields", "activity_type", "checked"),
    [
        (SMART_COMMANDS, {}, {}, False),
        (DETECTS, {"loadCheck": "no"}, {}, False),
        (DETECTS, {}, {"load_check": LoadCheck.NEVER}, False),
        (DETECTS, {"loadCheck": "yes"}, {"load_check": LoadCheck.NEVER}, True),
        (DETECTS, {}, {"load_check": LoadCheck.ALWAYS}, True),
    ],
)
def test_order_site_and_device_say_whether_the_load_is_checked(
    commands: frozenset[str], fields: dict[str, str], activity_type: dict[str, Any], checked: bool
) -> None:
    found = look(commands=commands, fields=fields, **activity_type)
    assert wanted(found).check_load is checked
    assert found.last is not None
    assert ("load check first" in found.last.note) is checked


def test_a_check_that_is_a_must_and_not_supported_counts_as_one_without_an_answer() -> None:
    must: dict[str, Any] = {"commands": SMART_COMMANDS, "fields": {"loadCheck": "yes"}}
    found = look(**must)
    assert isinstance(found.verdict, Error)
    assert found.verdict.problem.code == "load_check_unsure"
    assert "does not support" in found.verdict.problem.text
    assert wanted(look(**must, **VISIT)).task == "D1-ServiceInvestigation"
    connect = wanted(look(**must, on_unsure_load_check=OnUnsureLoadCheck.CONNECT))
    assert connect.command is CommandKind.REMOTE_CONNECT
    assert not connect.check_load


@for_every(("reason", "code"), [(VOLTAGE, "load_side_voltage"), (UNSURE, "load_check_unsure")])
def test_what_a_load_check_holds_back_waits_for_people_by_default(reason: str, code: str) -> None:
    found = look(K.ENABLE, held(reason))
    assert isinstance(found.verdict, Error)
    assert found.verdict.problem.code == code
    assert "loadCheck=no" in found.verdict.problem.action
    again = an_order(K.ENABLE, first_of_retry=1)
    view = a_view(
        K.ENABLE,
        device=a_smart_meter(),
        status=S.DISCONN_COMM,
        commands=DETECTS,
        children=(held(reason),),
    )
    assert wanted(evaluate(again, view)).check_load, "a retry checks again"


@for_every("reason", [VOLTAGE, UNSURE])
def test_a_site_sends_one_visit_then_the_check_is_made_again_and_then_people_decide(
    reason: str,
) -> None:
    sent = wanted(look(K.ENABLE, held(reason), fields={"instructions": "ring twice"}, **VISIT))
    assert sent.task == "D1-ServiceInvestigation"
    assert sent.details["instructions"].startswith("ring twice; ")
    assert wanted(look(K.ENABLE, held(reason), visit(), **VISIT)).check_load
    once_more = look(K.ENABLE, held(reason), visit(), held(reason, 3), **VISIT)
    assert isinstance(once_more.verdict, Error)
    assert "after a visit too" in once_more.verdict.problem.text


def test_no_answer_can_be_as_good_as_silence_for_a_site() -> None:
    found = wanted(look(on_unsure_load_check=OnUnsureLoadCheck.CONNECT))
    assert found.unsure_load_check is UnsureLoadCheck.CONNECT
    voltage = look(K.ENABLE, held(VOLTAGE), on_unsure_load_check=OnUnsureLoadCheck.CONNECT)
    assert isinstance(voltage.verdict, Error), "voltage is no silence"


def test_a_customer_whom_the_order_left_dark_stays_the_most_urgent_when_the_load_is_live() -> None:
    off = a_child("D1-RemoteDisconnect", state=ChildState.COMPLETED)
    found = look(K.BACK_TO_BACK, off, held(VOLTAGE, 2))
    assert isinstance(found.verdict, Error)
    assert found.verdict.problem.code == "load_side_voltage"
    assert found.verdict.problem.without_supply


@for_every(
    ("reason", "checked", "event"),
    [
        (VOLTAGE, True, ChildGaveUp),
        (UNSURE, True, ChildGaveUp),
        ("refused: no", True, ChildFailed),
        (VOLTAGE, False, ChildFailed),
    ],
)
def test_only_a_load_check_lets_the_order_look_again_after_a_failed_connect(
    reason: str, checked: bool, event: type[object]
) -> None:
    child = held(reason, checked=checked)
    order = an_order(K.ENABLE, state=OrderState.IN_PROGRESS, awaited_child=child.id)
    assert isinstance(observe(order, (child,)), event)


def test_a_connect_that_was_held_back_is_no_failed_one_for_the_alternative_field_task() -> None:
    raw = {
        "orchestration": {
            "reconnect": [
                {
                    "type": "D1-UPDDVC",
                    "field_activity_bo": "D1-FieldActivity",
                    "error_if_missing": "Con",
                    "alternative_after": 1,
                    "rows": "installationEventStatusOverride=Disconn-Comm"
                    " activityBOToCreate=D1-RemoteConnect alternativeFieldTask=D1-TurnOnMeter",
                }
            ]
        }
    }
    matrix = parse_configuration(raw).matrix
    view = a_view(
        K.RECONNECT,
        device=a_smart_meter(),
        status=S.DISCONN_COMM,
        commands=DETECTS,
        children=(held(VOLTAGE),),
    )
    found = evaluate(an_order(K.RECONNECT), view, matrix=matrix)
    assert isinstance(found.verdict, Error), "no crew closes on what the site wants people to see"
    assert found.verdict.problem.code == "load_side_voltage"


def test_a_site_says_what_follows_in_its_orders_file() -> None:
    raw = {
        "activity_type": {
            "enable": {
                "load_check": "always",
                "on_load_side_voltage": "visit",
                "on_unsure_load_check": "connect",
                "load_check_field_task": "d1-turnonmeter",
            }
        }
    }
    made = parse_configuration(raw).activity_types["enable"]
    assert made.load_check is LoadCheck.ALWAYS
    assert made.on_load_side_voltage is OnLoadSideVoltage.VISIT
    assert made.on_unsure_load_check is OnUnsureLoadCheck.CONNECT
    assert made.load_check_field_task == "D1-TurnOnMeter"


@for_every(
    ("values", "named"),
    [
        ({"load_check": "yes"}, "load_check: yes is not one of supported, always, never"),
        ({"on_load_side_voltage": "connect"}, "on_load_side_voltage: connect is not one of"),
        ({"on_unsure_load_check": "wait"}, "on_unsure_load_check: wait is not one of"),
        ({"load_check_field_task": "D1-Dance"}, "load_check_field_task: D1-Dance is not a known"),
        ({"load_check_field_task": "D1-TurnOffMeter"}, "D1-TurnOffMeter takes supply away"),
        ({"netting": True}, "netting: is for back_to_back and disable, not for enable"),
    ],
)
def test_a_mistake_about_load_checks_stops_the_start(values: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        parse_configuration({"activity_type": {"enable": values}})


def test_the_time_of_the_check_is_no_part_of_the_plan() -> None:
    view = a_view(K.ENABLE, device=a_smart_meter(), status=S.DISCONN_COMM, commands=DETECTS)
    made = make_plan(an_order(K.ENABLE, effective_at=NOON), view)
    assert made.titles == ("RemoteConnect", "OnDemandReadScalar")

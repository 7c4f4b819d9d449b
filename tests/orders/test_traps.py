"""The traps: orders whose children fail, lag, repeat, or whose world is not what it seems."""

from datetime import timedelta
from typing import Any

import pytest

from adapter.commands.flows import CommandKind
from adapter.model.device import Category, DisconnectLocation, InstallStatus
from adapter.model.ids import DeviceId, EventId
from adapter.model.values import replace
from adapter.orders.activities import INCOMPATIBLE_DEVICE, ChildKind
from adapter.orders.algorithms.custom import CustomFunction
from adapter.orders.algorithms.mnemonics import Grammar, RowError, RowList, parse_rows
from adapter.orders.algorithms.rows import AlgorithmType
from adapter.orders.algorithms.table import Algorithm, parse_algorithm
from adapter.orders.algorithms.verdict import (
    Create,
    Customs,
    DecisionOutcome,
    Error,
    Pass,
    Verdict,
    Wait,
)
from adapter.orders.completion import CompletionReport, apply_field_work
from adapter.orders.evaluate import customer_without_supply, evaluate
from adapter.orders.matrix import MATRIX
from adapter.orders.order import (
    CONNECT_NEW_DEVICE,
    ChildFact,
    ChildId,
    ChildSpec,
    ChildState,
    Installation,
    OrderKind,
    ServiceOrder,
    View,
)
from adapter.orders.plan import SMART_COMMANDS
from adapter.orders.tasks import FIELD_TASKS, FieldEffect
from tests.orders.builders import (
    NOON,
    a_child,
    a_manual_meter,
    a_reading,
    a_smart_meter,
    a_view,
    an_item,
    an_order,
)

K, S = OrderKind, InstallStatus
METER = a_smart_meter()
READ = (a_reading(),)
OFF, ON = "D1-RemoteDisconnect", "D1-RemoteConnect"


def wanted(verdict: Verdict) -> str:
    """The field task or business object of the child that a verdict creates."""
    assert isinstance(verdict, Create), verdict
    return verdict.child.task or verdict.child.business_object


def problem(verdict: Verdict) -> str:
    assert isinstance(verdict, Error), verdict
    return verdict.problem.code


def b2b(status: InstallStatus, *children: ChildFact, **changes: object) -> View:
    return a_view(
        K.BACK_TO_BACK,
        device=METER,
        status=status,
        measurements=READ,
        children=children,
        **changes,  # type: ignore[arg-type]
    )


# D1-REMONOFF -------------------------------------------------------------------------------


def test_off_carries_the_status_that_its_completion_must_set() -> None:
    verdict = evaluate(an_order(K.BACK_TO_BACK), b2b(S.CONN_COMM)).verdict
    assert wanted(verdict) == OFF
    assert isinstance(verdict, Create)
    assert verdict.child.override is S.DISCONN_COMM


def test_between_off_and_on_the_second_half_comes_from_the_same_algorithm() -> None:
    view = b2b(S.DISCONN_COMM, a_child(OFF))
    done = evaluate(an_order(K.BACK_TO_BACK), view)
    assert wanted(done.verdict) == ON
    assert isinstance(done.verdict, Create)
    assert done.verdict.child.override is S.CONN_COMM
    assert done.last is not None
    assert done.last.type == AlgorithmType.REMONOFF


def test_a_connection_that_update_device_made_counts_as_the_second_half() -> None:
    view = b2b(S.CONN_COMM, a_child(OFF, 1), a_child(ON, 2))
    assert isinstance(evaluate(an_order(K.BACK_TO_BACK), view).verdict, Pass)


def test_a_connection_before_the_disconnection_does_not_count() -> None:
    view = b2b(S.DISCONN_COMM, a_child(ON, 1), a_child(OFF, 2))
    assert wanted(evaluate(an_order(K.BACK_TO_BACK), view).verdict) == ON


def test_supply_is_restored_before_anything_else_is_looked_at() -> None:
    view = b2b(
        S.DISCONN_COMM,
        a_child(OFF),
        activity_type={"compatibility_algorithm": "site:never"},
    )
    customs = Customs(compatibility={"site:never": lambda _order, _view: False})
    done = evaluate(an_order(K.BACK_TO_BACK), view, customs=customs)
    assert wanted(done.verdict) == ON
    assert len(done.decisions) == 1


def test_a_failed_second_half_leaves_a_dark_customer_whom_everybody_sees() -> None:
    view = b2b(S.DISCONN_COMM, a_child(OFF, 1), a_child(ON, 2, ChildState.FAILED))
    assert customer_without_supply(an_order(K.BACK_TO_BACK), view)
    assert wanted(evaluate(an_order(K.BACK_TO_BACK), view).verdict) == ON


def test_dark_without_a_remote_connect_is_an_alarm_not_a_pass() -> None:
    view = b2b(S.DISCONN_COMM, a_child(OFF), commands=frozenset())
    verdict = evaluate(an_order(K.BACK_TO_BACK), view).verdict
    assert problem(verdict) == "customer_without_supply"
    assert isinstance(verdict, Error)
    assert verdict.problem.without_supply


def test_supply_restored_by_other_means_needs_no_second_command() -> None:
    view = b2b(S.CONN_COMM, a_child(OFF))
    assert isinstance(evaluate(an_order(K.BACK_TO_BACK), view).verdict, Pass)


def test_a_device_that_was_swapped_for_the_customer_is_not_switched() -> None:
    view = b2b(S.CONN_COMM, a_child(INCOMPATIBLE_DEVICE))
    assert isinstance(evaluate(an_order(K.BACK_TO_BACK), view).verdict, Pass)


@pytest.mark.parametrize("restriction", ["life_support", "protected"])
def test_nobody_on_a_restricted_point_is_switched_off_for_a_change_over(restriction: str) -> None:
    view = b2b(S.CONN_COMM, point={restriction: True})
    assert isinstance(evaluate(an_order(K.BACK_TO_BACK), view).verdict, Pass)


# D1-DVCOMCHK -------------------------------------------------------------------------------

INCOMPATIBLE = Customs(compatibility={"site:fits": lambda _order, _view: False})
CHECKED: dict[str, object] = {"compatibility_algorithm": "site:fits"}


def enable(*children: ChildFact, device: bool = True) -> View:
    return a_view(
        K.ENABLE,
        device=METER if device else None,
        status=S.CONN_COMM if device else None,
        measurements=READ,
        children=children,
        activity_type=CHECKED,
    )


def test_an_incompatible_device_is_worked_on_once() -> None:
    verdict = evaluate(an_order(K.ENABLE), enable(), customs=INCOMPATIBLE).verdict
    assert isinstance(verdict, Create)
    assert verdict.child.business_object == INCOMPATIBLE_DEVICE
    again = enable(a_child(INCOMPATIBLE_DEVICE))
    assert problem(evaluate(an_order(K.ENABLE), again, customs=INCOMPATIBLE).verdict) == (
        "incompatible"
    )


def test_after_a_retry_by_people_it_is_worked_on_again() -> None:
    order = an_order(K.ENABLE, first_of_retry=1, children=1)
    view = enable(a_child(INCOMPATIBLE_DEVICE, 1))
    verdict = evaluate(order, view, customs=INCOMPATIBLE).verdict
    assert isinstance(verdict, Create)


def test_without_a_device_there_is_nothing_to_be_compatible_with() -> None:
    verdict = evaluate(an_order(K.ENABLE), enable(device=False), customs=INCOMPATIBLE).verdict
    assert wanted(verdict) == "D1-InstallMeter"


def test_a_configured_check_that_is_missing_stops_the_order() -> None:
    assert problem(evaluate(an_order(K.ENABLE), enable()).verdict) == "algorithm_missing"


def test_a_sites_function_that_raises_stops_the_order_and_is_named() -> None:
    def broken(_order: ServiceOrder, _view: View) -> bool:
        raise ZeroDivisionError("no customers")

    customs = Customs(compatibility={"site:fits": broken})
    verdict = evaluate(an_order(K.ENABLE), enable(), customs=customs).verdict
    assert problem(verdict) == "algorithm_failed"
    assert isinstance(verdict, Error)
    assert "ZeroDivisionError: no customers" in verdict.problem.text


# D1-CONPRECON, D1-CREMTREXC, D1-DCRMMTR ------------------------------------------------------


def exchange(view_status: InstallStatus = S.CONN_COMM, *children: ChildFact) -> View:
    return a_view(K.EXCHANGE, device=METER, status=view_status, children=children)


@pytest.mark.parametrize(
    ("status", "flag"),
    [(S.CONN_COMM, "D1CN"), (S.CONN_DECOMM, "D1CN"), (S.DISCONN_COMM, "D1NC")],
)
def test_the_empty_flag_is_filled_from_the_old_device(status: InstallStatus, flag: str) -> None:
    assert evaluate(an_order(K.EXCHANGE), exchange(status)).fields == {CONNECT_NEW_DEVICE: flag}


def test_a_filled_flag_is_never_changed() -> None:
    order = an_order(K.EXCHANGE, fields={CONNECT_NEW_DEVICE: "D1NC"})
    assert evaluate(order, exchange()).fields == {}


def test_the_exchange_carries_the_old_device_and_the_wish() -> None:
    order = an_order(K.EXCHANGE, fields={"newDevice": "M-9"})
    verdict = evaluate(order, exchange()).verdict
    assert wanted(verdict) == "D1-ExchangeMeter"
    assert isinstance(verdict, Create)
    assert verdict.child.details == {
        "newDevice": "M-9",
        CONNECT_NEW_DEVICE: "D1CN",
        "oldDevice": "M-1",
    }


def test_a_visit_that_installs_carries_the_device_that_the_order_wants_and_no_other() -> None:
    order = an_order(K.ENABLE, fields={"newDevice": "M-9", "contact": "ring twice"})
    bare = evaluate(order, a_view(K.ENABLE, connected=False)).verdict
    assert isinstance(bare, Create)
    assert bare.child.task == "D1-ConnSPAtMtrAndInstMtr"
    assert bare.child.details == {"newDevice": "M-9", "contact": "ring twice"}
    there = a_view(K.ENABLE, device=a_manual_meter(), status=S.MANUAL_OFF)
    turned = evaluate(order, there).verdict
    assert isinstance(turned, Create)
    assert turned.child.task == "D1-TurnOnMeter"
    assert turned.child.details == {"contact": "ring twice"}


EXCHANGE: dict[str, Any] = {"task": "D1-ExchangeMeter", "details": {"oldDevice": "M-1"}}


@pytest.mark.parametrize("state", [ChildState.CANCELED, ChildState.DISCARDED])
def test_an_exchange_that_was_not_done_is_not_repeated_by_itself(state: ChildState) -> None:
    child = a_child("D1-FieldActivity", 1, state, **EXCHANGE)
    order = an_order(K.EXCHANGE, children=1)
    assert problem(evaluate(order, exchange(S.CONN_COMM, child)).verdict) == "exchange_not_done"
    retried = replace(order, first_of_retry=1)
    assert wanted(evaluate(retried, exchange(S.CONN_COMM, child)).verdict) == "D1-ExchangeMeter"


def exchanged(old: InstallStatus, *more: ChildFact) -> View:
    new = a_smart_meter("M-2")
    gone = exchange(old)
    assert gone.installed is not None
    removed = Installation(
        device=METER,
        event=replace(gone.installed, removed_at=NOON),
        capabilities=SMART_COMMANDS,
    )
    return a_view(
        K.EXCHANGE,
        device=new,
        status=S.CONN_COMM,
        removed=(removed,),
        measurements=(a_reading(device="M-2"),),
        children=(a_child("D1-FieldActivity", 1, **EXCHANGE), *more),
    )


DONE = an_order(K.EXCHANGE, fields={CONNECT_NEW_DEVICE: "D1CN"})


def test_the_decommissioning_is_for_the_meter_that_left() -> None:
    verdict = evaluate(DONE, exchanged(S.CONN_COMM)).verdict
    assert wanted(verdict) == "D1-DeviceDecommission"
    assert isinstance(verdict, Create)
    assert verdict.child.device == "M-1"


@pytest.mark.parametrize("status", [S.CONN_PRECOMM, S.CONN_DECOMM, S.DISCONN_DECOMM, S.REMOVED])
def test_a_removed_meter_that_is_not_commissioned_is_left_alone(status: InstallStatus) -> None:
    assert isinstance(evaluate(DONE, exchanged(status)).verdict, Pass)


def test_a_failed_decommissioning_may_be_configured_not_to_block() -> None:
    failed = a_child(
        "D1-DeviceDecommission", 2, ChildState.FAILED, device=DeviceId("M-1"), blocking=False
    )
    raw = {"blocking": False}
    lenient = parse_algorithm(AlgorithmType.DCRMMTR, "Decommission", raw, where="site")
    cells = tuple(
        lenient if cell.type is AlgorithmType.DCRMMTR else cell for cell in MATRIX[K.EXCHANGE]
    )
    view = exchanged(S.CONN_COMM, failed)
    assert isinstance(evaluate(DONE, view, matrix={K.EXCHANGE: cells}).verdict, Pass)
    assert wanted(evaluate(DONE, view).verdict) == "D1-DeviceDecommission"


# D1-UPDDVC -----------------------------------------------------------------------------------


def update(raw: dict[str, object]) -> dict[OrderKind, tuple[Algorithm, ...]]:
    algorithm = parse_algorithm(AlgorithmType.UPDDVC, "Update", raw, where="site")
    return {K.RECONNECT: (algorithm,), K.ENABLE: (algorithm,)}


def test_without_an_alternative_an_unsupported_command_needs_people() -> None:
    matrix = update({"rows": ["activityBOToCreate=D1-RemoteConnect"]})
    view = a_view(K.ENABLE, device=METER, status=S.DISCONN_COMM, commands=frozenset())
    assert problem(evaluate(an_order(K.ENABLE), view, matrix=matrix).verdict) == "not_supported"


def test_skip_goes_on_to_the_next_row_and_is_noted_when_there_is_none() -> None:
    skip = "activityBOToCreate=D1-RemoteConnect alternativeFieldTask=skip"
    view = a_view(K.ENABLE, device=METER, status=S.DISCONN_COMM, commands=frozenset())
    alone = evaluate(an_order(K.ENABLE), view, matrix=update({"rows": [skip]})).decisions[-1]
    assert alone.outcome is DecisionOutcome.PASS
    assert "parameter row 1 skipped" in alone.note
    rows = [skip, "specificFieldTask=D1-TurnOnMeter"]
    matrix = update({"rows": rows, "field_activity_bo": "D1-FieldActivity"})
    assert wanted(evaluate(an_order(K.ENABLE), view, matrix=matrix).verdict) == "D1-TurnOnMeter"


def test_after_so_many_failed_commands_a_crew_is_sent_where_that_is_configured() -> None:
    row = "activityBOToCreate=D1-RemoteConnect alternativeFieldTask=D1-TurnOnMeter"
    raw: dict[str, object] = {"rows": [row], "field_activity_bo": "D1-FieldActivity"}
    matrix = update({**raw, "alternative_after": 2})

    def after(failures: int) -> Verdict:
        failed = tuple(
            a_child(ON, n, ChildState.FAILED, device=METER.id) for n in range(1, failures + 1)
        )
        view = a_view(K.ENABLE, device=METER, status=S.DISCONN_COMM, children=failed)
        return evaluate(an_order(K.ENABLE, children=failures), view, matrix=matrix).verdict

    first = after(0)
    assert isinstance(first, Create)
    assert not first.child.blocking
    assert [wanted(after(n)) for n in (1, 2, 3)] == [ON, "D1-TurnOnMeter", "D1-TurnOnMeter"]


@pytest.mark.parametrize("category", [Category.METER, Category.ITEM])
def test_yes_stops_and_con_passes_where_service_is_missing(category: Category) -> None:
    view = a_view(K.ENABLE, category=category)
    stopping = update({"error_if_missing": "Yes"})
    assert problem(evaluate(an_order(K.ENABLE), view, matrix=stopping).verdict) == "not_ready"
    for passing in ("Con", "Nothing"):
        matrix = update({"error_if_missing": passing})
        assert isinstance(evaluate(an_order(K.ENABLE), view, matrix=matrix).verdict, Pass)


VISIT = "specificFieldTask=D1-ServiceInvestigation"


@pytest.mark.parametrize(
    ("row", "world", "expected"),
    [
        (VISIT, {}, "D1-ServiceInvestigation"),
        (f"spTypeCategory=D1IT {VISIT}", {"category": Category.ITEM}, "D1-ServiceInvestigation"),
        (f"spTypeCategory=D1MI {VISIT}", {"category": Category.MULTI_ITEM},
         "D1-ServiceInvestigation"),
        (f"spTypeCategory=D1IT {VISIT}", {}, ""),
        (f"installationEventStatusOverride=Pending {VISIT}",
         {"device": METER, "status": S.PENDING}, "D1-ServiceInvestigation"),
        (f"installationEventStatusOverride=Removed {VISIT}",
         {"device": METER, "status": S.REMOVED}, "D1-ServiceInvestigation"),
        ("installationEventStatusOverride=Pending activityBOToCreate=D1-DeviceCommission",
         {"device": METER, "status": S.PENDING}, "D1-DeviceCommission"),
        ("installationEventStatusOverride=Conn-Comm activityBOToCreate=D1-RemoteDisconnect",
         {"device": METER, "status": S.CONN_COMM, "connected": False}, "D1-RemoteDisconnect"),
        ("activityBOToCreate=D1-RemoteDisconnect alternativeFieldTask=D1-ServiceInvestigation",
         {}, "D1-ServiceInvestigation"),
        ("activityBOToCreate=D1-RemoteDisconnect alternativeFieldTask=skip", {}, ""),
        ("activityBOToCreate=D1-RemoteDisconnect", {}, "no_device"),
        ("installationEventStatusOverride=Removed activityBOToCreate=D1-RemoteDisconnect",
         {"device": METER, "status": S.REMOVED}, "no_device"),
    ],
)  # fmt: skip
def test_con_continues_to_the_rows(row: str, world: dict[str, Any], expected: str) -> None:
    """Where service is missing too; a command still needs a device that hears it."""
    raw: dict[str, object] = {
        "error_if_missing": "Con",
        "field_activity_bo": "D1-FieldActivity",
        "rows": [row],
    }
    verdict = evaluate(an_order(K.ENABLE), a_view(K.ENABLE, **world), matrix=update(raw)).verdict
    if isinstance(verdict, Error):
        assert verdict.problem.code == expected
    else:
        assert (wanted(verdict) if isinstance(verdict, Create) else "") == expected


@pytest.mark.parametrize("type_", [AlgorithmType.UPDDVC, AlgorithmType.CRSPACT])
def test_a_row_with_object_and_task_is_a_field_activity_and_needs_no_other_object(
    type_: AlgorithmType,
) -> None:
    row = "activityBOToCreate=D1-FieldActivity specificFieldTask=D1-ServiceInvestigation"
    algorithm = parse_algorithm(type_, "Look", {"rows": [row]}, where="site")
    view = a_view(K.ENABLE, device=METER, status=S.CONN_COMM)
    verdict = evaluate(an_order(K.ENABLE), view, matrix={K.ENABLE: (algorithm,)}).verdict
    assert isinstance(verdict, Create)
    assert verdict.child.kind is ChildKind.FIELD
    assert verdict.child.business_object == "D1-FieldActivity"
    assert verdict.child.task == "D1-ServiceInvestigation"


@pytest.mark.parametrize("missing", ["Yes", "Nothing"])
@pytest.mark.parametrize("status", ["Pending", "Removed"])
def test_a_row_that_could_never_fire_is_refused(missing: str, status: str) -> None:
    row = f"installationEventStatusOverride={status} activityBOToCreate=D1-DeviceCommission"
    with pytest.raises(RowError, match="row 1: can never be reached: only a service point that"):
        update({"error_if_missing": missing, "rows": [row]})
    assert update({"error_if_missing": "Con", "rows": [row]})


def test_nothing_to_update_says_why() -> None:
    matrix = update({"error_if_missing": "Nothing"})
    (decision,) = evaluate(an_order(K.ENABLE), a_view(K.ENABLE), matrix=matrix).decisions
    assert decision.note == "nothing to update: no device is installed at the service point"


def test_the_stop_value_comes_before_the_missing_device() -> None:
    raw: dict[str, object] = {"element": "/activity/connectNewDevice", "stop_value": "D1NC"}
    order = an_order(K.ENABLE, fields={CONNECT_NEW_DEVICE: "D1NC"})
    assert isinstance(evaluate(order, a_view(K.ENABLE), matrix=update(raw)).verdict, Pass)


def test_a_row_of_another_category_does_not_match() -> None:
    raw: dict[str, object] = {
        "field_activity_bo": "D1-FieldActivity",
        "rows": [
            "installEventStatusOverride=ManualOff specificFieldTask=D1-TurnOnMeter"
            " spTypeCategory=D1MT",
            "installEventStatusOverride=ManualOff specificFieldTask=D1-TurnOnItem",
        ],
    }
    view = a_view(K.ENABLE, device=an_item(), status=S.MANUAL_OFF, category=Category.ITEM)
    done = evaluate(an_order(K.ENABLE), view, matrix=update(raw))
    assert wanted(done.verdict) == "D1-TurnOnItem"
    assert isinstance(done.verdict, Create)
    assert done.verdict.row == "parameter row 2"


def test_a_zones_rows_come_before_the_parameters_and_may_name_a_point_type() -> None:
    how = RowList(
        where="zone", grammar=Grammar.DEVICE, origin="zone", zone=True, most=None,
        field_activity_bo="D1-FieldActivity",
    )  # fmt: skip
    rows = parse_rows(["spType=Farm specificFieldTask=D1-ServiceInvestigation"], how)

    def first(sp_type: str) -> str:
        view = a_view(
            K.ENABLE, device=METER, status=S.DISCONN_COMM,
            point={"sp_type": sp_type}, activity_type={"device_rows": rows},
        )  # fmt: skip
        return wanted(evaluate(an_order(K.ENABLE), view).verdict)

    assert first("Farm") == "D1-ServiceInvestigation"
    assert first("Home") == ON


def test_a_cut_reported_at_the_source_is_undone_at_the_source() -> None:
    view = a_view(K.CUT, device=a_manual_meter(), status=S.MANUAL_ON)
    report = CompletionReport(
        at=NOON, cause=EventId("e"), disconnect_location=DisconnectLocation.SOURCE
    )
    cut = apply_field_work(view, FIELD_TASKS["D1-CutForNonPayment"].successful, report)
    assert not cut.service_point.connected
    assert cut.status is S.MANUAL_ON
    reconnect = replace(cut, activity_type=a_view(K.RECONNECT).activity_type)
    assert wanted(evaluate(an_order(K.RECONNECT), reconnect).verdict) == "D1-ReconnectForPayment"


# D1-CRSPACT ----------------------------------------------------------------------------------


def overridden(customs: Customs, name: str = "site:override") -> Verdict:
    raw: dict[str, object] = {"rows": ["servicePointConnected=false executeOverrideAlgorithm=true"]}
    algorithm = parse_algorithm(AlgorithmType.CRSPACT, "Create", raw, where="site")
    view = a_view(K.ENABLE, connected=False, activity_type={"override_algorithm": name})
    matrix = {K.ENABLE: (algorithm,)}
    return evaluate(an_order(K.ENABLE), view, matrix=matrix, customs=customs).verdict


def test_the_override_algorithm_decides_what_is_created() -> None:
    def ask(_order: ServiceOrder, view: View) -> ChildSpec:
        spec = evaluate(an_order(K.ENABLE), view).verdict
        assert isinstance(spec, Create)
        return replace(spec.child, task="D1-ServiceInvestigation")

    verdict = overridden(Customs(override={"site:override": ask}))
    assert wanted(verdict) == "D1-ServiceInvestigation"


@pytest.mark.parametrize("name", ["", "site:override"])
def test_an_override_that_gives_nothing_needs_people(name: str) -> None:
    assert problem(overridden(Customs(), name)) == "algorithm_missing"


@pytest.mark.parametrize("key", ["rows", "service_point_rows"])
def test_a_command_where_nobody_would_hear_it_needs_people(key: str) -> None:
    type_ = AlgorithmType.CRSPACT if key == "rows" else AlgorithmType.UPDDVC
    raw: dict[str, object] = {key: ["activityBOToCreate=D1-RemoteConnect"]}
    algorithm = parse_algorithm(type_, "Create", raw, where="site")
    verdict = evaluate(
        an_order(K.ENABLE), a_view(K.ENABLE), matrix={K.ENABLE: (algorithm,)}
    ).verdict
    assert problem(verdict) == "no_device"


# The loop ------------------------------------------------------------------------------------


def test_an_open_child_is_waited_for_whatever_the_world_looks_like() -> None:
    view = b2b(S.CONN_COMM, a_child(OFF, 1, ChildState.SENT))
    assert isinstance(evaluate(an_order(K.BACK_TO_BACK), view).verdict, Wait)


def test_work_that_changed_nothing_is_not_ordered_again() -> None:
    child = a_child(ON, 1, device=METER.id)
    view = a_view(K.RECONNECT, device=METER, status=S.DISCONN_COMM, children=(child,))
    order = an_order(K.RECONNECT, children=1, passes=1)
    assert problem(evaluate(order, view).verdict) == "no_progress"
    assert wanted(evaluate(replace(order, first_of_retry=1, passes=0), view).verdict) == ON


def test_the_pass_bound_ends_an_order_that_goes_round_in_circles() -> None:
    view = a_view(K.RECONNECT, device=METER, status=S.DISCONN_COMM)
    order = an_order(K.RECONNECT, passes=20)
    assert problem(evaluate(order, view).verdict) == "no_progress"


def test_a_restriction_that_came_after_validation_still_holds() -> None:
    view = a_view(K.CUT, device=METER, status=S.CONN_COMM, point={"life_support": True})
    assert problem(evaluate(an_order(K.CUT), view).verdict) == "restricted"


@pytest.mark.parametrize("kind", OrderKind)
def test_a_withdrawn_order_creates_nothing_more(kind: OrderKind) -> None:
    view = a_view(kind, device=METER, status=S.DISCONN_COMM if kind is not K.CUT else S.CONN_COMM)
    assert evaluate(an_order(kind, stop="paid"), view).stopped


def test_a_withdrawn_order_that_left_the_customer_dark_restores_supply_first() -> None:
    order = an_order(K.BACK_TO_BACK, stop="cancelled")
    dark = evaluate(order, b2b(S.DISCONN_COMM, a_child(OFF)))
    assert wanted(dark.verdict) == ON
    assert not dark.stopped


def test_a_sites_own_algorithm_takes_part() -> None:
    cell = Algorithm(
        type=AlgorithmType.CUSTOM,
        name="Ask the site",
        parameters=CustomFunction(function="site:algorithm"),
    )
    asked: list[str] = []

    def algorithm(order: ServiceOrder, _view: View) -> Verdict:
        asked.append(order.id)
        return Pass(note="fine")

    customs = Customs(algorithms={"site:algorithm": algorithm})
    matrix = {K.ENABLE: (cell,)}
    view = a_view(K.ENABLE)
    done = evaluate(an_order(K.ENABLE), view, matrix=matrix, customs=customs)
    assert isinstance(done.verdict, Pass)
    assert asked == ["SO-1"]
    assert problem(evaluate(an_order(K.ENABLE), view, matrix=matrix).verdict) == (
        "algorithm_missing"
    )


# What crews report ---------------------------------------------------------------------------


def test_a_repeated_report_changes_nothing() -> None:
    view = a_view(K.DISABLE, device=a_manual_meter(), status=S.MANUAL_ON)
    report = CompletionReport(at=NOON, cause=EventId("e1"))
    effects = FIELD_TASKS["D1-TurnOffMeter"].successful
    once = apply_field_work(view, effects, report)
    assert once.status is S.MANUAL_OFF
    assert apply_field_work(once, effects, report) == once


def test_a_visit_takes_the_orders_appointment_along() -> None:
    order = an_order(K.ENABLE, fields={"appointmentStart": "2026-03-11T09:00:00+00:00"})
    verdict = evaluate(order, a_view(K.ENABLE)).verdict
    assert isinstance(verdict, Create)
    assert verdict.child.details == {"appointmentStart": "2026-03-11T09:00:00+00:00"}


def test_what_a_crew_did_not_do_does_not_count() -> None:
    view = a_view(K.RECONNECT, device=METER, status=S.DISCONN_COMM, connected=False)
    report = CompletionReport(
        at=NOON, cause=EventId("e1"), not_done=frozenset({FieldEffect.TURN_ON})
    )
    after = apply_field_work(view, FIELD_TASKS["D1-ReconnectForPayment"].successful, report)
    assert after.service_point.connected
    assert after.status is S.DISCONN_COMM
    view = replace(after, children=(a_child("D1-FieldActivity", 1, task="D1-X"),))
    assert wanted(evaluate(an_order(K.RECONNECT), view).verdict) == ON


def test_a_new_meter_is_taken_as_the_report_says() -> None:
    view = a_view(K.ENABLE)
    report = CompletionReport(
        at=NOON + timedelta(hours=1),
        cause=EventId("e1"),
        new_device=a_smart_meter("M-7"),
        new_capabilities=SMART_COMMANDS,
        install_status=S.CONN_PRECOMM,
    )
    after = apply_field_work(view, FIELD_TASKS["D1-InstallMeter"].successful, report)
    assert after.on
    assert after.supports(CommandKind.REMOTE_CONNECT)
    assert wanted(evaluate(an_order(K.ENABLE), after).verdict) == "D1-DeviceCommission"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "gave NoneType, which is no verdict"),
        (Wait(child=ChildId("SO-1.9")), "waits for SO-1.9, which is no child"),
        (Create(child=None), "wants NoneType"),  # type: ignore[arg-type]
        (Create(child=ChildSpec(business_object="CM-X", kind=ChildKind.FIELD)), "CM-X is no field"),
        (
            Create(child=ChildSpec(business_object="D1-FieldActivity", kind=ChildKind.FIELD)),
            "unknown field task ''",
        ),
        (
            Create(
                child=ChildSpec(
                    business_object="D1-RemoteConnect",
                    kind=ChildKind.COMMAND,
                    command=CommandKind.REMOTE_DISCONNECT,
                    device=METER.id,
                )
            ),
            "D1-RemoteConnect is no command of that kind",
        ),
        (
            Create(
                child=ChildSpec(
                    business_object="D1-RemoteConnect",
                    kind=ChildKind.COMMAND,
                    command=CommandKind.REMOTE_CONNECT,
                )
            ),
            "D1-RemoteConnect without a device",
        ),
    ],
)
def test_what_a_sites_function_gives_is_checked(given: Verdict, why: str) -> None:
    own = CustomFunction(function="site:f")
    cell = Algorithm(type=AlgorithmType.CUSTOM, name="Ours", parameters=own)
    customs = Customs(algorithms={"site:f": lambda _order, _view: given})
    view = a_view(K.ENABLE, device=METER, status=S.CONN_COMM)
    verdict = evaluate(
        an_order(K.ENABLE), view, matrix={K.ENABLE: (cell,)}, customs=customs
    ).verdict
    assert problem(verdict) == "algorithm_failed"
    assert isinstance(verdict, Error)
    assert why in verdict.problem.text

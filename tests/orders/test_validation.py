"""What is checked before an order may look at the world, and once more on its release."""

from datetime import date, timedelta
from typing import Any

import pytest

from adapter.model.device import Category, InstallStatus
from adapter.model.ids import CommandId, OrderId
from adapter.model.values import replace
from adapter.orders.algorithms.mnemonics import MNEMONICS, STATUS_SPELLINGS
from adapter.orders.evaluate import look_at_world
from adapter.orders.events import ChildWanted, OrderValidated, Rejected
from adapter.orders.matrix import MATRIX
from adapter.orders.order import Moratorium, OpenOrder, OrderKind, OrderState, View
from adapter.orders.tables import (
    matrix_lines,
    mnemonic_table,
    parameter_table,
    row_lines,
    row_table,
    task_table,
    transition_table,
    withdrawal_table,
)
from adapter.orders.tasks import FIELD_TASKS
from adapter.orders.validation import check_rules, overtaken_order, validate
from tests.orders.builders import NOON, a_smart_meter, a_type, a_view, an_order

K = OrderKind
TODAY = NOON.date()


def view(kind: OrderKind, **changes: object) -> View:
    values = {"device": a_smart_meter(), "status": InstallStatus.CONN_COMM, **changes}
    return a_view(kind, **values)  # type: ignore[arg-type]


def codes(kind: OrderKind, seen: View | None, **order: object) -> list[str]:
    return [each.code for each in validate(an_order(kind, **order), seen)]


@pytest.mark.parametrize("kind", OrderKind)
def test_an_ordinary_order_is_valid(kind: OrderKind) -> None:
    assert check_rules(an_order(kind), view(kind)) == OrderValidated()


def test_an_unknown_service_point_is_named() -> None:
    assert codes(K.CUT, None) == ["service_point"]


def test_an_activity_type_of_another_kind_is_refused() -> None:
    wrong = replace(view(K.CUT), activity_type=a_type(K.ENABLE))
    assert codes(K.CUT, wrong) == ["activity_type"]


@pytest.mark.parametrize("restriction", ["life_support", "protected"])
@pytest.mark.parametrize("kind", OrderKind)
def test_restrictions_bar_what_takes_supply_away(kind: OrderKind, restriction: str) -> None:
    expected = ["restricted"] if kind in (K.CUT, K.DISABLE) else []
    assert codes(kind, view(kind, point={restriction: True})) == expected


def test_a_cut_needs_evidence_where_the_site_says_so() -> None:
    strict = view(K.CUT, activity_type={"require_evidence": True})
    assert codes(K.CUT, strict) == ["evidence"]
    assert codes(K.CUT, strict, fields={"noticeReference": "N-1, N-2"}) == []


def test_a_moratorium_counts_in_the_service_points_own_calendar() -> None:
    winter = Moratorium(first=date(2026, 3, 11), last=date(2026, 3, 12), reason="frost")
    kinds: dict[str, object] = {"moratoria": (winter,)}
    assert codes(K.CUT, view(K.CUT, activity_type=kinds)) == []
    tokyo: dict[str, object] = {"time_zone": "Asia/Tokyo"}
    late = replace(view(K.CUT, activity_type=kinds, point=tokyo), now=NOON + timedelta(hours=4))
    assert codes(K.CUT, late) == ["moratorium"]
    assert codes(K.RECONNECT, replace(late, activity_type=a_type(K.RECONNECT))) == []


def test_an_unknown_time_zone_is_found_before_it_hurts() -> None:
    assert codes(K.CUT, view(K.CUT, point={"time_zone": "Mars/Olympus"})) == ["time_zone"]


@pytest.mark.parametrize(
    "changes",
    [{"device": None, "status": None}, {"status": InstallStatus.REMOVED},
     {"device": None, "status": None, "category": Category.MULTI_ITEM}],
)  # fmt: skip
def test_an_exchange_needs_a_device(changes: dict[str, object]) -> None:
    assert codes(K.EXCHANGE, view(K.EXCHANGE, **changes)) == ["no_device"]


def other(kind: OrderKind, state: OrderState, name: str) -> OpenOrder:
    return OpenOrder(id=OrderId(name), kind=kind, state=state)


OLDER, YOUNGER = "SO-0", "SO-2"
S = OrderState
OTHERS = [
    (K.ENABLE, other(K.DISABLE, S.IN_PROGRESS, OLDER), True),
    (K.ENABLE, other(K.DISABLE, S.VALIDATION_ERROR, OLDER), True),
    (K.ENABLE, other(K.DISABLE, S.WAITING, YOUNGER), True),
    (K.ENABLE, other(K.DISABLE, S.PENDING, YOUNGER), False),
    (K.ENABLE, other(K.DISABLE, S.VALIDATION_ERROR, YOUNGER), False),
    (K.CUT, other(K.RECONNECT, S.WAITING, OLDER), True),
    (K.RECONNECT, other(K.CUT, S.WAITING, OLDER), False),
    (K.RECONNECT, other(K.CUT, S.PENDING, OLDER), False),
    (K.RECONNECT, other(K.CUT, S.IN_PROGRESS, OLDER), True),
    (K.RECONNECT, other(K.CUT, S.ACTIVITY_ERROR, OLDER), True),
    (K.RECONNECT, other(K.DISABLE, S.WAITING, OLDER), True),
]


@pytest.mark.parametrize(("kind", "open_order", "blocks"), OTHERS)
def test_one_order_at_a_time_and_payment_voids_a_queued_cut(
    kind: OrderKind, open_order: OpenOrder, blocks: bool
) -> None:
    event = check_rules(an_order(kind), view(kind, open_orders=(open_order,)))
    if blocks:
        assert isinstance(event, Rejected)
        assert [(p.code, p.order) for p in event.problems] == [("order_open", open_order.id)]
        assert open_order.id in event.problems[0].text
    else:
        superseded = (open_order.id,) if open_order.kind is K.CUT else ()
        assert event == OrderValidated(superseded=superseded)


CUT_UNDER_WAY = other(K.CUT, S.IN_PROGRESS, OLDER)
OVERTAKEN = [
    (K.RECONNECT, CUT_UNDER_WAY, {}, OLDER),
    (K.RECONNECT, other(K.CUT, S.ACTIVITY_ERROR, OLDER), {}, OLDER),
    (K.RECONNECT, CUT_UNDER_WAY, {"disconnect_open": CommandId("c-1")}, OLDER),
    (K.RECONNECT, CUT_UNDER_WAY, {"point": {"time_zone": "Mars/Olympus"}}, None),
    (K.RECONNECT, other(K.DISABLE, S.IN_PROGRESS, OLDER), {}, None),
    (K.RECONNECT, other(K.CUT, S.WAITING, OLDER), {}, None),
    (K.ENABLE, CUT_UNDER_WAY, {}, None),
]


@pytest.mark.parametrize(("kind", "open_order", "changes", "overtaken"), OVERTAKEN)
def test_only_what_nothing_else_holds_up_has_the_opposite_order_called_back(
    kind: OrderKind, open_order: OpenOrder, changes: dict[str, Any], overtaken: str | None
) -> None:
    seen = view(kind, open_orders=(open_order,), **changes)
    assert overtaken_order(an_order(kind), seen) == overtaken


def test_an_order_does_not_block_itself() -> None:
    itself = other(K.ENABLE, S.VALIDATE, "SO-1")
    assert codes(K.ENABLE, view(K.ENABLE, open_orders=(itself,))) == []


def test_on_release_the_rules_are_checked_again_but_not_between_children() -> None:
    restricted = view(K.CUT, point={"life_support": True})
    assert isinstance(look_at_world(an_order(K.CUT), restricted), Rejected)
    assert isinstance(look_at_world(an_order(K.CUT), view(K.CUT)), ChildWanted)
    blocked = view(K.CUT, open_orders=(other(K.ENABLE, S.WAITING, OLDER),))
    assert isinstance(look_at_world(an_order(K.CUT, children=1), blocked), ChildWanted)


def test_the_printed_matrix_marks_the_one_uncertain_cell() -> None:
    heading, *lines = matrix_lines()
    assert len(lines) == 8
    assert [cell for line in lines for cell in line if "?" in cell] == ["6 ?"]
    place = heading.index("Meter Exchange")
    assert [line[place] for line in lines] == ["", "1", "", "2", "3, 4", "", "5", "6 ?"]


def test_rows_and_arrows_are_printed_as_they_are_used() -> None:
    lines = [line for cell in MATRIX[K.ENABLE] for line in row_lines(cell)]
    assert lines[0].startswith("parameter row 1: servicePointConnected=false disconnectLocation=")
    assert ("Retry", "EvaluationDue", "Are SP and Device Ready?") in transition_table()


def test_everything_that_a_site_may_configure_is_printed() -> None:
    parameters = {(row[1], row[2], row[3]) for row in parameter_table()}
    assert ("normal_start", "Start Range for Normal Measurement Condition", "500000") in parameters
    assert ("error_if_missing", "Error if SP Not Connected or no Device Installed", "Yes") in (
        parameters
    )
    said = {row[0]: row[2] for row in mnemonic_table()}
    assert said["disconnectLocation"] == "D1SR, D1DV"
    assert set(said) >= set().union(*MNEMONICS.values()) - {STATUS_SPELLINGS[1]}
    cut = [row[3:] for row in row_table() if row[0] == "cut"]
    assert (
        "parameter row 4",
        "installationEventStatusOverride=ManualOn"
        " specificFieldTask=D1-CutForNonPayment spTypeCategory=D1MT",
    ) in cut
    assert {row[0] for row in task_table()[1:]} == set(FIELD_TASKS)
    assert ("field", "started", "too late", "too late") in withdrawal_table()

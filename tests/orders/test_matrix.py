"""The matrix against what the source certainly says."""

import pytest

from adapter.model.values import replace
from adapter.orders.algorithms.cremtrexc import CreateMeterExchange
from adapter.orders.algorithms.crspact import CreateSpecificActivity
from adapter.orders.algorithms.dcrmmtr import DecommissionRemoved
from adapter.orders.algorithms.rows import AlgorithmType
from adapter.orders.algorithms.table import ALGORITHMS
from adapter.orders.algorithms.upddvc import UpdateDevice
from adapter.orders.algorithms.verdict import NO_CUSTOMS
from adapter.orders.matrix import MATRIX, ROW_COUNTS, default_matrix, marks
from adapter.orders.order import OrderKind
from tests.orders.builders import a_view, an_order

T, K = AlgorithmType, OrderKind
CERTAIN = [
    (T.CONPRECON, {K.EXCHANGE}),
    (T.CREMTREXC, {K.EXCHANGE}),
    (T.DCRMMTR, {K.EXCHANGE}),
    (T.REMONOFF, {K.BACK_TO_BACK}),
    (T.UPDDVC, set(K)),
]
NEARLY_CERTAIN = [(T.DVCOMCHK, K.ENABLE), (T.CRSPACT, K.ENABLE), (T.CHKMSMT, K.ENABLE)]


def test_each_type_stands_on_as_many_kinds_as_the_source_marks() -> None:
    counts = [len(kinds) for kinds in marks().values()]
    assert counts == [2, 1, 1, 1, 6, 1, 1, 4]
    assert {type_: len(kinds) for type_, kinds in marks().items()} == dict(ROW_COUNTS)


@pytest.mark.parametrize(("type_", "kinds"), CERTAIN)
def test_the_certain_cells_are_as_the_source_has_them(
    type_: AlgorithmType, kinds: set[OrderKind]
) -> None:
    assert set(marks()[type_]) == kinds


@pytest.mark.parametrize(("type_", "kind"), NEARLY_CERTAIN)
def test_the_enable_cells_that_the_sources_text_implies_are_marked(
    type_: AlgorithmType, kind: OrderKind
) -> None:
    assert kind in marks()[type_]


@pytest.mark.parametrize("kind", [K.EXCHANGE, K.CUT, K.RECONNECT])
def test_the_uncertain_cell_is_moved_by_one_word(kind: OrderKind) -> None:
    found = marks(default_matrix(kind))[T.CHKMSMT]
    assert set(found) == {K.ENABLE, K.DISABLE, K.BACK_TO_BACK, kind}


def test_without_the_uncertain_cell_three_checks_remain() -> None:
    assert len(marks(default_matrix(None))[T.CHKMSMT]) == 3


def test_the_sources_own_examples_are_rows() -> None:
    create = next(a.parameters for a in MATRIX[K.ENABLE] if a.type is T.CRSPACT)
    assert isinstance(create, CreateSpecificActivity)
    assert create.rows[0].text == (
        "servicePointConnected=false disconnectLocation=D1SR deviceInstalledAtSP=false "
        "specificFieldTask=D1-ConnSPAtSrceAndInstMtr spTypeCategory=D1MT"
    )
    update = next(a.parameters for a in MATRIX[K.ENABLE] if a.type is T.UPDDVC)
    assert isinstance(update, UpdateDevice)
    assert (
        "installationEventStatusOverride=ManualOff specificFieldTask=D1-TurnOnMeter "
        "spTypeCategory=D1MT"
    ) in {row.text for row in update.rows}
    exchange, decommission = (
        next(a.parameters for a in MATRIX[K.EXCHANGE] if a.type is t)
        for t in (T.CREMTREXC, T.DCRMMTR)
    )
    assert isinstance(exchange, CreateMeterExchange)
    assert (exchange.activity_bo, exchange.task) == ("D1-FieldActivity", "D1-ExchangeMeter")
    assert isinstance(decommission, DecommissionRemoved)
    assert decommission.activity_bo == "D1-DeviceDecommission"


def test_only_the_connecting_update_of_an_exchange_heeds_the_flag() -> None:
    updates = [a.parameters for a in MATRIX[K.EXCHANGE] if a.type is T.UPDDVC]
    flags = [(u.element, u.stop_value) for u in updates if isinstance(u, UpdateDevice)]
    assert flags == [("", ""), ("connectNewDevice", "D1NC")]


def test_the_algorithms_run_in_the_order_of_the_sources_table() -> None:
    order = list(ROW_COUNTS)
    # The table has D1-CRSPACT before D1-CREMTREXC and D1-DCRMMTR after D1-REMONOFF.
    for kind, cells in MATRIX.items():
        places = [order.index(cell.type) for cell in cells]
        assert places == sorted(places), kind


def test_every_algorithm_type_has_a_row_and_is_in_the_file_named_by_its_code() -> None:
    assert tuple(ALGORITHMS) == tuple(AlgorithmType)
    for code, row in ALGORITHMS.items():
        file = row.parameters.__module__.rpartition(".")[2]
        assert code.removeprefix("D1-").lower() in file.split("_")


def test_an_algorithm_with_the_parameters_of_another_type_is_refused() -> None:
    wrong = replace(MATRIX[K.CUT][0], type=T.REMONOFF)
    with pytest.raises(TypeError, match="UpdateDevice are no parameters of D1-REMONOFF"):
        wrong.decide(an_order(K.CUT), a_view(K.CUT), NO_CUSTOMS)

"""A site's orders file: its own rows, functions, calendar and tasks, or a clear refusal."""

from pathlib import Path

import pytest

from adapter.commands.flows import CommandKind
from adapter.errors import SettingsError
from adapter.model.device import InstallStatus
from adapter.orders.order import OrderKind, OrderState, Problem, ServiceOrder, View
from adapter.orders.verdict import Error, Pass, Verdict
from adapter.orders_file import load_rules
from tests.orders_flows.rig import Place, rig, state_is, titles
from tests.support import run

GOOD = """
[orders.activity_type.cut]
require_evidence = true

[measurement_cycle.MONTHLY]
reads = [2026-04-01T06:00:00Z, 2026-03-01T06:00:00+01:00]

[service_point_type.RESIDENTIAL]
field_tasks = ["D1-TurnOnMeter", "d1-readmeter"]
"""


def only_on_weekdays(order: ServiceOrder, view: View) -> Verdict:
    """A site's own algorithm."""
    if order.fields.get("weekend") == "yes":
        return Error(problem=Problem(code="weekend", text="nobody works", action="wait"))
    return Pass(note="a weekday")


def test_without_a_file_everything_is_as_it_comes() -> None:
    rules = load_rules(None, frozenset(CommandKind))
    assert set(rules.configuration.matrix) == set(OrderKind)
    assert CommandKind.REMOTE_CONNECT.value in rules.head_end_commands


def test_cycles_and_tasks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "orders.toml"
    path.write_text(GOOD, encoding="utf-8")
    rules = load_rules(path, frozenset(CommandKind))
    reads = rules.schedules["MONTHLY"].reads
    assert [at.isoformat() for at in reads] == [
        "2026-03-01T05:00:00+00:00",
        "2026-04-01T06:00:00+00:00",
    ]
    assert rules.valid_tasks["RESIDENTIAL"] == {"D1-TurnOnMeter", "D1-ReadMeter"}
    cut = rules.activity_type("cut")
    assert cut is not None
    assert cut.require_evidence


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[order]\n", "unknown table order"),
        ("[orders]\nmatrx = 1\n", "matrx"),
        ("[measurement_cycle.M]\nreads = [1]\n", "measurement_cycle.M"),
        ("[measurement_cycle.M]\nread = []\n", "measurement_cycle.M"),
        ("[service_point_type.R]\nfield_tasks = ['D1-Dance']\n", "D1-Dance"),
        ("[orders.activity_type.cut]\noverride_algorithm = 'nowhere:f'\n", "nowhere"),
        ("[orders.activity_type.cut]\noverride_algorithm = 'os.path:sep'\n", "no function"),
        ("[orders\n", "orders.file"),
    ],
)
def test_a_mistake_in_the_file_stops_the_start_and_is_named(
    text: str, named: str, tmp_path: Path
) -> None:
    path = tmp_path / "orders.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=named):
        load_rules(path, frozenset(CommandKind))
    with pytest.raises(SettingsError, match="No such file"):
        load_rules(tmp_path / "missing.toml", frozenset(CommandKind))


def test_a_sites_own_function_decides(tmp_path: Path) -> None:
    cells = [{"type": "custom", "function": f"{__name__}:only_on_weekdays"}]

    async def scenario() -> None:
        rules = {"orders": {"orchestration": {"reconnect": cells}}}
        async with rig(tmp_path, rules=rules) as made:
            place = await made.put(Place(number=0, status=InstallStatus.DISCONN_COMM))
            order = await made.submit(OrderKind.RECONNECT, place, fields={"weekend": "yes"})
            shown = await made.until(order.id, state_is(OrderState.ACTIVITY_ERROR))
            assert shown.order.problem is not None
            assert shown.order.problem.code == "weekend"
            await made.orders.correct(order.id, by="anna", fields={"weekend": "no"})
            await made.orders.retry(order.id, by="anna")
            done = await made.until(order.id, state_is(OrderState.COMPLETED))
            assert titles(done) == ""

    run(scenario())

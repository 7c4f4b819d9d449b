"""A site's orders file: its own rows, functions, calendar and tasks, or a clear refusal."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from adapter.commands.flows import CommandKind
from adapter.errors import InvalidRequest, SettingsError
from adapter.model.device import InstallStatus
from adapter.model.ids import EventId
from adapter.model.values import replace
from adapter.orders.algorithms.verdict import Error, Pass, Verdict
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import MessageKind, WorkCanceled
from adapter.orders.order import ChildState, OrderKind, OrderProblem, OrderState, ServiceOrder, View
from adapter.orders.tasks import FIELD_TASKS, Appointment, FieldEffect, Overlap
from adapter.service.orders_file import load_rules
from tests.engine.orders.crew import a_manual_meter, values
from tests.engine.orders.site_with_orders import Place, rig, state_is, titles

GOOD = """
[orders.activity_type.cut]
require_evidence = true

[measurement_cycle.MONTHLY]
reads = [2026-04-01T06:00:00Z, 2026-03-01T06:00:00+01:00]

[service_point_type.RESIDENTIAL]
field_tasks = ["D1-TurnOnMeter", "d1-readmeter"]

[field_task.d1-turnoffmeter]
appointment = "Required"
when_canceled = ["measure"]
duplicates = { hours = 48, tasks = ["D1-CutForNonPayment"] }
conflicts = { allowed = true }
"""


def only_on_weekdays(order: ServiceOrder, view: View) -> Verdict:
    """A site's own algorithm."""
    if order.fields.get("weekend") == "yes":
        return Error(problem=OrderProblem(code="weekend", text="nobody works", action="wait"))
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
    (changed,) = rules.tasks.values()
    assert (changed.name, changed.appointment) == ("D1-TurnOffMeter", Appointment.REQUIRED)
    assert changed.canceled == (FieldEffect.MEASURE,)
    assert changed.duplicates == Overlap(hours=48, tasks=frozenset({"D1-CutForNonPayment"}))
    assert changed.conflicts == replace(FIELD_TASKS["D1-TurnOffMeter"].conflicts, allowed=True)
    cut = rules.activity_type("cut")
    assert cut is not None
    assert cut.require_evidence


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[order]\n", "unknown table order; did you mean orders?"),
        ("[field_task.D1-InstalMeter]\n", "D1-InstalMeter: is not a known.* mean D1-InstallMeter"),
        ("[field_task.D1-ReadMeter]\ncolour = 1\n", "field_task.D1-ReadMeter, colour: unknown"),
        ("[field_task.D1-ReadMeter]\nappointment = 'Maybe'\n", "appointment: Maybe is not one"),
        ("[field_task.D1-ReadMeter]\nwhen_canceled = ['dance']\n", "when_canceled: dance is"),
        ("[field_task.D1-ReadMeter]\nduplicates = {tasks = ['D1-No']}\n", "tasks: D1-No is not"),
        ("[field_task.D1-ReadMeter]\nconflicts = {hours = -1}\n", "conflicts, hours: must be"),
        ("[orders]\nmatrx = 1\n", "matrx"),
        ("[measurement_cycle.M]\nreads = [1]\n", "measurement_cycle.M"),
        ("[measurement_cycle.M]\nread = []\n", "measurement_cycle.M"),
        ("[service_point_type.R]\nfield_tasks = ['D1-Dance']\n", "D1-Dance"),
        ("[orders.activity_type.cut]\noverride_algorithm = 'nowhere:f'\n", "nowhere"),
        ("[orders.activity_type.cut]\noverride_algorithm = 'os.path:sep'\n", "no function"),
        ("[orders.element.account]\n", "account is known already and has no lookup"),
        ("[orders.element.'a b']\n", "cannot be the name of an element"),
        ("[orders.element.x]\nvalue = ['Y']\n", "orders.element.x, value: unknown setting"),
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


async def test_a_sites_own_function_decides(tmp_path: Path) -> None:
    cells = [{"type": "custom", "function": f"{__name__}:only_on_weekdays"}]
    own = {"weekend": {"values": ["yes", "no"]}}
    rules = {"orders": {"orchestration": {"reconnect": cells}, "element": own}}
    async with rig(tmp_path, rules=rules) as made:
        place = await made.put(Place(number=0, status=InstallStatus.DISCONN_COMM))
        order = await made.submit(OrderKind.RECONNECT, place, fields={"weekend": "yes"})
        shown = await made.until(order.id, state_is(OrderState.ACTIVITY_ERROR))
        assert shown.order.problem is not None
        assert shown.order.problem.code == "weekend"
        await made.operator.correct(order.id, by="anna", fields={"weekend": "no"})
        await made.operator.retry(order.id, by="anna")
        done = await made.until(order.id, state_is(OrderState.COMPLETED))
        assert titles(done) == ""


async def test_a_site_says_which_visits_need_an_appointment_and_what_a_cancelled_one_leaves(
    tmp_path: Path,
) -> None:
    rules = {"field_task": {"D1-TurnOffMeter": {"appointment": "Required",
                                                "when_canceled": ["measure"]}}}  # fmt: skip
    async with rig(tmp_path, rules=rules) as made:
        made.crew.idle = lambda message: message.kind is MessageKind.DISPATCH
        place = await made.put(
            Place(number=0, kind="manual", spare="manual", status=InstallStatus.MANUAL_ON)
        )
        order = await made.submit(OrderKind.DISABLE, place)
        await made.until(order.id, lambda shown: len(made.crew.heard) == 2)
        assert [each.kind for each in made.crew.heard] == [
            MessageKind.SLOTS,
            MessageKind.DISPATCH,
        ]
        at = datetime.now(UTC)
        cause = EventId("no-access")
        seen = values(a_manual_meter(place.device), at, cause)
        report = CompletionReport(at=at, cause=cause, measurements=seen)
        canceled = WorkCanceled(reason="no access", report=report)
        await made.crew.report(made.crew.heard[1], canceled)
        shown = await made.ended(order.id)
        assert shown.children[0].fact.state is ChildState.CANCELED
        assert await made.status(place.device) is InstallStatus.MANUAL_ON
        made.crew.idle = lambda message: False
        await made.operator.retry(order.id, by="anna")
        done = await made.until(order.id, state_is(OrderState.COMPLETED))
        assert titles(done) == "TurnOffMeter > TurnOffMeter", "its reading is known"


async def test_an_order_takes_only_elements_that_exist_whoever_gives_them(tmp_path: Path) -> None:
    async with rig(tmp_path) as made:
        place = await made.put(Place(number=0, status=InstallStatus.DISCONN_COMM))
        wrong = {"conectNewDevice": "D1NC"}
        with pytest.raises(InvalidRequest, match="did you mean connectNewDevice"):
            await made.submit(OrderKind.EXCHANGE, place, fields=wrong)
        later = datetime.now(UTC) + timedelta(days=1)
        order = await made.submit(OrderKind.EXCHANGE, place, effective_at=later)
        await made.until(order.id, state_is(OrderState.WAITING))
        with pytest.raises(InvalidRequest, match="is not one of D1NC, D1CN"):
            await made.orders.update(order.id, {"connectNewDevice": "no"}, by="cis")
        with pytest.raises(InvalidRequest, match="filled by the gateway"):
            await made.operator.correct(order.id, by="ann", fields={"readAt": "now"})
        assert not (await made.orders.get(order.id)).fields


async def test_a_visit_of_a_sites_own_task_changes_what_the_site_says(tmp_path: Path) -> None:
    rules = {
        "field_task": {"CM-CutAtThePole": {"group": "cut", "when_successful": ["open_source"]}},
        "orders": {
            "business_object": {
                "CM-PoleVisit": {"like": "D1-FieldActivity", "field_task": "CM-CutAtThePole"}
            },
            "orchestration": {
                "cut": [{"type": "D1-UPDDVC", "service_point_rows": [
                    "servicePointConnected=true activityBOToCreate=CM-PoleVisit"
                ], "error_if_missing": "Nothing"}]
            },
        },
    }  # fmt: skip
    async with rig(tmp_path, rules=rules) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(OrderKind.CUT, place)
        shown = await made.until(order.id, state_is(OrderState.COMPLETED))
        assert titles(shown) == "CutAtThePole"
        paid = await made.orders.payment(place.point, by="billing")
        assert paid.reconnection is not None
        back = await made.until(paid.reconnection.id, state_is(OrderState.COMPLETED))
        assert titles(back) == "ReconnectForPayment"


async def test_a_change_over_leaves_the_status_that_the_site_names(tmp_path: Path) -> None:
    rules = {
        "orders": {
            "install_status": {
                "CM-OffForChange": {"means": "Disconn-Comm"},
                "CM-OnAgain": {"means": "Conn-Comm"},
            },
            "orchestration": {
                "back_to_back": [{"type": "D1-REMONOFF", "status_after_connect": "CM-OnAgain",
                                  "status_after_disconnect": "CM-OffForChange"}]
            },
        }
    }  # fmt: skip
    async with rig(tmp_path, rules=rules) as made:
        place = await made.put(Place(number=0))
        order = await made.submit(OrderKind.BACK_TO_BACK, place)
        shown = await made.until(order.id, state_is(OrderState.COMPLETED))
        assert titles(shown) == "RemoteDisconnect > RemoteConnect"
        event = (await made.made.app.gateway.registry.device(place.device)).installed
        assert event is not None
        assert (event.status, event.site_status) == (InstallStatus.CONN_COMM, "CM-OnAgain")
        cut = await made.submit(OrderKind.CUT, place)
        await made.until(cut.id, state_is(OrderState.COMPLETED))
        event = (await made.made.app.gateway.registry.device(place.device)).installed
        assert event is not None
        assert (event.status, event.site_status) == (InstallStatus.DISCONN_COMM, "")

"""A site's TOML: what is read, and that every mistake names its place."""

import re
import tomllib
from datetime import date
from typing import Any

import pytest

from adapter.engine.orders.ports import OrderRules
from adapter.errors import InvalidRequest, SettingsError
from adapter.model.device import InstallStatus
from adapter.model.values import replace
from adapter.orders.algorithms.chkmsmt import CheckMeasurement
from adapter.orders.algorithms.rows import AlgorithmType
from adapter.orders.algorithms.upddvc import MissingService, UpdateDevice
from adapter.orders.algorithms.verdict import (
    NO_CUSTOMS,
    Create,
    Pass,
)
from adapter.orders.configuration import FunctionRole, OrdersConfiguration, parse_configuration
from adapter.orders.elements import ELEMENTS, check_elements
from adapter.orders.evaluate import evaluate
from adapter.orders.matrix import MATRIX, marks
from adapter.orders.order import (
    Components,
    OrderKind,
    TimeoutPolicy,
    View,
)
from adapter.orders.plan import OrderPlan, make_plan
from adapter.orders.switching import disconnects, reconnects
from adapter.orders.tasks import Appointment
from adapter.service.orders_file import rules_of
from tests.orders.builders import a_smart_meter, a_view, an_order

SITE = """
fourth_measurement_check = "none"

[[orchestration.cut]]
type = "D1-UPDDVC"
name = "Cut, gently"
error_if_missing = "Con"
field_activity_bo = "D1-FieldActivity"
rows = [
  "installEventStatusOverride=Conn-Comm activityBOToCreate=D1-RemoteDisconnect",
  "installEventStatusOverride=ManualOn specificFieldTask=D1-CutForNonPayment spTypeCategory=D1MT",
]

[[orchestration.cut]]
type = "D1-CHKMSMT"
normal_start = 501000
normal_end = 501008
bottom = 400000

[[orchestration.cut]]
type = "custom"
function = "site.rules:after_cut"

[activity_type.cut]
require_evidence = true
moratoria = [{ first = 2026-12-20, last = "2027-01-05", reason = "winter" }]

[activity_type.enable-farm]
kind = "enable"
compatibility_algorithm = "site.rules:fits"
override_algorithm = "site.rules:override"
within_the_day = true
components = "first"
on_wait_time_out = "error"
field_task_by_service_point_condition = [
  "spType=Farm servicePointConnected=false specificFieldTask=D1-ServiceInvestigation",
]
"""


def site(text: str) -> OrdersConfiguration:
    return parse_configuration(tomllib.loads(text))


def test_an_empty_table_leaves_everything_as_it_is() -> None:
    found = parse_configuration({})
    assert found.matrix == MATRIX
    assert set(found.activity_types) == {kind.value for kind in OrderKind}
    assert found.functions == frozenset()


def test_a_site_replaces_an_orchestration_as_a_whole() -> None:
    found = site(SITE)
    update, check, custom = found.matrix[OrderKind.CUT]
    assert isinstance(update.parameters, UpdateDevice)
    assert update.parameters.missing is MissingService.CONTINUE
    assert [row.number for row in update.parameters.rows] == [1, 2]
    assert isinstance(check.parameters, CheckMeasurement)
    assert (check.parameters.normal_end, check.parameters.bottom) == (501008, 400000)
    assert custom.type is AlgorithmType.CUSTOM
    assert found.matrix[OrderKind.ENABLE] == MATRIX[OrderKind.ENABLE]


def test_the_uncertain_cell_is_one_line() -> None:
    kinds = marks(site(SITE).matrix)[AlgorithmType.CHKMSMT]
    assert OrderKind.EXCHANGE not in kinds
    moved = site('fourth_measurement_check = "reconnect"')
    assert OrderKind.RECONNECT in marks(moved.matrix)[AlgorithmType.CHKMSMT]


def test_activity_types_are_typed_and_their_functions_listed_for_the_start() -> None:
    found = site(SITE)
    farm = found.activity_types["enable-farm"]
    assert (farm.kind, farm.within_the_day) == (OrderKind.ENABLE, True)
    assert (farm.components, farm.on_wait_time_out) == (Components.FIRST, TimeoutPolicy.ERROR)
    assert farm.point_rows[0].sp_type == "Farm"
    cut = found.activity_types["cut"]
    assert cut.require_evidence
    assert (cut.moratoria[0].first, cut.moratoria[0].last) == (
        date(2026, 12, 20),
        date(2027, 1, 5),
    )
    assert found.functions == {
        (FunctionRole.ALGORITHM, "site.rules:after_cut"),
        (FunctionRole.COMPATIBILITY, "site.rules:fits"),
        (FunctionRole.OVERRIDE, "site.rules:override"),
    }


def test_a_configured_row_decides() -> None:
    view = a_view(OrderKind.CUT, device=a_smart_meter(), status=InstallStatus.CONN_COMM)
    done = evaluate(an_order(OrderKind.CUT), view, matrix=site(SITE).matrix)
    assert isinstance(done.verdict, Create)
    assert done.verdict.child.business_object == "D1-RemoteDisconnect"
    assert done.last is not None
    assert done.last.algorithm == "Cut, gently"


CUT = '[[orchestration.cut]]\ntype = "{}"\n{}'
TYPE = "[activity_type.cut]\n{}"
WRONG = [
    ("colour = 1", "orders, colour: unknown setting"),
    ('fourth_measurement_check = "enable"', "enable is not exchange, cut"),
    ("[[orchestration.move]]", "move is not one of"),
    ("orchestration.cut = []", "must be a list of algorithms"),
    ("orchestration.cut = 3", "must be a list of algorithms"),
    (CUT.format("D1-NOPE", ""), "algorithm 1: unknown algorithm type 'D1-NOPE'"),
    (CUT.format("D1-CANSPACT", ""), "unknown algorithm type"),
    (CUT.format("D1-UPDDVC", "row = 1"), "D1-UPDDVC has no parameter 'row'"),
    (CUT.format("D1-UPDDVC", "name = 3"), "name: must be text"),
    (CUT.format("D1-UPDDVC", 'error_if_missing = "No"'), "No is neither Yes nor Con"),
    (CUT.format("D1-UPDDVC", 'element = "contact"'), "belong together"),
    (CUT.format("D1-UPDDVC", 'stop_value = "D1NC"'), "belong together"),
    (CUT.format("D1-UPDDVC", 'element = "conectNewDevice"'), "did you mean connectNewDevice?"),
    (CUT.format("D1-UPDDVC", 'element = "connectNewDevice"\nstop_value = "NO"'),
     "stop_value: NO is not one of D1NC, D1CN (connectNewDevice)"),
    *((CUT.format("D1-UPDDVC", f"element = '{xpath}'\nstop_value = 'D1NC'"), message)
      for xpath, message in (
        ("request/connectNewDevice", "selects no element of an activity"),
        ("/connectNewDevice", "selects no element of an activity"),
        ("/activity/*", "elements (account, activityType"),
        ("//connectNewDevice[1]", "is not of the XPath that is understood"),
        ("../connectNewDevice", "is not of the XPath that is understood"),
        ("connectNewDevice/@type", "is not of the XPath that is understood"),
        ("count(//contact)", "is not of the XPath that is understood"),
        ("//", "is not of the XPath that is understood"),
        ("connect NewDevice", "is not of the XPath that is understood"),
      )),
    (CUT.format("D1-UPDDVC", "rows = 7"), "rows: must be a list of texts"),
    (CUT.format("D1-UPDDVC", 'rows = ["a=b"]'), "row 1: unknown mnemonic 'a'"),
    (CUT.format("D1-CREMTREXC", 'activity = "specificFieldTask=D1-ExchangeMeter"'),
     "activityBOToCreate is missing"),
    (CUT.format("D1-CREMTREXC", 'activity = "activityBOToCreate=D1-RemoteConnect"'),
     "specificFieldTask is missing"),
    (CUT.format("D1-DCRMMTR", 'activity = "activityBOToCreate=D1-No"'), "not a known value"),
    (CUT.format("D1-DCRMMTR", "blocking = 1"), "blocking: must be true or false"),
    (CUT.format("D1-REMONOFF", 'connect_bo = "D1-FieldActivity"'), "is not D1-RemoteConnect"),
    (CUT.format("D1-REMONOFF", 'connect_bo = "D1-RemoteDisconnect"'), "is not D1-RemoteConnect"),
    (CUT.format("D1-REMONOFF", 'disconnect_bo = "D1-RemoteConnect"'), "is not D1-RemoteDisc"),
    (CUT.format("D1-REMONOFF", 'incompatibility_bo = "CM-Other"'), "is not D1-FieldActivity or"),
    (CUT.format("D1-DVCOMCHK", 'activity_bo = "D1-RemoteConnect"'), "is not D1-FieldActivity or"),
    (CUT.format("D1-DVCOMCHK", 'activity_bo = ""'), "is not D1-FieldActivity or"),
    (CUT.format("D1-UPDDVC", 'field_activity_bo = "D1-Field"'), "is not D1-FieldActivity or"),
    (CUT.format("D1-UPDDVC", 'eror_if_missing = "Con"'), "did you mean error_if_missing?"),
    (CUT.format("D1-UPDDVC", 'service_point_rows = ["executeOverrideAlgorithm=true"]'),
     "service point rows, row 1: executeOverrideAlgorithm is D1-CRSPACT's"),
    (CUT.format("D1-CREMTREXC",
     'activity = "activityBOToCreate=D1-RemoteConnect specificFieldTask=D1-ExchangeMeter"'),
     "is no field activity"),
    (CUT.format("D1-CREMTREXC",
     'activity = "activityBOToCreate=D1-FieldActivity specificFieldTask=D1-ReadMeter"'),
     "D1-ReadMeter is no task to remove and install"),
    (CUT.format("D1-CREMTREXC", 'item_field_task = "D1-InstallDevice"'), "is no task to remove"),
    (CUT.format("D1-DCRMMTR", 'activity = "activityBOToCreate=D1-RemoteDisconnect"'),
     "D1-RemoteDisconnect does not decommission"),
    (CUT.format("D1-CHKMSMT", 'on_demand_bo = "D1-RemoteDisconnect"'), "is not D1-OnDemandRead"),
    (CUT.format("D1-CHKMSMT", 'wait_bo = "CM-Wait"'), "wait_bo: CM-Wait is not CM-WaitForM"),
    (CUT.format("D1-CHKMSMT", 'scheduled_bo = "CM-WaitForMeasurement"'), "is not CM-WaitForSched"),
    (CUT.format("D1-CHKMSMT", 'field_bo = ""'), "field_bo:  is not D1-FieldActivity"),
    (CUT.format("D1-CHKMSMT", 'field_task = "D1-TrimTree"'), "D1-TrimTree is no task to measure"),
    (CUT.format("D1-REMONOFF", 'status_after_connect = "Up"'), "Up is not an installation status"),
    (CUT.format("D1-REMONOFF", 'status_after_disconnect = "Conn-Comm"'), "would hide the off"),
    (CUT.format("D1-REMONOFF", 'status_after_connect = "Disconn-Comm"'), "not name a connected"),
    *((CUT.format("D1-REMONOFF", f'status_after_disconnect = "{status}"'), "would stay off")
      for status in ("ManualOff", "Removed", "Disconn-Decomm", "Pending")),
    (CUT.format("D1-REMONOFF", 'status_after_connect = "ManualOn"'),
     "ManualOn is no status after a connect that further commands are allowed from"),
    (CUT.format("D1-CHKMSMT", "normal_start = 1000000"), "a whole number from 0 to 999999"),
    (CUT.format("D1-CHKMSMT", "bottom = 600000"), "must rise"),
    (CUT.format("D1-CHKMSMT", 'field_task = "D1-Dance"'), "not a known field task type"),
    (CUT.format("custom", 'function = "rules"'), "must be package.module:function"),
    (TYPE.format("colour = 1"), "orders.activity_type.cut, colour: unknown setting"),
    (TYPE.format('kind = "move"'), "move is not one of"),
    (TYPE.format("pass_bound = 0"), "pass_bound: must be a whole number from 1"),
    (TYPE.format("pass_bound = true"), "pass_bound: must be a whole number"),
    (TYPE.format("within_the_day = 1"), "within_the_day: must be true or false"),
    (TYPE.format('components = "most"'), "most is not one of all, first"),
    (TYPE.format('override_algorithm = "rules"'), "must be package.module:function"),
    (TYPE.format("moratoria = [{ first = 2026-02-01, last = 2026-01-01 }]"), "before first"),
    (TYPE.format("moratoria = [{ first = 2026-02-01 }]"), "moratorium 1, last: must be a date"),
    (CUT.format("D1-DVCOMCHK", 'activity_bo = "D1-FieldActivity"\n'
     '[[orchestration.cut]]\ntype = "D1-REMONOFF"'),
     "algorithm 2: D1-REMONOFF, incompatibility_bo: CM-IncompatibleDevice is not what D1-DVCOMCHK"),
    (CUT.format("D1-CREMTREXC", '[[orchestration.cut]]\ntype = "D1-CONPRECON"'),
     "D1-CONPRECON has to come before D1-CREMTREXC"),
    (CUT.format("D1-CRSPACT", 'rows = ["executeOverrideAlgorithm=true"]'),
     "row 1: executeOverrideAlgorithm=true needs an override_algorithm; no activity type"),
    (CUT.format("D1-CRSPACT", "") + "\n" + TYPE.format(
     'field_task_by_service_point_condition = ["executeOverrideAlgorithm=true"]'),
     "row 1: executeOverrideAlgorithm=true needs an override_algorithm; this activity type"),
    (TYPE.format('field_task_by_service_point_condition = ["specificFieldTask=D1-ReadMeter"]'),
     "row 1: can never be reached: cut orders run no D1-CRSPACT"),
    (CUT.format("custom", 'function = "a.b:c"') + "\n" + TYPE.format(
     'field_task_by_device_condition = ["specificFieldTask=D1-ReadMeter"]'),
     "row 1: can never be reached: cut orders run no D1-UPDDVC"),
    (TYPE.format('field_task_by_device_condition = ["installationEventStatusOverride=Pending '
     'specificFieldTask=D1-ReadMeter"]'),
     "row 1: can never be reached: no D1-UPDDVC of cut orders continues without a device"),
    *((CUT.format("D1-CRSPACT", f'rows = ["deviceInstalledAtSP={installed} '
       f'installationEventStatusOverride={status} activityBOToCreate=D1-DeviceCommission"]'),
       message)
      for installed, status, message in (
        ("true", "Pending", "can never be reached: no service point is like that"),
        ("true", "Removed", "can never be reached: no service point is like that"),
      )),
    (TYPE.format('field_task_by_device_condition = ["x=1"]'),
     "field_task_by_device_condition, row 1: unknown mnemonic 'x'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_every_mistake_names_its_place(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        site(text)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "xpath",
    [
        "keepOn", "request/keepOn", "./request/keepOn", "/activity/request/keepOn", "//keepOn",
        "/activity//keepOn", ".//keepOn", "*/keepOn", "//request/keepOn", "request/*",
        "/activity/request/keepOn/text()", "keepOn/text()/..",
    ],
)  # fmt: skip
def test_an_xpath_of_the_subset_finds_the_element_of_a_site(xpath: str) -> None:
    own = {"request/keepOn": {"values": ["Y", "N"]}}
    cell = {"type": "D1-UPDDVC", "element": xpath, "stop_value": "Y"}
    raw = {"orchestration": {"cut": [cell]}, "element": own}
    if xpath.endswith(".."):
        with pytest.raises(SettingsError, match="is not of the XPath"):
            parse_configuration(raw)
        return
    (algorithm,) = parse_configuration(raw).matrix[OrderKind.CUT]
    assert isinstance(algorithm.parameters, UpdateDevice)
    assert algorithm.parameters.element == "keepOn"


def test_a_known_lookup_can_be_extended() -> None:
    own = {"connectNewDevice": {"values": ["CM-Later"]}}
    found = parse_configuration({"element": own}).elements["connectNewDevice"]
    assert found.values == ("D1NC", "D1CN", "CM-Later")
    assert found.meaning.startswith("D1_CONNECT_NEW_DEVICE_FLG")


def test_an_element_that_every_activity_has_can_be_asked_for() -> None:
    cell = {"type": "D1-UPDDVC", "element": "//requester", "stop_value": "billing"}
    (algorithm,) = parse_configuration({"orchestration": {"cut": [cell]}}).matrix[OrderKind.CUT]
    order = an_order(OrderKind.CUT, requester="billing")
    verdict = algorithm.decide(order, a_view(OrderKind.CUT), NO_CUSTOMS)
    assert verdict == Pass(note="requester is billing")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"conectNewDevice": "D1NC"}, "did you mean connectNewDevice?"),
        ({"connectNewDevice": "d1nc"}, "d1nc is not one of D1NC, D1CN"),
        ({"connectNewDevice": "No"}, "No is not one of D1NC, D1CN"),
        ({"connectNewDevice": "D1NC "}, "connectNewDevice: has blanks around it"),
        ({"newDevice": " M1"}, "newDevice: has blanks around it"),
        ({"allowOverlap": "yes"}, "yes is not one of true, false"),
        ({"readId": "m-1"}, "readId is filled by the gateway"),
        ({"account": "7"}, "there is no element account"),
        ({"": "x"}, "there is no element "),
        ({"contact": "x" * 1001}, "contact: at most 1000 characters, not 1001"),
        ({"instructions": "ring\u202e twice"}, "instructions: character 5 is U+202E, which nobody"),
        ({"newDevice": "M1\x1b[31m"}, "newDevice: character 3 is U+001B"),
    ],
)
def test_what_is_no_element_of_an_order_or_not_of_its_lookup_is_refused(
    fields: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=re.escape(message)):
        check_elements(fields, ELEMENTS)
    check_elements({"connectNewDevice": "", "contact": "any text at all, ä, " * 50}, ELEMENTS)


OWN = """
[field_task.CM-FitSubmeter]
group = "enable"
when_successful = ["connect_point", "turn_on"]
appointment = "Required"

[field_task.CM-CutAtThePole]
like = "D1-CutForNonPayment"
when_successful = ["open_source"]
conflicts = { tasks = ["CM-FitSubmeter"] }

[orders.business_object.CM-Reconnect]
like = "D1-RemoteConnect"

[orders.business_object.CM-PoleVisit]
like = "D1-FieldActivity"
field_task = "CM-CutAtThePole"

[[orders.orchestration.cut]]
type = "D1-UPDDVC"
error_if_missing = "Con"
field_activity_bo = "CM-PoleVisit"
rows = ["installationEventStatusOverride=Conn-Comm activityBOToCreate=CM-PoleVisit"]

[[orders.orchestration.reconnect]]
type = "D1-UPDDVC"
error_if_missing = "Con"
field_activity_bo = "D1-FieldActivity"
service_point_rows = ["servicePointConnected=false specificFieldTask=CM-FitSubmeter"]
rows = ["installationEventStatusOverride=Disconn-Comm activityBOToCreate=CM-Reconnect"]

[[orders.orchestration.back_to_back]]
type = "D1-REMONOFF"
connect_bo = "CM-Reconnect"
"""


def own_rules(text: str = OWN) -> OrderRules:
    return rules_of(tomllib.loads(text))


def planned(kind: OrderKind, **world: Any) -> OrderPlan:
    configuration = own_rules().configuration
    view = a_view(kind, device=a_smart_meter(), **world)
    return make_plan(
        an_order(kind),
        replace(view, lookups=configuration.lookups),
        matrix=configuration.matrix,
    )


def test_field_tasks_and_objects_of_a_sites_own_are_used_where_it_names_them() -> None:
    cut = planned(OrderKind.CUT, status=InstallStatus.CONN_COMM)
    assert cut.titles == ("CutAtThePole",)
    assert cut.steps[0].child.business_object == "CM-PoleVisit"
    assert disconnects(cut.steps[0].child)
    assert not cut.view.service_point.connected
    back = planned(OrderKind.RECONNECT, status=InstallStatus.CONN_COMM, connected=False)
    assert back.titles == ("FitSubmeter",)
    assert reconnects(back.steps[0].child)
    assert back.view.service_point.connected
    remote = planned(OrderKind.RECONNECT, status=InstallStatus.DISCONN_COMM)
    assert [each.child.business_object for each in remote.steps] == ["CM-Reconnect"]
    assert remote.view.on
    change = planned(OrderKind.BACK_TO_BACK, status=InstallStatus.CONN_COMM)
    assert change.titles == ("RemoteDisconnect", "Reconnect")
    assert change.view.on


def test_a_task_of_a_sites_own_has_its_attributes_and_stands_in_its_lists() -> None:
    rules = own_rules(OWN + '\n[service_point_type.Farm]\nfield_tasks = ["cm-fitsubmeter"]\n')
    fit, cut = rules.tasks["CM-FitSubmeter"], rules.tasks["CM-CutAtThePole"]
    assert rules.valid_tasks == {"Farm": frozenset({"CM-FitSubmeter"})}
    assert fit.appointment is Appointment.REQUIRED
    assert "D1-CutForNonPayment" in fit.conflicts.tasks
    assert cut.conflicts.tasks == {"CM-FitSubmeter"}
    assert cut.duplicates.tasks == {"CM-CutAtThePole"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[field_task.D1-InstalMeter]\nappointment = 'Required'", "did you mean D1-InstallMeter"),
        ("[field_task.CM-X]\nlike = 'D1-InstalMeter'", "did you mean D1-InstallMeter"),
        ("[field_task.CM-X]\ngroup = 'party'", "group: party is not one of enable"),
        ("[field_task.CM-X]\ngroup = 'cut'\nwhen_successful = ['burn']", "burn is not one of"),
        ("[field_task.'CM X']\ngroup = 'cut'", "cannot be the name of a field task type"),
        ("[field_task.D1-InstallMeter]\nwhen_successful = ['measure']", "unknown setting"),
        ("[orders.business_object.D1-RemoteConnect]\nlike = 'D1-RemoteConnect'", "known already"),
        ("[orders.business_object.CM-X]\nlike = 'D1-RemotConnect'", "mean D1-RemoteConnect"),
        ("[orders.business_object.CM-X]\nlike = 'D1-RemoteConnect'\nfield_task = 'D1-ReadMeter'",
         "field_task: a field task type, for a field activity"),
        ("[orders.business_object.CM-X]\nlike = 'D1-FieldActivity'\nfield_task = 'CM-No'",
         "field_task: a field task type, for a field activity"),
        (OWN + "\n[[orders.orchestration.exchange]]\ntype = 'D1-CREMTREXC'\nactivity = "
         "'activityBOToCreate=D1-FieldActivity specificFieldTask=CM-FitSubmeter'",
         "CM-FitSubmeter is no task to remove and install"),
        (OWN + "\n[[orders.orchestration.exchange]]\ntype = 'D1-DCRMMTR'\nactivity = "
         "'activityBOToCreate=CM-Reconnect'", "CM-Reconnect does not decommission"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_is_a_sites_own_is_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        own_rules(text)


STATUSES = """
[orders.install_status.CM-OffForChange]
means = "Disconn-Comm"

[orders.install_status.CM-OnAgain]
means = "Conn-Comm"

[[orders.orchestration.back_to_back]]
type = "D1-UPDDVC"
rows = ["installationEventStatusOverride=Disconn-Comm activityBOToCreate=D1-RemoteConnect"]

[[orders.orchestration.back_to_back]]
type = "D1-REMONOFF"
status_after_disconnect = "cm-offforchange"
status_after_connect = "CM-OnAgain"

[[orders.orchestration.cut]]
type = "D1-UPDDVC"
error_if_missing = "Nothing"
field_activity_bo = "D1-FieldActivity"
rows = [
  "installationEventStatusOverride=Conn-Comm activityBOToCreate=D1-RemoteDisconnect",
  "installationEventStatusOverride=CM-OnAgain specificFieldTask=D1-CutForNonPayment",
]
"""


def seen(kind: OrderKind, status: InstallStatus, name: str, text: str = STATUSES) -> View:
    view = a_view(kind, device=a_smart_meter(), status=status)
    assert view.installed is not None
    event = replace(view.installed, site_status=name)
    return replace(view, installed=event, lookups=own_rules(text).configuration.lookups)


def test_a_status_of_a_sites_own_is_set_by_a_change_over_and_kept_on_the_install_event() -> None:
    configuration = own_rules(STATUSES).configuration
    view = seen(OrderKind.BACK_TO_BACK, InstallStatus.CONN_COMM, "")
    plan = make_plan(an_order(OrderKind.BACK_TO_BACK), view, matrix=configuration.matrix)
    assert plan.titles == ("RemoteDisconnect", "RemoteConnect")
    first, second = plan.steps
    assert (first.child.override, first.child.site_status) == ("Disconn-Comm", "CM-OffForChange")
    assert second.facts["installationEventStatus"] == "CM-OffForChange"
    assert plan.view.site_status == "CM-OnAgain"
    assert plan.view.on


def test_a_row_that_names_a_sites_status_goes_before_the_row_for_what_it_means() -> None:
    matrix = own_rules(STATUSES).configuration.matrix
    on = InstallStatus.CONN_COMM
    for name, wanted in (("CM-OnAgain", "D1-CutForNonPayment"), ("", "D1-RemoteDisconnect")):
        done = evaluate(an_order(OrderKind.CUT), seen(OrderKind.CUT, on, name), matrix=matrix)
        assert isinstance(done.verdict, Create)
        assert (done.verdict.child.task or done.verdict.child.business_object) == wanted


def test_a_list_that_does_not_know_a_sites_status_goes_by_what_it_means() -> None:
    """A customer who is off under a name of the site's own is reconnected like any other."""
    view = seen(OrderKind.RECONNECT, InstallStatus.DISCONN_COMM, "CM-OffForChange")
    done = evaluate(an_order(OrderKind.RECONNECT), view)
    assert isinstance(done.verdict, Create)
    assert done.verdict.child.business_object == "D1-RemoteConnect"


def test_a_sites_status_that_means_something_else_by_now_counts_no_more() -> None:
    view = seen(OrderKind.CUT, InstallStatus.CONN_COMM, "CM-OffForChange")
    assert view.site_status == ""
    assert seen(OrderKind.CUT, InstallStatus.CONN_COMM, "CM-OnAgain", "").site_status == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[orders.install_status.CM-X]", "means: is needed"),
        ("[orders.install_status.CM-X]\nmeans = 'Off'", "Off is not one of Pending"),
        ("[orders.install_status.conn-comm]\nmeans = 'Conn-Comm'", "is known already"),
        ("[orders.install_status.'a b']\nmeans = 'Conn-Comm'", "cannot be a name"),
        ("[orders.install_status.CM-X]\nmeans = 'ManualOff'\n"
         "[[orders.orchestration.back_to_back]]\ntype = 'D1-REMONOFF'\n"
         "status_after_disconnect = 'CM-X'", "the customer would stay off"),
        ("[orders.install_status.CM-X]\nmeans = 'Pending'\n[[orders.orchestration.cut]]\n"
         "type = 'D1-UPDDVC'\nrows = ['installationEventStatusOverride=CM-X "
         "activityBOToCreate=D1-DeviceCommission']", "row 1: can never be reached"),
        (STATUSES + "\n[[orders.orchestration.reconnect]]\ntype = 'D1-UPDDVC'\nrows = ["
         "'installationEventStatusOverride=CM-OnAgain activityBOToCreate=D1-RemoteConnect',"
         "'installationEventStatusOverride=CM-OnAgain activityBOToCreate=D1-RemoteConnect']",
         "row 2: can never be reached: row 1 comes first"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_sites_statuses_is_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(message)):
        own_rules(text)


def test_reasons_of_a_sites_own_stand_beside_the_base_ones() -> None:
    text = "[orders.reasons]\ncancel = ['CM-Dog']\nreschedule = ['CM-RoadWorks']"
    lookups = own_rules(text).configuration.lookups
    assert {"D1-Undetermined", "CM-NoAccess", "CM-Dog"} <= set(lookups.cancel_reasons)
    assert {"CM-Weather", "CM-RoadWorks"} <= set(lookups.reschedule_reasons)
    with pytest.raises(SettingsError, match=re.escape("orders.reasons, canceled: ")):
        own_rules("[orders.reasons]\ncanceled = ['CM-Dog']")

"""The mnemonic text: what is read, and that nothing which could never work is accepted."""

import pytest

from adapter.model.device import Category, DisconnectLocation, InstallStatus
from adapter.orders.algorithms.mnemonics import Grammar, RowError, RowList, parse_rows
from adapter.orders.algorithms.rows import SKIP
from tests.support import for_every

FA = "D1-FieldActivity"


def how(grammar: Grammar = Grammar.SERVICE_POINT, **changes: object) -> RowList:
    values = {"where": "enable: Create", "grammar": grammar, "field_activity_bo": FA, **changes}
    return RowList(**values)  # type: ignore[arg-type]


def test_the_sources_example_is_read() -> None:
    text = (
        "servicePointConnected=false disconnectLocation=D1SR deviceInstalledAtSP=false "
        "specificFieldTask=D1-ConnSPAtSrceAndInstMtr spTypeCategory=D1MT"
    )
    (row,) = parse_rows([text], how())
    assert row.connected is False
    assert row.disconnect_location is DisconnectLocation.SOURCE
    assert row.device_installed is False
    assert row.category is Category.METER
    assert row.task == "D1-ConnSPAtSrceAndInstMtr"
    assert row.text == text


@pytest.mark.parametrize("name", ["installationEventStatusOverride", "installEventStatusOverride"])
def test_both_spellings_of_the_status_are_read_and_the_first_is_written(name: str) -> None:
    text = f"{name}=ManualOff specificFieldTask=D1-TurnOnMeter"
    (row,) = parse_rows([text], how(Grammar.DEVICE))
    assert row.status is InstallStatus.MANUAL_OFF
    assert row.text.startswith("installationEventStatusOverride=ManualOff ")


def test_a_task_name_is_known_whatever_its_case() -> None:
    (row,) = parse_rows(["specificFieldTask=D1-ReconnectItemforPayment"], how())
    assert row.task == "D1-ReconnectItemForPayment"


def test_skip_and_a_task_are_alternatives() -> None:
    texts = [
        "installEventStatusOverride=Conn-PreComm activityBOToCreate=D1-DeviceCommission"
        " alternativeFieldTask=skip",
        "installEventStatusOverride=Disconn-Comm activityBOToCreate=D1-RemoteConnect"
        " alternativeFieldTask=D1-TurnOnMeter",
    ]
    first, second = parse_rows(texts, how(Grammar.DEVICE))
    assert (first.alternative, second.alternative) == (SKIP, "D1-TurnOnMeter")


TASK = "specificFieldTask=D1-InstallMeter"
COMMAND = "activityBOToCreate=D1-RemoteConnect"
D, P = Grammar.DEVICE, Grammar.SERVICE_POINT
REFUSED = [
    ("an unknown mnemonic", P, [f"servicepointconnected=true {TASK}"], "unknown mnemonic"),
    ("one of the other type", D, [f"servicePointConnected=true {TASK}"], "unknown mnemonic"),
    ("an alternative on D1-CRSPACT", P, [f"{COMMAND} alternativeFieldTask=skip"], "unknown"),
    ("an unknown boolean", P, [f"servicePointConnected=yes {TASK}"], "not a known value"),
    ("an unknown location", P, [f"disconnectLocation=D1XX {TASK}"], "not a known value"),
    ("an unknown status", P, [f"installEventStatusOverride=Off {TASK}"], "not a known value"),
    ("an unknown category", P, [f"spTypeCategory=D1ZZ {TASK}"], "not a known value"),
    ("an unknown field task", P, ["specificFieldTask=D1-Dance"], "not a known value"),
    ("an unknown activity", P, ["activityBOToCreate=D1-Dance"], "not a known value"),
    ("an unknown alternative", D, [f"{COMMAND} alternativeFieldTask=D1-No"], "not a known value"),
    ("no result", P, ["servicePointConnected=true spTypeCategory=D1MT"], "no result"),
    ("an override that is off", P, ["executeOverrideAlgorithm=false"], "no result"),
    ("two results", P, [f"{COMMAND} {TASK}"], "one result only"),
    ("an activity of one task, and another", P,
     ["activityBOToCreate=CM-IncompatibleDevice specificFieldTask=D1-ReadMeter"],
     "CM-IncompatibleDevice always has D1-ExchangeMeter"),
    ("an alternative to nothing", D, [f"{TASK} alternativeFieldTask=skip"], "without a command"),
    ("a field activity without task", P, [f"activityBOToCreate={FA}"], "without a field task"),
    ("an activity of another algorithm", P, ["activityBOToCreate=CM-WaitForMeasurement"],
     "D1-CHKMSMT only"),
    ("a command to nobody", P, [f"deviceInstalledAtSP=false {COMMAND}"], "no device is installed"),
    ("a task that is misspelt", P, ["specificFieldTask=D1-InstalMeter"], "mean D1-InstallMeter"),
    ("an activity that is misspelt", P, ["activityBOToCreate=D1-RemoteConect"],
     "did you mean D1-RemoteConnect"),
    ("a mnemonic that is misspelt", P, [f"disconectLocation=D1SR {TASK}"], "mean disconnectLoc"),
    ("one of few values", P, [f"spTypeCategory=Meter {TASK}"], "D1MT, D1IT, D1MI"),
    ("a mnemonic twice", P, [f"{TASK} {TASK}"], "given twice"),
    ("both spellings at once", P, [
        f"installEventStatusOverride=ManualOff installationEventStatusOverride=ManualOn {TASK}"
    ], "given twice"),
    ("no value", P, [f"servicePointConnected= {TASK}"], "name=value"),
    ("no name", P, ["true"], "name=value"),
    ("an empty row", P, [" "], "empty"),
    ("a service point type outside a zone", P, [f"spType=X {TASK}"], "unknown mnemonic"),
]  # fmt: skip


@for_every(("grammar", "texts", "text"), [pytest.param(g, t, m, id=n) for n, g, t, m in REFUSED])
def test_a_row_that_cannot_work_is_refused_by_number(
    grammar: Grammar, texts: list[str], text: str
) -> None:
    fine = "installEventStatusOverride=Removed activityBOToCreate=D1-DeviceStatusCheck"
    with pytest.raises(RowError, match=text) as refused:
        parse_rows([fine, *texts], how(grammar))
    assert refused.value.number == 2
    assert "enable: Create, row 2" in str(refused.value)


@pytest.mark.parametrize("text", [TASK, f"{COMMAND} alternativeFieldTask=D1-TurnOnMeter"])
def test_a_field_task_without_field_activity_bo_is_refused(text: str) -> None:
    with pytest.raises(RowError, match="without a Field Activity BO"):
        parse_rows([text], how(Grammar.DEVICE, field_activity_bo=""))


def test_a_command_alone_needs_no_field_activity_bo() -> None:
    (row,) = parse_rows([COMMAND], how(field_activity_bo=""))
    assert row.business_object == "D1-RemoteConnect"


def _statuses(count: int) -> list[str]:
    conditions = [
        f"installEventStatusOverride={status.value} spTypeCategory={category.value} {TASK}"
        for status in InstallStatus
        for category in Category
    ]
    return conditions[:count]


def test_twenty_rows_are_read_and_one_more_is_refused() -> None:
    assert len(parse_rows(_statuses(20), how())) == 20
    with pytest.raises(RowError, match="21 rows; at most 20"):
        parse_rows(_statuses(21), how())


def test_a_zone_may_have_more_rows_and_name_a_service_point_type() -> None:
    zone = how(zone=True, most=None, origin="zone")
    rows = parse_rows([f"spType=Farm {TASK}", *_statuses(21)], zone)
    assert rows[0].sp_type == "Farm"
    assert rows[0].label == "zone row 1"


UNREACHABLE = [
    ("the same row again", [f"servicePointConnected=true {TASK}"] * 2, 2),
    ("a wider row first", [TASK, f"servicePointConnected=true {TASK}"], 2),
    (
        "two rows that cover it together",
        [f"servicePointConnected={b} {TASK}" for b in ("true", "false")] + [TASK],
        3,
    ),
    (
        "all categories",
        [f"spTypeCategory={c.value} {TASK}" for c in Category]
        + [f"disconnectLocation=D1SR {COMMAND}"],
        4,
    ),
]


@pytest.mark.parametrize(
    ("texts", "number"), [pytest.param(t, n, id=name) for name, t, n in UNREACHABLE]
)
def test_a_row_that_can_never_be_reached_is_refused(texts: list[str], number: int) -> None:
    with pytest.raises(RowError, match="can never be reached") as refused:
        parse_rows(texts, how())
    assert refused.value.number == number


def test_a_row_behind_one_that_may_step_aside_is_reachable() -> None:
    texts = [
        "installEventStatusOverride=Disconn-Decomm activityBOToCreate=D1-DeviceCommission"
        " alternativeFieldTask=skip",
        "installEventStatusOverride=Disconn-Decomm specificFieldTask=D1-TurnOnMeter",
    ]
    assert len(parse_rows(texts, how(Grammar.DEVICE))) == 2


def test_a_narrower_row_may_come_first() -> None:
    assert len(parse_rows([f"servicePointConnected=true {TASK}", TASK], how())) == 2

"""Master data from CSV and JSON: all or nothing, each complaint with its place."""

import json
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import Import
from adapter.engine.registry.imports import MAX_PROBLEMS, ImportRefused
from adapter.model.device import (
    ComponentKind,
    Device,
    InstallEvent,
    InstallStatus,
    MeasuringComponent,
    ServicePoint,
)
from adapter.registry import csv_file
from adapter.registry.files import as_json_values, parts, read_file, read_json
from adapter.simulator.meters import Population, PopulationPlan
from adapter.simulator.registry import registry_of
from tests.support import for_every

GOOD = """\
device,endpoint,capabilities,groups,components,service_point,connected,installed_at,install_status
M1,2.1,all,A; B,R|scalar|Wh d; L|interval|Wh d|kWh|900,P1,yes,2020-01-01T01:00:00+01:00,Conn-Comm
M2,2.2,load_check;remote_connect,,,P2,no,2020-01-01T00:00:00Z,Disconn-Comm
M3,,,,,,,,
"""


def a_file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, name: str = "m.csv") -> list[str]:
    with pytest.raises(ImportRefused) as refused:
        read_file(a_file(folder, name, text))
    assert str(refused.value).splitlines() == [str(each) for each in refused.value.problems]
    return str(refused.value).splitlines()


def test_a_row_is_a_device_with_its_service_point_and_install_event(tmp_path: Path) -> None:
    what = read_file(a_file(tmp_path, "m.csv", GOOD))
    first, second, third = what.devices
    assert first.capabilities == {kind.value for kind in CommandKind}
    assert first.groups == {"A", "B"}
    assert [each.kind for each in first.components] == [
        ComponentKind.SCALAR,
        ComponentKind.INTERVAL,
    ]
    assert first.components[1].seconds == 900
    assert second.capabilities == {"load_check", "remote_connect"}
    assert (third.smart, third.endpoint) == (False, None)
    assert [point.connected for point in what.service_points] == [True, False]
    assert what.installs[0].installed_at == datetime(2020, 1, 1, tzinfo=UTC)
    assert what.installs[1].status is InstallStatus.DISCONN_COMM


def test_a_row_may_be_a_service_point_alone(tmp_path: Path) -> None:
    text = "service_point,connected,disconnect_location,life_support\nP1,no,D1SR,yes\n"
    (point,) = read_file(a_file(tmp_path, "p.csv", text)).service_points
    assert (point.id, point.connected, point.life_support) == ("P1", False, True)
    mixed = read_file(a_file(tmp_path, "m.csv", GOOD + ",,,,,P9,no,,\n"))
    assert (len(mixed.devices), mixed.service_points[-1].id) == (3, "P9")


def test_an_install_event_may_bring_its_history(tmp_path: Path) -> None:
    text = (
        "device,service_point,installed_at,install_status,history\n"
        "M1,P1,2020-01-01T00:00:00Z,ManualOff,"
        "2020-01-01T00:00:00Z|on;2024-05-01T10:00:00+02:00|off\n"
    )
    (installed,) = read_file(a_file(tmp_path, "m.csv", text)).installs
    assert [(each.at.isoformat(), each.on) for each in installed.history] == [
        ("2020-01-01T00:00:00+00:00", True),
        ("2024-05-01T08:00:00+00:00", False),
    ]
    wrong = text.replace("|off", "|dark")
    assert problems(tmp_path, wrong) == [
        "m.csv, row 2, history: must be time|on or time|off, with ; between"
    ]
    naive = text.replace("+02:00|off", "|off")
    assert problems(tmp_path, naive) == ["m.csv, row 2, history: needs times with a zone"]


def test_a_file_from_a_spreadsheet_with_its_mark_and_line_ends_is_read(tmp_path: Path) -> None:
    text = "\ufeff" + GOOD.replace("\n", "\r\n")
    assert len(read_file(a_file(tmp_path, "m.csv", text)).devices) == 3


def test_the_simulators_meters_survive_a_file(tmp_path: Path) -> None:
    what = registry_of(Population(PopulationPlan(count=50)))
    text = json.dumps(as_json_values(what), default=str)
    assert read_file(a_file(tmp_path, "m.json", text)) == what


@pytest.mark.parametrize("size", [1, 7, 50, 1000])
def test_parts_together_are_the_whole(size: int) -> None:
    what = registry_of(Population(PopulationPlan(count=50)))
    some = list(parts(what, size))
    assert all(len(part.devices) <= size for part in some)
    assert (
        Import(
            devices=tuple(each for part in some for each in part.devices),
            service_points=tuple(each for part in some for each in part.service_points),
            installs=tuple(each for part in some for each in part.installs),
        )
        == what
    )


HEADER = "device,endpoint,capabilities,service_point,category,connected,time_zone,installed_at\n"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (",E,,,,,,", "m.csv, row 2, device: is needed"),
        (",E,,SP,,,,", "m.csv, row 2, device: is needed"),
        (",,,SP,,,,2020-01-01T00:00:00Z", "m.csv, row 2, device: is needed"),
        ("A,E,load_chek,,,,,", "m.csv, row 2, capabilities: 'load_chek' is no command; did you"),
        ("A,E,,SP,D1XX,,,", "m.csv, row 2, category: invalid enum value 'D1XX'"),
        ("A,E,,SP,,perhaps,,", "m.csv, row 2, connected: must be yes or no"),
        ("A,E,,SP,,,Mars/Olympus,", "m.csv, row 2, time_zone: no zone 'Mars/Olympus'"),
        ("A,E,,SP,,,,yesterday", "m.csv, row 2, installed_at: "),
        ("A,E,,SP,,,,2020-01-01T00:00:00", "m.csv, row 2, installed_at: needs a zone"),
        ("A,E,,,,,,2020-01-01T00:00:00Z", "m.csv, row 2, installed_at: needs a service_point"),
        ("A,E,", "m.csv, row 2: has another number of cells than the header"),
        ("A,E,,,,,,,more", "m.csv, row 2: has another number of cells than the header"),
        ("A,E,,,,,,\nA,F,,,,,,", "m.csv, row 3, device: A is also in row 2"),
        ("A,E,,,,,,\nB,E,,,,,,", "m.csv, row 3, endpoint: E also belongs to row 2"),
        ("A,E,,SP,,yes,,\nB,F,,SP,,no,,", "m.csv, row 3, service_point: service point SP is other"),
        (
            "A,E,,SP,,,,2020-01-01T00:00:00Z\nB,F,,SP,,,,2020-01-01T00:00:00Z",
            "m.csv, row 3, service_point: SP has a meter in row 2",
        ),
        ('A,"E,,,,,,', "m.csv, row 2: is not CSV: "),
        (
            "A,E,,,,,,,,",
            "m.csv, row 2: has 2 empty cells more than the header: a spreadsheet leaves such",
        ),
        ("A,2.16E+11,,,,,,", "m.csv, row 2, endpoint: 2.16E+11 is a number that a spreadsheet has"),
        ("7E+05,E,,,,,,", "m.csv, row 2, device: 7E+05 is a number that a spreadsheet has short"),
        ('A,"2,16E+11",,,,,,', "m.csv, row 2, endpoint: 2,16E+11 is a number that a spread"),
        ('A,"=""0012""",,,,,,', 'm.csv, row 2, endpoint: ="0012" is a formula of a spreadsheet'),
        ("A,E,,=A1,,,,", "m.csv, row 2, service_point: =A1 is a formula of a spreadsheet"),
        ("A,#N/A,,,,,,", "m.csv, row 2, endpoint: #N/A is what a spreadsheet shows where"),
        ("#####,E,,,,,,", "m.csv, row 2, device: ##### is what a spreadsheet shows where"),
    ],
)
def test_a_wrong_row_is_named_with_its_column_and_rule(
    tmp_path: Path, row: str, complaint: str
) -> None:
    assert problems(tmp_path, HEADER + row + "\n")[0].startswith(complaint)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "m.csv, row 1, device: is needed"),
        ("device\n", "m.csv, row 0: has nothing to load"),
        ("device,device\nA,A\n", "m.csv, row 1, device: stands there twice"),
        (
            "device,endpiont\nA,E\n",
            "m.csv, row 1, endpiont: unknown column; did you mean endpoint?",
        ),
        ("serial\nS\n", "m.csv, row 1, device: is needed"),
        (
            "device,endpoint,,,\nA,E,,,\n",
            "m.csv, row 1: columns 3 to 5 have no name: a spreadsheet leaves such at the end; "
            "delete them there",
        ),
        (
            "device, \nA,\n",
            "m.csv, row 1: column 2 has no name: a spreadsheet leaves such at the end; "
            "delete them there",
        ),
        ("device,,endpoint\nA,,E\n", "m.csv, row 1: column 2 has no name"),
        (
            "device;endpoint\nA;E\n",
            "m.csv, row 1: has ; between its cells; they must be commas",
        ),
        (
            "device\tendpoint\nA\tE\n",
            "m.csv, row 1: has tabs between its cells; they must be commas",
        ),
    ],
)
def test_a_wrong_header_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    assert problems(tmp_path, text)[0] == complaint


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[]", "m.json, row 0: must be an object with lists"),
        ("{", "m.json, row 1: is not JSON: "),
        ('{"devices": {}}', "m.json, row 0, devices: must be a list"),
        ('{"points": []}', "m.json, row 0, points: unknown; known are devices, service_points"),
        ('{"devices": [5]}', "m.json devices, row 1: must be an object"),
        ('{"devices": [{"id": "A"}, {"idd": "B"}]}', "m.json devices, row 2, idd: unknown column"),
        ('{"devices": [{"id": 5}]}', "m.json devices, row 1, id: expected `str`, got `int`"),
        ('{"devices": [{"endpoint": "E"}]}', "m.json devices, row 1: object missing required"),
        (
            '{"installs": [{"device": "A", "service_point": "S", "installed_at": '
            '"2020-01-01T00:00:00Z"}]}',
            "m.json installs, row 1, device: A is not in this file",
        ),
    ],
)
def test_wrong_json_is_named_with_its_list_and_row(
    tmp_path: Path, text: str, complaint: str
) -> None:
    assert problems(tmp_path, text, "m.json")[0].startswith(complaint)


@for_every(
    ("name", "value", "complaint"),
    [
        ("id", " M1", "device: has blanks around it"),
        ("id", "M1\u00a0", "device: has blanks around it"),
        ("id", "M" * 201, "device: at most 200 characters, not 201"),
        ("id", "M\x001", "device: character 2 is U+0000, which nobody sees"),
        ("id", "M\n1", "device: character 2 is U+000A, which nobody sees"),
        ("id", "M\x9b1", "device: character 2 is U+009B, which nobody sees"),
        ("id", "M\u200b1", "device: character 2 is U+200B, which nobody sees"),
        ("id", "M\u202e1", "device: character 2 is U+202E, which nobody sees"),
        ("id", "M\ufffe", "device: character 2 is U+FFFE, which nobody sees"),
        ("id", "M\u034f1", "device: character 2 is U+034F, which nobody sees"),
        ("id", "M\u31641", "device: character 2 is U+3164, which nobody sees"),
        ("id", "M\ufe0f1", "device: character 2 is U+FE0F, which nobody sees"),
        ("id", "\uff2d1", "device: has characters that are forms of others, as full-width ones"),
        ("id", "M\u0410-1", "device: mixes alphabets: cyrillic, latin"),
        ("id", "Zu\u0308rich", "device: must be in Unicode's composed form (NFC)"),
        ("endpoint", "2.16 ", "endpoint: has blanks around it"),
        ("endpoint", "2.\u0661", "endpoint: must be ASCII"),
        ("endpoint", "", "endpoint: is needed"),
        ("serial", "a\x1bb", "serial: character 2 is U+001B, which nobody sees"),
        ("groups", ["ok", "a\x08"], "groups: character 2 is U+0008, which nobody sees"),
        (
            "components",
            [{"id": "R\x01", "kind": "scalar", "quantity": "Wh d"}],
            "components: character 2 is U+0001, which nobody sees",
        ),
    ],
)
def test_a_text_that_nobody_can_tell_apart_or_xml_cannot_carry_is_refused(
    name: str, value: object, complaint: str
) -> None:
    device = {"id": "M1", name: value}
    with pytest.raises(ImportRefused) as refused:
        read_json(json.dumps({"devices": [{"id": "M0"}, device]}), "m.json")
    assert str(refused.value) == f"m.json devices, row 2, {complaint}"


@pytest.mark.parametrize("id", ["Zürich-1", "Москва-1", "M 1", "計器1", "a/b"])
def test_an_id_in_any_one_alphabet_is_taken(id: str) -> None:
    (device,) = read_json(json.dumps({"devices": [{"id": id}]}), "m.json").devices
    assert device.id == id


def test_a_control_character_in_a_csv_is_named_with_row_and_column(tmp_path: Path) -> None:
    text = "device,endpoint,service_point\nM1,2.1,P1\nM2,2.\x012,P2\nM3,2.3,P\x7f3\n"
    assert problems(tmp_path, text) == [
        "m.csv, row 3, endpoint: character 3 is U+0001, which nobody sees",
        "m.csv, row 4, service_point: character 2 is U+007F, which nobody sees",
    ]


def test_the_first_fifty_complaints_are_told() -> None:
    rows = [{"id": str(number), "capabilities": ["nothing"]} for number in range(200)]
    with pytest.raises(ImportRefused) as refused:
        read_json(json.dumps({"devices": rows}), "m.json")
    assert len(refused.value.problems) == MAX_PROBLEMS


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, "x", "m.xlsx") == ["m.xlsx, row 0: the file must be .csv or .json"]


# ---------------------------------------------------------------- ids and columns


def test_csv_has_a_column_for_every_field_that_json_has() -> None:
    """`version` counts changes here; nobody gives it."""
    for kind, columns, not_given in (
        (Device, csv_file._DEVICE, set[str]()),
        (ServicePoint, csv_file._POINT, set[str]()),
        (InstallEvent, csv_file._INSTALL, {"device", "service_point", "version"}),
    ):
        known = {each.name for each in fields(kind)}
        assert {name for name, _ in columns.values()} == known - not_given
    every = csv_file._component("R|scalar|Wh d|kWh|900|no")
    assert set(every) == {each.name for each in fields(MeasuringComponent)}
    assert every["billing"] is False


def test_a_status_of_the_sites_own_comes_by_csv_as_by_json(tmp_path: Path) -> None:
    text = (
        "device,service_point,installed_at,install_status,site_status\n"
        "M1,P1,2020-01-01T00:00:00Z,Disconn-Comm,CM-OffForChange\n"
    )
    what = read_file(a_file(tmp_path, "m.csv", text))
    assert what.installs[0].site_status == "CM-OffForChange"
    again = read_json(json.dumps(as_json_values(what), default=str), "m.json")
    assert again.installs == what.installs


@for_every(
    ("column", "id", "rule"),
    [
        ("endpoint", "2.16.840.1.114416.15.243.700001.", "ends with a point"),
        ("endpoint", "2.16.840.1.114416.15.243.700001.0", "is a number as a spreadsheet has it"),
        ("endpoint", "700001.0", "is a number as a spreadsheet has it"),
        ("endpoint", "700001.000", "is a number as a spreadsheet has it"),
        ("endpoint", "LAN.", "ends with a point"),
        ("endpoint", "'2.16.840.1.114416.15.243.700001", "begins with the apostrophe"),
        ("endpoint", "2.16E+09", "a spreadsheet has shortened"),
        ("device", "'700001", "begins with the apostrophe"),
        ("device", "\u2019700001", "begins with the apostrophe"),
        ("device", "700001.0", "is a number as a spreadsheet has it"),
        ("device", "700001.", "is a number as a spreadsheet has it"),
        ("device", "../x", "has . or .. between slashes"),
        ("device", "a/../x", "has . or .. between slashes"),
        ("device", "..", "has . or .. between slashes"),
        ("device", "a\\..\\x", "has . or .. between slashes"),
        ("device", "M\uff11", "forms of others"),
        ("device", "\u041c1A", "mixes alphabets"),
        ("serial", "4711.0", "is a number as a spreadsheet has it"),
        ("groups", "../x", "has . or .. between slashes"),
        ("groups", "\u041cain", "mixes alphabets"),
        ("groups", "\uff27", "forms of others"),
        ("service_point", "../x", "has . or .. between slashes"),
        ("service_point", "'77", "begins with the apostrophe"),
    ],
)
def test_an_id_that_is_damaged_or_no_id_is_refused_by_csv_and_json(
    column: str, id: str, rule: str, tmp_path: Path
) -> None:
    cells = {"device": "M1", "endpoint": "2.1", "serial": "", "groups": "", "service_point": "P1"}
    cells[column] = id
    text = ",".join(cells) + "\n" + ",".join(cells.values()) + "\n"
    told = problems(tmp_path, text)[0]
    assert told.startswith(f"m.csv, row 2, {column}: ")
    assert rule in told
    device = {"id": cells["device"], "endpoint": cells["endpoint"], "serial": cells["serial"],
              "groups": [cells["groups"]] if cells["groups"] else []}  # fmt: skip
    whole = {"devices": [device], "service_points": [{"id": cells["service_point"]}]}
    assert rule in problems(tmp_path, json.dumps(whole), "m.json")[0]


@for_every("id", ["A 1", "12.5", "M-1/2", "x.y", "a.b/c", "...", "O'Neill", "2.16.840.1", "M1."])
def test_ids_that_utilities_have_are_taken(id: str, tmp_path: Path) -> None:
    what = read_file(a_file(tmp_path, "m.csv", f"device,service_point\n{id},{id}\n"))
    assert (what.devices[0].id, what.service_points[0].id) == (id, id)


@for_every(
    ("one", "other"),
    [("M1", "m1"), ("\u041c1", "M1"), ("\u041c1", "m1"), ("\u039c1", "M1"), ("Ae", "aE")],
)
def test_twins_in_one_file_are_refused_and_the_other_one_is_named(
    one: str, other: str, tmp_path: Path
) -> None:
    for column in ("device", "service_point"):
        (told,) = problems(tmp_path, f"{column}\n{one}\n{other}\n")
        assert told == f"m.csv, row 3, {column}: {other} looks like {one} of row 2"
    (told,) = problems(tmp_path, f"device,groups\nD1,{one}\nD2,{other}\n")
    assert told == f"m.csv, row 3, groups: {other} looks like {one} of row 2"


def test_every_fault_of_a_row_is_told(tmp_path: Path) -> None:
    text = (
        "device,device_category,capabilities,components,service_point,category,connected,"
        "disconnect_location,time_zone,installed_at,install_status\n"
        "M1,lamp,all,R|scalar,P1,house,maybe,D1SR,Mars/Base,soon,Off\n"
    )
    found = problems(tmp_path, text)
    columns = ("device_category", "components", "category", "connected", "installed_at")
    for column in (*columns, "install_status"):
        assert any(f"row 2, {column}: " in each for each in found), (column, found)
    assert not any("is needed" in each for each in found)
    two = {"devices": [{"id": "M1", "category": "lamp", "components": 7}]}
    found = problems(tmp_path, json.dumps(two), "m.json")
    assert len(found) == 2

"""`openway devices import` of one file twice, around a cut: what completion events did stays."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter.cli.output import Exit
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service"), meters=6) as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    return Terminal(capsys, monkeypatch, service.api_url)


def installed(openway: Terminal, meter: str) -> Any:
    return openway("devices", "show", meter, "--json").json["installed"]


def cut(openway: Terminal, meter: str) -> Any:
    """Import, disconnect; the install event as it is then."""
    done = openway.as_(OPERATOR)("command", "submit", "remote_disconnect", meter, "--wait", "30")
    assert done.code == Exit.OK
    found = installed(openway, meter)
    assert (found["status"], [each["on"] for each in found["history"]]) == ("Disconn-Comm", [False])
    return found


def test_the_same_file_again_after_a_cut_changes_nothing_and_says_so(
    openway: Terminal, service: Service
) -> None:
    load = ("devices", "import", str(service.devices_file))
    first = openway.as_(ADMIN)(*load)
    assert (first.code, first.out) == (
        Exit.OK,
        "6 devices, 6 service points, 6 installs loaded\n",
    )
    dark = cut(openway, "M700001")
    again = openway.as_(ADMIN)(*load, "--json")
    assert again.code == Exit.OK
    difference = {
        "subject": "M700001",
        "field": "status",
        "stored": "Disconn-Comm",
        "given": "Conn-Comm",
        "reason": "only completion events change it",
    }
    assert again.json["left_alone"] == [difference]
    assert installed(openway, "M700001") == dark
    told = openway.as_(ADMIN)(*load).out
    assert "left alone" in told
    assert "M700001" in told
    entries = json.loads(openway("audit", "list", "--json").out)["items"]
    imports = [each["detail"] for each in entries if each["action"] == "Imported"]
    assert imports[0] == {"devices": 6, "service_points": 6, "installs": 6}
    assert imports[1]["left_alone_fields"] == [difference]


def test_a_dry_run_tells_the_same_and_loads_nothing(
    openway: Terminal, service: Service, tmp_path: Path
) -> None:
    assert openway.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    dark = cut(openway, "M700002")
    table = json.loads(service.devices_file.read_text())
    table["devices"][1]["serial"] = "another"
    file = tmp_path / "m.json"
    file.write_text(json.dumps(table))
    told = openway.as_(ADMIN)("devices", "import", str(file), "--dry-run", "--json").json
    assert told["imported"] is False
    assert "M700002" in str(told["left_alone"])
    shown = openway("devices", "show", "M700002", "--json").json
    assert shown["installed"] == dark
    assert shown["device"]["serial"] != "another"  # type: ignore[index]


def test_an_endpoint_of_another_device_is_refused_with_the_row_of_the_file(
    openway: Terminal, service: Service, tmp_path: Path
) -> None:
    assert openway.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    endpoint = json.loads(service.devices_file.read_text())["devices"][4]["endpoint"]
    file = tmp_path / "typing.csv"
    file.write_text(f"device,endpoint\nNEW-1,2.16.9\n\nTYPO-1,{endpoint}\n")
    for how in ((), ("--dry-run",)):
        refused = openway.as_(ADMIN)("devices", "import", str(file), *how)
        assert refused.code == Exit.INVALID
        assert (
            f"typing.csv, row 4, endpoint: TYPO-1: {endpoint} belongs to M700005, which is not "
            "removed" in refused.err
        )
    assert openway("devices", "show", "NEW-1").code == Exit.NOT_FOUND


def test_an_override_has_a_name_and_a_reason_and_appends_to_the_history(
    openway: Terminal, service: Service, tmp_path: Path
) -> None:
    assert openway.as_(ADMIN)("devices", "import", str(service.devices_file)).code == Exit.OK
    dark = cut(openway, "M700003")
    table = json.loads(service.devices_file.read_text())
    mine = {
        "devices": [each for each in table["devices"] if each["id"] == "M700003"],
        "installs": [each for each in table["installs"] if each["device"] == "M700003"],
    }
    place = mine["installs"][0]["service_point"]
    mine["service_points"] = [each for each in table["service_points"] if each["id"] == place]
    file = tmp_path / "m.json"
    file.write_text(json.dumps(mine))
    load = ("devices", "import", str(file), "--override-status")
    assert openway.as_(ADMIN)(*load).code == Exit.INVALID
    assert installed(openway, "M700003") == dark
    done = openway.as_(ADMIN)(*load, "--reason", "closed by hand on site", "--json")
    assert (done.code, done.json["left_alone"]) == (Exit.OK, [])
    assert done.json["overridden"] == [
        {
            "subject": "M700003",
            "field": "status",
            "stored": "Disconn-Comm",
            "given": "Conn-Comm",
            "reason": "closed by hand on site",
        }
    ]
    found = installed(openway, "M700003")
    assert found["status"] == "Conn-Comm"
    assert found["history"][:1] == dark["history"]
    assert [each["on"] for each in found["history"]] == [False, True]
    assert found["history"][1]["cause"].startswith("import:root:")
    last = json.loads(openway("audit", "list", "--json", "--limit", "500").out)["items"][-1]
    assert last["action"] == "Imported"
    assert last["detail"]["reason"] == "closed by hand on site"
    assert last["detail"]["overridden"] == done.json["overridden"]

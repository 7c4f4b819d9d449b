"""What needs no gateway: tables, wire, WSDL, settings, imports, help."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapter.cli import run
from adapter.cli.output import MEANING, Exit
from adapter.cli.tables import DIAGRAMS, MACHINES, TABLES, state_machine
from adapter.commands.activity import State
from adapter.commands.failures import FAILURES
from adapter.commands.flows import FLOWS
from adapter.service.settings_table import rows
from adapter.wire.catalog import Catalog

ROOT = Path(__file__).parents[2]
HEAVY = ("zeep", "aiohttp", "lxml", "xmlschema", "apsw", "rich", "asyncio")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = Exit.OK) -> str:
    capsys.readouterr()
    assert run(list(arguments)) == code
    return capsys.readouterr().out


def test_help_is_quick_since_it_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom adapter.cli import run\ncode = run(['--help'])\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_the_package_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adapter", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.startswith("openway, version ")


def test_help_tells_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    told = output(capsys, "--help")
    for code, meaning in MEANING.items():
        assert f"{code.value} " in told
        assert meaning in told


@pytest.mark.parametrize("group", ["command", "devices", "quarantine", "wire", "config", "audit"])
def test_every_group_tells_what_it_has(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Commands:" in output(capsys, group, "--help")


@pytest.mark.parametrize("arguments", [["nothing"], ["command"], ["command", "submit"], ["--no"]])
def test_wrong_usage_is_two(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == Exit.INVALID
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "close"),
    [
        (["command", "submit", "remote_disconect", "M700001"], "remote_disconnect"),
        (["command", "list", "--state", "complete"], "completed"),
        (["order", "submit", "cutt", "SP700001"], "cut"),
        (["tables", "flowz"], "flows"),
    ],
)
def test_a_word_that_is_none_is_told_with_the_one_that_was_meant(
    arguments: list[str], close: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == Exit.INVALID
    assert f"; did you mean {close}?" in capsys.readouterr().err


def test_a_far_off_word_is_not_offered(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["command", "submit", "load_check", "M700001", "--priority", "huge"]
    assert run(arguments) == Exit.INVALID
    assert "did you mean" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["keys", "withdraw", ""], "KEY is an id or a name"),
        (["keys", "add", "ann", "read"], "`openway config new-key NAME ROLES --append`"),
    ],
)
def test_wrong_usage_of_keys_says_what_is_right(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == Exit.INVALID
    assert said in capsys.readouterr().err


def test_lines_of_a_table_end_with_their_text(capsys: pytest.CaptureFixture[str]) -> None:
    lines = output(capsys, "tables", "flows").splitlines()
    assert lines == [line.rstrip() for line in lines]


# ---------------------------------------------------------------- tables


def test_the_flow_table_has_every_command_with_its_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = output(capsys, "tables", "flows", "--markdown")
    assert len(told.splitlines()) == len(FLOWS) + 2
    for flow in FLOWS.values():
        assert flow.title in told
        assert flow.request.business_object in told
        assert flow.request.operation.value in told


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("flows", len(FLOWS)),
        ("failures", len(FAILURES)),
        ("activity", len(State)),
        ("settings", len(rows())),
    ],
)
def test_a_table_has_all_its_rows(
    name: str, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(json.loads(output(capsys, "tables", name, "--json"))[name]) == count


@pytest.mark.parametrize("name", TABLES)
def test_every_table_is_printed_for_people_and_for_readme(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = TABLES[name]().rows[0][0]
    assert first in output(capsys, "tables", name)
    lines = output(capsys, "tables", name, "--markdown").splitlines()
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_all_tables_stand_under_their_titles(capsys: pytest.CaptureFixture[str]) -> None:
    told = output(capsys, "tables", "--markdown")
    assert told.count("### ") == len(TABLES)


def test_every_state_machine_is_drawn_for_people_for_papers_and_for_programs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = output(capsys, "tables", "machines")
    papers = output(capsys, "tables", "machines", "--markdown")
    assert told.count("stateDiagram-v2") == len(DIAGRAMS)
    assert papers.count("```mermaid\nstateDiagram-v2\n") == len(DIAGRAMS)
    for name in MACHINES:
        diagram = output(capsys, "tables", f"machine_{name}", "--markdown")
        assert diagram in f"{papers}\n"
        arrows = json.loads(output(capsys, "tables", f"machine_{name}", "--json"))
        assert len(arrows[f"machine_{name}"]) == len(state_machine(name).arrows)


def test_a_diagram_is_written_to_its_place_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page.md"
    place = "<!-- tables:machine_wait -->", "<!-- /tables:machine_wait -->"
    file.write_text(f"{place[0]}\n{place[1]}\n", encoding="utf-8")
    output(capsys, "tables", "--fill", str(file))
    diagram = output(capsys, "tables", "machine_wait", "--markdown")
    assert file.read_text(encoding="utf-8") == f"{place[0]}\n{diagram}{place[1]}\n"


def test_tables_are_written_to_their_places_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page.md"
    file.write_text("a\n<!-- tables:exits -->\nold\n<!-- /tables:exits -->\nb\n", encoding="utf-8")
    output(capsys, "tables", "--fill", str(file))
    table = output(capsys, "tables", "exits", "--markdown")
    expected = f"a\n<!-- tables:exits -->\n{table}<!-- /tables:exits -->\nb\n"
    assert file.read_text(encoding="utf-8") == expected


# ---------------------------------------------------------------- wire and WSDL


def test_a_request_is_written_read_and_written_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = tmp_path / "body.json"
    body.write_text(json.dumps(_body()), encoding="utf-8")
    envelope = output(capsys, "wire", "encode", "DisconnectMeter", str(body))
    message = tmp_path / "message.xml"
    message.write_text(envelope, encoding="utf-8")
    decoded = output(capsys, "wire", "decode", str(message))
    assert json.loads(decoded)["operation"] == "ControlService.DisconnectMeter"
    again = tmp_path / "again.json"
    again.write_text(decoded, encoding="utf-8")
    assert output(capsys, "wire", "encode", "DisconnectMeter", str(again)) == envelope
    assert output(capsys, "wire", "encode", str(again)) == envelope
    assert run(["wire", "encode", str(body)]) == Exit.INVALID
    assert "operation: is named neither" in capsys.readouterr().err
    assert json.loads(output(capsys, "wire", "decode", "--explain", str(message)))["remarks"] == []


def _body() -> dict[str, object]:
    from adapter.commands.calls import Call
    from adapter.commands.flows import Operation
    from adapter.model.ids import EndpointId
    from adapter.wire.operations import request_body

    call = Call(
        operation=Operation.DISCONNECT_METER,
        endpoints=(EndpointId("2.16.840.1.114416.15.243.700001"),),
        callback="http://gateway/openway/status",
    )
    return dict(request_body(call))


@pytest.mark.parametrize("content", [b"", b"no xml", b"<a>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>"])
def test_bytes_that_are_no_message_are_refused_in_a_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "message.xml"
    file.write_bytes(content)
    assert run(["wire", "decode", str(file)]) == Exit.INVALID
    assert capsys.readouterr().err.startswith(f"error: {file}: ")


@pytest.mark.parametrize("declaration", ["", "<?xml version='1.0'?>"])
def test_xml_that_is_wrong_is_told_by_file_line_and_column(
    declaration: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "message.xml"
    file.write_text(f"{declaration}<a><b></a>", encoding="utf-8")
    assert run(["wire", "decode", str(file)]) == Exit.INVALID
    told = capsys.readouterr().err
    assert told.startswith(f"error: {file}: Opening and ending tag mismatch: ")
    assert told.endswith(f", line 1, column {len(declaration) + 11}\n")
    run(["wire", "decode", str(file), "--json"])
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "not_well_formed"


@pytest.mark.parametrize(
    ("operation", "content"),
    [("NoSuchThing", "{}"), ("DisconnectMeter", "no json"), ("DisconnectMeter", "[]")],
)
def test_what_cannot_be_written_is_refused_in_a_line(
    operation: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "body.json"
    file.write_text(content, encoding="utf-8")
    assert run(["wire", "encode", operation, str(file)]) == Exit.INVALID
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("named", ["missing.json", "some/body"])
def test_a_file_that_is_not_there_is_not_taken_for_an_operation(
    named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["wire", "encode", named]) == Exit.FAILED
    assert capsys.readouterr().err == f"error: {named}: No such file or directory\n"


def test_the_packaged_wsdl_carries_all_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert f"all {len(FLOWS)} commands" in output(capsys, "wsdl", "check")
    assert json.loads(output(capsys, "wsdl", "check", "--json"))["findings"] == []


def test_a_wsdl_that_lacks_an_operation_is_told_with_the_commands_it_breaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "site"
    place = Catalog.load().place
    for file in place.rglob("*.*"):
        if file.suffix in (".wsdl", ".xsd"):
            copy = folder / file.relative_to(place)
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8")
            named = text.replace('operation name="DisconnectMeter"', 'operation name="SwitchOff"')
            copy.write_text(named, encoding="utf-8")
    told = output(capsys, "wsdl", "check", str(folder), "--json", code=Exit.WITHOUT_SUCCESS)
    assert {each["command"] for each in json.loads(told)["findings"]} == {"remote_disconnect"}
    assert "remote_disconnect" in output(
        capsys, "wsdl", "check", str(folder), code=Exit.WITHOUT_SUCCESS
    )


# ---------------------------------------------------------------- settings


def test_a_bad_setting_stops_every_command_that_needs_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "openway.toml").write_text("[listener]\nprot = 1\n", encoding="utf-8")
    for arguments in (["config", "check"], ["command", "list"], ["serve"], ["simulate"]):
        assert run(arguments) == Exit.SETTINGS
        assert "listener.prot: unknown setting; did you mean port?" in capsys.readouterr().err


def test_serving_without_a_head_end_names_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["serve"]) == Exit.SETTINGS
    assert "head_end.base_url" in capsys.readouterr().err


def test_config_check_says_how_much_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "site.toml").write_text("[listener]\nport = 1\n", encoding="utf-8")
    assert run(["--config", "site.toml", "config", "check"]) == Exit.OK
    told = capsys.readouterr()
    assert "1 setting given" in told.out
    assert "head_end.base_url" in told.err


def test_config_check_says_so_where_nobody_has_set_the_zone_of_the_site(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = "times without an offset are read in UTC: set contract.time_zone"
    for settings, tables, said in (
        ("[listener]\nport = 1\n", "", True),
        ('[contract]\ntime_zone = "America/Chicago"\n', "", False),
        ('[contract]\ntime_zone = "UTC"\n', "", False),
        ('[intake]\ntables = "t.toml"\n', '[time]\nshift = "standard"\n', True),
        ('[intake]\ntables = "t.toml"\n', '[time]\nzone = "America/Chicago"\n', False),
    ):
        (tmp_path / "site.toml").write_text(settings, encoding="utf-8")
        (tmp_path / "t.toml").write_text(tables, encoding="utf-8")
        assert run(["--config", "site.toml", "config", "check"]) == Exit.OK
        assert (told in capsys.readouterr().err) is said, settings


def test_a_shortened_number_is_refused_when_it_is_typed_as_it_is_in_a_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for value in ("4.71E+06", "1" * 40, "1,5"):
        assert run(["readings", "enter", "M1", f"M1-R={value}"]) == Exit.INVALID
        told = capsys.readouterr().err
        assert "M1-R: " in told
        assert value[:40] in told


def test_config_check_reads_the_files_that_the_settings_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "openway.toml").write_text('[orders]\nfile = "orders.toml"\n', encoding="utf-8")
    orders = tmp_path / "orders.toml"
    orders.write_text(
        "[[orders.orchestration.cut]]\ntype = 'D1-UPDDVC'\nrows = ['spTypeCategory=D1XX']\n",
        encoding="utf-8",
    )
    assert run(["config", "check"]) == Exit.SETTINGS
    told = capsys.readouterr().err
    assert "orders.orchestration.cut, algorithm 1: D1-UPDDVC, row 1: spTypeCategory=D1XX" in told
    orders.write_text("", encoding="utf-8")
    assert run(["config", "check"]) == Exit.OK


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[contract]\nwsdl = "none"\n', "contract.wsdl: "),
        ('[replies]\nca_file = "none.pem"\n', "replies.ca_file: "),
        ('[listener.tls]\ncertificate_file = "a.pem"\nkey_file = "b"\n', "listener.tls: "),
        ('[head_end.tls]\nca_file = "none.pem"\n', "head_end.tls.ca_file"),
        ('[intake]\ntables = "none.toml"\n', "intake.tables: "),
    ],
)
def test_what_serve_refuses_config_check_refuses_with_the_same_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    head_end = '[head_end]\nbase_url = "http://127.0.0.1:9"\n'
    (tmp_path / "openway.toml").write_text(head_end + text, encoding="utf-8")
    checked, told = run(["config", "check"]), capsys.readouterr().err
    served, refused = run(["serve"]), capsys.readouterr().err
    assert says in told
    assert (served, refused.splitlines()[-1]) == (checked, told.splitlines()[-1])


def test_config_show_masks_secrets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENWAY_API_KEY", "canary")
    told = json.loads(output(capsys, "config", "show", "--json"))
    assert told["api.key_file"] == {"value": "***", "origin": "OPENWAY_API_KEY"}
    assert "canary" not in output(capsys, "config", "show", "--given")


def test_a_new_key_is_written_into_its_file_and_tokens_in_it_are_hashed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "openway.toml").write_text('[api]\nkeys_file = "keys.txt"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    new = ("config", "new-key", "ann", "read", "--append", "--json")
    made = json.loads(output(capsys, *new, "--expires", "2030-01-01T00:00:00Z"))
    file = tmp_path / "keys.txt"
    assert file.read_text(encoding="utf-8") == f"{made['line']}\n"
    assert made["line"].endswith("expires=2030-01-01T00:00:00+00:00")
    assert (made["token"] in made["line"], file.stat().st_mode & 0o777) == (False, 0o600)
    with file.open("a", encoding="utf-8") as out:
        out.write(f"bob read {'b' * 40}\n")
    assert "1 token hashed" in output(capsys, "config", "hash-keys")
    assert "b" * 40 not in file.read_text(encoding="utf-8")
    before = file.read_bytes()
    for wrong in (
        ("ann", "read", "king"),
        ("ann", "switch", "approve"),
        ("Ann", "read"),
        ("carl", "read", "--expires", "2020-01-01T00:00:00Z"),
    ):
        assert run(["config", "new-key", *wrong, "--append"]) == Exit.INVALID, wrong
    assert file.read_bytes() == before
    (tmp_path / "openway.toml").write_text("", encoding="utf-8")
    assert run(["config", "new-key", "ann", "read", "--append"]) == Exit.SETTINGS


def test_a_new_key_is_taken_by_the_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = json.loads(output(capsys, "config", "new-key", "ann", "read", "switch", "--json"))
    assert made["token"] not in made["line"]
    monkeypatch.setenv("OPENWAY_API_KEYS", made["line"])
    assert "1 setting given" in output(capsys, "config", "check")
    assert run(["config", "new-key", "ann", "king"]) == Exit.INVALID
    assert run(["config", "new-key", "ann", "switch", "approve"]) == Exit.INVALID

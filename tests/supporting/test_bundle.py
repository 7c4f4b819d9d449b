"""A support bundle: everything that helps is in it, and nothing that names anybody."""

import base64
import json
import platform
import uuid
import zipfile
import zlib
from importlib.metadata import version
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
import pytest
from lxml import etree

from adapter import __version__
from adapter.cli.output import Exit
from adapter.model.ids import is_sortable_id
from adapter.simulator.settings import SimulatorConfig
from adapter.support.pseudonyms import Pseudonyms, key_of
from adapter.support.redaction import NUMERIC, Redaction
from adapter.web.api.routes import ROUTES
from tests.cli.running_service import ADMIN, Service, Terminal, serving
from tests.replay.recordings import FIXTURES
from tests.support import for_every
from tests.supporting.secrets_within import forms_of, found_in, opened

SERIAL = "ZQX-4711-KESTREL"
PERSON = "Wilhelmina Brodersen"
USER = "headendlogin77"
SECRET = "correct-horse-battery-77"
HOST = "meters.stadtwerke-quux.example"
KEY_NAME = "wilhelminab"
TOKEN = "t0ken-of-wilhelmina-" + "7" * 32
STREET = "17 Gossamer Lane"
OF_THE_SIMULATOR = ("M700001", "M700002", "SP700001", "15.243.700001", "15.243.700002")
PLANTED = (SERIAL, PERSON, USER, SECRET, HOST, STREET, *OF_THE_SIMULATOR, KEY_NAME)
"""What stands in the site, in settings, master data, requests, faults and the log."""

_HIDDEN = (
    base64.b64encode(SERIAL.encode()).decode(),
    base64.b64encode(zlib.compress(f"meter {SERIAL} of {PERSON}".encode())).decode(),
    quote(f"{PERSON} {SERIAL}"),
    "".join(f"&#x{ord(each):X};" for each in SERIAL),
    SERIAL.encode().hex(),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("site")


def prepared(folder: Path, terminal: Terminal, service: Service) -> tuple[str, str]:
    """Ids of a command that succeeded and of one that was refused and given up."""
    rows = json.loads(service.devices_file.read_text())
    rows["devices"][0]["serial"] = SERIAL
    rows["devices"][1]["groups"] = [STREET]
    service.devices_file.write_text(json.dumps(rows))
    terminal.as_(ADMIN)("devices", "import", str(service.devices_file))
    terminal.as_(TOKEN)
    done = terminal(
        "command", "submit", "remote_disconnect", "M700001", "--wait", "30",
        "--reference", f"{PERSON}, {STREET}", "--idempotency-key", SERIAL, "--json",
    )  # fmt: skip
    assert done.json["outcome"] == "succeeded", done
    failed = terminal(
        "command", "submit", "load_check", "M700002", "--wait", "30",
        "--reference", _HIDDEN[0], "--json",
    )  # fmt: skip
    assert failed.json["state"] != "completed"
    reason = f"{PERSON} says no: {_HIDDEN[0]} {_HIDDEN[2]}"
    waits = terminal("command", "submit", "remote_connect", "M700003", "--json").json["id"]
    discarded = terminal("command", "discard", str(waits), "--reason", reason)
    assert discarded.code == Exit.OK, discarded
    stopped = terminal.as_(ADMIN)("switching", "stop", "--reason", reason)
    assert stopped.code == Exit.OK, stopped
    terminal.as_(TOKEN)
    lines = (
        {"event": "x", "text": f"refused {SERIAL} of {PERSON.lower()} at http://{HOST}/{SERIAL}"},
        {"event": "y", "detail": _HIDDEN[1], "customer": STREET, "user": USER},
    )
    log = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "log").write_text(f"{log}no json: {PERSON} {_HIDDEN[2]} {SECRET}\n")
    return str(done.json["id"]), str(failed.json["id"])


def settings(folder: Path) -> str:
    (folder / "password").write_text(SECRET)
    (folder / "password").chmod(0o600)
    return (
        f'[head_end.basic]\nuser = "{USER}"\npassword_file = "password"\n'
        f'[events]\nsource = "https://{HOST}/{USER}"\n'
    )


def test_nothing_that_was_planted_is_found_in_any_form(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = {
        "effect": "fault",
        "operation": "DetectLoadSideVoltageByMeter*",
        "fault": "ArgumentFault",
        "text": f"no meter {SERIAL} of {PERSON} ({_HIDDEN[0]}) at {STREET}",
    }
    head_end = SimulatorConfig.read({"script": [fault]})
    with serving(site, more=settings(site), head_end=head_end, keys=_key()) as service:
        terminal = Terminal(capsys, monkeypatch, service.api_url)
        done, failed = prepared(site, terminal, service)
        ask = terminal.as_(TOKEN)
        order = terminal("order", "submit", "cut", "SP700005", "--reference", PERSON, "--json")
        terminal("order", "show", str(order.json["id"]), "--wait", "20")
        files = []
        for name, scope in (
            ("hour", ()),
            ("command", ("--command", failed)),
            ("order", ("--order", str(order.json["id"]))),
        ):
            file = site / f"{name}.zip"
            told = ask(
                "--config", str(site / "openway.toml"), "support-bundle", str(file), *scope,
                "--log", str(site / "log"), "--names", str(site / f"{name}.names"),
            )  # fmt: skip
            assert told.code == Exit.OK, told
            assert told.out.startswith(f"{file}: {_documents_of(file)} documents")
            files.append(file)
        for file in files:
            assert not found_in(opened(file), PLANTED)
            assert file.stat().st_mode & 0o777 == 0o600
        names = json.loads((site / "hour.names").read_text())
        assert SERIAL in names.values()
        assert done in names.values()
        assert (site / "gateway.pseudonyms.key").stat().st_mode & 0o777 == 0o600
        with zipfile.ZipFile(files[2]) as archive:
            about = json.loads(archive.read("order.json"))
            assert about["order"]["kind"] == "cut"
            assert any(name.startswith("commands/") for name in archive.namelist())
        _helps(files[0], {known: pseudonym for pseudonym, known in names.items()}, done)


def _key() -> str:
    return f"{KEY_NAME} operate,switch,metrics {TOKEN}\n"


def _helps(file: Path, names: dict[str, str], done: str) -> None:
    """What is left is enough to see what happened; one input has one pseudonym everywhere."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name).decode() for name in archive.namelist()}
    command = json.loads(members[f"commands/{names[done]}.json"])
    shown = command["command"]
    assert shown["id"] == names[done]
    assert (shown["kind"], shown["outcome"]) == ("remote_disconnect", "succeeded")
    assert shown["devices"] == [names["M700001"]]
    assert [entry["action"] for entry in command["history"]][-1] == "CompletionExecuted"
    bodies = [message["body"] for message in command["messages"]]
    assert any("DisconnectMeter" in body for body in bodies)
    esn = names["2.16.840.1.114416.15.243.700001"]
    assert any(esn in body for body in bodies)
    audit = json.loads(members["audit.json"])
    assert any(entry["subject"] == names[done] for entry in audit)
    found = {row["setting"]: row["value"] for row in json.loads(members["settings.json"])}
    assert found["engine.concurrency"] == "64"
    assert found["head_end.basic.user"] == names[USER]
    versions = json.loads(members["versions.json"])
    assert versions["openway"] == __version__
    assert versions["python"] == platform.python_version()
    assert versions["aiohttp"] == version("aiohttp")
    assert versions["platform"] == f"{platform.system()} {platform.machine()}"
    assert names[SERIAL] in members["log.txt"]


def _documents_of(file: Path) -> int:
    """As many as the manifest says."""
    with zipfile.ZipFile(file) as archive:
        count = len(archive.namelist())
        assert json.loads(archive.read("manifest.json"))["documents"] == count
    return count


def test_a_file_that_is_there_is_kept_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "case.zip"
    file.write_text("another case")
    told = Terminal(capsys, monkeypatch, "http://127.0.0.1:9")("support-bundle", str(file))
    assert told.code == Exit.CONFLICT
    assert f"{file} is there already" in told.err
    assert file.read_text() == "another case"


def test_the_same_key_gives_the_same_pseudonyms_and_another_key_others(tmp_path: Path) -> None:
    made = key_of(tmp_path / "a")
    assert (made, len(made)) == (key_of(tmp_path / "a"), 64)
    assert made != key_of(tmp_path / "b")
    # Keys that are the same each time: of short numbers, one in some thousand is met by chance.
    key, other = b"a" * 32, b"b" * 32
    for text in (
        "ZQX-4711", "01kjprzb00v3rs3dtr98h6bcfn", "31c0b244-2e4f-4189-a13b-889b7b4d6252",
        "4711", "2.16.840.1.114416.15.243.700001", "Straße 1", "10.0.0.1",
    ):  # fmt: skip
        mine = Pseudonyms(key).of(text)
        assert mine == Pseudonyms(key).of(text)
        assert mine != Pseudonyms(other).of(text)
        assert text not in mine


def test_ids_tokens_and_endpoints_keep_their_shape(tmp_path: Path) -> None:
    made = Pseudonyms(key_of(tmp_path / "key"))
    assert is_sortable_id(made.of("01kjprzb00v3rs3dtr98h6bcfn"))
    assert made.of("01kjprzb00v3rs3dtr98h6bcfn").startswith("01kjprzb00")
    assert uuid.UUID(made.of("31c0b244-2e4f-4189-a13b-889b7b4d6252")).version == 4
    assert made.of("4711").isdigit()
    assert made.of("2.16.840.1.114416.15.243.700001").startswith("2.16.840.1.")


def test_what_no_field_names_is_kept_only_where_it_is_the_programs_own_word() -> None:
    redaction = Redaction(Pseudonyms(b"k" * 32))
    redaction.learn({"requester": "ann", "device": "M4711"})
    told = redaction.program_text("the key of ann is refused for M4711: HTTP 500, 3 of 7 meters")
    assert "the key of" in told
    assert "HTTP 500, 3 of 7 meters" in told
    assert "ann" not in told.split()
    assert "M4711" not in told
    shown = redaction.document({"state": "completed", "note": "completed by Meyer", "n": 5})
    assert shown == {"state": "completed", "note": redaction.name("completed by Meyer"), "n": 5}


def test_a_message_that_is_no_xml_is_left_out_and_one_that_is_keeps_what_it_means() -> None:
    redaction = Redaction(Pseudonyms(b"k" * 32))
    assert redaction.message(b"user=meyer&x=1") == b"left out: 14 bytes that are no XML"
    raw = (
        b'<a xmlns="u:x"><!-- meyer --><State>Completed</State><Count who="meyer">5</Count>'
        b"<ElectronicSerialNumber>4711</ElectronicSerialNumber><Start>2026-03-02T08:00:00Z</Start>"
        b"<MacAddress>4711</MacAddress><Other><![CDATA[meyer]]></Other></a>"
    )
    told = redaction.message(raw)
    assert b"<State>Completed</State>" in told
    assert b"<Start>2026-03-02T08:00:00Z</Start>" in told
    assert b"meyer" not in told
    assert b"4711" not in told


@for_every(
    "value",
    (
        {"meter": 700123456},
        {"event": "read", "device": 700123456, "n": 1},
        {"fields": [{"esn": 700123456}]},
        {"at": [700123456]},
        {"level": "info", "reading": 700123456.0},
        {"700123456": "refused"},
        {"x": -700123456},
    ),
    ids=str,
)
def test_a_number_of_a_log_line_that_may_be_a_meters_has_a_pseudonym(value: object) -> None:
    shown = Redaction(Pseudonyms(b"k" * 32)).line(json.dumps(value))
    assert "700123456" not in shown
    assert json.loads(shown)


def test_what_counts_or_measures_stays_in_a_log_line() -> None:
    line = {"count": 700123456, "bytes": 65_536, "waited_s": 1234.5, "n": 999, "on": True}
    assert json.loads(Redaction(Pseudonyms(b"k" * 32)).line(json.dumps(line))) == line


_NOT_NUMERIC: Final = frozenset(
    {
        "id", "devices", "meters", "service_points", "number", "values", "payload", "payloads",
        "known", "inbox", "new", "read", "asked", "part", "cell", "whole", "quantities",
        "storm_rules", "states", "by_reason", "conditions",
    }
)  # fmt: skip
"""Numeric fields of the API whose names a stranger's log may give to a meter."""


def test_every_number_of_the_api_is_known_for_one_or_has_a_pseudonym() -> None:
    names: set[str] = set()
    for route in ROUTES:
        _numeric(msgspec.inspect.type_info(route.gives), names, set())
    assert names - NUMERIC == _NOT_NUMERIC
    assert "count" in names


def _numeric(shape: msgspec.inspect.Type, names: set[str], seen: set[type]) -> bool:
    """Whether it is a number, or several; the names of fields of such are added."""
    inner: list[msgspec.inspect.Type] = []
    match shape:
        case msgspec.inspect.IntType() | msgspec.inspect.FloatType():
            return True
        case msgspec.inspect.StructType(cls=cls) | msgspec.inspect.DataclassType(cls=cls):
            if cls not in seen:
                seen.add(cls)
                names |= {f.encode_name for f in shape.fields if _numeric(f.type, names, seen)}
            return False
        case msgspec.inspect.UnionType(types=types):
            inner += types
        case msgspec.inspect.Metadata(type=one):
            inner.append(one)
        case msgspec.inspect.DictType(value_type=one):
            inner.append(one)
        case msgspec.inspect.TupleType(item_types=types):
            inner += types
        case msgspec.inspect.CollectionType(item_type=one):
            inner.append(one)
    found = [_numeric(each, names, seen) for each in inner]  # all of them: each adds names
    return any(found)


_ENVELOPE: Final = "http://schemas.xmlsoap.org/soap/envelope/"


@for_every(
    "raw",
    (
        "<{name}/>",
        "<a><{name}>5</{name}></a>",
        '<a {name}="1"/>',
        '<a xmlns:p="urn:{name}"><p:State>Completed</p:State></a>',
        '<p:Envelope xmlns:p="'
        + _ENVELOPE
        + '"><p:Body><{name} xmlns="urn:x"/></p:Body></p:Envelope>',
        '<a xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:{name}="true"/>',
        '<a xmlns:{name}="urn:q"/>',
    ),
    ids=str,
)
def test_names_of_elements_that_are_not_of_the_contract_have_pseudonyms(raw: str) -> None:
    redaction = Redaction(Pseudonyms(b"k" * 32))
    for name in ("Brodersen", "Meter_700123456", "M700123456.Kestrel"):
        shown = redaction.message(raw.replace("{name}", name).encode())
        assert name.encode() not in shown
        assert etree.fromstring(shown) is not None


def test_names_of_the_contract_stay_in_every_recorded_message() -> None:
    redaction = Redaction(Pseudonyms(b"k" * 32))
    for file in sorted(FIXTURES.glob("remote_*/*/*.xml")):
        before = etree.fromstring(file.read_bytes())
        after = etree.fromstring(redaction.message(file.read_bytes()))
        assert [each.tag for each in before.iter()] == [each.tag for each in after.iter()], file


def test_the_search_finds_what_is_hidden_in_each_of_its_forms(tmp_path: Path) -> None:
    for number, content in enumerate(
        (
            *forms_of(SERIAL),
            *(each.encode() for each in _HIDDEN),
            base64.b64encode(base64.b64encode(f"a longer text with {SERIAL} in it".encode())),
        )
    ):
        file = tmp_path / f"{number}.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.txt", b"before " + content + b" after")
        assert found_in(opened(file), [SERIAL]), content


def test_a_line_nested_too_deep_a_secret_and_a_coordinate_are_not_shown() -> None:
    redaction = Redaction(Pseudonyms(b"k" * 32))
    assert redaction.line("[" * 100_000).startswith("left out")
    shown = redaction.line('{"password": "connect", "pin": 123, "count": 4915112345678}')
    assert "connect" not in shown
    assert "123" not in json.loads(shown)["pin"]
    assert json.loads(shown)["count"] != 4915112345678
    assert "51.507351" not in redaction.program_text("at 51.507351")
    assert "51.507351" not in redaction.line('{"lat": 51.507351}')
    shown = redaction.program_text("from 10.1.2.3 call 555 123 4567")
    assert "10.1.2" not in shown
    assert "555" not in shown.split()

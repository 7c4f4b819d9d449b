"""`openway wsdl fetch` saves what a running service serves so that it can be read from disk."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from lxml import etree

from adapter.cli import run as openway
from adapter.cli.output import Exit
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.catalog import Catalog
from adapter.wire.served import served_by_head_end
from tests.wire.bodies import WSDL

XS = "http://www.w3.org/2001/XMLSchema"
SCHEMA = f'<xs:schema xmlns:xs="{XS}" targetNamespace="urn:%s" elementFormDefault="qualified">%s'
ROOT = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:s"
 xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" targetNamespace="urn:s" name="S">
 %s
 <binding name="B" type="t:ControlService">
  <soap:binding transport="http://schemas.xmlsoap.org/soap/http"/>
  <operation name="Go"><soap:operation soapAction="urn:go" style="document"/>
   <input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation>
 </binding>
 <service name="S"><port name="P" binding="t:B"><soap:address location="http://h/S"/></port></service>
</definitions>"""
PORT_TYPE = f"""<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:t="urn:s"
 xmlns:a="urn:a" xmlns:xs="{XS}" targetNamespace="urn:s">
 <types><xs:schema>
  <xs:import schemaLocation="http://INSIDE:81/S.svc?xsd=xsd0" namespace="urn:a"/>
  <xs:import schemaLocation="/a%20b/S.svc?xsd=xsd1" namespace="urn:b"/>
 </xs:schema></types>
 <message name="In"><part name="p" element="a:Go"/></message>
 <message name="Out"><part name="p" element="a:GoResponse"/></message>
 <portType name="ControlService"><operation name="Go">
  <input message="t:In"/><output message="t:Out"/></operation></portType>
</definitions>"""
PAGES = {
    "/S.svc?wsdl": ROOT % '<import namespace="urn:s" location="/S.svc?wsdl=wsdl0"/>',
    "/S.svc?wsdl=wsdl0": PORT_TYPE,
    "/S.svc?xsd=xsd0": SCHEMA % ("a", '<xs:import namespace="urn:b" schemaLocation="?xsd=xsd1"/>')
    + '<xs:element name="Go"/><xs:element name="GoResponse"/></xs:schema>',
    "/S.svc?xsd=xsd1": SCHEMA % ("b", "") + "</xs:schema>",
    "/a%20b/S.svc?xsd=xsd1": SCHEMA % ("b", "") + "</xs:schema>",
    "/loop?wsdl": ROOT % '<import namespace="urn:s" location="?wsdl"/>',
    "/page?wsdl": "<html/>",
    "/text?wsdl": "no XML",
    "/disk?wsdl": ROOT % '<import namespace="urn:s" location="file:///etc/passwd"/>',
    "/bad?wsdl": ROOT % '<import namespace="urn:s" location="http://["/>',
    "/doctype?wsdl": "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
}


@contextmanager
def serving(pages: Mapping[str, str]) -> Iterator[str]:
    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            self.send_response(404 if page is None else 200)
            self.end_headers()
            self.wfile.write((page or "").encode())

        def log_message(self, *_: object) -> None:
            """The test says what matters."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def test_what_the_simulated_head_end_serves_is_saved_and_carries_all_commands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {spec.path for spec in served_by_head_end(Catalog.load())}
    folder = str(tmp_path / "theirs")
    async with Simulator(SimulatorConfig(population=PopulationPlan(count=1))) as simulator:
        urls = [f"{simulator.url}{path}" for path in sorted(paths)]
        arguments = ["wsdl", "fetch", *urls, "--to", folder, "--json"]
        assert await asyncio.to_thread(openway, arguments) == Exit.OK
    names = json.loads(capsys.readouterr().out)["files"]
    assert "control.wsdl" in names
    assert any(name.startswith("imported/control-xsd") for name in names)
    assert openway(["wsdl", "check", folder]) == Exit.OK
    assert "all 12 commands can be carried" in capsys.readouterr().out
    for name in names:
        assert b"127.0.0.1" not in b"".join(
            line for line in (tmp_path / "theirs" / name).read_bytes().split(b"\n")
            if b"schemaLocation" in line
        )  # fmt: skip


def test_locations_by_query_on_another_host_and_in_circles_become_relative(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "theirs"
    with serving(PAGES) as url:
        assert openway(["wsdl", "fetch", f"{url}/S.svc", "--to", str(folder)]) == Exit.OK
    told = capsys.readouterr()
    assert told.out.split() == [
        str(folder / name)
        for name in (
            "S.wsdl",
            "imported/S-wsdl0.part.wsdl",
            "imported/S-xsd0.xsd",
            "imported/S-xsd1.xsd",
            "imported/S-xsd1-2.xsd",
        )
    ]
    assert "asked for at the host that was named: http://INSIDE:81/S.svc?xsd=xsd0" in told.err
    loaded = Catalog.load(folder)
    assert loaded.spec("ControlService.Go").soap_action == "urn:go"


def test_a_document_that_imports_itself_is_one_file(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    with serving(PAGES) as url:
        assert openway(["wsdl", "fetch", f"{url}/loop", "--to", str(folder)]) == Exit.OK
    assert 'location="loop.wsdl"' in (folder / "loop.wsdl").read_text()


def test_a_single_wsdl_is_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    single = etree.tostring(_single()).decode()
    folder = tmp_path / "theirs"
    with serving({"/C.svc?singleWsdl": single}) as url:
        assert openway(["wsdl", "fetch", f"{url}/C.svc?singleWsdl", "--to", str(folder)]) == Exit.OK
    assert [file.name for file in folder.iterdir()] == ["C.wsdl"]
    capsys.readouterr()
    assert openway(["wsdl", "check", str(folder / "C.wsdl")]) == Exit.WITHOUT_SUCCESS
    assert "nothing that is in it breaks a command" in capsys.readouterr().out


def _single() -> etree._Element:
    root = etree.parse(WSDL / "control.wsdl").getroot()
    (types,) = root.iterfind("{http://schemas.xmlsoap.org/wsdl/}types")
    types.clear()
    for file in sorted((WSDL / "xsd").glob("*.xsd")):
        schema = etree.parse(file).getroot()
        for inner in schema.iterfind(f"{{{XS}}}import"):
            del inner.attrib["schemaLocation"]
        types.append(schema)
    return root


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/none", Exit.UNREACHABLE, "answered 404"),
        ("/page", Exit.INVALID, "is not a WSDL but html"),
        ("/text", Exit.INVALID, "is no XML"),
        ("/disk", Exit.INVALID, "'file:///etc/passwd' is not on the web"),
        ("/bad", Exit.INVALID, "'http://[' is no URL"),
        ("/doctype", Exit.INVALID, "document type"),
    ],
)
def test_where_a_document_is_missing_or_wrong_it_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str, code: Exit, words: str
) -> None:
    folder = tmp_path / "theirs"
    with serving({key: page for key, page in PAGES.items() if "xsd" not in key}) as url:
        got = openway(["wsdl", "fetch", f"{url}{path}", "--to", str(folder)])
    told = capsys.readouterr()
    assert (got, told.out) == (code, "")
    assert words in told.err
    assert "openway serve" not in told.err, "it is not the gateway that was asked"
    assert not folder.exists()


@pytest.mark.parametrize(
    "url", ["ftp://h/a", "file:///etc/passwd", "h/a", "http://", "http://h:x/", "http://u:p@h/a"]
)
def test_what_is_no_web_address_is_refused(tmp_path: Path, url: str) -> None:
    assert openway(["wsdl", "fetch", url, "--to", str(tmp_path / "theirs")]) == Exit.INVALID


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "control.wsdl").write_text("ours")
    with serving(PAGES) as url:
        assert openway(["wsdl", "fetch", f"{url}/S.svc", "--to", str(tmp_path)]) == Exit.INVALID
    assert [file.name for file in tmp_path.iterdir()] == ["control.wsdl"]

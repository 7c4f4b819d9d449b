"""The pages of a contract, whatever files it came from, say what the files say."""

import re
import shutil
from pathlib import Path

import pytest
from lxml import etree

from adapter.model.values import replace
from adapter.wire.catalog import Catalog
from adapter.wire.notifications import STATUS_CHANGED
from adapter.wire.served import ServedContract, base_address, contract_pages
from adapter.wire.tools.saved_documents import SavedDocuments
from tests.support import for_every
from tests.wire.bodies import WSDL, catalog
from tests.wire.test_port_types import BINDING, SERVICE, only_port_types

XS = "http://www.w3.org/2001/XMLSchema"
ADDRESS = "http://headend.example:8103"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WSDL, tmp_path / "wsdl"))


def saved(contract: Catalog, folder: Path, query: str) -> Catalog:
    """What is read again of what `openway wsdl fetch` saves of the head end's pages."""
    pages = contract_pages(contract)

    def read(url: str) -> bytes:
        path, _, asked = url.removeprefix(ADDRESS).partition("?")
        name, _, value = asked.partition("=")
        page = pages[path].page({name: value}, address=ADDRESS + path)
        assert page is not None
        return page

    documents = SavedDocuments(read)
    documents.fetch(f"{ADDRESS}{path}?{query}" for path in pages)
    for name, content in documents.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return Catalog.load(folder)


def inline(file: Path) -> None:
    """The schemas inside of the WSDL, as they stand in files."""
    tree = etree.parse(file)
    text = file.read_text()
    inside = []
    for schema in sorted((file.parent / "xsd").glob("*.xsd")):
        root = etree.parse(schema).getroot()
        for each in root.iterfind(f"{{{XS}}}import"):
            each.attrib.pop("schemaLocation", "")
        inside.append(etree.tostring(root, encoding="unicode"))
    assert tree.getroot().tag.endswith("definitions")
    start, end = text.index("<wsdl:types>"), text.index("</wsdl:types>")
    file.write_text(f"{text[:start]}<wsdl:types>{''.join(inside)}{text[end:]}")


def split(file: Path) -> None:
    """The port type in a file of its own, in a namespace of its own for the rest, as WCF does."""
    text, part = file.read_text(), file.with_suffix(".part.xml")
    part.write_text(SERVICE.sub("", BINDING.sub("", text)))
    namespace = text.split('targetNamespace="')[1].split('"')[0]
    start, end = text.index("<wsdl:types>"), text.index("<wsdl:binding ")
    imported = f'<wsdl:import namespace="{namespace}" location="{part.name}"/>'
    head = text[:start].replace(f'targetNamespace="{namespace}"', 'targetNamespace="urn:t"')
    rest = re.sub(r'(<wsdl:port [^>]*binding=")\w+:', r"\1t:", text[end:])
    file.write_text(head.replace("<wsdl:definitions", '<wsdl:definitions xmlns:t="urn:t"', 1)
                    + imported + rest)  # fmt: skip


def included(file: Path) -> None:
    """A schema in two files, the second of which has no namespace of its own."""
    schema = file.parent / "xsd" / "ctl.xsd"
    text = schema.read_text()
    added = '<xs:complexType name="Part"><xs:sequence/></xs:complexType>'
    (schema.parent / "part.xsd").write_text(
        f'<xs:schema xmlns:xs="{XS}" elementFormDefault="qualified">{added}'
        '<xs:element name="PartOf" type="Part"/></xs:schema>'
    )
    end = text.index(">", text.index("<xs:schema")) + 1
    imports = [found.end() for found in re.finditer(r"<xs:import [^>]*/>", text)]
    at = imports[-1] if imports else end
    schema.write_text(f'{text[:at]}<xs:include schemaLocation="part.xsd"/>{text[at:]}')


@for_every("form", ["as they are", "port types", "inline", "split", "included"])
def test_what_is_served_is_read_again_as_what_it_was_written_from(
    tmp_path_factory: pytest.TempPathFactory, form: str
) -> None:
    place = tmp_path_factory.mktemp("served")
    copy = Path(shutil.copytree(WSDL, place / "wsdl"))
    if form == "port types":
        only_port_types(copy)
    changed = {"inline": inline, "split": split, "included": included}.get(form)
    for file in copy.glob("*.wsdl") if changed is not included else [copy / "control.wsdl"]:
        if changed is not None:
            changed(file)
    theirs = Catalog.load(copy)
    for query in ("wsdl", "singleWsdl"):
        again = saved(theirs, place / f"saved by {query}", query)
        assert {
            key: replace(spec, faults=tuple(sorted(spec.faults)))
            for key, spec in again.operations.items()
            if spec.path.startswith("/ami")
        } == {
            key: replace(spec, faults=tuple(sorted(spec.faults)))
            for key, spec in catalog().operations.items()
            if spec.path.startswith("/ami")
        }
        assert again.remarks == ()


def test_a_service_that_the_head_end_calls_is_left_out_of_a_file_that_has_others(
    copy: Path,
) -> None:
    whole = etree.parse(copy / "common.wsdl").getroot()
    for part in etree.parse(copy / "request-status-changed.wsdl").getroot():
        if not str(part.tag).endswith("}types"):
            whole.append(part)
    (copy / "request-status-changed.wsdl").unlink()
    (copy / "common.wsdl").write_bytes(etree.tostring(whole))
    loaded = Catalog.load(copy)
    page = contract_pages(loaded)["/ami/2008/10/common"].page({"wsdl": ""}, address="http://h/x")
    assert page is not None
    assert b"RequestStatusChangedService" not in page
    ours = ServedContract(loaded, [STATUS_CHANGED]).page({"wsdl": ""}, address="http://h/x")
    assert ours is not None
    assert b"GetRequestStatus" not in ours


def test_an_address_with_marks_of_xml_stays_an_address() -> None:
    page = ServedContract(catalog(), [STATUS_CHANGED]).page(
        {"wsdl": ""}, address='http://h/<x a="b">&c'
    )
    assert page is not None
    (address,) = etree.fromstring(page).iter("{http://schemas.xmlsoap.org/wsdl/soap/}address")
    assert address.get("location") == 'http://h/<x a="b">&c'


@for_every(
    ("host", "address"),
    [
        ("gw.example:8101", "http://gw.example:8101"),
        ("[::1]:80", "http://[::1]:80"),
        ("", "else"),
        (None, "else"),
        ("a b", "else"),
        ("u@h", "else"),
        ("h/p", "else"),
        ('h"', "else"),
        ("é", "else"),
    ],
)
def test_an_address_is_made_of_a_host_alone(host: str | None, address: str) -> None:
    assert base_address("http", host, otherwise="else") == address

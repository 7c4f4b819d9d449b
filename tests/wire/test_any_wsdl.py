"""Whatever a WSDL says, checking it ends in findings or in a refusal that names the file."""

import json
import random
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
from lxml import etree

from adapter.cli import run as openway
from adapter.cli.output import Exit
from adapter.commands.flows import Operation
from adapter.errors import ContractError
from adapter.wire.catalog import Catalog
from adapter.wire.tools.json_form import check, check_subscribing
from tests.support import for_every
from tests.wire.bodies import WSDL

XS = "{http://www.w3.org/2001/XMLSchema}"
FILES = ("common.wsdl", "diagnostic.wsdl", "provisioning.wsdl", "event-subscriber.wsdl")
SCHEMA_WORDS = (
    *("choice", "all", "any", "sequence", "group", "attribute", "element", "complexType", "union"),
    *("simpleType", "extension", "restriction", "list", "anyAttribute", "complexContent"),
    *("annotation", "redefine", "include", "import", "unique"),
)
ATTRIBUTES = (
    "name",
    "ref",
    "type",
    "base",
    "minOccurs",
    "maxOccurs",
    "namespace",
    "schemaLocation",
)
VALUES = (
    *("", " ", "x:y", "tns:none", "xs:nothing", "unbounded", "-1", "99999999999", "rpc", "é"),
    *("{a}b", ":", "http://[", "http://h:99999/x", "../x.xsd", "file:///etc/passwd"),
)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(WSDL, tmp_path / "wsdl"))


def change(root: etree._Element, chance: random.Random) -> None:
    """One change of any kind anywhere."""
    nodes = list(root.iter("*"))
    node, other, kind = chance.choice(nodes), chance.choice(nodes), chance.randrange(6)
    above = node.getparent()
    if kind == 0 and above is not None:
        above.remove(node)
    elif kind == 1 and above is not None:
        above.insert(chance.randrange(len(above) + 1), deepcopy(node))
    elif kind == 2:
        new = etree.SubElement(node, XS + chance.choice(SCHEMA_WORDS))
        node.insert(chance.randrange(len(node) + 1), new)
        new.set(chance.choice(ATTRIBUTES), chance.choice((*VALUES, other.get("name") or "")))
    elif kind == 3:
        node.tag = XS + chance.choice(SCHEMA_WORDS) if XS in str(node.tag) else other.tag
    elif node.attrib:
        name = chance.choice(list(node.attrib))
        node.set(name, other.get(name) or chance.choice(VALUES))


def refusal(file: Path) -> str:
    """Why it could not be checked; "" where it was."""
    try:
        check(file)
        check_subscribing(file)
    except ContractError as error:
        return str(error)
    return ""


@for_every("seed", range(60))
def test_a_wsdl_that_is_changed_anywhere_ends_in_a_report(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random.Random(seed)
    place = Path(shutil.copytree(WSDL, tmp_path_factory.mktemp("any") / "wsdl"))
    file = place / chance.choice(FILES)
    changed = chance.choice([file, file, *sorted((place / "xsd").glob("*.xsd"))])
    tree = etree.parse(changed)
    for _ in range(chance.randrange(1, 6)):
        change(tree.getroot(), chance)
    tree.write(changed)
    assert file.name in (refusal(file) or file.name)


def test_what_the_reader_goes_on_without_is_said_in_its_words_and_costs_its_operation(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = copy / "common.wsdl"
    file.write_text(file.read_text().replace('element="com:CancelRequest"', 'element="com:Gone"'))
    assert openway(["wsdl", "check", str(file), "--json"]) == Exit.WITHOUT_SUCCESS
    told = capsys.readouterr()
    assert {row["operation"] for row in json.loads(told.out)["findings"]} == {
        Operation.CANCEL_REQUEST
    }
    assert told.err.startswith("common.wsdl: ")
    assert "CancelRequest" in told.err
    assert "UserWarning" not in told.err


def test_types_in_types_each_twice_end_and_cost_only_their_operation(copy: Path) -> None:
    file = copy / "xsd" / "com.xsd"
    text = file.read_text()
    start = text.index('<xs:complexType name="GroupRequest">')
    end = text.index("</xs:complexType>", start)
    namespace = text.split('targetNamespace="')[1].split('"')[0]
    deep = "".join(
        f'<xs:complexType name="D{n}" xmlns:d="{namespace}"><xs:sequence>'
        f'<xs:element name="a" type="d:D{n + 1}"/><xs:element name="b" type="d:D{n + 1}"/>'
        "</xs:sequence></xs:complexType>"
        for n in range(20)
    )
    last = '<xs:complexType name="D20"><xs:sequence/></xs:complexType>'
    mine = f'<xs:element xmlns:d="{namespace}" name="Deep" type="d:D0"/></xs:sequence>'
    body = text[start:end].replace("</xs:sequence>", mine)
    assert body != text[start:end]
    file.write_text(text[:start] + deep + last + body + text[end:])
    loaded = Catalog.load(copy)
    with pytest.raises(ContractError, match="too many elements"):
        loaded.spec(Operation.INTERROGATE_GROUP)
    assert loaded.spec(Operation.DISCONNECT_METER).name == "DisconnectMeter"


def test_a_wsdl_that_imports_itself_by_ever_longer_names_ends(copy: Path) -> None:
    file = copy / "common.wsdl"
    file.write_text(
        file.read_text().replace(
            "<wsdl:types>", '<wsdl:import namespace="urn:x" location="xsd/../common.wsdl"/>'
            "<wsdl:types>", 1
        )
    )  # fmt: skip
    assert "common.wsdl" in (refusal(file) or "common.wsdl")

"""Whatever a WSDL says, checking it ends in findings or in a refusal that names the file."""

import json
import random
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
from lxml import etree

from adapter.cli import run as openway
from adapter.cli.output import Exit
from adapter.commands.flows import Operation
from adapter.errors import ContractError
from adapter.wire.catalog import Catalog
from adapter.wire.served import contract_pages
from adapter.wire.tools.json_form import report
from tests.support import for_every
from tests.wire.bodies import WSDL
from tests.wire.test_port_types import only_port_types

WSDL_TAG = "{http://schemas.xmlsoap.org/wsdl/}"
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


WSDL_WORDS = ("message", "portType", "binding", "service", "port", "operation", "input", "part")


def change(root: etree._Element, chance: random.Random) -> None:
    """One change of any kind anywhere."""
    nodes = list(root.iter("*"))
    node, other, kind = chance.choice(nodes), chance.choice(nodes), chance.randrange(8)
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
    elif kind == 4:
        some = list(root.iter(f"{WSDL_TAG}{chance.choice(WSDL_WORDS)}"))
        for each in some[: 1 + chance.randrange(9)]:
            if (parent := each.getparent()) is not None:
                parent.remove(each)
    elif kind == 5:
        words = [each for each in nodes if WSDL_TAG in str(each.tag)] or nodes
        again = deepcopy(chance.choice(words))
        again.set("name", chance.choice((*VALUES, other.get("name") or "")))
        root.append(again)
    elif node.attrib:
        name = chance.choice(list(node.attrib))
        node.set(name, other.get(name) or chance.choice(VALUES))


def refusal(file: Path) -> str:
    """Why it could not be checked; "" where it was."""
    try:
        told = report(file)
        assert told.good == (not any(told.lacks.values()))
        loaded = Catalog.load(file)
        for pages in contract_pages(loaded).values():
            for query in ("wsdl", "singleWsdl"):
                page = pages.page({query: ""}, address="http://h/x")
                assert page is not None
                etree.fromstring(page)
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


def replaced(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def import_loop(copy: Path) -> None:
    """Two WSDL files, and two schemas, that import each other."""
    added = '<wsdl:import namespace="urn:%s" location="%s"/><wsdl:types>'
    replaced(copy / "common.wsdl", "<wsdl:types>", added % ("d", "data.wsdl"))
    replaced(copy / "data.wsdl", "<wsdl:types>", added % ("c", "common.wsdl"))
    for one, other in (("com", "ctl"), ("ctl", "com")):
        text = (copy / "xsd" / f"{one}.xsd").read_text()
        end = text.index(">", text.index("<xs:schema")) + 1
        loop = f'<xs:include schemaLocation="{other}.xsd"/>'
        (copy / "xsd" / f"{one}.xsd").write_text(text[:end] + loop + text[end:])


def huge(copy: Path) -> None:
    file = copy / "common.wsdl"
    file.write_bytes(file.read_bytes() + b"<!--" + b" " * (16 * 1024 * 1024) + b"-->")


def many_operations(copy: Path) -> None:
    """Thousands of messages, of which none is anything."""
    more = "".join(f'<wsdl:message name="M{number}"/>' for number in range(3_000))
    replaced(copy / "common.wsdl", "<wsdl:portType", f"{more}<wsdl:portType")


def twice(copy: Path) -> None:
    """Every message, port type, binding and service stands twice."""
    tree = etree.parse(copy / "common.wsdl")
    for each in list(tree.getroot()):
        tree.getroot().append(deepcopy(each))
    tree.write(copy / "common.wsdl")


def two_addresses(copy: Path) -> None:
    text = (copy / "common.wsdl").read_text()
    service = text[text.index("<wsdl:service") : text.index("</wsdl:definitions>")]
    other = service.replace('service name="', 'service name="Other').replace("/common", "/else")
    replaced(copy / "common.wsdl", service, service + other)


CASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no binding": (lambda copy: only_port_types(copy), ""),
    "no binding, no action": (lambda copy: only_port_types(copy, actions=False), ""),
    "imports in a circle": (import_loop, "?"),
    "16 MiB and more": (huge, "longer than 16777216 bytes"),
    "thousands of messages": (many_operations, ""),
    "all of it twice": (twice, ""),
    "a service at two addresses": (two_addresses, "is defined twice, and differs in path of its"),
    "no UTF-8": (
        lambda copy: (copy / "common.wsdl").write_bytes(
            (copy / "common.wsdl").read_bytes().replace(b"known", b"kn\xf6wn")
        ),
        "common.wsdl: ",
    ),
    "Latin-1, and said": (
        lambda copy: (copy / "common.wsdl").write_bytes(
            (copy / "common.wsdl").read_bytes().replace(b"utf-8", b"iso-8859-1", 1)
            .replace(b"known", b"kn\xf6wn")
        ),
        "",
    ),
    "UTF-16": (
        lambda copy: (copy / "common.wsdl").write_bytes(
            (copy / "common.wsdl").read_text().replace("utf-8", "utf-16", 1).encode("utf-16")
        ),
        "",
    ),
    "another encoding than it says": (
        lambda copy: (copy / "common.wsdl").write_bytes(
            (copy / "common.wsdl").read_text().encode("utf-16-le")
        ),
        "?",
    ),
    "an encoding that is none": (
        lambda copy: replaced(copy / "common.wsdl", "utf-8", "no-such"), "common.wsdl: "
    ),
    "empty": (lambda copy: (copy / "common.wsdl").write_bytes(b""), "common.wsdl: "),
    "NUL": (lambda copy: (copy / "common.wsdl").write_bytes(b"\0" * 100), "common.wsdl: "),
    "xs:any between elements": (
        lambda copy: replaced(
            copy / "xsd" / "com.xsd", "<xs:sequence>", "<xs:sequence><xs:any/>"
        ),
        "",
    ),
    "xs:choice for every sequence": (
        lambda copy: replaced(copy / "xsd" / "com.xsd", "xs:sequence", "xs:choice"), ""
    ),
}  # fmt: skip


@for_every("case", CASES)
def test_a_wsdl_of_a_kind_that_is_met_ends_in_a_report_or_a_refusal_that_says_why(
    tmp_path_factory: pytest.TempPathFactory, case: str
) -> None:
    copy = Path(shutil.copytree(WSDL, tmp_path_factory.mktemp("kind") / "wsdl"))
    make, words = CASES[case]
    make(copy)
    told = refusal(copy / "common.wsdl")
    if words != "?":
        assert (words in told) if words else (told == ""), told

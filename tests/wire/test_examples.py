"""Messages in the serializer style of .NET, each with its JSON form beside it."""

import json
import os
from pathlib import Path

import pytest

from adapter.wire.tools.explain import explain
from adapter.wire.tools.json_form import decode_to_json, encode_from_json
from tests.support import for_every
from tests.wire.bodies import EXAMPLES, WSDL, canonical, catalog, content_of

EXAMPLE_FILES = sorted(EXAMPLES.glob("*.xml"))
SAMPLES = os.environ.get("OPENWAY_WIRE_SAMPLES", "")
"""A folder of messages captured from a real head end or another WCF stack, to be read as well."""
SAMPLE_FILES = sorted(Path(SAMPLES).rglob("*.xml")) if SAMPLES else []


def said(envelope: bytes) -> str:
    """What a message says, whatever its prefixes and white space between elements."""
    content = content_of(envelope)
    if content.tag.endswith("}Fault"):
        (detail,) = content.iterfind("detail")
        content = detail[0]
    for element in content.iter():
        element.tail = None
        if len(element):
            element.text = None
    return canonical(content)


@for_every("file", EXAMPLE_FILES, ids=lambda file: file.stem)
def test_an_example_reads_as_its_json_and_is_written_from_it(file: Path) -> None:
    message = json.loads(file.with_suffix(".json").read_text())
    assert decode_to_json(file.read_bytes()) == message
    assert said(encode_from_json(message["operation"] or "", message)) == said(file.read_bytes())


@for_every("file", EXAMPLE_FILES, ids=lambda file: file.stem)
def test_an_example_is_valid_by_its_schema(file: Path) -> None:
    assert explain(WSDL, file.read_bytes()) == []


def test_there_is_an_example_of_every_message_and_fault() -> None:
    names = {file.stem for file in EXAMPLE_FILES}
    wanted = {f"{key}.{way}" for key in catalog().operations for way in ("request", "response")}
    assert names >= wanted | {f"fault.{name}" for name in catalog().faults}


@pytest.mark.skipif(not SAMPLE_FILES, reason="OPENWAY_WIRE_SAMPLES names no folder of messages")
@pytest.mark.parametrize("file", SAMPLE_FILES, ids=lambda file: file.name)
def test_a_captured_message_round_trips(file: Path) -> None:
    message = decode_to_json(file.read_bytes())
    written = encode_from_json(str(message["operation"] or ""), message)
    assert said(written) == said(file.read_bytes())
    again = decode_to_json(written)
    assert again["operation"] == message["operation"]
    if message["direction"] != "fault":
        assert again == message

"""A member that stands twice in one object is refused in every JSON file that is read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from adapter.cli import run
from adapter.cli.output import Exit
from adapter.cli.readings_files import read_readings
from adapter.engine.registry.imports import ImportRefused
from adapter.errors import GatewayError
from adapter.fieldwork.messages import BadReport, message_json, read_message, read_report
from adapter.model.json_members import RepeatedMember, check_members, json_value
from adapter.registry.files import read_json
from adapter.replay.order_scenario import read_expected
from adapter.replay.scenario import EXPECTED, BadScenario
from tests.fieldwork.builders import a_message
from tests.support import for_every

TWICE = (
    '{"a": 1, "a": 1}',
    '{"a": 1, "b": 2, "a": null}',
    '{"a": 1, "\\u0061": 1}',
    '[{"b": [{"c": {"": 1, "": 2}}]}]',
    '{"a": {"a": 1}, "b": {"x": [], "x": []}}',
)
ONCE = ('{"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 1}]}', '{"a": 1, "A": 1}', "[]", "1")


@for_every("text", TWICE)
def test_a_member_that_stands_twice_is_refused_however_deep_and_however_spelled(text: str) -> None:
    for read in (json_value, lambda each: check_members(each.encode())):
        with pytest.raises(RepeatedMember, match="stands twice in one object"):
            read(text)


@for_every("text", ONCE)
def test_the_same_name_in_other_objects_is_no_repetition(text: str) -> None:
    assert json_value(text) == json.loads(text)
    assert json_value(b"\xef\xbb\xbf" + text.encode()) == json.loads(text)
    check_members(text.encode())


@for_every("text", ("", "{", "NaN", "[Infinity]", "[" * 200_000, '{"a":' * 200_000))
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    for read in (json_value, lambda each: check_members(each.encode())):
        with pytest.raises(ValueError):
            read(text)


def _expected(text: str, folder: Path) -> object:
    (folder / EXPECTED).write_text(text, encoding="utf-8")
    return read_expected(folder)


def _readings(text: str, folder: Path) -> object:
    (folder / "r.json").write_text(text, encoding="utf-8")
    return read_readings(folder / "r.json")


DOORS: tuple[tuple[str, Callable[[str, Path], object], type[GatewayError]], ...] = (
    ('{"devices": [{"id": "M1", "endpoint": "1", "endpoint": "2"}]}',
     lambda text, _: read_json(text, "m.json"), ImportRefused),
    ('{"measurements": [], "measurements": []}', _readings, ImportRefused),
    ('{"commands": [], "commands": []}', _expected, BadScenario),
    ('{"type": "started", "id": "R1", "activity": "F1", "activity": "F2"}',
     lambda text, _: read_report(text.encode()), BadReport),
    (message_json(a_message()).decode().replace("{", '{"createdAt": null,', 1),
     lambda text, _: read_message(text.encode()), BadReport),
    (message_json(a_message()).decode().replace("{", '{"created_at": null,', 1),
     lambda text, _: read_message(text.encode()), BadReport),
)  # fmt: skip


@for_every(("text", "read", "error"), DOORS)
def test_every_file_and_every_report_is_held_to_it(
    text: str, read: Callable[[str, Path], object], error: type[GatewayError], tmp_path: Path
) -> None:
    with pytest.raises(error, match="stands twice"):
        read(text, tmp_path)


def test_a_message_to_be_written_is_held_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "m.json"
    file.write_text('{"operation": "DisconnectMeter", "operation": "ReconnectMeter"}')
    assert run(["wire", "encode", str(file)]) == Exit.INVALID
    assert "'operation' stands twice" in capsys.readouterr().err

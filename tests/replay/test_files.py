"""The parts of the fixture format: layout, TOML, JSON, and errors that name the place."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.replay.json_text import first_difference, json_text
from adapter.replay.layout import laid_out, taken_back
from adapter.replay.scenario import BadScenario, read, read_scenario
from adapter.replay.toml_text import toml_text
from adapter.wire.tools.compare import first_difference as first_xml_difference
from tests.replay.recordings import FIXTURES

LEAVES = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    st.just(datetime(2026, 3, 2, 8, 0, tzinfo=UTC)),
)
NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
TABLES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=4),
    lambda inner: st.dictionaries(
        NAMES, st.one_of(LEAVES, inner, st.lists(inner, min_size=1, max_size=3)), max_size=4
    ),
    max_leaves=12,
)


@given(TABLES)
def test_toml_reads_back_as_it_was_written(table: dict[str, object]) -> None:
    def without_empty(value: object) -> object:
        if isinstance(value, dict):
            kept = {name: without_empty(each) for name, each in value.items()}
            return {name: each for name, each in kept.items() if each != {}}
        return value

    assert without_empty(tomllib.loads(toml_text(table))) == without_empty(table)


XML = st.recursive(
    st.sampled_from([b"<a/>", b"<b>text</b>", b"<c></c>", b"<d x='1'>\n</d>", b"<e> </e>"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda some: b"<f>%s</f>" % b"".join(some)),
)


@given(XML)
def test_layout_is_taken_back_byte_for_byte_or_not_made(message: bytes) -> None:
    shown = laid_out(message)
    assert shown is None or taken_back(shown) == message


def test_layout_puts_each_element_on_its_line() -> None:
    shown = laid_out(b"<?xml version='1.0'?><a><b>1</b><c></c><d/></a>")
    assert shown is not None
    assert shown.decode().splitlines() == [
        "<?xml version='1.0'?>", "<a>", "  <b>1</b>", "  <c></c>", "  <d/>", "</a>",
    ]  # fmt: skip


def test_white_space_that_may_be_content_stays_as_it_is() -> None:
    assert laid_out(b"<a>\n  <b/></a>") is None


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        (b"<a><b>1</b></a>", b"<a><b>2</b></a>", "/a/b: expected '1', got '2'"),
        (b"<a><b/><b>1</b></a>", b"<a><b/><b>2</b></a>", "/a/b[2]: expected '1', got '2'"),
        (b"<a><b/></a>", b"<a/>", "/a/b: expected <b>, got nothing"),
        (b"<a/>", b"<a><b/></a>", "/a/b: expected nothing, got <b>"),
        (b"<a x='1'/>", b"<a/>", "/a/@x: expected '1', got nothing"),
        (b"<a xmlns='u'/>", b"<a/>", "/a: expected <{u}a>, got <a>"),
        (b"<p:a xmlns:p='u'> <p:b/> </p:a>", b"<a xmlns='u'><b/></a>", None),
        (b"<a> 1</a>", b"<a>1</a>", "/a: expected ' 1', got '1'"),
    ],
)
def test_the_first_xml_difference_is_an_xpath(one: bytes, other: bytes, found: str | None) -> None:
    difference = first_xml_difference(one, other)
    assert (str(difference) if difference else None) == found


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, "a[1]: expected 2, got 3"),
        ({"a": [1]}, {"a": [1, 2]}, "a[1]: expected nothing, got 2"),
        ({"a": 1}, {"b": 1}, "a: expected 1, got nothing"),
        ({"a": {"b": None}}, {"a": {"b": 0}}, "a.b: expected null, got 0"),
        ({"a": 1}, {"a": 1}, None),
    ],
)
def test_the_first_json_difference_is_a_path(
    one: dict[str, object], other: dict[str, object], found: str | None
) -> None:
    assert first_difference(one, other) == found


def test_json_is_written_the_same_way_each_time_and_short_things_on_one_line() -> None:
    value = {"b": list(range(60)), "a": {"x": 1}}
    assert json_text(value).splitlines()[-2] == ' "a": {"x": 1}'
    assert json_text(value) == json_text(dict(value))


# ---------------------------------------------------------------- files that are wrong


GOOD = (FIXTURES / "load_check/success/scenario.toml").read_text()


def refused(folder: Path, text: str) -> str:
    (folder / "scenario.toml").write_text(text)
    with pytest.raises(BadScenario) as caught:
        read_scenario(folder)
    return str(caught.value)


def test_a_scenario_that_says_something_unknown_is_refused_by_name(tmp_path: Path) -> None:
    assert "colour" in refused(tmp_path, 'colour = "red"\n' + GOOD)
    assert "submitt" in refused(tmp_path, GOOD.replace('"submit"', '"submitt"'))
    assert "scenario.toml" in refused(tmp_path, "act = [")


def test_a_scenario_without_a_recording_cannot_be_read_as_one(tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text(GOOD.partition("[recorded]")[0])
    with pytest.raises(BadScenario, match="nothing was recorded yet"):
        read(tmp_path)


def test_a_missing_message_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text(GOOD)
    (tmp_path / "expected.json").write_text("{}")
    with pytest.raises(BadScenario, match=r"01-request\.xml"):
        read(tmp_path)


def test_a_policy_member_that_does_not_exist_is_named(tmp_path: Path) -> None:
    (tmp_path / "scenario.toml").write_text(
        GOOD.replace("[simulator", "[policy]\npatience = 1\n\n[simulator", 1)
    )
    with pytest.raises(BadScenario, match="patience"):
        read_scenario(tmp_path).policies()

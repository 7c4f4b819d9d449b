"""Intervals that are alike: written together, they mean what they mean apart."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.values import replace
from adapter.readings.seeds import BadPart, Part
from adapter.wire.runs import IntervalRuns
from adapter.wire.stream import Broken, parts
from tests.support import for_every
from tests.wire.payloads import data_arrived, interval, read_data

NIL = '<b:IntervalValue i:nil="true"/>'
PIECES = (
    *map(interval, ("1", "2.5", "-0.125", "7", "0")),
    interval("3", "DaylightSavingsTime"),
    interval("4", "DaylightSavingsTime"),
    interval("1e3"),
    interval("+5."),
    interval(""),
    interval(" 8 "),
    interval("12&#52;"),
    interval("<b:x/>"),
    interval("9").replace("<b:ProfileStatuses/>", '<b:ProfileStatuses i:nil="true"/>'),
    interval("9").replace("<b:ProfileStatuses/>", "5<b:ProfileStatuses/>6"),
    interval("6").replace("<b:ProfileStatuses/>", "<b:Statuses><b:Other/></b:Statuses>"),
    interval("6").replace("b:", "c:").replace("<c:IntervalValue>", '<c:IntervalValue xmlns:c="u">'),
    interval("5").replace("><", ">\r\n  <"),
    interval("5").replace("><", ">\r\n  <") + "\r\n  ",
    "<b:IntervalValue><b:ProfileStatuses/><b:ChannelValue>5</b:ChannelValue></b:IntervalValue>",
    NIL,
)


def apart(body: bytes) -> bytes:
    """The same body, in which no interval is one of a run."""
    return re.sub(rb"<(\w:)?ChannelValue>", rb"<!-- -->\g<0>", body)


def read(body: bytes, size: int = 1 << 20) -> list[Part | BadPart]:
    """Without the positions, which comments move."""
    found = parts(body[at : at + size] for at in range(0, len(body), size))
    return [_unplaced(part) for part in found]


def _unplaced(part: Part | BadPart) -> Part | BadPart:
    if isinstance(part, BadPart):
        return replace(part, position=0)
    seeds = tuple(replace(seed, position=0) for seed in part.seeds)
    bad = tuple(replace(each, position=0) for each in part.bad)
    return replace(part, position=0, seeds=seeds, bad=bad)


def given_on(body: bytes, size: int = 1 << 20) -> bytes:
    """What libxml2 is given of a body."""
    runs = IntervalRuns(lambda at: False)
    pieces = [runs.feed(body[at : at + size]) for at in range(0, len(body), size)]
    return b"".join([*pieces, runs.finish()])


@given(
    st.lists(st.lists(st.sampled_from(PIECES), max_size=12), max_size=4),
    st.integers(min_value=1, max_value=2_000),
)
def test_a_list_means_the_same_with_its_runs_together_and_apart(
    lists: list[list[str]], size: int
) -> None:
    body = data_arrived(*[read_data(f"m{n}", each) for n, each in enumerate(lists)])
    assert read(body, size) == read(apart(body))


def test_of_a_day_of_intervals_libxml2_reads_the_first() -> None:
    body = data_arrived(read_data("m", range(96)))
    assert given_on(body).count(b"<b:IntervalValue>") == 1
    assert given_on(apart(body)) == apart(body)
    (part,) = read(body)
    assert isinstance(part, Part)
    assert part.seeds[0].texts == tuple(map(str, range(96)))


@for_every("prefix", ["", "b:", "d4p1:", "a.b-1:"])
def test_a_run_has_any_prefix(prefix: str) -> None:
    body = data_arrived(read_data("m", map(interval, ("1", "2.50", "-3", "+4", "05"))))
    named = f"xmlns:{prefix[:-1]}" if prefix else "xmlns"
    body = body.replace(b"xmlns:b", named.encode()).replace(b"b:", prefix.encode())
    assert given_on(body).count(b"IntervalValue>") == 2
    (part,) = read(body)
    assert isinstance(part, Part)
    assert part.seeds[0].texts == ("1", "2.50", "-3", "+4", "05")


def test_every_interval_of_a_run_has_its_statuses() -> None:
    flagged = [interval(value, "DaylightSavingsTime", "Tamper") for value in range(5)]
    body = data_arrived(read_data("m", [1, *flagged, 2, 3]))
    assert given_on(body).count(b"<b:IntervalValue>") == 3
    (part,) = read(body)
    assert isinstance(part, Part)
    words = ("DaylightSavingsTime", "Tamper")
    assert part.seeds[0].statuses == dict.fromkeys(range(1, 6), words)


@for_every(
    "instead",
    [
        "1&lt;2", "1<!-- 3 -->", "<![CDATA[1]]>", "1]]>", "1\x00", "0x1", "9" * 65, "", "1 2",
        "1\n", "<?numbers 1 2?>",
    ],
)  # fmt: skip
def test_what_is_no_plain_number_is_left_to_libxml2(instead: str) -> None:
    body = data_arrived(read_data("m", [1, 2, interval(instead), 3, 4]))
    assert interval(instead).encode() in given_on(body)


@for_every("numbers", ["<?numbers 7 8?>", "<?xml version='1.0'?>"])
def test_nobody_else_can_write_a_run(numbers: str) -> None:
    body = data_arrived(read_data("m", [1, interval(2) + numbers, 3]))
    with pytest.raises(Broken, match="processing instruction"):
        read(body)


@for_every("size", [1, 7, 100, 65_536])
def test_a_list_in_a_comment_or_in_text_is_no_list(size: int) -> None:
    values = f"<b:IntervalValues>{interval(1) * 3}</b:IntervalValues>"
    body = data_arrived(f"<!-- {values} -->", read_data("m", [1, 2]), f"<![CDATA[{values}]]>")
    (part,) = read(body, size)
    assert isinstance(part, Part)
    assert part.seeds[0].texts == ("1", "2")


@for_every("where", ["LoadProfileChannels", "RegisterValues", "BlockInfo", "Extra", "EventLog"])
def test_a_list_where_none_belongs_is_read_as_if_it_were_apart(where: str) -> None:
    values = f"<b:IntervalValues>{interval(1) * 3}</b:IntervalValues>"
    odd = read_data("m", [1, 2]).replace("<b:RegisterValues>", f"<b:{where}>{values}</b:{where}>"
                                         "<b:RegisterValues>")  # fmt: skip
    body = data_arrived(odd, read_data("n", [3]), f"<b:{where}>{values}</b:{where}>")
    assert read(body) == read(apart(body))


@for_every("size", [64, 1_000, 65_536])
def test_what_is_kept_of_a_bad_part_is_what_came(size: int) -> None:
    bad = read_data("m", [interval(n) + "\r\n\t" for n in range(9)] + [NIL, 7, 8]).replace("7", " ")
    (part,) = read(data_arrived(bad), size)
    assert isinstance(part, Part)
    (first, _) = part.bad
    kept = re.sub(rb' xmlns(:\w)?="[^"]*"', b"", first.xml)
    assert _empty_alike(kept) == _empty_alike(bad.replace("\r\n", "\n").encode())


def _empty_alike(xml: bytes) -> bytes:
    return re.sub(rb"<(b:\w+)></\1>", rb"<\1/>", xml)


@for_every("size", [50, 1_000, 65_536])
def test_positions_behind_runs_are_those_of_the_body(size: int) -> None:
    body = data_arrived(*[read_data(f"m{n}", range(n)) + "\n" for n in range(30)], "<b:x></b:y>")
    found: list[Part | BadPart] = []
    with pytest.raises(Broken) as broken:
        found.extend(parts(body[at : at + size] for at in range(0, len(body), size)))
    assert abs(broken.value.position - body.index(b"</b:y>")) <= len("</b:y>")
    for part in parts([body[: body.index(b"<b:x>")] + body[body.index(b"</b:y>") + 6 :]]):
        assert body[part.position :].startswith(b"<b:ReadData>")
        assert f">m{part.index}<".encode() in body[part.position :][:40]


def test_an_interval_that_never_ends_is_not_waited_for() -> None:
    runs = IntervalRuns(lambda at: False)
    long = b"<b:IntervalValues><b:IntervalValue><b:ChannelValue>1</b:ChannelValue>"
    fed = len(long) + sum(map(len, pieces := [b" " * 1_000] * 10))
    given = b"".join([runs.feed(long), *map(runs.feed, pieces)])
    assert fed - len(given) < 4 * 1024

"""Counting instead of calling: the same verdict on the same bytes, and never one that is looser."""

from collections.abc import Callable
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import NotWellFormed
from adapter.wire.bounded import XmlBounds
from adapter.wire.plain import LONGEST, depth_behind
from adapter.wire.xml import parse, plain_root
from tests.support import for_every
from tests.wire.hostile_messages import HOSTILE
from tests.wire.test_bounded import LARGE_AND_RIGHT, TOO_MUCH, judged

CALLING = XmlBounds(name_chars=2 * LONGEST)
"""Names so short are not told by counting: the parser calls for each tag."""

PIECES = (
    *("<a>", "</a>", "<a/>", "<b c='1'>", "</b>", "<b c='/>'/>", "<a>x/>y</a>", "a > b", "text"),
    *(
        "<n>1.5</n>",
        "<n>-27</n>",
        "<a1>",
        "</a1>",
        "<a x='1' y='2'/>",
        "<!-- <a> -->",
        "<![CDATA[</a><a>]]>",
        "&lt;",
        "<a xmlns='u'/>",
        "]",
    ),
)
DEEP = "<a>" * 5
SHUT = "</a>" * 5
REPEATED = st.lists(
    st.tuples(st.lists(st.sampled_from(PIECES), max_size=6), st.integers(1, 2_000)), max_size=4
)


@given(REPEATED)
def test_the_verdict_is_that_of_a_parser_that_calls(repeated: list[tuple[list[str], int]]) -> None:
    inner = "".join("".join(pieces) * times for pieces, times in repeated)
    body = f"{DEEP}{inner[:60_000]}{SHUT}".encode()
    assert judged(body) == judged(body, bounds=CALLING)


@for_every(
    "inner",
    [
        "<a>" * 40 + "</a>" * 40,
        "<a>" * 28 + "</a>" * 28,
        "<a>" * 27 + "</a>" * 27,
        "<a>" * 26 + "<b/>" + "</a>" * 26,
        "<a>" * 27 + "<b/>" + "</a>" * 27,
        "<a x='>'>" * 28 + "</a>" * 28,
        "/><a>" * 28 + "</a>" * 28,
        "<b {}/>".format(" ".join(f"a{n}='1'" for n in range(32))),
        "<b {}/>".format(" ".join(f"a{n}='1'" for n in range(33))),
        "<%s/>" % ("n" * 4_090),
        "<%s/>" % ("n" * 5_000),
        "<b xml:id='1 2'/>",
        "</a>",
        "</a><a>",
        "</a></a></a></a></a>",
    ],
    ids=lambda inner: inner[:40],
)
def test_a_bound_holds_behind_any_amount_of_plain_markup(inner: str) -> None:
    for before in range(0, 17_000, 1_009):
        body = f"{DEEP}{'<b>1</b>' * (before // 8)}{inner}{'<b/>' * 5_000}{SHUT}".encode()
        told = judged(body)
        plain = judged(f"{DEEP}{inner}{SHUT}".encode())
        assert bool(told) == bool(plain), (before, told, plain)
        if "more than" in plain or "deeper" in plain:
            assert told == plain


TAGS = st.lists(st.sampled_from(("<a>", "</a>", "<a/>", "<a>1</a>")), min_size=1, max_size=20)


@given(st.lists(st.tuples(TAGS, st.integers(1, 30)), min_size=1, max_size=10))
def test_the_depth_that_is_told_is_the_depth(repeated: list[tuple[list[str], int]]) -> None:
    tags = [tag for some, times in repeated for tag in some * times]
    steps = {"<a>": (1,), "</a>": (-1,), "<a/>": (1, -1), "<a>1</a>": (1, -1)}
    depths = [10, *accumulate((step for tag in tags for step in steps[tag]), initial=10)]
    told = depth_behind("".join(tags).encode(), 10, least=5, most=20, attributes=32)
    if told is not None:
        assert told == depths[-1]
        assert min(depths) >= 5
        assert max(depths) <= 20


BENT = st.lists(
    st.sampled_from(
        [
            *("<a>", "</a>", "<b:c>", "</b:c>", "<b:c", "<a", ">", "/>", "</", " x='1'", ' y="2"'),
            *(" b:x='1'", ' xmlns="u:u"', ' xmlns:c="u:v"', " c:x='1'", ' xmlns:b=""', "<d:e/>"),
            *(" xmlns='a b'", " xml:id='1 2'", ' xmlns:xml="u:u"', "<a:b:c/>", "<:a/>"),
            *(
                " x:='1'",
                "'x'",
                ' xml:lang=""',
                ' xml:lang="en-US"',
                ' xml:lang="??"',
                " xml:lang='e'",
            ),
            *("&amp;", "&#65;", "&#0;", "&#xD800;", "&no;", "&", "&#65", "]]>", "<!-- -->"),
            *("<?x?>", "<![CDATA[x]]>", " ", "\r\n", "x", "\x00", "\x01", "\x7f", "é", "="),
            *("'", '"', "<1/>"),
        ]
    ),
    max_size=8,
).map("".join)


@given(before=BENT, inside=BENT, attributes=BENT)
def test_what_is_plain_is_taken_where_the_judge_takes_it(
    before: str, inside: str, attributes: str
) -> None:
    for body in (
        f'{before}<a xmlns:b="u:b"{attributes}>{inside}</a>'.encode(),
        f'<a xmlns:b="u:b" {attributes}>{inside}</a>'.encode(),
        f'<a xmlns:b="u:b">{inside}</a>{before}'.encode(),
    ):
        root = plain_root(body)
        if root is not None:
            assert judged(body) == ""
        elif judged(body):
            with pytest.raises(NotWellFormed):
                parse(body)


@for_every("body", HOSTILE.values(), ids=HOSTILE)
def test_nothing_that_the_judge_refuses_is_plain(body: bytes) -> None:
    assert plain_root(body) is None or judged(body) == ""


@for_every("made", [made for made, _ in TOO_MUCH.values()], ids=TOO_MUCH)
def test_nothing_that_is_past_a_bound_is_plain(made: Callable[[], bytes]) -> None:
    body = made()
    assert plain_root(body) is None or judged(body) == ""


@for_every("made", LARGE_AND_RIGHT.values(), ids=LARGE_AND_RIGHT)
def test_what_is_large_and_right_is_read_alike_with_and_without_the_judge(
    made: Callable[[], bytes],
) -> None:
    body = made()
    root = plain_root(body)
    assert root is None or (root.tag == "a" and judged(body) == "")


@for_every(("inner", "deep"), [("<b>" * 31 + "</b>" * 31, False), ("<b>" * 32 + "</b>" * 32, True)])
def test_plain_markup_is_as_deep_as_the_bounds_allow(inner: str, deep: bool) -> None:
    for pad in ("", "<c/>" * 10_000):
        assert (plain_root(f"<a>{pad}{inner}</a>".encode()) is None) is deep


@for_every("count", [31, 32, 33, 400])
def test_plain_elements_have_as_many_attributes_as_the_bounds_allow(count: int) -> None:
    for pad in ("", '<c d="1"/>' * 200):
        one = "<b {}/>".format(" ".join(f'a{n}="1"' for n in range(count)))
        body = f"<a>{pad}{one}</a>".encode()
        assert (plain_root(body) is not None) <= (count <= 32)
        assert pad or (plain_root(body) is not None) is (count <= 32)
        assert bool(judged(body)) is (count > 32)

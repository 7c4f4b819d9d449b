"""Counting instead of calling: the same verdict on the same bytes, and never one that is looser."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from adapter.wire.bounded import XmlBounds
from adapter.wire.plain import LONGEST, depth_behind
from tests.support import for_every
from tests.wire.test_bounded import judged

CALLING = XmlBounds(name_chars=2 * LONGEST)
"""Names so short are not told by counting: the parser calls for each tag."""

PIECES = (
    *("<a>", "</a>", "<a/>", "<b c='1'>", "</b>", "<b c='/>'/>", "<a>x/>y</a>", "a > b", "text"),
    *("<a x='1' y='2'/>", "<!-- <a> -->", "<![CDATA[</a><a>]]>", "&lt;", "<a xmlns='u'/>", "]"),
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


@given(st.lists(st.sampled_from(("<a>", "</a>", "<a/>", "<a>1</a>")), min_size=1, max_size=200))
def test_the_depth_that_is_told_is_the_depth(tags: list[str]) -> None:
    steps = {"<a>": (1,), "</a>": (-1,), "<a/>": (1, -1), "<a>1</a>": (1, -1)}
    depths = [10, *accumulate((step for tag in tags for step in steps[tag]), initial=10)]
    told = depth_behind("".join(tags).encode(), 10, least=5, most=20, attributes=32)
    if told is not None:
        assert told == depths[-1]
        assert min(depths) >= 5
        assert max(depths) <= 20

"""One judge of XML for every size: bounds hold whatever the expat, and time grows with the size."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from adapter.errors import NotWellFormed
from adapter.wire.bounded import BoundedReader, XmlBounds, checked
from adapter.wire.stream import parts, where_broken
from tests.support import for_every

MIB = 1024 * 1024
PIECE = 8 * 1024
SLOWEST_S_PER_MIB = 0.25
"""Of CPU. Quadratic time takes far more at these sizes; a loaded machine does not."""


def judged(body: bytes, *, size: int = PIECE, bounds: XmlBounds | None = None) -> str:
    reader = BoundedReader(bounds or XmlBounds())
    try:
        for start in range(0, len(body), size):
            reader.feed(body[start : start + size])
        reader.finish()
    except NotWellFormed as error:
        return str(error)
    return ""


# Made when they are tried: together they are more than a process of many tests should keep.
TOO_MUCH: dict[str, tuple[Callable[[], bytes], str]] = {
    "attribute": (lambda: b"<a b='%s'/>" % (b"v" * 12 * MIB), "a tag or comment of more than"),
    "attribute of ends": (
        lambda: b"<a b='%s'/>" % (b">" * 12 * MIB), "a tag or comment of more than"
    ),
    "comment": (lambda: b"<a><!--%s--></a>" % (b"-x" * 6 * MIB), "a tag or comment of more than"),
    "name": (lambda: b"<%s/>" % (b"n" * 9 * MIB), "a tag or comment of more than"),
    "name, shorter": (lambda: b"<%s/>" % (b"n" * 5_000), "a name of more than"),
    "attribute's name": (lambda: b"<a %s='1'/>" % (b"n" * 5_000), "a name of more than"),
    "prefix": (lambda: b"<a xmlns:%s='u'/>" % (b"n" * 5_000), "a name of more than"),
    "closing tag": (lambda: b"<a></a%s>" % (b" " * 9 * MIB), "a tag or comment of more than"),
    "reference": (lambda: b"<a>&%s;</a>" % (b"r" * 9 * MIB), "a tag or comment of more than"),
    "text": (lambda: b"<a>%s</a>" % (b"t" * 12 * MIB), "without an element"),
    "CDATA": (lambda: b"<a><![CDATA[%s]]></a>" % (b"t" * 12 * MIB), "without an element"),
    "blanks": (lambda: b"%s<a/>" % (b" " * 12 * MIB), "without an element"),
    "comments": (lambda: b"<a>%s</a>" % (b"<!---->" * 2 * MIB), "without an element"),
    "attributes": (
        lambda: b"<a %s/>" % b" ".join(b'a%d="1"' % n for n in range(200_000)),
        "a tag or comment of more than",
    ),
    "attributes, fewer": (
        lambda: b"<a %s/>" % b" ".join(b'a%d="1"' % n for n in range(33)),
        "more than 32 attributes",
    ),
    "namespaces": (
        lambda: b"<a %s/>" % b" ".join(b'xmlns:a%d="u"' % n for n in range(40_000)),
        "more than 32 namespaces",
    ),
    "namespaces, nested": (
        lambda: b"<r>%s%s</r>" % (
            b"".join(b'<a xmlns:a%d="u" xmlns:b%d="u">' % (n, n) for n in range(17)), b"</a>" * 17
        ),
        "more than 32 namespaces",
    ),
    "depth": (lambda: b"<a>" * MIB + b"</a>" * MIB, "nested deeper than 32"),
    "depth, less": (lambda: b"<a>" * 33 + b"</a>" * 33, "nested deeper than 32"),
}  # fmt: skip
LARGE_AND_RIGHT: dict[str, Callable[[], bytes]] = {
    "tags of a megabyte": lambda: b"<a>%s</a>" % (b"<b c='%s'/>" % (b"v" * 1_000_000) * 10),
    "tags of two pieces": lambda: b"<a>%s</a>" % (b"<b c='%s'/>" % (b"v" * 17_000) * 500),
    "comments of a megabyte": lambda: b"<a>%s</a>" % (b"<!--%s--><b/>" % (b"v" * 1_000_000) * 10),
    "small elements": lambda: b"<a>%s</a>" % (b"<b/>" * (MIB // 2)),
    "text": lambda: b"<a>%s</a>" % (b"<b>%s</b>" % (b"t" * 4 * MIB) * 3),
}
BENT = st.lists(
    st.sampled_from(
        [
            *("<a>", "</a>", "<b:c", ">", "/>", "</b:c>", " x='1'", ' y="2"', " b:x='1'"),
            *(" xmlns='u'", " xmlns:b='v'", " xmlns:b=''", " xmlns:b='a b'", " xmlns:b='//a:'"),
            *(" xml:id='1 2'", " xml:space='odd'", " xml:lang='??'", "<xml:a/>", " a:b:c='1'"),
            *("&amp;", "&#65;", "&#0;", "&#xD800;", "&#xFFFE;", "&no;", "]]>", "<![CDATA[", "<!--"),
            *("-->", "--", " ", "\r\n", "x", "é", "\u0085", "\ufeff", "\ufffe", "\x01", "\x7f"),
        ]
    ),
    max_size=8,
).map("".join)


def in_time(work: Callable[[], object], mebibytes: float) -> bool:
    """Once in three: beside others all CPU is dearer."""
    for _ in range(3):
        started = time.process_time()
        work()
        if time.process_time() - started < SLOWEST_S_PER_MIB * mebibytes:
            return True
    return False


@for_every(("made", "words"), TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_past_a_bound_is_refused_in_time_that_grows_with_the_size(
    made: Callable[[], bytes], words: str
) -> None:
    body = made()
    assert words in judged(body)
    assert in_time(lambda: judged(body), max(1, len(body) / MIB))


@for_every("made", LARGE_AND_RIGHT.values(), ids=LARGE_AND_RIGHT)
def test_what_is_large_and_right_is_taken_in_time_that_grows_with_the_size(
    made: Callable[[], bytes],
) -> None:
    body = made()
    assert judged(body) == ""
    assert in_time(lambda: judged(body), len(body) / MIB)


@for_every("made", [made for made, _ in TOO_MUCH.values()], ids=TOO_MUCH)
def test_looking_for_where_a_body_is_broken_is_bounded_too(made: Callable[[], bytes]) -> None:
    body = made()
    pieces = [body[at : at + PIECE] for at in range(0, len(body), PIECE)]
    assert in_time(lambda: where_broken(pieces), max(1, len(body) / MIB))


@given(
    inside=BENT,
    size=st.integers(1, 40),
    step=st.integers(1, 20),
    pads=st.lists(st.integers(0, 30), max_size=3),
)
def test_the_verdict_does_not_depend_on_how_the_bytes_are_cut(
    inside: str, size: int, step: int, pads: list[int]
) -> None:
    body = ("".join(" " * pad + "<!-- -->" for pad in pads) + f"<a>{inside}</a>").encode()
    bounds = XmlBounds(depth=3, attributes=2, namespaces=2, token_bytes=40, text_bytes=60)
    assert judged(body, size=size, bounds=bounds) == judged(body, size=10_000, bounds=bounds)


@given(before=BENT, inside=BENT, attributes=BENT)
def test_what_is_taken_is_read_by_the_parser_that_reads_the_content(
    before: str, inside: str, attributes: str
) -> None:
    body = f"<Envelope>{before}<a xmlns:b='q' {attributes}>{inside}</a></Envelope>".encode()
    if judged(body) == "":
        assert etree.fromstring(checked(body)).tag == "Envelope"
        assert list(parts([body])) == []


@pytest.mark.parametrize(
    "begin",
    [
        "<?xml version=\"1.0'?>",
        "<?xml version=1.0?>",
        '<?xml version="1.0" junk?>',
        '<?xml version="1.0" encoding="utf-8" encoding="utf-8"?>',
        '<?xml encoding="utf-8" version="1.0"?>',
        '<?xml version="1.0" standalone="maybe"?>',
        '<?xml version="1.0" standalone="yes" encoding="utf-8"?>',
        '<?xml version="1.0"encoding="utf-8"?>',
        '<?xml version="1.0" encoding="utf-16"?>',
        '<?xml version="1.0" encoding="UTF-16LE"?>',
        '<?xml version="1.0" %s encoding="utf-8"?>' % (" " * 600),
        ' <?xml version="1.0"?>',
        "\ufeff\ufeff",
        '<?xml version="1.0"?>\ufeff',
        '<?xml version="1.0"?><?xml version="1.0"?>',
    ],
)
def test_a_bad_beginning_is_refused_at_every_size(begin: str) -> None:
    for pad in ("", "<!-- -->" * 40_000):
        assert judged(f"{begin}<a>{pad}</a>".encode())
        with pytest.raises(NotWellFormed):
            checked(f"{begin}<a>{pad}</a>".encode())


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_needs_its_mark_whatever_is_declared(codec: str) -> None:
    for declared in ("", '<?xml version="1.0" encoding="utf-16"?>', "<?xml version='1.0'?>"):
        body = f"{declared}<a>{'<b/>' * 200}</a>"
        assert judged(body.encode(codec))
        mark = "\ufeff".encode(codec)
        for at in (1, 3, 500, 10_000):
            assert judged(mark + body.encode(codec), size=at) == ""
    assert judged("\ufeff<?xml version='1.0' encoding='utf-8'?><a/>".encode(codec))
    assert "UTF-16" in judged("\ufeff<a/>".encode(codec) + b"\x00")


def test_a_position_is_that_of_the_byte() -> None:
    body = b'\xef\xbb\xbf<?xml version="1.0"?>\n<a>' + b"<b/>" * 5_000
    for wrong, of in ((b"\xff", b"\xff"), (b"<c x='1' x='2'/>", b"x='2'"), (b"</c>", b"c>")):
        with pytest.raises(NotWellFormed) as refusal:
            checked(body + wrong + b"</a>")
        assert (body + wrong)[refusal.value.position :].startswith(of)


def test_pieces_come_out_as_utf8_without_mark_and_declaration() -> None:
    body = '<?xml version="1.0" encoding="utf-16"?><a>é</a>'
    assert checked(body.encode("utf-16")).strip() == "<a>é</a>".encode()
    assert len(checked(b"\xef\xbb\xbf<a/>")) == 7


def test_cuts_of_every_kind_give_the_whole() -> None:
    body = b'<?xml version="1.0"?><a>' + b"<b/>" * 400 + b"</a>"
    for edges in ([0, 5, 700, len(body)], [0, *range(1, len(body) + 1)]):
        reader = BoundedReader()
        given_on = [reader.feed(body[start:end]) for start, end in pairwise(edges)]
        assert b"".join([*given_on, reader.finish()]) == checked(body)

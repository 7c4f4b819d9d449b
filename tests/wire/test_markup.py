"""Declarations and processing instructions are refused where a parser sees them, and only there."""

from itertools import pairwise
from xml.parsers import expat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.errors import NotWellFormed
from adapter.wire import xml
from adapter.wire.markup import ForbiddenMarkup, MarkupScan

DOCTYPE, PI = "a document type declaration", "a processing instruction"

TEXT = {
    "declaration in CDATA": '<a><![CDATA[<?xml version="1.0"?><b/>]]></a>',
    "doctype in CDATA": "<a><![CDATA[<!DOCTYPE html><!ENTITY x 'y'>]]></a>",
    "instruction in a comment": "<a><!-- <?php x ?> --></a>",
    "doctype in a comment before the root": "<!-- <!DOCTYPE a> --><a/>",
    "doctype in a comment after the root": "<a/><!--<!DOCTYPE a>-->",
    "comment in CDATA": "<a><![CDATA[<!--]]></a><!--<?x?>-->",
    "CDATA in a comment": "<a><!--<![CDATA[--></a>",
    "escaped": "<a>&lt;?xml?> &lt;!DOCTYPE a></a>",
    "a lone end in text": "<a>--><![CDATA[]]]]><![CDATA[>]]></a>",
    "empty ones": "<a><!----><![CDATA[]]></a>",
}
FORBIDDEN = {
    "doctype": ("<!DOCTYPE a><a/>", DOCTYPE),
    "doctype after a comment": ("<!-- x --><!DOCTYPE a><a/>", DOCTYPE),
    "doctype after a comment with one": ("<!--<!DOCTYPE b>--><!DOCTYPE a><a/>", DOCTYPE),
    "instruction after CDATA": ("<a><![CDATA[<?x?>]]><?x?></a>", PI),
    "instruction after a comment's near end": ("<a><!-- -> ]]> --><?x?></a>", PI),
    "instruction after CDATA's near end": ("<a><![CDATA[]] > ]>--> ]]><?x?></a>", PI),
    "instruction after the root": ("<a/><?x?>", PI),
    "stylesheet": ("<?xml-stylesheet href='x'?><a/>", PI),
    "entity": ("<a/><!ENTITY b 'c'>", "an entity declaration"),
    "attributes": ("<!ATTLIST a b CDATA 'c'><a/>", "a markup declaration"),
    "lower case": ("<!doctype a><a/>", "a markup declaration"),
}
PIECES = st.lists(
    st.sampled_from(
        [
            *("<!--", "-->", "<![CDATA[", "]]>", "<?x ?>", "<?", "?>", "<!DOCTYPE a>", "<!"),
            *("<b/>", "-", "]", ">", "x", "<c d='1'>", "</c>", "&lt;"),
        ]
    ),
    max_size=12,
).map("".join)


def forbidden_markup(data: bytes) -> ForbiddenMarkup | None:
    return MarkupScan().feed(data)


def seen_by_expat(text: str) -> bool | None:
    """Whether a conforming parser meets one of them; None where the text is no XML."""
    met: list[object] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = lambda *given: met.append(given)
    parser.ProcessingInstructionHandler = lambda *given: met.append(given)
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError:
        return None
    return bool(met)


@pytest.mark.parametrize("text", TEXT.values(), ids=TEXT)
def test_in_cdata_and_in_comments_they_are_characters(text: str) -> None:
    assert seen_by_expat(text) is False
    assert forbidden_markup(text.encode()) is None
    assert xml.parse(text.encode()).tag == "a"


@pytest.mark.parametrize(("text", "what"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_everywhere_else_they_are_refused_with_their_byte(text: str, what: str) -> None:
    found = forbidden_markup(text.encode())
    assert found is not None
    assert found.what == what
    assert text[found.position :].startswith(("<!", "<?"))
    with pytest.raises(NotWellFormed, match=f"{what} is never accepted"):
        xml.parse(text.encode())


@given(before=PIECES, inside=PIECES, after=PIECES)
def test_the_scan_sees_what_a_conforming_parser_sees(before: str, inside: str, after: str) -> None:
    text = f"{before}<a>{inside}</a>{after}"
    seen = seen_by_expat(text)
    if seen is not None:
        assert (forbidden_markup(text.encode()) is not None) == seen
    elif forbidden_markup(text.encode()) is None:
        with pytest.raises(NotWellFormed):
            xml.parse(text.encode())


@given(text=PIECES, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_it_does_not_matter_how_the_bytes_are_cut(text: str, cuts: list[int]) -> None:
    data, scan, found = text.encode(), MarkupScan(), None
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        if found is None:
            found = scan.feed(data[start:end])
    assert found == forbidden_markup(data)


def test_bytes_of_cdata_and_comments_are_known_as_text() -> None:
    scan = MarkupScan()
    data = b"<a><!-- b --> c <![CDATA[ d"
    assert scan.feed(data) is None
    assert [scan.is_text(data.index(letter)) for letter in (b"b", b"c", b"d")] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("piece", [b"<!---->", b"<![CDATA[]]>", b"<!--", b"<![CDATA["])
def test_a_flood_of_marks_is_looked_through_in_one_go(piece: bytes) -> None:
    body = b"<a>" + piece * (4_000_000 // len(piece))
    scan = MarkupScan()
    for start in range(0, len(body), 65_536):
        assert scan.feed(body[start : start + 65_536]) is None
        scan.forget(start)
    assert forbidden_markup(body) is None

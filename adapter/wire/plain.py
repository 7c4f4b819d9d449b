"""What looks at whole bytes tell of plain markup, much quicker than a parser's call for each tag.

They say nothing of whether the markup is well-formed; that a parser does, of the same bytes.
"""

import re
from functools import lru_cache
from typing import Final

from adapter.wire.markup import has_only_tags

LONGEST: Final = 1024
"""No tag is of more bytes, where the depth can be told."""

_SPAN: Final = LONGEST // 2
_SHORT: Final = 4 * LONGEST
"""In so few bytes no name is too long."""

URI: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.\-]*:|(?![^/?#]*:))"
    r"(?://(?:(?:{p}|:)*@)?(?:{p})*(?::\d{{1,5}})?(?=[/?#]|\Z)|(?!//))"
    r"(?:{p}|[:@/])*(?:\?(?:{p}|[:@/?])*)?(?:#(?:{p}|[:@/?])*)?".format(
        p=r"[\w.~!$&'()*+,;=\-]|%[0-9A-Fa-f]{2}"
    ),
    re.ASCII,
)
_DECLARATIONS: Final = frozenset(
    {
        b"",
        b'<?xml version="1.0"?>',
        b'<?xml version="1.0" encoding="utf-8"?>',
        b'<?xml version="1.0" encoding="UTF-8"?>',
    }
)
_NAMESPACE: Final = re.compile(
    rb"""xml(?:ns(?::[A-Za-z_][\w.\-]*+)?+="([^"'<>&]*+)"|(?=n|:(?!lang="[A-Za-z\-]{0,20}")))""",
    re.ASCII,
)
"""The URI that is declared, or nothing where `xmlns` or `xml:` may be of another use. `xml:lang` is
in faults, and is not found."""

_OF_XML: Final = "http://www.w3.org/XML/"
_OF_XMLNS: Final = "http://www.w3.org/2000/xmlns/"
_OF_NUMBERS: Final = b"0123456789.+-"
_TRIES: Final = 8
"""So many tags one after the other are looked at for one with which a repeated element begins."""

_ENDS, _EMPTY, _OPENS = b"\1", b"\2", b"<"
_ALL_ELSE: Final = bytes(set(range(256)) - set(_ENDS + _EMPTY + _OPENS))


def is_plain(text: bytes, *, most_bytes: int, most: int) -> bool:
    """Whether a few looks show that a whole body has nothing beyond the bounds but its depth, and
    nothing that one parser takes and another does not: then libxml2 tells if it is well-formed.

    It is ASCII, without comments, CDATA and instructions, with no attribute of XML's own but
    `xml:lang`, and in namespaces that are usual URIs. `most`: attributes of one element, and
    namespaces.
    """
    begin = text.find(b">") + 1 if text.startswith(b"<?xml") else 0
    end = text.rfind(b"=") + 1  # behind it there are no attributes
    end = text.find(b'"', end + 1) + 1 or len(text)
    declared = _NAMESPACE.findall(text, begin, end)
    return (
        text.isascii()
        and len(text) <= most_bytes
        and text[:begin] in _DECLARATIONS
        and has_only_tags(text[begin:] if begin else text)
        and len(declared) <= most
        and all(map(_is_usual, declared))
        and (text.count(b"=", begin, end) <= most or _have_few(text[begin:], most))
        and (len(text) <= _SHORT or _are_short(text))
    )


@lru_cache(256)
def _is_usual(uri: bytes) -> bool:
    """Whether no parser has anything to say about the namespace."""
    name = uri.decode()
    return (
        ":" in name
        and len(name) <= LONGEST
        and not name.startswith((_OF_XML, _OF_XMLNS))
        and URI.fullmatch(name) is not None
    )


def depth_behind(
    markup: bytes, depth: int, *, least: int, most: int, attributes: int
) -> int | None:
    """How many elements are open behind whole tags and the text between them, `depth` before them.

    None: it cannot be told that always `least` to `most` elements are open, that no tag has more
    than `attributes`, and that none is of more than LONGEST bytes. `markup` begins with a tag and
    ends before another one. Where it has as many `>` as `<`, all of them end tags, and no `/>` is
    text.
    """
    if (
        not markup.startswith(b"<")
        or not has_only_tags(markup)
        or not _are_short(markup)
        or not _have_few(markup, attributes)
    ):
        return None
    rest, height = _without_repeats(markup.translate(None, _OF_NUMBERS))
    if b"xml:id" in rest or rest.count(b">") != rest.count(b"<"):
        return None
    tags, deep = _reduced(rest, most - depth)
    height += deep
    ends, opens = tags.count(_ENDS), tags.count(_OPENS)
    behind = depth - ends + opens
    if tags != _ENDS * ends + _OPENS * opens:
        return None
    return behind if depth - ends >= least and max(depth, behind) + height <= most else None


def _without_repeats(markup: bytes) -> tuple[bytes, int]:
    """Without what is written again and again, as intervals are but for their numbers; and how deep
    that is. It opens and closes whole elements, and nothing else."""
    at = markup.find(b"<", len(markup) // 2)
    for _ in range(_TRIES):
        end = markup.find(b">", at) + 1
        again = markup.find(markup[at:end], end, end + LONGEST)
        if at < 0 or again < 0:
            break
        repeat = markup[at:again]
        if b"xml:id" not in repeat and repeat.count(b">") == repeat.count(b"<"):
            left, height = _reduced(repeat, LONGEST)
            if not left:
                return markup.replace(repeat, b""), height
        at = markup.find(b"<", end)
    return markup, 0


def _reduced(markup: bytes, deepest: int) -> tuple[bytes, int]:
    """The marks of the tags without those of elements that are closed in it; these are so deep at
    most. Given up past `deepest`."""
    tags = markup.replace(b"</", _ENDS).replace(b"/>", _EMPTY).translate(None, _ALL_ELSE)
    tags, height, size = tags.replace(_OPENS + _EMPTY, b""), 1, -1
    while size != len(tags) and height <= deepest:
        # What is closed at once is taken out, and what held only that in the next round.
        size = len(tags)
        tags, height = tags.replace(_OPENS + _ENDS, b""), height + 1
    return tags, height


def _are_short(markup: bytes) -> bool:
    """Whether a tag ends in each span: then none is longer than two of them."""
    return all(
        markup.find(b">", start, start + _SPAN) >= 0
        for start in range(0, len(markup) - _SPAN + 1, _SPAN)
    )


def _have_few(markup: bytes, attributes: int) -> bool:
    """Whether so many `=` do not stand between the beginnings of two tags; it is looked at by the
    halves as long as that is not clear."""
    if markup.count(b"=") <= attributes:
        return True
    middle = markup.find(b"<", len(markup) // 2)
    if middle < 0:
        return False
    return _have_few(markup[:middle], attributes) and _have_few(markup[middle:], attributes)

"""How deep plain markup nests, by counting and without a parser: much quicker than a call for each
tag.

It says nothing of whether the markup is well-formed; that the parser does, of the same bytes.
"""

from typing import Final

LONGEST: Final = 1024
"""No tag is of more bytes, where the depth can be told."""

_SPAN: Final = LONGEST // 2
_ENDS, _EMPTY, _OPENS = b"\1", b"\2", b"<"
_ALL_ELSE: Final = bytes(set(range(256)) - set(_ENDS + _EMPTY + _OPENS))


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
        or b"<!" in markup
        or b"<?" in markup
        or b"xml:id" in markup
        or markup.count(b">") != markup.count(b"<")
        or not _are_short(markup)
        or not _have_few(markup, attributes)
    ):
        return None
    tags = markup.replace(b"</", _ENDS).replace(b"/>", _EMPTY).translate(None, _ALL_ELSE)
    tags, height, size = tags.replace(_OPENS + _EMPTY, b""), 1, -1
    while size != len(tags) and depth + height <= most:
        # What is closed at once is taken out, and what held only that in the next round: all that
        # was taken out is `height` deep at most.
        size = len(tags)
        tags, height = tags.replace(_OPENS + _ENDS, b""), height + 1
    ends, opens = tags.count(_ENDS), tags.count(_OPENS)
    behind = depth - ends + opens
    if tags != _ENDS * ends + _OPENS * opens:
        return None
    return behind if depth - ends >= least and max(depth, behind) + height <= most else None


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

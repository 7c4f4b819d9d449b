"""What is never accepted in XML, where a parser sees it: declarations and processing instructions.

The same characters in CDATA or in a comment are text, and nothing of the kind. Where those begin
and end is all of XML's grammar that is needed: in tags and attribute values no `<` may stand.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

_COMMENT: Final = b"<!--"
_CDATA: Final = b"<![CDATA["
_END_OF: Final = {_COMMENT: b"-->", _CDATA: b"]]>"}
_NEVER: Final = (
    (b"<!DOCTYPE", "a document type declaration"),
    (b"<!ENTITY", "an entity declaration"),
    (b"<!", "a markup declaration"),
    (b"<?", "a processing instruction"),
)
_LONGEST: Final = 9
_MARK: Final = re.compile(
    rb"<!--(?P<comment>.*?-->)?|<!\[CDATA\[(?P<cdata>.*?\]\]>)?|<[!?]", re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForbiddenMarkup:
    """`what` it is, and the byte where it begins."""

    what: str
    position: int

    def __str__(self) -> str:
        return f"{self.what} is never accepted"


class MarkupScan:
    """Looks through one body, fed in pieces of any size, in flat memory and linear time."""

    def __init__(self) -> None:
        self._rest = b""
        self._read = 0
        self._until: bytes | None = None
        self._begun = 0
        self._texts: list[tuple[int, int]] = []

    @property
    def inside(self) -> bool:
        """Whether what comes next is in CDATA or a comment."""
        return self._until is not None

    def feed(self, data: bytes) -> ForbiddenMarkup | None:
        """The first that is forbidden, by its position in the whole body. Then feed no more."""
        window = self._rest + data
        start = self._read - len(self._rest)
        self._read += len(data)
        if self._until is None and has_only_tags(window):
            self._rest = b"<" if window.endswith(b"<") else b""
            return None
        return self._look(window, start)

    def is_text(self, position: int) -> bool:
        """Whether a byte that was fed is in CDATA or a comment; not before `forget`'s position."""
        if self._until is not None and position >= self._begun:
            return True
        before = bisect_right(self._texts, (position, self._read)) - 1
        return before >= 0 and position < self._texts[before][1]

    def forget(self, position: int) -> None:
        """Nothing before this byte will be asked for."""
        if self._texts:
            self._texts = [each for each in self._texts if each[1] > position]

    def _look(self, window: bytes, start: int) -> ForbiddenMarkup | None:
        at = 0
        if self._until is not None:
            end = window.find(self._until)
            if end < 0:
                self._rest = window[1 - len(self._until) :]
                return None
            at = end + len(self._until)
            self._texts.append((self._begun, start + at))
            self._until = None
        for found in _MARK.finditer(window, at):
            at = found.end()
            if found.lastgroup is not None:
                self._texts.append((start + found.start(), start + at))
            elif found[0] in _END_OF:
                self._until, self._begun = _END_OF[found[0]], start + found.start()
                self._rest = window[max(at, len(window) - len(self._until) + 1) :]
                return None
            elif _is_cut_off(window, found.start()):
                self._rest = window[found.start() :]
                return None
            else:
                return _forbidden(window, found.start(), start)
        self._rest = b"<" if window.endswith(b"<") and at < len(window) else b""
        return None


def has_only_tags(markup: bytes) -> bool:
    """Whether `<` begins nothing else in it; that it has no comment or CDATA behind it is for the
    caller to know."""
    # To look for one byte is far quicker than to look for two, and nearly always enough.
    return (b"!" not in markup or b"<!" not in markup) and (
        b"?" not in markup or b"<?" not in markup
    )


def _is_cut_off(window: bytes, at: int) -> bool:
    """Whether the mark at the end of `window` needs more bytes to be told."""
    end = window[at:]
    return len(end) < _LONGEST and any(
        len(begin) > len(end) and begin.startswith(end)
        for begin in (_COMMENT, _CDATA, *(begin for begin, _ in _NEVER))
    )


def _forbidden(window: bytes, at: int, start: int) -> ForbiddenMarkup:
    what = next(what for begin, what in _NEVER if window.startswith(begin, at))
    return ForbiddenMarkup(what=what, position=start + at)

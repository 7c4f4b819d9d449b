"""Intervals that are alike but for their number, written together before libxml2 reads them.

What repeats byte for byte means the same again. Of intervals in a row whose only difference is a
plain number the first stays as it is, and libxml2 judges it; the numbers of the others follow it in
one processing instruction, `<?numbers 1.5 1.7?>`. A body may not have any (see `markup`), so that
each one in the tree was made here. A list of 96 intervals is then about as cheap as one.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from copy import deepcopy
from operator import itemgetter
from typing import Final

from lxml import etree

_MOST_HELD: Final = 4 * 1024
"""Bytes of an interval, or of a tag, whose end is waited for where a piece ends in it."""

_PREFIX: Final = rb"((?:[A-Za-z_][\w.\-]{0,31}:)?)"
_NUMBER: Final = rb"[0-9.+\-]{1,64}"
_STATUSES: Final = (
    rb"(?:\s|</?[\w.\-:]{0,64}Status(?:es)?"
    rb"(?:\s(?!xml:)[\w:]{1,64}=\"[^\"<&]{0,99}\"){0,4}\s?/?>\w*)*+"
)
_VALUES: Final = re.compile(rb"ChannelValue>(%s)<" % _NUMBER)
_OF_NUMBERS: Final = re.compile(rb"[0-9.+\-]")
_BETWEEN: Final = bytes.maketrans(b"<", b" ")
_NOT_OF_NUMBERS: Final = re.sub(rb"[0-9.+\-<]", b"", bytes(range(256)))
_LIST_NAME: Final = b"IntervalValues>"
_LIST: Final = re.compile(rb"<%s%s" % (_PREFIX, _LIST_NAME))
_RUN: Final = re.compile(
    rb"(?P<before>\s*+<%s(IntervalValue>)\s*+<\2(ChannelValue>))%s"
    rb"(?P<behind></\2\4%s</\2\3)(?P<others>(?:(?P=before)%s(?P=behind))*+)"
    % (_PREFIX, _NUMBER, _STATUSES, _NUMBER)
)


class IntervalRuns:
    """Writes the runs of one body together, fed in pieces. `is_text` tells whether a byte that was
    fed, by its position in the body, is in CDATA or a comment."""

    def __init__(self, is_text: Callable[[int], bool]) -> None:
        self._is_text = is_text
        self._in_list = False
        self._held = b""
        self._begin = 0
        self._shifts = [(0, 0)]
        self.given = 0
        """So many bytes were given."""

    def feed(self, piece: bytes) -> bytes:
        """What libxml2 is to read in place of what was held and this piece: it ends with a tag."""
        data = self._held + piece
        self._shifts = self._shifts[-1:]
        given: list[bytes] = []
        done = at = 0
        while self._in_list or (at := self._list_behind(data, at)):
            while (run := _RUN.match(data, at)) is not None:
                at = run.end()
                if run["others"]:
                    numbers = b"<?numbers %s?>" % _numbers(run)
                    given += data[done : run.start("others")], numbers
                    self.given += len(given[-2]) + len(numbers)
                    self._shifts.append((self.given, self._begin + at - self.given))
                    done = at
            self._in_list = len(data) - at < _MOST_HELD and _LIST_NAME not in data[at:]
            if self._in_list:
                break
        whole = at if self._in_list else _whole_tags(data)
        given.append(data[done:whole])
        self.given += whole - done
        self._held = data[whole:]
        self._begin += whole
        return b"".join(given)

    def finish(self) -> bytes:
        """What was held to the end."""
        self.given += len(self._held)
        return self._held

    def original(self, at: int) -> int:
        """Which byte of the body it is, by its position in what was given last."""
        return at + self._shifts[bisect_right(self._shifts, at, key=itemgetter(0)) - 1][1]

    def _list_behind(self, data: bytes, at: int) -> int:
        """Where the next list of intervals begins; 0 where there is none."""
        for found in _LIST.finditer(data, at):
            if not self._is_text(self._begin + found.start()):
                return found.end()
        return 0


def _numbers(run: re.Match[bytes]) -> bytes:
    """With blanks between. Where nothing around them is of numbers, they are what is left of it."""
    if _OF_NUMBERS.search(run["before"] + run["behind"]) is None:
        return run["others"].translate(_BETWEEN, _NOT_OF_NUMBERS)
    return b" ".join(_VALUES.findall(run["others"]))


def _whole_tags(data: bytes) -> int:
    """Where a tag begins that is cut off at the end; the end where none is."""
    begin = data.rfind(b"<", max(len(data) - _MOST_HELD, 0))
    return len(data) if begin < 0 or b">" in data[begin:] else begin


def numbers_of(child: etree._Element) -> list[str] | None:
    """The numbers of the intervals that follow, alike, the one before `child`; None where it is an
    interval itself."""
    is_run = isinstance(child, etree._ProcessingInstruction)
    return (child.text or "").split() if is_run else None


def restored(element: etree._Element) -> etree._Element:
    """The element as it came, with every interval of every run."""
    for numbers in list(element.iter(etree.PI)):
        first, values = numbers.getprevious(), numbers.getparent()
        assert first is not None
        assert values is not None
        above = first.getprevious()
        first.tail = values.text if above is None else above.tail
        for text in numbers_of(numbers) or ():
            another = deepcopy(first)
            another[0].text = text
            numbers.addprevious(another)
        last = numbers.getprevious()
        assert last is not None
        last.tail, numbers.tail = numbers.tail, None
        values.remove(numbers)
    return element

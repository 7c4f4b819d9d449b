"""Payloads of any size in flat memory: DataArrived, EventsArrived and ExceptionsArrived by parts.

A pull parser gives one event for each dat:ReadData (MeterException, EventLog) when it is whole; it
is read and taken off the tree. Hardened as `wire.xml` is: no DOCTYPE, no entities, no processing
instructions (see `markup`), UTF-8 or UTF-16 with a mark, bounded in depth, namespaces and the size
of one part.
Wrappers are inferred, so they are matched by local name. Byte positions count the body in UTF-8.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lxml import etree

from adapter.errors import NotWellFormed, WireError
from adapter.readings.seeds import BadPart, Part
from adapter.wire.bounded import MAX_ATTRIBUTES, MAX_DEPTH, BoundedReader, XmlBounds
from adapter.wire.encoding import as_utf8
from adapter.wire.markup import MarkupScan
from adapter.wire.parts import PART_NAMES, identifier_of, kept_xml, read_part, serial_of
from adapter.wire.runs import IntervalRuns
from adapter.wire.xml import PARSING, local_name, what_is_wrong

MAX_PART_BYTES: Final = 32 * 1024 * 1024
"""The most bytes between the ends of two parts: one device's values, or what stands around them."""

MOST_BAD_PARTS: Final = 1_000
"""Of a body with more parts that cannot be read nothing is taken: it is no payload gone wrong here
and there. A part with bad pieces is none of them."""

_PIECE: Final = 64 * 1024
_ROOTS: Final = frozenset(
    {
        "Envelope", "DataArrived", "EventsArrived", "ExceptionsArrived", "ReadDataCollection",
        "ArrayOfReadData", "MeterExceptionCollection", *PART_NAMES,
    }
)  # fmt: skip
"""Files may hold a payload without its envelope."""

_LONGEST_PREFIX: Final = 32
_STARTS: Final = tuple(
    (name.encode(), re.compile(rb"<(?:[A-Za-z_][\w.\-]{0,30}:)?%s[\s/>]" % name.encode()))
    for name in PART_NAMES
)


class Broken(WireError):
    """The body as a whole cannot be read on. `position` is a byte offset, -1 where not known."""

    code = "payload_broken"

    def __init__(self, message: str, position: int = -1) -> None:
        super().__init__(f"{message}, at byte {position}" if position >= 0 else message)
        self.position = position

    @classmethod
    def told(cls, text: str, position: int) -> "Broken":
        """One whose text already says where."""
        made = cls(text)
        made.position = position
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class PartBounds:
    part_bytes: int = MAX_PART_BYTES
    depth: int = MAX_DEPTH
    namespaces: int = MAX_ATTRIBUTES
    bad_parts: int = MOST_BAD_PARTS


USUAL: Final = PartBounds()
AS_FAR_AS_READ: Final = XmlBounds(depth=256, attributes=100_000, namespaces=100_000)
"""Of a part that is nested too deep, or has too many of them, only that part is bad."""


def parts(pieces: Iterable[bytes], bounds: PartBounds = USUAL) -> Iterator[Part | BadPart]:
    """Every part in the order of the body. Raises Broken; what was given before it stands alone.

    Bodies that are not well-formed are broken where libxml2 noticed; `where_broken` has it exact.
    """
    reading = _Reading(bounds)
    for piece in _utf8_of(pieces):
        for start in range(0, len(piece), _PIECE):
            yield from reading.feed(piece[start : start + _PIECE])
    yield from reading.finish()


def where_broken(pieces: Iterable[bytes], bounds: XmlBounds = AS_FAR_AS_READ) -> Broken | None:
    """Where a body stops being well-formed, by a second, exact parser; None: nowhere."""
    reader = BoundedReader(bounds)
    try:
        for piece in pieces:
            reader.feed(piece)
        reader.finish()
    except NotWellFormed as error:
        return Broken(f"not well-formed: {error}", error.position)
    return None


class _Reading:
    """One body. Bytes are looked through before the parser sees them."""

    def __init__(self, bounds: PartBounds) -> None:
        self._bounds = bounds
        self._parser = _new_parser()
        self._deep = etree.XPath(f"boolean({'/'.join(['*'] * bounds.depth)})")
        self._fed = 0
        self._line = 1
        self._line_starts = 0
        self._last_end = 0
        self._starts: deque[int] = deque()
        self._markup = MarkupScan()
        self._runs = IntervalRuns(self._markup.is_text)
        self._nested = 0
        self._index = 0
        self._first_bad: BadPart | None = None
        self._bad = 0
        self._root_checked = False

    def feed(self, data: bytes) -> Iterator[Part | BadPart]:
        forbidden = self._markup.feed(data)
        if forbidden is not None:
            raise Broken(str(forbidden), forbidden.position)
        self._fed += len(data)
        self._parse(self._runs.feed(data))
        self._markup.forget(self._runs.original(self._runs.given))
        yield from self._finished()
        if self._fed - self._last_end > self._bounds.part_bytes:
            most = self._bounds.part_bytes
            raise Broken(f"more than {most} bytes without an end", self._last_end)

    def finish(self) -> Iterator[Part | BadPart]:
        if not self._fed:
            raise Broken("the body is empty", 0)
        self._parse(self._runs.finish())
        try:
            root = self._parser.close()
            yield from self._finished()
        except etree.XMLSyntaxError as error:
            raise Broken(f"not well-formed: {what_is_wrong(error)}", self._fed) from error
        self._check_root(root)

    def _parse(self, data: bytes) -> None:
        """`data` was given last. Parts do not begin in a comment, nor in CDATA."""
        begin = self._runs.given - len(data)
        starts = (self._runs.original(begin + at) for at in _begins(data))
        self._starts.extend(at for at in starts if not self._markup.is_text(at))
        try:
            self._parser.feed(data)
        except etree.XMLSyntaxError as error:
            at = self._runs.original(begin + self._where(error, data))
            raise Broken(f"not well-formed: {what_is_wrong(error)}", at) from error
        if lines := data.count(b"\n"):
            self._line += lines
            self._line_starts = begin + data.rindex(b"\n") + 1

    def _where(self, error: etree.XMLSyntaxError, data: bytes) -> int:
        """The byte of `data`, which libxml2 was given last, at which it stopped. It counts columns
        in bytes."""
        line, column = error.position
        if line < self._line:
            return 0
        start = self._line_starts - (self._runs.given - len(data))
        for _ in range(line - self._line):
            start = data.find(b"\n", max(start, 0)) + 1
        return min(max(start + column - 1, 0), len(data))

    def _finished(self) -> Iterator[Part | BadPart]:
        for _, element in self._parser.read_events():
            assert isinstance(element, etree._Element)
            if _inside_a_part(element):
                self._nested += 1
                continue
            if not self._root_checked:
                self._check_root(element.getroottree().getroot())
            part = self._part(element)
            if isinstance(part, BadPart):
                self._count(part)
            yield part
            _drop(element)
            self._last_end = self._fed

    def _count(self, bad: BadPart) -> None:
        first = self._first_bad = self._first_bad or bad
        self._bad += 1
        if self._bad > self._bounds.bad_parts:
            words = f"more than {self._bounds.bad_parts} parts cannot be read"
            raise Broken(f"{words}, the first one: {first.reason[:200]}", bad.position)

    def _part(self, element: etree._Element) -> Part | BadPart:
        position = self._starts.popleft() if self._starts else -1
        for _ in range(min(self._nested, len(self._starts))):
            self._starts.popleft()
        self._nested = 0
        index, self._index = self._index, self._index + 1
        try:
            if self._deep(element):
                raise WireError(f"nested deeper than {self._bounds.depth} elements")
            if len(element.nsmap) > self._bounds.namespaces:
                raise WireError(f"more than {self._bounds.namespaces} namespaces in scope")
            return read_part(element, index=index, position=position)
        except WireError as error:
            return BadPart(
                index=index,
                position=position,
                reason=str(error),
                xml=kept_xml(element),
                identifier=identifier_of(element),
                serial=serial_of(element),
            )

    def _check_root(self, root: etree._Element) -> None:
        self._root_checked = True
        if local_name(root) not in _ROOTS:
            raise Broken(f"{root.tag[:200]} is no payload", 0)


def _utf8_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from as_utf8(pieces)
    except NotWellFormed as error:
        raise Broken(str(error), error.position) from error


def _begins(data: bytes) -> list[int]:
    """Where parts begin in `data`."""
    found: list[int] = []
    for name, start in _STARTS:
        at = data.find(name)
        while at >= 0:
            tag = data.rfind(b"<", max(0, at - _LONGEST_PREFIX), at)
            if tag >= 0 and start.match(data, tag):
                found.append(tag)
            at = data.find(name, at + len(name))
    return sorted(found)


def _new_parser() -> etree.XMLPullParser:
    return etree.XMLPullParser(
        events=("end",),
        tag=tuple(f"{{*}}{name}" for name in PART_NAMES),
        **PARSING,
    )


def _inside_a_part(element: etree._Element) -> bool:
    return any(local_name(above) in PART_NAMES for above in element.iterancestors())


def _drop(element: etree._Element) -> None:
    """Take what was read off the tree; the last one stays, for the parser still holds it."""
    parent = element.getparent()
    element.clear()
    if parent is not None:
        while (before := element.getprevious()) is not None:
            parent.remove(before)

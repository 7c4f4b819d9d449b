"""The one judge of bytes as XML, of any size: well-formed with namespaces, and within bounds.

It works in flat memory and in time that grows with the size alone, and its verdict does not depend
on how the bytes are cut. Versions of expat before 2.6 scan an unfinished token again with every
piece, so that one long attribute costs minutes: what follows such a token is given on only when as
much has come as was scanned in vain. Nothing is taken here that libxml2, which reads the content
later, gives up on.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias
from xml.parsers import expat

from adapter.errors import NotWellFormed
from adapter.wire.encoding import NO_ENCODING, Utf8Body
from adapter.wire.markup import MarkupScan
from adapter.wire.plain import LONGEST, URI, depth_behind

KIB: Final = 1024
MIB: Final = 1024 * KIB
MAX_DEPTH: Final = 32
"""The deepest message of the contract has 12 levels."""
MAX_ATTRIBUTES: Final = 32

_STEP: Final = 8 * KIB
_KNOWN_URIS: Final = 32
"""So many namespaces are looked at once, however often they are declared."""

_ID: Final = "http://www.w3.org/XML/1998/namespace}id"
_NAME: Final = re.compile(r"[A-Za-z_][\w.\-]*", re.ASCII)
_BEGINS: Final = re.compile(rb"<[^/]")


@dataclass(frozen=True, slots=True, kw_only=True)
class XmlBounds:
    """`name_chars` counts the namespace too; `token_bytes` one tag or comment; `text_bytes` what
    stands between the beginnings of two elements."""

    depth: int = MAX_DEPTH
    attributes: int = MAX_ATTRIBUTES
    namespaces: int = MAX_ATTRIBUTES
    name_chars: int = 4 * KIB
    token_bytes: int = MIB
    text_bytes: int = 8 * MIB


USUAL: Final = XmlBounds()
_Start: TypeAlias = Callable[[str, dict[str, str]], None]
_End: TypeAlias = Callable[[str], None]
_Moved: TypeAlias = Callable[[int], None]


class Watcher(Protocol):
    """Is told of the outer elements in their order. Names are `{namespace}name`. What it raises
    ends the reading."""

    @property
    def heard_enough(self) -> bool:
        """Whether all that comes before the end of the innermost element it was told of is nothing
        to it."""

    def start(self, name: str, attributes: Mapping[str, str], depth: int) -> None: ...

    def text(self, text: str) -> None:
        """Of the element that is open; in one or more pieces."""

    def end(self, depth: int) -> None: ...


class BoundedReader:
    """Judges one body: feed it, then finish it. Both raise NotWellFormed with the position; after
    that it is over. `watcher` hears of elements down to `watched` levels."""

    def __init__(
        self, bounds: XmlBounds = USUAL, *, watcher: Watcher | None = None, watched: int = 0
    ) -> None:
        self._bounds = bounds
        self._watcher = watcher
        self._watched = watched
        self._body = Utf8Body()
        self._markup = MarkupScan()
        self._start, self._end, self._heard, self._moved = self._handlers()
        self._parser = self._new_parser()
        self._pending = bytearray()
        self._waiting = bytearray()
        self._fed = 0
        self._unfinished = 0
        self._quiet = 0
        self._depth = 0
        self._prefixes: dict[str | None, int] = {}
        self._uris: set[str] = set()
        self._longest_uri = 0

    def feed(self, piece: bytes) -> bytes:
        """Gives the bytes in UTF-8, mark and declaration blanked, as far as they are known."""
        text = self._body.feed(piece)
        self._take(text)
        return text

    def finish(self) -> bytes:
        """There are no more bytes. Gives the rest in UTF-8."""
        text = self._body.finish()
        self._take(text)
        self._step(bytes(self._pending))
        self._listen(True)
        self._parse(bytes(self._waiting), last=True)
        return text

    def _take(self, text: bytes) -> None:
        """Steps begin at the same bytes however these come."""
        self._pending += text
        whole = len(self._pending) - len(self._pending) % _STEP
        for start in range(0, whole, _STEP):
            self._step(bytes(self._pending[start : start + _STEP]))
        del self._pending[:whole]

    def _step(self, data: bytes) -> None:
        inside = self._markup.inside
        forbidden = self._markup.feed(data)
        if forbidden is not None:
            raise NotWellFormed(str(forbidden), forbidden.position)
        self._markup.forget(self._fed)
        self._waiting += data
        held = len(self._waiting)
        if held < self._unfinished and self._unfinished + held <= self._bounds.token_bytes:
            return
        waiting = bytes(self._waiting)
        end = waiting.rfind(b"<")
        whole = waiting[:end] if end >= 0 and held - end <= _STEP else waiting
        del self._waiting[: len(whole)]
        begun = self._read(
            whole, behind=None if inside or len(whole) != end else self._counted(whole)
        )
        self._unfinished = self._fed - max(self._parser.CurrentByteIndex, 0)
        self._quiet = 0 if begun else self._quiet + len(whole)
        if self._unfinished > self._bounds.token_bytes:
            self._refuse(f"a tag or comment of more than {self._bounds.token_bytes} bytes")
        if self._quiet > self._bounds.text_bytes:
            self._refuse(f"more than {self._bounds.text_bytes} bytes without an element")

    def _read(self, whole: bytes, *, behind: int | None) -> bool:
        """Whether an element begins in it. `behind`: the depth after it, where it was counted."""
        self._listen(behind is None)
        if behind is None:
            self._parse(whole, last=False)
            self._depth, begun = self._heard()
            return begun
        self._parser.CharacterDataHandler = None
        self._parse(whole, last=False)
        if self._watcher is not None and behind == self._watched:
            self._parser.CharacterDataHandler = self._watcher.text
        self._depth = behind
        self._moved(behind)
        return _BEGINS.search(whole) is not None

    def _counted(self, whole: bytes) -> int | None:
        """The depth behind these whole tags, where counting shows that nothing in them is beyond
        the bounds or heard by the watcher."""
        longest = LONGEST + 1 + max(LONGEST, self._longest_uri)
        if self._unfinished or longest > self._bounds.name_chars:
            return None
        return depth_behind(
            whole,
            self._depth,
            least=self._watched + (0 if self._watcher and self._watcher.heard_enough else 1),
            most=self._bounds.depth,
            attributes=self._bounds.attributes,
        )

    def _listen(self, yes: bool) -> None:
        """Whether the parser calls for each tag."""
        self._parser.StartElementHandler = self._start if yes else None
        self._parser.EndElementHandler = self._end if yes else None

    def _parse(self, data: bytes, *, last: bool) -> None:
        self._fed += len(data)
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            words = expat.errors.messages.get(error.code, str(error))
            where = f"line {error.lineno}, column {error.offset + 1}"
            at = max(self._parser.ErrorByteIndex, 0)
            if _is_no_utf8(data, at - self._fed + len(data)):
                words = NO_ENCODING
            raise NotWellFormed(f"{words}, {where}", at) from error

    def _new_parser(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("utf-8", "}")
        parser.StartNamespaceDeclHandler = self._declared
        parser.EndNamespaceDeclHandler = self._undeclared
        if self._watcher is not None:
            parser.CharacterDataHandler = self._watcher.text
        return parser

    def _handlers(self) -> tuple[_Start, _End, Callable[[], tuple[int, bool]], _Moved]:
        """Of the tags; the depth, and whether an element began since that was asked last; and what
        is told the depth where they were not called. They are called for every tag, so that they
        hold in themselves what they need."""
        depth, begun, deepest, watched = 0, False, self._bounds.depth, self._watched
        longest = self._bounds.name_chars

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal depth, begun
            depth += 1
            begun = True
            if attributes or depth > deepest or len(name) > longest:
                self._check(name, attributes, depth)
            if depth <= watched:
                self._watch(name, attributes, depth)
            elif depth == watched + 1:
                self._parser.CharacterDataHandler = None

        def end(name: str) -> None:
            nonlocal depth
            if depth <= watched + 1 and self._watcher is not None:
                self._parser.CharacterDataHandler = self._watcher.text
                self._watcher.end(depth)
            depth -= 1

        def heard() -> tuple[int, bool]:
            nonlocal begun
            was, begun = begun, False
            return depth, was

        def moved(to: int) -> None:
            nonlocal depth
            depth = to

        return start, end, heard, moved

    def _watch(self, name: str, attributes: dict[str, str], depth: int) -> None:
        assert self._watcher is not None
        named = {_clark(key): value for key, value in attributes.items()}
        self._watcher.start(_clark(name), named, depth)

    def _check(self, name: str, attributes: dict[str, str], depth: int) -> None:
        if depth > self._bounds.depth:
            self._refuse(f"nested deeper than {self._bounds.depth} elements")
        if len(attributes) > self._bounds.attributes:
            self._refuse(f"more than {self._bounds.attributes} attributes on one element")
        if max(map(len, (name, *attributes))) > self._bounds.name_chars:
            self._refuse(f"a name of more than {self._bounds.name_chars} characters")
        if not _NAME.fullmatch(attributes.get(_ID, "none")):
            self._refuse("an xml:id that is no name")

    def _declared(self, prefix: str | None, uri: str | None) -> None:
        self._prefixes[prefix] = self._prefixes.get(prefix, 0) + 1
        self._longest_uri = max(self._longest_uri, len(uri or ""))
        if len(self._prefixes) > self._bounds.namespaces:
            self._refuse(f"more than {self._bounds.namespaces} namespaces in scope")
        if len(prefix or "") > self._bounds.name_chars:
            self._refuse(f"a name of more than {self._bounds.name_chars} characters")

        if uri and uri not in self._uris:
            if not URI.fullmatch(uri):
                self._refuse("a namespace that is no URI")
            if len(self._uris) < _KNOWN_URIS:
                self._uris.add(uri)

    def _undeclared(self, prefix: str | None) -> None:
        self._prefixes[prefix] -= 1
        if not self._prefixes[prefix]:
            del self._prefixes[prefix]

    def _refuse(self, what: str) -> None:
        raise NotWellFormed(what, max(self._parser.CurrentByteIndex, 0))


def _clark(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _is_no_utf8(data: bytes, at: int) -> bool:
    try:
        data[at : at + 4].decode()
    except UnicodeDecodeError as error:
        return at >= 0 and error.start == 0
    return False


def checked(data: bytes, bounds: XmlBounds = USUAL) -> bytes:
    """A whole body in UTF-8, mark and declaration blanked. Raises NotWellFormed."""
    reader = BoundedReader(bounds)
    return reader.feed(data) + reader.finish()

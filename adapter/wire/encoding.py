"""Bodies of any encoding that is accepted as UTF-8: UTF-8 itself, or UTF-16 with a mark.

Mark and declaration are judged and blanked, so that positions stay and no parser has a say in what
the encoding is.
"""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Final

from adapter.errors import NotWellFormed

NO_ENCODING: Final = "neither UTF-8 nor UTF-16 with a byte order mark"
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_UTF32_MARK: Final = b"\xff\xfe\x00\x00"
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_HEAD: Final = 512
_LONGEST_DECLARATION: Final = 200
"""It is whole in the head, in either encoding, wherever that is cut."""

_BEGINS: Final = re.compile(rb"(\xef\xbb\xbf)?<\?xml(?=[\s?])")
_DECLARATION: Final = re.compile(
    rb"""<\?xml
    [ \t\r\n]+ version [ \t\r\n]*=[ \t\r\n]* (?P<v>["']) (?P<version>[\w.\-:]{1,20}) (?P=v)
    (?: [ \t\r\n]+ encoding [ \t\r\n]*=[ \t\r\n]*
        (?P<e>["']) (?P<encoding>[A-Za-z][\w.\-]{0,40}) (?P=e) )?
    (?: [ \t\r\n]+ standalone [ \t\r\n]*=[ \t\r\n]* (?P<s>["']) (?:yes|no) (?P=s) )?
    [ \t\r\n]* \?>""",
    re.VERBOSE | re.ASCII,
)


class Utf8Body:
    """One body as it comes in: feed it, then finish it. Raises NotWellFormed for an encoding that
    is not accepted or a declaration that is none; bad bytes of UTF-8 are the parser's."""

    def __init__(self) -> None:
        self._head = b""
        self._begun = False
        self._given = 0
        self._decoder: codecs.IncrementalDecoder | None = None

    def feed(self, piece: bytes) -> bytes:
        """What can be given on of it: the first 512 bytes are held until they are whole."""
        if not self._begun:
            self._head += piece
            return self._begin() if len(self._head) >= _HEAD else b""
        if self._decoder is not None:
            piece = self._decoded(piece)
        self._given += len(piece)
        return piece

    def finish(self) -> bytes:
        """The rest."""
        rest = b"" if self._begun else self._begin()
        if self._decoder is not None:
            rest += self._decoded(b"", final=True)
        return rest

    def _begin(self) -> bytes:
        head, self._head, self._begun = self._head, b"", True
        allowed = b"utf-8"
        if head.startswith(UTF16_MARKS) and not head.startswith(_UTF32_MARK):
            self._decoder = codecs.getincrementaldecoder("utf-16")()
            head, allowed = self._decoded(head), b"utf-16"
        elif b"\0" in head[:4]:
            # expat takes UTF-16 for what it is even where it was told that it gets UTF-8.
            raise NotWellFormed(NO_ENCODING, 0)
        head = _without_declaration(head, allowed)
        self._given = len(head)
        return head

    def _decoded(self, piece: bytes, *, final: bool = False) -> bytes:
        assert self._decoder is not None
        try:
            return self._decoder.decode(piece, final).encode()
        except UnicodeError as error:
            raise NotWellFormed("not UTF-16 as its mark says", self._given) from error


def as_utf8(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same for pieces that are there already."""
    body = Utf8Body()
    for piece in pieces:
        if given := body.feed(piece):
            yield given
    if given := body.finish():
        yield given


def _without_declaration(head: bytes, allowed: bytes) -> bytes:
    mark = len(_UTF8_MARK) if head.startswith(_UTF8_MARK) else 0
    end = mark
    if _BEGINS.match(head):
        found = _DECLARATION.match(head, mark, mark + _LONGEST_DECLARATION)
        if found is None or found["version"] != b"1.0":
            raise NotWellFormed("not XML 1.0", 0)
        encoding = found["encoding"]
        if encoding is not None and encoding.lower() != allowed:
            raise NotWellFormed(f"encoding {encoding[:20].decode()} is not accepted", 0)
        end = found.end()
    return b" " * end + head[end:]

"""Heads of HTTP messages in the usual form, read without a parser.

Usual is what both sides of a gateway send all the time: HTTP/1.1, a connection that stays open, one
Content-Length. Of all else nothing is told here: it takes the parser.
"""

import re
from functools import lru_cache
from typing import Final

from msgspec import Struct
from multidict import CIMultiDict, CIMultiDictProxy

_FIELD: Final = rb"\r\n([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([!-~](?:[\t -~]*[!-~])?|)[\t ]*"
_FIELDS: Final = re.compile(_FIELD)
_ANSWER: Final = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) [ -~]*((?:" + _FIELD + rb")*)")
_REQUEST: Final = re.compile(rb"POST ([\w/\-.]+) HTTP/1\.1((?:" + _FIELD + rb")+)", re.ASCII)
_LENGTH: Final = re.compile(r"[0-9]{1,9}")
_UNUSUAL: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "expect",
        "keep-alive",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_BODILESS: Final = (204, 304)


class RequestHead(Struct, frozen=True, gc=False):
    """Of a POST; `length` is that of its body."""

    path: str
    headers: CIMultiDictProxy[str]
    length: int


class AnswerHead(Struct, frozen=True, gc=False):
    status: int
    length: int


@lru_cache(maxsize=256)
def request_head(head: bytes) -> RequestHead | None:
    """`head` is without the empty line; None where it is not of the usual form."""
    if (told := _REQUEST.fullmatch(head)) is None:
        return None
    headers = _headers(told[2])
    length = _length(headers)
    if length is None or not headers.get("Host"):
        return None
    return RequestHead(told[1].decode(), headers, length)


@lru_cache(maxsize=256)
def answer_head(head: bytes) -> AnswerHead | None:
    """As `request_head`."""
    if (told := _ANSWER.fullmatch(head)) is None or int(told[1]) in _BODILESS:
        return None
    length = _length(_headers(told[2]))
    return None if length is None else AnswerHead(int(told[1]), length)


def _headers(lines: bytes) -> CIMultiDictProxy[str]:
    fields = ((name.decode(), value.decode()) for name, value in _FIELDS.findall(lines))
    return CIMultiDictProxy(CIMultiDict(fields))


def _length(headers: CIMultiDictProxy[str]) -> int | None:
    """None where it is not told, or any field is unusual or there twice."""
    names = {name.lower() for name in headers}
    given = headers.get("Content-Length", "")
    if len(names) < len(headers) or names & _UNUSUAL or not _LENGTH.fullmatch(given):
        return None
    return int(given)

"""Messages laid out for people, in a way that can be taken back byte for byte.

A line break with blanks between `>` and `<` is layout and no content. A message for which that is
not so, or that is no XML, stays as it was recorded.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(rb"<[^>]*>|[^<]+")
_LAYOUT: Final = re.compile(rb">\n *<")
_STEP: Final = b"  "


def laid_out(message: bytes) -> bytes | None:
    """The message with one element a line; None where `taken_back` would not give it again."""
    shown = _indented(message)
    return shown if taken_back(shown) == message else None


def taken_back(shown: bytes) -> bytes:
    """The message as it was before `laid_out`."""
    return _LAYOUT.sub(b"><", shown.removesuffix(b"\n"))


def _indented(message: bytes) -> bytes:
    parts: list[bytes] = []
    depth = 0
    before = b""
    for token in _TOKEN.findall(message):
        closing = token.startswith(b"</")
        if closing:
            depth -= 1
        after_opening = before.startswith(b"<") and not before.startswith((b"</", b"<?"))
        empty = closing and after_opening and not before.endswith(b"/>")
        if before.startswith(b"<") and token.startswith(b"<") and not empty:
            parts.append(b"\n" + _STEP * max(depth, 0))
        parts.append(token)
        if token.startswith(b"<") and not closing and not token.startswith(b"<?"):
            depth += 0 if token.endswith(b"/>") else 1
        before = token
    return b"".join(parts) + b"\n"

"""What people are shown of a message, however large: its head, and what stands around a byte."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

HEAD_BYTES: Final = 64 * 1024
_AROUND: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """`head` is how the body begins. Where `position` is known, `around` is what stands about it,
    from the byte `around_from` on. `size` is that of the whole body, None where it is not known;
    `removed`: the body itself is no longer kept. Positions count the body in UTF-8.
    """

    head: bytes
    size: int | None = None
    whole: bool = True
    position: int | None = None
    around: bytes = b""
    around_from: int = 0
    removed: bool = False


def excerpt(
    pieces: Iterable[bytes], *, position: int | None = None, size: int | None = None
) -> Excerpt:
    """Reads no further than it must: memory does not grow with the body."""
    head, around = bytearray(), bytearray()
    first = max((position or 0) - _AROUND, 0)
    last = (position or 0) + _AROUND
    need = HEAD_BYTES + 1 if position is None else max(HEAD_BYTES + 1, last)
    read = 0
    for piece in pieces:
        if len(head) <= HEAD_BYTES:
            head += piece[: HEAD_BYTES + 1 - len(head)]
        if position is not None:
            around += piece[max(first - read, 0) : max(last - read, 0)]
        read += len(piece)
        if read >= need:
            break
    whole = len(head) <= HEAD_BYTES
    return Excerpt(
        head=bytes(head[:HEAD_BYTES]),
        size=len(head) if whole else size,
        whole=whole,
        position=position,
        around=bytes(around),
        around_from=min(first, read),
    )

"""The audit chain: each digest covers its entry and the digest before it (I6).

An edit, a gap or a changed order breaks it. A tail that was cut off leaves a chain that is whole;
it shows only against a head that was noted elsewhere.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from adapter.errors import StoreFailed

ORIGIN: Final = bytes(32)


class Head(Struct, frozen=True, kw_only=True, gc=False):
    """The last entry. `seq` counts from 1; 0 is the empty chain."""

    seq: int = 0
    digest: bytes = ORIGIN

    @classmethod
    def told(cls, seq: int, digest: str) -> "Head":
        """As people and files have it; no entry has a digest that is none."""
        try:
            return cls(seq=seq, digest=bytes.fromhex(digest))
        except ValueError:
            return cls(seq=seq, digest=b"")


def digest_of(before: bytes, seq: int, at: int, note: bytes) -> bytes:
    """Of an entry, after the digest `before` it. `at` in microseconds, `note` its canonical
    JSON."""
    return hashlib.sha256(before + b"[%d,%d,%s]" % (seq, at, note)).digest()


def follow(head: Head, at: int, note: bytes) -> Head:
    """The head after one more entry."""
    seq = head.seq + 1
    return Head(seq=seq, digest=digest_of(head.digest, seq, at, note))


def verify(entries: Iterable[tuple[int, int, bytes, bytes]], heads: Sequence[Head]) -> int:
    """Walk (seq, at, note, digest) from the first entry; how many there are.

    `heads` are known from elsewhere: the chain must pass through them. Raises StoreFailed at the
    first break.
    """
    head = Head()
    known: dict[int, set[bytes]] = {}
    for each in heads:
        known.setdefault(each.seq, set()).add(each.digest)
    if known.get(0, {ORIGIN}) != {ORIGIN}:
        raise StoreFailed("the head before the first entry is not the one that was written")
    for seq, at, note, digest in entries:
        head = follow(head, at, note)
        if seq != head.seq:
            raise StoreFailed(f"audit entry {head.seq} is missing")
        if digest != head.digest:
            raise StoreFailed(f"audit entry {seq} was changed, or one before it")
        if known.get(seq, {digest}) != {digest}:
            raise StoreFailed(f"audit entry {seq} is not the one that was written")
    written = max(known, default=0)
    if head.seq < written:
        raise StoreFailed(f"audit entries after {head.seq} are missing, {written} were written")
    return head.seq

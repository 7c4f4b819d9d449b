"""Messages and publications are stored compressed: their words are in a dictionary beside this.

A store needs the dictionary that its rows were written with: one that has been released is never
changed, another one gets another number, which is the form of the rows written with it. So is the
number of a skeleton (skeletons.py).
"""

import zlib
from importlib import resources
from typing import Final

from adapter.store import skeletons

PLAIN: Final = 0
_WITH_DICTIONARY: Final = 1
_DICTIONARY: Final = resources.files("adapter.store").joinpath("dictionary_1.txt").read_bytes()
_LEAST: Final = 64
_MOST: Final = 16 * 1024 * 1024
"""What is shorter than the one or longer than the other is stored as it is. No row becomes more
than the latter when it is read: a few rotten bytes can be a gigabyte, compressed."""
_WINDOW: Final = -13
"""8 KiB, without zlib's header and sum: a start of a compressor costs more than what it does."""

_READY: Final = zlib.compressobj(1, zlib.DEFLATED, _WINDOW, 6, zdict=_DICTIONARY)


def compressed(plain: bytes) -> tuple[int, bytes]:
    """(form, bytes)."""
    if _LEAST <= len(plain) <= _MOST:
        compressor = _READY.copy()
        small = compressor.compress(plain) + compressor.flush()
        if len(small) < len(plain):
            return _WITH_DICTIONARY, small
    return PLAIN, plain


def expanded_or_damaged(form: int, stored: bytes, skeleton: bytes | None) -> bytes:
    """What is damaged, as it is stored."""
    try:
        return expanded(form, stored, skeleton)
    except zlib.error:
        return stored


def expanded(form: int, stored: bytes, skeleton: bytes | None = None) -> bytes:
    """`skeleton` is the text that has the form's number, where one has. Raises zlib.error where the
    bytes are damaged, ValueError for a form of a newer program."""
    if form == PLAIN:
        return stored
    if form >= skeletons.FIRST:
        return skeletons.whole(skeleton, stored)
    if form != _WITH_DICTIONARY:
        raise ValueError(f"nobody knows a message of form {form}")
    expander = zlib.decompressobj(_WINDOW, zdict=_DICTIONARY)
    plain = expander.decompress(stored, _MOST + 1)
    if len(plain) > _MOST:
        raise zlib.error(f"the compressed bytes are more than {_MOST}")
    if not expander.eof or expander.unused_data:
        raise zlib.error("the compressed bytes are cut short, or more than they should be")
    return plain

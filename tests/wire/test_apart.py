"""What reads XML keeps no name for good that somebody outside thought of."""

import resource
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from adapter.errors import NotWellFormed
from adapter.wire.apart import apart
from adapter.wire.inbound import MessageJudge
from adapter.wire.stream import parts
from adapter.wire.xml import FamiliarTags, parse
from tests.support import for_every
from tests.wire.bodies import codec
from tests.wire.hostile_messages import GOOD, TOKEN

MIB = 1024 * 1024
SENT = 6 * MIB
MOST_KEPT = 4 * MIB
"""libxml2 keeps more than was sent, where it keeps the names."""

NEW = count()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def names(size: int) -> bytes:
    """Elements that nobody met before."""
    return b"".join(b"<n%d%s/>" % (next(NEW), b"x" * 40) for _ in range(size // 50))


def a_callback(inside: bytes) -> None:
    data = GOOD.replace(TOKEN, TOKEN + b"</Id>" + inside + b"<Id>", 1)
    MessageJudge(codec(), None).whole(data)


def a_payload(inside: bytes) -> None:
    body = b"<ReadData><Identifier>1</Identifier>%s</ReadData>" % inside
    apart(lambda: list(parts([body])))


READS: dict[str, Callable[[bytes], object]] = {
    "a document": lambda inside: parse(b"<r>%s</r>" % inside),
    "blanks": lambda inside: parse(b"<r>%s</r>" % inside.replace(b"/>", b"/>\n" + b" " * 30)),
    "a callback": a_callback,
    "a payload": a_payload,
}


@for_every("name", READS)
@pytest.mark.parametrize("size", [15_000, 100_000])
def test_memory_does_not_grow_by_new_names(name: str, size: int) -> None:
    read = READS[name]
    for _ in range(2 * MIB // size):
        read(names(size))
    grown = []
    for _ in range(4):  # what an allocator holds back once is not kept twice; names would be
        before = resident()
        for _ in range(SENT // size):
            read(names(size))
        grown.append(resident() - before)
        if grown[-1] < MOST_KEPT:
            return
    assert not grown


def test_what_is_read_apart_is_refused_as_ever() -> None:
    for data in (b"<a>%s</b>" % names(8_000), b"<a>%s</b>" % names(100_000)):
        with pytest.raises(NotWellFormed):
            parse(data)


def test_names_of_strangers_leave_room_for_those_of_the_head_end() -> None:
    tags = FamiliarTags()
    kept = [tags.has_all_of(names(5_000), known=False) for _ in range(100)]
    assert kept == [True] * 10 + [False] * 90
    ours = names(15_000)
    assert not tags.has_all_of(ours, known=False)
    assert tags.has_all_of(ours, known=True)
    assert tags.has_all_of(ours, known=False), "they are met"

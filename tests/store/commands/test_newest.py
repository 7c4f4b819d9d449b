"""Publications kept at hand for sinks that keep up: what the file has, and no more."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from adapter.engine.commands.ports import Change
from adapter.store.commands.commands import SqliteStore
from adapter.store.commands.writing import publish
from adapter.store.feed_newest import NewestPublications
from adapter.store.transaction import Published, Transaction
from tests.builders import NOON, HandClock, a_publication, a_submission
from tests.store.commands.conftest import Subject
from tests.store.nothing_at_hand import NothingAtHand

_SMALL: Final = b"{}"


def rows(*numbers: int, body: bytes = _SMALL) -> list[Published]:
    return [(number, 0, body) for number in numbers]


def numbers(found: Sequence[Published] | None) -> list[int] | None:
    return None if found is None else [seq for seq, _, _ in found]


def test_nothing_is_told_before_anything_was_put() -> None:
    assert NewestPublications(most=9).behind(0, limit=9) is None


def test_what_is_behind_a_number_is_told_in_order_as_far_as_it_is_at_hand() -> None:
    newest = NewestPublications(most=3)
    newest.put(rows(4, 5))
    assert numbers(newest.behind(3, limit=9)) == [4, 5]
    assert newest.behind(2, limit=9) is None
    newest.put(rows(7, 8))
    assert newest.behind(3, limit=9) is None
    assert numbers(newest.behind(4, limit=2)) == [5, 7]
    assert numbers(newest.behind(8, limit=9)) == []
    newest.clear()
    assert newest.behind(8, limit=9) is None


def test_large_ones_are_not_kept_by_the_thousand() -> None:
    newest = NewestPublications(most=1_000)
    newest.put(rows(*range(1, 100), body=bytes(2**20)))
    assert len(newest.behind(99 - 4, limit=99) or ()) == 4
    assert newest.behind(99 - 5, limit=99) is None


async def test_a_sink_that_keeps_up_is_offered_what_one_that_reads_the_file_is(
    subject: Subject,
) -> None:
    nested = {"list": (1, 2), "text": "ü", "none": None}
    first = tuple(a_publication(f"e-{n}", data={"n": n, **nested}) for n in range(3))
    async with subject.opened() as store:
        await store.submit([a_submission(1, publications=first)])
        begun = await store.outbox("keeps up", limit=9)
        await store.delivered("keeps up", begun[-1].seq)
        assert await store.outbox("keeps up", limit=9) == []
        more = (first[0], a_publication("e-3", data=nested), a_publication("e-3"))
        await store.save([Change(publications=more)])
        offered = await store.outbox("keeps up", limit=9)
        assert [row.publication.id for row in offered] == ["e-3"]
        assert offered == (await store.outbox("reads the file", limit=9))[3:]


async def test_what_was_undone_is_never_offered(tmp_path: Path) -> None:
    """One job of a transaction fails: all are done again apart, and it alone is undone."""

    def publish_and_fail(tx: Transaction) -> None:
        publish(tx, [a_publication("e-1", data={"undone": True}), a_publication("e-2")], NOON)
        raise ValueError

    store = SqliteStore(tmp_path / "gateway.db", now=HandClock())
    await store.open()
    await store.save([Change(publications=(a_publication("e-0"),))])
    await store.delivered("sink", (await store.outbox("sink", limit=9))[-1].seq)
    failed, *_ = await asyncio.gather(
        store.database.write(publish_and_fail),
        store.save([Change(publications=(a_publication("e-1"),))]),
        return_exceptions=True,
    )
    assert isinstance(failed, ValueError)
    offered = await store.outbox("sink", limit=9)
    assert [row.publication for row in offered] == [a_publication("e-1")]
    assert offered == (await store.outbox("reads the file", limit=9))[1:]
    await store.close()


def test_a_store_that_keeps_nothing_at_hand_reads_them(tmp_path: Path) -> None:
    made = NothingAtHand(tmp_path / "gateway.db", now=HandClock())
    made.database.newest.put(rows(1))
    assert made.database.newest.behind(0, limit=9) is None

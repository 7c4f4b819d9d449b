"""What is cut into a skeleton and its values comes back as it was, byte for byte."""

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.engine.commands.ports import Change
from adapter.store.compression import expanded, expanded_or_damaged
from adapter.store.files import connect_writer
from adapter.store.migrate import migrate
from adapter.store.skeletons import FIRST, IN_JSON, IN_XML, Skeletons, whole
from adapter.store.transaction import Transaction
from tests.builders import a_note
from tests.store.conftest import MakeStore
from tests.support import for_every
from tests.web.both_servers import status_changed

TOKEN: Final = "11111111-2222-4333-8444-{:012}"
TEXTS: Final = st.one_of(
    st.binary(max_size=80), st.text('<>/"\\0123ab \n\0', max_size=80).map(str.encode)
)
FORM: Final = "SELECT text FROM skeleton WHERE number = ?"


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    with closing(apsw.Connection(":memory:")) as connection:
        migrate(connection)
        yield connection


def callback(number: int) -> bytes:
    return status_changed(TOKEN.format(number), "Completed")


def back(db: apsw.Connection, form: int, values: bytes) -> bytes:
    return expanded(form, values, db.execute(FORM, (form,)).get)


def test_what_is_met_a_few_times_is_cut_and_comes_back(db: apsw.Connection) -> None:
    skeletons = Skeletons.of(db)
    assert [skeletons.parted(db, callback(n), IN_XML) for n in range(2)] == [None, None]
    made = skeletons.parted(db, callback(3), IN_XML)
    assert made is not None
    assert made[0] == FIRST
    assert len(made[1]) < len(callback(3)) / 4
    assert back(db, *made) == callback(3)
    assert Skeletons.of(db).parted(db, callback(3), IN_XML) == made


@for_every("values", [IN_XML, IN_JSON])
def test_any_text_comes_back(values: object) -> None:
    wanted = IN_XML if values is IN_XML else IN_JSON

    @given(TEXTS)
    def comes_back(text: bytes) -> None:
        with closing(apsw.Connection(":memory:")) as db:
            db.execute("CREATE TABLE skeleton (number INTEGER PRIMARY KEY, text BLOB NOT NULL)")
            skeletons = Skeletons()
            made = [skeletons.parted(db, text, wanted) for _ in range(4)]
            assert made[:2] == [None, None]
            assert made[2] == made[3]
            assert (made[3] is None) == (b"\0" in text)
            assert made[3] is None or back(db, *made[3]) == text

    comes_back()


def test_a_note_is_cut_where_names_and_times_stand(db: apsw.Connection) -> None:
    skeletons = Skeletons()
    for number in range(3):
        text = b'{"token":"%b","of":"D8-Ping","id":"~-1"}' % TOKEN.format(number).encode()
        made = skeletons.parted(db, text, IN_JSON)
    assert made == (FIRST, TOKEN.format(2).encode())


def test_what_is_long_or_has_many_values_is_left(db: apsw.Connection) -> None:
    skeletons = Skeletons()
    for text in (b"<a>%b</a>" % bytes(5_000).hex().encode(), b"<a>1</a>" * 200):
        assert [skeletons.parted(db, text, IN_XML) for _ in range(5)] == [None] * 5
    assert len(skeletons) == 0


def test_no_flood_of_forms_fills_the_store(db: apsw.Connection) -> None:
    skeletons = Skeletons()
    for number in range(2_000):
        for _ in range(3):
            skeletons.parted(db, b"<a%d>1</a%d>" % (number, number), IN_XML)
    assert len(skeletons) == db.execute("SELECT count(*) FROM skeleton").get == 512


@for_every("values", [b"", b"1", b"1\0002\0003"])
def test_what_is_damaged_is_told_or_left_as_it_is(values: bytes) -> None:
    skeleton = b"<a>\0</a><b>\0</b>"
    for text in (skeleton, None, b"<a/>\0\0\0\0\0"):
        with pytest.raises(zlib.error):
            whole(text, values)
        assert expanded_or_damaged(FIRST, values, text) == values


async def test_a_skeleton_that_was_learned_in_work_that_is_undone_is_learned_again(
    make: MakeStore, path: Path
) -> None:
    """Its number would lead nowhere."""

    def note_and_fail(tx: Transaction) -> None:
        for number in range(4):
            tx.skeletons.parted(tx.immediate, callback(number), IN_XML)
        raise ValueError

    store = make()
    await store.open()
    failed, learned = await asyncio.gather(
        store.database.write(note_and_fail),
        store.database.write(
            lambda tx: [tx.skeletons.parted(tx.immediate, callback(n), IN_XML) for n in range(4)]
        ),
        return_exceptions=True,
    )
    assert isinstance(failed, ValueError)
    assert isinstance(learned, list)
    await store.save([])
    await store.close()
    with closing(connect_writer(path, None)) as db:
        assert learned[-1] is not None
        assert back(db, *learned[-1]) == callback(3)


async def test_notes_are_read_and_verified_as_they_were_written(make: MakeStore) -> None:
    store = make()
    await store.open()
    notes = [a_note("one", token=TOKEN.format(number)) for number in range(9)]
    for note in notes:
        await store.save([Change(audit=(note,))])
    assert [entry.note for entry in await store.audit(subject="one")] == notes
    assert await store.verify_audit() == len(notes)
    await store.close()

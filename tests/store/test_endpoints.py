"""One endpoint, however it is written."""

from contextlib import closing
from pathlib import Path

import apsw
import msgspec
import pytest

from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import Import
from adapter.model.ids import endpoint_key
from adapter.store.commands.commands import SqliteStore
from tests.builders import NOON, a_device


def test_spellings_of_one_endpoint_have_one_key() -> None:
    one = "2.16.840.1.114416.15.243.700001"
    spellings = (
        f" {one} ",
        one.replace(".7", ".007"),
        one.replace(".15.", ".015."),
        f"{one[:-3]}-{one[-3:]}",
    )
    assert {endpoint_key(each) for each in spellings} == {one}
    assert endpoint_key("AB-1") == endpoint_key("ab1") != endpoint_key("ab2")
    assert endpoint_key("2.0.1") != endpoint_key("2.1")


async def test_a_holder_that_cannot_be_read_gives_its_endpoint_to_nobody(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store = SqliteStore(path, now=HandClock(NOON).now)
    await store.open()
    try:
        await store.import_(Import(devices=(a_device("M-1", endpoint="E-1"),)))
        with closing(apsw.Connection(str(path))) as db:
            db.execute("UPDATE device SET body = ? WHERE id = 'M-1'", (b"{}",))
        with pytest.raises(msgspec.ValidationError):
            await store.known(Import(devices=(a_device("TYPO-1", endpoint="E-1"),)))
        again = await store.known(Import(devices=(a_device("M-1", endpoint="E-1"),)))
        assert again.devices == {}
    finally:
        await store.close()

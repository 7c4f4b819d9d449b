"""A store from before endpoints had a table of their own: devices and lanes are found by them."""

from datetime import UTC, datetime
from pathlib import Path

from adapter.model.ids import EndpointId, endpoint_key
from adapter.store.files import connect_writer
from adapter.store.migrate import APPLICATION_ID, scripts
from adapter.store.rows import encode
from adapter.store.sqlite import SqliteStore
from tests.builders import a_device
from tests.support import run

_BEFORE = 8
ONE = a_device("M-1", endpoint=EndpointId("2.16.700001"))
OTHER = a_device("TYPO", endpoint=EndpointId("2.16.0700001"))


def an_old_store(path: Path) -> None:
    connection = connect_writer(path, None)
    with connection:
        for number, script in scripts():
            if number <= _BEFORE:
                connection.execute(script)
        connection.pragma("user_version", _BEFORE)
        connection.pragma("application_id", APPLICATION_ID)
        for device in (ONE, OTHER):
            row = (device.id, encode(device))
            connection.execute("INSERT INTO device (id, body) VALUES (?, ?)", row)
        lanes = [("switch:M-1", "c1"), ("switch:TYPO", "c2"), ("load_check:M-1", "c3")]
        connection.executemany("INSERT INTO lane (name, command) VALUES (?, ?)", lanes)
    connection.close()


def test_its_shared_endpoints_are_found_and_one_order_alone_keeps_the_meter(
    tmp_path: Path,
) -> None:
    path = tmp_path / "gateway.db"
    an_old_store(path)

    async def scenario() -> None:
        store = SqliteStore(path, now=lambda: datetime.now(UTC))
        await store.open()
        (found,) = (await store.shared_endpoints()).values()
        assert [view.device.id for view in found] == ["M-1", "TYPO"]
        asked = EndpointId("2.16.700001")
        assert [v.device.id for v in (await store.at_endpoints([asked]))[asked]] == ["M-1", "TYPO"]
        holders = await store.holders(["switch@2.16.700001", "load_check@2.16.700001"])
        assert holders == {"switch@2.16.700001": "c1", "load_check@2.16.700001": "c3"}
        await store.close()

    run(scenario())


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

"""What `?wsdl` gives is a whole contract: a client made from it alone reaches us."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import zeep

from adapter.cli import run as openway
from adapter.cli.output import Exit
from adapter.model.values import replace
from adapter.server.settings import ListenerSettings
from adapter.wire.catalog import Catalog
from adapter.wire.operation_spec import difference
from tests.web.both_servers import DATA, EVENTS, EXCEPTIONS, HASTY, STATUS, a_rig

PATHS = {
    "/openway/status": STATUS,
    "/openway/data": DATA,
    "/openway/events": EVENTS,
    "/openway/exceptions": EXCEPTIONS,
}
STATUS_FIELDS: dict[str, Any] = {
    "RequestToken": {"Id": "0d5a7c9c-93c4-4a52-8f30-7a2b1f1b9e02"},
    "State": "Completed",
    "EndpointsScheduled": 1,
    "Result": "Success",
    "SuccessfulEndpoints": 1,
    "FailedEndpoints": 0,
    "CreatedWhen": "2026-03-02T12:00:00Z",
}


def client_of(url: str) -> Any:
    client = zeep.Client(url)  # type: ignore[no-untyped-call]
    client.transport.session.close()
    return client


@pytest.mark.parametrize("prefix", ["", "/itron/gw"])
@pytest.mark.parametrize("path", PATHS)
async def test_zeep_loads_each_contract_and_finds_only_our_service(path: str, prefix: str) -> None:
    settings = ListenerSettings(path_prefix=prefix, connections=HASTY)
    async with a_rig(settings) as rig:
        url = rig.url + prefix + path
        client = await asyncio.to_thread(client_of, url + "?wsdl")
        service, _, operation = PATHS[path].partition(".")
        assert list(client.wsdl.services) == [service]
        (port,) = client.wsdl.services[service].ports.values()
        assert port.binding_options["address"] == url
        assert list(port.binding._operations) == [operation]


async def test_a_client_made_from_the_contract_reaches_us() -> None:
    async with a_rig() as rig:

        def call() -> None:
            client = client_of(rig.url + "/openway/status?WSDL")
            client.service.StatusChanged({"RequestStatus": STATUS_FIELDS})
            client.transport.session.close()

        await asyncio.to_thread(call)
        row = await rig.only_row()
        assert (row.operation, row.state) == (STATUS, "new")


@pytest.mark.parametrize(
    ("public", "prefix"),
    [("https://gw.example", "/ami"), ("https://gw.example/ami", ""), ("https://gw.example/", "")],
)
async def test_the_public_address_is_what_stands_in_the_contract(public: str, prefix: str) -> None:
    whole = public.rstrip("/") + prefix
    settings = ListenerSettings(public_url=public, path_prefix=prefix, connections=HASTY)
    async with (
        a_rig(settings) as rig,
        rig.http.get(f"{rig.url}{prefix}/openway/data?wsdl") as response,
    ):
        text = await response.text()
        assert f'location="{whole}/openway/data"' in text
        assert f'schemaLocation="{whole}/openway/data?xsd=xsd' in text


@pytest.mark.parametrize("name", ["xsd/../common.wsdl", "xsd99", "/etc/passwd", "", "wsdl"])
async def test_only_the_contracts_own_schemas_are_given(name: str) -> None:
    async with (
        a_rig() as rig,
        rig.http.get(f"{rig.url}/openway/data", params={"xsd": name}) as response,
    ):
        assert response.status == 404


async def test_without_a_public_address_it_is_the_one_that_was_asked_at() -> None:
    async with a_rig(ListenerSettings(connections=HASTY)) as rig:
        asked = {"Host": "gw.example:8101"}
        async with rig.http.get(f"{rig.url}/openway/data?wsdl", headers=asked) as response:
            assert 'location="http://gw.example:8101/openway/data"' in await response.text()
        async with rig.http.get(f"{rig.url}/openway/data?xsd=xsd0", headers=asked) as response:
            assert response.status == 200


async def test_a_single_wsdl_makes_a_client_that_reaches_us() -> None:
    async with a_rig() as rig:

        def call() -> None:
            client = client_of(rig.url + "/openway/status?singleWsdl")
            client.service.StatusChanged({"RequestStatus": STATUS_FIELDS})
            client.transport.session.close()

        await asyncio.to_thread(call)
        assert (await rig.only_row()).operation == STATUS
        async with rig.http.get(rig.url + "/openway/status?singlewsdl") as response:
            assert "schemaLocation" not in await response.text()


async def test_what_we_serve_can_be_fetched_and_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    async with a_rig() as rig:
        urls = [rig.url + path for path in PATHS]
        arguments = ["wsdl", "fetch", *urls, "--to", str(folder)]
        assert await asyncio.to_thread(openway, arguments) == Exit.OK
        single = ["wsdl", "fetch", rig.url + "/openway/data?singleWsdl", "--to", f"{folder}1"]
        assert await asyncio.to_thread(openway, single) == Exit.OK
    for key in PATHS.values():
        mine, theirs = Catalog.load().spec(key), Catalog.load(folder).spec(key)
        assert difference(replace(mine, path=theirs.path), theirs) == ""
    assert [file.name for file in Path(f"{folder}1").iterdir()] == ["data.wsdl"]
    one = Catalog.load(Path(f"{folder}1"))
    assert one.spec(DATA).request == Catalog.load().spec(DATA).request


async def test_a_signed_address_has_no_contract_and_none_is_told_of_it() -> None:
    async with (
        a_rig() as rig,
        rig.http.get(f"{rig.url}/openway/status/attempt/secret?wsdl") as response,
    ):
        assert response.status == 405
        assert "secret" not in await response.text()

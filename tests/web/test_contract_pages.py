"""What `?wsdl` gives is a whole contract: a client made from it alone reaches us."""

import asyncio
from typing import Any

import pytest
import zeep

from adapter.server.settings import ListenerSettings
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
        assert f'schemaLocation="{whole}/openway/wsdl/xsd/sub.xsd"' in text


@pytest.mark.parametrize(
    "name", ["xsd/../common.wsdl", "%2e%2e/%2e%2e/etc/passwd", "xsd/nothing.xsd", "/etc/passwd", ""]
)
async def test_only_the_contracts_own_files_are_given(name: str) -> None:
    async with (
        a_rig() as rig,
        rig.http.get(f"{rig.url}/openway/wsdl/{name}", allow_redirects=False) as response,
    ):
        assert response.status == 404

"""The simulator over https, in both directions."""

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from adapter.errors import SettingsError
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from tests.headend.authority import Authority
from tests.simulator.running_simulator import DISCONNECT, ONE, codec, request


@pytest.mark.seconds(20)
async def test_requests_and_callbacks_travel_over_tls_with_certificates_on_both_sides(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    head_end, gateway = authority.issue("127.0.0.1"), authority.issue("localhost")
    config = SimulatorConfig.read(
        {
            "tls": {
                "certificate": str(head_end.certificate),
                "key": str(head_end.key),
                "caller_ca": str(authority.ca),
                "callback_ca": str(authority.ca),
                "callback_certificate": str(head_end.certificate),
                "callback_key": str(head_end.key),
            }
        }
    )
    hearing = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    hearing.load_cert_chain(gateway.certificate, gateway.key)
    hearing.load_verify_locations(authority.ca)
    hearing.verify_mode = ssl.CERT_REQUIRED
    calling = ssl.create_default_context(cafile=authority.ca)
    stranger = ssl.create_default_context(cafile=authority.ca)
    # TLS 1.3 tells a caller without a certificate only at its first read; 1.2 at once.
    stranger.maximum_version = ssl.TLSVersion.TLSv1_2
    calling.load_cert_chain(gateway.certificate, gateway.key)
    heard: list[bytes] = []
    whole = asyncio.Event()

    async def hear(received: web.Request) -> web.Response:
        heard.append(await received.read())
        if len(heard) == 3:
            whole.set()
        return web.Response()

    app = web.Application()
    app.router.add_post("/status", hear)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=hearing).start()
    address = f"https://localhost:{runner.addresses[0][1]}/status"
    spec = codec().catalog.spec(DISCONNECT)
    payload = codec().encode_request(DISCONNECT, request(DISCONNECT, ONE, address=address))
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{spec.soap_action}"'}
    async with (
        Simulator(config, codec=codec()) as simulator,
        aiohttp.ClientSession(headers=headers) as session,
    ):
        assert simulator.url.startswith("https://127.0.0.1:")
        url = f"{simulator.url}{spec.path}"
        with pytest.raises(aiohttp.ClientError):
            await session.post(url, data=payload, ssl=stranger)
        async with session.post(url, data=payload, ssl=calling) as response:
            assert response.status == 200
        await whole.wait()
    await runner.cleanup()


@pytest.mark.parametrize("name", ["certificate", "callback_ca", "callback_certificate"])
async def test_a_file_that_cannot_be_used_stops_the_start_and_is_named(
    name: str, tmp_path: Path
) -> None:
    config = SimulatorConfig.read({"tls": {name: str(tmp_path / "nothing.pem")}})
    with pytest.raises(SettingsError, match=rf"tls\.{name}: .*nothing.pem"):
        await Simulator(config, codec=codec()).start()

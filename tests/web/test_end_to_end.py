"""One command through every real part: JSON in, SOAP out, callback in, JSON out."""

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import pytest

from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.settings import CommandSettings
from adapter.headend.settings import HeadEndSettings
from adapter.server.connections import bind, url_of
from adapter.server.settings import RestSettings
from adapter.service.assembly import Core, connect
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.store.commands.commands import SqliteStore
from adapter.web.api.rest import Rest
from adapter.web.listener.listener import Listener
from tests.web.both_servers import KEYS, TOKENS, a_rig, codec, status_changed, token_of


@pytest.mark.seconds(40)
async def test_a_disconnect_over_http_ends_with_its_completion_event(tmp_path: Path) -> None:
    clock = SystemClock()
    listening = bind("127.0.0.1", 0)
    address = url_of(listening, tls=False)
    async with Simulator(SimulatorConfig(), codec=codec()) as simulator:
        core: Core = connect(
            store=SqliteStore(tmp_path / "gateway.db", now=clock.now),
            codec=codec(),
            head_end=HeadEndSettings(base_url=simulator.url),
            identity=CallbackIdentity(address, (b"k" * 32,)),
            settings=CommandSettings(),
            clock=clock,
        )
        await core.store.open()
        population = registry_of(simulator.world.population)
        await core.gateway.registry.import_devices(population)
        device = population.devices[0].id
        core.client.open()
        await core.gateway.start()
        rest = Rest(core.gateway, RestSettings(keys=KEYS), clock=clock)
        async with (
            Listener(core.gateway.inbox, core.codec, clock=clock, listening=listening) as listener,
            rest,
            aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {TOKENS['switcher']}"}
            ) as http,
        ):
            body = {"kind": "remote_disconnect", "devices": [device]}
            url = rest.url + "/api/v1/commands"
            async with http.post(url, json=body, headers={"Idempotency-Key": "once"}) as response:
                assert response.status == 202
                place = rest.url + response.headers["Location"]
            async with http.get(place + "?wait=20") as response:
                told = await response.json()
            assert (told["state"], told["outcome"]) == ("completed", "succeeded"), told
            assert told["completion_events"] == [
                {"event": "D1-DisconnectDevice", "state": "executed", "error": None}
            ]
            assert listener.counts["received"] >= 1
            async with http.get(place + "/messages") as response:
                messages = (await response.json())["items"]
            assert any("DisconnectMeter" in item["body"] for item in messages)
            assert not re.search(r"/openway/status/[^/<]+/[0-9a-f]{32}", json.dumps(messages))
        await core.gateway.stop()
        await core.client.close()
        await core.store.close()


async def test_two_hundred_callbacks_at_once_are_all_stored() -> None:
    async with a_rig() as rig:
        answers = await asyncio.gather(
            *(
                rig.post(rig.signed(f"a-{number}"), status_changed(token_of(number)))
                for number in range(200)
            )
        )
        assert {status for status, _ in answers} == {200}
        ledger = await rig.gateway.upkeep.ledger()
        assert ledger.received == 200

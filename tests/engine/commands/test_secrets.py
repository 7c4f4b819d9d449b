"""No secret leaves by a side door: logs, audit, messages, publications, errors (I14)."""

import io
import logging
from pathlib import Path

from adapter.commands.activity import CommandRequest
from adapter.commands.flows import CommandKind
from adapter.engine.clock import SystemClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.settings import CommandSettings
from adapter.headend.settings import BasicLogin, HeadEndSettings, UsernameToken
from adapter.model.ids import CommunicationId, DeviceId
from adapter.model.secret import Secret
from adapter.model.values import replace
from adapter.server.connections import bind, url_of
from adapter.service.app import running
from adapter.service.assembly import connect
from adapter.service.log import JsonLines
from adapter.service.settings import Api, Settings
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import Access, SimulatorConfig
from adapter.store.commands.commands import SqliteStore
from tests.engine.commands.quick_site import fast

CANARY = "canary-3f1c9a7e"


async def test_canaries_do_not_sing(tmp_path: Path) -> None:
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        addresses = await _scenario(tmp_path, wrong=False) + await _scenario(tmp_path, wrong=True)
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    told = heard.getvalue()
    assert told
    assert CANARY not in told
    assert not any(address in told for address in addresses)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("*.db*"))
    assert stored
    assert CANARY.encode() not in stored
    assert not any(address.encode() in stored for address in addresses)


async def _scenario(folder: Path, *, wrong: bool) -> list[str]:
    """A status check with every credential there is; with `wrong`, one the head end refuses."""
    access = Access(caller_user="gw", caller_password=CANARY + "-basic", caller_security="basic")
    simulator = Simulator(SimulatorConfig(access=access))
    clock = SystemClock()
    store = SqliteStore(folder / f"{wrong}.db", now=clock.now)
    await store.open()
    listening = bind("127.0.0.1", 0)
    identity = CallbackIdentity(url_of(listening, tls=False), (CANARY.encode(),))
    password = Secret(CANARY + ("-wrong" if wrong else "-basic"))
    async with simulator:
        core = connect(
            store=store,
            codec=simulator.codec,
            head_end=HeadEndSettings(
                base_url=simulator.url,
                basic=BasicLogin(user="gw", password=password),
                username_token=UsernameToken(user="gw", password=Secret(CANARY), digest=False),
            ),
            identity=identity,
            settings=CommandSettings(policies=fast()),
            clock=clock,
        )
        await core.gateway.registry.import_devices(registry_of(simulator.world.population))
        settings = replace(Settings(), api=Api(port=0))
        async with running(core, settings, listening, clock) as app:
            command = await app.gateway.commands.submit(
                CommandRequest(kind=CommandKind.DEVICE_STATUS_CHECK, devices=(DeviceId("M700001"),))
            )
            done = await app.gateway.commands.wait(command.id, timeout_s=20)
            assert done.activity.state.final
            messages = await app.gateway.commands.messages(command.id)
            history = await app.gateway.commands.history(command.id)
            assert CANARY not in f"{messages}{history}{done}"
    await store.close()
    return [
        identity.address(CommunicationId(item.id)).rpartition("/")[2]
        for item in done.communications
    ]

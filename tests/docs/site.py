"""The site that pages talk about: a simulated head end with 50 meters and a gateway, on loopback.

It is what README sets up, started in a thread, for pages that start nothing themselves.
"""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from adapter.model.values import replace
from adapter.registry.files import as_json_values
from adapter.server.settings import ApiKey, Role
from adapter.service.app import build
from adapter.service.settings import load
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from tests.docs.shell import LISTENER, SIMULATOR, Shell

OPERATOR: Final = "ann-" + "0" * 32
APPROVER: Final = "bob-" + "0" * 32
_KEYS: Final = (
    ApiKey.of("ann", OPERATOR, Role.READ, Role.OPERATE, Role.SWITCH, Role.ADMIN),
    ApiKey.of("bob", APPROVER, Role.APPROVE),
)
_START_S: Final = 60.0


@contextmanager
def running(shell: Shell, settings_text: str) -> Iterator[None]:
    """Simulator and gateway, with README's settings; devices imported, a key in the environment."""
    ready, failed = threading.Event(), list[BaseException]()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        ended = asyncio.Event()
        stop.append((asyncio.get_running_loop(), ended))
        store = {"OPENWAY_STORE_PATH": str(shell.folder / "openway.db")}
        settings = load(shell.folder / "openway.toml", shell.environ | store)
        async with Simulator(_head_end(shell), codec=_codec()) as simulator:
            registry = registry_of(simulator.world.population)
            values = json.dumps(as_json_values(registry), indent=1, default=str)
            (shell.folder / "meters.json").write_text(values, encoding="utf-8")
            async with build(settings):
                ready.set()
                await ended.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            ready.set()

    (shell.folder / "keys.txt").write_text(
        "".join(f"{key.line}\n" for key in _KEYS), encoding="utf-8"
    )
    (shell.folder / "openway.toml").write_text(shell.here(settings_text), encoding="utf-8")
    shell.environ |= {"OPENWAY_API_KEY": OPERATOR, "APPROVER": APPROVER}
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(_START_S)
    if failed:
        raise failed[0]
    try:
        shell.run("openway devices import meters.json")
        assert shell.status == 0
        yield
    finally:
        loop, ended = stop[0]
        loop.call_soon_threadsafe(ended.set)
        thread.join(_START_S)


@cache
def _codec() -> Codec:
    """One for all pages: it takes half a second to make."""
    return Codec(Catalog.load())


def _head_end(shell: Shell) -> SimulatorConfig:
    listener = f"http://127.0.0.1:{shell.ports[LISTENER]}/openway"
    return replace(
        SimulatorConfig(),
        port=shell.ports[SIMULATOR],
        population=PopulationPlan(count=50),
        data_subscribers={"gateway": f"{listener}/data"},
        exception_subscribers={"gateway": f"{listener}/exceptions"},
    )

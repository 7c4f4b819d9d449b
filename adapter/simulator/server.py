"""The simulator as a server: the head end's services, their WSDL, and the admin address."""

import os
from functools import partial
from ipaddress import ip_address
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from adapter.engine.clock import HandClock, SystemClock
from adapter.engine.commands.ports import Clock
from adapter.errors import ContractError, SettingsError
from adapter.model.values import replace
from adapter.simulator.admin import admin_routes
from adapter.simulator.delivery import Deliverer
from adapter.simulator.journal import SimulatorJournal
from adapter.simulator.services import Services, ServiceServer
from adapter.simulator.settings import SimulatorConfig
from adapter.simulator.soap import SoapDoor
from adapter.simulator.tls import server_context
from adapter.simulator.world import SimulatedWorld
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec, packaged_codec
from adapter.wire.served import asks_for_contract, base_address, contract_pages

_DRAIN_S: Final = 1.0
_LOOPBACK: Final = "127.0.0.1"


class Simulator:
    """A head end for as long as it runs. `world` and `journal` are open to tests in the process.

    With a HandClock nothing happens between requests until `run_due`.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        clock: Clock | None = None,
        codec: Codec | None = None,
    ) -> None:
        self.config = config or SimulatorConfig()
        self.clock: Clock = clock or SystemClock()
        self.codec = codec or _codec_of(self.config)
        self.world = SimulatedWorld(self.config)
        self.journal = SimulatorJournal(self.config.limits.journal_entries, self.config.journal)
        self._deliverer = Deliverer(
            self.world,
            self.codec,
            self.journal,
            self.clock,
            by_hand=isinstance(self.clock, HandClock),
        )
        self._door = SoapDoor(self.world, self.codec, self.journal, self.clock, self._deliverer)
        self._runners: list[web.BaseRunner] = []
        self._port = self.config.port
        self._pages = contract_pages(self.codec.catalog)
        self.url = ""
        """Without a path, as `http://127.0.0.1:8103`. The service paths are the contract's."""
        self.admin_url = ""

    async def start(self) -> str:
        """Listen. Gives `url`; raises OSError for a port that is taken, SettingsError for TLS.

        After `stop` it starts again with the world as it was, at the same address.
        """
        try:
            await self._open()
        except BaseException:
            await self.stop()
            raise
        return self.url

    async def stop(self) -> None:
        """Close everything; callbacks not yet sent are dropped, hanging requests are let go."""
        await self._deliverer.stop()
        for runner in reversed(self._runners):
            await runner.cleanup()
        self._runners.clear()
        self.journal.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def run_due(self) -> None:
        """Do all that is due by the clock and wait until its deliveries are answered."""
        await self._deliverer.run_due()

    async def sent(self) -> None:
        """Wait until no delivery is queued or under way."""
        await self._deliverer.sent()

    def subscribe(self, address: str, *, system: str = "gateway") -> None:
        """Send data to `address` from now on, also after a reset."""
        given = {**self.config.data_subscribers, system: address}
        self.config = self.world.config = replace(self.config, data_subscribers=given)
        self.world.subscribe_configured()

    def wake(self) -> None:
        """To be called after the world was given something to do from outside."""
        self._deliverer.wake()

    async def _open(self) -> None:
        self.journal.open()
        await self._deliverer.start()
        app = self._application()
        for path in self._pages:
            app.router.add_post(path, self._door.handle)
            app.router.add_get(path, partial(self._wsdl, path))
        guarded = bool(self.config.access.admin_token) or is_loopback(self.config.host)
        together = guarded and self.config.admin_port is None
        if together:
            app.add_routes(admin_routes(self))
        self.url = await self._listen(app, self.config.host, self._port)
        self._port = int(self.url.rpartition(":")[2])
        self.admin_url = f"{self.url}/admin"
        if not together:
            admin = self._application()
            admin.add_routes(admin_routes(self))
            host = self.config.host if guarded else _LOOPBACK
            url = await self._listen(admin, host, self.config.admin_port or 0)
            self.admin_url = f"{url}/admin"

    def _application(self) -> web.Application:
        return web.Application(client_max_size=self.config.limits.body_bytes)

    async def _listen(self, app: web.Application, address: str, port: int) -> str:
        application = web.AppRunner(app, access_log=None)
        await self._set_up(application)
        assert application.server is not None
        services = Services(
            application.server,
            self._pages,
            self._door.handle,
            body_bytes=self.config.limits.body_bytes,
        )
        server = ServiceServer(services, self._door.at_once)
        runner = web.ServerRunner(server, shutdown_timeout=_DRAIN_S)
        await self._set_up(runner)
        secured = server_context(self.config.tls)
        site = web.TCPSite(runner, address, port, ssl_context=secured, backlog=1_024)
        try:
            await site.start()
        except OSError as error:
            why = f"{os.strerror(error.errno or 0)} (simulator.host, simulator.port)"
            raise OSError(error.errno, why, f"{address}:{port}") from error
        host, bound, *_ = runner.addresses[0]
        scheme = "http" if secured is None else "https"
        return f"{scheme}://[{host}]:{bound}" if ":" in host else f"{scheme}://{host}:{bound}"

    async def _set_up(self, runner: web.BaseRunner) -> None:
        await runner.setup()
        self._runners.append(runner)

    async def _wsdl(self, path: str, request: web.Request) -> web.Response:
        if not asks_for_contract(request.query):
            return web.Response(text="This is a simulated service. Its contract is at ?wsdl\n")
        base = base_address(request.scheme, request.headers.get("Host"), otherwise=self.url)
        address = base + path
        page = self._pages[path].page(request.query, address=address)
        if page is None:
            raise web.HTTPNotFound
        return web.Response(body=page, content_type="text/xml", charset="utf-8")


def _codec_of(config: SimulatorConfig) -> Codec:
    try:
        return packaged_codec() if config.wsdl is None else Codec(Catalog.load(config.wsdl))
    except ContractError as error:
        raise SettingsError(f"simulator.wsdl: {error}") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

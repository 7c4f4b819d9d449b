"""A simulator on a loopback port with a clock turned by hand, and a listener that hears it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

import aiohttp
from aiohttp import web

from adapter.engine.clock import HandClock
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec, Direction, JsonValue
from tests.support import run

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PREFIX = "2.16.840.1.114416.15.243."
ONE, TWO, THREE = (f"{PREFIX}{number}" for number in (700_001, 700_002, 700_003))
STRANGER = f"{PREFIX}9"

DISCONNECT = "ControlService.DisconnectMeter"
RECONNECT = "ControlService.ReconnectMeter"
VOLTAGE = "ControlService.DetectLoadSideVoltageByMeter"
CTL_PING = "ControlService.PingByEndpoints"
PING = "DiagnosticService.PingByEndpoints"
SWITCHES = "DiagnosticService.ReadDisconnectStateByMeters"
READ = "DataService.ContingencyReadByEndpoints"
GROUP_READ = "DataService.InterrogateByGroup"
ENDPOINTS_READ = "DataService.InterrogateByEndpoints"
INTERACTIVE = "DataService.InteractiveReadByEndpoint"
STATUS = "RequestService.GetRequestStatus"
CANCEL = "RequestService.CancelRequest"
ADD = "ProvisioningService.AddMeterDefinitions"
REMOVE = "ProvisioningService.DeregisterMeters"

Body = dict[str, JsonValue]


@cache
def codec() -> Codec:
    return Codec(Catalog.load())


def result_of(operation: str) -> str:
    """The key of the call that brings the result of `operation`."""
    service, _, name = operation.partition(".")
    return f"{service}.Get{name}Result"


def dig(value: JsonValue, *path: str | int) -> JsonValue:
    for step in path:
        if isinstance(step, int):
            assert isinstance(value, list), (path, value)
            value = value[step]
        else:
            assert isinstance(value, dict), (path, value)
            value = value[step]
    return value


def text(value: JsonValue, *path: str | int) -> str:
    found = dig(value, *path)
    assert isinstance(found, str), (path, value)
    return found


def rows(value: JsonValue, *path: str | int) -> list[JsonValue]:
    found = dig(value, *path)
    assert isinstance(found, list), (path, value)
    return found


class Faulted(Exception):
    """The simulator answered with a fault."""

    def __init__(self, status: int, body: Body) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.name = body["fault"]


@dataclass(frozen=True, slots=True)
class Heard:
    """One message that reached the listener."""

    path: str
    headers: Mapping[str, str]
    raw: bytes
    operation: str
    body: Body

    @property
    def state(self) -> str:
        return text(self.body, "input", "RequestStatus", "State")

    @property
    def status(self) -> Body:
        found = dig(self.body, "input", "RequestStatus")
        assert isinstance(found, dict)
        return found


@dataclass
class Rig:
    simulator: Simulator
    clock: HandClock
    session: aiohttp.ClientSession
    base: str
    heard: list[Heard] = field(default_factory=list)
    answer: Callable[[Heard], Awaitable[int]] | None = None

    @property
    def address(self) -> str:
        return f"{self.base}/status"

    async def turn(self, seconds: float = 1.0) -> None:
        await self.clock.turn(self.clock.now() + timedelta(seconds=seconds))
        await self.simulator.run_due()

    async def post(
        self, operation: str, payload: bytes, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        spec = codec().catalog.spec(operation)
        given = {
            "SOAPAction": f'"{spec.soap_action}"',
            "Content-Type": "text/xml; charset=utf-8",
            **(headers or {}),
        }
        url = f"{self.simulator.url}{spec.path}"
        async with self.session.post(
            url, data=payload, headers=given, allow_redirects=False
        ) as response:
            return response.status, await response.read()

    async def call(self, operation: str, body: Mapping[str, object]) -> Body:
        status, raw = await self.post(operation, codec().encode_request(operation, body))
        message = codec().decode(raw)
        if message.direction is Direction.FAULT:
            raise Faulted(status, message.body)
        assert status == 200
        assert message.operation == operation
        return message.body

    async def start(self, operation: str, *endpoints: str, **parameters: object) -> str:
        """Send a request about `endpoints`, or about the group of that name; gives its token."""
        body = request(operation, *endpoints, address=self.address, **parameters)
        reply = await self.call(operation, body)
        return text(reply, f"{operation.partition('.')[2]}Result", "Id")

    async def result(self, operation: str, token: str) -> Body:
        key = result_of(operation)
        reply = await self.call(key, {"input": {"Id": token}})
        found = dig(reply, f"{key.partition('.')[2]}Result")
        assert isinstance(found, dict)
        return found

    async def run(self, operation: str, *endpoints: str, **parameters: object) -> Body:
        """Send, let it be worked off, and fetch the result."""
        token = await self.start(operation, *endpoints, **parameters)
        await self.turn()
        return await self.result(operation, token)

    async def status(self, token: str) -> Body:
        reply = await self.call(STATUS, {"input": {"Id": token}})
        found = dig(reply, "GetRequestStatusResult")
        assert isinstance(found, dict)
        return found

    async def provision(self, operation: str, *endpoints: str, group: str | None = None) -> Body:
        given: dict[str, object] = {"ElectronicSerialNumbers": list(endpoints)}
        if group is not None:
            given = {"ConfigurationGroupName": group, **given}
        reply = await self.call(operation, {"input": given})
        found = dig(reply, f"{operation.partition('.')[2]}Result")
        assert isinstance(found, dict)
        return found

    async def switch(self, endpoint: str) -> str:
        answer = await self.run(SWITCHES, endpoint)
        return text(answer, "MeterDisconnectSwitchResults", 0, "SwitchState")

    def states(self) -> list[str]:
        return [told.state for told in self.heard if told.operation.endswith(".StatusChanged")]

    def data(self) -> list[Body]:
        """Every ReadData that arrived, in order."""
        found = []
        for told in self.heard:
            if told.operation.endswith(".DataArrived"):
                for row in rows(told.body, "input", "ReadDataCollection"):
                    assert isinstance(row, dict)
                    found.append(row)
        return found

    async def admin(self, method: str, path: str, given: object = None) -> tuple[int, Body]:
        url = f"{self.simulator.admin_url}{path}"
        async with self.session.request(method, url, json=given) as response:
            told = await response.json(content_type=None)
            assert isinstance(told, dict)
            return response.status, told

    async def script(self, effect: str, **members: object) -> None:
        status, told = await self.admin("POST", "/scripts", {"effect": effect, **members})
        assert status == 201, told

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let the loop run until `condition` holds. The test's own time-out bounds it."""
        while not condition():  # noqa: ASYNC110  # what is waited for has no event of its own
            await asyncio.sleep(0)


def request(
    operation: str, *endpoints: str, address: str | None = None, **parameters: object
) -> dict[str, object]:
    """The body of any request for work. `parameters` go to where the operation has them."""
    where: dict[str, object] = {} if address is None else {"StatusChangedService": address}
    service, _, name = operation.partition(".")
    if name.endswith("ByGroup"):
        holder = {"GroupRequest": {"GroupName": endpoints[0], **where}}
    elif name.endswith("ByEndpoint"):
        holder = {"EndpointRequest": {"ElectronicSerialNumber": endpoints[0], **where}}
    elif service == "ControlService" and name != "PingByEndpoints":
        holder = {"MeterRequest": {"ElectronicSerialNumber": endpoints[0], **where}}
    else:
        holder = {
            "EndpointCollectionRequest": {"ElectronicSerialNumbers": list(endpoints), **where}
        }
    if service == "DataService":
        return {"request": {**holder, "Parameters": _read_parameters(name, parameters)}}
    if name == "ReconnectMeter":
        parameters.setdefault("IsUserInterventionRequired", False)
    return {"request": {**holder, **parameters}}


def _read_parameters(name: str, parameters: Mapping[str, object]) -> dict[str, object]:
    given = {
        "ReadingStartTime": "2026-03-01T00:00:00Z",
        "ReadingEndTime": "2026-03-02T00:00:00Z",
    }
    if name.startswith("Interrogate"):
        given["InterrogationWindowStartTime"] = "2026-03-02T00:00:00Z"
        given["InterrogationWindowEndTime"] = "2026-03-02T23:00:00Z"
    return {**given, **parameters}


Scene = Callable[[Rig], Coroutine[object, object, None]]


def play(scene: Scene, **settings: object) -> None:
    """Run one scene on a fresh simulator with these settings."""

    async def whole() -> None:
        async with running(settings) as rig:
            await scene(rig)

    run(whole(), seconds=30)


@asynccontextmanager
async def running(settings: Mapping[str, object] | None = None) -> AsyncIterator[Rig]:
    """A simulator at NOON, subscribed to for data and exceptions by the rig's listener."""
    heard: list[Heard] = []
    rig: Rig | None = None

    async def hear(received: web.Request) -> web.Response:
        raw = await received.read()
        message = codec().decode(raw, max_bytes=50_000_000)
        told = Heard(received.path, received.headers, raw, message.operation or "", message.body)
        heard.append(told)
        status = 200
        if rig is not None and rig.answer is not None:
            status = await rig.answer(told)
        return web.Response(status=status, body=b"")

    app = web.Application(client_max_size=50_000_000)
    app.router.add_post("/{path:.*}", hear)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    config = SimulatorConfig.read(
        {
            "data_subscribers": {"gateway": f"{base}/data"},
            "exception_subscribers": {"gateway": f"{base}/exceptions"},
            **(settings or {}),
        }
    )
    clock = HandClock(NOON)
    try:
        async with (
            Simulator(config, clock=clock, codec=codec()) as simulator,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
        ):
            rig = Rig(simulator, clock, session, base, heard)
            yield rig
    finally:
        await runner.cleanup()

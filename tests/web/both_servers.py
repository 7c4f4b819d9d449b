"""A gateway and its store behind both servers, on loopback ports, for one test."""

import io
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

from adapter.commands.calls import Answer, Call, TokenGiven
from adapter.commands.flows import CommandKind, Operation
from adapter.engine.clock import HandClock
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Import, InboxRow, InboxState
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.feed.ports import Receiver
from adapter.engine.gateway import Gateway
from adapter.engine.readings.spool import Spool
from adapter.errors import OutcomeUnknown
from adapter.model.device import Device, InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import CommunicationId, DeviceId, EndpointId, RequestToken, ServicePointId
from adapter.server.connections import bind, url_of
from adapter.server.settings import ApiKey, ConnectionLimits, ListenerSettings, RestSettings, Role
from adapter.service.assembly import assemble
from adapter.service.payloads import taking
from adapter.service.settings import IntakeSettings
from adapter.store.commands.commands import SqliteStore
from adapter.web.api.rest import Rest
from adapter.web.listener.listener import Listener
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec, Direction
from adapter.wire.inbox import InboxReader
from tests.new_stores import new_store

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
STATUS = "RequestStatusChangedService.StatusChanged"
DATA = "DataSubscriberService.DataArrived"
EVENTS = "EventSubscriberService.EventsArrived"
EXCEPTIONS = "ExceptionSubscriberService.ExceptionsArrived"
TOKEN = "0d5a7c9c-93c4-4a52-8f30-7a2b1f1b9e02"
XML = {"Content-Type": "text/xml; charset=utf-8"}


TOKENS = {
    "reader": "r" * 40,
    "operator": "o" * 40,
    "switcher": "s" * 40,
    "approver": "a" * 40,
    "admin": "m" * 40,
}
KEYS = (
    ApiKey.of("reader", TOKENS["reader"], Role.READ),
    ApiKey.of("operator", TOKENS["operator"], Role.OPERATE),
    ApiKey.of("switcher", TOKENS["switcher"], Role.SWITCH, Role.OPERATE),
    ApiKey.of("approver", TOKENS["approver"], Role.APPROVE),
    ApiKey.of("admin", TOKENS["admin"], Role.ADMIN),
)

HASTY = ConnectionLimits(linger_s=0.05)


@cache
def codec() -> Codec:
    return Codec(Catalog.load())


@dataclass
class QuietHeadEnd:
    """Takes every request, gives it a token, and then never has an answer; deaf: not even that."""

    calls: list[Call] = field(default_factory=list)
    deaf: bool = False

    async def admit(self, operation: Operation, priority: str, *, wait_s: float) -> "QuietHeadEnd":
        return self

    def release(self) -> None:
        """There is always a place."""

    async def call(self, call: Call) -> Answer:
        self.calls.append(call)
        if call.callback is None or self.deaf:
            raise OutcomeUnknown("nothing is known of it")
        return TokenGiven(token=token_of(len(self.calls)))


def token_of(number: int) -> RequestToken:
    return RequestToken(f"00000000-0000-4000-8000-{number:012d}")


@dataclass
class Rig:
    """`clock` moves only by hand; nothing runs in the background: `gateway.drain` does the work."""

    gateway: Gateway
    listener: Listener
    store: SqliteStore
    clock: HandClock
    identity: CallbackIdentity
    head_end: QuietHeadEnd
    http: aiohttp.ClientSession
    rest: Rest

    @property
    def url(self) -> str:
        return self.listener.url

    def signed(self, communication: str = "attempt-1") -> str:
        return self.identity.address(CommunicationId(communication))

    async def post(
        self, path: str, body: bytes, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        url = path if path.startswith("http") else self.url + path
        async with self.http.post(
            url, data=io.BytesIO(body), headers={**XML, **(headers or {})}
        ) as response:
            return response.status, await response.read()

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        by: str | None = "switcher",
        headers: Mapping[str, str] | None = None,
    ) -> "Told":
        """One request to the JSON interface; `path` is below /api/v1 unless it is whole."""
        url = self.rest.url + (path if path.startswith("//") else f"/api/v1{path}").replace(
            "//", "/", 1
        )
        sent = {"Authorization": f"Bearer {TOKENS[by]}"} if by is not None else {}
        data = None
        if body is not None:
            sent["Content-Type"] = "application/json"
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent.update(headers or {})
        async with self.http.request(method, url, data=data, headers=sent) as response:
            content = await response.read()
            told = json.loads(content) if content else None
            return Told(response.status, told, dict(response.headers))

    async def rows(self, state: InboxState | None = None) -> list[InboxRow]:
        """Oldest first."""
        return sorted(await self.gateway.inbox.list(state=state), key=lambda row: row.id)

    async def only_row(self) -> InboxRow:
        (row,) = await self.rows()
        return row


@dataclass(frozen=True)
class Told:
    """An answer of the JSON interface. Fields of its object are its own items."""

    status: int
    body: Any
    headers: dict[str, str]

    def __getitem__(self, name: str) -> Any:
        return self.body[name]


@asynccontextmanager
async def a_rig(
    settings: ListenerSettings | None = None,
    *,
    rest: RestSettings | None = None,
    commands: CommandSettings | None = None,
    store_type: type[SqliteStore] = SqliteStore,
    spool: Spool | None = None,
    reads_with: Codec | None = None,
    receivers: Sequence[Receiver] = (),
    folder: Path | None = None,
) -> AsyncIterator[Rig]:
    """`folder` has the store's files, and keeps them."""
    async with AsyncExitStack() as stack:
        clock = HandClock(NOON)
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = store_type(new_store(folder / "gateway.db"), now=clock.now)
        await store.open()
        stack.push_async_callback(store.close)
        settings = settings or ListenerSettings(connections=HASTY)
        listening = bind(settings.host, settings.port)
        url = url_of(listening, tls=settings.tls is not None)
        identity = CallbackIdentity(public_url=url + settings.path_prefix, keys=(b"k" * 32,))
        head_end = QuietHeadEnd()
        payloads = taking(store, clock, IntakeSettings())
        gateway = assemble(
            store=store,
            head_end=head_end,
            reader=InboxReader(codec()),
            clock=clock,
            identity=identity,
            settings=commands or CommandSettings(),
            payloads=payloads,
            receivers=receivers,
        )
        await gateway.registry.import_devices(population())
        await gateway.start(background=False)
        stack.push_async_callback(gateway.stop)
        listener = Listener(
            gateway.inbox,
            reads_with or codec(),
            settings,
            clock=clock,
            listening=listening,
            spool=spool,
        )
        api = Rest(gateway, rest or RestSettings(keys=KEYS), clock=clock)
        async with listener, api, aiohttp.ClientSession() as http:
            yield Rig(gateway, listener, store, clock, identity, head_end, http, api)


def population() -> Import:
    """M1 to M3, installed, connected and commissioned; M9 is a manual meter."""
    kinds = frozenset(kind.value for kind in CommandKind)
    devices = [
        Device(
            id=DeviceId(f"M{number}"),
            endpoint=EndpointId(f"2.16.840.1.114416.15.243.70000{number}"),
            capabilities=kinds,
        )
        for number in (1, 2, 3)
    ]
    return Import(
        devices=(*devices, Device(id=DeviceId("M9"))),
        service_points=tuple(ServicePoint(id=ServicePointId(f"SP-{d.id}")) for d in devices),
        installs=tuple(
            InstallEvent(
                device=device.id,
                service_point=ServicePointId(f"SP-{device.id}"),
                installed_at=NOON - timedelta(days=30),
                status=InstallStatus.CONN_COMM,
            )
            for device in devices
        ),
    )


SOAP_11 = "http://schemas.xmlsoap.org/soap/envelope/"
SOAP_12 = "http://www.w3.org/2003/05/soap-envelope"


def fault_of(answer: bytes) -> str:
    """The code of a fault envelope, without its prefix."""
    assert b"Traceback" not in answer
    message = codec().decode(answer)
    assert message.direction is Direction.FAULT
    return str(message.body["faultcode"])


def data_arrived(*, identifier: str = "2.16.840.1.114416.15.243.700001", values: int = 1) -> bytes:
    register = {
        "Quantity": "Wh d",
        "Source": "CurrentRegister",
        "Timestamp": "2026-03-02T00:00:00Z",
        "Value": {"type": "xs:decimal", "value": "1234567"},
    }
    device = {
        "Identifier": identifier,
        "DeviceClass": "ITR1",
        "ScalingType": "Scaled",
        "RegisterValues": [register] * values,
    }
    return codec().encode_request(DATA, {"input": {"ReadDataCollection": [device]}})


def events_arrived() -> bytes:
    event = {
        "Timestamp": "2026-03-02T11:00:00Z",
        "Category": "PowerOutageOrRestoration",
        "LogType": "History",
        "Name": "Primary Power Down",
    }
    return codec().encode_request(
        EVENTS, {"input": {"Identifier": "x", "EventLog": {"MeterEvents": [event]}}}
    )


def exceptions_arrived() -> bytes:
    exception = {
        "ElectronicSerialNumber": "2.16.840.1.114416.15.243.700001",
        "ReceivedWhen": "2026-03-02T11:20:00Z",
        "ExceptionCategory": "PowerOutageOrRestoration",
        "Name": "Primary Power Down",
    }
    return codec().encode_request(EXCEPTIONS, {"input": {"MeterExceptionCollection": [exception]}})


def status_changed(
    token: str = TOKEN, state: str = "Completed", result: str = "", finished: str = ""
) -> bytes:
    """Without a result: Success for Completed, Pending for all else."""
    status = {
        "RequestToken": {"Id": token},
        "State": state,
        "EndpointsScheduled": 1,
        "Result": result or ("Success" if state == "Completed" else "Pending"),
        "SuccessfulEndpoints": 1,
        "FailedEndpoints": 0,
        "CreatedWhen": "2026-03-02T12:00:00Z",
        **({"FinishedWhen": finished} if finished else {}),
    }
    return codec().encode_request(STATUS, {"input": {"RequestStatus": status}})

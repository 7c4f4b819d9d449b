"""Calls, settings and replies that the tests of the client share."""

from functools import cache
from types import MappingProxyType

from adapter.commands.calls import Call
from adapter.commands.flows import Operation
from adapter.headend.contract import ContractWire
from adapter.headend.settings import HeadEndSettings, LimitSettings, Timeouts
from adapter.model.ids import EndpointId, RequestToken
from adapter.model.values import replace
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec

TOKEN = RequestToken("0d5a7c9c-93c4-4a52-8f30-7a2b1f1b9e02")
OTHER = RequestToken("5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11")
NIL = "00000000-0000-0000-0000-000000000000"
METER = EndpointId("2.16.840.1.114416.15.243.700001")

DISCONNECT = Call(
    operation=Operation.DISCONNECT_METER,
    endpoints=(METER,),
    callback="https://gateway.example/openway/status/1/abc",
)
PING = replace(DISCONNECT, operation=Operation.PING)
RESULT = Call(operation=Operation.DISCONNECT_RESULT, token=TOKEN)

CONTROL = "http://www.itron.com/ami/2008/10/control"
DIAGNOSTIC = "http://www.itron.com/ami/2012/03/control/diagnostic"
COMMON = "http://www.itron.com/ami/2008/10/common"


def envelope(inner: str) -> bytes:
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">'
        f"<s:Body>{inner}</s:Body></s:Envelope>"
    ).encode()


def token_reply(
    name: str = "DisconnectMeter", namespace: str = CONTROL, *, token: str = TOKEN
) -> bytes:
    return envelope(
        f'<{name}Response xmlns="{namespace}"><{name}Result xmlns:a="{COMMON}">'
        f"<a:Id>{token}</a:Id></{name}Result></{name}Response>"
    )


def ping_reply(token: str = TOKEN) -> bytes:
    return token_reply("PingByEndpoints", DIAGNOSTIC, token=token)


def result_reply(token: str = TOKEN) -> bytes:
    return envelope(
        f'<GetDisconnectMeterResultResponse xmlns="{CONTROL}">'
        f'<GetDisconnectMeterResultResult xmlns:a="{COMMON}">'
        f"<a:RequestToken><a:Id>{token}</a:Id></a:RequestToken><a:Result>Success</a:Result>"
        "</GetDisconnectMeterResultResult></GetDisconnectMeterResultResponse>"
    )


def fault(name: str, message: str = "No.") -> bytes:
    detail = f'<detail><{name} xmlns="{COMMON}"><Message>{message}</Message></{name}></detail>'
    return envelope(
        "<s:Fault><faultcode>s:Client</faultcode>"
        f'<faultstring xml:lang="en-US">{message}</faultstring>{detail if name else ""}</s:Fault>'
    )


def settings(url: str, **changes: object) -> HeadEndSettings:
    """One connection attempt and no breaker; tests of time-outs bring their own."""
    quick: dict[str, object] = {
        "base_url": url,
        "timeouts": Timeouts(),
        "operation_timeouts": MappingProxyType({}),
        "limits": LimitSettings(breaker_not_sent=1000, breaker_unknown=1000),
        "connect_attempts": 1,
        "connect_retry_wait_s": 0.01,
    }
    return HeadEndSettings(**(quick | changes))  # type: ignore[arg-type]


@cache
def the_wire() -> ContractWire:
    return ContractWire(Codec(Catalog.load()))

"""Writing a request and reading a reply, beside zeep doing the same; by CPU, in turns."""

from collections.abc import Callable
from typing import Any, Final

from lxml import etree

from adapter.commands.calls import Call
from adapter.commands.flows import Operation
from adapter.model.ids import EndpointId
from adapter.service.app import made_to_stay
from adapter.wire.codec import Codec, packaged_codec
from adapter.wire.operations import request_body
from adapter.wire.tools.reference import reference_request
from bench.payloads import ESN
from bench.report import Figure, Part, Ran, comparison, ratios
from bench.rounds import Options, interleaved, repeated

_WRITTEN: Final = (1, 100, 1_000)
_READ: Final = (1, 100, 10_000)
_ZEEP, _OURS, _FLOOR = "zeep", "compiled from its types", "lxml, the tree alone"


def measure(options: Options) -> Part:
    with made_to_stay():
        codec = packaged_codec()
    part = Part(title="Messages: how many times zeep's CPU")
    for endpoints in _WRITTEN:
        title = f"Writing PingByEndpoints, {_many(endpoints, 'endpoint')}"
        _compare(title, _writing(codec, endpoints), options, part)
    for failures in _READ:
        title = f"Reading its result, {_many(failures, 'failure')}"
        _compare(title, _reading(codec, failures), options, part)
    return part


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _compare(
    title: str, sides: dict[str, Callable[[], object]], options: Options, part: Part
) -> None:
    turns: dict[str, Callable[[], Ran]] = {
        name: repeated(work, 0.3 * options.scale) for name, work in sides.items()
    }
    ran = interleaved(turns, options.rounds)
    part.details.append(comparison(title, ran))
    cpu = ratios(ran[_ZEEP], ran[_OURS], lambda one: one.cpu_ms)
    part.figures.append(
        Figure(what=f"{title}: CPU of zeep / ours", unit="ratio", each=cpu, more=True)
    )


def _writing(codec: Codec, endpoints: int) -> dict[str, Callable[[], object]]:
    names = tuple(EndpointId(f"{ESN}{n}") for n in range(endpoints))
    body = request_body(
        Call(operation=Operation.PING, endpoints=names, callback="http://gateway.example/status")
    )
    return {
        _ZEEP: lambda: reference_request(codec.catalog, Operation.PING, body),
        _OURS: lambda: codec.encode_request(Operation.PING, body),
    }


def _reading(codec: Codec, failures: int) -> dict[str, Callable[[], object]]:
    rows = [
        {"ElectronicSerialNumber": f"{ESN}{n}", "FailureReason": "NoResponse"}
        for n in range(failures)
    ]
    result = {
        "RequestToken": {"Id": "5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11"},
        "Result": "Failure",
        "EndpointFailureResult": {"Failures": rows, "MaximumResultsSent": False},
    }
    key = Operation.PING_RESULT
    data = codec.encode_response(key, {"GetPingByEndpointsResultResult": result})
    operation: Any = codec.catalog.original(key)
    return {
        _ZEEP: lambda: operation.process_reply(etree.fromstring(data)),
        _OURS: lambda: codec.decode(data, max_bytes=len(data)),
        _FLOOR: lambda: etree.fromstring(data),
    }

"""Writing a request and reading a reply, beside zeep doing the same."""

import time
from collections.abc import Callable
from typing import Any

from lxml import etree

from adapter.commands.calls import Call
from adapter.commands.flows import Operation
from adapter.model.ids import EndpointId
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from adapter.wire.operations import request_body
from adapter.wire.tools.reference import reference_request
from bench.report import Rate

_SECONDS = 1.0


def _rate(name: str, work: Callable[[], object]) -> Rate:
    """Repeat for about a second."""
    count = 0
    started = time.perf_counter()
    while (seconds := time.perf_counter() - started) < _SECONDS:
        work()
        count += 1
    return Rate(name=name, count=count, seconds=seconds)


def writing(endpoints: int) -> tuple[Rate, Rate]:
    catalog = Catalog.load()
    codec = Codec(catalog)
    names = tuple(EndpointId(f"2.16.840.1.114416.15.243.{n}") for n in range(endpoints))
    body = request_body(
        Call(operation=Operation.PING, endpoints=names, callback="http://gateway.example/status")
    )
    baseline = _rate("zeep", lambda: reference_request(catalog, Operation.PING, body))
    ours = _rate("compiled writer", lambda: codec.encode_request(Operation.PING, body))
    return baseline, ours


def reading(failures: int) -> tuple[Rate, Rate]:
    catalog = Catalog.load()
    codec = Codec(catalog)
    rows = [
        {"ElectronicSerialNumber": f"2.16.840.1.114416.15.243.{n}", "FailureReason": "NoResponse"}
        for n in range(failures)
    ]
    result = {
        "RequestToken": {"Id": "5b0c7e0e-6d0f-4a55-9a6e-2f6f4a1f0c11"},
        "Result": "Failure",
        "EndpointFailureResult": {"Failures": rows, "MaximumResultsSent": False},
    }
    key = Operation.PING_RESULT
    data = codec.encode_response(key, {"GetPingByEndpointsResultResult": result})
    operation: Any = catalog.original(key)
    baseline = _rate("zeep", lambda: operation.process_reply(etree.fromstring(data)))
    ours = _rate("compiled reader", lambda: codec.decode(data, max_bytes=len(data)))
    return baseline, ours

"""Plain zeep: the same status check by calls in threads, with no store and no callbacks.

python -m bench.sides.plain_zeep HEAD_END_URL    answers {"count": n, "at_once": n}

Each meter is asked as zeep's users do it: ping, status until Completed, result.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import zeep
from zeep.transports import Transport

from adapter.commands.flows import Operation
from adapter.wire.catalog import Catalog
from adapter.wire.codec import packaged_codec
from bench.payloads import ESN
from bench.processes import answer

_FIRST: Final = 700_001
_THREADS: Final = 16
_POLL_S: Final = 0.01


class PlainZeep:
    def __init__(self, head_end: str) -> None:
        catalog = packaged_codec().catalog
        self._diagnostic = _service(catalog, head_end, Operation.PING)
        self._requests = _service(catalog, head_end, Operation.REQUEST_STATUS)

    def run(self, *, count: int, at_once: int) -> dict[str, Any]:
        """At most 16 at once, however many are asked for: more threads make it slower."""
        cpu, started = time.process_time(), time.perf_counter()
        with ThreadPoolExecutor(min(at_once, _THREADS)) as pool:
            latencies = list(pool.map(self._one, range(count)))
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "cpu_s": time.process_time() - cpu, "latencies": [latencies]}

    def _one(self, number: int) -> float:
        started = time.perf_counter()
        body = {"ElectronicSerialNumbers": {"string": [f"{ESN}{_FIRST + number}"]}}
        token = self._diagnostic.PingByEndpoints(request={"EndpointCollectionRequest": body})
        while self._requests.GetRequestStatus(input={"Id": token}).State != "Completed":
            time.sleep(_POLL_S)
        self._diagnostic.GetPingByEndpointsResult(input={"Id": token})
        return time.perf_counter() - started


def _service(catalog: Catalog, url: str, key: Operation) -> Any:
    spec = catalog.spec(key)
    file = next(
        path
        for path in catalog.place.glob("*.wsdl")
        if f'name="{spec.service}"' in path.read_text()
    )
    transport = Transport(timeout=30, operation_timeout=30)  # type: ignore[no-untyped-call]
    client = zeep.Client(str(file), transport=transport)  # type: ignore[no-untyped-call]
    bindings = [name for name in client.wsdl.bindings if spec.service in str(name)]
    name = str(bindings[0] if bindings else next(iter(client.wsdl.bindings)))
    return client.create_service(name, f"{url}{spec.path}")  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    answer(PlainZeep(sys.argv[1]).run)

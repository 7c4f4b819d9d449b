"""Sends callbacks with tokens that nobody knows, at a rate: `python -m tests.durability.flood`.

A process of its own, so that the gateway does not pay for the sender. Bounded in count and time.
"""

import asyncio
import re
import sys
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from adapter.model.ids import RequestToken
from tests.web.both_servers import status_changed

_CONNECTIONS: Final = 16
_SEEDS: Final = 1_000_000
_ACTION: Final = "http://www.itron.com/ami/2008/10/common/RequestStatusChangedService/StatusChanged"
_LENGTH: Final = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)


def requests(url: str, count: int) -> list[bytes]:
    at = urlsplit(url)
    known = str(UUID(int=1))
    pattern = status_changed(RequestToken(known))
    head = (
        f"POST {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nContent-Type: text/xml; charset=utf-8\r\n"
        f'SOAPAction: "{_ACTION}"\r\nContent-Length: {len(pattern)}\r\n\r\n'
    ).encode("ascii")
    return [
        head + pattern.replace(known.encode(), str(UUID(int=_SEEDS + number)).encode())
        for number in range(count)
    ]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def send(url: str, *, per_s: int, seconds: int) -> int:
    """How many were answered 200."""
    whole = requests(url, per_s * seconds)
    loop, taken = asyncio.get_running_loop(), 0
    numbers = iter(range(len(whole)))
    _say("ready")
    await loop.run_in_executor(None, sys.stdin.readline)
    began = loop.time()

    async def connection() -> None:
        nonlocal taken
        at = urlsplit(url)
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        for number in numbers:
            await asyncio.sleep(max(began + number / per_s - loop.time(), 0))
            if loop.time() > began + 3 * seconds:
                break
            writer.write(whole[number])
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            assert length is not None, head
            await reader.readexactly(int(length[1]))
            taken += head.startswith(b"HTTP/1.1 200")
        writer.close()

    await asyncio.gather(*(connection() for _ in range(_CONNECTIONS)))
    _say(f"{taken} of {len(whole)} in {loop.time() - began:.1f} s")
    return taken


if __name__ == "__main__":
    asyncio.run(send(sys.argv[1], per_s=int(sys.argv[2]), seconds=int(sys.argv[3])))

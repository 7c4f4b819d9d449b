"""Callers in processes of their own: an honest one, and those who are in its way.

    python -m tests.attack.callers honest|attribute|slow|flood ARGUMENTS

Arguments and answers are JSON. Those in the way say `ready` when they are at it, and go on until
they are killed; the honest one prints how long each of its callbacks took, in seconds.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import uuid4

import aiohttp

from adapter.engine.commands.identity import STATUS_PATH
from tests.attack.target import KNOWN, head, request
from tests.web.both_servers import XML, data_arrived, status_changed
from tests.web.raw_connection import Raw, connected

ATTRIBUTE_BYTES: Final = 40 * 1024 * 1024
SLOW_BODIES: Final = 256
FLOODING: Final = 32
_BEGUN: Final = data_arrived().partition(b"</sub:DataArrived>")[0]
_PIECE: Final = b"x" * 65_536
_HEADERS: Final = {**XML, "Authorization": KNOWN.partition(": ")[2]}


async def honest(url: str, seconds: float, a_second: float, orders: list[list[str]]) -> None:
    """Callbacks at a steady rate, whatever becomes of those before. One whose connection breaks is
    sent again, as a head end does, and its time runs on."""
    took: list[float] = []
    loop = asyncio.get_running_loop()
    bodies = [(address, status_changed(token, state="Executing")) for address, token in orders]

    async def one(session: aiohttp.ClientSession, address: str, body: bytes, due: float) -> None:
        while True:
            try:
                async with session.post(address, data=body, headers=_HEADERS) as answer:
                    await answer.read()
                    assert answer.status == 200, answer.status
                    took.append(loop.time() - due)
                    return
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0)

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        started = loop.time()
        for number in range(int(seconds * a_second)):
            due = started + number / a_second
            await asyncio.sleep(max(0.0, due - loop.time()))
            group.create_task(one(session, *bodies[number % len(bodies)], loop.time()))
    _say(took)


async def attribute(url: str) -> None:
    """One message after the other, each of one attribute."""
    while True:
        try:
            async with connected(url) as raw, asyncio.timeout(60):
                await raw.send(head("/openway/data", f"Content-Length: {ATTRIBUTE_BYTES}"))
                await raw.send(_BEGUN + b"<a b='")
                _say("ready")
                for _ in range(ATTRIBUTE_BYTES // len(_PIECE)):
                    await raw.send(_PIECE)
        except OSError:
            continue  # it was cut off


async def slow(url: str) -> None:
    """A byte a second each; who is cut off begins again."""
    began = 0

    async def one() -> None:
        nonlocal began
        while True:
            try:
                async with connected(url) as raw:
                    await raw.send(head(STATUS_PATH, "Content-Length: 200000"))
                    began += 1
                    if began == SLOW_BODIES:
                        _say("ready")
                    await _drip(raw)
            except OSError:
                pass
            await asyncio.sleep(0.2)

    await asyncio.gather(*(one() for _ in range(SLOW_BODIES)))


async def _drip(raw: Raw) -> None:
    ended = asyncio.create_task(raw.closed())
    while not ended.done():
        await raw.send(b"<")
        await asyncio.wait({ended}, timeout=1.0)


async def flood(url: str) -> None:
    """Unknown tokens at the address that names no request, as fast as they are answered."""
    answered = 0

    async def one() -> None:
        nonlocal answered
        while True:
            try:
                async with connected(url) as raw:
                    while True:
                        await raw.send(request(STATUS_PATH, status_changed(str(uuid4()))))
                        await raw.status()
                        answered += 1
                        if answered == 10 * FLOODING:
                            _say("ready")
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0)

    await asyncio.gather(*(one() for _ in range(FLOODING)))


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


_CALLERS: Final[Mapping[str, Callable[..., Awaitable[None]]]] = {
    "honest": honest,
    "attribute": attribute,
    "slow": slow,
    "flood": flood,
}


_NICE: Final = 10
"""Those in the way are elsewhere in earnest: here they take what the gateway and the honest caller
leave of the machine, else its two cores were what is measured."""


def main() -> None:
    given: dict[str, Any] = json.loads(sys.argv[2])
    if sys.argv[1] != "honest":
        os.nice(_NICE)
    asyncio.run(_CALLERS[sys.argv[1]](**given))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()

"""`openway serve` as a process of its own, as a service manager runs it."""

import asyncio
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from tests.durability.gateway_process import until

_START_S: Final = 60.0
_STOP_S: Final = 60.0
PROGRAM: Final = (sys.executable, "-m", "adapter")


@dataclass(slots=True, kw_only=True)
class ServedProcess:
    """It listens. `log` has what it said."""

    process: asyncio.subprocess.Process
    log: Path
    api: str

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code."""
        async with asyncio.timeout(_STOP_S):
            return await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    def said(self, event: str) -> int:
        """How many lines of the log have this event."""
        return self.log.read_text(encoding="utf-8").count(f'"event": "{event}"')


@asynccontextmanager
async def a_served_process(
    arguments: Sequence[str],
    *,
    api: str,
    log: Path,
    environ: Mapping[str, str],
    cwd: Path,
    trust: ssl.SSLContext | None = None,
) -> AsyncIterator[ServedProcess]:
    """Ready, and killed at the end where it still runs. `trust` is for the API at `api`."""
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *arguments, cwd=cwd, env=dict(environ), stdout=out, stderr=out
        )
    made = ServedProcess(process=process, log=log, api=api)
    try:
        await until(lambda: _ready(made, trust), within_s=_START_S, why="it is ready")
        yield made
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ready(made: ServedProcess, trust: ssl.SSLContext | None) -> bool:
    said = made.log.read_text(encoding="utf-8")
    assert made.process.returncode is None, f"it has ended: {said}"
    connector = aiohttp.TCPConnector(ssl=True if trust is None else trust)
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(f"{made.api}/readyz") as answer,
        ):
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False

"""The worker process as the gateway sees it: one job at a time, restarted when it dies."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from adapter.engine.readings.ports import Batch, Staged, StagingTarget
from adapter.engine.readings.worker import END, HEAD, decode_batch, decode_staged
from adapter.errors import GatewayError, StoreFailed
from adapter.wire.stream import Broken

_BUFFER = 1 << 20


class WorkerDied(GatewayError):
    """The process went away in the middle of a body."""

    code = "worker_died"


class WorkerFailed(Exception):
    """An error in the worker that nobody expects; the text begins with its type."""


class WorkerProcess:
    """Started at the first job. A bounded pipe is all that stands between it and the store.

    `ahead`: it has a second process that reads a file while it stages what was read.
    """

    def __init__(self, *, ahead: bool = False) -> None:
        self._ahead = ahead
        self._process: asyncio.subprocess.Process | None = None

    async def staged(
        self, path: Path, tables: str, place: StagingTarget
    ) -> AsyncGenerator[Staged, None]:
        """Have the values of one file put, and hear what became of them. Whoever stops listening
        closes it: what the worker would still say is then never taken for an answer to the next.

        Raises Broken where the file cannot be read on, WorkerDied, WorkerFailed, and StoreFailed.
        """
        job = {
            "file": str(path),
            "tables": tables,
            "place": asdict(place),
            "ahead": self._ahead,
        }
        async with contextlib.aclosing(self._done(job)) as contents:
            async for content in contents:
                yield decode_staged(content)

    async def batches(
        self, path: Path, tables: str, *, only: Sequence[int]
    ) -> AsyncGenerator[Batch, None]:
        """Some parts of one file, as `intake.batches` makes them. Raises as `staged` does."""
        job = {"file": str(path), "tables": tables, "only": only}
        async with contextlib.aclosing(self._done(job)) as contents:
            async for content in contents:
                yield decode_batch(content)

    async def _done(self, job: Mapping[str, object]) -> AsyncGenerator[memoryview, None]:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        content = json.dumps(job).encode()
        whole = False
        try:
            process.stdin.write(HEAD.pack(len(content)) + content)
            await process.stdin.drain()
            while True:
                (length,) = HEAD.unpack(await process.stdout.readexactly(HEAD.size))
                frame = await process.stdout.readexactly(length)
                if frame[:1] == END:
                    whole = True
                    break
                yield memoryview(frame)[1:]
        except (asyncio.IncompleteReadError, OSError) as error:
            raise WorkerDied("the worker process died") from error
        finally:
            if not whole:
                await self.stop()
        end = json.loads(frame[1:])
        if "failed" in end:
            raise StoreFailed(end["failed"])
        if "unexpected" in end:
            raise WorkerFailed(end["unexpected"])
        if end:
            raise Broken.told(end["reason"], end["position"])

    @property
    def pid(self) -> int | None:
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process is not None else None

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            places = os.pathsep.join(place for place in sys.path if place)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "adapter.engine.readings.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=_BUFFER,
                env={**os.environ, "PYTHONPATH": places},
            )
        return self._process

    async def stop(self) -> None:
        """End the process; what it was at is read again some day."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        # The transport reads on to the end of the pipe; without it there would be a warning.
        if process.stdout is not None:
            with contextlib.suppress(OSError):
                await process.stdout.read()

"""The real program as a process, on a machine whose wall clock can be set, or that is suspended.

A library before it shifts the clocks: CLOCK_REALTIME alone, as somebody who sets it does; with
CLOCK_BOOTTIME while the process stands still, as a suspend does, in which CLOCK_MONOTONIC does not
count. That needs a C compiler and LD_PRELOAD; without, the machine has its own clock.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp

from adapter.commands.flows import Operation
from adapter.registry.files import as_json_values
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from tests.durability.gateway_process import START_S, free_port, settings_file, until

USERS_FILE: Final = "callback-users"
SEEN_S: Final = 20.0
"""How long the gateway may take to see that its clock was set."""

TOKEN: Final = "whole-" + "0" * 32
_SHIFT: Final = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef int (*reader)(clockid_t, struct timespec *);

static long shift(clockid_t which) {
    const char *name = getenv("CLOCK_SHIFT");
    FILE *file = name ? fopen(name, "r") : NULL;
    long set = 0, suspended = 0;
    if (file != NULL) {
        if (fscanf(file, "%ld %ld", &set, &suspended) != 2) set = suspended = 0;
        fclose(file);
    }
    return which == CLOCK_REALTIME ? set + suspended : suspended;
}

int clock_gettime(clockid_t which, struct timespec *at) {
    reader real = (reader)dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(which, at);
    if (which == CLOCK_REALTIME || which == CLOCK_BOOTTIME) at->tv_sec += shift(which);
    return code;
}
"""


@dataclass
class Machine:
    """A folder with a gateway's files, one process of it after the other, and the shift of its wall
    clock; without a `library` that is everybody's."""

    folder: Path
    library: Path | None
    settings: Path
    api: str
    listener: str
    process: asyncio.subprocess.Process | None = None

    def set(self, by: timedelta, *, suspended: timedelta = timedelta()) -> None:
        seconds = [round(each.total_seconds()) for each in (by, suspended)]
        fresh = self.folder / "shift.new"
        fresh.write_text(f"{seconds[0]} {seconds[1]}", encoding="utf-8")
        fresh.replace(self.folder / "shift")

    async def suspend(self, length: timedelta) -> None:
        """The process stands still, and when it goes on so much has been slept through in all."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        await until(self._stopped, within_s=START_S, why="it stands still")
        self.set(timedelta(), suspended=length)
        self.process.send_signal(signal.SIGCONT)

    async def _stopped(self) -> bool:
        state = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii")
        return state.rpartition(")")[2].split()[0] == "T"

    @property
    def log(self) -> Path:
        """What all its processes said."""
        return self.folder / "gateway.log"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self, *, ready: bool = True) -> None:
        """`openway serve`; without `ready` it may still be on its way."""
        shifted = {"LD_PRELOAD": str(self.library), "CLOCK_SHIFT": str(self.folder / "shift")}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "adapter", "--config", str(self.settings), "serve",
                stdout=asyncio.subprocess.DEVNULL, stderr=log,
                env={**os.environ, **({} if self.library is None else shifted)},
            )  # fmt: skip
        if ready:
            await until(self._up, within_s=4 * START_S, why="it is ready")

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        return await self._end(signal.SIGTERM)

    async def _end(self, by: signal.Signals) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(by)
        async with asyncio.timeout(START_S):
            return await self.process.wait()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        try:
            await self.start()
            yield
        finally:
            if self.process is not None:
                await self.stop()

    async def ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": f"{path} {body}"[:200]}
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, f"{self.api}{path}", json=body, headers=headers) as answer,
        ):
            found = await answer.json(content_type=None)
            assert answer.status < 400, found
            return found

    async def held(self) -> bool:
        return bool((await self.ask("GET", "/readyz"))["held"])

    async def released(self) -> bool:
        return not await self.held()

    async def _up(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, f"it has ended: see {self.log}"
        try:
            await self.held()
        except (OSError, aiohttp.ClientError):
            return False
        return True


def machine(
    folder: Path,
    head_end: Simulator,
    *,
    clock: bool = True,
    caller: str = "",
    extra: str = "",
    reply_s: float = 60.0,
    expires_s: float = 600.0,
) -> Machine:
    """Not started yet. Without `clock` none is set. `caller` is the user:password of the head end,
    if it needs one; `extra` are further settings, as TOML; `reply_s` and `expires_s` hold for
    every command."""
    listener, port = free_port(), free_port()
    (folder / USERS_FILE).write_text(f"{caller}\n", encoding="utf-8")
    settings = settings_file(
        folder,
        head_end.url,
        listener=listener,
        api=port,
        expires_s=expires_s,
        reply_s=reply_s,
        users_file=USERS_FILE if caller else "",
        extra=extra,
    )
    with (folder / "keys").open("a", encoding="utf-8") as keys:
        keys.write(f"whole operate,switch,admin {TOKEN}\n")
    made = Machine(
        folder=folder,
        library=_library(folder) if clock else None,
        settings=settings,
        api=f"http://127.0.0.1:{port}",
        listener=f"http://127.0.0.1:{listener}",
    )
    made.set(timedelta())
    return made


def can_set_clocks() -> bool:
    return sys.platform == "linux" and shutil.which("cc") is not None


def _library(folder: Path) -> Path:
    source, library = folder / "shift.c", folder / "shift.so"
    source.write_text(_SHIFT, encoding="utf-8")
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return library


async def load(of: Machine, head_end: Simulator) -> None:
    await of.ask("POST", "/api/v1/devices", as_json_values(registry_of(head_end.world.population)))


async def cut(of: Machine, head_end: Simulator, number: int, **more: object) -> str:
    endpoint = list(head_end.world.population)[number]
    body = {"kind": "remote_disconnect", "devices": [device_id(endpoint)], **more}
    return str((await of.ask("POST", "/api/v1/commands", body))["id"])


async def state(of: Machine, command: str, *, wait_s: float = 2.0) -> str:
    return str((await of.ask("GET", f"/api/v1/commands/{command}?wait={wait_s}"))["state"])


async def order_while_off(of: Machine, head_end: Simulator, number: int, by: timedelta) -> None:
    """The clock is set by so much, a disconnect is asked for, the clock is set right. Fails where
    the order leaves before that, or not afterwards."""
    sent = head_end.journal.requests
    before = sent[Operation.DISCONNECT_METER]
    of.set(by)
    order = await cut(of, head_end, number)
    await until(of.held, within_s=SEEN_S, why=f"{by} is noticed")
    assert await state(of, order) == "communication_in_progress"
    assert sent[Operation.DISCONNECT_METER] == before, f"it left while the clock was off by {by}"
    of.set(timedelta())
    await until(of.released, within_s=SEEN_S, why=f"{by} is settled")
    assert await state(of, order, wait_s=SEEN_S) == "completed"
    assert sent[Operation.DISCONNECT_METER] == before + 1

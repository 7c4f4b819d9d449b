"""The real program on a machine whose wall clock is set: a library before it shifts that clock.

Only CLOCK_REALTIME is shifted, as somebody who sets it does. Needs a C compiler and LD_PRELOAD.
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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from adapter.commands.flows import Operation
from adapter.registry.files import as_json_values
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from tests.clock.lives import FAR, HOUR, a_head_end
from tests.durability.gateway_process import START_S, free_port, settings_file, until

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("cc") is None, reason="needs cc and LD_PRELOAD"
    ),
]
TOKEN: Final = "whole-" + "0" * 32
_SHIFT: Final = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef int (*reader)(clockid_t, struct timespec *);

static long shift(void) {
    const char *name = getenv("CLOCK_SHIFT");
    FILE *file = name ? fopen(name, "r") : NULL;
    long seconds = 0;
    if (file != NULL) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t which, struct timespec *at) {
    reader real = (reader)dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(which, at);
    if (which == CLOCK_REALTIME) at->tv_sec += shift();
    return code;
}
"""


@dataclass
class Machine:
    """A folder with a gateway's files, and the shift of its wall clock."""

    folder: Path
    library: Path
    settings: Path
    api: str

    def set(self, by: timedelta) -> None:
        fresh = self.folder / "shift.new"
        fresh.write_text(str(round(by.total_seconds())), encoding="utf-8")
        fresh.replace(self.folder / "shift")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "adapter", "--config", str(self.settings), "serve",
            stderr=asyncio.subprocess.DEVNULL,
            env={
                **os.environ,
                "LD_PRELOAD": str(self.library),
                "CLOCK_SHIFT": str(self.folder / "shift"),
            },
        )  # fmt: skip
        try:
            await until(self._up, within_s=4 * START_S, why="it is ready")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(START_S):
                await process.wait()

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
        try:
            await self.held()
        except (OSError, aiohttp.ClientError):
            return False
        return True


def machine(folder: Path, head_end: Simulator) -> Machine:
    source, library, port = folder / "shift.c", folder / "shift.so", free_port()
    source.write_text(_SHIFT, encoding="utf-8")
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    settings = settings_file(folder, head_end.url, listener=free_port(), api=port)
    (folder / "keys").write_text(f"whole operate,switch,admin {TOKEN}\n", encoding="utf-8")
    made = Machine(folder, library, settings, f"http://127.0.0.1:{port}")
    made.set(timedelta())
    return made


async def load(of: Machine, head_end: Simulator) -> None:
    await of.ask("POST", "/api/v1/devices", as_json_values(registry_of(head_end.world.population)))


async def cut(of: Machine, head_end: Simulator, number: int, **more: object) -> str:
    endpoint = list(head_end.world.population)[number]
    body = {"kind": "remote_disconnect", "devices": [device_id(endpoint)], **more}
    return str((await of.ask("POST", "/api/v1/commands", body))["id"])


async def state(of: Machine, command: str, *, wait_s: float = 2.0) -> str:
    return str((await of.ask("GET", f"/api/v1/commands/{command}?wait={wait_s}"))["state"])


@pytest.mark.seconds(900)
async def test_after_one_start_ahead_nothing_leaves_before_its_date(tmp_path: Path) -> None:
    async with a_head_end(by_hand=False) as head_end:
        made = machine(tmp_path, head_end)
        sent = head_end.journal.requests
        made.set(FAR)
        async with made.serving():
            await load(made, head_end)
        made.set(timedelta())
        async with made.serving():
            assert await made.held()
            due = (datetime.now(UTC) + 2 * HOUR).isoformat()
            order = await cut(made, head_end, 0, effective_at=due, expires_at=None)
            assert await state(made, order) == "waiting_for_effective_date"
            await made.ask("POST", "/api/v1/switch-holds/clock/confirm", {"reason": "right"})
            assert await made.released()
            assert await state(made, order) == "waiting_for_effective_date"
            assert sent[Operation.DISCONNECT_METER] == 0
            at_once = await cut(made, head_end, 1)
            assert await state(made, at_once, wait_s=20.0) == "completed"
            assert sent[Operation.DISCONNECT_METER] == 1
        async with made.serving():
            assert await made.released()


@pytest.mark.seconds(900)
async def test_a_clock_that_is_set_while_it_runs_is_noticed_and_settles(tmp_path: Path) -> None:
    async with a_head_end(by_hand=False) as head_end:
        made = machine(tmp_path, head_end)
        sent = head_end.journal.requests
        async with made.serving():
            await load(made, head_end)
            for number, by in enumerate((3 * HOUR, -3 * HOUR, FAR, -FAR)):
                made.set(by)
                order = await cut(made, head_end, number)
                await until(made.held, within_s=20, why=f"{by} is noticed")
                assert await state(made, order) == "communication_in_progress"
                assert sent[Operation.DISCONNECT_METER] == number
                made.set(timedelta())
                await until(made.released, within_s=20, why=f"{by} is settled")
                assert await state(made, order, wait_s=20.0) == "completed"
                assert sent[Operation.DISCONNECT_METER] == number + 1

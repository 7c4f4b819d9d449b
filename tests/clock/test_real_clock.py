"""The real program on a machine whose wall clock is set, or that is suspended.

A library before it shifts the clocks: CLOCK_REALTIME alone, as somebody who sets it does; with
CLOCK_BOOTTIME while the process stands still, as a suspend does, in which CLOCK_MONOTONIC does not
count. Needs a C compiler and LD_PRELOAD.
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
    """A folder with a gateway's files, and the shift of its clocks."""

    folder: Path
    library: Path
    settings: Path
    api: str
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

    def _stopped(self) -> bool:
        assert self.process is not None
        state = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        return state.rpartition(")")[2].split()[0] == "T"

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
        self.process = process
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


def machine(folder: Path, head_end: Simulator, *, extra: str = "") -> Machine:
    source, library, port = folder / "shift.c", folder / "shift.so", free_port()
    source.write_text(_SHIFT, encoding="utf-8")
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True)
    settings = settings_file(folder, head_end.url, listener=free_port(), api=port, extra=extra)
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


@pytest.mark.seconds(900)
async def test_after_a_suspend_effective_dates_and_not_afters_are_judged_by_what_it_is_then(
    tmp_path: Path,
) -> None:
    async with a_head_end(by_hand=False) as head_end:
        made = machine(tmp_path, head_end)
        sent = head_end.journal.requests
        async with made.serving():
            await load(made, head_end)
            now = datetime.now(UTC)

            def at(hours: float) -> str:
                return (now + hours * HOUR).isoformat()

            due = await cut(made, head_end, 0, effective_at=at(1), expires_at=at(9))
            ran_out = await cut(made, head_end, 1, effective_at=at(1), expires_at=at(2))
            later = await cut(made, head_end, 2, effective_at=at(5), expires_at=at(9))
            await made.suspend(3 * HOUR)
            assert await state(made, due, wait_s=60.0) == "completed"
            assert await state(made, ran_out, wait_s=60.0) == "discarded"
            assert await state(made, later) == "waiting_for_effective_date"
            assert sent[Operation.DISCONNECT_METER] == 1
            assert await made.released()  # it was counted: nothing to ask anybody about
            await made.suspend(6 * HOUR)
            assert await state(made, later, wait_s=60.0) == "completed"
            assert sent[Operation.DISCONNECT_METER] == 2


@pytest.mark.seconds(900)
async def test_after_a_suspend_past_the_end_of_the_window_nothing_leaves(tmp_path: Path) -> None:
    ends = datetime.now(UTC) + 2 * HOUR
    window = f"{ends - 4 * HOUR:%H:%M}-{ends:%H:%M}"
    async with a_head_end(by_hand=False) as head_end:
        made = machine(tmp_path, head_end, extra=f'[switch]\nwindow = "{window}"')
        sent = head_end.journal.requests
        async with made.serving():
            await load(made, head_end)
            at_once = await cut(made, head_end, 0)
            assert await state(made, at_once, wait_s=60.0) == "completed"
            due = (datetime.now(UTC) + HOUR).isoformat()
            until_when = (datetime.now(UTC) + 40 * HOUR).isoformat()
            order = await cut(made, head_end, 1, effective_at=due, expires_at=until_when)
            await made.suspend(5 * HOUR)
            assert await state(made, order, wait_s=5.0) == "communication_in_progress"
            assert sent[Operation.DISCONNECT_METER] == 1
            await made.suspend(24 * HOUR)  # into the window of the next day
            assert await state(made, order, wait_s=60.0) == "completed"
            assert sent[Operation.DISCONNECT_METER] == 2

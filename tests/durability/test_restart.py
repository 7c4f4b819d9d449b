"""Stops, starts and what lies between: in a row, in peace, twice at once, on a full disk."""

import asyncio
import os
import resource
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapter.cli.output import Exit
from adapter.commands.activity import CommandRequest, State
from adapter.commands.flows import SWITCH_OPERATIONS, CommandKind, Operation
from adapter.engine.clock import SystemClock
from adapter.model.ids import CommandId, CommunicationId, DeviceId
from adapter.service.app import App, build
from adapter.service.settings import load
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.store.commands.commands import SqliteStore
from adapter.store.commands.switch_safety import SqliteSwitchSafety
from tests.durability.gateway_process import (
    START_S,
    Life,
    Rig,
    free_port,
    settings_file,
    until,
    within,
)
from tests.durability.requesters import SWITCHING, Requesters
from tests.durability.runs import Plan, killed_at, killed_at_random, run_plan

FAILED = 7
"""The command line's exit code for a store that failed."""


async def test_killed_again_and_again_before_it_is_up_nothing_is_lost_or_doubled(
    tmp_path: Path,
) -> None:
    async def deaths(made: Rig, asked: Requesters) -> Life:
        life = await made.start()
        await until(lambda: len(asked.attempts) >= 8, within_s=30, why="there is some load")
        await made.nursery.kill(life)
        for moment in (0.0, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 0.2):
            life = await made.start(ready=False)
            await asyncio.wait({life.ended}, timeout=moment)
            await made.nursery.kill(life)
        return await made.start()

    plan = Plan(title="killed while starting", deaths=deaths, meters=16, at_least=12)
    assert not (await run_plan(tmp_path, plan)).findings


async def test_killed_twice_in_the_middle_of_recovery_nothing_is_lost_or_doubled(
    tmp_path: Path,
) -> None:
    deaths = killed_at("send.after:4", "recover.before:1", "recover.before:2", "recover.after:1")
    plan = Plan(title="killed while recovering", deaths=deaths, meters=16, workers=6, scripts=())
    assert not (await run_plan(tmp_path, plan)).findings


@pytest.mark.seconds(110)
async def test_a_stop_in_peace_loses_nothing_and_leaves_no_send_unclear(tmp_path: Path) -> None:
    async def deaths(made: Rig, asked: Requesters) -> Life:
        for count in (6, 14, 22):
            life = await made.start()
            await until(
                lambda count=count: len(asked.attempts) >= count,
                within_s=60,
                why="there is some load",
            )
            assert await made.nursery.stop(life) == 0
        return await made.start()

    plan = Plan(title="stopped in peace", deaths=deaths, meters=16, scripts=())
    report = await run_plan(tmp_path, plan)
    assert not report.findings
    assert (report.unknown, report.unclear_sends) == (0, 0)


async def test_on_a_full_disk_it_stops_and_what_was_acknowledged_is_there_afterwards(
    tmp_path: Path,
) -> None:
    async def deaths(made: Rig, asked: Requesters) -> Life:
        life = await made.start()
        await until(lambda: len(asked.attempts) >= 8, within_s=30, why="there is some load")
        largest = made.store_size()
        _, hard = resource.prlimit(life.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(life.pid, resource.RLIMIT_FSIZE, (largest + 65_536, hard))
        assert await within(life.ended, START_S, "it stops by itself") == FAILED
        return await made.start()

    plan = Plan(title="full disk", deaths=deaths, meters=16, at_least=12, breaks=True)
    report = await run_plan(tmp_path, plan)
    assert not report.findings
    assert report.acknowledged >= 8


async def test_the_hourly_limit_of_disconnects_holds_over_every_crash(tmp_path: Path) -> None:
    plan = Plan(
        title="at most 5 disconnects",
        deaths=killed_at_random(8, seed=3, longest_s=0.5),
        mix=SWITCHING,
        scripts=(),
        meters=30,
        extra="[switch]\nper_hour = 5",
        expires_s=4.0,
        at_least=12,
    )
    report = await run_plan(tmp_path, plan)
    assert not report.findings
    assert 0 < report.orders[Operation.DISCONNECT_METER] <= 5


async def test_a_cap_counts_each_send_once_over_every_crash(tmp_path: Path) -> None:
    plan = Plan(
        title="at most 6 switch orders",
        deaths=killed_at_random(8, seed=5, longest_s=0.5),
        mix=SWITCHING,
        scripts=(),
        meters=30,
        extra='[[switch.cap]]\nname = "all"\nper_day = 6\n'
        'kinds = ["remote_connect", "remote_disconnect"]',
        expires_s=4.0,
        at_least=12,
    )
    report = await run_plan(tmp_path, plan)
    assert not report.findings
    sent = sum(report.orders[operation] for operation in SWITCH_OPERATIONS)
    used, intended = await used_and_intended(tmp_path / "gateway.db")
    assert 0 < sent <= used <= 6
    assert used == intended


async def used_and_intended(file: Path) -> tuple[int, int]:
    """What the caps have counted; and intents to send a switch order, less those that are known
    not to have left."""
    store = SqliteStore(file, now=SystemClock().now)
    await store.open()
    try:
        kept = SqliteSwitchSafety(store.database)
        used = sum(n for hours in (await kept.used(LONG_AGO)).values() for n in hours.values())
        notes = [entry.note for entry in await store.audit(limit=1_000_000)]
        moves = [note for note in notes if note.action in INTENTS]
        commands = await store.load(list({CommandId(note.subject) for note in moves}))
        intended = 0
        for note in moves:
            name = CommunicationId(str(note.detail["communication"]))
            sends = commands[CommandId(note.subject)].communication(name)
            if sends.operation in SWITCH_OPERATIONS:
                intended += INTENTS[note.action]
        return used, intended
    finally:
        await store.close()


LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
INTENTS = {"Dispatched": 1, "SendFailed": -1, "SendRefused": -1}


# ---------------------------------------------------------------- the real command


async def serve(file: Path, **environ: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapter", "--config", str(file), "serve",
        stderr=asyncio.subprocess.PIPE, env={**os.environ, **environ},
    )  # fmt: skip


async def listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.seconds(110)
async def test_a_second_process_on_one_store_is_refused_and_the_first_goes_on(
    tmp_path: Path,
) -> None:
    """On the same ports and on other ones."""
    api = free_port()
    file = settings_file(tmp_path, "http://127.0.0.1:9", listener=free_port(), api=api)
    first = await serve(file)
    try:
        await until(lambda: listening(api), within_s=START_S, why="the first one listens")
        elsewhere = {"OPENWAY_LISTENER_PORT": "0", "OPENWAY_API_PORT": "0"}
        for second in [await serve(file), await serve(file, **elsewhere)]:
            async with asyncio.timeout(START_S):
                _, errors = await second.communicate()
            assert second.returncode == Exit.CONFLICT
            assert f"in use by process {first.pid}" in errors.decode()
            assert "Traceback" not in errors.decode()
        assert await listening(api)
    finally:
        first.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_S):
            await first.communicate()
    assert first.returncode == 0


# ---------------------------------------------------------------- a store from a backup


@asynccontextmanager
async def service(file: Path) -> AsyncIterator[App]:
    async with build(load(file, {})) as app:
        yield app


async def switched(app: App, kind: CommandKind, device: str) -> State:
    """The state of a switch order after it had time enough to be carried out."""
    made = await app.gateway.commands.submit(CommandRequest(kind=kind, devices=(DeviceId(device),)))
    return (await app.gateway.commands.wait(made.id, timeout_s=1.5)).activity.state


async def test_a_store_from_a_backup_holds_switch_orders_until_a_person_confirms(
    tmp_path: Path,
) -> None:
    witness, store, backup = (tmp_path / f"gateway.{end}" for end in ("witness", "db", "backup"))
    cut, connect = CommandKind.REMOTE_DISCONNECT, CommandKind.REMOTE_CONNECT
    config = SimulatorConfig(population=PopulationPlan(count=4))
    async with Simulator(config) as simulator:
        file = settings_file(tmp_path, simulator.url, listener=free_port(), api=free_port())
        sent = simulator.journal.requests

        async with service(file) as app:
            what = registry_of(simulator.world.population)
            await app.gateway.registry.import_devices(what)
            assert await switched(app, cut, "M700001") is State.COMPLETED
        shutil.copy(store, backup)
        async with service(file) as app:
            assert await switched(app, cut, "M700002") is State.COMPLETED
        shutil.copy(backup, store)
        witnessed = witness.read_text()
        before = dict(sent)

        for device in ("M700002", "M700003"):
            async with service(file) as app:
                held = await switched(app, cut, device)
                assert held is State.COMMUNICATION_IN_PROGRESS
                ping = CommandKind.DEVICE_STATUS_CHECK
                assert await switched(app, ping, "M700004") is State.COMPLETED
            assert witness.read_text() == witnessed
        assert sent[Operation.DISCONNECT_METER] == before[Operation.DISCONNECT_METER]

        witness.unlink()
        async with service(file) as app:  # taking the witness away settles nothing
            ping = CommandKind.DEVICE_STATUS_CHECK
            assert await switched(app, ping, "M700004") is State.COMPLETED
            assert sent[Operation.DISCONNECT_METER] == before[Operation.DISCONNECT_METER]
        async with service(file) as app:
            await app.gateway.upkeep.holds.confirm("older_store", by="ann", why="looked")
            open_commands = [
                item
                for item in (await app.gateway.commands.list()).rows
                if not item.activity.state.final
            ]
            assert len(open_commands) == 2
            for item in open_commands:
                done = await app.gateway.commands.wait(item.id, timeout_s=20)
                assert done.activity.state is State.COMPLETED
            assert await switched(app, connect, "M700001") is State.COMPLETED

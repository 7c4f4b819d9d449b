"""Running commands beside a flood of callbacks whose tokens nobody knows, at the bare address.

The short form counts the order in which messages are handled. The long one prints how long the
callbacks of the honest take from their arrival to their effect, with the flood and without: a ratio
to be read on a machine that has nothing else to do, and no promise.
"""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import aiohttp
import pytest

from adapter.commands.flows import CommandKind
from adapter.engine.commands.correlator import ROWS_AT_ONCE
from adapter.engine.commands.ports import Change, InboxState, Received, Saved
from adapter.model.ids import InboxId
from adapter.registry.files import as_json_values
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig, Timing
from adapter.store.commands.commands import SqliteStore
from adapter.store.commands.reading import audit
from adapter.store.files import connect_reader
from adapter.store.rows import micros
from tests.builders import a_token
from tests.durability.gateway_process import START_S, TOKEN, free_port, settings_file, until
from tests.engine.commands.site_by_hand import WAIT_S, by_hand
from tests.web.both_servers import STATUS, codec, status_changed

STRAYS: Final = 40 * ROWS_AT_ONCE
PER_S, SECONDS = 1_000, 10
COMMANDS_PER_S: Final = 8


class NotedStore(SqliteStore):
    """Notes in which order messages come in and are dealt with."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.order: list[tuple[str, InboxId]] = []

    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        made = await super().receive(batch)
        self.order += [("in", each) for each in made]
        return made

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        saved = await super().save(batch)
        self.order += [("done", row.inbox) for change in batch for row in change.inbox]
        return saved


async def test_the_callback_of_a_running_command_passes_a_flood_that_came_before_it(
    tmp_path: Path,
) -> None:
    async with by_hand(tmp_path, store_type=NotedStore) as made:
        store = made.core.store
        assert isinstance(store, NotedStore)
        command = await made.submit(CommandKind.DEVICE_STATUS_CHECK, 3)
        while not (found := await made.gateway.commands.get(command.id)).communications[0].token:
            await made.gateway.commands.wait(command.id, timeout_s=0.01)
        (communication,) = found.communications
        at = made.clock.now()
        flood = [
            Received(operation=STATUS, raw=status_changed(a_token(number)), at=at)
            for number in range(1_000, 1_000 + STRAYS)
        ]
        token = communication.token
        assert token is not None
        honest = Received(
            operation=STATUS, raw=status_changed(token), at=at, communication=communication.id
        )
        made_ids = await store.receive([*flood, honest])
        await made.gateway.inbox.judged(made_ids[-1], timeout_s=WAIT_S)
        done = [inbox for what, inbox in store.order if what == "done"]
        before = done.index(made_ids[-1])
        assert before <= 2 * ROWS_AT_ONCE, f"{before} strays were handled before it"


async def test_a_callback_whose_token_nobody_knows_is_parked_as_it_is_stored(
    tmp_path: Path,
) -> None:
    """In one transaction, so that a flood of them is neither read back nor moved."""
    async with by_hand(tmp_path, store_type=NotedStore) as made:
        assert isinstance(made.core.store, NotedStore)
        assert await made.tell(status_changed(a_token(1))) == 200
        (row,) = await made.gateway.inbox.list()
        assert (row.state, row.token) == (InboxState.PARKED, a_token(1))
        assert made.core.store.order == []


@asynccontextmanager
async def serving(settings: Path, api: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "adapter", "--config", str(settings), "serve",
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip

    async def up() -> bool:
        try:
            async with aiohttp.ClientSession() as http, http.get(f"{api}/readyz") as answer:
                return answer.status == 200
        except (OSError, aiohttp.ClientError):
            return False

    try:
        await until(up, within_s=4 * START_S, why="it is ready")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(START_S):
            await process.wait()


class Requests:
    """Pings, one after the other at a steady rate, each for a meter of its own."""

    def __init__(self, api: str, head_end: Simulator) -> None:
        self._api = api
        self._devices = [device_id(each) for each in head_end.world.population]
        self._headers = {"Authorization": f"Bearer {TOKEN}"}

    async def load(self, registry: Any) -> None:
        await self._post("/api/v1/devices", as_json_values(registry), key="load")

    async def run(self, name: str) -> list[str]:
        """The commands, once all are over."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        made = []
        for number in range(COMMANDS_PER_S * SECONDS):
            await asyncio.sleep(max(began + number / COMMANDS_PER_S - loop.time(), 0))
            device = self._devices[number % len(self._devices)]
            body = {"kind": "device_status_check", "devices": [device]}
            answer = await self._post("/api/v1/commands", body, key=f"{name}-{number}")
            made.append(str(answer["id"]))
        for each in made:
            url = f"{self._api}/api/v1/commands/{each}?wait=30"
            async with (
                aiohttp.ClientSession() as http,
                http.get(url, headers=self._headers) as answer,
            ):
                assert (await answer.json())["final"], each
        return made

    async def _post(self, path: str, body: object, *, key: str) -> Any:
        headers = {**self._headers, "Idempotency-Key": key}
        async with (
            aiohttp.ClientSession() as http,
            http.post(self._api + path, json=body, headers=headers) as answer,
        ):
            found = await answer.json(content_type=None)
            assert answer.status < 400, found
            return found


def effects_ms(db: Path, commands: Sequence[str]) -> list[float]:
    """From the arrival of a callback to the entry that says what it moved, in milliseconds."""
    found: list[float] = []
    with closing(connect_reader(db, None)) as store:
        for command in commands:
            arrived = [
                at
                for (at,) in store.execute(
                    "SELECT at FROM inbox WHERE reason = 'matched' AND communication IN"
                    " (SELECT number FROM communication WHERE command = :command"
                    " UNION ALL SELECT id FROM communication WHERE command = :command) ORDER BY id",
                    {"command": command},
                )
            ]
            moved = [
                micros(each.at)
                for each in audit(store, command, after=0, limit=1_000)
                if (each.note.action, each.note.actor) == ("StatusNotified", "head-end")
            ]
            found += [(b - a) / 1_000 for a, b in zip(arrived, moved, strict=True)]
    return sorted(found)


@asynccontextmanager
async def flooding(url: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.durability.flood", url, str(PER_S), str(SECONDS),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    process.stdin.write(b"go\n")
    await process.stdin.drain()
    yield
    said = await process.stdout.readline()
    sys.stdout.write(f"flood: {said.decode().strip()}\n")
    await process.wait()


@pytest.mark.soak
@pytest.mark.seconds(300)
async def test_commands_end_beside_a_live_flood_of_unknown_tokens_and_it_is_printed_how_fast(
    tmp_path: Path,
) -> None:
    config = SimulatorConfig(
        population=PopulationPlan(count=COMMANDS_PER_S * SECONDS, generating_share=0.0),
        timing=Timing(jitter=0.0),
    )  # one ping of a meter is never in the way of another
    async with Simulator(config, codec=codec()) as head_end:
        listener, port = free_port(), free_port()
        settings = settings_file(tmp_path, head_end.url, listener=listener, api=port)
        (tmp_path / "keys").write_text(f"ann operate,switch,admin {TOKEN}\n", encoding="utf-8")
        api, bare = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{listener}/openway/status"
        asked = Requests(api, head_end)
        async with serving(settings, api):
            await asked.load(registry_of(head_end.world.population))
            await asked.run("warm")
            quiet = await asked.run("quiet")
            async with flooding(bare):
                loud = await asked.run("loud")
    for name, commands in (("without", quiet), ("with", loud)):
        took = effects_ms(tmp_path / "gateway.db", commands)
        hundredths = quantiles(took, n=100)
        said = f"p50 {hundredths[49]:.1f} ms, p99 {hundredths[98]:.1f} ms"
        sys.stdout.write(f"{name}: {len(took)} callbacks, {said}\n")

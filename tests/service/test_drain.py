"""A stop under load: readiness goes first, what is acknowledged is kept, what has begun ends."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from adapter.engine.clock import SystemClock
from adapter.model.ids import InboxId
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.store.commands.commands import SqliteStore
from tests.durability.gateway_process import free_port, until
from tests.service.served_process import PROGRAM, ServedProcess, a_served_process
from tests.web.both_servers import XML, status_changed, token_of

_LEAVE_S: Final = 2.0
_TOKEN: Final = "requester-" + "0" * 32
_WAIT_S: Final = 30.0
_METERS: Final = 20


@dataclass(slots=True, kw_only=True)
class DrainedSite:
    """A gateway in a process of its own, and its addresses."""

    folder: Path
    served: ServedProcess
    listener: str
    meters: list[str]

    @property
    def api(self) -> str:
        return self.served.api


@contextlib.asynccontextmanager
async def a_site(folder: Path, *, leave_s: float = _LEAVE_S) -> AsyncIterator[DrainedSite]:
    config = SimulatorConfig(population=PopulationPlan(count=_METERS))
    async with Simulator(config) as simulator:
        store = SqliteStore(folder / "gateway.db", now=SystemClock().now)
        await store.open()
        await store.import_(registry_of(simulator.world.population))
        await store.close()
        listener, api = free_port(), free_port()
        (folder / "keys").write_text(f"ann operate {_TOKEN}\n", encoding="utf-8")
        settings = folder / "openway.toml"
        settings.write_text(
            f'[store]\npath = "gateway.db"\n[listener]\nport = {listener}\n'
            f'[api]\nport = {api}\nkeys_file = "keys"\nleave_s = {leave_s}\n'
            f'[head_end]\nbase_url = "{simulator.url}"\n[log]\nformat = "json"\n',
            encoding="utf-8",
        )
        async with a_served_process(
            [*PROGRAM, "serve", "--config", str(settings)],
            api=f"http://127.0.0.1:{api}",
            log=folder / "gateway.log",
            environ=os.environ,
            cwd=Path(__file__).parents[2],
        ) as served:
            yield DrainedSite(
                folder=folder,
                served=served,
                listener=f"http://127.0.0.1:{listener}",
                meters=[device_id(esn) for esn in simulator.world.population],
            )


@dataclass(slots=True)
class Senders:
    """Callers that send and send, until nobody answers any more; what each was told, and when."""

    site: DrainedSite
    tokens: list[str] = field(default_factory=list)
    """Of callbacks that were acknowledged."""
    keys: list[str] = field(default_factory=list)
    """Of commands that were accepted."""
    refused: list[tuple[float, str]] = field(default_factory=list)
    last_ready_s: float = 0.0
    """When the last look at readiness that found it on was begun."""
    number: int = 0

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for work in (self._callback, self._submit, self._look):
                group.create_task(self._keeping(work))
                group.create_task(self._anew(work))

    async def _keeping(self, work: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
        async with aiohttp.ClientSession() as session:
            while await self._once(session, work):
                pass

    async def _anew(self, work: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
        going = True
        while going:
            async with aiohttp.ClientSession() as session:
                going = await self._once(session, work)

    async def _once(
        self,
        session: aiohttp.ClientSession,
        work: Callable[[aiohttp.ClientSession], Awaitable[None]],
    ) -> bool:
        """False: nobody listens any more."""
        try:
            await work(session)
        except aiohttp.ClientConnectorError:
            self.refused.append((self._now(), "nobody listens"))
            return False
        except aiohttp.ClientError as error:
            self.refused.append((self._now(), repr(error)))
        return True

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _callback(self, session: aiohttp.ClientSession) -> None:
        self.number += 1
        token = token_of(self.number)
        url = f"{self.site.listener}/openway/status"
        async with session.post(url, data=status_changed(token), headers=XML) as answer:
            if answer.status == 200:
                self.tokens.append(token)
            else:
                self.refused.append((self._now(), f"callback: {answer.status}"))

    async def _submit(self, session: aiohttp.ClientSession) -> None:
        self.number += 1
        key = f"drain-{self.number}"
        body = {
            "kind": "device_status_check",
            "devices": [self.site.meters[self.number % _METERS]],
            "idempotency_key": key,
        }
        headers = {"Authorization": f"Bearer {_TOKEN}"}
        url = f"{self.site.api}/api/v1/commands"
        async with session.post(url, json=body, headers=headers) as answer:
            if answer.status == 202:
                self.keys.append(key)
            else:
                self.refused.append((self._now(), f"submit: {answer.status}"))

    async def _look(self, session: aiohttp.ClientSession) -> None:
        began_s = self._now()
        async with session.get(f"{self.site.api}/readyz") as answer:
            told = json.loads(await answer.read())
        if told["status"] != "leaving":
            self.last_ready_s = max(self.last_ready_s, began_s)
        else:
            assert answer.status == 503


async def test_nothing_acknowledged_is_lost_and_nothing_refused_before_readiness_was_off_for_long(
    tmp_path: Path,
) -> None:
    async with a_site(tmp_path) as site:
        senders = Senders(site)
        sending = asyncio.create_task(senders.run())
        await until(
            lambda: len(senders.tokens) >= 30 and len(senders.keys) >= 30,
            within_s=_WAIT_S,
            why="callers are served",
        )
        served_before = len(senders.tokens), len(senders.keys)
        assert not senders.refused
        site.served.signal(signal.SIGTERM)
        await sending
        assert await site.served.ended() == 0
    assert len(senders.tokens) > served_before[0]
    assert len(senders.keys) > served_before[1]
    early = [each for each in senders.refused if each[0] < senders.last_ready_s + _LEAVE_S]
    assert not early, early
    store = SqliteStore(tmp_path / "gateway.db", now=SystemClock().now)
    await store.open()
    try:
        kept = await _bodies(store)
        assert [token for token in senders.tokens if token.encode() not in kept] == []
        assert [key for key in senders.keys if await store.by_key(key) is None] == []
    finally:
        await store.close()


async def _bodies(store: SqliteStore) -> bytes:
    """Of all messages that came in."""
    found: list[bytes] = []
    before: InboxId | None = None
    while rows := await store.inbox(limit=500, before=before):
        found += [row.raw for row in rows]
        before = rows[-1].id
    return b"".join(found)


async def test_a_callback_that_has_begun_is_ended_after_the_ports_have_closed(
    tmp_path: Path,
) -> None:
    async with a_site(tmp_path, leave_s=0.2) as site:
        parts = urlsplit(site.listener)
        port = parts.port or 0
        body = status_changed()
        reader, writer = await asyncio.open_connection(parts.hostname, port)
        head = (
            "POST /openway/status HTTP/1.1\r\nHost: here\r\n"
            f"Content-Type: text/xml; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body[:100])
        await writer.drain()
        site.served.signal(signal.SIGTERM)
        await until(lambda: _closed(port), within_s=_WAIT_S, why="the port closes")
        writer.write(body[100:])
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        writer.close()
        await writer.wait_closed()
        assert await site.served.ended() == 0


async def _closed(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return True
    writer.close()
    await writer.wait_closed()
    return False


async def test_while_it_leaves_each_answer_ends_its_connection(tmp_path: Path) -> None:
    async with a_site(tmp_path, leave_s=600.0) as site, aiohttp.ClientSession() as session:
        both = (f"{site.api}/healthz", None), (f"{site.listener}/openway/status", status_changed())

        async def answers() -> list[tuple[int, str]]:
            found = []
            for url, body in both:
                method = "GET" if body is None else "POST"
                async with session.request(method, url, data=body, headers=XML) as answer:
                    await answer.read()
                    found.append((answer.status, answer.headers.get("Connection", "")))
            return found

        assert await answers() == [(200, ""), (200, "")]
        site.served.signal(signal.SIGTERM)
        await until(
            lambda: site.served.said("leaving") == 1, within_s=_WAIT_S, why="it says that it leaves"
        )
        assert await answers() == [(200, "close"), (200, "close")]
        site.served.signal(signal.SIGTERM)  # whoever will not wait says so again
        assert await site.served.ended() == 0


async def test_a_hangup_has_a_process_read_its_settings_again(tmp_path: Path) -> None:
    async with a_site(tmp_path) as site:
        site.served.signal(signal.SIGHUP)
        await until(
            lambda: site.served.said("settings_reloaded") == 1,
            within_s=_WAIT_S,
            why="the settings are read again",
        )
        settings = tmp_path / "openway.toml"
        settings.write_text("[stoer]\n", encoding="utf-8")
        site.served.signal(signal.SIGHUP)
        await until(
            lambda: site.served.said("settings_refused") == 1,
            within_s=_WAIT_S,
            why="the settings are refused",
        )
        assert await site.served.stop() == 0

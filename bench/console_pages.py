"""What the console's pages take with many rows in the store, beside their queries in SQLite alone.

Of each page: from the request to the last byte over loopback, by the clock; what the process
computed meanwhile (CPU of all its threads, the client's part is small); and the same of the
statements that the page ran: run again with the same values, as many rows fetched, nothing done
with them. Medians. The bound of a page is three times the CPU of its statements; where those take
less than 1 ms a ratio says nothing, and 15 ms are the bound. The last column names what it keeps.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import apsw

from adapter.engine.clock import HandClock
from adapter.headend.limits import Limits
from adapter.headend.settings import LimitSettings
from adapter.server import event_loop
from adapter.service.app import made_to_stay
from adapter.service.metrics import Metrics
from adapter.service.payloads import taking
from adapter.service.settings import IntakeSettings
from adapter.store.connection import SqlConnection
from adapter.web.console.pages import PAGES
from adapter.web.console.rendering import environment
from adapter.webhooks.sender import WebhookReceiver
from bench.console_store import METER, WAITING, fill
from tests.engine.feed.receiving import a_receiver
from tests.web.both_servers import NOON, Rig, a_rig
from tests.web.console.visitor import Visitor, a_visitor

_TIMES: Final = 3.0
_LEAST_MS: Final = 1.0
_MOST_MS: Final = 15.0
_SLOWEST_MS: Final = 300.0
_KEYS: Final = {"ratio": "3 x", "small": "15 ms", "few": "15 ms*", "past": ""}
_TOLD: Final = """
3 x     {ratio}: CPU at most three times that of the statements
15 ms   {small}: the statements take less than 1 ms, the page at most 15 ms of CPU
15 ms*  {few}: the statements take more than 1 ms, the page more than three times that, and at most
        15 ms of CPU
PAST    {past}: more than that
SLOW    {slow}: 300 ms or more by the clock, whoever else uses the machine"""
_MORE: Final = {
    "/commands": ("/commands?state=communication_error", "/commands?requester=cis&open=true"),
    "/orders": ("/orders?open=true",),
    "/completeness": ("/completeness?group=GROUP-03&gap=incomplete&day=2026-02-28",),
    "/head-end": ("/head-end?operation=ControlService.ReconnectMeter",),
}
"""The same pages with filters."""


@dataclass
class Statements:
    """What ran on the reading connections since `ran` was cleared. `counted` says how many rows
    were fetched of each."""

    ran: list[tuple[str, object]] = field(default_factory=list)
    fetched: list[int] = field(default_factory=list)
    counting: bool = False
    _number: dict[int, int] = field(default_factory=dict)

    def listen(self, db: SqlConnection) -> None:
        assert isinstance(db, apsw.Connection)
        db.exec_trace = self._heard if self.counting else None
        db.row_trace = self._row if self.counting else None

    def _heard(self, cursor: apsw.Cursor, statement: str, values: object) -> bool:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            self._number[id(cursor)] = len(self.ran)
            self.ran.append((statement, values))
            self.fetched.append(0)
        else:
            self._number.pop(id(cursor), None)
        return True

    def _row(self, cursor: apsw.Cursor, row: Any) -> Any:
        number = self._number.get(id(cursor))
        if number is not None:
            self.fetched[number] += 1
        return row

    def begin(self) -> None:
        self.ran, self.fetched, self._number = [], [], {}

    def again(self, most: list[int | None], db: SqlConnection) -> tuple[float, float]:
        """Milliseconds, by the clock and of CPU."""
        began, busy = time.perf_counter(), time.thread_time()
        for (statement, values), rows in zip(self.ran, most, strict=True):
            for number, _ in enumerate(db.execute(statement, values), 1):
                if number == rows:
                    break
        return (time.perf_counter() - began) * 1e3, (time.thread_time() - busy) * 1e3

    def stops(self, db: SqlConnection) -> list[int | None]:
        """After how many rows the page itself stopped; None where it read all there are."""
        found: list[int | None] = []
        for (statement, values), rows in zip(self.ran, self.fetched, strict=True):
            there = 0
            for there, _ in enumerate(db.execute(statement, values), 1):
                if there > rows:
                    break
            found.append(rows if there > rows > 0 else None)
        return found


class Client:
    """Asks for pages over one connection, and does not look at what it gets."""

    def __init__(self, visitor: Visitor) -> None:
        self._to = urlsplit(visitor.url)
        jar = {each.key: each.value for each in visitor.http.cookie_jar}
        self._cookies = "; ".join(f"{name}={value}" for name, value in jar.items() if value)

    async def open(self) -> None:
        self._read, self._write = await asyncio.open_connection(self._to.hostname, self._to.port)

    async def get(self, path: str) -> tuple[int, int]:
        """Status and bytes."""
        head = f"GET /console{path} HTTP/1.1\r\nHost: {self._to.netloc}\r\n"
        self._write.write(f"{head}Cookie: {self._cookies}\r\n\r\n".encode())
        answer = await self._read.readuntil(b"\r\n\r\n")
        size = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await self._read.readexactly(size)
        return int(answer.split(b" ", 2)[1]), size

    async def close(self) -> None:
        self._write.close()
        await self._write.wait_closed()


async def addresses(rig: Rig) -> Mapping[str, tuple[str, ...]]:
    """Of every page, those that are asked for."""
    orders = (await rig.ask("GET", "/orders?limit=1"))["items"]
    schedules = (await rig.ask("GET", "/schedules"))["items"]
    entries = await rig.gateway.upkeep.todo.list()
    ids = {
        "entry": quote(max(entries, key=lambda each: len(each.todos)).id),
        "command": WAITING,
        "number": "1",
        "order": orders[0]["id"],
        "device": METER,
        "message": str((await rig.gateway.inbox.list())[0].id),
        "receiver": "cis",
        "schedule": schedules[0]["id"],
    }
    return {page.path: (page.path.format(**ids), *_MORE.get(page.path, ())) for page in PAGES}


def measuring(rig: Rig) -> Metrics:
    clock = rig.clock
    return Metrics(
        gateway=rig.gateway,
        store=rig.store,
        limits=Limits(LimitSettings(), clock=clock.elapsed_s),
        intake=taking(rig.store, clock, IntakeSettings()).intake,
        listener=rig.listener,
        rest=rig.rest,
        clock=clock,
    )


@dataclass(frozen=True, kw_only=True)
class Taken:
    page_ms: float
    page_cpu_ms: float
    sql_ms: float
    sql_cpu_ms: float
    statements: int
    size: int

    @property
    def meaningful(self) -> bool:
        return self.sql_cpu_ms >= _LEAST_MS

    @property
    def verdict(self) -> str:
        """Which bound it keeps; empty: none."""
        if self.page_cpu_ms <= _TIMES * self.sql_cpu_ms:
            return f"{_TIMES:.0f} x"
        if self.page_cpu_ms <= _MOST_MS:
            return f"{_MOST_MS:.0f} ms" + ("*" if self.meaningful else "")
        return ""

    def __str__(self) -> str:
        ratio = f"{self.page_cpu_ms / self.sql_cpu_ms:5.1f} x" if self.meaningful else "  < 1 ms"
        figures = (self.page_ms, self.page_cpu_ms, self.sql_ms, self.sql_cpu_ms)
        numbers = "".join(f"{each:9.2f}" for each in figures)
        said = (self.verdict or "PAST") + (" SLOW" if self.page_ms >= _SLOWEST_MS else "")
        return f"{numbers} {ratio:>9}{self.statements:7}{self.size:8}  {said}"


async def measure(rig: Rig, client: Client, path: str, rounds: int) -> Taken:
    database = rig.store.database
    heard = Statements()

    async def listen() -> None:
        for ask in (database.query, database.read, database.feed):
            await ask(heard.listen)

    await client.get(path)
    heard.counting = True
    await listen()
    heard.begin()
    status, size = await client.get(path)
    assert status == 200, (path, status)
    heard.counting = False
    await listen()
    stops = await database.query(heard.stops)
    page: list[tuple[float, float]] = []
    alone: list[tuple[float, float]] = []
    for _ in range(rounds):
        began, busy = time.perf_counter(), time.process_time()
        await client.get(path)
        page.append(((time.perf_counter() - began) * 1e3, (time.process_time() - busy) * 1e3))
        alone.append(await database.query(partial(heard.again, stops)))
    page_ms, page_cpu_ms = map(statistics.median, zip(*page, strict=True))
    sql_ms, sql_cpu_ms = map(statistics.median, zip(*alone, strict=True))
    return Taken(
        page_ms=page_ms,
        page_cpu_ms=page_cpu_ms,
        sql_ms=sql_ms,
        sql_cpu_ms=sql_cpu_ms,
        statements=len(heard.ran),
        size=size,
    )


async def main(asked: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        folder = asked.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        sizes = {name: getattr(asked, name) for name in ("commands", "orders", "measurements")}
        began = time.perf_counter()
        if await fill(folder, **sizes):
            print(f"filled in {time.perf_counter() - began:.0f} s")
        receiver = WebhookReceiver(a_receiver("http://127.0.0.1:1"), HandClock(NOON))
        with made_to_stay():  # as `openway serve` does
            rig = await stack.enter_async_context(a_rig(folder=folder, receivers=[receiver]))
            environment()
        rig.rest.metrics = measuring(rig)
        visitor = await stack.enter_async_context(a_visitor(rig, "admin"))
        client = Client(visitor)
        await client.open()
        stack.push_async_callback(client.close)
        print(", ".join(f"{n} {name}" for name, n in sizes.items()), f"; medians of {asked.rounds}")
        print(f"{'page':<64}{'ms':>9}{'CPU ms':>9}{'SQL ms':>9}{'its CPU':>9}", end="")
        print(f" {'CPU/CPU':>9}{'stmts':>7}{'bytes':>8}")
        verdicts: Counter[str] = Counter()
        slow = 0
        for paths in (await addresses(rig)).values():
            for path in paths:
                if asked.page is None or asked.page in path:
                    taken = await measure(rig, client, path, asked.rounds)
                    verdicts[taken.verdict] += 1
                    slow += taken.page_ms >= _SLOWEST_MS
                    print(f"{(path or '/')[:63]:<64}{taken}", flush=True)
        print(_TOLD.format(slow=slow, **{name: verdicts[key] for name, key in _KEYS.items()}))
        return 1 if verdicts[""] or slow else 0


def arguments() -> argparse.Namespace:
    reader = argparse.ArgumentParser(prog="python -m bench.console_pages", description=__doc__)
    reader.add_argument("--commands", type=int, default=50_000)
    reader.add_argument("--orders", type=int, default=5_000)
    reader.add_argument("--measurements", type=int, default=10_000_000)
    reader.add_argument("--rounds", type=int, default=15)
    reader.add_argument("--folder", type=Path, help="where the store is, or is made and kept")
    reader.add_argument("--page", help="only pages with this in their address")
    return reader.parse_args()


if __name__ == "__main__":
    raise SystemExit(event_loop.run(main(arguments())))

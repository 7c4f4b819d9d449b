"""Requests that are answered where they are read, and those that are handed to the web server."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from aiohttp import web

from adapter.engine.commands.ports import InboxState, Received
from adapter.errors import StoreFailed
from adapter.model.ids import InboxId
from adapter.server.connections import (
    Connection,
    ConnectionSlot,
    Door,
    MakeProtocol,
    Places,
    bind,
    without_routes,
)
from adapter.server.credentials import basic_header_of
from adapter.server.settings import BasicUser, ConnectionLimits, ListenerSettings
from adapter.server.whole_requests import KnownHeads, WholeConnection, lacks_body, whole_request
from adapter.store.commands.commands import SqliteStore
from tests.support import every_case
from tests.web.both_servers import HASTY, Rig, a_rig, status_changed
from tests.web.hostile_requests import BODY, LENGTH, MALFORMED, WRONG
from tests.web.raw_connection import Raw, connected, head

HERE = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
THERE = 203


@dataclass
class Answers:
    """Answers whole requests as their paths say: `/held` when it is told to, `/failing` never."""

    judged: list[str] = field(default_factory=list)
    held: list[WholeConnection] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._heads = KnownHeads(self._judge)

    def begin(self, data: bytes, caller: WholeConnection) -> bool:
        request = whole_request(data)
        if request is None or not self._heads.find(request, data, caller):
            return False
        match request.path:
            case "/refused":
                return False
            case "/held":
                self.held.append(caller)
                self.came.set()
            case path:
                answer = None if path == "/failing" else HERE
                asyncio.get_running_loop().call_soon(caller.answered, answer)
        return True

    def awaits(self, data: bytes) -> bool:
        return lacks_body(data) is not None

    def _judge(self, request: web.BaseRequest) -> bool | None:
        self.judged.append(request.headers.get("Host", ""))
        return "Unwanted" not in request.headers or None


@dataclass
class Served:
    url: str
    door: Door
    answers: Answers
    bodies: list[bytes]
    """Of the requests that the web server answered."""
    stopped: bool = False

    @property
    def handed_over(self) -> bool:
        """Whether a connection is the web server's."""
        return any(isinstance(each.protocol, Connection) for each in self.door._places.taken)

    async def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            await self.door.close()


@asynccontextmanager
async def served(limits: ConnectionLimits = HASTY) -> AsyncIterator[Served]:
    answers, bodies = Answers(), list[bytes]()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        bodies.append(await request.read())
        return web.Response(status=THERE)

    def protocol(*place: object) -> WholeConnection:
        return WholeConnection(answers, *place)  # type: ignore[arg-type]

    make: MakeProtocol = protocol
    door = Door(without_routes(answer, limits), limits, None, Counter(), make)
    url = await door.open(bind("127.0.0.1", 0))
    made = Served(url, door, answers, bodies)
    try:
        yield made
    finally:
        await made.stop()


def post(path: str, body: bytes = b"<a/>", *headers: str) -> bytes:
    return head(path, *headers, f"Content-Length: {len(body)}") + body


async def statuses(raw: Raw, count: int) -> list[int]:
    return [await raw.status() for _ in range(count)]


async def test_a_whole_request_is_answered_where_it_is_read() -> None:
    async with served() as at, connected(at.url) as raw:
        for _ in range(3):
            await raw.send(post("/taken"))
            assert await raw.status() == 200
        assert at.answers.judged == ["gateway"]
        assert not at.bodies


async def test_any_other_is_the_web_servers_and_so_is_its_connection_then() -> None:
    whole = post("/taken")
    others = {
        "in three": (whole[:-3], whole[-3:-1], whole[-1:]),
        "in two, within the head": (whole[:50], whole[50:]),
        "refused": (post("/refused"),),
        "failing": (post("/failing"),),
        "an unwanted head": (post("/taken", b"<a/>", "Unwanted: 1"),),
        "two at once": (whole + whole,),
        "not a word of HTTP/1.0": (whole.replace(b"HTTP/1.1", b"HTTP/1.0"),),
        "the last one": (post("/taken", b"<a/>", "Connection: close"),),
        "chunked": (head("/taken", "Transfer-Encoding: chunked") + b"4\r\n<a/>\r\n0\r\n\r\n",),
        "no body": (head("/taken", "Content-Length: 0"),),
    }
    async with served() as at:
        with every_case() as case:
            for name, pieces in others.items():
                with case(name):
                    at.bodies.clear()
                    async with connected(at.url) as raw:
                        await raw.send(whole)
                        assert await raw.status() == 200
                        for piece in pieces:
                            await raw.send(piece)
                            await asyncio.sleep(0)
                        assert await raw.status() == THERE
                        assert at.bodies[0] == (b"" if name == "no body" else b"<a/>")


async def test_a_body_that_comes_behind_its_head_is_waited_for() -> None:
    whole = post("/taken", b"<a/>")
    async with served() as at, connected(at.url) as raw:
        for cut in (-4, -1):
            await raw.send(whole[:cut])
            await asyncio.sleep(0)
            await raw.send(whole[cut:])
            assert await raw.status() == 200
        assert not at.bodies


async def test_a_body_that_does_not_come_is_the_web_servers_to_wait_for() -> None:
    whole = post("/taken", b"<a/>")
    async with served() as at, connected(at.url) as raw:
        await raw.send(whole[:-1])
        async with asyncio.timeout(30):
            while not at.handed_over:  # noqa: ASYNC110
                await asyncio.sleep(0)
        await raw.send(whole[-1:])
        assert await raw.status() == THERE
        assert at.bodies == [b"<a/>"]


async def test_who_stops_waits_for_no_body() -> None:
    async with served() as at, connected(at.url) as raw:
        await raw.send(post("/taken")[:-1])
        await asyncio.sleep(0)
        await at.stop()
        assert await raw.closed()


def test_only_a_short_body_that_comes_unasked_is_waited_for() -> None:
    cut, long = post("/taken")[:-1], 8 * 1024 + 1
    with every_case() as case:
        for name, data, lacks in (
            ("some of it", cut, True),
            ("none of it", post("/taken")[:-4], True),
            ("all is there", post("/taken"), False),
            ("more than all", post("/taken") + b"P", False),
            ("the head is not whole", cut[:40], False),
            ("asked for", post("/taken", b"<a/>", "Expect: 100-continue")[:-4], False),
            ("chunked", head("/taken", "Transfer-Encoding: chunked"), False),
            ("no POST", cut.replace(b"POST", b"PUT"), False),
            ("too long", head("/taken", f"Content-Length: {long}"), False),
        ):
            with case(name):
                assert (lacks_body(data) is not None) is lacks


async def test_a_known_head_is_read_as_any_other() -> None:
    whole, chance = post("/taken"), random.Random(7)
    async with served() as at, connected(at.url) as raw:
        for data in (whole, whole, post("/taken", b"<a/>" * 9)):
            await raw.send(data)
            assert await raw.status() == 200
        heads = at.answers._heads
        known = heads.request(whole)
        assert known is not None
        assert not known.fresh
        for _ in range(2_000):
            place, byte = chance.randrange(len(whole)), bytes([chance.randrange(256)])
            cut = chance.choice((whole[place + 1 :], whole[place:], b""))
            data = whole[:place] + byte + cut
            read, anew = heads.request(data), whole_request(data)
            assert (read is None) is (anew is None), data
            if read is not None and anew is not None:
                same = [(each.path, each.head, each.body) for each in (read, anew)]
                assert same[0] == same[1], data


async def test_what_comes_while_one_is_answered_waits_for_its_turn() -> None:
    async with served() as at, connected(at.url) as raw:
        await raw.send(post("/held"))
        await at.answers.came.wait()
        await raw.send(post("/taken"))
        at.answers.held.pop().answered(HERE)
        assert await statuses(raw, 2) == [200, 200]
        assert not at.bodies


async def test_what_is_handed_over_goes_with_all_that_came_behind_it() -> None:
    async with served() as at, connected(at.url) as raw:
        await raw.send(post("/held", b"<one/>"))
        await at.answers.came.wait()
        await raw.send(post("/taken", b"<two/>"))
        at.answers.held.pop().answered(None)
        assert await statuses(raw, 2) == [THERE, THERE]
        assert at.bodies == [b"<one/>", b"<two/>"]


async def test_a_caller_that_takes_no_answers_is_not_read_on() -> None:
    async with served() as at, connected(at.url) as raw:
        await raw.send(post("/held"))
        await at.answers.came.wait()
        caller = at.answers.held.pop()
        caller.pause_writing()
        await raw.send(post("/taken"))
        caller.answered(HERE)
        assert await raw.status() == 200
        caller.resume_writing()
        assert await raw.status() == 200


async def test_the_web_server_hears_that_a_caller_takes_no_answers() -> None:
    async with served() as at, connected(at.url) as raw:
        await raw.send(post("/held"))
        await at.answers.came.wait()
        caller = at.answers.held.pop()
        transport = caller._transport
        assert transport is not None
        caller.pause_writing()
        caller.answered(None)
        handler = transport.get_protocol()
        assert isinstance(handler, Connection)
        assert handler.writing_paused
        handler.resume_writing()
        assert await raw.status() == THERE


async def test_who_stops_lets_the_request_under_way_end_and_takes_no_other() -> None:
    async with served() as at, connected(at.url) as raw, connected(at.url) as silent:
        await raw.send(post("/held"))
        await at.answers.came.wait()
        stopping = asyncio.ensure_future(at.stop())
        assert await silent.closed()
        await raw.send(post("/taken"))
        at.answers.held.pop().answered(HERE)
        assert await raw.status() == 200
        assert await raw.closed()
        await stopping
        assert not at.bodies
        assert at.door.open_connections == 0


async def test_who_stops_waits_no_longer_than_was_said() -> None:
    limits = ConnectionLimits(drain_s=0.05)
    async with served(limits) as at, connected(at.url) as raw:
        await raw.send(post("/held"))
        await at.answers.came.wait()
        await at.stop()
        assert await raw.closed()
        at.answers.held.pop().answered(HERE)  # it is gone: nothing happens


async def test_a_request_under_way_keeps_its_connection_and_an_idle_one_is_closed() -> None:
    async with served(ConnectionLimits(idle_s=0.1)) as at, connected(at.url) as raw:
        await raw.send(post("/held"))
        await at.answers.came.wait()
        async with connected(at.url) as other:
            assert await other.closed()
        at.answers.held.pop().answered(HERE)
        assert await raw.status() == 200
        assert await raw.closed()


async def test_few_heads_are_known_and_the_others_are_the_web_servers() -> None:
    async with served() as at:
        told = []
        for number in range(20):
            async with connected(at.url) as raw:
                await raw.send(post("/taken", b"<a/>", f"Number: {number}"))
                told.append(await raw.status())
        assert told == [200] * 16 + [THERE] * 4
        async with connected(at.url) as raw:
            await raw.send(post("/taken", b"<a/>", "Number: 0"))
            assert await raw.status() == 200


NAMES = ("Host", "content-length", "Transfer-Encoding", "X", "Y", "Z", "X Y", "", " Host")
VALUES = ("gateway", "4", "5", "chunked", "a\r\nContent-Length: 4", "\t", "\x00")
LENGTHS = ("4", "4", "04", "3", "+4", "4 ")


async def test_what_is_read_as_whole_the_parser_reads_so_or_refuses() -> None:
    chance, read_so = random.Random(7), 0
    places = Places(HASTY, Counter())
    place = ConnectionSlot(address="127.0.0.1", since=0.0)
    caller = WholeConnection(Answers(), web.Server(_nobody), place, places)

    def lines() -> list[str]:
        count = chance.randrange(3)
        return [f"{chance.choice(NAMES)}: {chance.choice(VALUES)}" for _ in range(count)]

    for _ in range(5_000):
        path = "/" + "".join(chance.choices("/ab.%?#~ ", k=chance.randrange(6)))
        rows = ["Host: x", *lines(), f"Content-Length: {chance.choice(LENGTHS)}", *lines()]
        data = "\r\n".join([f"POST {path} HTTP/1.1", *rows, "", "<a/>"]).encode()
        request = whole_request(data)
        read = caller.read_by_parser(data) if request is not None else None
        if request is None or read is None or read.content_length != len(request.body):
            continue
        read_so += 1
        assert (request.path, request.body) == (read.rel_url.path_safe, await read.read())
        assert read.headers.getall("Content-Length") == ["4"]
        assert "Transfer-Encoding" not in read.headers
    assert read_so > 30


async def _nobody(request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("nobody asks")


# ---------------------------------------------------------------- the listener


async def told_in_both_ways(rig: Rig, body: bytes) -> list[tuple[int, object]]:
    """The answer, and what is kept: where the head is known, and where it is the web server's."""
    path = urlsplit(rig.signed()).path
    told: list[tuple[int, object]] = []
    for name in ("Content-Length", "CONTENT-LENGTH"):
        before = len(await rig.rows())
        async with connected(rig.url) as raw:
            await raw.send(head(path, f"{name}: {len(body)}") + body)
            status = await raw.status()
        rows = [
            (row.state, row.operation, row.communication, row.remote, row.raw, row.reason)
            for row in (await rig.rows())[before:]
        ]
        told.append((status, rows))
    return told


async def test_both_ways_a_callback_comes_to_the_same() -> None:
    bodies = {"good": BODY, "early": status_changed(state="Executing")}
    bodies |= {name: text.encode() for name, text in {**MALFORMED, **WRONG}.items() if text}
    async with a_rig() as rig:
        with every_case() as case:
            for name, body in bodies.items():
                with case(name):
                    here, there = await told_in_both_ways(rig, body)
                    assert here == there


async def test_a_forged_address_is_refused_whatever_its_head() -> None:
    async with a_rig() as rig, connected(rig.url) as raw:
        path = urlsplit(rig.signed()).path
        await raw.send(head(path, LENGTH) + BODY)
        assert await raw.status() == 200
        await raw.send(head(path[:-1] + "x", LENGTH) + BODY)
        assert await raw.status() == 404
        assert [row.state for row in await rig.rows()] == [InboxState.NEW, InboxState.QUARANTINED]
        assert rig.listener.counts["received"] == 1


async def test_where_there_are_passwords_each_is_compared() -> None:
    settings = ListenerSettings(
        users=(BasicUser(user="head-end", password="right"),), connections=HASTY
    )
    async with a_rig(settings) as rig:
        path = urlsplit(rig.signed()).path
        for password, status in (("right", 200), ("wrong", 401), ("right", 200)):
            given = f"Authorization: {basic_header_of('head-end', password)}"
            async with connected(rig.url) as raw:
                await raw.send(head(path, given, LENGTH) + BODY)
                assert await raw.status() == status
        async with connected(rig.url) as raw:
            await raw.send(head(path, LENGTH) + BODY)
            assert await raw.status() == 401


class FailsToKeep(SqliteStore):
    async def receive(self, received: list[Received]) -> list[InboxId]:  # type: ignore[override]
        raise StoreFailed("the disk is gone")


async def test_what_is_not_stored_is_not_acknowledged() -> None:
    async with a_rig(store_type=FailsToKeep) as rig, connected(rig.url) as raw:
        await raw.send(head(urlsplit(rig.signed()).path, LENGTH) + BODY)
        assert await raw.status() == 503
        assert rig.listener.counts["received"] == 0

"""Bodies read as streams: bounded in size and time, whatever the caller says or does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import HttpVersion11, StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError

from adapter.server.connections import Behind, mark_behind, next_piece
from adapter.server.settings import Pace

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_AT_ONCE: Final = 8 * 1024
"""Bytes that are looked at before others have their turn."""

_RUN: Final = 64 * 1024
_REST_S: Final = 0.001
"""A large body gives way: after each run the interpreter is free for those who store callbacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What came. `status` is 0 for a whole body, else the HTTP status that says what is wrong.

    `cut`: there was, or may be, more than `raw`. `spilled`: `raw` is only the beginning, and all
    of it went to `spill`.
    """

    raw: bytes
    cut: bool = False
    status: int = 0
    text: str = ""
    spilled: bool = False


_ONCE: Final = (
    *("Content-Type", "Content-Length", "Content-Encoding", "Transfer-Encoding"),
    *("Authorization", "Expect", "SOAPAction"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclearHead:
    """Why two readers could read one request head in two ways. `status` is the answer's."""

    status: int
    text: str


def unclear_head(request: web.BaseRequest) -> UnclearHead | None:
    """For routes that take a body; None: it is clear where that ends and what it is.

    Extensions of chunks are not seen: aiohttp passes over them. They bring a body no further.
    """
    if len({name.lower() for name in request.headers}) < len(request.headers):
        for name in _ONCE:
            if len(request.headers.getall(name, ())) > 1:
                return UnclearHead(status=400, text=f"{name} stands twice.")
    coding = request.headers.get("Transfer-Encoding")
    if coding is None:
        return None
    if coding.strip().lower() != "chunked":
        return UnclearHead(status=501, text="No Transfer-Encoding but chunked is accepted.")
    if request.version < HttpVersion11:
        return UnclearHead(status=400, text="HTTP/1.0 has no Transfer-Encoding.")
    return None


async def continue_later(request: web.Request) -> web.StreamResponse | None:
    """For routes: says nothing to `Expect: 100-continue` until the body is wanted."""
    return None


async def invite(request: web.BaseRequest) -> None:
    """Tell a caller that waits for it to send the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.can_read_body:
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # as aiohttp's own handler does


async def one_turn() -> None:
    """Of the event loop."""
    await asyncio.sleep(0)


async def read_body(
    request: web.BaseRequest,
    *,
    limit: int,
    deadline_s: float,
    each: Callable[[bytes], bool] = lambda piece: True,
    places: asyncio.Semaphore | None = None,
    free_bytes: int = 0,
    spill: Callable[[bytes], Awaitable[None]] | None = None,
    pace: Pace | None = None,
    turn: Callable[[], Awaitable[None]] = one_turn,
) -> Body:
    """Read at most `limit` bytes in `deadline_s` seconds, at the least rate that `pace` says.

    `each` sees every piece and ends the reading by False; between two, `turn` lets others have
    theirs. Past `free_bytes` one of `places` is
    held, and the wait for it does not count. With `spill`, a body past `free_bytes` goes there,
    from its first byte on, and only its beginning is kept; then the place is others' as long as
    nothing comes, else it is held to the end.
    """
    short = _AT_ONCE if places is None else min(_AT_ONCE, free_bytes)
    if (whole := _at_hand(request.content, min(limit, short))) is not None:
        return Body(raw=whole, cut=bool(whole) and not each(whole))
    coming = _Coming(request, deadline_s, pace or Pace())
    place = _Place(places)
    raw = bytearray()
    spilled = False
    size = 0
    try:
        await invite(request)
        while piece := await coming.piece(place if spilled else None):
            size += len(piece)
            if not spilled:
                raw += piece
            if size > limit:
                return Body(
                    raw=bytes(raw[:limit]), cut=True, status=413, text="The message is too large."
                )
            if not await _looked_at(piece, each, turn, rests=size > free_bytes):
                return Body(raw=bytes(raw), cut=True)
            if size <= free_bytes:
                continue
            await place.take()
            if spill is not None:
                await spill(piece if spilled else bytes(raw))
                spilled = True
            await asyncio.sleep(_REST_S)
        return Body(raw=bytes(raw), spilled=spilled)
    except _TooSlow as slow:
        return Body(raw=bytes(raw), cut=True, status=408, text=slow.text)
    except (OSError, web.RequestPayloadError, HttpProcessingError) as error:
        return Body(
            raw=bytes(raw),
            cut=True,
            status=400,
            text=f"The message ended early ({_kind(error)}).",
        )
    finally:
        place.leave()


def _at_hand(content: StreamReader, most: int) -> bytes | None:
    """The body where it is short and all there, as one that was sent with its head is."""
    if content.is_eof() and content.total_bytes <= most and content.exception() is None:
        return content.read_nowait()
    return None


async def _looked_at(
    piece: bytes, each: Callable[[bytes], bool], turn: Callable[[], Awaitable[None]], *, rests: bool
) -> bool:
    for start in range(0, len(piece), _AT_ONCE):
        if start and rests and start % _RUN == 0:
            await asyncio.sleep(_REST_S)
        elif start:
            await turn()
        if not each(piece[start : start + _AT_ONCE]):
            return False
    return True


class _TooSlow(Exception):
    def __init__(self, text: str) -> None:
        self.text = text


class _Place:
    """One of the places for large bodies, held or not."""

    def __init__(self, places: asyncio.Semaphore | None) -> None:
        self._places = places
        self._held = False

    async def take(self) -> None:
        if self._places is not None and not self._held:
            await self._places.acquire()
            self._held = True

    def leave(self) -> None:
        if self._places is not None and self._held:
            self._held = False
            self._places.release()

    def make_way(self) -> None:
        """Leave it to others, where any wait for one."""
        if self._places is not None and self._places.locked():
            self.leave()


class _Coming:
    """The pieces of one body as they come. Only the time that is spent waiting for them counts:
    what holds them up here is not the caller's doing."""

    def __init__(self, request: web.BaseRequest, deadline_s: float, pace: Pace) -> None:
        self._request = request
        self._left = deadline_s
        self._pace = pace
        self._waited = 0.0
        self._came = 0

    async def piece(self, place: _Place | None) -> bytes:
        """The next one, b"" at the end. While there is none, `place` is others'. Raises _TooSlow,
        and what aiohttp raises for a body that ends early."""
        content = self._request.content
        if (piece := content.read_nowait()) or content.is_eof():
            self._came += len(piece)
            return piece
        if place is not None:
            place.make_way()
        while True:
            more = await self._within(min(self._left, self._pace.over_s))
            if more is not None:
                return more

    async def _within(self, seconds: float) -> bytes | None:
        loop = asyncio.get_running_loop()
        started, piece = loop.time(), None
        if rate := self._pace.least_rate:
            since = started - self._waited + self._came / rate
            mark_behind(self._request, Behind(since, self._pace.over_s))
        try:
            async with asyncio.timeout(seconds):
                piece = await next_piece(self._request)
        except TimeoutError:
            pass
        finally:
            mark_behind(self._request, None)
        waited = loop.time() - started
        self._left -= waited
        self._waited += waited
        self._came += len(piece or b"")
        if piece != b"":
            self._judge(came=piece is not None)
        return piece

    def _judge(self, *, came: bool) -> None:
        if self._left <= 0 and not came:
            raise _TooSlow("The message did not come in time.")
        if self._waited >= self._pace.over_s:
            if self._came < self._pace.least_rate * self._waited:
                raise _TooSlow("The message came too slowly.")
            self._waited, self._came = 0.0, 0


def _kind(error: Exception) -> str:
    return "connection lost" if isinstance(error, OSError) else "bad transfer coding"

"""Bodies read as streams: bounded in size and time, whatever the caller says or does."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

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


async def continue_later(request: web.Request) -> web.StreamResponse | None:
    """For routes: says nothing to `Expect: 100-continue` until the body is wanted."""
    return None


async def invite(request: web.Request) -> None:
    """Tell a caller that waits for it to send the body."""
    if request.headers.get("Expect", "").lower() == "100-continue" and request.can_read_body:
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # as aiohttp's own handler does


async def read_body(
    request: web.Request,
    *,
    limit: int,
    deadline_s: float,
    each: Callable[[bytes], bool] = lambda piece: True,
    places: asyncio.Semaphore | None = None,
    free_bytes: int = 0,
    spill: Callable[[bytes], Awaitable[None]] | None = None,
) -> Body:
    """Read at most `limit` bytes in `deadline_s` seconds.

    `each` sees every piece and ends the reading by False. Past `free_bytes` one of `places` is
    held, to the end of the reading; the wait for it does not count. With `spill`, a body past
    `free_bytes` goes there, from its first byte on, and only its beginning is kept.
    """
    raw = bytearray()
    left = deadline_s
    loop = asyncio.get_running_loop()
    held = spilled = False
    size = 0
    try:
        await invite(request)
        while True:
            started = loop.time()
            async with asyncio.timeout(left):
                piece = await request.content.readany()
            left -= loop.time() - started
            if not piece:
                return Body(raw=bytes(raw), spilled=spilled)
            size += len(piece)
            if not spilled:
                raw += piece
            if size > limit:
                return Body(
                    raw=bytes(raw[:limit]), cut=True, status=413, text="The message is too large."
                )
            for start in range(0, len(piece), _AT_ONCE):
                if start:
                    rests = size > free_bytes and start % _RUN == 0
                    await asyncio.sleep(_REST_S if rests else 0)
                if not each(piece[start : start + _AT_ONCE]):
                    return Body(raw=bytes(raw), cut=True)
            if size <= free_bytes:
                continue
            if places is not None and not held:
                await places.acquire()
                held = True
            if spill is not None:
                await spill(piece if spilled else bytes(raw))
                spilled = True
            await asyncio.sleep(_REST_S)
    except TimeoutError:
        return Body(raw=bytes(raw), cut=True, status=408, text="The message did not come in time.")
    except (OSError, web.RequestPayloadError, HttpProcessingError) as error:
        return Body(
            raw=bytes(raw),
            cut=True,
            status=400,
            text=f"The message ended early ({_kind(error)}).",
        )
    finally:
        if held and places is not None:
            places.release()


def _kind(error: Exception) -> str:
    return "connection lost" if isinstance(error, OSError) else "bad transfer coding"

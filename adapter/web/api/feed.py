"""Routes of the feed: all events that go out, in one order, with a cursor."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from adapter.commands.effects import Severity
from adapter.engine.feed.ports import FeedPage
from adapter.feed.selection import Selection, TypePatterns
from adapter.model.values import replace
from adapter.model.whole_numbers import Span
from adapter.web.api.call import (
    PREFIX,
    ApiContext,
    ApiRequest,
    ApiResponse,
    Json,
    bad_query,
    check_place,
    id_of,
    place_to_wait,
    seconds_of,
    whole_of,
)
from adapter.web.api.problems import LINES

MOST_EVENTS: Final = 1_000
_PAGE: Final = Span(1, MOST_EVENTS)
_USUAL: Final = 100
NEWEST: Final = "newest"
STREAM: Final = "text/event-stream"
LAST_ID: Final = "Last-Event-ID"
_TURN_S: Final = 15.0
"""So soon a stream notices that its caller has gone."""

_LONGEST_STREAM_S: Final = 3_600.0
"""Then it ends: who goes on reading comes again, with a key that is still good."""


class EventOut(Struct, kw_only=True):
    """One event. `seq` is its place in the feed, `id` is fixed: the same event has the same one
    whichever way it comes. `subject` is the command, order, device or other thing it is about."""

    seq: int
    at: datetime
    id: str
    type: str
    subject: str
    severity: Severity
    data: Mapping[str, Json]


class EventPageOut(Struct, kw_only=True):
    """Oldest first. `next` is the `after` of the next request, also where nothing came. `more`:
    there may be more right now. `unreadable` are the places of events whose rows are damaged."""

    items: list[EventOut]
    next: str
    more: bool
    unreadable: list[int]


async def list_events(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """As it is stored, so that a thousand events cost little more than their bytes."""
    wanted = selection_of(asked)
    if STREAM in asked.headers.get("Accept", ""):
        return await _streamed(api, asked, wanted)
    limit = whole_of(asked, "limit", _PAGE) if "limit" in asked.query else _USUAL
    wait_s = min(seconds_of(asked, "wait"), api.settings.longest_wait_s)
    after = await after_of(api, asked)
    if not wait_s:
        return _answer(asked, await api.gateway.feed.page(after, wanted, limit=limit))
    async with place_to_wait(api):
        page = await api.gateway.feed.page(after, wanted, limit=limit, wait_s=wait_s)
    return _answer(asked, page)


async def _streamed(api: ApiContext, asked: ApiRequest, wanted: Selection) -> ApiResponse:
    """Server-sent events. `Last-Event-ID` is what a client that was cut off sends: it goes before
    the parameter. A bad cursor is refused before the stream begins."""
    if LAST_ID in asked.headers:
        again = {**asked.query, "after": asked.headers[LAST_ID]}
        asked = replace(asked, query=again)
    after = await after_of(api, asked)
    check_place(api)
    first = await api.gateway.feed.page(after, wanted, limit=_USUAL)
    return ApiResponse(pages=_pages(api, first, wanted))


async def _pages(
    api: ApiContext, page: FeedPage, wanted: Selection
) -> AsyncGenerator[FeedPage, None]:
    feed, loop = api.gateway.feed, asyncio.get_running_loop()
    ends = loop.time() + _LONGEST_STREAM_S
    async with api.waiting:
        while True:
            yield page
            if not feed.waits or loop.time() >= ends:
                return
            page = await feed.page(page.next, wanted, limit=_USUAL, wait_s=_TURN_S)


def selection_of(asked: ApiRequest) -> Selection:
    """Raises InvalidRequest naming the parameter."""
    given = asked.query.get("types")
    types = TypePatterns.of(given.split(",") if given else ())
    return Selection(types=types, subject=id_of(asked, "subject"))


async def after_of(api: ApiContext, asked: ApiRequest, name: str = "after") -> int:
    """The cursor: a number, `newest` for only what comes from now on; without it all that is
    kept."""
    given = asked.query.get(name, "0")
    if given == NEWEST:
        return (await api.gateway.feed.bounds()).newest
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise bad_query(name, f"`next` of the page before, or {NEWEST}")
    return int(given)


def _answer(asked: ApiRequest, page: FeedPage) -> ApiResponse:
    headers = {"Link": f'<{_next(asked, page)}>; rel="next"'}
    if LINES in asked.headers.get("Accept", ""):
        return ApiResponse(
            raw=b"".join(event + b"\n" for event in page.events), media=LINES, headers=headers
        )
    more = b"true" if page.more else b"false"
    unreadable = b",".join(b"%d" % number for number in page.unreadable)
    raw = b'{"items":[%b],"next":"%d","more":%b,"unreadable":[%b]}' % (
        b",".join(page.events), page.next, more, unreadable,
    )  # fmt: skip
    return ApiResponse(raw=raw, headers=headers)


def _next(asked: ApiRequest, page: FeedPage) -> str:
    return f"{PREFIX}/events?{urlencode({**asked.query, 'after': page.next})}"

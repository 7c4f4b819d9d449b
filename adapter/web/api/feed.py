"""Routes of the feed: all events that go out, in one order, with a cursor."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from adapter.commands.effects import Severity
from adapter.commands.timing import in_utc
from adapter.engine.feed.deliveries import ReceiverLoop
from adapter.engine.feed.ports import EventDelivery, FeedPage
from adapter.engine.feed.types import types_of
from adapter.errors import InvalidRequest
from adapter.feed.selection import Selection
from adapter.model.values import replace
from adapter.model.whole_numbers import Span
from adapter.server.credentials import Caller
from adapter.web.api.call import (
    PREFIX,
    ApiContext,
    ApiRequest,
    ApiResponse,
    Json,
    Moment,
    answer_from,
    bad_query,
    id_of,
    limit_of,
    wait_of,
    whole_of,
    yes_or_no,
)
from adapter.web.api.problems import LINES, ProblemRaised

MOST_EVENTS: Final = 1_000
_PAGE: Final = Span(1, MOST_EVENTS)
_USUAL: Final = 100
NEWEST: Final = "newest"
CURSOR: Final = re.compile(r"[0-9]{1,18}(-[0-9a-f]{8})?", re.ASCII)
STREAM: Final = "text/event-stream"
LAST_ID: Final = "Last-Event-ID"
_TURN_S: Final = 15.0
"""So soon a stream notices that its caller has gone."""

_LONGEST_STREAM_S: Final = 3_600.0
"""Then it ends: who goes on reading comes again, with a key that is still good."""


class EventOut(Struct, kw_only=True):
    """One event. `seq` is its place in the feed, `id` is fixed: the same event has the same one
    whichever way it comes. `subject` is the command, order, device or other thing it is about,
    `traceparent` the trace that it is told of, where it is traced."""

    seq: int
    at: datetime
    id: str
    type: str
    subject: str
    severity: Severity
    data: Mapping[str, Json]
    traceparent: str | None = None


class EventPageOut(Struct, kw_only=True):
    """Oldest first. `next` is the `after` of the next request, also where nothing came. `more`:
    there may be more right now. `unreadable` are the places of events whose rows are damaged."""

    items: list[EventOut]
    next: str
    more: bool
    unreadable: list[int]


class ReceiverOut(Struct, kw_only=True):
    """A system that events are posted to. It was offered all events up to `after`; `waiting` of
    them are posted again, `oldest` is when the first of those, or of what comes behind `after`, was
    stored. `stopped` says why it is sent nothing, `alarm_at` since when it is too far behind."""

    name: str
    after: int
    waiting: int
    oldest: datetime | None
    stopped: str
    alarm_at: datetime | None

    @classmethod
    async def of(cls, loop: ReceiverLoop) -> "ReceiverOut":
        state = loop.state
        return cls(
            name=state.name,
            after=state.seq,
            waiting=loop.waiting,
            oldest=await loop.oldest(),
            stopped=state.stopped,
            alarm_at=state.alarm,
        )


class ReceiverList(Struct, kw_only=True):
    items: list[ReceiverOut]


class DeliveryOut(Struct, kw_only=True):
    """An event that a receiver has not taken. `first_at` null: it waits behind another one;
    `due_at` null: it is posted no more."""

    seq: int
    dead: bool
    attempts: int
    first_at: datetime | None
    due_at: datetime | None
    error: str

    @classmethod
    def of(cls, item: EventDelivery) -> "DeliveryOut":
        due = None if item.dead else item.due
        return answer_from(cls, item, first_at=item.first, due_at=due)


class DeliveryPage(Struct, kw_only=True):
    """Oldest event first. `next` is the cursor of the page after this one."""

    items: list[DeliveryOut]
    next: str | None


class RetriedOut(Struct, kw_only=True):
    events: int


class ReplayIn(Struct, kw_only=True, forbid_unknown_fields=True):
    since: Moment


class ReplayedOut(Struct, kw_only=True):
    """So many numbers of the feed it goes back; what of them it does not want is not posted."""

    events: int


class TestedOut(Struct, kw_only=True):
    """`error` is empty where it was taken."""

    taken: bool
    status: int | None
    error: str


async def list_receivers(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    loops = api.gateway.feed.deliveries.all()
    return ApiResponse(body=ReceiverList(items=[await ReceiverOut.of(each) for each in loops]))


async def list_deliveries(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    deliveries, limit = api.gateway.feed.deliveries, limit_of(asked)
    after = whole_of(asked, "cursor") if "cursor" in asked.query else 0
    dead = yes_or_no(asked, "dead")
    found = await deliveries.not_taken(
        _receiver(api, asked).name, dead=dead, limit=limit, after=after
    )
    return ApiResponse(
        body=DeliveryPage(
            items=[DeliveryOut.of(each) for each in found],
            next=str(found[-1].seq) if len(found) == limit else None,
        )
    )


async def retry_deliveries(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    events = await _receiver(api, asked).resume(by=asked.actor)
    return ApiResponse(body=RetriedOut(events=events))


async def replay_events(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    since = in_utc("since", asked.read(ReplayIn).since)
    events = await _receiver(api, asked).replay(since, by=asked.actor)
    return ApiResponse(body=ReplayedOut(events=events))


async def test_receiver(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    result = await _receiver(api, asked).test()
    return ApiResponse(body=answer_from(TestedOut, result))


def _receiver(api: ApiContext, asked: ApiRequest) -> ReceiverLoop:
    """Raises NotFound."""
    return api.gateway.feed.deliveries.of(asked.path["receiver"])


async def list_events(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """As it is stored, so that a thousand events cost little more than their bytes."""
    wanted = selection_of(asked)
    if not CURSOR.fullmatch(asked.headers.get(LAST_ID, "0")):
        raise bad_query(LAST_ID, "the id of the last event that came")
    if STREAM in asked.headers.get("Accept", ""):
        return await _streamed(api, asked, wanted)
    limit = whole_of(asked, "limit", _PAGE) if "limit" in asked.query else _USUAL
    wait_s = wait_of(api, asked)
    after = await after_of(api, asked)
    if not wait_s:
        return await _answer(api, asked, await api.gateway.feed.page(after, wanted, limit=limit))
    with api.waiting.taken(asked.key):
        page = await api.gateway.feed.page(after, wanted, limit=limit, wait_s=wait_s)
    return await _answer(api, asked, page)


async def _streamed(api: ApiContext, asked: ApiRequest, wanted: Selection) -> ApiResponse:
    """Server-sent events. `Last-Event-ID` is what a client that was cut off sends: it goes before
    the parameter. A bad cursor is refused before the stream begins."""
    if LAST_ID in asked.headers:
        again = {**asked.query, "after": asked.headers[LAST_ID]}
        asked = replace(asked, query=again)
    after = await after_of(api, asked)
    api.waiting.check(asked.key)
    first = await api.gateway.feed.page(after, wanted, limit=_USUAL)
    return ApiResponse(pages=_pages(api, first, wanted, asked.key))


async def _pages(
    api: ApiContext, page: FeedPage, wanted: Selection, caller: Caller | None
) -> AsyncGenerator[FeedPage, None]:
    """Where the last place was taken meanwhile it ends at once: who comes again is told why."""
    feed, loop = api.gateway.feed, asyncio.get_running_loop()
    ends = loop.time() + _LONGEST_STREAM_S
    try:
        api.waiting.check(caller)
    except ProblemRaised:
        return
    with api.waiting.taken(caller):
        while True:
            yield page
            if not feed.waits or loop.time() >= ends:
                return
            page = await feed.page(page.next, wanted, limit=_USUAL, wait_s=_TURN_S)


def selection_of(asked: ApiRequest) -> Selection:
    """Raises ProblemRaised 422 naming the parameter."""
    given = asked.query.get("types")
    try:
        types = types_of(given.split(",") if given is not None else ())
    except InvalidRequest as error:
        raise bad_query(error.field, error.rule) from None
    return Selection(types=types, subject=id_of(asked, "subject"))


async def after_of(api: ApiContext, asked: ApiRequest, name: str = "after") -> int:
    """The cursor: a number, `newest` for only what comes from now on; without it all that is
    kept."""
    given = asked.query.get(name, "0")
    if given == NEWEST:
        return (await api.gateway.feed.bounds()).newest
    if not CURSOR.fullmatch(given):
        raise bad_query(name, f"`next` of the page before, or {NEWEST}")
    return await api.gateway.feed.place(given)


async def _answer(api: ApiContext, asked: ApiRequest, page: FeedPage) -> ApiResponse:
    after = await api.gateway.feed.cursor(page.next)
    link = f"{PREFIX}/events?{urlencode({**asked.query, 'after': after})}"
    headers = {"Link": f'<{link}>; rel="next"'}
    if LINES in asked.headers.get("Accept", ""):
        return ApiResponse(
            raw=b"".join(event + b"\n" for event in page.events), media=LINES, headers=headers
        )
    more = b"true" if page.more else b"false"
    unreadable = b",".join(b"%d" % number for number in page.unreadable)
    raw = b'{"items":[%b],"next":"%b","more":%b,"unreadable":[%b]}' % (
        b",".join(page.events), after.encode(), more, unreadable,
    )  # fmt: skip
    return ApiResponse(raw=raw, headers=headers)

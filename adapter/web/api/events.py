"""Routes of device events and outages."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from adapter.commands.effects import Severity
from adapter.engine.events.ports import EventError, EventFilter, Outage, StoredEvent
from adapter.model.ids import DeviceId, EndpointId
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    answer_from,
    check_device,
    flag_of,
    id_of,
    limit_of,
    moment_of,
    read_moment,
    text_of,
    whole_of,
)
from adapter.web.api.quarantine import reload_tables

# ---------------------------------------------------------------- what is given

Argument = Annotated[list[str], Meta(min_length=2, max_length=2, description="Name and value.")]


class DeviceEventOut(Struct, kw_only=True):
    """`name` is the standard name, `head_end_name` the head end's. `published`: by itself, not in a
    storm's summary. `other_sequence`: sequence number under which the other callback told the same
    event (inferred), -1 where it gave none, null where only one of exception and event log told
    it. `conversion` says in which zone a time without offset was read, or that it is that of the
    receipt; empty where its offset was told."""

    id: int
    endpoint: str
    device: str | None
    name: str
    head_end_name: str
    number: int | None
    category: str
    severity: Severity
    at: datetime
    conversion: str
    sequence: int | None
    pair: str
    role: str
    exception: bool
    arguments: list[Argument]
    published: bool
    other_sequence: int | None

    @classmethod
    def of(cls, stored: StoredEvent) -> "DeviceEventOut":
        event = stored.event
        return answer_from(
            cls,
            event,
            id=stored.id,
            device=stored.device,
            published=stored.published,
            other_sequence=stored.other_sequence,
        )


class DeviceEventPage(Struct, kw_only=True):
    """Newest arrival first. `next` is the cursor of the page after this one."""

    items: list[DeviceEventOut]
    next: str | None


class EventErrorOut(Struct, kw_only=True):
    """An event that no table knows, in the head end's words."""

    id: int
    endpoint: str
    at: datetime
    name: str
    number: int | None
    category: str
    exception: bool
    state: str

    @classmethod
    def of(cls, error: EventError) -> "EventErrorOut":
        seed = error.unknown.seed
        return answer_from(
            cls,
            seed,
            id=error.id,
            endpoint=error.unknown.endpoint,
            at=error.unknown.at,
            state=error.state,
        )


class EventErrorPage(Struct, kw_only=True):
    items: list[EventErrorOut]
    next: str | None


class Reprocessed(Struct, kw_only=True):
    """`new` became events, `repeated` were events already, `unknown` stay as they are."""

    new: int
    repeated: int
    unknown: int


class OutageOut(Struct, kw_only=True):
    """A meter without supply, by its own events; `ended_at` null: it is now."""

    endpoint: str
    device: str | None
    started_at: datetime
    ended_at: datetime | None
    duration_s: float | None

    @classmethod
    def of(cls, outage: Outage) -> "OutageOut":
        return answer_from(cls, outage)


class OutagePage(Struct, kw_only=True):
    """`without_supply` is how many meters are without supply now; those that last stand longest
    first."""

    items: list[OutageOut]
    without_supply: int
    next: str | None


# ---------------------------------------------------------------- the routes


async def list_device_events(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit, query = limit_of(asked), asked.query
    device, endpoint = id_of(asked, "device"), id_of(asked, "endpoint")
    wanted = EventFilter(
        device=None if device is None else DeviceId(device),
        endpoint=None if endpoint is None else EndpointId(endpoint),
        name=text_of(asked, "name"),
        category=text_of(asked, "category"),
        since=moment_of(asked, "since"),
        before=whole_of(asked, "cursor") if "cursor" in query else None,
        limit=limit,
    )
    found = await api.gateway.events.events(wanted)
    if not found:
        await check_device(api, device)
    return ApiResponse(
        body=DeviceEventPage(
            items=[DeviceEventOut.of(item) for item in found],
            next=str(found[-1].id) if len(found) == limit else None,
        )
    )


async def list_event_errors(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    after = whole_of(asked, "cursor") if "cursor" in asked.query else 0
    found = await api.gateway.events.errors(after=after, limit=limit)
    return ApiResponse(
        body=EventErrorPage(
            items=[EventErrorOut.of(item) for item in found],
            next=str(found[-1].id) if len(found) == limit else None,
        )
    )


async def retry_event_errors(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """With the tables as their files are now."""
    await reload_tables(api, asked)
    taken = await api.gateway.events.reprocess(by=asked.actor)
    return ApiResponse(
        body=Reprocessed(new=taken.new, repeated=taken.repeated, unknown=taken.unknown)
    )


async def list_outages(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Those that last; with `ended` those that ended since `since`, newest first, one page."""
    events, limit = api.gateway.events, limit_of(asked)
    ended = flag_of(asked, "ended")
    after = None
    if not ended and "cursor" in asked.query:
        begun, _, esn = asked.query["cursor"].partition("/")
        after = (read_moment("cursor", begun), EndpointId(esn))
    found = await events.outages(
        ongoing=not ended, since=moment_of(asked, "since"), after=after, limit=limit
    )
    more = not ended and len(found) == limit
    return ApiResponse(
        body=OutagePage(
            items=[OutageOut.of(item) for item in found],
            without_supply=await events.count_without_supply(),
            next=f"{found[-1].started_at.isoformat()}/{found[-1].endpoint}" if more else None,
        )
    )

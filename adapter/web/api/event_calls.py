"""The routes of device events and outages, each a few lines over `DeviceEvents`."""

from datetime import UTC, datetime

from adapter.engine.events.ports import EventFilter
from adapter.model.ids import DeviceId, EndpointId
from adapter.web.api import events as schema
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    bad_query,
    flag_of,
    limit_of,
    whole_of,
)
from adapter.web.api.intake_calls import reload_tables


async def list_events(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit, query = limit_of(asked), asked.query
    device, endpoint = query.get("device"), query.get("endpoint")
    wanted = EventFilter(
        device=None if device is None else DeviceId(device),
        endpoint=None if endpoint is None else EndpointId(endpoint),
        name=query.get("name"),
        category=query.get("category"),
        since=_moment(asked, "since"),
        before=whole_of(asked, "cursor") if "cursor" in query else None,
        limit=limit,
    )
    found = await api.gateway.events.events(wanted)
    return ApiResponse(
        body=schema.EventPage(
            items=[schema.EventOut.of(item) for item in found],
            next=str(found[-1].id) if len(found) == limit else None,
        )
    )


async def list_event_errors(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    after = whole_of(asked, "cursor") if "cursor" in asked.query else 0
    found = await api.gateway.events.errors(after=after, limit=limit)
    return ApiResponse(
        body=schema.EventErrorPage(
            items=[schema.EventErrorOut.of(item) for item in found],
            next=str(found[-1].id) if len(found) == limit else None,
        )
    )


async def reprocess_events(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """With the tables as their files are now."""
    await reload_tables(api, asked)
    taken = await api.gateway.events.reprocess(by=asked.actor)
    return ApiResponse(
        body=schema.Reprocessed(new=taken.new, repeated=taken.repeated, unknown=taken.unknown)
    )


async def list_outages(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    """Those that last; with `ended` those that ended since `since`, newest first, one page."""
    events, limit = api.gateway.events, limit_of(asked)
    ended = flag_of(asked, "ended")
    after = None
    if not ended and "cursor" in asked.query:
        begun, _, esn = asked.query["cursor"].partition("/")
        after = (_parsed("cursor", begun), EndpointId(esn))
    found = await events.outages(
        dark=not ended, since=_moment(asked, "since"), after=after, limit=limit
    )
    more = not ended and len(found) == limit
    return ApiResponse(
        body=schema.OutagePage(
            items=[schema.OutageOut.of(item) for item in found],
            dark=await events.count_dark(),
            next=f"{found[-1].since.isoformat()}/{found[-1].endpoint}" if more else None,
        )
    )


def _moment(asked: ApiRequest, name: str) -> datetime | None:
    given = asked.query.get(name)
    return None if given is None else _parsed(name, given)


def _parsed(name: str, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise bad_query(name, "needs a zone, as in 2026-03-01T06:00:00Z")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_query(name, "a time as 2026-03-01T06:00:00Z") from None

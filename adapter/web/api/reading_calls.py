"""Routes of measurements, arrived events and payloads: pages, and all of it as lines.

Lines are JSON: first `{"columns": [...]}`, then one array a row, last `{"rows": n}`. Where the last
one is missing, the answer was cut off.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

import msgspec

from adapter.engine.readings.ports import PayloadId
from adapter.engine.readings.reports import EventRow, Grouping, ValueQuery, ValueRow
from adapter.web.api import readings as schema
from adapter.web.api.call import (
    ApiContext,
    ApiRequest,
    ApiResponse,
    bad_query,
    flag_of,
    limit_of,
    member,
    whole_of,
)
from adapter.web.api.problems import ProblemRaised

_AT_ONCE: Final = 5_000
"""Rows read from the store in one go."""

_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9999, 1, 1, tzinfo=UTC)
_encode: Final = msgspec.json.Encoder().encode


async def list_values(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    page = await api.gateway.readings.reports.values(
        _wanted(asked), cursor=asked.query.get("cursor"), limit=limit_of(asked)
    )
    return ApiResponse(
        body=schema.ValuePageOut(
            items=[schema.ValueOut.of(row) for row in page.rows], next=page.next
        )
    )


async def list_arrived_events(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    page = await api.gateway.readings.reports.events(
        _wanted(asked), cursor=asked.query.get("cursor"), limit=limit_of(asked)
    )
    return ApiResponse(
        body=schema.ArrivedEventPageOut(
            items=[schema.ArrivedEventOut.of(row) for row in page.rows], next=page.next
        )
    )


async def value_lines(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    reports, wanted = api.gateway.readings.reports, _wanted(asked)
    return await _lines(
        api,
        ValueRow._fields,
        lambda cursor: reports.values(wanted, cursor=cursor, limit=_AT_ONCE),
    )


async def arrived_event_lines(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    reports, wanted = api.gateway.readings.reports, _wanted(asked)
    return await _lines(
        api,
        EventRow._fields,
        lambda cursor: reports.events(wanted, cursor=cursor, limit=_AT_ONCE),
    )


async def list_payloads(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    limit = limit_of(asked)
    before = PayloadId(whole_of(asked, "cursor")) if "cursor" in asked.query else None
    found = await api.gateway.readings.reports.payloads(before=before, limit=limit)
    return ApiResponse(
        body=schema.PayloadPage(
            items=[schema.PayloadOut.of(payload) for payload in found],
            next=str(found[-1].id) if len(found) == limit else None,
        )
    )


async def payload_statistics(api: ApiContext, asked: ApiRequest) -> ApiResponse:
    wanted = _wanted(asked)
    by = member(asked, "by", Grouping) or Grouping.OPERATION
    found = await api.gateway.readings.reports.statistics(wanted.start, wanted.end, by=by)
    return ApiResponse(body=schema.PayloadStatisticsOut.of(found))


# ---------------------------------------------------------------- what they share


class _Page(Protocol):
    @property
    def rows(self) -> Sequence[tuple[object, ...]]: ...
    @property
    def next(self) -> str | None: ...


async def _lines(
    api: ApiContext, columns: Iterable[str], page: Callable[[str | None], Awaitable[_Page]]
) -> ApiResponse:
    """The first page is read before anything is answered, so that what is wrong is a problem."""
    if api.exporting.locked():
        raise ProblemRaised(
            429, "too_many_exports", "too many exports already", headers={"Retry-After": "10"}
        )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(api.exporting)
        first = await page(None)
        kept = stack.pop_all()
    return ApiResponse(lines=_sent(columns, first, page, kept))


async def _sent(
    columns: Iterable[str],
    first: _Page,
    page: Callable[[str | None], Awaitable[_Page]],
    kept: AsyncExitStack,
) -> AsyncGenerator[bytes, None]:
    async with kept:
        yield _encode({"columns": list(columns)}) + b"\n"
        count, found = 0, first
        while True:
            count += len(found.rows)
            yield b"".join(_encode(row) + b"\n" for row in found.rows)
            if found.next is None:
                break
            found = await page(found.next)
        yield _encode({"rows": count}) + b"\n"


def _wanted(asked: ApiRequest) -> ValueQuery:
    query = asked.query
    return ValueQuery(
        start=_time(asked, "from", _EARLIEST),
        end=_time(asked, "to", _LATEST),
        device=query.get("device"),
        component=query.get("component"),
        revisions=flag_of(asked, "revisions"),
    )


def _time(asked: ApiRequest, name: str, otherwise: datetime) -> datetime:
    given = asked.query.get(name)
    if given is None:
        return otherwise
    try:
        at = datetime.fromisoformat(given)
        if at.utcoffset() is None:
            raise bad_query(name, "needs a zone, as in 2026-03-01T06:00:00Z")
        return min(max(at.astimezone(UTC), _EARLIEST), _LATEST - timedelta(seconds=1))
    except (ValueError, OverflowError):
        raise bad_query(name, "a time as 2026-03-01T06:00:00Z") from None

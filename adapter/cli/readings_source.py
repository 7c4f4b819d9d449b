"""Where `openway readings` reads: a running gateway, or a store file that is only read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from adapter.cli.client import Client, Json, fields, items, segment
from adapter.client.errors import ApiProblem, Unreachable
from adapter.engine.readings.reports import EventRow, Grouping, ValueQuery, ValueRow

if TYPE_CHECKING:
    import apsw

    from adapter.model.device import DeviceView

_AT_ONCE: Final = 5_000
R = TypeVar("R", ValueRow, EventRow)
S = TypeVar("S", covariant=True)


class Source(Protocol):
    def values(self, wanted: ValueQuery) -> Iterator[Sequence[ValueRow]]:
        """All of them, in batches."""

    def events(self, wanted: ValueQuery) -> Iterator[Sequence[EventRow]]: ...

    def has_values(self, wanted: ValueQuery) -> bool: ...

    def has_events(self, wanted: ValueQuery) -> bool: ...

    def payloads(self, *, limit: int, cursor: str | None) -> Mapping[str, Json]:
        """A page, as the API gives it."""

    def statistics(self, start: datetime, end: datetime, by: Grouping) -> Mapping[str, Json]: ...

    def zone_of(self, meter: str) -> str | None:
        """The time zone of the meter's service point, where one is known."""

    def knows(self, meter: str) -> bool:
        """Whether the registry has such a device."""


class ApiSource:
    """Of a running gateway. Raises ApiProblem, Unreachable."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def values(self, wanted: ValueQuery) -> Iterator[Sequence[ValueRow]]:
        return self._rows("/measurements/lines", _query(wanted), ValueRow)

    def events(self, wanted: ValueQuery) -> Iterator[Sequence[EventRow]]:
        query = _query(wanted)
        del query["component"], query["revisions"]
        return self._rows("/arrived-events/lines", query, EventRow)

    def has_values(self, wanted: ValueQuery) -> bool:
        return self._has("/measurements", _query(wanted))

    def has_events(self, wanted: ValueQuery) -> bool:
        query = _query(wanted)
        del query["component"], query["revisions"]
        return self._has("/arrived-events", query)

    def _has(self, path: str, query: Mapping[str, object]) -> bool:
        """Pages may be empty before the last one."""
        cursor: Json = None
        while True:
            page = fields(self._client.get(path, {**query, "limit": 1, "cursor": cursor}))
            if items(page):
                return True
            if (cursor := page.get("next")) is None:
                return False

    def _rows(self, path: str, query: Mapping[str, object], kind: type[R]) -> Iterator[list[R]]:
        lines = self._client.lines(path, query)
        head = next(lines, None)
        if not isinstance(head, dict) or head.get("columns") != list(kind._fields):
            raise Unreachable("the gateway has other columns than this program")
        batch: list[R] = []
        for line in lines:
            if isinstance(line, dict):
                break
            # The columns are the same, and so are their types: one program wrote both.
            batch.append(kind._make(cast(list[Any], line)))
            if len(batch) == _AT_ONCE:
                yield batch
                batch = []
        for _ in lines:
            raise Unreachable("the answer goes on after its last line")
        yield batch

    def payloads(self, *, limit: int, cursor: str | None) -> Mapping[str, Json]:
        return fields(self._client.get("/payloads", {"limit": limit, "cursor": cursor}))

    def statistics(self, start: datetime, end: datetime, by: Grouping) -> Mapping[str, Json]:
        query = {"from": start.isoformat(), "to": end.isoformat(), "by": by.value}
        return fields(self._client.get("/payloads/statistics", query, wait_s=60.0))

    def zone_of(self, meter: str) -> str | None:
        device = self._device(meter)
        zone = None if device is None else fields(device.get("service_point")).get("time_zone")
        return zone if isinstance(zone, str) else None

    def knows(self, meter: str) -> bool:
        return self._device(meter) is not None

    def _device(self, meter: str) -> Mapping[str, Json] | None:
        try:
            return fields(self._client.get(f"/devices/{segment(meter)}"))
        except ApiProblem as problem:
            if problem.status == 404:
                return None
            raise


def _query(wanted: ValueQuery) -> dict[str, object]:
    return {
        "from": wanted.start.isoformat(),
        "to": wanted.end.isoformat(),
        "device": wanted.device,
        "component": wanted.component,
        "revisions": wanted.revisions,
    }


class StoreSource:
    """Of a store file. Each batch is a moment's view; what is loaded later stays out."""

    def __init__(self, connection: "apsw.Connection") -> None:
        self._db = connection

    def values(self, wanted: ValueQuery) -> Iterator[Sequence[ValueRow]]:
        from adapter.store.readings import reports

        yield from _pages(lambda cursor: reports.values(self._db, wanted, cursor, _AT_ONCE))

    def events(self, wanted: ValueQuery) -> Iterator[Sequence[EventRow]]:
        from adapter.store.readings import reports

        yield from _pages(lambda cursor: reports.events(self._db, wanted, cursor, _AT_ONCE))

    def has_values(self, wanted: ValueQuery) -> bool:
        from adapter.store.readings import reports

        return any(_pages(lambda cursor: reports.values(self._db, wanted, cursor, 1)))

    def has_events(self, wanted: ValueQuery) -> bool:
        from adapter.store.readings import reports

        return any(_pages(lambda cursor: reports.events(self._db, wanted, cursor, 1)))

    def payloads(self, *, limit: int, cursor: str | None) -> Mapping[str, Json]:
        from adapter.engine.readings.ports import PayloadId
        from adapter.errors import InvalidRequest
        from adapter.model.whole_numbers import CURSOR, read_whole
        from adapter.store.readings import reports
        from adapter.web.api.readings import PayloadOut

        try:
            before = PayloadId(read_whole(cursor, CURSOR)) if cursor is not None else None
        except ValueError as error:
            raise InvalidRequest("cursor", str(error)) from None
        found = reports.payloads(self._db, before, limit)
        items = [_plain(PayloadOut.of(payload)) for payload in found]
        return {"items": items, "next": str(found[-1].id) if len(found) == limit else None}

    def statistics(self, start: datetime, end: datetime, by: Grouping) -> Mapping[str, Json]:
        from adapter.store.readings import reports

        return fields(_plain(reports.statistics(self._db, start, end, by)))

    def zone_of(self, meter: str) -> str | None:
        view = self._view(meter)
        point = None if view is None else view.service_point
        return None if point is None else point.time_zone

    def knows(self, meter: str) -> bool:
        return self._view(meter) is not None

    def _view(self, meter: str) -> "DeviceView | None":
        from adapter.model.ids import DeviceId
        from adapter.store.commands import reading

        device = DeviceId(meter)
        return reading.views(self._db, [device]).get(device)


class _PageOf(Protocol[S]):
    @property
    def rows(self) -> Sequence[S]: ...
    @property
    def next(self) -> str | None: ...


def _pages(page: Callable[[str | None], "_PageOf[S]"]) -> Iterator[Sequence[S]]:
    cursor: str | None = None
    while True:
        found = page(cursor)
        yield found.rows
        if found.next is None:
            return
        cursor = found.next


def _plain(value: object) -> Json:
    import msgspec

    return cast(Json, msgspec.to_builtins(value))


@contextmanager
def source_of(client: Callable[[], Client], store: Path | None) -> Iterator[Source]:
    """The store file where one is named, else the running gateway. Raises StoreFailed."""
    if store is None:
        yield ApiSource(client())
        return
    from adapter.store.readings.reports import open_store

    connection = open_store(store)
    try:
        yield StoreSource(connection)
    finally:
        connection.close()

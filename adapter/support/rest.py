"""What bundles and recordings ask of a running gateway, page by page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

PAGE: Final = 200
"""Rows that are asked for at a time: a page holds up nobody."""
_EVENTS: Final = 1_000


class GatewayApi(Protocol):
    """Below /api/v1. Raises GatewayError for a refusal, and where nobody answers."""

    def get(self, path: str, query: Mapping[str, object] | None = None) -> object: ...

    def beside_the_api(self, path: str) -> tuple[int, str]: ...


def object_of(answer: object) -> dict[str, object]:
    return answer if isinstance(answer, dict) else {}


def rows_of(answer: object) -> list[dict[str, object]]:
    rows = object_of(answer).get("items")
    return [each for each in rows if isinstance(each, dict)] if isinstance(rows, list) else []


def pages(
    api: GatewayApi, path: str, query: Mapping[str, object], *, most: int
) -> Iterator[dict[str, object]]:
    """The rows of a list that is asked page by page, `most` of them at the most."""
    cursor = query.get("cursor")
    left = most
    while left > 0:
        asked = {**query, "limit": min(PAGE, left), "cursor": cursor}
        answer = api.get(path, asked)
        found = rows_of(answer)
        yield from found
        left -= len(found)
        cursor = object_of(answer).get("next")
        if cursor is None or not found:
            return


def moment_of(value: object) -> datetime:
    """Raises ValueError."""
    return datetime.fromisoformat(str(value))


def audit_between(
    api: GatewayApi, start: datetime, end: datetime, *, most: int
) -> Iterator[dict[str, object]]:
    """Entries of the audit with start <= at < end; where they begin is found by halves."""
    before = _before(lambda after: _entry_at(api, after), start)
    for row in pages(api, "/audit", {"cursor": before}, most=most):
        at = moment_of(row["at"])
        if at >= end:
            return
        if at >= start:
            yield row


def events_since(
    api: GatewayApi, start: datetime, types: Sequence[str]
) -> Iterator[dict[str, object]]:
    """The events of some types from a time on, oldest first; where they begin is found by halves.
    Raises GatewayError where those from then on are not kept any more."""
    after, more = str(_before(lambda place: _event_at(api, place), start)), True
    while more:
        asked = {"after": after, "types": ",".join(types), "limit": _EVENTS}
        page = object_of(api.get("/events", asked))
        yield from (each for each in rows_of(page) if moment_of(each["at"]) >= start)
        after, more = str(page["next"]), bool(page["more"])


def _before(at: Callable[[int], datetime | None], start: datetime) -> int:
    """The number of a row before `start`, after which all are looked at. `at`: when the row after a
    number was made; None: there is none."""
    low, high = 0, 1
    while (found := at(high)) is not None and found < start:
        low, high = high, high * 2
    while high - low > PAGE:
        middle = (low + high) // 2
        found = at(middle)
        if found is not None and found < start:
            low = middle
        else:
            high = middle
    return low


def _entry_at(api: GatewayApi, after: int) -> datetime | None:
    rows = rows_of(api.get("/audit", {"cursor": after, "limit": 1}))
    return moment_of(rows[0]["at"]) if rows else None


def _event_at(api: GatewayApi, after: int) -> datetime | None:
    rows = rows_of(api.get("/events", {"after": str(after), "limit": 1}))
    return moment_of(rows[0]["at"]) if rows else None

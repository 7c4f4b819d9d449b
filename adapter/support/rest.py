"""What bundles and recordings ask of a running gateway, page by page."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Protocol

PAGE: Final = 200
"""Rows that are asked for at a time: a page holds up nobody."""


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
    for row in pages(api, "/audit", {"cursor": _before(api, start)}, most=most):
        at = moment_of(row["at"])
        if at >= end:
            return
        if at >= start:
            yield row


def _before(api: GatewayApi, start: datetime) -> int:
    """The number of an entry before `start`, after which all are looked at."""
    low, high = 0, 1
    while (found := _at(api, high)) is not None and found < start:
        low, high = high, high * 2
    while high - low > PAGE:
        middle = (low + high) // 2
        found = _at(api, middle)
        if found is not None and found < start:
            low = middle
        else:
            high = middle
    return low


def _at(api: GatewayApi, after: int) -> datetime | None:
    """When the entry after this number was made; None: there is none."""
    rows = rows_of(api.get("/audit", {"cursor": after, "limit": 1}))
    return moment_of(rows[0]["at"]) if rows else None

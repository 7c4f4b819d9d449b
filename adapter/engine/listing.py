"""A page of a list, whole even where a row of it cannot be read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from adapter.errors import Conflict

T = TypeVar("T")
K = TypeVar("K", bound=str)

MOST_LOOKED_AT: Final = 10_000
"""Rows of a list that one request looks at, however few of them are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedFilter:
    """Which of what somebody asked for; None is any. Accepted at `since` or later, changed at
    `updated` or later; `reference` is the requester's own."""

    since: datetime | None = None
    updated: datetime | None = None
    requester: str | None = None
    reference: str | None = None


ANYBODYS: Final = AskedFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRow:
    """A row of which nothing can be made. `error` is the type of the error, `detail` its text
    without secrets; `set_aside` its number among the failed rows, None where no loop met it."""

    id: str
    error: str
    detail: str
    set_aside: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T, K]):
    """`ids` are those of all rows, in order; `rows` what could be read of them, `unreadable` the
    others. `looked_at` is the last row that was looked at, where the search ended before its end:
    the page is short, and there may be more."""

    ids: Sequence[K]
    rows: Sequence[T]
    unreadable: Sequence[UnreadableRow] = ()
    looked_at: K | None = None

    def next(self, limit: int) -> K | None:
        """The cursor of the page after this one of `limit` rows; None where this is the last."""
        if self.looked_at is not None:
            return self.looked_at
        return self.ids[-1] if self.ids and len(self.ids) == limit else None


def refuse_unreadable(what: str, rows: Sequence[UnreadableRow]) -> None:
    """Raises Conflict where there are any."""
    if rows:
        names = ", ".join(each.id for each in rows)
        raise Conflict(f"{what} {names} cannot be read: see openway set-aside list --kind {what}")

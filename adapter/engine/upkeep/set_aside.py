"""One row can hold up nobody: it is tried again with growing waits, then set aside for people.

A loop hands each row's work to `attend`. An error that the loop does not expect is noted in the
store with the row's kind and key; from then on the loop's query leaves the row out until its next
try is due. After the last try it is set aside: it is listed, and a person puts it back or discards
it. StoreFailed is never a row's error: it stops everything (I12).

Rows that come by a cursor, or lie in files, are asked for by `again`.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from adapter.errors import Conflict, NotFound, StoreFailed
from adapter.model.redaction import shown

log = logging.getLogger(__name__)

T = TypeVar("T")
K = TypeVar("K", bound=str)

WAITS: Final = tuple(timedelta(seconds=each) for each in (5, 30, 120, 600))
"""Before the second, third, fourth and fifth try."""

LONGEST_TEXT: Final = 500


class RowKind(StrEnum):
    """Whose row it is; `row` of FailedRow is its key there."""

    MESSAGE = "message"
    """A message of the inbox that is to be understood."""
    PAYLOAD = "payload"
    """A message of the inbox that is to be taken in."""
    FILE = "file"
    """A file that was handed in."""
    BODY = "body"
    """The body of a payload, that is due to be removed."""
    ERROR_RECORD = "error_record"
    EVENT = "event"
    """An event as it arrived."""
    EVENT_ERROR = "event_error"
    """An event that no table knew."""
    COMMAND = "command"
    COMMUNICATION = "communication"
    PUBLICATION = "publication"
    """`<number>/<sink>`."""
    ORDER = "order"
    FIELD_MESSAGE = "field_message"
    FIELD_REPORT = "field_report"
    """A file in in/ of the drop folder."""
    REPLY = "reply"
    SCHEDULE = "schedule"
    STORM = "storm"
    """What was withheld in a storm of events: `<bucket>/<begin>`."""
    SUBSCRIPTION = "subscription"
    """A kind of subscription, or `silence`."""
    RETENTION = "retention"
    """A class of rows, or `<class>/<number>` for one of them."""


UNENDING: Final = frozenset({RowKind.SUBSCRIPTION})
"""What is done again and again for ever: there is nothing that could be discarded."""


_FOUND_BY: Final = frozenset({RowKind.COMMAND, RowKind.COMMUNICATION, RowKind.ORDER})
"""Rows that are fields of log lines by their own name."""


class FailedState(StrEnum):
    WAITING = "waiting"
    """It is tried again at `due`."""
    SET_ASIDE = "set_aside"
    DISCARDED = "discarded"
    """A person gave it up: no loop looks at it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRow:
    """`error` is the type of the last error, `detail` its text without secrets; `first` and `last`
    are when it failed. `due` None: it is not tried again by itself."""

    id: int
    kind: RowKind
    row: str
    state: FailedState
    error: str
    detail: str
    tries: int
    first: datetime
    last: datetime
    due: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFailure:
    """One failed try. `dues` are when the next one is due after the first, the second, ..."""

    kind: RowKind
    row: str
    error: str
    detail: str
    at: datetime
    dues: tuple[datetime, ...]


class FailedRowStore(Protocol):
    async def record(self, failure: RowFailure) -> FailedRow:
        """Count one more try; past the last of `dues` the row is set aside, with an audit entry."""

    async def forget(self, kind: RowKind, row: str) -> None:
        """The row went through."""

    async def failed_rows(
        self,
        *,
        state: FailedState | None = None,
        kind: RowKind | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> Sequence[FailedRow]:
        """By number."""

    async def failed_row(self, number: int) -> FailedRow | None: ...

    async def again(self, kind: RowKind, *, now: datetime, limit: int) -> Sequence[str]:
        """Rows whose next try is due, oldest due first."""

    async def put_back(self, row: FailedRow, *, by: str, reason: str, now: datetime) -> None:
        """Due now, as if it had never failed; with an audit entry."""

    async def discard(self, row: FailedRow, *, by: str, reason: str, now: datetime) -> None:
        """With an audit entry, and with what ends the row where it stands."""


Discarded = Callable[[str, str, str], Awaitable[None]]
"""Told (row, by, reason) when a person discards a row of its kind."""


class SetAside:
    """Without a store nothing is noted: an unexpected error is raised once the others are done."""

    def __init__(
        self, store: FailedRowStore | None = None, now: Callable[[], datetime] | None = None
    ) -> None:
        self._store = store
        self._now = now
        self.given_up: Callable[[FailedRow], None] = lambda row: None
        """Told of each that was set aside."""
        self._dues: dict[RowKind, dict[str, datetime | None]] = {kind: {} for kind in RowKind}
        self._ends: dict[RowKind, Discarded] = {}

    def know(self, rows: Iterable[FailedRow]) -> None:
        """What the store holds, when it is opened."""
        self._dues = {kind: {} for kind in RowKind}
        for each in rows:
            self._dues[each.kind][each.row] = each.due

    def on_discard(self, kind: RowKind, end: Discarded) -> None:
        """`end` may end the row in its own terms; an error of it is logged."""
        self._ends[kind] = end

    # ------------------------------------------------------------ loops

    async def attend(self, kind: RowKind, row: object, work: Awaitable[T]) -> T | None:
        """Do one row's work. None, and the row is noted, where it fails unexpectedly.

        Work that gives False did not come to it: the row's failed tries still count.
        """
        try:
            done = await work
        except StoreFailed:
            raise
        except Exception as error:
            await self.fail(kind, row, error)
            return None
        if done is not False:
            await self.went_through(kind, row)
        return done

    async def load(
        self,
        kind: RowKind,
        rows: Sequence[K],
        load: Callable[[Sequence[K]], Awaitable[Mapping[K, T]]],
    ) -> Mapping[K, T]:
        """Load rows in one question; where one of them cannot be read, each by itself. Those that
        cannot be read are noted, and left out."""
        try:
            return await load(rows)
        except StoreFailed:
            raise
        except Exception as error:
            if len(rows) == 1:
                await self.fail(kind, rows[0], error)
                return {}
        found: dict[K, T] = {}
        for row in rows:
            found.update(await self.load(kind, [row], load))
        return found

    async def went_through(self, kind: RowKind, row: object) -> None:
        key, dues = str(row), self._dues[kind]
        if key in dues and self._store is not None:
            await self._store.forget(kind, key)
            dues.pop(key, None)
            log.info("row_went_through", extra={**_whose(kind, key), "kind": kind, "row": key})

    async def fail(self, kind: RowKind, row: object, error: Exception) -> None:
        """Note that a row failed. Raises `error` where there is no store to note it in."""
        if self._store is None or self._now is None:
            raise error
        at = self._now()
        detail = shown(str(error), most=LONGEST_TEXT)
        failed = await self._store.record(
            RowFailure(
                kind=kind,
                row=str(row),
                error=type(error).__name__,
                detail=detail,
                at=at,
                dues=tuple(at + wait for wait in WAITS),
            )
        )
        self._dues[kind][failed.row] = failed.due
        words = {"kind": kind, "row": failed.row, "error": failed.error, "tries": failed.tries}
        if failed.state is FailedState.SET_ASIDE:
            self.given_up(failed)
        else:
            log.warning("row_failed", extra={**_whose(kind, failed.row), **words}, exc_info=error)

    def held(self, kind: RowKind, row: object) -> bool:
        """Whether a row is set aside, discarded, or waits for its next try."""
        key, dues = str(row), self._dues[kind]
        if key not in dues or self._now is None:
            return False
        due = dues[key]
        return due is None or due > self._now()

    def failing(self, kind: RowKind) -> bool:
        """Whether any row of a kind has failed: `again` need not be asked where none has."""
        return bool(self._dues[kind])

    async def again(self, kind: RowKind, *, limit: int = 64) -> Sequence[str]:
        """Keys of rows whose next try is due."""
        if self._store is None or self._now is None or not self.failing(kind):
            return ()
        return await self._store.again(kind, now=self._now(), limit=limit)

    # ------------------------------------------------------------ people

    async def rows(
        self,
        *,
        state: FailedState | None = FailedState.SET_ASIDE,
        kind: RowKind | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> Sequence[FailedRow]:
        if self._store is None:
            return ()
        return await self._store.failed_rows(state=state, kind=kind, after=after, limit=limit)

    async def row(self, number: int) -> FailedRow:
        """Raises NotFound."""
        found = None if self._store is None else await self._store.failed_row(number)
        if found is None:
            raise NotFound(f"no row {number} is set aside")
        return found

    async def retry(self, number: int, *, by: str, reason: str = "") -> FailedRow:
        """Put a row back: its loop tries it now. Raises NotFound."""
        found, store, now = await self._decided(number)
        await store.put_back(found, by=by, reason=reason, now=now)
        self._dues[found.kind][found.row] = now
        return await self.row(number)

    async def discard(self, number: int, *, by: str, reason: str = "") -> FailedRow:
        """Give a row up. Raises NotFound; Conflict where there is nothing that could end."""
        found, store, now = await self._decided(number)
        if found.kind in UNENDING:
            raise Conflict(f"a {found.kind} is checked for ever: mend it, then put it back")
        await store.discard(found, by=by, reason=reason, now=now)
        self._dues[found.kind][found.row] = None
        if (end := self._ends.get(found.kind)) is not None:
            try:
                await end(found.row, by, reason)
            except StoreFailed:
                raise
            except Exception as error:
                words = {
                    "kind": found.kind,
                    "row": found.row,
                    "reason": shown(str(error), most=200),
                }
                log.warning("discarded_row_not_ended", extra=words)
        return await self.row(number)

    async def _decided(self, number: int) -> tuple[FailedRow, FailedRowStore, datetime]:
        found = await self.row(number)
        assert self._store is not None
        assert self._now is not None
        return found, self._store, self._now()


def _whose(kind: RowKind, row: str) -> dict[str, str]:
    """By what a log line about the row is found."""
    return {kind.value: row} if kind in _FOUND_BY else {}

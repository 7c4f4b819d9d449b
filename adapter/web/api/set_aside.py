"""What the JSON interface says of rows that failed unexpectedly."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from adapter.engine.upkeep.set_aside import FailedRow, FailedState, RowKind


class FailedRowOut(Struct, kw_only=True):
    """`row` is the key of the row among its kind. `error` is the type of the last error, `detail`
    its text without secrets; `first` and `last` are when it failed. `due` is when it is tried
    next; null: by itself it is not."""

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

    @classmethod
    def of(cls, row: FailedRow) -> "FailedRowOut":
        return cls(
            id=row.id,
            kind=row.kind,
            row=row.row,
            state=row.state,
            error=row.error,
            detail=row.detail,
            tries=row.tries,
            first=row.first,
            last=row.last,
            due=row.due,
        )


class FailedRowPage(Struct, kw_only=True):
    items: list[FailedRowOut]
    next: str | None

    @classmethod
    def of(cls, rows: Sequence[FailedRow], limit: int) -> "FailedRowPage":
        return cls(
            items=[FailedRowOut.of(row) for row in rows],
            next=str(rows[-1].id) if len(rows) == limit else None,
        )

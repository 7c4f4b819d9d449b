"""Rows of which nothing can be made, beside those of which something can."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias, TypeVar

from adapter.engine.listing import UnreadableRow
from adapter.engine.upkeep.set_aside import LONGEST_TEXT, RowKind
from adapter.model.redaction import shown
from adapter.store.connection import SqlConnection

T = TypeVar("T")
R = TypeVar("R")
Readable: TypeAlias = tuple[list[T], list[tuple[object, Exception]]]
"""What was made, and keys of the rows of which nothing could be made, with the errors."""

NUMBER_OF_KEY: Final = "SELECT id FROM failed_row WHERE kind = ? AND row = ?"


def made_of(rows: Iterable[tuple[object, R]], make: Callable[[R], T]) -> Readable[T]:
    made: list[T] = []
    bad: list[tuple[object, Exception]] = []
    for key, row in rows:
        try:
            made.append(make(row))
        except Exception as error:  # whatever stands in a row, it is that row's error
            bad.append((key, error))
    return made, bad


def unreadable_rows(
    db: SqlConnection, kind: RowKind, bad: Iterable[tuple[object, Exception]]
) -> list[UnreadableRow]:
    """For a list: nothing is noted, for nobody tried to work on them."""
    return [
        UnreadableRow(
            id=str(key),
            error=type(error).__name__,
            detail=shown(str(error), most=LONGEST_TEXT),
            set_aside=db.execute(NUMBER_OF_KEY, (kind, str(key))).get,
        )
        for key, error in bad
    ]

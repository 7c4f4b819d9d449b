"""Conditions of queries: a row that failed is left out while it waits, or once it is set aside."""

from typing import Final

from adapter.engine.upkeep.set_aside import RowKind

NEVER: Final = 2**63 - 1
"""`due` of what no loop looks at."""


def free(kind: RowKind, key: str) -> str:
    """That a row, whose key is the expression `key`, may be looked at `:now`."""
    return f"{_NONE.format(kind=kind, key=key)} AND failed.due > :now)"


def not_set_aside(kind: RowKind, key: str) -> str:
    """That a row is going to be looked at some day."""
    return f"{_NONE.format(kind=kind, key=key)} AND failed.due = {NEVER})"


def not_failed(kind: RowKind, key: str) -> str:
    """That a row is none of those that have failed."""
    return f"{_NONE.format(kind=kind, key=key)})"


_NONE: Final = (
    "NOT EXISTS (SELECT 1 FROM failed_row AS failed"
    " WHERE failed.kind = '{kind}' AND failed.row = {key}"
)


def as_text(key: str) -> str:
    """The expression of a whole number as the text under which it is noted."""
    return f"CAST({key} AS TEXT)"

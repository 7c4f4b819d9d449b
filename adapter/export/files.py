"""Files that are there whole, or not at all; and the sinks that rows go to."""

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from adapter.export.columns import Column, Row


class ExportSink(ABC):
    """Takes rows in batches. The file has its name only after all went well; leaving with an
    error leaves nothing behind."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.path = path
        self.columns = columns
        self.rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        # Nobody can know the name and lay a link there that would be written through.
        self._unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")

    @abstractmethod
    def put(self, rows: Sequence[Row]) -> None: ...

    @abstractmethod
    def _finish(self) -> None:
        """Write what is held back and close; the file is complete then."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._finish()
                os.replace(self._unfinished, self.path)
            else:
                self._give_up()
        finally:
            self._unfinished.unlink(missing_ok=True)

    @abstractmethod
    def _give_up(self) -> None:
        """Close without caring for the content."""


def fill(sink: ExportSink, batches: Iterable[Sequence[Row]]) -> int:
    """Put all batches; how many rows they had."""
    for rows in batches:
        sink.put(rows)
        sink.rows += len(rows)
    return sink.rows

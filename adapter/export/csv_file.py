"""CSV as RFC 4180 has it but for the line end: UTF-8, a header, LF, empty for what is not there.

Numbers are exact texts without exponent, times `2026-03-01T00:15:00.000000Z`, words are parted by
blanks, flags are true and false.
"""

import csv
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol

from adapter.export.columns import Column, Form, Row
from adapter.export.files import ExportSink

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=65_536)
def time_text(at: int | None) -> str:
    """Microseconds since 1970 as text, always with six digits: of one length, so that they sort."""
    if at is None:
        return ""
    moment = _EPOCH + timedelta(microseconds=at)
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


_TEXTS: Final[dict[Form, Callable[[Any], object]]] = {
    Form.TIME: time_text,
    Form.FLAG: lambda flag: "true" if flag else "false",
    Form.WORDS: lambda words: words.replace(",", " "),
}
"""The other forms are written as they are; None is nothing."""


class CsvSink(ExportSink):
    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        super().__init__(path, columns)
        # Closed by _finish or _give_up, one of which the sink's own `with` calls.
        self._file = open(self._unfinished, "w", encoding="utf-8", newline="")  # noqa: SIM115
        self._writer = Lines(self._file, columns)

    def put(self, rows: Sequence[Row]) -> None:
        self._writer.put(rows)

    def _finish(self) -> None:
        self._file.close()

    def _give_up(self) -> None:
        self._file.close()


class TextSink(Protocol):
    def write(self, text: str, /) -> int: ...


class Lines:
    """Writes the header at once, then rows, to a text stream."""

    def __init__(self, stream: TextSink, columns: Sequence[Column]) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._writer.writerow([column.name for column in columns])
        self._special = [
            (place, _TEXTS[column.form])
            for place, column in enumerate(columns)
            if column.form in _TEXTS
        ]

    def put(self, rows: Iterable[Row]) -> None:
        self._writer.writerows(map(self._texts, rows))

    def _texts(self, row: Row) -> list[object]:
        texts = list(row)
        for place, text in self._special:
            texts[place] = text(texts[place])
        return texts

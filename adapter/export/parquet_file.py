"""Parquet, with pyarrow: the extra `parquet`. Row groups bound the memory.

Numbers are decimal128(38, 18): 20 digits before the point and 18 behind it, exact. A number that
does not fit stops the export and is named with its row; `exact_texts` writes numbers as texts,
whatever they are. Times are timestamps in microseconds, UTC; words are lists. The meaning of each
column is in the file, as metadata of its field.
"""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from adapter.errors import GatewayError
from adapter.export.columns import Column, Form, Row, row_name
from adapter.export.files import ExportSink

if TYPE_CHECKING:
    import pyarrow

DIGITS: Final = 38
PLACES: Final = 18
ROW_GROUP: Final = 50_000


class ExportError(GatewayError):
    """An export that cannot be written as asked."""

    code = "export_error"


def require_pyarrow() -> None:
    """Raises ExportError naming the extra."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ExportError(
            "Parquet needs pyarrow: pip install 'openway-gateway[parquet]'; CSV needs nothing"
        ) from error


def schema_of(columns: Sequence[Column], *, exact_texts: bool = False) -> "pyarrow.Schema":
    import pyarrow as pa

    number = pa.string() if exact_texts else pa.decimal128(DIGITS, PLACES)
    types = {
        Form.TEXT: pa.string(),
        Form.WORDS: pa.list_(pa.string()),
        Form.WHOLE: pa.int64(),
        Form.NUMBER: number,
        Form.FLAG: pa.bool_(),
        Form.TIME: pa.timestamp("us", tz="UTC"),
    }
    return pa.schema(
        [
            pa.field(column.name, types[column.form], metadata={"meaning": column.meaning})
            for column in columns
        ]
    )


class ParquetSink(ExportSink):
    def __init__(
        self,
        path: Path,
        columns: Sequence[Column],
        *,
        exact_texts: bool = False,
        row_group: int = ROW_GROUP,
    ) -> None:
        require_pyarrow()
        import pyarrow.parquet as pq

        super().__init__(path, columns)
        self._schema = schema_of(columns, exact_texts=exact_texts)
        self._row_group = row_group
        self._held: list[Row] = []
        self._writer = pq.ParquetWriter(self._unfinished, self._schema, compression="zstd")

    def put(self, rows: Sequence[Row]) -> None:
        self._held += rows
        while len(self._held) >= self._row_group:
            self._write(self._held[: self._row_group])
            del self._held[: self._row_group]

    def _write(self, rows: Sequence[Row]) -> None:
        import pyarrow as pa

        try:
            arrays = [
                _array(column, self._schema.field(place).type, cells)
                for place, (column, cells) in enumerate(
                    zip(self.columns, zip(*rows, strict=True), strict=True)
                )
            ]
        except _NoFit as error:
            named = row_name(self.columns, rows[error.row])
            raise ExportError(f"{named}: {error}; have numbers written as texts") from None
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def _finish(self) -> None:
        if self._held:
            self._write(self._held)
        self._writer.close()

    def _give_up(self) -> None:
        self._writer.close()


def _array(column: Column, type_: Any, cells: Sequence[Any]) -> Any:
    import pyarrow as pa

    if column.form is Form.TIME:
        return pa.array(cells, pa.int64()).cast(type_)
    if column.form is Form.WORDS:
        return pa.array([words.split(",") if words else [] for words in cells], type_)
    if column.form is Form.NUMBER and not pa.types.is_string(type_):
        return _decimals(column, type_, cells)
    return pa.array(cells, type_)


class _NoFit(Exception):
    """A number that decimal128 does not hold, and in which row it stands."""

    def __init__(self, row: int, column: Column, text: str) -> None:
        super().__init__(f"{column.name} {text[:80]} is no fit for decimal128({DIGITS}, {PLACES})")
        self.row = row


def _decimals(column: Column, type_: Any, cells: Sequence[str | None]) -> Any:
    """Raises _NoFit for the first number that is none; nothing is rounded. pyarrow is not asked:
    of 22 to 28 digits before the point it makes other numbers, without an error."""
    import pyarrow as pa

    for row, cell in enumerate(cells):
        if cell and (len(cell) > PLACES or "e" in cell or "E" in cell) and not _fits(cell):
            raise _NoFit(row, column, cell)
    return pa.array(cells, pa.string()).cast(type_)


def _fits(text: str) -> bool:
    whole, _, places = format(Decimal(text), "f").lstrip("-").partition(".")
    return len(places) <= PLACES and len(whole) <= DIGITS - PLACES

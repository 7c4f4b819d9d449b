"""What `openway readings export` does: which files, from which rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Final

from adapter.cli.output import DataOutput
from adapter.cli.readings_source import Source
from adapter.engine.readings.reports import ValueQuery
from adapter.errors import InvalidRequest
from adapter.export.columns import EVENTS, VALUES, Row
from adapter.export.csv_file import CsvSink, Lines
from adapter.export.days import days
from adapter.export.files import ExportSink, fill
from adapter.export.parquet_file import ParquetSink, require_pyarrow

_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9998, 1, 1, tzinfo=UTC)
STDOUT: Final = Path("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """What was asked for, checked."""

    out: Path
    zone: tzinfo
    form: str
    wanted: ValueQuery
    events: bool
    by_day: bool
    exact_texts: bool
    store: Path | None

    @classmethod
    def of(
        cls,
        out: Path,
        zone: tzinfo,
        *,
        meter: str | None,
        form: str | None,
        events: bool,
        start: datetime | None,
        end: datetime | None,
        component: str | None,
        revisions: bool,
        by_day: bool,
        numbers: str,
        store: Path | None,
    ) -> "ExportPlan":
        """Raises InvalidRequest for options that do not go together, ExportError for Parquet
        without pyarrow: before anything is read."""
        if by_day and start is None:
            raise InvalidRequest("from", "is needed with --by-day")
        if events and (component is not None or revisions):
            raise InvalidRequest("events", "have no components and no revisions")
        if form is None and not by_day and out.suffix not in (".csv", ".parquet") and out != STDOUT:
            raise InvalidRequest("format", "cannot be seen from the name: csv or parquet")
        form = form or ("parquet" if out.suffix == ".parquet" else "csv")
        if out == STDOUT and (form == "parquet" or by_day):
            raise InvalidRequest("out", "only one CSV can go to standard output")
        if form == "parquet":
            require_pyarrow()
        end = end or (datetime.now(UTC) if by_day else _LATEST)
        return cls(
            out=out,
            zone=zone,
            form=form,
            wanted=ValueQuery(start or _EARLIEST, end, meter, component, revisions),
            events=events,
            by_day=by_day,
            exact_texts=numbers == "text",
            store=store,
        )

    def sink(self, path: Path) -> ExportSink:
        columns = EVENTS if self.events else VALUES
        if self.form == "csv":
            return CsvSink(path, columns)
        return ParquetSink(path, columns, exact_texts=self.exact_texts)

    def rows(self, source: Source, wanted: ValueQuery) -> Iterator[Sequence[Row]]:
        yield from source.events(wanted) if self.events else source.values(wanted)


def export_all(plan: ExportPlan, source: Source) -> list[tuple[Path, int]]:
    """(file, rows) of what was written. Days without rows have no file."""
    if plan.out == STDOUT:
        return [(STDOUT, _print(plan, source))]
    if not plan.by_day:
        with plan.sink(plan.out) as sink:
            rows = fill(sink, plan.rows(source, plan.wanted))
        return [(plan.out, rows)]
    written = []
    name = f"{'events' if plan.events else 'values'}.{plan.form}"

    def has(start: datetime, end: datetime) -> bool:
        wanted = plan.wanted._replace(start=start, end=end)
        return source.has_events(wanted) if plan.events else source.has_values(wanted)

    for day, start, end in days(plan.wanted.start, plan.wanted.end, plan.zone, has):
        batches = plan.rows(source, plan.wanted._replace(start=start, end=end))
        first = next((batch for batch in batches if batch), None)
        if first is None:
            continue
        path = plan.out / f"day={day}" / name
        with plan.sink(path) as sink:
            fill(sink, [first])
            written.append((path, fill(sink, batches)))
    return written


def _print(plan: ExportPlan, source: Source) -> int:
    lines = Lines(DataOutput(), EVENTS if plan.events else VALUES)
    count = 0
    for rows in plan.rows(source, plan.wanted):
        lines.put(rows)
        count += len(rows)
    return count

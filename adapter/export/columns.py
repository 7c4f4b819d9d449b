"""THE COLUMNS of an export, in order: what each is and in which form. The README prints them.

They are the fields of the rows of the port, but `time` for `at`, which is a keyword in DuckDB.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final


class Form(StrEnum):
    """How a column is held in a row (see the ports), and so what it becomes in a file."""

    TEXT = "text"
    WORDS = "words"
    """Several words; in a row one text with commas between them."""
    WHOLE = "whole"
    NUMBER = "number"
    """An exact decimal number; in a row its text."""
    FLAG = "flag"
    TIME = "time"
    """UTC; in a row whole microseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    form: Form
    meaning: str


F = Form
# fmt: off
VALUES: Final = (
    Column("device",            F.TEXT,   "device of the registry"),
    Column("endpoint",          F.TEXT,   "the head end's identifier (ESN)"),
    Column("component",         F.TEXT,   "measuring component"),
    Column("kind",              F.TEXT,   "interval or register"),
    Column("quantity",          F.TEXT,   "the head end's word for the channel"),
    Column("source",            F.TEXT,   "the head end's register source; empty for intervals"),
    Column("seconds",           F.WHOLE,  "interval length; 0 for registers"),
    Column("unit",              F.TEXT,   "unit of `value`"),
    Column("tou",               F.TEXT,   "time of use"),
    Column("sqi",               F.TEXT,   "service quantity identifier"),
    Column("start",             F.TIME,   "start of the interval; empty for registers"),
    Column("time",              F.TIME,   "END of the interval, or time of the register"),
    Column("value",             F.NUMBER, "in `unit`; empty where nothing was recorded"),
    Column("head_end_value",    F.NUMBER, "in the head end's own unit of `quantity`"),
    Column("condition",         F.WHOLE,  "condition code, six digits; higher is better"),
    Column("statuses",          F.WORDS,  "the head end's status words; none is normal"),
    Column("conversion",        F.TEXT,   "what was done to get from the message to `value`"),
    Column("load_run",          F.WHOLE,  "of one channel and time the highest load_run, number "
                                          "counts"),
    Column("number",            F.WHOLE,  "tells values of one load run apart"),
    Column("payload",           F.WHOLE,  "the message or file it came in; 0: none"),
    Column("origin",            F.TEXT,   "payload; entered: by people; crew: of a visit's report"),
    Column("entered_by",        F.TEXT,   "who entered it, or the crew's report; empty for "
                                          "payloads"),
    Column("entered_at",        F.TIME,   "when it was entered; else empty"),
)
EVENTS: Final = (
    Column("id",                F.WHOLE,  "rises in the order of arrival"),
    Column("device",            F.TEXT,   "device of the registry; empty where there is none"),
    Column("endpoint",          F.TEXT,   "the head end's identifier (ESN)"),
    Column("time",              F.TIME,   "when it happened, as the meter says"),
    Column("exception",         F.FLAG,   "came as an exception, not as an event"),
    Column("name",              F.TEXT,   "the head end's name of it"),
    Column("category",          F.TEXT,   "the head end's category"),
    Column("log_type",          F.TEXT,   "the head end's log type"),
    Column("number",            F.WHOLE,  "the head end's number of the event"),
    Column("source",            F.TEXT,   "the head end's source"),
    Column("sequence",          F.WHOLE,  "the meter's sequence number"),
    Column("arguments",         F.TEXT,   "JSON object: name to text, or to texts"),
    Column("received",          F.TEXT,   "when the head end received it, as it says"),
    Column("conversion",        F.TEXT,   "the zone in which a time without offset was read, or "
                                          "that it is the time of the receipt; else empty"),
    Column("load_run",          F.WHOLE,  "the load run it came with"),
    Column("payload",           F.WHOLE,  "the message or file it came in"),
    Column("result",            F.TEXT,   "new; repeated; matched: known from the other callback "
                                          "under another sequence number (inferred); unknown: no "
                                          "table knows the name; empty: not looked at yet"),
    Column("device_event",      F.WHOLE,  "device event it became; arrivals with one number are "
                                          "one"),
    Column("standard_name",     F.TEXT,   "standard name by the tables; empty where unknown"),
    Column("standard_category", F.TEXT,   "category by the tables, else the head end's"),
    Column("severity",          F.TEXT,   "info, warning or critical, by the tables"),
    Column("pair",              F.TEXT,   "what it begins or ends, as power; empty: nothing"),
    Column("role",              F.TEXT,   "first: it begins the pair; last: it ends it"),
    Column("started_at",        F.TIME,   "start of what it begins or ends, as an outage"),
    Column("ended_at",          F.TIME,   "end of it; empty while it lasts"),
    Column("duration_s",        F.NUMBER, "seconds between the two"),
    Column("published",         F.FLAG,   "this arrival was published by itself"),
    Column("in_summary",        F.FLAG,   "in a storm: counted in a summary instead"),
)
# fmt: on

Row = Sequence[object]

_NAMES: Final = ("device", "endpoint", "component", "quantity", "id", "load_run", "number")


def row_name(columns: Sequence[Column], row: Row) -> str:
    """Which row it is, in words, for people who look for it: `device M1, time 2026-...`."""
    cells = {column.name: cell for column, cell in zip(columns, row, strict=True)}
    told = [f"{name} {cells[name]}" for name in _NAMES if cells.get(name) not in (None, "")]
    if isinstance(at := cells.get("time"), int):
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
        told.append(f"time {moment.isoformat()}")
    return ", ".join(told) or "a row"

"""How long things took, by hour: the DurationStore port in the gateway's SQLite file."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import msgspec

from adapter.engine.upkeep.durations import BOUNDS_S, DurationFilter, HourOf, Measure, Spread
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.rows import encode, micros, micros_or_none, moment
from adapter.store.transaction import Transaction

_classes: Final = msgspec.json.Decoder(list[int]).decode
_lists: Final = msgspec.json.Decoder(list[list[int]]).decode
_HIGHEST: Final = 2**63 - 1
_MEASURES: Final[Mapping[Any, Measure]] = {each.value: each for each in Measure}
_hour: Final = lru_cache(maxsize=4_096)(moment)

ONE: Final = """
SELECT count, total_s, most_s, classes FROM duration WHERE hour = ? AND measure = ? AND name = ?"""
PUT: Final = """
INSERT INTO duration (hour, measure, name, count, total_s, most_s, classes)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hour, measure, name) DO UPDATE SET
    count = excluded.count, total_s = excluded.total_s, most_s = excluded.most_s,
    classes = excluded.classes"""
FORGET: Final = "DELETE FROM duration WHERE hour < ?"
_WANTED: Final = """FROM duration
WHERE hour >= :start AND hour < :end AND (:measure IS NULL OR measure = :measure)
    AND (:name IS NULL OR name = :name)"""
LISTED: Final = f"""
SELECT hour, measure, name, count, total_s, most_s, classes {_WANTED}
ORDER BY hour DESC, measure, name"""
SUMS: Final = f"""
SELECT name, sum(count), sum(total_s), max(most_s), string_agg(CAST(classes AS TEXT), ',') {_WANTED}
GROUP BY name"""


class SqliteDurations:
    def __init__(self, store: Database) -> None:
        self._store = store

    async def add_durations(self, rows: Sequence[HourOf], *, forget_before: datetime) -> None:
        def work(tx: Transaction) -> None:
            db = tx.connection
            for row in rows:
                key = (micros(row.hour), row.measure.value, row.name)
                spread = Spread()
                if (known := db.execute(ONE, key).fetchone()) is not None:
                    spread = _spread(known)
                spread.merge(row.spread)
                values = (spread.count, spread.total_s, spread.most_s, encode(spread.classes))
                db.execute(PUT, (*key, *values))
            db.execute(FORGET, (micros(forget_before),))

        await self._store.write(work)

    async def durations(self, wanted: DurationFilter) -> Sequence[HourOf]:
        values = _values(wanted)

        def look(db: SqlConnection) -> list[HourOf]:
            return [
                HourOf(hour=_hour(at), measure=_MEASURES[measure], name=name, spread=_spread(rest))
                for at, measure, name, *rest in db.execute(LISTED, values)
            ]

        return await self._store.query(look)

    async def sums(self, wanted: DurationFilter) -> Mapping[str, Spread]:
        values = _values(wanted)

        def look(db: SqlConnection) -> dict[str, Spread]:
            return {name: _sum(rest) for name, *rest in db.execute(SUMS, values)}

        return await self._store.query(look)


def _values(wanted: DurationFilter) -> dict[str, int | str | None]:
    return {
        "start": micros_or_none(wanted.start) or 0,
        "end": micros_or_none(wanted.end) or _HIGHEST,
        "measure": wanted.measure,
        "name": wanted.name,
    }


def _sum(row: Sequence[Any]) -> Spread:
    count, total_s, most_s, lists = row
    none = Spread().classes
    known = [each for each in _lists(f"[{lists}]") if len(each) == len(none)]
    classes = [sum(each) for each in zip(none, *known, strict=True)]
    return Spread(count=count, total_s=total_s, most_s=most_s, classes=classes)


def _spread(row: Sequence[object]) -> Spread:
    count, total_s, most_s, classes = row
    assert isinstance(count, int)
    assert isinstance(total_s, float)
    assert isinstance(most_s, float)
    assert isinstance(classes, bytes)
    found = _classes(classes)
    known = found if len(found) == len(BOUNDS_S) + 1 else Spread().classes
    return Spread(count=count, total_s=total_s, most_s=most_s, classes=known)

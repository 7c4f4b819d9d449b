"""How the store will grow: what data takes, what comes in a day, when the disk is full.

It is a sum, no promise: the last week goes on as it was, and each row is as large as those of its
kind are now.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from adapter.engine.upkeep.retention import Kept
from adapter.service.payloads import spool_of
from adapter.service.settings import Settings
from adapter.service.upkeep import kept_days
from adapter.store.upkeep.sizes import DataSize, sizes_of

_WEEK: Final = timedelta(days=7)
_SHORTEST: Final = timedelta(hours=1)
"""A store that is younger tells nothing of a day."""
_LONGEST_DAYS: Final = 3650
BODIES: Final = "bodies"
"""What the forecast calls the folder of large bodies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindForecast:
    """One kind of data. `days` is how long it is kept, None for ever. `kept_bytes`: of what is
    there now, what is not older than `days`; `settles_at_bytes`: where it stops to grow, None where
    it does not, or does not grow at all."""

    name: str
    bytes: int
    rows: int
    bytes_per_day: float
    days: float | None
    kept_bytes: int
    settles_at_bytes: int | None

    def after(self, days: float) -> float:
        """Bytes after so many days."""
        grown = self.bytes + self.bytes_per_day * days
        if self.settles_at_bytes is None:
            return grown
        return min(grown, max(self.bytes, self.settles_at_bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`observed_days` is the time that the rates are taken from, 0 where the store is too young;
    `full_at` is None where the disk is not full within ten years."""

    kinds: Sequence[KindForecast]
    observed_days: float
    free_bytes: int
    unused_bytes: int
    full_at: datetime | None

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.kinds)

    @property
    def bytes_per_day(self) -> float:
        return sum(each.bytes_per_day for each in self.kinds)


def forecast(settings: Settings, *, now: datetime, days: float | None = None) -> Forecast:
    """`days` is asked in place of what the settings have for each kind that is not kept for ever;
    0 is for ever. Raises NotFound, StoreFailed."""
    store = settings.store.files("a forecast")
    asked = {
        kept: (found if days is None else days) or None
        for kept, found in kept_days(settings.retention).items()
    }
    bodies_days = (settings.intake.retention_days if days is None else days) or None
    moments = [now - _WEEK, *(_since(now, asked[kept]) for kept in Kept)]
    sizes = sizes_of(store, moments)
    span = min(_WEEK, now - (sizes.began_at or now))
    observed = span / timedelta(days=1) if span >= _SHORTEST else 0.0
    found = [_of_rows(each, asked, observed) for each in sizes.kinds]
    found.append(_of_bodies(spool_of(settings.intake, store).folder, bodies_days, now, observed))
    free = shutil.disk_usage(store.absolute().parent).free
    return Forecast(
        kinds=found,
        observed_days=observed,
        free_bytes=free,
        unused_bytes=sizes.unused_bytes,
        full_at=_full_at(found, free + sizes.unused_bytes, now),
    )


def _since(now: datetime, days: float | None) -> datetime:
    """The oldest that is kept."""
    epoch = datetime.fromtimestamp(0, now.tzinfo)
    if days is None or timedelta(days=days) > now - epoch:
        return epoch
    return now - timedelta(days=days)


def _of_rows(size: DataSize, asked: dict[Kept, float | None], observed: float) -> KindForecast:
    each = size.bytes / size.rows if size.rows else 0.0
    rate = size.newer[0] * each / observed if observed else 0.0
    days = None if size.kept is None else asked[size.kept]
    kept = size.newer[1 + list(Kept).index(size.kept)] * each if size.kept and days else size.bytes
    return KindForecast(
        name=size.name,
        bytes=size.bytes,
        rows=size.rows,
        bytes_per_day=rate,
        days=days,
        kept_bytes=round(kept),
        settles_at_bytes=round(rate * days) if days and rate else None,
    )


def _of_bodies(folder: Path, days: float | None, now: datetime, observed: float) -> KindForecast:
    """Large bodies, each a file."""
    files = [each.stat() for each in folder.glob("*") if each.is_file()] if folder.is_dir() else []
    week, oldest = (now - _WEEK).timestamp(), _since(now, days).timestamp()
    rate = sum(each.st_size for each in files if each.st_mtime >= week) / (observed or 1.0)
    return KindForecast(
        name=BODIES,
        bytes=sum(each.st_size for each in files),
        rows=len(files),
        bytes_per_day=rate if observed else 0.0,
        days=days,
        kept_bytes=sum(each.st_size for each in files if each.st_mtime >= oldest),
        settles_at_bytes=round(rate * days) if days and rate else None,
    )


def _full_at(kinds: Sequence[KindForecast], free: int, now: datetime) -> datetime | None:
    """The first day on which more has come than is free."""
    today = sum(each.bytes for each in kinds)
    low, high = 0, _LONGEST_DAYS + 1
    while low < high:
        middle = (low + high) // 2
        if sum(each.after(middle) for each in kinds) - today >= free:
            high = middle
        else:
            low = middle + 1
    return None if low > _LONGEST_DAYS else now + timedelta(days=low)

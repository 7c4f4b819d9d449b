"""Times on the command line: ISO 8601 with a zone, `now`, or an offset from now as `+2h`, `-1d`."""

import re
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from typing import Final

import click

from adapter.commands.timing import in_utc
from adapter.errors import InvalidRequest
from adapter.model.decimals import read_decimal

_OFFSET: Final = re.compile(r"([+-])(\d+(?:\.\d+)?)([smhd])", re.ASCII)
_LONGEST_S: Final = 100 * 366 * 86_400.0
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[datetime]):
    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        now = datetime.now(UTC)
        if text == "now":
            return now
        if found := _OFFSET.fullmatch(text):
            sign, count, unit = found.groups()
            try:
                span = timedelta(**{_UNITS[unit]: float(count)})
                at = now + span if sign == "+" else now - span
            except OverflowError:
                self.fail("lies beyond the calendar", param, ctx)
            return self._sane(at, param, ctx)
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.fail("needs a time as 2026-03-01T06:00:00Z, now, +2h or -1d", param, ctx)
        if at.tzinfo is None:
            self.fail("needs a zone, as in 2026-03-01T06:00:00Z", param, ctx)
        return self._sane(at, param, ctx)

    def _sane(
        self, at: datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Not at the edges of the calendar, past which nothing can be counted."""
        try:
            in_utc("time", at)
        except InvalidRequest as error:
            self.fail(error.rule, param, ctx)
        return at


class Seconds(click.ParamType[float]):
    """A duration: seconds, or `90s`, `10m`, `2h`, `1d`."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value).strip()
        try:
            if found := _OFFSET.fullmatch(f"+{text}"):
                seconds = timedelta(**{_UNITS[found[3]]: float(found[2])}).total_seconds()
            else:
                seconds = float(read_decimal(text))
        except (ValueError, OverflowError):
            self.fail("needs seconds, or a duration as 90s, 10m, 2h", param, ctx)
        if not 0 <= seconds <= _LONGEST_S:
            self.fail("must be 0 to 100 years", param, ctx)
        return seconds


class TimeOfDay(click.ParamType[time]):
    """As 06:00 or 06:00:30, in a zone that is given elsewhere."""

    name = "time of day"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> time:
        found: time | None = None
        with suppress(ValueError):
            found = time.fromisoformat(str(value).strip())
        if found is None or found.tzinfo is not None:
            self.fail("needs a time of day as 06:00, from 00:00 to 23:59", param, ctx)
        return found


MOMENT: Final = Moment()
TIME_OF_DAY: Final = TimeOfDay()
SECONDS: Final = Seconds()

"""How long a step decided to wait: the dates it has set, as seconds from then.

A date that was known before, as when a command expires, is no wait: it is the same whenever the
step is taken.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from adapter.commands.activity import Activity, Command, Communication

_OF_COMMAND: Final = "command"


def waits(before: Command, after: Command, now: datetime) -> Mapping[str, Mapping[str, float]]:
    """By `command`, or the number of a communication among the command's, from 1: the names of the
    dates, each with the seconds until then."""
    found: dict[str, dict[str, float]] = {}
    known = {after.activity.expires_at, after.activity.effective_at}
    if after.activity is not before.activity:
        dates = _dates_of_activity(before.activity, after.activity)
        if seconds := _seconds(dates, known, now):
            found[_OF_COMMAND] = seconds
    were = {item.id: item for item in before.communications}
    for item in after.communications:
        was = were.get(item.id)
        if item is was:
            continue
        dates = _dates_of_communication(was, item)
        old = known if was is None or was.deadline is None else {*known, was.deadline}
        if seconds := _seconds(dates, old, now):
            found[item.id.removeprefix(f"{after.id}-")] = seconds
    return found


_Dates = Iterator[tuple[str, datetime | None, datetime | None]]
"""Of each its name, what it was and what it is."""


def _dates_of_activity(was: Activity, now: Activity) -> _Dates:
    yield "hold_until", was.hold_until, now.hold_until
    yield "retry_at", was.retry_at, now.retry_at
    yield "window_until", was.window_until, now.window_until


def _dates_of_communication(was: Communication | None, now: Communication) -> _Dates:
    yield "wake", None if was is None else was.wake, now.wake
    yield "deadline", None if was is None else was.deadline, now.deadline


def _seconds(dates: _Dates, known: set[datetime], now: datetime) -> dict[str, float]:
    return {
        name: (at - now).total_seconds()
        for name, was, at in dates
        if at is not None and at != was and at > now and at not in known
    }

"""`openway retention forecast`: what the store takes, how it grows, when the disk is full."""

from typing import TYPE_CHECKING, Final

import click

from adapter.cli.output import as_json, columns, print_json, print_rows, say
from adapter.cli.session import Session, with_session

if TYPE_CHECKING:
    from adapter.service.forecast import Forecast

_MIB: Final = 2**20
SIZES: Final = columns(
    "kind",
    ("data", "name"),
    "rows",
    ("MiB", lambda row: _mib(row["bytes"])),
    ("MiB a day", lambda row: _mib(row["bytes_per_day"])),
    ("days kept", lambda row: "for ever" if row["days"] is None else f"{row['days']:g}"),
    ("of it kept", lambda row: _mib(row["kept_bytes"])),
    (
        "settles at",
        lambda row: "" if row["settles_at_bytes"] is None else _mib(row["settles_at_bytes"]),
    ),
)


@click.command()
@click.option(
    "--days",
    type=click.FloatRange(0, 36_600),
    help="Ask what so many days would keep, in place of the settings; 0 is for ever.",
)
@as_json
@with_session
def forecast(session: Session, days: float | None, as_json: bool) -> None:
    """What each kind of data takes today, what comes in a day by the last week, when the disk is
    full, and what the days of the settings keep, or --days.

    It reads every page of both files of the store, once; the gateway may run. A sum, no promise:
    the week goes on, and rows stay as large as they are.
    """
    from adapter.engine.clock import SystemClock
    from adapter.service.forecast import forecast as make

    found = make(session.settings, now=SystemClock().now(), days=days)
    _show(found, as_json=as_json)


def _show(found: "Forecast", *, as_json: bool) -> None:
    rows = [
        {
            "name": each.name,
            "rows": each.rows,
            "bytes": each.bytes,
            "bytes_per_day": round(each.bytes_per_day),
            "days": each.days,
            "kept_bytes": each.kept_bytes,
            "settles_at_bytes": each.settles_at_bytes,
        }
        for each in found.kinds
    ]
    full = None if found.full_at is None else found.full_at.isoformat(timespec="seconds")
    if as_json:
        print_json(
            {
                "items": rows,
                "bytes": found.bytes,
                "bytes_per_day": round(found.bytes_per_day),
                "observed_days": round(found.observed_days, 3),
                "free_bytes": found.free_bytes,
                "unused_bytes": found.unused_bytes,
                "full_at": full,
            }
        )
        return
    print_rows(SIZES, rows)
    say(
        f"in all {_mib(found.bytes)} MiB, {_mib(found.bytes_per_day)} MiB a day by the last "
        f"{found.observed_days:.1f} days; free: {_mib(found.free_bytes)} MiB on the disk, "
        f"{_mib(found.unused_bytes)} MiB in the files"
    )
    if not found.observed_days:
        say("the store is too young to say how it grows")
    elif found.full_at is None:
        say("the disk is not full within ten years")
    else:
        say(f"the disk is full about {found.full_at:%F}")


def _mib(count: object) -> str:
    assert isinstance(count, int | float)
    return f"{count / _MIB:.1f}"

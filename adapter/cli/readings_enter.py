"""`openway readings enter` and `import`: readings that people have."""

from datetime import datetime
from pathlib import Path
from typing import Final

import click

from adapter.cli.client import fields
from adapter.cli.numbers import WholeNumber
from adapter.cli.output import as_json, counted, print_json, print_text
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT
from adapter.errors import InvalidRequest
from adapter.model.entered_value import read_value
from adapter.model.measurement import CONDITION_LIMIT

_AT_ONCE: Final = 2_000


@click.command()
@click.argument("meter")
@click.argument("values", nargs=-1, required=True, metavar="COMPONENT=VALUE...")
@click.option("--at", type=MOMENT, default="now", show_default=True, help="When it was read.")
@click.option(
    "--condition",
    type=WholeNumber(0, CONDITION_LIMIT),
    help="Condition code; else that of an ordinary reading.",
)
@as_json
@with_session
def enter(
    session: Session,
    meter: str,
    values: tuple[str, ...],
    at: datetime,
    condition: int | None,
    as_json: bool,
) -> None:
    """Enter readings of METER, from a book or a photograph. Orders that wait for one look at once.

    Of a component and time the last one entered counts.
    """
    more = {} if condition is None else {"condition": condition}
    taken = []
    for each in values:
        component, equals, value = each.partition("=")
        if not component or not equals:
            raise InvalidRequest("COMPONENT=VALUE", f"{each!r}: must be as kwh=1234.5")
        try:
            read_value(value)
        except ValueError as error:
            raise InvalidRequest(component, str(error)) from None
        taken.append(
            {"device": meter, "component": component, "value": value, "at": at.isoformat(), **more}
        )
    _post(session, taken, as_json=as_json)


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
@with_session
def import_(session: Session, file: Path, as_json: bool) -> None:
    """Enter the readings of FILE (.csv or .json): device, component, at, value, condition.

    A file with any mistake enters nothing; entering it again changes nothing.
    """
    from adapter.cli.readings_files import read_readings

    _post(session, [dict(each) for each in read_readings(file)], as_json=as_json)


COMMANDS: Final = (enter, import_)


def _post(session: Session, taken: list[dict[str, object]], *, as_json: bool) -> None:
    entered = 0
    for start in range(0, len(taken), _AT_ONCE):
        body = {"measurements": taken[start : start + _AT_ONCE]}
        made = fields(session.client.post("/measurements", body))
        entered += int(str(made["entered"]))
    if as_json:
        print_json({"entered": entered})
    else:
        print_text(f"{counted(entered, 'reading')} entered")

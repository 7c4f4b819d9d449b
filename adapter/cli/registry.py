"""`openway devices`: the registry of a running gateway."""

from pathlib import Path
from typing import Final

import click

from adapter.cli.output import (
    as_json,
    counted,
    print_fields,
    print_json,
    print_rows,
    print_table,
    say,
)
from adapter.cli.session import Session, with_session
from adapter.client import Json, fields, items, segment

_AT_ONCE: Final = 2_000
"""Devices in one request; some 3 MB."""


@click.group()
def devices() -> None:
    """Load devices, service points and install events; look at them."""


@devices.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Check the file and load nothing.")
@as_json
@with_session
def import_(session: Session, file: Path, dry_run: bool, as_json: bool) -> None:
    """Load FILE (.csv or .json) into the registry; `openway tables import` names the columns.

    A file with any mistake loads nothing. Large ones go in parts; loading again changes nothing.
    """
    from adapter.imports import as_json_values, parts, read_file

    what = read_file(file)
    if not dry_run:
        for part in parts(what, _AT_ONCE):
            session.client.post("/devices", as_json_values(part))
    counts = {
        "devices": len(what.devices),
        "service_points": len(what.service_points),
        "installs": len(what.installs),
    }
    if as_json:
        print_json({"imported": not dry_run, **counts})
    else:
        verb = "would be loaded" if dry_run else "loaded"
        names = {name: name.removesuffix("s").replace("_", " ") for name in counts}
        told = ", ".join(counted(count, names[name]) for name, count in counts.items())
        click.echo(f"{told} {verb}")


@devices.command(name="list")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@click.option("--cursor", help="`next` of the page before.")
@as_json
@with_session
def list_(session: Session, limit: int, cursor: str | None, as_json: bool) -> None:
    """List devices with where they stand."""
    answer = session.client.get("/devices", {"limit": limit, "cursor": cursor})
    if as_json:
        print_json(answer)
        return
    rows = items(answer)
    print_table(
        ("device", "endpoint", "type", "service point", "install status"),
        (
            (
                fields(row["device"])["id"],
                fields(row["device"])["endpoint"],
                fields(row["device"])["device_type"],
                fields(row["service_point"]).get("id"),
                fields(row["installed"]).get("status"),
            )
            for row in rows
        ),
    )
    say(counted(len(rows), "device"))


@devices.command()
@click.argument("device")
@click.option("--measurements", is_flag=True, help="Also what reads have brought.")
@as_json
@with_session
def show(session: Session, device: str, measurements: bool, as_json: bool) -> None:
    """Show one device: master data, install event, on/off history."""
    place = f"/devices/{segment(device)}"
    found = fields(session.client.get(place))
    values = items(session.client.get(f"{place}/measurements")) if measurements else []
    if as_json:
        print_json({**found, "measurements": values} if measurements else found)
        return
    for name, part in found.items():
        if isinstance(part, dict):
            _print_part(name, part)
        else:
            print_fields({name: part})
    if values:
        print_rows(values, title="measurements")


def _print_part(name: str, part: dict[str, Json]) -> None:
    """Plain members as fields; lists of objects (components, on/off history) as tables."""
    tables = {key: rows for key, value in part.items() if (rows := _objects(value))}
    click.echo(f"\n{name}")
    print_fields({f"  {key}": value for key, value in part.items() if key not in tables})
    for key, rows in tables.items():
        print_rows(rows, title=key)


def _objects(value: Json) -> list[dict[str, Json]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []

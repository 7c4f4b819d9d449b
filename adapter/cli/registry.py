"""`openway devices`: the registry of a running gateway."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from adapter.cli.client import Json, fields, items, segment
from adapter.cli.output import (
    as_json,
    columns,
    counted,
    paged,
    print_fields,
    print_json,
    print_objects,
    print_rows,
    print_text,
    say,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.client.errors import ApiProblem, Unreachable

if TYPE_CHECKING:
    from adapter.engine.commands.ports import Import

_AT_ONCE: Final = 2_000
"""Devices in one request; some 3 MB."""

_ROW: Final = re.compile(r"^devices, row (\d+)", re.MULTILINE)
_LISTED: Final = {"left_alone": "left alone", "overridden": "overridden"}
DEVICES: Final = columns(
    "device",
    ("device", "device.id"),
    ("endpoint", "device.endpoint"),
    ("type", "device.device_type"),
    ("service point", "service_point.id"),
    ("install status", "installed.status"),
)
DIFFERENCES: Final = columns(
    "difference",
    "subject field",
    ("the registry has", "stored"),
    ("the file says", "given"),
    "reason",
)


@click.group()
def devices() -> None:
    """Load devices, service points and install events; look at them."""


@devices.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would become of it, and load nothing.")
@click.option(
    "--override-status",
    is_flag=True,
    help="Take status, arming, source status and the endpoint of installed devices from FILE; "
    "needs --reason.",
)
@click.option("--reason", default="", help="Why FILE is right, for the audit.")
@as_json
@with_session
def import_(
    session: Session, file: Path, dry_run: bool, override_status: bool, reason: str, as_json: bool
) -> None:
    """Load FILE (.csv or .json) into the registry; `openway tables import` names the columns.

    A file with any mistake loads nothing. Large ones go in parts; loading again changes nothing.
    Status, arming and on/off history of a known install event, and the source status of a known
    service point, belong to completion events: where FILE says otherwise they are left alone and
    listed. What FILE does not mention stays.
    """
    from adapter.registry.files import read_file

    if override_status != bool(reason.strip()):
        raise click.UsageError("--override-status and --reason go together")
    what = read_file(file)
    options = {"override_status": override_status, "reason": reason, "dry_run": dry_run}
    answers = _load(session, what, file.name, options)
    answer = {
        "imported": not dry_run,
        "devices": len(what.devices),
        "service_points": len(what.service_points),
        "installs": len(what.installs),
        **{name: [row for each in answers for row in items(each.get(name))] for name in _LISTED},
    }
    if as_json:
        print_json(answer)
    else:
        _print_import(answer)


def _load(
    session: Session, what: "Import", name: str, options: dict[str, object]
) -> list[dict[str, Json]]:
    """What the gateway answers to each part. A dry run goes without one that is away."""
    from adapter.registry.files import as_json_values, parts

    answers: list[dict[str, Json]] = []
    for part in parts(what, _AT_ONCE):
        try:
            answers.append(fields(session.client.post("/devices", as_json_values(part) | options)))
        except Unreachable as error:
            if not options["dry_run"]:
                raise
            say(f"{name} was not compared with the registry: {error}")
            break
        except ApiProblem as error:
            if answers and not options["dry_run"]:
                loaded = sum(int(str(each.get("devices", 0))) for each in answers)
                say(f"{counted(loaded, 'device')} of {name} were loaded before this:")
            raise _of_file(error, name, part) from error
    return answers


def _of_file(error: ApiProblem, name: str, part: "Import") -> ApiProblem:
    """The rows of a part that was sent are those of the file."""

    def row(found: re.Match[str]) -> str:
        number = int(found[1])
        known = 0 < number <= len(part.devices)
        return f"{name}, row {part.rows[part.devices[number - 1].id]}" if known else found[0]

    return ApiProblem(error.status, error.code, _ROW.sub(row, str(error)))


def _print_import(answer: dict[str, object]) -> None:
    verb = "loaded" if answer["imported"] else "would be loaded"
    names = ("devices", "service_points", "installs")
    told = (counted(answer[each], each.removesuffix("s").replace("_", " ")) for each in names)
    print_text(f"{', '.join(told)} {verb}")
    for name, title in _LISTED.items():
        if rows := items(answer[name]):
            print_rows(DIFFERENCES, rows, title=title)


@devices.command(name="list")
@paged()
@as_json
@with_session
def list_(session: Session, /, as_json: bool, **query: object) -> None:
    """List devices with where they stand."""
    show_list(session.client.get("/devices", query), DEVICES, as_json=as_json)


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
        print_objects(values, title="measurements")


def _print_part(name: str, part: dict[str, Json]) -> None:
    """Plain members as fields; lists of objects (components, on/off history) as tables."""
    tables = {key: rows for key, value in part.items() if (rows := items(value))}
    print_text(f"\n{name}")
    print_fields({f"  {key}": value for key, value in part.items() if key not in tables})
    for key, rows in tables.items():
        print_objects(rows, title=key)

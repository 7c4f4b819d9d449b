"""`openway command submit-file` and `bulk`: many commands of one kind from a file."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from adapter.cli.client import Client, Json, fields, items, segment
from adapter.cli.commands_watch import SUCCESS
from adapter.cli.output import (
    Exit,
    as_json,
    columns,
    paged,
    print_fields,
    print_json,
    print_rows,
    print_text,
    say,
    show_list,
)
from adapter.cli.session import Session, with_session
from adapter.cli.times import SECONDS
from adapter.cli.words import Word
from adapter.client.errors import ApiProblem
from adapter.commands.flows import CommandKind

FAULTS: Final = columns("refused row", "line field rule")
ROWS: Final = columns("command", "line command device state outcome")
_APART: Final = ("faults", "states")
_MEDIA: Final = {".csv": "text/csv"}
_LINES: Final = "application/x-ndjson"
_LOOK_S: Final = 0.2
_LONGEST_LOOK_S: Final = 5.0
_PAGE: Final = 500


@click.command(name="submit-file")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kind", type=Word([kind.value for kind in CommandKind]), help="Of all of them.")
@click.option("--idempotency-key", help="Of the whole: the same key gives the same commands.")
@click.option("--reference", help="Your own reference, kept with each command.")
@click.option("--partial", is_flag=True, help="The good rows alone, where others are refused.")
@click.option("--wait", "wait_s", type=SECONDS, help="Wait so long for all to end (10m, 2h).")
@as_json
@with_session
def submit_file(
    session: Session, /, file: Path, wait_s: float | None, as_json: bool, **given: object
) -> None:
    """Submit a command for each row of FILE, all or none.

    A file that ends in .csv is a table whose first line names the columns (device,
    reference, effective_at, ...), every other one has an object of JSON a line. Its
    first line is the header, {"kind": ..., "idempotency_key": ...}, unless --kind and
    --idempotency-key give it.
    """
    header = {name: value for name, value in given.items() if value}
    raw = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    if header:
        raw = json.dumps(header).encode() + b"\n" + raw
    media = _MEDIA.get(file.suffix.lower(), _LINES)
    try:
        made = fields(session.client.send("/commands/bulk", raw, media))
    except ApiProblem as problem:
        if problem.faults and not as_json:
            print_rows(FAULTS, [{**each} for each in problem.faults])
        raise
    if wait_s is not None:
        made = _waited(session.client, made, wait_s)
    _print(made, as_json=as_json)
    raise SystemExit(_exit(session.client, made) if wait_s is not None else _rests(made))


@click.command()
@click.argument("bulk_id")
@click.option("--rows", is_flag=True, help="The command of each row.")
@paged()
@as_json
@with_session
def bulk(session: Session, /, bulk_id: str, rows: bool, as_json: bool, **query: object) -> None:
    """Show a bulk request: how many rows became what, and where they stand."""
    path = f"/commands/bulk/{segment(bulk_id)}"
    if rows:
        show_list(session.client.get(f"{path}/rows", query), ROWS, as_json=as_json)
    else:
        _print(fields(session.client.get(path)), as_json=as_json)


def _waited(client: Client, made: dict[str, Json], timeout_s: float) -> dict[str, Json]:
    until, look_s = time.monotonic() + timeout_s, _LOOK_S
    while made["open"] and (left := until - time.monotonic()) > 0:
        time.sleep(min(look_s, left))
        made = fields(client.get(f"/commands/bulk/{segment(str(made['id']))}"))
        look_s = min(2 * look_s, _LONGEST_LOOK_S)
    if made["open"]:
        say(f"{made['open']} are still open; `openway command bulk {made['id']}` tells")
    return made


def _exit(client: Client, made: Mapping[str, Json]) -> Exit:
    """Of one that was waited for: whether each row came to a success."""
    if made["open"]:
        return Exit.UNREACHABLE
    cursor: Json = None
    while True:
        path = f"/commands/bulk/{segment(str(made['id']))}/rows"
        page = fields(client.get(path, {"limit": _PAGE, "cursor": cursor}))
        if any(each["outcome"] not in SUCCESS for each in items(page)):
            return Exit.WITHOUT_SUCCESS
        cursor = page["next"]
        if cursor is None:
            return _rests(made)


def _rests(made: Mapping[str, Json]) -> Exit:
    return Exit.WITHOUT_SUCCESS if made["refused"] else Exit.OK


def _print(made: Mapping[str, Json], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    print_fields({name: value for name, value in made.items() if name not in _APART})
    print_text(", ".join(f"{count} {state}" for state, count in fields(made["states"]).items()))
    if faults := items(made["faults"]):
        print_rows(FAULTS, faults)


BULK: Final = (submit_file, bulk)

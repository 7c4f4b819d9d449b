"""`openway wire` and `openway wsdl`: what an integration engineer does at a desk."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from adapter.cli.output import (
    Exit,
    as_json,
    counted,
    print_json,
    print_message,
    print_table,
    print_text,
    say,
)
from adapter.errors import InvalidRequest
from adapter.model.json_members import json_value

if TYPE_CHECKING:
    from adapter.wire.gate import Finding
    from adapter.wire.tools.json_form import ContractReport

_WSDL = click.option(
    "--wsdl",
    type=click.Path(exists=True, path_type=Path),
    help="WSDL file or folder; the packaged contract where left out.",
)


@click.group()
def wire() -> None:
    """Read and write SOAP messages of the contract."""


@wire.command()
@click.argument("file", type=click.File("rb"))
@_WSDL
@click.option("--explain", is_flag=True, help="Also say what in it breaks the schema.")
@click.option("--json", "as_json", is_flag=True, hidden=True)
def decode(file: BinaryIO, wsdl: Path | None, explain: bool, as_json: bool) -> None:
    """Print a message (FILE, - is stdin) as JSON: operation, direction, body.

    An operation that no command uses has a note that says so.
    """
    from adapter.errors import WireError
    from adapter.wire.tools.json_form import MAX_DESK_BYTES, decode_to_json, usage_note

    data = file.read(MAX_DESK_BYTES + 1)
    try:
        shown: dict[str, object] = dict(decode_to_json(data, contract=wsdl))
    except WireError as error:
        raise type(error)(str(error), at=_shown(file.name)) from error
    operation = shown["operation"]
    if operation is not None and (note := usage_note(str(operation), contract=wsdl)):
        shown["note"] = note
    if explain:
        from adapter.wire.catalog import Catalog
        from adapter.wire.tools.explain import explain as remarks

        shown["remarks"] = remarks(Catalog.load(wsdl).place, data)
    print_json(shown)


@wire.command()
@click.argument("operation", metavar="[OPERATION]")
@click.argument("file", type=click.Path(allow_dash=True), required=False)
@_WSDL
@click.option("--json", "as_json", is_flag=True, hidden=True)
def encode(operation: str, file: str | None, wsdl: Path | None, as_json: bool) -> None:
    """Print the envelope for what `decode` prints, or for the body of a request.

    OPERATION as ControlService.DisconnectMeter, or DisconnectMeter; FILE is JSON, else stdin.
    What `decode` printed names its operation itself: then FILE (- is stdin) is enough.
    """
    from adapter.wire.tools.json_form import encode_from_json

    named = None if _is_file(operation) and file is None else operation
    place = operation if named is None else file or "-"
    try:
        with click.open_file(place, "rb") as source:
            message = json_value(source.read())
    except ValueError as error:
        raise InvalidRequest(_shown(place), f"is not JSON: {error}") from error
    if not isinstance(message, dict):
        raise InvalidRequest("message", "must be a JSON object")
    operation = str(message.get("operation", "")) if named is None else named
    if not operation:
        raise InvalidRequest("operation", "is named neither on the command line nor in the message")
    print_message(encode_from_json(operation, message, contract=wsdl))


def _is_file(text: str) -> bool:
    """No operation's name has a slash or ends in .json: then it is meant as a file's."""
    return text == "-" or "/" in text or text.endswith(".json") or Path(text).is_file()


def _shown(place: str) -> str:
    return "stdin" if place in ("-", "<stdin>") else place


@wire.command(name="operations")
@_WSDL
@as_json
def operations(wsdl: Path | None, as_json: bool) -> None:
    """List the operations of the contract."""
    from adapter.wire.catalog import Catalog

    rows = [
        {"operation": spec.key, "path": spec.path, "soap_action": spec.soap_action}
        for spec in Catalog.load(wsdl).operations.values()
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(("operation", "path", "SOAPAction"), (tuple(row.values()) for row in rows))


@click.group()
def wsdl() -> None:
    """Fetch WSDL files from a running service; check them against what the commands need."""


@wsdl.command()
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--to", "folder", type=click.Path(path_type=Path), required=True,
              help="Folder that is made, or is empty.")  # fmt: skip
@click.option("--ca-file", type=click.Path(path_type=Path),
              help="The only authority that is believed; else the system's.")  # fmt: skip
@as_json
def fetch(urls: tuple[str, ...], folder: Path, ca_file: Path | None, as_json: bool) -> None:
    """Save the WSDL of running services, with all that it imports, as files of a folder.

    URL is a service's address, with `?wsdl` (added where there is no query) or `?singleWsdl`.
    Nothing is written before everything is there. Only hosts that were named are asked, without
    credentials.
    """
    from adapter.cli.documents import checked_url, read_document
    from adapter.wire.tools.saved_documents import SavedDocuments

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidRequest("to", f"{folder} is there and is no empty folder")
    saved = SavedDocuments(lambda url: read_document(url, ca_file=ca_file))
    saved.fetch([checked_url(url) for url in urls])
    for name, content in saved.files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    for location in saved.elsewhere:
        say(f"asked for at the host that was named: {location}")
    if as_json:
        print_json({"place": str(folder), "files": list(saved.files)})
        return
    for name in saved.files:
        print_text(str(folder / name))
    say(f"{counted(len(saved.files), 'file')}; next: openway wsdl check {folder}")


@wsdl.command()
@click.argument("place", type=click.Path(exists=True, path_type=Path), required=False)
@as_json
def check(place: Path | None, as_json: bool) -> None:
    """Say which commands a WSDL (file or folder; else the packaged one) would break, and how.

    A folder is judged with the packaged files of callbacks that it lacks, as a start takes it. Of
    one file is told what it carries alone and what it lacks for the rest.
    Ways to subscribe are shown too; only commands make the exit code, for a gateway needs one way.
    """
    from adapter.wire.catalog import Catalog
    from adapter.wire.tools.json_form import report

    told = report(place)
    for remark in told.remarks:
        say(remark)
    place = place or Catalog.load().place
    if as_json:
        lacks = {kind: _operations_in(lacked) for kind, lacked in told.lacks.items()}
        print_json(
            {
                "place": str(place),
                "findings": [asdict(each) for each in told.findings],
                "subscriptions": [asdict(each) for each in told.subscriptions],
                "hosted": dict(told.hosted),
                "carried": [kind for kind, lacked in lacks.items() if not lacked],
                "lacking": {kind: lacked for kind, lacked in lacks.items() if lacked},
            }
        )
    elif told.whole:
        _say_of_folder(place, told)
    else:
        _say_of_file(place, told)
    raise SystemExit(Exit.OK if told.good else Exit.WITHOUT_SUCCESS)


def _say_of_folder(place: Path, told: "ContractReport") -> None:
    if told.findings:
        _print_findings(told.findings)
        broken = {each.command for each in told.findings}
        breaks = f"{counted(len(told.findings), 'finding')}, {counted(len(broken), 'command')}"
        say(f"{place}: {breaks} broken")
    else:
        print_text(f"{place}: all {len(told.lacks)} commands can be carried")
    for operation, problem in told.hosted.items():
        say(f"{place}: {operation}: {problem}; the gateway hosts it, and would not start")
    if told.subscriptions:
        rows = [asdict(each) for each in told.subscriptions]
        print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))
    else:
        print_text(f"{place}: every way to subscribe can be carried")


def _say_of_file(place: Path, told: "ContractReport") -> None:
    carried = [kind for kind, lacked in told.lacks.items() if not lacked]
    names = f": {', '.join(carried)}" if carried else ""
    print_text(f"{place}: carries {len(carried)} of {len(told.lacks)} commands alone{names}")
    if lacked := [each for kind in told.lacks.values() for each in kind]:
        _print_findings(lacked)
    if not told.findings:
        print_text(f"{place}: nothing that is in it breaks a command")
    ways = [way for way, lacking in told.ways.items() if not lacking]
    print_text(f"{place}: carries alone of the ways to subscribe: {', '.join(ways) or 'none'}")
    if told.subscriptions:
        rows = [asdict(each) for each in told.subscriptions]
        print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))
    say("one file is judged alone: other files, and the packaged ones, are not counted")


def _print_findings(findings: "Sequence[Finding]") -> None:
    from adapter.wire.gate import grouped

    print_table(
        ("operation", "problem", "commands"),
        ((key, problem, ", ".join(kinds)) for key, problem, kinds in grouped(findings)),
    )


def _operations_in(findings: "Sequence[Finding]") -> list[str]:
    return list(dict.fromkeys(each.operation for each in findings))

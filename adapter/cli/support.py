"""`openway support-bundle`: what is known of a command, an order or an hour, with pseudonyms."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapter.cli.output import as_json, counted, print_json, print_text, say
from adapter.cli.session import Session, with_session
from adapter.cli.times import MOMENT
from adapter.errors import Conflict

if TYPE_CHECKING:
    from adapter.support.bundle import BundleScope

_PATH = click.Path(path_type=Path)

KEY_FILE = click.option(
    "--key-file",
    type=_PATH,
    help="Key of the pseudonyms, which stays at home; else beside the store, made where there is "
    "none.",
)
NAMES = click.option(
    "--names",
    "names_file",
    type=_PATH,
    help="Write what each pseudonym stands for to this file; keep it.",
)


@click.command(name="support-bundle")
@click.argument("file", metavar="FILE.zip", type=_PATH)
@click.option("--command", default="", help="About this command.")
@click.option("--order", default="", help="About this order, with its commands.")
@click.option("--from", "start", type=MOMENT, help="About all from this time on.")
@click.option("--to", "end", type=MOMENT, help="Up to this time; else an hour later.")
@click.option("--log", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="File that the log is written to.")  # fmt: skip
@KEY_FILE
@NAMES
@as_json
@with_session
def support_bundle(
    session: Session,
    /,
    file: Path,
    command: str,
    order: str,
    start: datetime | None,
    end: datetime | None,
    log: Path | None,
    key_file: Path | None,
    names_file: Path | None,
    as_json: bool,
) -> None:
    """Write FILE.zip, to be given away for help, about one command, one order or an hour.

    Settings, versions, to-do, metrics, audit, messages and log are in it. Serial numbers, ids,
    names, addresses, users and hosts have pseudonyms: the same one throughout, and also in
    recordings that are made with the same key. Without the key no way leads back.
    """
    from adapter.engine.clock import SystemClock
    from adapter.support.bundle import gather, write_bundle
    from adapter.support.pseudonyms import Pseudonyms, key_of
    from adapter.support.redaction import Redaction

    if file.exists():
        raise Conflict(f"{file} is there already; give the name of a new file")
    now = SystemClock().now()
    scope = _scope(command, order, start, end, now)
    key = key_of(key_file_of(session, key_file))
    gathered = gather(session.client, session.loaded, scope, log=log)
    bundle = write_bundle(gathered, Redaction(Pseudonyms(key)), file, at=now)
    if names_file is not None:
        write_names(names_file, bundle.names)
    if as_json:
        left_out = list(bundle.left_out)
        print_json({"file": str(file), "documents": bundle.documents, "left_out": left_out})
        return
    print_text(f"{file}: {counted(bundle.documents, 'document')}")
    for each in bundle.left_out:
        say(f"left out: {each}")
    say("look through it before you give it away: texts of strangers may name what no field names")


def _scope(
    command: str, order: str, start: datetime | None, end: datetime | None, now: datetime
) -> "BundleScope":
    from adapter.support.bundle import LONGEST, BundleScope

    if (bool(command), bool(order), start is not None).count(True) > 1:
        raise click.UsageError("--command, --order and --from: one of them")
    if command or order:
        return BundleScope(command=command, order=order)
    begin = start or now - LONGEST
    until = end or begin + LONGEST
    if not timedelta() < until - begin <= LONGEST:
        raise click.UsageError("--to: after --from, and an hour at the most")
    return BundleScope(start=begin, end=until)


def key_file_of(session: Session, given: Path | None) -> Path:
    return given or session.settings.store.path.with_suffix(".pseudonyms.key")


def write_names(file: Path, names: Mapping[str, str]) -> None:
    """Raises OSError."""
    from adapter.support.pseudonyms import write_table

    write_table(file, names)
    say(f"{file}: {counted(len(names), 'name')}; keep it as you keep the store")

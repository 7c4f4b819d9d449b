"""`openway backup` and `openway restore`: the whole site in one folder, and back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from adapter.cli.output import as_json, counted, say, show_text
from adapter.cli.session import Session, with_session

if TYPE_CHECKING:
    from adapter.service.backup import BackupReport

_FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))


@click.command()
@_FOLDER
@as_json
@with_session
def backup(session: Session, folder: Path, as_json: bool) -> None:
    """Write all that makes the site to DIR, which must be new: both files of the store, bodies,
    keys, witness. The gateway may run. What was written is looked through."""
    from adapter.engine.clock import SystemClock
    from adapter.service.backup import back_up

    _show(back_up(session.settings, folder, now=SystemClock().now()), "written", as_json)


@click.command()
@_FOLDER
@click.option("--replace", is_flag=True, help="Move aside the store that stands there.")
@click.option("--check", is_flag=True, help="Only look through the backup.")
@as_json
@with_session
def restore(session: Session, folder: Path, replace: bool, check: bool, as_json: bool) -> None:
    """Put the backup in DIR where the settings have the store. The gateway must not run.

    Nobody knows what was sent since: connects and disconnects are held until a person has looked
    and confirms it. The witness that is there stays.
    """
    from adapter.engine.clock import SystemClock
    from adapter.service.backup import check_backup
    from adapter.service.backup import restore as put_back

    if check:
        _show(check_backup(folder), "good", as_json)
        return
    now = SystemClock().now()
    report = put_back(session.settings, folder, by="command line", now=now, replacing=replace)
    _show(report, "restored", as_json)
    if not as_json:
        if report.moved is not None:
            say(f"what stood there is in {report.moved}")
        say(
            "connects and disconnects are held. Find out what was sent since, cancel what must not "
            "leave again, then: openway holds confirm older_store --reason TEXT"
        )


def _show(report: "BackupReport", done: str, as_json: bool) -> None:
    files = len(report.manifest.files)
    found = {
        "folder": str(report.folder),
        "made_at": report.manifest.made_at.isoformat(),
        "files": files,
        "bytes": report.size,
        "entries": report.found.entries,
        "head": f"{report.found.head.seq}:{report.found.head.digest.hex()}",
        "commands": report.found.commands,
        "moved": None if report.moved is None else str(report.moved),
    }
    text = (
        f"{done}: {counted(files, 'file')}, {counted(report.size, 'byte')}, "
        f"{counted(report.found.commands, 'command')}, "
        f"{counted(report.found.entries, 'audit entry', 'audit entries')}, checked"
    )
    show_text(found, text, as_json=as_json)

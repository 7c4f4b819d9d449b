"""`openway store`: the files of the store, without a gateway."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from adapter.cli.output import as_json, columns, counted, print_json, print_rows, say
from adapter.cli.session import Session, with_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.service.settings import StoreSettings
    from adapter.store.upkeep.migration import FilePlan, Trial

_MIB: Final = 2**20
FILES: Final = columns(
    "file", "file", "version", "newest", ("MiB", "mib"), ("migrations", "migrations")
)


@click.group()
def store() -> None:
    """Look after the files of the store, without a gateway."""


@store.command(name="migrate")
@click.option("--dry-run", is_flag=True, help="Run it on a copy, and tell what it did and took.")
@click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where the copy of a dry run is made; else beside the store.",
)
@click.option(
    "--backup", "folder", type=click.Path(path_type=Path), help="New folder; written first."
)
@click.option("--no-backup", is_flag=True, help="There is a backup already.")
@as_json
@with_session
def migrate_(
    session: Session,
    dry_run: bool,
    scratch: Path | None,
    folder: Path | None,
    no_backup: bool,
    as_json: bool,
) -> None:
    """Bring the store to this program's version, as a start would, after a backup.

    A dry run changes nothing, and the gateway may run: both files are copied, the copy is migrated
    and looked through. A store of a newer program is refused.
    """
    from adapter.engine.clock import SystemClock
    from adapter.service.backup import back_up
    from adapter.store.upkeep.migration import plan_of, try_on_a_copy

    settings = session.settings.store
    if settings.url:
        if not (dry_run or no_backup):
            raise click.UsageError("with store.url: one of --dry-run and --no-backup is needed")
        _of_server(settings, dry_run=dry_run, as_json=as_json)
        return
    if not dry_run and (folder is None) is not no_backup:
        raise click.UsageError("one of --dry-run, --backup DIR and --no-backup is needed")
    path = settings.path
    plan = plan_of(path)
    trial = None
    if dry_run:
        trial = try_on_a_copy(path, scratch=scratch or path.absolute().parent)
    elif any(each.migrations for each in plan):
        clock = SystemClock()
        if folder is not None:
            back_up(session.settings, folder, now=clock.now())
            say(f"backup: {folder}")
        _bring_up_to_date(path)
    _show(plan, trial, as_json=as_json)


def _of_server(settings: "StoreSettings", *, dry_run: bool, as_json: bool) -> None:
    from adapter.service.stores import bring_server_up_to_date

    plan = bring_server_up_to_date(settings, dry_run=dry_run)
    if as_json:
        print_json({"server": asdict(plan), "dry_run": dry_run})
        return
    names = ", ".join(f"{each:04}" for each in plan.migrations) or "none"
    say(f"version {plan.version}, newest {plan.newest}, migrations: {names}")
    say("all of it was run, and undone: nothing was changed" if dry_run else "done")


def _bring_up_to_date(path: Path) -> None:
    import asyncio

    from adapter.engine.clock import SystemClock
    from adapter.store.commands.commands import SqliteStore

    async def opened() -> None:
        made = SqliteStore(path, now=SystemClock().now)
        await made.open()
        await made.close()

    asyncio.run(opened())


def _show(plan: "Sequence[FilePlan]", trial: "Trial | None", *, as_json: bool) -> None:
    rows = [
        {
            "file": str(each.path),
            "version": each.version,
            "newest": each.newest,
            "bytes": each.bytes,
            "migrations": list(each.migrations),
        }
        for each in plan
    ]
    if as_json:
        print_json(
            {
                "files": rows,
                "dry_run": trial
                and {
                    "copied_s": round(trial.copied_s, 3),
                    "took_s": [round(each, 3) for each in trial.took_s],
                    "bytes_after": list(trial.bytes_after),
                    "commands": trial.found.commands,
                    "audit_entries": trial.found.entries,
                },
            }
        )
        return
    shown = [
        {
            **row,
            "file": each.path.name,
            "mib": f"{each.bytes / _MIB:.1f}",
            "migrations": ", ".join(each.migrations) or "none",
        }
        for row, each in zip(rows, plan, strict=True)
    ]
    print_rows(FILES, shown)
    if trial is not None:
        after = sum(trial.bytes_after) / _MIB
        say(
            f"on a copy it took {sum(trial.took_s):.2f} s, after {trial.copied_s:.2f} s of copying;"
            f" {after:.1f} MiB after it, looked through: "
            f"{counted(trial.found.commands, 'command')}, "
            f"{counted(trial.found.entries, 'audit entry', 'audit entries')}"
        )
        say("nothing was changed")
    elif not any(each.migrations for each in plan):
        say("it is of this program's version")
    else:
        say("done")

"""`openway intake`: payloads from files, and what became of all payloads.

It works on the store of this machine. A gateway that runs on it is handed the files instead.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from adapter.cli.output import as_json, print_json, print_table, say
from adapter.cli.session import Session, with_session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from adapter.engine.data_ports import Counts, ErrorRecord, Payload
    from adapter.engine.spool import Spool
    from adapter.payloads import Taking

T = TypeVar("T")

_PROGRESS_S: Final = 2.0

_PATH = click.Path(path_type=Path)


class _PathsOrCommand(click.Group):
    """`openway intake PATH...` is `openway intake load PATH...`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return "load", self.commands["load"], args


@click.group(cls=_PathsOrCommand)
def intake() -> None:
    """Take in payloads of readings and events from files; show payloads and error records.

    `openway intake PATH...` takes in files (.xml, .xml.gz) and directories of them. Loading a file
    again changes nothing.
    """


@intake.command()
@click.argument("paths", nargs=-1, required=True, type=_PATH)
@as_json
@with_session
def load(session: Session, paths: tuple[Path, ...], as_json: bool) -> None:
    """Take in files and directories."""
    import asyncio

    from adapter.intake.handing import files_of

    files = list(files_of(paths))
    done = asyncio.run(_load(session, files, quiet=as_json))
    if done is None:
        say(f"{len(files)} files handed to the gateway that runs on this store")
    else:
        _show_payloads(done, as_json=as_json)


@intake.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@as_json
@with_session
def payloads(session: Session, limit: int, as_json: bool) -> None:
    """List payloads, newest first: size, counts, and why one was refused."""
    import asyncio

    async def work(taking: "Taking") -> "Sequence[Payload]":
        return await taking.data.payloads(limit=limit)

    _show_payloads(asyncio.run(_with_store(session, work)), as_json=as_json)


@intake.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@as_json
@with_session
def errors(session: Session, limit: int, as_json: bool) -> None:
    """List open error records: what gave no measurement, where it stood, and why."""
    import asyncio

    async def work(taking: "Taking") -> "Sequence[ErrorRecord]":
        return await taking.data.errors(limit=limit)

    found = asyncio.run(_with_store(session, work))
    columns = ("id", "payload", "part", "position", "endpoint", "why", "detail")
    rows = [{name: getattr(item, name) for name in columns} for item in found]
    if as_json:
        print_json(rows)
        return
    print_table(columns, (tuple(row.values()) for row in rows))
    say(f"{len(rows)} open error records")


@intake.command()
@as_json
@with_session
def reprocess(session: Session, as_json: bool) -> None:
    """Process open error records again, with the tables and devices as they are now."""
    import asyncio

    from adapter.errors import StoreFailed

    async def work(taking: "Taking") -> "Counts":
        return await taking.intake.reprocess()

    try:
        counts = asyncio.run(_with_store(session, work))
    except StoreFailed as error:
        if not _in_use(error):
            raise
        _spool(session).ask_to_reprocess()
        say("asked the gateway that runs on this store")
        return
    told = {"values": counts.new + counts.revised, "still_open": counts.errors}
    if as_json:
        print_json(told)
    else:
        click.echo(f"{told['values']} values made, {told['still_open']} records stay open")


async def _load(session: Session, files: list[Path], *, quiet: bool) -> "Sequence[Payload] | None":
    """None where a running gateway was handed the files."""
    from adapter.engine.clock import SystemClock
    from adapter.errors import StoreFailed
    from adapter.intake.handing import hand_in

    clock, spool = SystemClock(), _spool(session)

    async def work(taking: "Taking") -> "Sequence[Payload]":
        if not quiet:
            taking.intake.progress = _Progress().show
        while (await taking.intake.once()).worked:
            pass
        return await taking.data.payloads(limit=max(len(files), 1))

    for number, path in enumerate(files, 1):
        if not quiet:
            say(f"{number}/{len(files)} {path}")
        await hand_in(spool, path, clock)
    try:
        return await _with_store(session, work)
    except StoreFailed as error:
        if not _in_use(error):
            raise
        return None


class _Progress:
    """Says now and then how far the payload is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_S

    def show(self, counts: "Counts") -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_S
            say(f"  {counts.parts} devices, {counts.values} values")


def _in_use(error: Exception) -> bool:
    return "in use" in str(error)


def _spool(session: Session) -> "Spool":
    from adapter.payloads import spool_of

    return spool_of(session.settings.intake, session.settings.store.path)


async def _with_store(session: Session, work: "Callable[[Taking], Awaitable[T]]") -> T:
    """Raises StoreFailed, also where a gateway runs on the store."""
    from adapter.engine.clock import SystemClock
    from adapter.payloads import taking
    from adapter.store.sqlite import SqliteStore

    settings, clock = session.settings, SystemClock()
    store = SqliteStore(settings.store.path, now=clock.now)
    await store.open()
    try:
        made = taking(store, clock, settings.intake, zone=settings.contract.time_zone)
        assert made is not None
        try:
            return await work(made)
        finally:
            await made.intake.stop()
    finally:
        await store.close()


def _show_payloads(found: "Sequence[Payload]", *, as_json: bool) -> None:
    rows = [
        {
            "id": item.id,
            "source": item.source,
            "state": item.state.value,
            "bytes": item.size,
            **{
                name: item.counts.get(name, 0)
                for name in (
                    "parts",
                    "values",
                    "new",
                    "revised",
                    "repeated",
                    "filtered",
                    "events",
                    "unreported",
                )
            },
            "errors": item.counts.get("errors", 0) + item.counts.get("bad_parts", 0),
            "reason": item.reason,
            "position": item.position,
        }
        for item in found
    ]
    if as_json:
        print_json(rows)
        return
    if rows:
        print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))
    say(f"{len(rows)} payloads")

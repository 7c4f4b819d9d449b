"""`openway record` and `openway replay`: exchanges as files, and playing them back."""

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from adapter.cli.output import (
    Exit,
    as_json,
    cell,
    console,
    counted,
    print_json,
    print_table,
    print_text,
    say,
)
from adapter.cli.session import Session, with_session
from adapter.cli.support import KEY_FILE, NAMES, key_file_of, write_names
from adapter.cli.times import MOMENT

if TYPE_CHECKING:
    from rich.status import Status

    from adapter.replay.order_run import PlayedOrder
    from adapter.replay.played import Played

_T = TypeVar("_T")
_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--to",
    "below",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("fixtures"),
    show_default=True,
    help="Where the folders are written.",
)
@click.option("--list", "only_list", is_flag=True, help="List the scenarios; record nothing.")
@click.option("--since", type=MOMENT, help="A running gateway: commands from this time on.")
@click.option("--until", type=MOMENT, help="And before this time; else now.")
@KEY_FILE
@NAMES
@as_json
@with_session
def record(
    session: Session,
    /,
    names: tuple[str, ...],
    below: Path,
    only_list: bool,
    since: datetime | None,
    until: datetime | None,
    key_file: Path | None,
    names_file: Path | None,
    as_json: bool,
) -> None:
    """Record scenarios against the simulated head end; or, with --since, a running gateway.

    NAMES are names or patterns of the catalogue (remote_connect/success, '*/time_out'), or folders
    with a scenario.toml or an order.toml, which are recorded again in place. Without NAMES: the
    whole catalogue.

    Of a running gateway commands that have ended are read page by page from its API (role admin).
    Serial numbers, ids, names and addresses have the pseudonyms of `openway support-bundle`.
    """
    if since is not None:
        if names or only_list:
            raise click.UsageError("--since: records a running gateway, not scenarios by name")
        _record_site(session, below, since, until, key_file, names_file, as_json=as_json)
        return
    from adapter.replay.order_run import orders_below, record_orders
    from adapter.replay.run import found_below, named, record_again, record_all

    _quietly()
    folders = [Path(name) for name in names if Path(name).is_dir()]
    patterns = [name for name in names if not Path(name).is_dir()]
    wanted = named(patterns) if patterns or not folders else ()
    if only_list:
        listed = [{"scenario": each.name, "shows": each.shows} for each in wanted]
        if as_json:
            print_json(listed)
        else:
            print_table(("scenario", "shows"), (tuple(each.values()) for each in listed))
        return
    rows: list[dict[str, object]] = []
    orders = orders_below(folders)
    for played in record_orders(orders):
        rows.append({"folder": played.name, "messages": 0, "seconds": played.virtual_s})
        if not as_json:
            say(f"{played.name}: {_span(played.virtual_s)}")
    again = found_below([each for each in folders if not orders_below([each])])
    for made in (record_all(wanted, below), record_again(again)):
        for recording, folder in made:
            count = len(recording.messages)
            rows.append({"folder": str(folder), "messages": count, "seconds": recording.ends_at})
            if not as_json:
                say(f"{folder}: {counted(count, 'message')} in {_span(recording.ends_at)}")
    if as_json:
        print_json(rows)


def _record_site(
    session: Session,
    below: Path,
    since: datetime,
    until: datetime | None,
    key_file: Path | None,
    names_file: Path | None,
    *,
    as_json: bool,
) -> None:
    from adapter.engine.clock import SystemClock

    now = SystemClock().now()
    if since > now:
        raise click.UsageError("--since: is in the future")
    if below.is_dir() and any(below.iterdir()):
        raise click.UsageError(
            f"--to: {below} is not empty; a recording of a running gateway needs a new folder"
        )
    from adapter.replay.scenario import write
    from adapter.support.pseudonyms import Pseudonyms, key_of
    from adapter.support.redaction import Redaction
    from adapter.support.site_recording import record_site

    redaction = Redaction(Pseudonyms(key_of(key_file_of(session, key_file))))
    made = record_site(session.client, session.settings, redaction, start=since, end=until or now)
    for each in made.recordings:
        write(each, below / each.scenario.name)
    if names_file is not None:
        write_names(names_file, redaction.pseudonyms.known)
    commands = sum(len(each.scenario.ids) for each in made.recordings)
    messages = sum(len(each.messages) for each in made.recordings)
    if as_json:
        counts = {"recordings": len(made.recordings), "commands": commands, "messages": messages}
        print_json({"to": str(below), **counts, "left_out": made.left_out})
        return
    recordings = counted(len(made.recordings), "recording")
    words = f"{counted(commands, 'command')}, {counted(messages, 'message')}"
    print_text(f"{below}: {recordings} of {words}")
    for line in made.left_out:
        say(f"left out: {line}")
    say(f"next: openway replay {below}")


@click.command()
@click.argument("folders", nargs=-1, required=True, type=_FOLDER)
@click.option(
    "--transcript",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write all messages and decisions to this file: the same each time, byte for byte.",
)
@as_json
def replay(folders: tuple[Path, ...], transcript: Path | None, as_json: bool) -> None:
    """Play recordings at or below FOLDERS in virtual time and name the first difference of each.

    The gateway is the real one; head end and clock come from the recording. Service orders
    (folders with an order.toml) run against the simulated head end and crew.
    """
    from adapter.replay.order_run import orders_below, play_orders
    from adapter.replay.run import found_below, play_all

    _quietly()
    orders = orders_below(folders)
    found = found_below([each for each in folders if not orders or _recorded(each)])
    with console(stderr=True).status("playing") as status:
        played = _one_by_one(found, play_all(found), status, silent=as_json)
        ran = _one_by_one(orders, play_orders(orders), status, silent=as_json)
    if transcript is not None:
        transcript.write_bytes(b"\n".join(each.transcript for each in played))
    if as_json:
        names = (
            "name",
            "difference",
            "decision",
            "unused",
            "commands",
            "messages",
            "virtual_s",
            "real_s",
        )
        some = ("name", "difference", "virtual_s", "real_s")
        print_json(
            [
                *({name: getattr(each, name) for name in names} for each in played),
                *({name: getattr(each, name) for name in some} for each in ran),
            ]
        )
    else:
        _show_played(played, ran)
    for each in played:
        for file in each.unused if not as_json else ():
            say(f"{each.name}: {file} is used by nothing")
    if any(each.difference for each in played) or any(each.difference for each in ran):
        raise SystemExit(Exit.WITHOUT_SUCCESS)


def _one_by_one(
    folders: Sequence[Path], played: Iterator[_T], status: "Status", *, silent: bool
) -> list[_T]:
    """What came of `folders`; `played` plays the next of them each time it is asked.

    How far it is stands on stderr: on a terminal the one it is at, elsewhere a line a folder.
    """
    from rich.text import Text

    ran: list[_T] = []
    for parent, below in groupby(folders, key=lambda folder: folder.parent):
        before = len(ran)
        for folder in below:
            status.update(Text(cell(f"playing {len(ran) + 1} of {len(folders)}: {folder}")))
            ran.append(next(played))
        if not (silent or status.console.is_terminal):
            say(f"{parent}: {counted(len(ran) - before, 'recording')} played")
    return ran


def _recorded(folder: Path) -> bool:
    return any(folder.rglob("scenario.toml"))


def _show_played(played: "Sequence[Played]", ran: "Sequence[PlayedOrder]") -> None:
    if ran:
        print_table(
            ("order", "virtual time", "real time", "first difference"),
            (
                (
                    each.name,
                    _span(each.virtual_s),
                    f"{each.real_s * 1000:.0f} ms",
                    each.difference or "none",
                )
                for each in ran
            ),
        )
    if played:
        print_table(
            ("scenario", "commands", "messages", "virtual time", "real time", "first difference"),
            (
                (
                    each.name,
                    each.commands,
                    each.messages,
                    _span(each.virtual_s),
                    f"{each.real_s * 1000:.0f} ms",
                    each.difference or "none",
                )
                for each in played
            ),
        )
        for each in played:
            if each.decision and each.decision != each.difference:
                say(f"{each.name}: first decision that differs: {each.decision}")
    everything: list[Played | PlayedOrder] = [*played, *ran]
    virtual, real = sum(x.virtual_s for x in everything), sum(x.real_s for x in everything)
    differing = sum(1 for each in everything if each.difference)
    say(
        f"{counted(len(everything), 'recording')}, {differing} differ; "
        f"{_span(round(virtual))} of virtual time in {real:.2f} s"
    )


def _span(seconds: float) -> str:
    """Seconds as days, hours, minutes and seconds; parts that are nought are left out."""
    whole, rest = divmod(seconds, 60)
    minutes, hours, days = int(whole) % 60, int(whole) // 60 % 24, int(whole) // 1440
    parts = [
        f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if count
    ]
    if rest or not parts:
        parts.append(f"{rest:g} s")
    return " ".join(parts)


def _quietly() -> None:
    """What goes wrong in a scenario is meant to: it is told in the outcome, not in a log."""
    logging.getLogger("adapter").addHandler(logging.NullHandler())

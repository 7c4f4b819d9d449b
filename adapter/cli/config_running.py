"""`openway config diff`, `openway reload` and `openway health`: a gateway that runs, its settings,
and whether it is well."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from adapter.cli.client import Json, fields, items
from adapter.cli.output import (
    Exit,
    as_json,
    columns,
    counted,
    print_json,
    print_rows,
    say,
    show_text,
)
from adapter.cli.session import Session, with_session
from adapter.errors import SettingsError

if TYPE_CHECKING:
    from adapter.cli.client import Client
    from adapter.service.settings import LoadedSettings

_FILE: Final = click.Path(path_type=Path)
_TAKEN: Final = {
    "reload": "reload",
    "restart": "restart",
    "command_line": "none: the command line reads it each time",
}
CHANGES: Final = columns(
    "setting/settings",
    ("setting", "name"),
    ("before", lambda row: row["before"] or "not given"),
    ("after", lambda row: row["after"] or "not given"),
    ("takes", lambda row: _TAKEN[str(row["taken_by"])]),
)


@click.command()
@click.argument("before", required=False, type=_FILE)
@click.argument("after", required=False, type=_FILE)
@as_json
@with_session
def diff(session: Session, before: Path | None, after: Path | None, as_json: bool) -> None:
    """What differs, and whether a reload or a restart takes it.

    Of two files: BEFORE to AFTER. Of one: from the settings in force in the running gateway to that
    file, but for secrets. Of none: to what the gateway's own files have now. Secrets are compared,
    and never shown; variables of the environment go before each file. Ends with 1 where any differ.
    """
    note = ""
    if before is None:
        rows, note = _since_the_start(session)
    elif after is None:
        rows, note = _from_the_running(session, session.at(before).loaded)
    else:
        rows = _of_two(session.at(before).loaded, session.at(after).loaded)
    if as_json:
        print_json({"items": rows, "problem": note})
    else:
        if rows:
            print_rows(CHANGES, rows)
        restart = sum(row["taken_by"] == "restart" for row in rows)
        more = f"; a restart takes {restart} of them" if restart else ""
        say(f"{counted(len(rows), 'setting differs', 'settings differ')}{more}")
        if note:
            say(note)
    raise SystemExit(Exit.WITHOUT_SUCCESS if rows or note else Exit.OK)


def _of_two(before: "LoadedSettings", after: "LoadedSettings") -> list[Mapping[str, Json]]:
    from adapter.service.settings_changes import changes

    return [
        {
            "name": each.name,
            "before": each.before,
            "after": each.after,
            "taken_by": each.taken_by.value,
        }
        for each in changes(before, after)
    ]


def _since_the_start(session: Session) -> tuple[list[Mapping[str, Json]], str]:
    answer = session.client.get("/settings")
    problem = fields(answer)["problem"]
    rows: list[Mapping[str, Json]] = [
        {
            "name": row["name"],
            "before": row["value"],
            "after": "another content" if row["found"] == row["value"] else row["found"],
            "taken_by": row["taken_by"],
        }
        for row in items(answer)
        if row["found"] is not None
    ]
    return rows, f"a reload would be refused: {problem}" if problem else ""


def _from_the_running(
    session: Session, wanted: "LoadedSettings"
) -> tuple[list[Mapping[str, Json]], str]:
    from adapter.service.settings_changes import taken_by
    from adapter.service.settings_table import values

    answer = session.client.get("/settings")
    running = {str(row["name"]): row for row in items(answer)}
    folder = Path(str(fields(answer)["file"])).parent
    found = {each.shown_name: each for each in values(wanted).values()}
    rows: list[Mapping[str, Json]] = []
    for name in dict.fromkeys((*running, *found)):
        before = str(running[name]["value"]) if name in running else ""
        after = found[name].text if name in found else ""
        if before == after or (
            name in found
            and isinstance(value := found[name].value, Path)
            and wanted.file is not None
            and value.is_relative_to(wanted.file.parent)
            and folder / value.relative_to(wanted.file.parent) == Path(before)
        ):
            continue
        plain = name.removesuffix("_file") if name not in found else found[name].leaf.name
        taken = (
            running[name]["taken_by"]
            if name in running
            else taken_by(plain, wanted.settings, wanted.settings).value
        )
        if taken != "command_line":  # this one's own is no setting of the gateway
            rows.append({"name": name, "before": before, "after": after, "taken_by": taken})
    return rows, ""


_NOTHING: Final = "nothing new; a changed file of keys is taken within seconds, without a reload"


@click.command()
@click.option("--reason", default="", help="Goes into the audit.")
@as_json
@with_session
def reload(session: Session, reason: str, as_json: bool) -> None:
    """Have the running gateway take changed certificates, keys, passwords and tables, as SIGHUP
    does. A bad file is named, and all of before stays in force; then it ends with 6. With a
    settings file that cannot be read here the gateway is not asked."""
    client = _client(session, "; it goes on with the settings of before")
    answer = fields(client.post("/settings/reload", {"reason": reason}))
    taken, restart, problems = (_names(answer[each]) for each in ("taken", "restart", "problems"))
    lines = [f"taken: {', '.join(taken) or _NOTHING}"]
    if restart:
        lines.append(f"waits for a restart: {', '.join(restart)}")
    lines += [f"not taken: {each}" for each in problems]
    show_text(answer, "\n".join(lines), as_json=as_json)
    raise SystemExit(Exit.SETTINGS if problems else Exit.OK)


def _client(session: Session, more: str = "") -> "Client":
    """Raises SettingsError, which says that nobody was asked."""
    try:
        return session.client
    except SettingsError as error:
        raise SettingsError(f"{error}\nthe gateway was not asked{more}") from error


def _names(found: Json) -> Sequence[str]:
    return [str(each) for each in found] if isinstance(found, list) else []


@click.command()
@click.option("--ready", is_flag=True, help="Whether it is ready: not where it is leaving.")
@as_json
@with_session
def health(session: Session, ready: bool, as_json: bool) -> None:
    """Ask the running gateway whether it answers; no key is needed. For watchdogs and containers:
    ends with 0 where it does, with 5 where not."""
    status, text = _client(session).beside_the_api("/readyz" if ready else "/healthz")
    try:
        answer = fields(json.loads(text))
    except ValueError:
        answer = {}
    show_text(answer, str(answer.get("status", f"HTTP {status}")), as_json=as_json)
    raise SystemExit(Exit.OK if status == 200 else Exit.UNREACHABLE)

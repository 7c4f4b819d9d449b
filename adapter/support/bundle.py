"""A support bundle: what is known of a command, order or hour, in one archive, with pseudonyms."""

import json
import platform
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from adapter import __version__
from adapter.doctor.machine import versions
from adapter.engine.private_files import owner_only
from adapter.errors import GatewayError
from adapter.service.settings import LoadedSettings
from adapter.service.settings_table import shown
from adapter.support.redaction import Json, Redaction, plain
from adapter.support.rest import (
    GatewayApi,
    audit_between,
    moment_of,
    object_of,
    pages,
    rows_of,
)

MOST_COMMANDS: Final = 500
MOST_ENTRIES: Final = 20_000
MOST_LOG_LINES: Final = 50_000
LONGEST: Final = timedelta(hours=1)
_NUMBER: Final = re.compile(r"\d{1,12}(\.\d{1,6})?|true|false|yes|no")
_NAMING: Final = re.compile(r"user|name|group|key|host|url|password|secret|path|file")
_STATES: Final = {
    "readiness": "",
    "clock": "/clock",
    "switch-holds": "/switch-holds",
    "todo": "/todo",
    "subscriptions": "/subscriptions",
    "retention": "/retention",
    "set-aside": "/set-aside",
    "receivers": "/events/receivers",
    "ledger": "/ledger",
    "durations": "/durations",
}
"""What is asked of the gateway whatever the bundle is about, and where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleScope:
    """One command, one order, or all between two times."""

    command: str = ""
    order: str = ""
    start: datetime | None = None
    end: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Gathered:
    """Documents by their names in the archive, before any has a pseudonym. `versions`: of this
    program, its packages, Python and the platform; they name nobody, and stay. `left_out`: what
    could not be had, or was too much, and why."""

    versions: Mapping[str, str] = field(default_factory=dict)
    documents: dict[str, Json] = field(default_factory=dict)
    texts: dict[str, Sequence[str]] = field(default_factory=dict)
    metrics: str = ""
    left_out: list[str] = field(default_factory=list)


def gather(
    api: GatewayApi, loaded: LoadedSettings, scope: BundleScope, *, log: Path | None
) -> Gathered:
    """Ask for everything. Raises GatewayError where the command or order is not there."""
    found = Gathered()
    rows = shown(loaded, everything=True)
    found.documents["settings"] = [
        {"setting": row.name, "value": row.value, "origin": row.origin} for row in rows
    ]
    machine = f"{platform.system()} {platform.machine()}"
    found.versions = {"openway": __version__, **versions(), "platform": machine}
    for name, path in _STATES.items():
        _keep(found, api, name, path)
    status, text = api.beside_the_api("/metrics")
    if status == 200:
        found.metrics = text
    else:
        found.left_out.append(f"metrics: HTTP {status}; a key with the role metrics is needed")
    _keep_about(found, api, scope)
    if log is not None:
        found.texts["log"] = _lines(log, scope, found)
    return found


def _keep(found: Gathered, api: GatewayApi, name: str, path: str) -> None:
    try:
        answer = api.get(path) if path else json.loads(api.beside_the_api("/readyz")[1])
        found.documents[name] = plain(object_of(answer))
    except (GatewayError, ValueError) as error:
        found.left_out.append(f"{name}: {error}")


def _keep_about(found: Gathered, api: GatewayApi, scope: BundleScope) -> None:
    if scope.command:
        _command(found, api, scope.command)
        return
    if scope.order:
        order = object_of(api.get(f"/orders/{quote(scope.order, safe='')}"))
        found.documents["order"] = plain(order)
        for command in _commands_of(order):
            _command(found, api, command)
        return
    assert scope.start is not None
    assert scope.end is not None
    start, end = scope.start, scope.end
    for number, row in enumerate(_changed(api, start, end)):
        if number == MOST_COMMANDS:
            found.left_out.append(f"commands: more than {MOST_COMMANDS}")
            break
        _command(found, api, str(row["id"]))
    entries = [plain(row) for row in audit_between(api, start, end, most=MOST_ENTRIES)]
    found.documents["audit"] = list(entries)
    if len(entries) == MOST_ENTRIES:
        found.left_out.append(f"audit: more than {MOST_ENTRIES} entries")
    found.documents["inbox"] = [plain(row) for row in _arrived(api, start, end)]


def _commands_of(order: Mapping[str, object]) -> list[str]:
    children = order.get("children")
    rows = children if isinstance(children, list) else []
    named = [each.get("command") for each in rows if isinstance(each, dict)]
    return [each for each in named if isinstance(each, str)]


def _changed(api: GatewayApi, start: datetime, end: datetime) -> Iterator[dict[str, object]]:
    """Commands that were accepted before `end`, and changed since `start`."""
    for row in pages(api, "/commands", {"updated": start}, most=10 * MOST_COMMANDS):
        if moment_of(row["created_at"]) < end:
            yield row


def _arrived(api: GatewayApi, start: datetime, end: datetime) -> Iterator[dict[str, object]]:
    for row in pages(api, "/inbox", {"since": start}, most=MOST_ENTRIES):
        if moment_of(row["at"]) < end:
            yield row


def _command(found: Gathered, api: GatewayApi, command: str) -> None:
    path = f"/commands/{quote(command, safe='')}"
    found.documents[f"commands/{command}"] = plain(
        {
            "command": api.get(path),
            "history": rows_of(api.get(f"{path}/history")),
            "outcomes": rows_of(api.get(f"{path}/outcomes")),
            "messages": rows_of(api.get(f"{path}/messages")),
        }
    )


def _lines(log: Path, scope: BundleScope, found: Gathered) -> list[str]:
    """Of the log those in the time, or with the id, that the bundle is about."""
    wanted = scope.command or scope.order
    kept: list[str] = []
    with log.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if wanted in line if wanted else _within(line, scope):
                kept.append(line.rstrip("\n"))
            if len(kept) == MOST_LOG_LINES:
                found.left_out.append(f"log: more than {MOST_LOG_LINES} lines")
                break
    return kept


def _within(line: str, scope: BundleScope) -> bool:
    """A line whose time cannot be told is kept."""
    try:
        value = json.loads(line)
        at = moment_of(next(value[name] for name in ("at", "time", "ts") if name in value))
        assert scope.start is not None
        assert scope.end is not None
        return scope.start <= at < scope.end
    except (ValueError, TypeError, StopIteration, RecursionError):
        return True


# ---------------------------------------------------------------- the archive


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What was written. `documents`: files in the archive, the manifest too. `names`: what each
    pseudonym stands for; it stays at home."""

    file: Path
    documents: int
    left_out: tuple[str, ...]
    names: Mapping[str, str]


def write_bundle(gathered: Gathered, redaction: Redaction, file: Path, *, at: datetime) -> Bundle:
    """Write a new archive, its owner's alone. Raises OSError: also where there is one."""
    for document in gathered.documents.values():
        redaction.learn(document)
    for reason in _written_in_holds(gathered.documents.get("switch-holds")):
        redaction.learn(reason, "reason")
    made = {name: redaction.document(each) for name, each in gathered.documents.items()}
    settings = gathered.documents.get("settings")
    made["settings"] = _settings(settings if isinstance(settings, list) else [], redaction)
    made["versions"] = plain(gathered.versions)
    texts = {
        f"{name}.txt": "".join(f"{redaction.line(each)}\n" for each in lines)
        for name, lines in gathered.texts.items()
    }
    if gathered.metrics:
        texts["metrics.txt"] = redaction.metrics(gathered.metrics)
    documents = len(made) + len(texts) + 1
    left_out = [redaction.program_text(each) for each in gathered.left_out]
    made["manifest"] = {
        "made_at": at.isoformat(),
        "version": __version__,
        "documents": documents,
        "left_out": list(left_out),
    }
    with (
        open(file, "xb", opener=owner_only) as out,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, document in made.items():
            text = json.dumps(document, indent=1, ensure_ascii=False)
            archive.writestr(f"{_named(name, redaction)}.json", text)
        for name, text in texts.items():
            archive.writestr(name, text)
    return Bundle(
        file=file,
        documents=documents,
        left_out=tuple(gathered.left_out),
        names=dict(redaction.pseudonyms.known),
    )


def _named(name: str, redaction: Redaction) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}/{redaction.name(last)}" if slash else name


def _plain_number(name: str, value: str) -> bool:
    last = name.rpartition(".")[2]
    return bool(_NUMBER.fullmatch(value)) and not _NAMING.search(last)


def _written_in_holds(holds: Json) -> Iterator[str]:
    """What people wrote: it stands behind a colon in a sentence of the program."""
    for hold in rows_of(holds) if isinstance(holds, dict) else ():
        if str(hold.get("by") or ""):
            yield str(hold.get("text", "")).partition(": ")[2]


def _settings(rows: list[Json], redaction: Redaction) -> list[Json]:
    """Names of settings are the program's own; values too, where nobody has set them."""
    made: list[Json] = []
    for row in rows:
        if not isinstance(row, dict):
            continue
        name, value = str(row["setting"]), str(row["value"])
        if row["origin"] != "default" and not _plain_number(name, value):
            value = str(redaction.document(value))
        made.append({"setting": row["setting"], "value": value, "origin": row["origin"]})
    return made

"""`openway intake`: payloads from files, and what became of all payloads.

It works on the store of this machine. A gateway that runs on it is handed the files instead.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from adapter.cli.client import fields, items
from adapter.cli.numbers import WholeNumber
from adapter.cli.output import (
    ROW_NUMBER,
    Exit,
    as_json,
    columns,
    counted,
    limit_option,
    named_problem,
    say,
    show_fields,
    show_list,
    show_text,
)
from adapter.cli.session import Session, with_session
from adapter.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from msgspec import Struct

    from adapter.engine.readings.ports import Counts, Payload
    from adapter.engine.readings.spool import Spool
    from adapter.service.payloads import PayloadServices

T = TypeVar("T")

_PROGRESS_S: Final = 2.0
_MOST_SAID: Final = 20
_BEYOND: Final = 2**62
"""No store has counted so far."""

ERROR_RECORDS: Final = columns(
    "open error record", "id payload part position endpoint reason detail"
)
_COUNTS: Final = "parts values new revised repeated filtered rejected events unreported"
LOADED_PAYLOADS: Final = columns(
    "payload", "id source state bytes", _COUNTS, "errors reason position"
)
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

    `openway intake PATH...` takes in files (.xml, .xml.gz) and directories of them. A file that
    cannot be read is named and the others are taken in. Loading a file again changes nothing.
    """


@intake.command()
@click.argument("paths", nargs=-1, required=True, type=_PATH)
@click.option("--corrects", type=ROW_NUMBER, help="Number of the payload that PATH stands in for. "
              "Once it is loaded without a bad part, that payload's bad parts are closed, and its "
              "records of values where the file has every one of them.")  # fmt: skip
@as_json
@with_session
def load(session: Session, paths: tuple[Path, ...], corrects: int | None, as_json: bool) -> None:
    """Take in files and directories."""
    import asyncio

    from adapter.engine.readings.spool import files_of

    files = list(files_of(paths))
    if corrects is not None:
        _check_corrects(session, files, corrects)
    taken = asyncio.run(_hand_in(session, files, corrects, quiet=as_json))
    if files and not taken:
        raise SystemExit(Exit.INVALID)
    done = asyncio.run(_load(session, taken, quiet=as_json))
    if done is None:
        say(f"{counted(taken, 'file')} handed to the gateway that runs on this store")
        if corrects is not None:
            say(f"what then stays open: openway intake errors --payload {corrects}")
    else:
        _show_payloads(done, as_json=as_json)
        if corrects is not None:
            _say_what_stays(session, corrects)
    if taken < len(files):
        say(f"{len(files) - taken} of {counted(len(files), 'file')} not taken")
        raise SystemExit(Exit.WITHOUT_SUCCESS)


def _check_corrects(session: Session, files: "Sequence[Path]", corrects: int) -> None:
    """Before anything is handed in."""
    if len(files) != 1:
        raise InvalidRequest("corrects", "goes with one file")
    store = session.settings.store
    there = (bool(store.url) or store.path.exists()) and 0 < corrects < _BEYOND
    found = _payloads(session, before=corrects + 1, limit=1) if there else ()
    if corrects not in [item.id for item in found]:
        raise NotFound(
            f"corrects: no payload {corrects}; it takes the number of one that "
            "`openway intake payloads` lists"
        )


def _say_what_stays(session: Session, payload: int) -> None:
    import asyncio

    left = asyncio.run(_with_store(session, _errors(_MOST_SAID, payload)))
    many = counted(len(left), "open error record")
    more = " or more" if len(left) == _MOST_SAID else ""
    say(f"payload {payload} still has {many}{more}{':' if left else ''}")
    for row in left:
        say(f"  {row['id']}: {row['reason']} {row['detail']} ({row['endpoint'] or '-'})")
    if left:
        say(
            "closed are, once the file has no bad part, bad parts, and values where the file has "
            "each of them: same device, quantity, source and time"
        )


@intake.command()
@click.option("--limit", type=WholeNumber(1, 10_000), default=50, show_default=True)
@as_json
@with_session
def payloads(session: Session, limit: int, as_json: bool) -> None:
    """List payloads, newest first: size, counts, and why one was refused."""
    _show_payloads(_payloads(session, limit=limit), as_json=as_json)


def _payloads(session: Session, *, before: int | None = None, limit: int) -> "Sequence[Payload]":
    """Of the store of this machine, also beside a gateway that runs on it."""
    import asyncio

    from adapter.engine.readings.ports import PayloadId
    from adapter.errors import StoreInUse

    number = None if before is None else PayloadId(before)

    async def work(taking: "PayloadServices") -> "Sequence[Payload]":
        return await taking.data.payloads(before=number, limit=limit)

    try:
        return asyncio.run(_with_store(session, work))
    except StoreInUse:
        pass  # of the gateway that runs on it: what it has stored can be read beside it
    from adapter.store.readings import reports

    connection = reports.open_store(
        session.settings.store.files("to look beside a gateway that runs")
    )
    try:
        return reports.payloads(connection, number, limit)
    finally:
        connection.close()


@intake.command()
@click.option("--payload", type=ROW_NUMBER, help="Only those of this payload.")
@limit_option()
@as_json
@with_session
def errors(session: Session, payload: int | None, limit: int, as_json: bool) -> None:
    """List open error records: what gave no measurement, where it stood, and why."""
    rows = _on_store_or_api(
        session, _errors(limit, payload), lambda: _errors_asked(session, limit, payload)
    )
    show_list(rows, ERROR_RECORDS, as_json=as_json)


def _errors(
    limit: int, payload: int | None
) -> "Callable[[PayloadServices], Awaitable[list[dict[str, object]]]]":
    async def work(taking: "PayloadServices") -> list[dict[str, object]]:
        from adapter.engine.readings.ports import PayloadId
        from adapter.web.api.quarantine import IntakeErrorOut

        number = None if payload is None else PayloadId(payload)
        found = await taking.desk.errors(payload=number, limit=limit)
        return [_as_row(IntakeErrorOut.of(item)) for item in found]

    return work


def _errors_asked(session: Session, limit: int, payload: int | None) -> list[dict[str, object]]:
    answer = session.client.get("/intake/errors", {"limit": limit, "payload": payload})
    return [dict(row) for row in items(answer)]


@intake.command()
@as_json
@with_session
def reprocess(session: Session, as_json: bool) -> None:
    """Process open error records again, with the tables and devices as they are now."""

    async def work(taking: "PayloadServices") -> dict[str, object]:
        from adapter.web.api.quarantine import IntakeReprocessed

        return _as_row(IntakeReprocessed.of(await taking.desk.reprocess()))

    told: dict[str, object] = _on_store_or_api(
        session, work, lambda: dict(fields(session.client.post("/intake/errors/retry")))
    )
    values, events = counted(told["values"], "value"), counted(told["events"], "event")
    text = f"{values} and {events} made, still open: {told['still_open']}"
    show_text(told, text, as_json=as_json)


@intake.command()
@click.argument("errors", metavar="ERROR...", nargs=-1, required=True, type=ROW_NUMBER)
@click.option("--reason", required=True, help="Why nobody will mend it; goes into the audit.")
@as_json
@with_session
def discard(session: Session, errors: tuple[int, ...], reason: str, as_json: bool) -> None:
    """Close error records, which nobody will mend."""

    async def work(taking: "PayloadServices") -> None:
        for error in errors:
            await taking.desk.discard(error, by="command line", reason=reason)

    def ask() -> None:
        for error in errors:
            session.client.post(f"/intake/errors/{error}/discard", {"reason": reason})

    _on_store_or_api(session, work, ask)
    named = ", ".join(map(str, errors))
    show_text({"discarded": list(errors)}, f"discarded: error record {named}", as_json=as_json)


@intake.command(name="reload")
@as_json
@with_session
def reload_(session: Session, as_json: bool) -> None:
    """Have a running gateway read its tables of intake and events again. They are checked first:
    a bad file is named with its row, and those before stay in force. SIGHUP does the same."""
    show_fields(session.client.post("/intake/reload"), as_json=as_json)


def _on_store_or_api(
    session: Session, work: "Callable[[PayloadServices], Awaitable[T]]", ask: "Callable[[], T]"
) -> T:
    """On the store of this machine; where a gateway runs on it, that one is asked."""
    import asyncio

    from adapter.errors import StoreInUse

    try:
        return asyncio.run(_with_store(session, work))
    except StoreInUse:
        return ask()


def _as_row(item: "Struct") -> dict[str, object]:
    import msgspec

    return msgspec.convert(msgspec.to_builtins(item), dict[str, object])


async def _hand_in(
    session: Session, files: list[Path], corrects: int | None, *, quiet: bool
) -> int:
    """How many were taken; each of the others is named with what is wrong with it."""
    from adapter.engine.clock import SystemClock
    from adapter.engine.readings.spool import hand_in

    clock, spool = SystemClock(), _spool(session)
    most = session.settings.listener.bodies.data_bytes
    taken = 0
    for number, path in enumerate(files, 1):
        if not quiet:
            say(f"{number}/{len(files)} {path}")
        try:
            await hand_in(spool, path, clock, most_bytes=most, corrects=corrects)
            taken += 1
        except OSError as error:
            say(f"not taken: {named_problem(error)}")
    return taken


async def _load(session: Session, taken: int, *, quiet: bool) -> "Sequence[Payload] | None":
    """None where a running gateway was handed the files."""
    from adapter.errors import StoreInUse

    async def work(taking: "PayloadServices") -> "Sequence[Payload]":
        if not quiet:
            taking.intake.progress = _Progress().show
        while (await taking.intake.once()).worked:
            pass
        return await taking.data.payloads(limit=max(taken, 1))

    try:
        return await _with_store(session, work)
    except StoreInUse:
        return None


class _Progress:
    """Says now and then how far the payload is."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _PROGRESS_S

    def show(self, counts: "Counts") -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _PROGRESS_S
            say(f"  {counted(counts.parts, 'device')}, {counted(counts.values, 'value')}")


def _spool(session: Session) -> "Spool":
    from adapter.service.payloads import spool_of

    return spool_of(session.settings.intake, session.settings.store.path)


async def _with_store(session: Session, work: "Callable[[PayloadServices], Awaitable[T]]") -> T:
    """Raises StoreFailed, also where a gateway runs on the store."""
    from zoneinfo import ZoneInfo

    from adapter.engine.clock import SystemClock
    from adapter.service.payloads import taking
    from adapter.service.stores import store_of

    settings, clock = session.settings, SystemClock()
    store = store_of(settings.store, now=clock.now)
    await store.open()
    try:
        made = taking(store, clock, settings.intake, zone=ZoneInfo(settings.contract.time_zone))
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
            **{name: item.counts.get(name, 0) for name in _COUNTS.split()},
            "errors": item.counts.get("errors", 0) + item.counts.get("bad_parts", 0),
            "reason": item.reason,
            "position": item.position,
        }
        for item in found
    ]
    show_list(rows, LOADED_PAYLOADS, as_json=as_json)

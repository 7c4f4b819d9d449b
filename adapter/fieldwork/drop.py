"""Files in folders: messages are laid in out/, reports are taken from in/.

    out/     one file a message, `<id>.json`; the field work system takes them away
    in/      one file a report, `*.json`, put there by renaming a whole file; taken in name order
    done/    reports that were taken
    failed/  reports that were not, each with `<name>.reason` beside it

Every file is complete when it has its name. A crash leaves a message under the same name with the
same content, or a report in in/ that is known by its id when it is taken again.
"""

import asyncio
import contextlib
import logging
import os
import stat
from pathlib import Path
from typing import Final

from adapter.engine.orders.field_work import FieldInbox, FieldMessage, Receipt
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import Conflict, GatewayError, InvalidRequest, NotFound
from adapter.fieldwork.messages import BadReport, message_json, read_report
from adapter.fieldwork.settings import DropSettings
from adapter.orders.lookups import BASE, OrderLookups

log = logging.getLogger(__name__)

_REFUSED: Final = (BadReport, Conflict, NotFound, InvalidRequest)
"""What no second try would change; everything else leaves the file where it is."""


class FileDrop:
    """A field work system that reads and writes files. `look` may also be called by hand."""

    def __init__(self, settings: DropSettings, *, lookups: OrderLookups = BASE) -> None:
        self._settings = settings
        self._lookups = lookups
        self._out, self._in, self._done, self._failed = (
            settings.folder / name for name in ("out", "in", "done", "failed")
        )
        self._watching: asyncio.Task[None] | None = None

    async def send(self, message: FieldMessage) -> None:
        """Returns when the file is on disk under its name. Raises OSError."""
        await asyncio.to_thread(self._write, message)

    def _write(self, message: FieldMessage) -> None:
        self._make_folders()
        name = message.id.replace("/", "-") + ".json"
        _write_whole(self._out / name, message_json(message))

    async def start(self, inbox: FieldInbox) -> None:
        await asyncio.to_thread(self._make_folders)
        inbox.set_aside.on_discard(RowKind.FIELD_REPORT, self._discarded)
        self._watching = asyncio.get_running_loop().create_task(self._watch(inbox))

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None

    async def _watch(self, inbox: FieldInbox) -> None:
        while True:
            try:
                await self.look(inbox)
            except Exception:
                # The files are still there: the next look takes them.
                log.exception("field_reports_not_taken")
            await asyncio.sleep(self._settings.poll_s)

    async def look(self, inbox: FieldInbox) -> int:
        """Take what lies in in/; the number of files looked at. Raises StoreFailed, and OSError
        where the folders cannot be had.

        A report is moved to done/ only when the inbox has it durably. One that fails otherwise than
        by being refused stays where it is, and is noted.
        """
        await asyncio.to_thread(self._make_folders)
        names = await asyncio.to_thread(self._waiting)
        free = [name for name in names if not inbox.set_aside.held(RowKind.FIELD_REPORT, name)]
        for name in free:
            await inbox.set_aside.attend(RowKind.FIELD_REPORT, name, self._take(name, inbox))
        return len(free)

    async def _take(self, name: str, inbox: FieldInbox) -> None:
        try:
            raw = await asyncio.to_thread(self._read, name)
            receipt = await inbox.receive(read_report(raw, self._lookups))
        except _REFUSED as error:
            await asyncio.to_thread(self._refuse, name, error)
            log.warning("field_report_refused", extra={"file": name, "code": error.code})
            return
        await asyncio.to_thread(self._move, name, self._done)
        if receipt is Receipt.REPEATED:
            log.info("field_report_repeated", extra={"file": name})

    async def _discarded(self, name: str, by: str, reason: str) -> None:
        """A person gave it up where it was set aside."""
        await asyncio.to_thread(self._refuse, name, Conflict(f"discarded by {by}: {reason}"))

    def _make_folders(self) -> None:
        for folder in (self._out, self._in, self._done, self._failed):
            folder.mkdir(parents=True, exist_ok=True)

    def _waiting(self) -> list[str]:
        with os.scandir(self._in) as entries:
            names = [each.name for each in entries if each.name.endswith(".json")]
        return sorted(name for name in names if not name.startswith("."))

    def _read(self, name: str) -> bytes:
        """Raises BadReport for what is too large, or no ordinary file."""
        limit = self._settings.report_bytes
        try:
            number = os.open(self._in / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError as error:
            raise BadReport(f"{name}: {error.strerror}") from error
        try:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                raise BadReport(f"{name}: not an ordinary file")
            with os.fdopen(number, "rb", closefd=False) as file:
                raw = file.read(limit + 1)
        finally:
            os.close(number)
        if len(raw) > limit:
            raise BadReport(f"{name}: larger than {limit} bytes")
        return raw

    def _refuse(self, name: str, error: GatewayError) -> None:
        kept = self._move(name, self._failed)
        _write_whole(kept.with_name(kept.name + ".reason"), f"{error.code}: {error}\n".encode())

    def _move(self, name: str, folder: Path) -> Path:
        """Never over a file of the same name that was there before."""
        target = folder / name
        number = 1
        while os.path.lexists(target):
            number += 1
            target = folder / f"{name.removesuffix('.json')}.{number}.json"
        with contextlib.suppress(FileNotFoundError):  # somebody took it away meanwhile
            (self._in / name).rename(target)
        _sync(folder)
        _sync(self._in)
        return target


def _write_whole(path: Path, content: bytes) -> None:
    """Durable when it returns. Others write in these folders: a link that lies at the name, or at
    that of the unfinished file, is replaced and never written through. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.unlink(missing_ok=True)
    with unfinished.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

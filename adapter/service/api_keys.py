"""The file of API keys: lines written into it, and read again while the gateway runs.

What a file has that cannot be used is not in force: the keys before it are, and people are told.
"""

import asyncio
import fcntl
import logging
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from adapter.engine.commands.ports import AuditNote, Change, Clock, Store
from adapter.engine.private_files import OWNER_ONLY, write_whole
from adapter.engine.upkeep.todo import Todo
from adapter.engine.upkeep.todo_kinds import of_key_file
from adapter.errors import Conflict, InvalidRequest, SettingsError
from adapter.model.values import replace
from adapter.server.credentials import ApiKeys
from adapter.server.settings import ApiKey, RestSettings, Role, check_keys
from adapter.service.settings import in_clear
from adapter.settings.loading import entries
from adapter.settings.text_files import secret_from_file

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 1.0
_SUBJECT: Final = "keys"
"""Of entries of the audit that have all keys."""

_OF_OTHERS: Final = stat.S_IWGRP | stat.S_IRWXO
"""What of its mode a file of keys does not keep."""


# ---------------------------------------------------------------- the file


def read_keys(path: Path) -> tuple[ApiKey, ...]:
    """Raises SettingsError, which repeats no token."""
    return _keys_of(secret_from_file(path, several=True).reveal())


def append_key(path: Path, key: ApiKey) -> None:
    """Add its line; make the file where there is none. Raises InvalidRequest where it does not go
    with the keys that are there, SettingsError where those are bad, OSError."""
    with _rewriting(path) as lines:
        known = _keys_of("\n".join(lines))
        try:
            check_keys((*known, key))
        except SettingsError as error:
            raise InvalidRequest("key", str(error)) from None
        lines.append(key.line)


def hash_tokens(path: Path) -> Sequence[ApiKey]:
    """Put digests where tokens stand in clear; those that did. Raises SettingsError, OSError."""
    found: list[ApiKey] = []
    with _rewriting(path) as lines:
        for number, line in enumerate(lines):
            for entry in entries(line):
                if (key := ApiKey.from_line(entry)).in_clear:
                    found.append(key)
                    lines[number] = key.line
    return found


def remove_key(path: Path, id_: str, remark: str, *, now: datetime) -> None:
    """Put a remark in the place of its line. Raises Conflict for the last administrator's,
    SettingsError, OSError."""
    with _rewriting(path) as lines:
        if [key.id for key in _keys_of("\n".join(lines)) if _administers(key, now)] == [id_]:
            raise Conflict("the last key with the role admin; add another first")
        for number, line in enumerate(lines):
            if any(ApiKey.from_line(entry).id == id_ for entry in entries(line)):
                lines[number] = f"# {remark}"


def _administers(key: ApiKey, now: datetime) -> bool:
    return Role.ADMIN in key.roles and (key.expires_at is None or now < key.expires_at)


@contextmanager
def _rewriting(path: Path) -> Iterator[list[str]]:
    """Its lines, which are written back if they are good: all of them or none. One at a time."""
    path = path.resolve()
    with _alone(path.parent):
        known = path.stat() if path.exists() else None
        old = "" if known is None else secret_from_file(path, several=True).reveal()
        lines = old.removesuffix("\n").split("\n") if old else []  # as `entries` reads them
        yield lines
        text = "".join(f"{line}\n" for line in lines)
        _keys_of(text)

        def content(descriptor: int) -> bytes:
            if known is not None:  # the gateway may run as somebody else than who writes here
                os.fchown(descriptor, known.st_uid, known.st_gid)
                os.fchmod(descriptor, stat.S_IMODE(known.st_mode) & ~_OF_OTHERS | OWNER_ONLY)
            return text.encode()

        write_whole(path, content)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _keys_of(text: str) -> tuple[ApiKey, ...]:
    keys = tuple(map(ApiKey.from_line, entries(text)))
    check_keys(keys)
    return keys


# ---------------------------------------------------------------- while the gateway runs


Mark = tuple[int, int, int]
"""By which a file that was written again shows: inode, time, size."""


class WatchedKeys:
    """Has the keys that are in force follow their file, and audits every change of them."""

    def __init__(
        self,
        settings: RestSettings,
        keys: ApiKeys,
        clock: Clock,
        store: Store,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._clock = clock
        self._store = store
        self._path = settings.keys_path
        self._looked_s = float("-inf")
        self._mark = self._last = None if self._path is None else _mark(self._path)
        self._reading = asyncio.Lock()
        self.problem = ""
        self._since: datetime | None = None

    async def start(self) -> None:
        """Audit what has changed while the gateway did not run."""
        before, after = await self._audited(), _shown(self._keys.all())
        if before == after:
            return
        notes = [] if before is None else list(_changes(before, after, "since the last run"))
        await self._audit(notes)

    async def _audited(self) -> Mapping[str, object] | None:
        """The keys that were in force by the audit, by id; None: it knows of none yet."""
        found, after = None, 0
        while entries := await self._store.audit(subject=_SUBJECT, after=after):
            found, after = entries[-1].note.detail["keys"], entries[-1].seq
        return found if isinstance(found, Mapping) else None

    async def _audit(self, notes: Sequence[AuditNote]) -> None:
        detail = {"keys": _shown(self._keys.all())}
        now = AuditNote(actor="gateway", action="KeysInForce", subject=_SUBJECT, detail=detail)
        await self._store.save([Change(audit=(*notes, now))])

    async def once(self) -> int:
        """Look whether the file was written. One that still changes is left alone until it does no
        more: it may be half of a file."""
        now_s = self._clock.elapsed_s()
        if self._path is None or now_s - self._looked_s < _LOOK_EVERY_S:
            return 0
        self._looked_s = now_s
        mark = await asyncio.to_thread(_mark, self._path)
        settled, self._last = mark == self._last, mark
        if settled and mark != self._mark:
            await self.reload(by="gateway")
        return 0

    async def reload(self, *, by: str, reason: str = "") -> bool:
        """Put what the file has in force, or say why that cannot be. Whether it has other keys than
        were in force. Raises StoreFailed."""
        if self._path is None:
            return False
        async with self._reading:
            self._mark = await asyncio.to_thread(_mark, self._path)
            try:
                keys = await asyncio.to_thread(read_keys, self._path)
                replace(self._settings, keys=keys)
            except SettingsError as error:
                self.problem = f"{self._path}: {error}"
                self._since = self._since or self._clock.now()
                log.error("api_keys_refused", extra={"reason": self.problem})
                return False
            self.problem, self._since = "", None
            return await self._use(keys, by, reason)

    async def _use(self, keys: Sequence[ApiKey], by: str, reason: str) -> bool:
        before = _shown(self._keys.all())
        added = self._keys.use(keys)
        notes = list(_changes(before, _shown(keys), reason, by))
        for note in notes:
            extra = {"action": note.action, "key": note.subject, "name_of_key": note.detail["name"]}
            log.warning("api_key_changed", extra=extra)
        if clear := ", ".join(key.name for key in added if key.in_clear):
            log.warning("secret_open_to_others", extra={"reason": in_clear(clear)})
        if notes:
            await self._audit(notes)
        return bool(notes)

    async def withdraw(self, key: str, *, by: str, reason: str) -> None:
        """By id, or by a name that has one key alone: its line goes out of the file, and what is
        under way in its name ends. Raises NotFound, Conflict, StoreFailed."""
        await self.reload(by="gateway")
        found = self._keys.called(key)
        if self._path is None:
            raise Conflict("the keys are of no file: they change where they come from")
        if len(found) > 1:
            ids = ", ".join(each.id for each in found)
            raise Conflict(f"{key} has {len(found)} keys: which of {ids}?")
        (one,) = found
        now = self._clock.now()
        remark = f"{now:%F %T}Z: {one.name} {one.id} was withdrawn by {by}"
        try:
            await asyncio.to_thread(remove_key, self._path, one.id, remark, now=now)
        except (SettingsError, OSError) as error:
            raise Conflict(f"the key is in force, its file stays as it is: {error}") from None
        await self.reload(by=by, reason=reason)
        if self.problem:
            raise Conflict(f"the key is in force: {self.problem}")

    async def doubt(self) -> str:
        """What readiness says; empty where the file is in force."""
        return self.problem and f"api.keys_file: the keys before are in force: {self.problem}"

    async def todo(self) -> Sequence[Todo]:
        return [] if self._since is None else [of_key_file(self.problem, self._since)]


def _mark(path: Path) -> Mark | None:
    """None where there is no such file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _shown(keys: Sequence[ApiKey]) -> dict[str, object]:
    """What of keys the audit has, by id."""
    return {
        key.id: {
            "name": key.name,
            "roles": [role.value for role in Role if role in key.roles],
            "expires_at": None if key.expires_at is None else key.expires_at.isoformat(),
            "fingerprint": key.token_sha256[:8],
        }
        for key in keys
    }


def _changes(
    before: Mapping[str, object], after: Mapping[str, object], reason: str, by: str = "gateway"
) -> Iterator[AuditNote]:
    for id_ in dict.fromkeys((*after, *before)):
        old, new = before.get(id_), after.get(id_)
        if old != new:
            action = "KeyAdded" if old is None else "KeyWithdrawn" if new is None else "KeyChanged"
            known = new if isinstance(new, Mapping) else old
            detail = {**(known if isinstance(known, Mapping) else {}), "reason": reason}
            yield AuditNote(actor=by, action=action, subject=f"key:{id_}", detail=detail)

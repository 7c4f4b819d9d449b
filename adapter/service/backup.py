"""`openway backup` and `openway restore`: all that makes a site, in one folder with a manifest.

A backup is of one moment, also of a gateway that runs. It is looked through after writing, and
again before anything of it is put back. What was put back holds its switch orders: nobody knows
what was sent since.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from adapter import __version__
from adapter.engine.commands.ports import AuditNote
from adapter.engine.commands.switch_holds import Hold, HoldReason
from adapter.engine.private_files import owner_only, sync_folder, write_whole
from adapter.engine.upkeep.witness_file import WitnessDamaged, read_witness
from adapter.errors import Conflict, InvalidRequest, NotFound, StoreFailed
from adapter.model.values import replace
from adapter.service.payloads import spool_of
from adapter.service.settings import Settings
from adapter.store.files import FileLock
from adapter.store.readings.file import path_beside
from adapter.store.upkeep.backup import StoreCopy, check_copy, copy_store, hold_copy

MANIFEST: Final = "manifest.json"
_STORE: Final = "store.db"
_MEASURED: Final = path_beside(Path(_STORE)).name
_KEYS: Final = "callback.keys"
_WITNESS: Final = "witness"
_SPOOL: Final = "spool"
_TICKETS: Final = "incoming"
_FORMAT: Final = 1
_CHUNK: Final = 1024 * 1024
_LARGEST_MANIFEST: Final = 256 * 1024 * 1024
_NAME: Final = re.compile(r"(spool/(incoming/)?)?[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFile:
    """One file of a backup; `name` is its place there, `sha256` in hexadecimal digits."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup has. `seq` and `digest` are the audit's head, `program` who wrote it."""

    format: int
    program: str
    made_at: datetime
    seq: int
    digest: str
    files: tuple[BackupFile, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """A backup as it was found; `moved` is where what a restore replaced has gone."""

    folder: Path
    manifest: Manifest
    found: StoreCopy
    moved: Path | None = None

    @property
    def size(self) -> int:
        """Bytes of all of its files."""
        return sum(each.bytes for each in self.manifest.files)


def back_up(settings: Settings, folder: Path, *, now: datetime) -> BackupReport:
    """Write a backup to `folder`, which must be new or empty. It is there whole or not at all.

    Raises InvalidRequest for the folder, NotFound without a store, StoreFailed where it cannot be
    read or written, or is damaged.
    """
    store = settings.store.files("a backup by the gateway")
    if not store.is_file():
        raise NotFound(f"there is no store at {store}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidRequest("folder", f"{folder} is there and not empty")
    partial = folder.with_name(folder.name + ".part")
    with _writing(partial):
        partial.mkdir(mode=0o700, parents=True)
        _copy_all(settings, partial)
        found = check_copy(partial / _STORE)
        files = tuple(_file_of(partial, path) for path in _files_below(partial))
        manifest = Manifest(
            format=_FORMAT,
            program=__version__,
            made_at=now,
            seq=found.head.seq,
            digest=found.head.digest.hex(),
            files=files,
        )
        write_whole(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
        sync_folder(folder.parent)
    return BackupReport(folder=folder, manifest=manifest, found=found)


def _copy_all(settings: Settings, to: Path) -> None:
    # Before the store: a witness that is newer than it would tell an older copy.
    witness = settings.store.witness_file
    if witness.is_file():
        write_whole(to / _WITNESS, witness.read_bytes())
    keys = _keys(settings)
    if keys:
        write_whole(to / _KEYS, "".join(f"{key}\n" for key in keys).encode())
    spool = spool_of(settings.intake, settings.store.path).folder

    def spooled(names: Sequence[str]) -> None:
        tickets = sorted((spool / _TICKETS).glob("*.json"))
        handed_in = [each.name.removesuffix(".json") for each in tickets]
        _copy_files(spool, to / _SPOOL, {*names, *handed_in})
        _copy_files(spool / _TICKETS, to / _SPOOL / _TICKETS, [each.name for each in tickets])

    copy_store(settings.store.path, to / _STORE, spooled=spooled)


def _keys(settings: Settings) -> list[str]:
    """Those that sign callback addresses, the first signs."""
    if settings.callbacks.keys:
        return [key.reveal().strip() for key in settings.callbacks.keys]
    path = _key_file(settings)
    return [path.read_text(encoding="ascii", errors="replace").strip()] if path.is_file() else []


def _key_file(settings: Settings) -> Path:
    return settings.store.path.with_suffix(".key")


def _copy_files(source: Path, to: Path, names: Iterable[str]) -> None:
    """Those that are there: what was taken in and is old enough may have gone."""
    for name in sorted(names):
        if _NAME.fullmatch(name) and "/" not in name and (source / name).is_file():
            to.mkdir(mode=0o700, parents=True, exist_ok=True)
            _copy_file(source / name, to / name)


def _copy_file(source: Path, to: Path) -> None:
    with open(source, "rb") as given, open(to, "xb", opener=owner_only) as out:
        shutil.copyfileobj(given, out, _CHUNK)
        out.flush()
        os.fsync(out.fileno())


def _files_below(folder: Path) -> list[Path]:
    return sorted(each for each in folder.rglob("*") if each.is_file())


def _file_of(folder: Path, path: Path) -> BackupFile:
    """As it is on disk now."""
    digest, size = hashlib.sha256(), 0
    with open(path, "rb") as file:
        while piece := file.read(_CHUNK):
            digest.update(piece)
            size += len(piece)
        os.fsync(file.fileno())
    name = path.relative_to(folder).as_posix()
    return BackupFile(name=name, bytes=size, sha256=digest.hexdigest())


@contextmanager
def _writing(partial: Path) -> Iterator[None]:
    """What was begun and not finished is not left behind."""
    if partial.exists():
        raise InvalidRequest("folder", f"{partial} is there: of a backup that was not finished")
    try:
        yield
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise StoreFailed(f"the backup cannot be written: {error}") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


# ---------------------------------------------------------------- look at one


def check_backup(folder: Path) -> BackupReport:
    """Whether a backup is whole: all of its files, each byte, both databases, the audit.

    Raises NotFound where it is none, StoreFailed naming what is wrong with it.
    """
    manifest = _manifest(folder)
    there = {each.name: each for each in manifest.files}
    for name, told in there.items():
        if not (folder / name).is_file():
            raise StoreFailed(f"{name} is missing in the backup")
        if _file_of(folder, folder / name) != told:
            raise StoreFailed(f"{name} is not what was written")
    for path in _files_below(folder):
        name = path.relative_to(folder).as_posix()
        if name not in there and name != MANIFEST:
            raise StoreFailed(f"{name} does not belong to the backup")
    for name in (_STORE, _MEASURED):
        if name not in there:
            raise StoreFailed(f"{name} is missing in the backup")
    found = check_copy(folder / _STORE)
    if (found.head.seq, found.head.digest.hex()) != (manifest.seq, manifest.digest):
        raise StoreFailed(f"the head of the audit is not the one that {MANIFEST} names")
    return BackupReport(folder=folder, manifest=manifest, found=found)


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFound(f"{folder} is no backup: it has no {MANIFEST}")
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise StoreFailed(f"{MANIFEST} is damaged")
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise StoreFailed(f"{MANIFEST} is damaged: {error}") from error
    if found.format != _FORMAT:
        raise StoreFailed(f"{MANIFEST} has format {found.format}, this program knows {_FORMAT}")
    bad = [
        each.name
        for each in found.files
        if not _NAME.fullmatch(each.name) or not _DIGEST.fullmatch(each.sha256)
    ]
    if bad:
        raise StoreFailed(f"{MANIFEST} names what no backup has: {json.dumps(bad[0])[:100]}")
    return found


# ---------------------------------------------------------------- put one back


def restore(
    settings: Settings, folder: Path, *, by: str, now: datetime, replacing: bool = False
) -> BackupReport:
    """Put a backup where the settings have the store, with its switch orders held.

    What stands there is moved aside with `replacing`, else it is a Conflict; so is a gateway that
    runs, and keys in the settings that are others than the backup's. The witness that is there
    stays: it knows what was sent since. Raises also as `check_backup` does.
    """
    settings.store.files("a backup by the gateway")
    report = check_backup(folder)
    place = _Place(settings, folder, report.manifest)
    place.check_keys()
    lock = FileLock(settings.store.path)
    settings.store.path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.take()
        if settings.store.path.exists():
            lock.take_file(settings.store.path)
    except StoreFailed as error:
        raise Conflict(f"stop the gateway first: {error}") from error
    try:
        place.prepare(by=by, now=now)
        moved = place.move_aside(now, replacing=replacing)
        place.put()
    except OSError as error:
        raise StoreFailed(f"the backup cannot be put back: {error}") from error
    finally:
        place.clear()
        lock.release()
    return replace(report, moved=moved)


class _Place:
    """Where a backup goes: what stands there, what is put there."""

    def __init__(self, settings: Settings, folder: Path, manifest: Manifest) -> None:
        self._settings = settings
        self._folder = folder
        self._manifest = manifest
        self._store = settings.store.path
        self._partial = self._store.with_name(f"{self._store.stem}.restoring.db")
        self._spool = spool_of(settings.intake, self._store).folder
        self._names = {each.name for each in manifest.files}

    def check_keys(self) -> None:
        """Raises Conflict where callbacks for the backup's commands would be refused."""
        given = [key.reveal().strip() for key in self._settings.callbacks.keys]
        wanted = self._kept_keys()
        if given and not set(wanted) <= set(given):
            raise Conflict(
                "callbacks.keys_file lacks a key of the backup, which signed the addresses of its "
                f"commands: add the lines of {_KEYS}"
            )
        if not given and len(wanted) > 1:
            raise Conflict(
                f"the backup has {len(wanted)} keys: name {_KEYS} in callbacks.keys_file"
            )

    def _kept_keys(self) -> list[str]:
        if _KEYS not in self._names:
            return []
        return (self._folder / _KEYS).read_text(encoding="ascii", errors="replace").split()

    def prepare(self, *, by: str, now: datetime) -> None:
        """Both files beside the place that they go to, switch orders held in them."""
        self.clear()
        made_at = self._manifest.made_at.isoformat(timespec="seconds")
        text = (
            f"the store was restored from a backup of {made_at}: what was sent since is not known"
        )
        detail = {"made_at": made_at, "seq": self._manifest.seq, "why": text}
        note = AuditNote(actor=by, action="Restored", subject="store", detail=detail)
        _copy_file(self._folder / _STORE, self._partial)
        _copy_file(self._folder / _MEASURED, path_beside(self._partial))
        hold = Hold(reason=HoldReason.OLDER_STORE, since=now, text=text)
        hold_copy(self._partial, hold, note, at=now)
        check_copy(self._partial)

    def _standing(self) -> list[Path]:
        """What makes a store, without its lock and its witness."""
        files = [
            path.with_name(path.name + end)
            for path in (self._store, path_beside(self._store))
            for end in ("", "-wal", "-shm", "-journal")
        ]
        if not self._settings.callbacks.keys:
            files.append(_key_file(self._settings))
        return [each for each in (*files, self._spool) if each.exists()]

    def move_aside(self, now: datetime, *, replacing: bool) -> Path | None:
        """Into a folder of its own; None where nothing stands there. Raises Conflict where
        something does, and nothing was said of replacing it."""
        standing = self._standing()
        if not standing:
            return None
        if not replacing:
            raise Conflict(f"{standing[0]} is there; --replace moves aside what a store is made of")
        name = f"{self._store.stem}.before-{now:%Y%m%dT%H%M%S%fZ}"
        aside = self._store.with_name(name)
        aside.mkdir(mode=0o700)
        for path in standing:
            shutil.move(path, aside / path.name)
        sync_folder(aside)
        return aside

    def put(self) -> None:
        """The store first: a start refuses one that lacks its measurements or its key."""
        self._partial.rename(self._store)
        path_beside(self._partial).rename(path_beside(self._store))
        keys = self._kept_keys()
        if keys and not self._settings.callbacks.keys:
            write_whole(_key_file(self._settings), keys[0].encode())
        for name in sorted(self._names):
            if name.startswith(f"{_SPOOL}/"):
                target = self._spool / name.removeprefix(f"{_SPOOL}/")
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _copy_file(self._folder / name, target)
        witness = self._settings.store.witness_file
        if _WITNESS in self._names and not _tells(witness):
            write_whole(witness, (self._folder / _WITNESS).read_bytes())
        sync_folder(self._store.parent)

    def clear(self) -> None:
        for path in (self._partial, path_beside(self._partial)):
            for end in ("", "-wal", "-shm", "-journal"):
                path.with_name(path.name + end).unlink(missing_ok=True)


def _tells(witness: Path) -> bool:
    try:
        return read_witness(witness) is not None
    except WitnessDamaged:
        return False

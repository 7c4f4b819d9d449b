"""Large bodies on disk: compressed while they come in, durable before they are answered."""

import asyncio
import errno
import hashlib
import json
import os
import secrets
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from adapter.engine.commands.ports import Clock, Spooled
from adapter.engine.private_files import owner_only, sync_folder, write_whole
from adapter.engine.readings.ports import Excerpt
from adapter.errors import InvalidRequest, StoreFailed
from adapter.model.bounds import GIB

_TICKETS: Final = "incoming"
_GZIP: Final = 31
_MAGIC: Final = b"\x1f\x8b"
_LEVEL: Final = 1
_SUFFIXES: Final = (".xml", ".xml.gz")
HEAD_BYTES: Final = 64 * 1024
_AROUND: Final = 400
_READ: Final = 64 * 1024
_WRITE: Final = 256 * 1024
_UNSYNCED: Final = 1024 * 1024
"""The most that is written before the disk has it: the store's commits wait behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A file that somebody handed in; its body is spooled already. `corrects` is the number of
    the payload that it stands in for."""

    file: str
    source: str
    size: int
    digest: bytes
    at: datetime
    corrects: int | None = None


class Spool:
    """A folder of bodies, each a gzip file. Nothing is in it that was not written whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, at: datetime) -> "Spooling":
        """A new body. Raises StoreFailed where the folder cannot be had."""
        return Spooling(self.folder, f"{at:%Y%m%d-%H%M%S}-{secrets.token_hex(8)}.xml.gz")

    def path(self, file: str) -> Path:
        """Raises ValueError for a name that leads elsewhere."""
        if not file or Path(file).name != file:
            raise ValueError(f"{file!r} is no name of a spool file")
        return self.folder / file

    def remove(self, file: str) -> None:
        self.path(file).unlink(missing_ok=True)

    # ------------------------------------------------------------ files that were handed in

    def hand_in(self, ticket: Ticket) -> None:
        """Durable when it returns: the spooled body is taken in by whoever has the store open."""
        folder = self.folder / _TICKETS
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = json.dumps(
            {
                "source": ticket.source,
                "size": ticket.size,
                "digest": ticket.digest.hex(),
                "corrects": ticket.corrects,
            }
        )
        write_whole(folder / f"{ticket.file}.json", content.encode())

    def handed_in(self) -> list[str]:
        """The bodies that were handed in and are not taken in yet, oldest first."""
        found = sorted((self.folder / _TICKETS).glob("*.json"))
        return [path.name.removesuffix(".json") for path in found]

    def ticket(self, file: str) -> Ticket:
        """What stands in the ticket of a body. Raises OSError, ValueError, KeyError, TypeError for
        one that cannot be read."""
        path = self.folder / _TICKETS / f"{file}.json"
        told = json.loads(path.read_text(encoding="utf-8"))
        return Ticket(
            file=file,
            source=told["source"],
            size=told["size"],
            digest=bytes.fromhex(told["digest"]),
            at=datetime.fromtimestamp(path.stat().st_mtime, tz=UTC),
            corrects=told.get("corrects"),
        )

    def tickets(self) -> list[Ticket]:
        """All of them, oldest first; raises as `ticket` does."""
        return [self.ticket(file) for file in self.handed_in()]

    def done(self, file: str) -> None:
        (self.folder / _TICKETS / f"{file}.json").unlink(missing_ok=True)

    # ------------------------------------------------------------ house

    def sweep(self, known: frozenset[str], *, older_than: float) -> int:
        """Remove what nothing refers to: bodies that were begun and never answered."""
        removed = 0
        known = known | set(self.handed_in())
        for path in self.folder.glob("*.gz"):
            if path.name not in known and path.stat().st_mtime < older_than:
                path.unlink(missing_ok=True)
                removed += 1
        return removed


class Spooling:
    """One body on its way to disk. After `done` it is durable; after `drop` there is nothing.

    Bodies that stand still are as many as there are connections: none keeps its file open.
    """

    def __init__(self, folder: Path, file: str) -> None:
        self._folder = folder
        self._file = file
        self._compressor = zlib.compressobj(_LEVEL, wbits=_GZIP)
        self._digest = hashlib.sha256()
        self._size = 0
        self._unsynced = 0
        self._waiting = bytearray()
        self._begun = False

    async def add(self, piece: bytes) -> None:
        """Take the next bytes. Raises StoreFailed."""
        self._waiting += piece
        if len(self._waiting) >= _WRITE:
            await self._flush()

    async def done(self) -> Spooled:
        """Everything is on disk when this returns. Raises StoreFailed."""
        await self._flush()
        await asyncio.to_thread(self._finish)
        return Spooled(file=self._file, size=self._size, digest=self._digest.digest())

    async def drop(self) -> None:
        await asyncio.to_thread(self._drop)

    async def _flush(self) -> None:
        piece, self._waiting = bytes(self._waiting), bytearray()
        await asyncio.to_thread(self._write, piece)

    def _write(self, piece: bytes) -> None:
        try:
            with self._open() as out:
                self._size += len(piece)
                self._digest.update(piece)
                self._unsynced += out.write(self._compressor.compress(piece))
                if self._unsynced >= _UNSYNCED:
                    self._unsynced = 0
                    out.flush()
                    os.fdatasync(out.fileno())
        except OSError as error:
            raise StoreFailed(f"cannot spool a body: {error}") from error

    def _open(self) -> BinaryIO:
        path = self._folder / self._file
        if self._begun:
            return open(path, "r+b", opener=_at_its_end)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        out = open(path, "xb", opener=owner_only)  # noqa: SIM115
        self._begun = True
        return out

    def _finish(self) -> None:
        try:
            with self._open() as out:
                out.write(self._compressor.flush())
                out.flush()
                os.fsync(out.fileno())
            sync_folder(self._folder)
        except OSError as error:
            raise StoreFailed(f"cannot spool a body: {error}") from error

    def _drop(self) -> None:
        if self._begun:
            (self._folder / self._file).unlink(missing_ok=True)


def _at_its_end(path: str, flags: int) -> int:
    """Never a new file: one that was taken away is not begun again in its middle."""
    return os.open(path, flags | os.O_APPEND)


def pieces_of(path: Path) -> Iterator[bytes]:
    """The bytes of a file, gunzipped where it is a gzip file. Raises OSError, also for damage, and
    for a link: what it leads to was given by nobody."""
    with open(path, "rb", opener=_no_link) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is no regular file")
        piece = file.read(_READ)
        gzipped = piece.startswith(_MAGIC)
        yield from _inflated(file, piece, path) if gzipped else _plain(file, piece)


def _no_link(path: str, flags: int) -> int:
    """The opener for `open`: neither follows a link nor waits for a pipe."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(f"{path} is a link; links are not followed") from error
        raise


def _plain(file: BinaryIO, piece: bytes) -> Iterator[bytes]:
    while piece:
        yield piece
        piece = file.read(_READ)


def _inflated(file: BinaryIO, piece: bytes, path: Path) -> Iterator[bytes]:
    """A gzip file is one or more parts, one after the other, and zeros that fill it up."""
    inflate = zlib.decompressobj(_GZIP)
    try:
        while piece:
            if inflate.eof:
                piece = piece.lstrip(b"\0") or file.read(_READ)
                if not piece or piece.startswith(b"\0"):
                    continue
                inflate = zlib.decompressobj(_GZIP)
            yield inflate.decompress(piece, _READ * 16)
            while inflate.unconsumed_tail:
                yield inflate.decompress(inflate.unconsumed_tail, _READ * 16)
            piece = inflate.unused_data or file.read(_READ)
        yield inflate.flush()
    except zlib.error as error:
        raise OSError(f"{path} is damaged: {error}") from error
    if not inflate.eof:
        raise OSError(f"{path} is cut short")


# ------------------------------------------------------------ files that people hand in


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and those in directories named, in a fixed order. Links are among them, for
    `hand_in` to refuse; a link to a directory is not gone down.

    Raises InvalidRequest for what is not there.
    """
    for path in paths:
        if path.is_dir():
            yield from sorted(_below(path))
        elif path.is_file() or path.is_symlink():
            yield path
        else:
            raise InvalidRequest("path", f"{path} is neither a file nor a directory")


def _below(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            item = Path(here, name)
            wanted = item.is_symlink() or item.is_file()
            if wanted and name.lower().endswith(_SUFFIXES):
                yield item


async def hand_in(
    spool: Spool,
    path: Path,
    clock: Clock,
    *,
    most_bytes: int = GIB,
    corrects: int | None = None,
) -> Ticket:
    """Spool one file like a body that the head end sends; durable when it returns.

    Once it is loaded without a bad part, those of payload `corrects` are closed, and that payload
    where it was refused as a whole. Raises OSError where the file cannot be read to its end, is
    a link, or is larger, once unpacked, than `most_bytes`; StoreFailed where the spool cannot be
    written.
    """
    now = clock.now()
    spooling = spool.begin(now)
    size = 0
    try:
        for piece in pieces_of(path):
            size += len(piece)
            if size > most_bytes:
                raise OSError(f"{path} is larger, unpacked, than {most_bytes} bytes")
            await spooling.add(piece)
        spooled = await spooling.done()
    except BaseException:
        await spooling.drop()
        raise
    ticket = Ticket(
        file=spooled.file,
        source=path.name,
        size=spooled.size,
        digest=spooled.digest,
        at=now,
        corrects=corrects,
    )
    try:
        spool.hand_in(ticket)
    except OSError as error:
        raise StoreFailed(f"cannot hand in {path.name}: {error}") from error
    return ticket


# ------------------------------------------------------------ what people are shown of a body


def excerpt(
    pieces: Iterable[bytes], *, position: int | None = None, size: int | None = None
) -> Excerpt:
    """The head of a body, and what stands around `position`. Reads no further than it must: memory
    does not grow with the body."""
    head, around = bytearray(), bytearray()
    first = max((position or 0) - _AROUND, 0)
    last = (position or 0) + _AROUND
    need = HEAD_BYTES + 1 if position is None else max(HEAD_BYTES + 1, last)
    read = 0
    for piece in pieces:
        if len(head) <= HEAD_BYTES:
            head += piece[: HEAD_BYTES + 1 - len(head)]
        if position is not None:
            around += piece[max(first - read, 0) : max(last - read, 0)]
        read += len(piece)
        if read >= need:
            break
    complete = len(head) <= HEAD_BYTES
    return Excerpt(
        head=bytes(head[:HEAD_BYTES]),
        size=len(head) if complete else size,
        complete=complete,
        position=position,
        excerpt=bytes(around),
        excerpt_from=min(first, read),
    )

"""The file that the witness is: one line with a number, a digest, and what tells it from copies.

A copy of a file is another file: it has an inode and a time of birth of its own, which no program
that copies or restores takes along. What was written here names its own, so that a witness that
came back with a backup is known for one.
"""

import ctypes
import os
import re
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapter.engine.private_files import write_whole
from adapter.errors import StoreFailed
from adapter.model.whole_numbers import CURSOR

_LINE: Final = re.compile(rb"([0-9]{1,19}) ([0-9a-f]{64}) ([0-9]{1,20}\.[0-9]{1,40})\n")
_LONGEST: Final = 256
_TRIES: Final = 5

_STATX_BYTES: Final = 256
_AT_EMPTY_PATH: Final = 0x1000
_STATX_BTIME: Final = 0x800
_BORN: Final = struct.Struct("<qI")
_BORN_AT: Final = 80
"""Where `struct statx` has the time of birth: seconds and nanoseconds."""


class WitnessDamaged(StoreFailed):
    """What stands where the witness should be tells nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnessed:
    """The head of the audit chain as it was written down. `copied`: in another file than this."""

    seq: int
    digest: str
    copied: bool = False


def read_witness(path: Path) -> Witnessed | None:
    """None where there is none. Raises WitnessDamaged: it cannot be read, or is not what is written
    here."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WitnessDamaged(f"{path.name} cannot be read ({error.strerror})") from error
    try:
        return _read(descriptor, path.name)
    except OSError as error:
        raise WitnessDamaged(f"{path.name} cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)


def _read(descriptor: int, name: str) -> Witnessed:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise WitnessDamaged(f"{name} is no file")
    found = _LINE.fullmatch(os.read(descriptor, _LONGEST))
    if found is None or not CURSOR.holds(int(found[1])):
        raise WitnessDamaged(f"{name} is damaged")
    return Witnessed(
        seq=int(found[1]),
        digest=found[2].decode("ascii"),
        copied=found[3].decode("ascii") != identity_of(descriptor),
    )


def write_witness(path: Path, seq: int, digest: str) -> None:
    """Durable when it returns, in one rename. Raises OSError."""

    def line(descriptor: int) -> bytes:
        return f"{seq} {digest} {identity_of(descriptor)}\n".encode("ascii")

    for left in reversed(range(_TRIES)):
        try:
            write_whole(path, line)
            return
        except (FileExistsError, FileNotFoundError):  # another gateway of this process writes it
            if not left:
                raise


def identity_of(descriptor: int) -> str:
    """Inode and time of birth in nanoseconds, 0 where the file system keeps none."""
    return f"{os.fstat(descriptor).st_ino}.{_born_ns(descriptor)}"


def _born_ns(descriptor: int) -> int:
    try:
        statx = ctypes.CDLL(None).statx
    except (AttributeError, OSError):  # a C library without it
        return 0
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if statx(descriptor, b"", _AT_EMPTY_PATH, _STATX_BTIME, found):
        return 0
    (known,) = struct.unpack_from("<I", found)
    if not known & _STATX_BTIME:
        return 0
    seconds, nanoseconds = _BORN.unpack_from(found, _BORN_AT)
    return max(int(seconds), 0) * 1_000_000_000 + int(nanoseconds)

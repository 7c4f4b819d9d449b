"""Files of recordings, which strangers may have made: only what lies in the folder is touched."""

import os
import secrets
import stat
import tomllib
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of one file."""
MOST_ACTS: Final = 20_000
"""Of one scenario."""
MOST_MESSAGES: Final = 100_000
"""Of one recording."""
MOST_MESSAGE_BYTES: Final = 1024 * 1024 * 1024
"""Of all messages of one recording together."""
LONGEST_S: Final = 10 * 366 * 86_400.0
"""No time of a scenario is further than this from another."""
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9000


def check_times(start: datetime, seconds: Mapping[str, float]) -> None:
    """Of a scenario, by the name of the field. Raises ValueError."""
    if start.tzinfo is None or not _FIRST_YEAR <= start.year <= _LAST_YEAR:
        raise ValueError(f"start: must have a zone and a year of {_FIRST_YEAR} to {_LAST_YEAR}")
    for name, value in seconds.items():
        if not abs(value) <= LONGEST_S:  # not a number is refused as well
            raise ValueError(f"{name}: must be at most {LONGEST_S:.0f} s, and is {value}")


def read_within(folder: Path, name: str) -> bytes:
    """A regular file that lies in the folder itself. Raises ValueError and OSError."""
    if name in ("", ".", "..") or "\0" in name or Path(name).name != name:
        raise ValueError("must be the name of a file in the folder of the recording")
    # A FIFO must not be waited for, and what was looked at must be what is read.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    path = folder / name
    if path.is_symlink():
        raise ValueError("must be a regular file, not a symbolic link")
    if path.exists() and not path.is_file():
        raise ValueError("must be a regular file")
    with open(os.open(path, flags), "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("must be a regular file")
        raw = opened.read(MOST_BYTES + 1) if found.st_size <= MOST_BYTES else b""
    if found.st_size > MOST_BYTES or len(raw) > MOST_BYTES:
        raise ValueError(f"must have at most {MOST_BYTES} bytes")
    return raw


def read_toml(folder: Path, name: str) -> dict[str, object]:
    """Raises ValueError and OSError."""
    text = read_within(folder, name).decode("utf-8")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("lists or tables are nested too deep") from None


def write_within(folder: Path, name: str, content: bytes) -> None:
    """A new file in the place of what has the name: a link is replaced, and what it names stays.
    Raises OSError."""
    fresh = folder / f".{name}.{secrets.token_hex(8)}.part"
    try:
        with open(fresh, "xb") as out:
            out.write(content)
        fresh.replace(folder / name)
    finally:
        fresh.unlink(missing_ok=True)

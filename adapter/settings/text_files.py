"""Files that settings name: read whole, never past a bound, and never one that does not end."""

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from adapter.errors import SettingsError
from adapter.model.secret import Secret

_LONGEST_BYTES: Final = 16 * 1024 * 1024
_LONGEST_SECRET_BYTES: Final = 4096
_LONGEST_LIST_BYTES: Final = 1024 * 1024
_SAMPLES: Final = frozenset({"changeme", "change-me", "password", "secret", "example", "xxx"})
"""Values that stand in documentation; a head end that accepts one has no password at all."""


def read_toml(path: Path) -> dict[str, object]:
    """The table of a TOML file. Raises SettingsError naming the file."""
    raw = read_whole(path, f"{path}", _LONGEST_BYTES)
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except RecursionError:
        raise SettingsError(f"{path}: tables or lists are nested too deep") from None
    except ValueError as error:  # TOMLDecodeError, no UTF-8, or a number of thousands of digits
        raise SettingsError(f"{path}: {error}") from error


def secret_from_file(path: Path, *, several: bool = False) -> Secret:
    """The file's text without the newline at its end; `several`: of many, each in a line. Raises
    SettingsError naming the file, also where others may write it: they could put in a secret of
    their own."""
    place = f"secret file {path}"
    longest = _LONGEST_LIST_BYTES if several else _LONGEST_SECRET_BYTES
    return _checked(read_whole(path, place, longest, private=True), place, longest)


def secret_from_environment(name: str, environment: Mapping[str, str]) -> Secret:
    """The variable's value. Raises SettingsError naming the variable, never its content."""
    value = environment.get(name)
    if value is None:
        raise SettingsError(f"environment variable {name} is not set")
    return _checked(value.encode("utf-8", "surrogateescape"), f"environment {name}")


def _checked(raw: bytes, place: str, longest: int = _LONGEST_SECRET_BYTES) -> Secret:
    if len(raw) > longest:
        raise SettingsError(f"{place}: longer than {longest} bytes")
    try:
        value = raw.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingsError(f"{place}: not UTF-8") from None
    if not value.strip():
        raise SettingsError(f"{place}: empty")
    if value.strip().lower() in _SAMPLES:
        raise SettingsError(f"{place}: a sample value from the documentation")
    return Secret(value)


def require_file(path: Path, place: str, *, private: bool = False) -> None:
    """For files that a library reads, which would wait for a pipe for ever. Raises SettingsError as
    `read_whole` does."""
    read_whole(path, place, _LONGEST_BYTES, private=private)


def open_to_others(path: Path) -> str:
    """That everybody on this machine may read the file, in words; "" where only its owner and group
    may, or where it is not there."""
    try:
        everybody = path.stat().st_mode & stat.S_IROTH
    except (OSError, ValueError):
        return ""
    return f"{path}: everybody here may read it; chmod o-r takes that away" if everybody else ""


def read_whole(path: Path, place: str, longest: int, *, private: bool = False) -> bytes:
    """The content of a regular file; a complaint begins with `place`. `private`: only its owner
    may write it. Raises SettingsError."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise SettingsError(f"{place}: is no regular file")
            if private and mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise SettingsError(f"{place}: others may write it; chmod go-w takes that away")
            raw = file.read(longest + 1)
    except (OSError, ValueError) as error:  # a name with NUL in it is a ValueError
        reason = getattr(error, "strerror", None) or "cannot be read"
        raise SettingsError(f"{place}: {reason}") from error
    if len(raw) > longest:
        raise SettingsError(f"{place}: longer than {longest} bytes")
    return raw


def _without_waiting(path: str, flags: int) -> int:
    """The opener for `open`: a pipe that nobody writes to is not waited for."""
    return os.open(path, flags | os.O_NONBLOCK)

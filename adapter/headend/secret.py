"""A secret that does not show itself: passwords and key phrases, from a file or the environment."""

import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NoReturn

from adapter.errors import SettingsError

_SAMPLES: Final = frozenset({"changeme", "change-me", "password", "secret", "example", "xxx"})
"""Values that stand in documentation; a head end that accepts one has no password at all."""

_LONGEST_BYTES: Final = 4096


class Secret:
    """Text whose `repr`, `str` and format are always the same mask; `reveal()` gives the value.

    It cannot be pickled, so it cannot travel into a store or a log record by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    @classmethod
    def from_file(cls, path: str | Path) -> "Secret":
        """The file's text without the newline at its end. Raises SettingsError naming the file."""
        try:
            raw = Path(path).read_bytes()
        except OSError as error:
            reason = error.strerror or "cannot be read"
            raise SettingsError(f"secret file {path}: {reason}") from error
        return cls._checked(raw, f"secret file {path}")

    @classmethod
    def from_environment(cls, name: str, environment: Mapping[str, str] | None = None) -> "Secret":
        """The variable's value. Raises SettingsError naming the variable, never its content."""
        value = (os.environ if environment is None else environment).get(name)
        if value is None:
            raise SettingsError(f"environment variable {name} is not set")
        return cls._checked(value.encode("utf-8", "surrogateescape"), f"environment {name}")

    @classmethod
    def _checked(cls, raw: bytes, place: str) -> "Secret":
        if len(raw) > _LONGEST_BYTES:
            raise SettingsError(f"{place}: longer than {_LONGEST_BYTES} bytes")
        try:
            value = raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise SettingsError(f"{place}: not UTF-8") from None
        if not value.strip():
            raise SettingsError(f"{place}: empty")
        if value.strip().lower() in _SAMPLES:
            raise SettingsError(f"{place}: a sample value from the documentation")
        return cls(value)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled or copied out")

"""Pseudonyms: the same input has the same one under one key, and without the key no way leads back.

A pseudonym has the shape of what it stands for, so that what reads ids, tokens and endpoints reads
it as well: a sortable id keeps its time, a GUID is one, digits are digits.
"""

import hmac
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from adapter.engine.private_files import write_whole
from adapter.errors import SettingsError
from adapter.model.ids import is_sortable_id
from adapter.settings.text_files import secret_from_file

_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DIGITS: Final = re.compile(r"[0-9]+")
_DOTTED: Final = re.compile(r"[0-9]+(\.[0-9]+){3,}")
_LONGEST_ARC: Final = 3
"""A shorter number within a dotted one says nothing of a meter."""
_LOWER: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME: Final = 10
"""Characters of a sortable id that are its time."""
_LEAST_KEY: Final = 32


class Pseudonyms:
    """`known`: what was given one so far, by the pseudonym: it stays at home."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.known: dict[str, str] = {}

    def of(self, value: str) -> str:
        """Of a value that is not empty."""
        made = self._made(value)
        self.known[made] = value
        return made

    def _made(self, value: str) -> str:
        if is_sortable_id(value):
            return value[:_TIME] + "".join(_LOWER[each % 32] for each in self._digest(value)[:16])
        if _GUID.fullmatch(value):
            digest = self._digest(value.lower()).hex()
            return f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}"
        if _DIGITS.fullmatch(value):
            return self._number(value, 15)
        if _DOTTED.fullmatch(value):
            return self._dotted(value)
        return f"x{self._digest(value).hex()[:16]}"

    def _dotted(self, value: str) -> str:
        arcs = value.split(".")
        long = [number for number, arc in enumerate(arcs) if len(arc) > _LONGEST_ARC]
        for number in long or [len(arcs) - 1]:
            arcs[number] = self._number(f"{value}/{number}", 9)
        return ".".join(arcs)

    def _number(self, value: str, digits: int) -> str:
        number = int.from_bytes(self._digest(value)[:16], "big")
        return str(10 ** (digits - 1) + number % (9 * 10 ** (digits - 1)))

    def _digest(self, value: str) -> bytes:
        return hmac.digest(self._key, value.encode("utf-8", "surrogatepass"), "sha256")


def key_of(file: Path) -> bytes:
    """The key that stays at home; made where there is none. Raises SettingsError, OSError."""
    if not file.exists():
        write_whole(file, secrets.token_hex(_LEAST_KEY).encode() + b"\n")
    key = secret_from_file(file).reveal().encode()
    if len(key) < _LEAST_KEY:
        raise SettingsError(f"{file}: a key of pseudonyms has at least {_LEAST_KEY} characters")
    return key


def write_table(file: Path, known: Mapping[str, str]) -> None:
    """What each pseudonym stands for, as JSON that only its owner may read. Raises OSError."""
    text = json.dumps(dict(sorted(known.items())), indent=1, ensure_ascii=False)
    write_whole(file, text.encode("utf-8", "backslashreplace") + b"\n")

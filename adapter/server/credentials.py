"""Who is calling: HTTP Basic of the head end, bearer tokens of the utility. In constant time."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from adapter.server.settings import ApiKey, BasicUser

_LONGEST: Final = 4096


def basic_header_of(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


class BasicUsers:
    """All names and passwords that are live now; every one of them is compared, whatever comes."""

    def __init__(self, users: Sequence[BasicUser]) -> None:
        self._digests = [_digest(f"{item.user}:{item.password}".encode()) for item in users]

    def know(self, header: str | None) -> bool:
        """Whether an Authorization header's value is one of theirs; True where there are none."""
        if not self._digests:
            return True
        given = _digest(_basic(header))
        return any([hmac.compare_digest(given, wanted) for wanted in self._digests])  # noqa: C419


class ApiKeys:
    """The keys of the JSON interface."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = tuple(keys)

    def holder(self, header: str | None, *, now: datetime) -> ApiKey | None:
        """The key whose token an Authorization header carries, unless it has expired."""
        scheme, _, token = (header or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        return self.of_token(token.strip(), now=now)

    def of_token(self, token: str, *, now: datetime) -> ApiKey | None:
        digest = hashlib.sha256(token[:_LONGEST].encode("utf-8", "surrogateescape")).hexdigest()
        found = [key for key in self._keys if hmac.compare_digest(key.token_sha256, digest)]
        live = [key for key in found if key.expires_at is None or now < key.expires_at]
        return live[0] if live else None


def _basic(header: str | None) -> bytes:
    scheme, _, coded = (header or "").partition(" ")
    if scheme.lower() != "basic" or len(coded) > _LONGEST:
        return b""
    try:
        return base64.b64decode(coded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()

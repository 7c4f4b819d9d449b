"""Callback addresses that carry the identity of one attempt (the only key that we can choose).

`{public_url}/openway/status/{communication}/{secret}`: the secret is 128 bits of an HMAC over the
communication's id, so that it need not be stored, and nobody can make one for another
communication.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from adapter.model.ids import CommunicationId

if TYPE_CHECKING:
    from hashlib import _Hash

STATUS_PATH = "/openway/status"
_SECRET_CHARACTERS: Final = 32
_PURPOSE: Final = b"status/"
_BLOCK_BYTES: Final = 64
_INNER, _OUTER = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


class _Signer:
    """HMAC-SHA-256 (RFC 2104) with what all messages have in common taken in before: two copies of
    hashes take a third of what a copy of the library's object does, once for each callback."""

    def __init__(self, key: bytes) -> None:
        short = key if len(key) <= _BLOCK_BYTES else hashlib.sha256(key).digest()
        block = short.ljust(_BLOCK_BYTES, b"\0")
        self._inner: _Hash = hashlib.sha256(block.translate(_INNER) + _PURPOSE)
        self._outer: _Hash = hashlib.sha256(block.translate(_OUTER))

    def secret(self, communication: str) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(communication.encode())
        outer.update(inner.digest())
        return outer.hexdigest()[:_SECRET_CHARACTERS]


class CallbackIdentity:
    """Makes and checks callback addresses. The first key signs; all of them are accepted."""

    def __init__(self, public_url: str, keys: Sequence[bytes]) -> None:
        self.public_url = public_url
        self.use(keys)

    def use(self, keys: Sequence[bytes]) -> None:
        """Put these in force in place of those before."""
        self._signers = tuple(map(_Signer, keys))

    def address(self, communication: CommunicationId) -> str:
        secret = self._signers[0].secret(communication)
        return f"{self.public_url}{STATUS_PATH}/{communication}/{secret}"

    def genuine(self, communication: str, secret: str) -> bool:
        """Whether the secret belongs to the communication, in constant time."""
        given, found = secret.encode(), False
        for signer in self._signers:
            found |= hmac.compare_digest(given, signer.secret(communication).encode())
        return found

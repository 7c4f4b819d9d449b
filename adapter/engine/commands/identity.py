"""Callback addresses that carry the identity of one attempt (the only key that we can choose).

`{public_url}/openway/status/{communication}/{secret}`: the secret is 128 bits of an HMAC over the
communication's id, so that it need not be stored, and nobody can make one for another
communication.
"""

import hmac
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING

from adapter.model.ids import CommunicationId

if TYPE_CHECKING:  # the type has no name at run time
    import hashlib

STATUS_PATH = "/openway/status"
_SECRET_BYTES = 16


@dataclass(frozen=True, slots=True)
class CallbackIdentity:
    """Makes and checks callback addresses. The first key signs; all of them are accepted."""

    public_url: str
    keys: tuple[bytes, ...]

    def address(self, communication: CommunicationId) -> str:
        return (
            f"{self.public_url}{STATUS_PATH}/{communication}/{_secret(self.keys[0], communication)}"
        )

    def genuine(self, communication: str, secret: str) -> bool:
        """Whether the secret belongs to the communication, in constant time."""
        given = secret.encode()
        wanted = [_secret(key, communication).encode() for key in self.keys]
        return any([hmac.compare_digest(given, item) for item in wanted])  # noqa: C419


def _secret(key: bytes, communication: str) -> str:
    """HMAC-SHA256 (RFC 2104). `hmac.digest` begins with the key anew each time, and gives up the
    interpreter's lock meanwhile: among busy threads that costs more than the hash."""
    inner, outer = (begun.copy() for begun in _begun(key))
    inner.update(communication.encode())
    outer.update(inner.digest())
    return outer.digest()[:_SECRET_BYTES].hex()


@lru_cache(maxsize=16)
def _begun(key: bytes) -> tuple["hashlib._Hash", "hashlib._Hash"]:
    """The inner and the outer hash, as far as they are the same for all."""
    size = sha256().block_size
    padded = (sha256(key).digest() if len(key) > size else key).ljust(size, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in padded) + b"status/")
    return inner, sha256(bytes(byte ^ 0x5C for byte in padded))

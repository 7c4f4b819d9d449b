"""Callback addresses that carry the identity of one attempt (the only key that we can choose).

`{public_url}/openway/status/{communication}/{secret}`: the secret is 128 bits of an HMAC over the
communication's id, so that it need not be stored, and nobody can make one for another
communication.
"""

import hmac
from dataclasses import dataclass

from adapter.model.ids import CommunicationId

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
    digest = hmac.digest(key, b"status/" + communication.encode(), "sha256")
    return digest[:_SECRET_BYTES].hex()

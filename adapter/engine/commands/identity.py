"""Callback addresses that carry the identity of one attempt (the only key that we can choose).

`{public_url}/openway/status/{communication}/{secret}`: the secret is 128 bits of an HMAC over the
communication's id, so that it need not be stored, and nobody can make one for another
communication.
"""

import hmac
from collections.abc import Sequence
from typing import Final

from adapter.model.ids import CommunicationId

STATUS_PATH = "/openway/status"
_SECRET_CHARACTERS: Final = 32


class CallbackIdentity:
    """Makes and checks callback addresses. The first key signs; all of them are accepted."""

    def __init__(self, public_url: str, keys: Sequence[bytes]) -> None:
        self.public_url = public_url
        self.use(keys)

    def use(self, keys: Sequence[bytes]) -> None:
        """Put these in force in place of those before."""
        # With the part that all addresses have in common: a secret begins with a copy.
        self._signers = [hmac.new(key, b"status/", "sha256") for key in keys]

    def address(self, communication: CommunicationId) -> str:
        secret = _secret(self._signers[0], communication)
        return f"{self.public_url}{STATUS_PATH}/{communication}/{secret}"

    def genuine(self, communication: str, secret: str) -> bool:
        """Whether the secret belongs to the communication, in constant time."""
        given = secret.encode()
        wanted = [_secret(signer, communication).encode() for signer in self._signers]
        return any([hmac.compare_digest(given, item) for item in wanted])  # noqa: C419


def _secret(signer: hmac.HMAC, communication: str) -> str:
    signed = signer.copy()
    signed.update(communication.encode())
    return signed.hexdigest()[:_SECRET_CHARACTERS]

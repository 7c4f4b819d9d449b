"""Callback addresses that carry the identity of one attempt (the only key that we can choose).

`{public_url}/openway/status/{communication}/{secret}`: the secret is 128 bits of an HMAC over the
communication's id, so that it need not be stored, and nobody can make one for another
communication.
"""

import hmac
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from adapter.model.ids import CommunicationId

STATUS_PATH = "/openway/status"
_SECRET_CHARACTERS: Final = 32
_KEPT_SECRETS: Final = 4_096
"""Of so many communications: each is called back several times, soon after its address was made."""


@dataclass(frozen=True, slots=True)
class CallbackIdentity:
    """Makes and checks callback addresses. The first key signs; all of them are accepted."""

    public_url: str
    keys: tuple[bytes, ...] = field(repr=False)
    _signers: tuple[hmac.HMAC, ...] = field(init=False, repr=False, compare=False)
    """With the part that all addresses have in common: a secret begins with a copy."""

    def __post_init__(self) -> None:
        signers = tuple(hmac.new(key, b"status/", "sha256") for key in self.keys)
        object.__setattr__(self, "_signers", signers)

    def address(self, communication: CommunicationId) -> str:
        secret = _secret(self._signers[0], communication)
        return f"{self.public_url}{STATUS_PATH}/{communication}/{secret}"

    def genuine(self, communication: str, secret: str) -> bool:
        """Whether the secret belongs to the communication, in constant time."""
        given = secret.encode()
        wanted = [_secret(signer, communication).encode() for signer in self._signers]
        return any([hmac.compare_digest(given, item) for item in wanted])  # noqa: C419


@lru_cache(maxsize=_KEPT_SECRETS)
def _secret(signer: hmac.HMAC, communication: str) -> str:
    signed = signer.copy()
    signed.update(communication.encode())
    return signed.hexdigest()[:_SECRET_CHARACTERS]

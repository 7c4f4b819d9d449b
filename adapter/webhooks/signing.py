"""Signatures as Standard Webhooks has them: `v1,` and HMAC-SHA256 over `id.timestamp.body`."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from adapter.errors import GatewayError, SettingsError
from adapter.model.secret import Secret

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
_PREFIX: Final = "whsec_"
_SHORTEST: Final = 24
_LONGEST: Final = 64
"""Bytes of a key, as the specification has it."""
_MOST_SIGNATURES: Final = 10


class NotSigned(GatewayError):
    """The signature is missing, wrong, or too old."""

    code = "not_signed"


def key_of(secret: Secret) -> bytes:
    """The key in `whsec_<base64>`. Raises SettingsError, without the secret."""
    text = secret.reveal().strip().removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SettingsError(f"a webhook key has the form {_PREFIX}<base64>") from None
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise SettingsError(f"a webhook key has {_SHORTEST} to {_LONGEST} bytes")
    return key


def keys_of(secrets: Sequence[Secret]) -> tuple[bytes, ...]:
    """Raises SettingsError where there is none, or one is no key."""
    if not secrets:
        raise SettingsError("is needed: keys of the form whsec_<base64>, one a line")
    return tuple(_key_at(number, secret) for number, secret in enumerate(secrets, start=1))


def _key_at(number: int, secret: Secret) -> bytes:
    try:
        return key_of(secret)
    except SettingsError as error:
        raise SettingsError(f"key {number}: {error}") from None


def signed(id_: str, body: bytes, keys: Sequence[bytes], *, now: datetime) -> Mapping[str, str]:
    """The three headers. The id must have no dot: it is what separates the parts signed."""
    if "." in id_:
        raise ValueError(f"a webhook id has no dot: {id_}")
    timestamp = str(int(now.timestamp()))
    signatures = " ".join(_signature(id_, timestamp, body, key) for key in keys)
    return {ID: id_, TIMESTAMP: timestamp, SIGNATURE: signatures}


def verify(
    headers: Mapping[str, str],
    body: bytes,
    keys: Sequence[bytes],
    *,
    now: datetime,
    tolerance_s: float,
) -> None:
    """Raises NotSigned. Any of the signatures may be by any of the keys."""
    id_, timestamp = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    given = headers.get(SIGNATURE, "").split()
    if not id_ or not timestamp or not given:
        raise NotSigned(f"{ID}, {TIMESTAMP} and {SIGNATURE} are needed")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise NotSigned(f"{TIMESTAMP}: seconds since 1970 are needed")
    wanted = [_signature(id_, timestamp, body, key).encode() for key in keys]
    versioned = [each.encode("utf-8", "replace") for each in given if each.startswith("v1,")][
        :_MOST_SIGNATURES
    ]
    if not any(hmac.compare_digest(one, other) for one in versioned for other in wanted):
        raise NotSigned("no signature is right")
    if abs(now.timestamp() - int(timestamp)) > tolerance_s:
        raise NotSigned(f"{TIMESTAMP}: more than {tolerance_s:g} seconds away")


def _signature(id_: str, timestamp: str, body: bytes, key: bytes) -> str:
    content = b".".join((id_.encode("utf-8", "surrogateescape"), timestamp.encode(), body))
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"

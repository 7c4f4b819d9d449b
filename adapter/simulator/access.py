"""Who may call the simulated head end: HTTP Basic, or a WS-Security UsernameToken.

The form of the vendor's token is not published; text and digest passwords of the OASIS profile are
both taken (inferred). A nonce is taken once. Freshness of Created is not checked: the simulator's
clock may be turned by hand.
"""

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from hashlib import sha1
from hmac import compare_digest
from typing import Final

from adapter.errors import NotWellFormed
from adapter.simulator.settings import Access
from adapter.wire.xml import parse

_WSSE: Final = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_WSU: Final = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"


def basic(user: str, password: str) -> str:
    """The value of an Authorization header of HTTP Basic."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


class Gate:
    """Lets callers in, or says why not."""

    def __init__(self, access: Access, *, body_bytes: int) -> None:
        self._access = access
        self._body_bytes = body_bytes
        self._nonces: dict[str, None] = {}

    @property
    def open(self) -> bool:
        """Whether anybody is let in."""
        return not self._access.caller_user

    def refusal(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Why this caller is not let in; None lets it in."""
        if self.open:
            return None
        if self._access.caller_security == "wsse":
            return self._wsse(body)
        given = headers.get("Authorization", "")
        wanted = basic(self._access.caller_user, self._access.caller_password)
        return None if compare_digest(given.encode(), wanted.encode()) else "wrong credentials"

    def _wsse(self, body: bytes) -> str | None:
        try:
            root = parse(body, max_bytes=self._body_bytes)
        except NotWellFormed:
            return "no envelope"
        tokens = list(root.iter(f"{_WSSE}UsernameToken"))
        if len(tokens) != 1:
            return "needs one UsernameToken"
        token = tokens[0]
        user = token.findtext(f"{_WSSE}Username") or ""
        password = token.find(f"{_WSSE}Password")
        nonce = token.findtext(f"{_WSSE}Nonce") or ""
        created = token.findtext(f"{_WSU}Created") or ""
        if password is None or not nonce or not created:
            return "the UsernameToken needs Password, Nonce and Created"
        wanted = self._access.caller_password
        if str(password.get("Type", "")).endswith("#PasswordDigest"):
            try:
                seed = b64decode(nonce, validate=True)
            except NotBase64:
                return "the nonce is not base 64"
            digest = sha1(seed + created.encode() + wanted.encode()).digest()
            wanted = b64encode(digest).decode()
        good = compare_digest(user.encode(), self._access.caller_user.encode())
        good &= compare_digest((password.text or "").encode(), wanted.encode())
        if not good:
            return "wrong credentials"
        return self._first_use(nonce)

    def _first_use(self, nonce: str) -> str | None:
        if nonce in self._nonces:
            return "the nonce was used before"
        self._nonces[nonce] = None
        if len(self._nonces) > 100_000:
            del self._nonces[next(iter(self._nonces))]
        return None

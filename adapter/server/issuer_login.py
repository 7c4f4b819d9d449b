"""Log in at an OpenID Connect issuer: the authorization code flow with PKCE, for a browser.

The browser is sent to the issuer and comes back with a code, which is exchanged here, on the
server. What ties both ways together is in a cookie of that browser alone, sealed with a key of this
process: a restart ends the logins that are under way. Source: RFC 6749, 7636 (PKCE), 9207 (`iss`),
9700 (best practice), OpenID Connect Core 3.1.
"""

import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from msgspec import Struct

from adapter.server.credentials import Caller, basic_header_of
from adapter.server.issuer import Issuer, TokenRefused, json_of
from adapter.server.settings import OidcLogin, OidcSettings, safe_url

log = logging.getLogger(__name__)

LASTS_S: Final = 600
"""So long may somebody take at the issuer."""
_MOST_SPENT: Final = 10_000
_MOST_SHOWN: Final = 200
_LONGEST_CODE: Final = 4_096
_LONGEST_NEXT: Final = 1_000
"""Of what is kept in the cookie, which a browser takes up to 4 KB of."""
_ELSEWHERE: Final = "this login was begun in another browser, or is over: begin again"
_NOT_TAKEN: Final = "what the issuer says of you is not taken; the gateway's log says why"


class LoginFailed(Exception):
    """Why nobody is logged in, for people. `unreachable`: the issuer could not be asked."""

    def __init__(self, text: str, *, unreachable: bool = False) -> None:
        super().__init__(text)
        self.unreachable = unreachable


class LoginBegun(Struct, frozen=True, kw_only=True):
    """Where the browser goes, and the cookie that it comes back with."""

    address: str
    cookie: str


class _Pending(Struct, frozen=True, kw_only=True):
    """What is known of a login while the browser is at the issuer. `ends`: Unix time."""

    state: str
    nonce: str
    verifier: str
    next: str
    ends: float


class IssuerLogin:
    """A state is taken once. Of more than 10,000 that are spent the oldest are forgotten: then only
    the issuer refuses its code a second time."""

    def __init__(self, settings: OidcSettings, login: OidcLogin, issuer: Issuer) -> None:
        self._settings = settings
        self._login = login
        self._issuer = issuer
        self._seal = secrets.token_bytes(32)
        self._spent: dict[str, None] = {}

    async def begin(self, next_: str, *, now: datetime) -> LoginBegun:
        """Raises LoginFailed."""
        endpoint = await self._endpoint("authorization_endpoint")
        pending = _Pending(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            next=next_ if len(next_) <= _LONGEST_NEXT else "",
            ends=now.timestamp() + LASTS_S,
        )
        query = {
            "response_type": "code",
            "client_id": self._login.client_id,
            "redirect_uri": self._login.redirect_url,
            "scope": " ".join(self._login.scopes),
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": challenge_of(pending.verifier),
            "code_challenge_method": "S256",
        }
        return LoginBegun(address=_with(endpoint, query), cookie=self._sealed(pending))

    async def finish(
        self, answer: Mapping[str, str], cookie: str, *, now: datetime
    ) -> tuple[Caller, str]:
        """Who has logged in, and where he wanted to go. `answer` is what the browser came back
        with. Raises LoginFailed."""
        pending = self._opened(cookie)
        state = answer.get("state", "")
        known = pending is not None and _same(state, pending.state)
        if pending is None or not known or now.timestamp() >= pending.ends:
            raise LoginFailed(_ELSEWHERE)
        if pending.state in self._spent:
            raise LoginFailed(_ELSEWHERE)
        self._spend(pending.state)
        await self._check_issuer(answer.get("iss"))
        if "error" in answer:
            words = ": ".join(filter(None, map(answer.get, ("error", "error_description"))))
            raise LoginFailed(f"the issuer says: {_shown(words)}")
        code = answer.get("code", "")
        if not 0 < len(code) <= _LONGEST_CODE:
            raise LoginFailed("the issuer gave no code: begin again")
        tokens = await self._exchange(code, pending.verifier)
        return await self._caller(tokens, pending.nonce, now), pending.next

    async def leaving(self, back: str) -> str:
        """Where the browser logs out at the issuer; empty where it has no such page. `back` is the
        path to come back to."""
        try:
            endpoint = await self._endpoint("end_session_endpoint")
        except LoginFailed:
            return ""
        here = urlsplit(self._login.redirect_url)
        address = f"{here.scheme}://{here.netloc}{back}"
        query = {"client_id": self._login.client_id, "post_logout_redirect_uri": address}
        return _with(endpoint, query)

    # ------------------------------------------------------------ what ties both ways together

    def _sealed(self, pending: _Pending) -> str:
        body = base64.urlsafe_b64encode(msgspec.json.encode(pending)).decode()
        return f"{body}.{self._mac(body)}"

    def _opened(self, cookie: str) -> _Pending | None:
        body, _, mac = cookie.partition(".")
        if not _same(self._mac(body), mac):
            return None
        return msgspec.json.decode(base64.urlsafe_b64decode(body), type=_Pending)

    def _mac(self, body: str) -> str:
        return hmac.digest(self._seal, body.encode(errors="replace"), "sha256").hex()

    def _spend(self, state: str) -> None:
        self._spent[state] = None
        if len(self._spent) > _MOST_SPENT:
            del self._spent[next(iter(self._spent))]

    # ------------------------------------------------------------ the issuer

    async def _discovered(self) -> Mapping[str, Any]:
        try:
            return await self._issuer.discovered()
        except TokenRefused as refused:
            text = f"the issuer cannot be asked: {_shown(str(refused))}"
            raise LoginFailed(text, unreachable=True) from refused

    async def _endpoint(self, name: str) -> str:
        found = (await self._discovered()).get(name)
        if not isinstance(found, str) or safe_url(found) is not None:
            raise LoginFailed(f"the issuer has no {name} that is safe", unreachable=True)
        return found

    async def _check_issuer(self, given: str | None) -> None:
        """That no other issuer's answer is taken for this one's."""
        found = await self._discovered()
        needed = found.get("authorization_response_iss_parameter_supported") is True
        if given is None and not needed:
            return
        if given != self._settings.issuer:
            raise LoginFailed("the answer is of another issuer: begin again")

    async def _exchange(self, code: str, verifier: str) -> Mapping[str, Any]:
        login = self._login
        endpoint = await self._endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": login.redirect_url,
            "code_verifier": verifier,
        }
        headers = {"Accept": "application/json"}
        if login.client_secret is None:
            form["client_id"] = login.client_id
        else:  # each part is written as in a form first: RFC 6749 2.3.1
            secret = quote(login.client_secret.reveal(), safe="")
            headers["Authorization"] = basic_header_of(quote(login.client_id, safe=""), secret)
        try:
            async with (
                self._issuer.http() as http,
                http.post(endpoint, data=form, headers=headers, allow_redirects=False) as answer,
            ):
                found = await json_of(answer, endpoint)
                if answer.status == 200:
                    return found
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.warning("issuer_not_asked", extra={"reason": f"{type(error).__name__}: {error}"})
            text = f"the issuer did not give tokens: {type(error).__name__}"
            raise LoginFailed(text, unreachable=True) from error
        words = [found.get("error"), found.get("error_description")]
        raise LoginFailed(f"the issuer says: {_shown(': '.join(str(x) for x in words if x))}")

    async def _caller(self, tokens: Mapping[str, Any], nonce: str, now: datetime) -> Caller:
        """Of the access token, judged as every bearer token is; the other one says that it was
        made for this login."""
        access, identity = tokens.get("access_token"), tokens.get("id_token")
        if not isinstance(access, str) or not isinstance(identity, str):
            raise LoginFailed("the issuer gave no access_token and id_token: is openid a scope?")
        try:
            claims = await self._issuer.identity(identity, self._login.client_id, now=now)
            given = str(claims.get("nonce", ""))
            if not _same(given, nonce):
                raise TokenRefused("its nonce is of another login")
        except TokenRefused as refused:
            log.warning("login_refused", extra={"reason": str(refused)[:_MOST_SHOWN]})
            raise LoginFailed(_NOT_TAKEN) from refused
        caller = await self._issuer.caller_of(access, now=now)  # which logs why not
        if caller is None:
            raise LoginFailed(_NOT_TAKEN)
        if _subject(access) != claims["sub"]:
            log.warning("login_refused", extra={"reason": "the two tokens are of two people"})
            raise LoginFailed(_NOT_TAKEN)
        return caller


def challenge_of(verifier: str) -> str:
    """S256 of RFC 7636."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _same(given: str, wanted: str) -> bool:
    """In constant time."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode(errors="replace"))


def _subject(token: str) -> object:
    """Of a token that is believed already."""
    body = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))).get("sub")


def _with(endpoint: str, query: Mapping[str, str]) -> str:
    return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"


def _shown(text: str) -> str:
    """Another's words, for people: short, and without what no terminal should see."""
    return "".join(each for each in text if each.isprintable())[:_MOST_SHOWN] or "nothing"

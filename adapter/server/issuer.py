"""Tokens of an OpenID Connect issuer: who they are of, and with which roles.

A token is believed when a public key of the issuer has signed it, for us, and it is in force.
Whatever is missing or not understood refuses it. The issuer's keys are fetched within bounds, kept,
and fetched again when they are old or a token names one that is not known. While the issuer cannot
be reached, those that are kept go on to their end.
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp

from adapter.errors import SettingsError
from adapter.model.names import marked
from adapter.model.values import replace
from adapter.server.credentials import Caller
from adapter.server.rate_limit import LimitedLog
from adapter.server.settings import OidcSettings, Role, check_name, safe_url
from adapter.settings.text_files import require_file

if TYPE_CHECKING:
    from joserfc.jwk import Key

log = logging.getLogger(__name__)

_LONGEST_TOKEN: Final = 8_192
_LONGEST_NAME: Final = 100
_LONGEST_DOCUMENT: Final = 256 * 1024
_MOST_KEYS: Final = 100
_PAUSE_S: Final = 5.0
"""After a discovery document that could not be fetched, for people who try again."""
_SHORTEST_MODULUS: Final = 342
"""Characters of one of 2048 bits."""

_PUBLIC: Final = frozenset({"RSA", "EC", "OKP"})


class Elapsed(Protocol):
    def elapsed_s(self) -> float:
        """Seconds, from anywhere, that only grow."""


class TokenRefused(Exception):
    """Why a token is not believed."""


class Issuer:
    """`taken` says whether a name is a key's: one person has no two ways to be two."""

    def __init__(
        self, settings: OidcSettings, clock: Elapsed, taken: Callable[[str], bool]
    ) -> None:
        check_installed()
        self._settings = settings
        self._clock = clock
        self._taken = taken
        self._trust = trust_of(settings)
        self._keys: Mapping[str, Key] = {}
        self._fetched_s = self._tried_s = float("-inf")
        self._fetching = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None
        self._refusals = LimitedLog(log)
        self._problem = ""
        self._document: Mapping[str, Any] | None = None
        self._read_s = self._asked_s = float("-inf")
        self._reading = asyncio.Lock()

    async def doubt(self) -> str:
        """What readiness says; empty where its keys could be fetched, or were not needed yet."""
        return self._problem and f"api.oidc: the issuer's keys cannot be fetched: {self._problem}"

    async def caller_of(self, token: str, *, now: datetime) -> Caller | None:
        """Whom the token is of; None where it is not believed, and the log says why."""
        if token.count(".") != 2 or len(token) > _LONGEST_TOKEN:
            return None
        from joserfc.errors import JoseError

        try:
            return self._judged(await self._verified(token), now)
        except TokenRefused as refused:
            why = str(refused)
        except (JoseError, SettingsError) as error:
            why = f"{type(error).__name__}: {error}"
        except (ValueError, TypeError, OverflowError, OSError, RecursionError) as error:
            why = type(error).__name__
        self._refusals.warning("token_refused", reason=why[:200])
        return None

    async def identity(self, token: str, client: str, *, now: datetime) -> Mapping[str, Any]:
        """The claims of an id_token that was made for this client of ours. Raises TokenRefused."""
        from joserfc.errors import JoseError
        from joserfc.jwt import JWTClaimsRegistry

        if token.count(".") != 2 or len(token) > _LONGEST_TOKEN:
            raise TokenRefused("it is no signed token")
        try:
            claims = await self._verified(token, types=("", "jwt"))
            JWTClaimsRegistry(
                now=int(now.timestamp()),
                leeway=int(self._settings.leeway_s),
                iss={"essential": True, "value": self._settings.issuer},
                aud={"essential": True, "value": client},
                exp={"essential": True},
                sub={"essential": True},
            ).validate(dict(claims))
        except (JoseError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise TokenRefused(f"{type(error).__name__}: {error}"[:200]) from error
        if claims.get("azp", client) != client:
            raise TokenRefused("it was made for another client")
        return claims

    # ------------------------------------------------------------ the token

    async def _verified(self, token: str, *, types: Sequence[str] = ()) -> Mapping[str, Any]:
        """Its claims, once its signature is good. Without `types` those of the settings."""
        from joserfc import jws

        settings = self._settings
        registry = jws.JWSRegistry(algorithms=list(settings.algorithms), strict_check_header=False)
        header = jws.extract_compact(token.encode("ascii"), None, registry).headers()
        if header.get("alg") not in settings.algorithms:
            raise TokenRefused("its algorithm is not one of api.oidc.algorithms")
        kind = str(header.get("typ", "")).lower().removeprefix("application/")
        if kind not in (types or {each.lower() for each in settings.types}):
            raise TokenRefused("its typ is not one of api.oidc.types")
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise TokenRefused("it names no key")
        key = await self._key(kid)
        if key is None:
            raise TokenRefused("the issuer has no key of that name")
        key.check_alg(str(header["alg"]))
        signed = jws.deserialize_compact(token, key, list(settings.algorithms), registry)
        claims = json.loads(signed.payload or b"")
        if not isinstance(claims, dict):
            raise TokenRefused("its claims are no object")
        return claims

    def _judged(self, claims: Mapping[str, Any], now: datetime) -> Caller:
        from joserfc.jwt import JWTClaimsRegistry

        settings = self._settings
        JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=int(settings.leeway_s),
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(dict(claims))
        client = claims.get("azp", claims.get("client_id"))
        if settings.clients and client not in settings.clients:
            raise TokenRefused("it was made for another client than those of api.oidc.clients")
        roles = self._roles(claims)
        if {Role.SWITCH, Role.APPROVE} <= roles:
            raise TokenRefused("switch and approve need two people")
        return Caller(
            name=self._name(claims),
            roles=roles,
            expires_at=datetime.fromtimestamp(float(claims["exp"]) + settings.leeway_s, UTC),
        )

    def _name(self, claims: Mapping[str, Any]) -> str:
        name = claims.get(self._settings.name_claim)
        if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME:
            raise TokenRefused("its api.oidc.name_claim is no name")
        check_name(name)
        if self._taken(name):
            raise TokenRefused("its name is a key's")
        if self._settings.name_claim == "sub":
            return name
        return marked(name, self._settings.issuer, str(claims["sub"]))

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        given = _found(claims, self._settings.roles_claim)
        values = given.split() if isinstance(given, str) else given
        if not isinstance(values, list):
            return frozenset()
        known = self._settings.roles or {role.value: frozenset({role}) for role in Role}
        roles = [known.get(each, frozenset()) for each in values if isinstance(each, str)]
        return frozenset[Role]().union(*roles)

    # ------------------------------------------------------------ the issuer's keys

    async def _key(self, kid: str) -> "Key | None":
        """One that is kept too long is none; one that is old is used while they are fetched."""
        settings, age = self._settings, self._clock.elapsed_s() - self._fetched_s
        known = self._keys.get(kid) if age < settings.longest_kept_s else None
        if known is None:
            await self.fetch()
            fresh = self._clock.elapsed_s() - self._fetched_s < settings.longest_kept_s
            return self._keys.get(kid) if fresh else None
        if age >= settings.fetch_every_s and (self._refreshing is None or self._refreshing.done()):
            self._refreshing = asyncio.get_running_loop().create_task(self.fetch())
        return known

    async def fetch(self) -> None:
        """Fetch them, unless that was tried a moment ago: whoever invents names of keys would have
        us ask the issuer for ever."""
        async with self._fetching:
            now_s = self._clock.elapsed_s()
            if now_s - self._tried_s < self._settings.refetch_s:
                return
            self._tried_s = now_s
            try:
                self._keys = _public_keys(await self._documents())
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TokenRefused) as error:
                self._problem = f"{type(error).__name__}: {error}"[:300]
                log.error("issuer_keys_not_fetched", extra={"reason": self._problem})
                return
            self._fetched_s, self._problem = now_s, ""
            log.info("issuer_keys_fetched", extra={"keys": len(self._keys)})

    def http(self) -> aiohttp.ClientSession:
        """For calls of the issuer."""
        timeout = aiohttp.ClientTimeout(total=self._settings.timeout_s)
        connector = aiohttp.TCPConnector(ssl=self._trust)
        return aiohttp.ClientSession(timeout=timeout, connector=connector)

    async def _documents(self) -> Mapping[str, Any]:
        async with self.http() as http:
            url = self._settings.keys_url
            if not url:
                found = await discovery_of(http, self._settings.issuer)
                url = str(found.get("jwks_uri", ""))
                if (problem := safe_url(url)) is not None:
                    raise TokenRefused(f"its jwks_uri: {problem}")
            return await _document(http, url)

    async def discovered(self) -> Mapping[str, Any]:
        """Its discovery document, fetched again when it is old, and not at once where that has
        failed. Raises TokenRefused."""
        settings, now_s = self._settings, self._clock.elapsed_s()
        async with self._reading:
            if self._document is not None and now_s - self._read_s < settings.fetch_every_s:
                return self._document
            if now_s - self._asked_s >= min(settings.refetch_s, _PAUSE_S):
                self._asked_s = now_s
                try:
                    async with self.http() as http:
                        self._document = await discovery_of(http, settings.issuer)
                    self._read_s = now_s
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                    log.warning("issuer_not_discovered", extra={"reason": str(error)[:200]})
            if now_s - self._read_s < settings.longest_kept_s and self._document is not None:
                return self._document
        raise TokenRefused("its discovery document cannot be fetched")


def check_installed() -> None:
    """Raises SettingsError where the library is not there."""
    if find_spec("joserfc") is None:
        raise SettingsError("oidc: needs what `pip install openway-gateway[oidc]` brings along")


def trust_of(settings: OidcSettings) -> ssl.SSLContext:
    """Raises SettingsError."""
    file = settings.ca_file
    try:
        if file is not None:
            require_file(file, "oidc.ca_file")
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        raise SettingsError(f"oidc.ca_file: {file}: {error.strerror or error}") from error


_FOR_A_LOGIN: Final = ("authorization_endpoint", "token_endpoint")


async def issuer_problem(settings: OidcSettings, clock: Elapsed, *, within_s: float) -> str:
    """Why its tokens cannot be judged now, or nobody can log in there; empty where all is well."""
    quick = replace(settings, timeout_s=min(settings.timeout_s, within_s))
    issuer = Issuer(quick, clock, taken=lambda name: False)
    await issuer.fetch()
    if problem := await issuer.doubt():
        return problem
    if settings.login is None:
        return ""
    try:
        found = await issuer.discovered()
    except TokenRefused as refused:
        return f"api.oidc.login: {refused}"
    missing = [name for name in _FOR_A_LOGIN if not isinstance(found.get(name), str)]
    return f"api.oidc.login: it has no {' and no '.join(missing)}" if missing else ""


async def discovery_of(http: aiohttp.ClientSession, issuer: str) -> Mapping[str, Any]:
    """What it says of itself. Raises ValueError, TokenRefused, and what aiohttp does."""
    found = await _document(http, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if found.get("issuer") != issuer:
        raise TokenRefused("the discovery document is of another issuer")
    return found


async def _document(http: aiohttp.ClientSession, url: str) -> Mapping[str, Any]:
    async with http.get(url, allow_redirects=False) as answer:
        if answer.status != 200:
            raise ValueError(f"{url} answered {answer.status}")
        return await json_of(answer, url)


async def json_of(answer: aiohttp.ClientResponse, url: str) -> Mapping[str, Any]:
    """A JSON object, never more than its bound of it. Raises ValueError."""
    raw = bytearray()
    async for part in answer.content.iter_chunked(16 * 1024):
        raw += part
        if len(raw) > _LONGEST_DOCUMENT:
            raise ValueError(f"{url}: more than {_LONGEST_DOCUMENT} bytes")
    try:
        found = json.loads(raw)
    except RecursionError:
        raise ValueError(f"{url}: nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"{url}: no JSON object")
    return found


def _public_keys(found: Mapping[str, Any]) -> "Mapping[str, Key]":
    """By name, those that can sign: of a set that has others beside them these are left out.
    Raises ValueError where there is none."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry

    listed = found.get("keys")
    keys: dict[str, Key] = {}
    for each in listed[:_MOST_KEYS] if isinstance(listed, list) else []:
        if not isinstance(each, dict) or not _signs(each):
            continue
        try:
            keys.setdefault(each["kid"], JWKRegistry.import_key(each))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    if not keys:
        raise ValueError("the issuer has no key that signs")
    return keys


def _signs(key: Mapping[str, Any]) -> bool:
    """A public key that is for signatures, and none that is too short."""
    short = key.get("kty") == "RSA" and len(str(key.get("n", ""))) < _SHORTEST_MODULUS
    public = key.get("kty") in _PUBLIC and "d" not in key and not short
    return public and isinstance(key.get("kid"), str) and key.get("use", "sig") == "sig"


def _found(claims: Mapping[str, Any], name: str) -> object:
    """The claim of that name; with dots between, one within others (`realm_access.roles`)."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value

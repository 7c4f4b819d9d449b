"""How the two servers are reached, whom they let in and what they bound. Units are in the names."""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from adapter.errors import SettingsError
from adapter.model.bounds import (
    GIB,
    KIB,
    MIB,
    TIB,
    Body,
    Bounds,
    Count,
    CountOrZero,
    Port,
    PositiveSeconds,
    Seconds,
    check_bounds,
)
from adapter.model.names import name_problem, seen
from adapter.model.secret import Secret
from adapter.settings.urls import url_problem

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|::1)", re.IGNORECASE)
_PREFIX: Final = re.compile(r"(/[\w.~-]+)+", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHORTEST_TOKEN: Final = 32
_DIGEST: Final = "sha256:"
_MARK: Final = "owk_"
"""What a token of ours begins with, so that people and scanners of leaks know one."""

_ID: Final = re.compile(r"[\w-]{1,32}", re.ASCII)
_FORM: Final = "name role,role sha256:DIGEST [id=ID] [created=TIME] [expires=TIME]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """Files are PEM."""

    certificate_file: Annotated[Path, "PEM of the server's certificate"]
    key_file: Annotated[Path, "PEM of its private key"]
    key_password: Annotated[Secret | None, "pass phrase of the private key"] = None
    client_ca_file: Annotated[
        Path | None, "PEM of the issuer whose certificate callers must show"
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Bounds of the connections of one server.

    A new connection past `connections` takes the place of an idle one, first of those that have
    never asked for anything. A proxy in front makes all callers one address. `unsent_s` holds
    where the system has TCP_USER_TIMEOUT. The rest of a refused body is read so that the caller
    comes to see the answer.
    """

    connections: Annotated[
        Count, "connections at once; past it the one that is idle longest is closed"
    ] = 1024
    per_address: Annotated[Count, "connections at once from one address"] = 256
    idle_s: Annotated[
        PositiveSeconds, "a connection without a whole request head for so long is closed"
    ] = 15.0
    handshake_s: Annotated[PositiveSeconds, "longest TLS handshake"] = 10.0
    unsent_s: Annotated[
        PositiveSeconds, "a caller that does not take its answer for so long is cut off"
    ] = 30.0
    linger_s: Annotated[Seconds, "the rest of a refused body is read and dropped for so long"] = 2.0
    drain_s: Annotated[Seconds, "when stopping, requests under way may take so long"] = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicUser:
    """One name and password the head end may give. Several may live side by side (rotation)."""

    user: str
    password: str = field(repr=False)

    @classmethod
    def from_line(cls, line: str) -> "BasicUser":
        """Of `user:password`. Raises SettingsError."""
        user, colon, password = line.partition(":")
        if not colon or not user.strip() or not password.strip():
            raise SettingsError("must be lines of user:password")
        return cls(user=user.strip(), password=password.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The least rate of a body. Only time in which more of it is waited for counts."""

    least_rate: Annotated[
        CountOrZero, "bytes a second that a body must bring at least; 0: any rate"
    ] = 1024
    over_s: Annotated[PositiveSeconds, "so long a body may fall behind that rate"] = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """Bounds of one message. A body past `whole_bytes` is judged in pieces while it comes in.
    `data_deadline_s` is without the wait for a place."""

    status_bytes: Annotated[Body, "largest status message that is read"] = 256 * KIB
    data_bytes: Annotated[
        int, Bounds(least=1, most=TIB), "largest message of data, events or exceptions"
    ] = GIB
    held_bytes: Annotated[
        int, Bounds(least=1, most=GIB), "largest one where bodies cannot be spooled to disk"
    ] = 64 * MIB
    whole_bytes: Annotated[Body, "larger messages are judged in pieces as they come in"] = 256 * KIB
    large_at_once: Annotated[Count, "such messages held at a time; others wait unread"] = 4
    deadline_s: Annotated[PositiveSeconds, "a status message must be complete in this time"] = 30.0
    data_deadline_s: Annotated[PositiveSeconds, "the same for data, events and exceptions"] = 300.0
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineLimits:
    """What is kept of refused messages: the first `message_bytes` of each, and in any minute about
    `minute_bytes` of those with the right credentials, and as much again of all others.

    Past `total_bytes` the oldest give way, those without the right credentials first, and last the
    callbacks at the bare address whose token nobody knows. With less
    than `reserve_bytes` free on the store's disk none is kept: the rest is for what is taken.
    """

    message_bytes: Annotated[Body, "kept of one refused message"] = 64 * KIB
    minute_bytes: Annotated[
        int, Bounds(least=1, most=GIB), "kept of all refused messages in a minute"
    ] = 16 * MIB
    total_bytes: Annotated[
        int,
        Bounds(least=1, most=TIB),
        "kept of all refused messages, and of callbacks at the bare address given up; past "
        "it the oldest go",
    ] = GIB
    reserve_bytes: Annotated[
        int, Bounds(least=0, most=TIB), "with less disk free no refused message is kept"
    ] = 256 * MIB
    capture_s: Annotated[PositiveSeconds, "a refused message is read on for so long"] = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """The listener for the head end.

    `public_url` "" is the bound address. `path_prefix` stands before /openway here and, after
    `public_url`, in the addresses given out. A proxy that takes a path off wants that path in
    `public_url` instead.
    Without Basic and without client certificates anybody who reaches the port can hand in data
    and events, so that off the loopback `allow_anonymous` must say it is wanted.
    """

    host: Annotated[str, "address that callbacks are taken on"] = "127.0.0.1"
    port: Annotated[Port, "port that callbacks are taken on; 0: any free one"] = 0
    public_url: Annotated[
        str, "URL of the listener as the head end sees it; empty: host and port"
    ] = ""
    path_prefix: Annotated[str, "path before /openway, for a proxy that keeps one"] = ""
    users: Annotated[
        tuple[BasicUser, ...], "lines of user:password; when given, callbacks need HTTP Basic"
    ] = ()
    allow_anonymous: Annotated[bool, "beyond loopback: take callbacks without any credentials"] = (
        False
    )
    tls: ServerTls | None = None
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    bodies: BodyLimits = field(default_factory=BodyLimits)
    quarantine: QuarantineLimits = field(default_factory=QuarantineLimits)

    def __post_init__(self) -> None:
        if any(not item.user or ":" in item.user or not item.password for item in self.users):
            raise SettingsError("users: a name without colon and a password are needed")
        steps = self.path_prefix.split("/")
        if self.path_prefix and (
            not _PREFIX.fullmatch(self.path_prefix) or "." in steps or ".." in steps
        ):
            raise SettingsError("path_prefix: as /name or /name/name, without a slash at the end")
        certain = self.users or (self.tls is not None and self.tls.client_ca_file is not None)
        if not certain and not self.allow_anonymous and not _LOOPBACK.fullmatch(self.host):
            raise SettingsError(
                f"host: {self.host} without users or client certificates needs allow_anonymous"
            )


class Role(StrEnum):
    """What a key may do. Every role but `metrics` may read; none includes another but that."""

    READ = "read"
    OPERATE = "operate"
    """Commands that move no switch: reads, pings, commissioning."""
    SWITCH = "switch"
    """Connect and disconnect."""
    APPROVE = "approve"
    """Approve disconnects, close unknown outcomes, both for commands of others."""
    ADMIN = "admin"
    """Quarantine, master data, audit."""
    METRICS = "metrics"
    """What the gateway measures of itself, at /metrics, and nothing else."""


def check_name(name: str) -> None:
    """Of who acts, in audits. Raises SettingsError."""
    if (problem := name_problem(name)) is not None:
        raise SettingsError(f"api key {name}: {problem}" if name else f"api key: {problem}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A bearer token, kept as its SHA-256. `name` is who acts, in audits.

    A token that the gateway made has 256 random bits, which nobody can guess however fast the
    digest is: a slow one is for passwords. `id` is public and tells which key a token is of;
    `in_clear`: the file has the token itself.
    """

    id: str
    name: str
    token_sha256: str = field(repr=False)
    roles: frozenset[Role]
    created_at: datetime | None = field(default=None, compare=False)
    expires_at: datetime | None = None
    in_clear: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        check_name(self.name)
        if not _ID.fullmatch(self.id):
            raise SettingsError(f"api key {self.name}: id is up to 32 letters, digits, - and _")
        if not _SHA256.fullmatch(self.token_sha256):
            raise SettingsError(f"api key {self.name}: token_sha256 is 64 lower case hex digits")
        if not self.roles:
            raise SettingsError(f"api key {self.name}: needs a role")
        if {Role.SWITCH, Role.APPROVE} <= self.roles:
            raise SettingsError(f"api key {self.name}: switch and approve need two keys")
        for name, at in (("created", self.created_at), ("expires_at", self.expires_at)):
            if at is not None and at.tzinfo is None:
                raise SettingsError(f"api key {self.name}: {name} needs a time zone")

    @classmethod
    def from_line(cls, line: str) -> "ApiKey":
        """Of `name role,role sha256:DIGEST [id=ID] [created=TIME] [expires=TIME]`. The token itself
        may stand in place of its digest, and the expiry without its name, as in older files.

        Raises SettingsError, which repeats no token.
        """
        name, roles, token, *more = [*line.split(), "", ""][: max(len(line.split()), 3)]
        if not token:
            raise SettingsError(f"must be lines of: {_FORM}")
        known = [role.value for role in Role]
        wanted = roles.split(",")
        if any(role not in known for role in wanted):
            # What stands there may be the token, by a slip: it is not repeated.
            raise SettingsError(f"{name}: the second word must be roles, of {', '.join(known)}")
        given = _named(name, more)
        in_clear = not token.startswith(_DIGEST)
        digest = _digest_of(name, token) if in_clear else token.removeprefix(_DIGEST)
        return cls(
            id=given.get("id", digest[:8]),
            name=name,
            token_sha256=digest,
            roles=frozenset(map(Role, wanted)),
            created_at=_time_of(name, given.get("created"), "creation"),
            expires_at=_time_of(name, given.get("expires"), "expiry"),
            in_clear=in_clear,
        )

    @property
    def line(self) -> str:
        """Of the file of keys; without the token."""
        times = (("created", self.created_at), ("expires", self.expires_at))
        more = "".join(f" {name}={at.isoformat()}" for name, at in times if at is not None)
        roles = ",".join(role for role in Role if role in self.roles)
        return f"{self.name} {roles} {_DIGEST}{self.token_sha256} id={self.id}{more}"

    @classmethod
    def of(
        cls, name: str, token: str, *roles: Role, expires_at: datetime | None = None
    ) -> "ApiKey":
        """A key for a token in clear. Raises SettingsError for one that could be guessed."""
        digest = _digest_of(name, token)
        return cls(
            id=digest[:8],
            name=name,
            token_sha256=digest,
            roles=frozenset(roles),
            expires_at=expires_at,
        )

    @classmethod
    def make(
        cls, name: str, *roles: Role, now: datetime, expires_at: datetime | None = None
    ) -> tuple["ApiKey", str]:
        """A new one and its token, which begins with its id. Raises SettingsError."""
        if len(name.split()) != 1 or name.startswith("#"):
            raise SettingsError("api key: a name is one word")
        id_ = secrets.token_hex(4)
        token = f"{_MARK}{id_}_{secrets.token_hex(32)}"
        key = cls(
            id=id_,
            name=name,
            token_sha256=_digest_of(name, token),
            roles=frozenset(roles),
            created_at=now.replace(microsecond=0),
            expires_at=expires_at,
        )
        return key, token


def _digest_of(name: str, token: str) -> str:
    if len(token) < _SHORTEST_TOKEN:
        raise SettingsError(f"api key {name}: a token has at least {_SHORTEST_TOKEN} characters")
    return hashlib.sha256(token.encode()).hexdigest()


def _named(name: str, words: Sequence[str]) -> Mapping[str, str]:
    """What stands behind the token."""
    found: dict[str, str] = {}
    for word in words:
        field_, equals, value = word.partition("=")
        if not equals:
            field_, value = "expires", word
        if field_ not in ("id", "created", "expires") or field_ in found or not value:
            raise SettingsError(f"{name}: must be a line of: {_FORM}")
        found[field_] = value
    return found


def _time_of(name: str, text: str | None, what: str) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{name}: the {what} must be a date and time with a zone") from None


def check_keys(keys: Sequence[ApiKey]) -> None:
    """That two people cannot be one, and that a token is one key's. Raises SettingsError."""
    roles: dict[str, set[Role]] = {}
    for key in keys:
        roles.setdefault(key.name, set()).update(key.roles)
    for name, has in roles.items():
        if {Role.SWITCH, Role.APPROVE} <= has:
            raise SettingsError(f"api key {name}: switch and approve need two names")
    alike: dict[str, str] = {}
    for name in roles:
        if (other := alike.setdefault(seen(name), name)) != name:
            raise SettingsError(f"api keys {other} and {name}: names that look alike")
    if len({key.token_sha256 for key in keys}) != len(keys):
        raise SettingsError("api keys: one token is given to two keys")
    if len({key.id for key in keys}) != len(keys):
        raise SettingsError("api keys: two keys have one id")


class SignatureAlgorithm(StrEnum):
    """Signatures by a private key, of which the issuer alone has it. What is verified with a
    secret, or not at all, is not among them."""

    RS256 = "RS256"
    RS384 = "RS384"
    RS512 = "RS512"
    PS256 = "PS256"
    PS384 = "PS384"
    PS512 = "PS512"
    ES256 = "ES256"
    ES384 = "ES384"
    ES512 = "ES512"
    EDDSA = "EdDSA"


LOGIN_CALLBACK: Final = "/console/login/callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcLogin:
    """People log in to the console at the issuer, which knows the gateway as a client."""

    client_id: Annotated[str, "what the issuer calls the console: a client of its own"]
    client_secret: Annotated[
        Secret | None, "its secret; none: a public client, for which PKCE stands alone"
    ] = None
    redirect_url: Annotated[
        str,
        "where browsers come back to, as the issuer has it: https://HOST/console/login/callback",
    ]
    scopes: Annotated[tuple[str, ...], "what is asked for; openid among them"] = ("openid",)

    def __post_init__(self) -> None:
        if not self.client_id:
            raise SettingsError("client_id: is needed")
        if (problem := safe_url(self.redirect_url)) is not None:
            raise SettingsError(f"redirect_url: {problem}")
        if urlsplit(self.redirect_url).path != LOGIN_CALLBACK or "?" in self.redirect_url:
            raise SettingsError(f"redirect_url: its path is {LOGIN_CALLBACK}")
        if "openid" not in self.scopes:
            raise SettingsError("scopes: openid is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcSettings:
    """An issuer whose tokens are let in beside keys. `name_claim` is who acts, in audits: `sub`, or
    another one, which gets a mark made of `sub`: people may change it themselves."""

    issuer: Annotated[str, "URL of the issuer, as its tokens have it in iss"]
    audience: Annotated[str, "what its tokens must have in aud: this gateway"]
    keys_url: Annotated[str, "URL of its keys (JWKS); empty: as its discovery document says"] = ""
    ca_file: Annotated[Path | None, "PEM of the authority that the issuer is believed by"] = None
    algorithms: Annotated[frozenset[SignatureAlgorithm], "signatures that are taken"] = frozenset(
        {SignatureAlgorithm.RS256, SignatureAlgorithm.PS256, SignatureAlgorithm.ES256}
    )
    types: Annotated[tuple[str, ...], "what the header of a token may have as typ"] = (
        "at+jwt",
        "JWT",
    )
    clients: Annotated[
        tuple[str, ...], "only tokens made for these, by azp or client_id; empty: for any"
    ] = ()
    name_claim: Annotated[str, "claim that names who acts"] = "sub"
    roles_claim: Annotated[str, "claim that has the roles; with dots, one within others"] = "roles"
    roles: Annotated[
        Mapping[str, frozenset[Role]], "roles of each word of that claim; empty: its own names"
    ] = field(default_factory=dict)
    leeway_s: Annotated[
        float, Bounds(least=0, most=300), "its clock and ours may differ by so much"
    ] = 30.0
    timeout_s: Annotated[PositiveSeconds, "its keys must be there in this time"] = 5.0
    fetch_every_s: Annotated[PositiveSeconds, "its keys are fetched again after so long"] = 3_600.0
    refetch_s: Annotated[
        PositiveSeconds, "between two fetches, also where a token names a key that is not known"
    ] = 30.0
    longest_kept_s: Annotated[
        PositiveSeconds, "so long its keys are believed while it cannot be reached"
    ] = 86_400.0
    login: OidcLogin | None = None

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.login is not None and self.clients and self.login.client_id not in self.clients:
            raise SettingsError("clients: login.client_id is not one of them")
        for name, url in (("issuer", self.issuer), ("keys_url", self.keys_url or self.issuer)):
            if (problem := safe_url(url)) is not None:
                raise SettingsError(f"{name}: {problem}")
        if not self.audience or not self.name_claim or not self.algorithms:
            raise SettingsError("audience, name_claim and algorithms: are needed")
        for word, roles in self.roles.items():
            if {Role.SWITCH, Role.APPROVE} <= roles:
                raise SettingsError(f"roles.{word}: switch and approve need two people")


def safe_url(url: str) -> str | None:
    """What is wrong with the URL of something that is believed; None where it is good."""
    problem = url_problem(url, query=True)
    if problem is None and urlsplit(url).scheme != "https":
        loopback = _LOOPBACK.fullmatch(urlsplit(url).hostname or "")
        return None if loopback else "https is needed: who changes it on the way would be let in"
    return problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """The operator's console at /console. Sessions are kept in memory and end with their key."""

    enabled: Annotated[bool, "serve the operator's console at /console"] = True
    session_s: Annotated[PositiveSeconds, "a login lasts so long"] = 43_200.0
    sessions: Annotated[
        Count, "logins at once; past it the key's own used least recently ends, else the one of all"
    ] = 200
    refresh_s: Annotated[PositiveSeconds, "a page that is looked at is rendered anew so often"] = (
        2.0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSettings:
    """The JSON interface. No keys: nobody is let in. `keys_path` is the file that they are of.

    Past `failures_per_minute` an address without a right key is told to wait for the next minute;
    a right one is let in. Refused changes are audited, a caller's first in a minute and
    `audited_refusals_per_minute` in all. Off the loopback plain http shows the tokens to everybody
    on the way: then `allow_cleartext` must say it is wanted.
    """

    host: Annotated[str, "address of the REST API"] = "127.0.0.1"
    port: Annotated[Port, "port of the REST API; 0: any free one"] = 0
    keys: Annotated[
        tuple[ApiKey, ...],
        "lines of `openway config new-key`; read again when it changes; without keys nobody is "
        "let in",
    ] = ()
    oidc: OidcSettings | None = None
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    keys_path: Path | None = field(default=None, metadata={"in_file": False})
    tls: ServerTls | None = None
    allow_cleartext: Annotated[bool, "beyond loopback: serve without TLS"] = False
    body_bytes: Annotated[Body, "largest request body that is read"] = 8 * MIB
    deadline_s: Annotated[PositiveSeconds, "a request must be answered in this time"] = 30.0
    longest_wait_s: Annotated[Seconds, "longest ?wait= of a caller"] = 60.0
    leave_s: Annotated[Seconds, "at a stop /readyz says 503 for so long before the ports close"] = (
        1.0
    )
    waiting_at_once: Annotated[CountOrZero, "callers that may wait at once; one key has half"] = 200
    failures_per_minute: Annotated[
        Count, "wrong keys of one address; past it 429, but for right keys"
    ] = 30
    audited_refusals_per_minute: Annotated[
        Count, "refused changes in the audit; one of each caller"
    ] = 60
    connections: ConnectionLimits = field(
        default_factory=lambda: ConnectionLimits(connections=512, per_address=256)
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        check_keys(self.keys)
        if self.tls is None and not self.allow_cleartext and not _LOOPBACK.fullmatch(self.host):
            raise SettingsError(f"host: {self.host} over plain http needs allow_cleartext")

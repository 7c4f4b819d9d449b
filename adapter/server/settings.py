"""How the two servers are reached, whom they let in and what they bound. Units are in the names."""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from adapter.errors import SettingsError

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|::1)", re.IGNORECASE)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_SHORTEST_TOKEN: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """Files are PEM. With `client_ca_file` callers must show a certificate of that issuer."""

    certificate_file: Path
    key_file: Path
    key_password: str | None = field(default=None, repr=False)
    client_ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """Bounds of the connections of one server.

    connections     in all; a new one past it takes the place of an idle one, first of those that
                    have never asked for anything
    per_address     of one address; a proxy in front makes all callers one address
    idle_s          a connection without a whole request head for so long is closed
    handshake_s     TLS handshake
    unsent_s        a caller that does not take its answer for so long is cut off (where the
                    system has TCP_USER_TIMEOUT)
    linger_s        what is left of a refused body is read and dropped for so long, so that the
                    caller comes to see the answer
    drain_s         when stopping, how long requests under way may take
    """

    connections: int = 1024
    per_address: int = 256
    idle_s: float = 15.0
    handshake_s: float = 10.0
    unsent_s: float = 30.0
    linger_s: float = 2.0
    drain_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicUser:
    """One name and password the head end may give. Several may live side by side (rotation)."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimits:
    """Bounds of one message. A body past `whole_bytes` is judged in pieces while it comes in;
    `large_at_once` of those are held at a time, the others wait unread.

    held_bytes      the most of a body where there is no spool folder to put large ones in
    deadline_s      a status message must be complete in this time
    data_deadline_s the same for data, events and exceptions, without the wait for a place
    """

    status_bytes: int = 256 * 1024
    data_bytes: int = 1024 * 1024 * 1024
    held_bytes: int = 64 * 1024 * 1024
    whole_bytes: int = 256 * 1024
    large_at_once: int = 4
    deadline_s: float = 30.0
    data_deadline_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineLimits:
    """What is kept of refused messages: the first `message_bytes` of each, and in any minute about
    `minute_bytes` of those with the right credentials, and as much again of all others."""

    message_bytes: int = 64 * 1024
    minute_bytes: int = 16 * 1024 * 1024
    capture_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """The listener for the head end.

    `public_url` is how the head end reaches it; "" is the bound address. `path_prefix` stands
    before /openway here and, after `public_url`, in the addresses given out. A proxy that takes a
    path off wants that path in `public_url` instead. `users` empty: no HTTP Basic.
    Without Basic and without client certificates anybody who reaches the port can hand in data
    and events, so that off the loopback `allow_anonymous` must say it is wanted.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str = ""
    path_prefix: str = ""
    users: tuple[BasicUser, ...] = ()
    allow_anonymous: bool = False
    tls: ServerTls | None = None
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    bodies: BodyLimits = field(default_factory=BodyLimits)
    quarantine: QuarantineLimits = field(default_factory=QuarantineLimits)

    def __post_init__(self) -> None:
        if any(not item.user or ":" in item.user or not item.password for item in self.users):
            raise SettingsError("users: a name without colon and a password are needed")
        if self.path_prefix and not re.fullmatch(r"(/[\w.~-]+)+", self.path_prefix):
            raise SettingsError("path_prefix: as /name or /name/name, without a slash at the end")
        certain = self.users or (self.tls is not None and self.tls.client_ca_file is not None)
        if not certain and not self.allow_anonymous and not _LOOPBACK.fullmatch(self.host):
            raise SettingsError(
                f"host: {self.host} without users or client certificates needs allow_anonymous"
            )


class Role(StrEnum):
    """What a key may do. Every role may read; none includes another but that."""

    READ = "read"
    OPERATE = "operate"
    """Commands that move no switch: reads, pings, commissioning."""
    SWITCH = "switch"
    """Connect and disconnect."""
    APPROVE = "approve"
    """Approve disconnects, close unknown outcomes, both for commands of others."""
    ADMIN = "admin"
    """Quarantine, master data, audit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A bearer token, kept as its SHA-256. `name` is who acts, in audits."""

    name: str
    token_sha256: str = field(repr=False)
    roles: frozenset[Role]
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        if not self.name or not self.name.isprintable():
            raise SettingsError("api key: needs a name")
        if not _SHA256.fullmatch(self.token_sha256):
            raise SettingsError(f"api key {self.name}: token_sha256 is 64 lower case hex digits")
        if not self.roles:
            raise SettingsError(f"api key {self.name}: needs a role")
        if {Role.SWITCH, Role.APPROVE} <= self.roles:
            raise SettingsError(f"api key {self.name}: switch and approve need two keys")
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise SettingsError(f"api key {self.name}: expires_at needs a time zone")

    @classmethod
    def of(
        cls, name: str, token: str, *roles: Role, expires_at: datetime | None = None
    ) -> "ApiKey":
        """A key for a token in clear. Raises SettingsError for one that could be guessed."""
        if len(token) < _SHORTEST_TOKEN:
            raise SettingsError(
                f"api key {name}: a token has at least {_SHORTEST_TOKEN} characters"
            )
        return cls(
            name=name,
            token_sha256=hashlib.sha256(token.encode()).hexdigest(),
            roles=frozenset(roles),
            expires_at=expires_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSettings:
    """The JSON interface. No keys: nobody is let in.

    `longest_wait_s` bounds `?wait=`, `waiting_at_once` how many may wait. Past
    `failures_per_minute` an address without a right key is told to wait for the next minute; a
    right one is let in. Refused changes are audited, a caller's first in a minute and
    `audited_refusals_per_minute` in all. Off the loopback plain
    http shows the tokens to everybody on the way: then `allow_cleartext` must say it is wanted.
    """

    host: str = "127.0.0.1"
    port: int = 0
    keys: tuple[ApiKey, ...] = ()
    tls: ServerTls | None = None
    allow_cleartext: bool = False
    body_bytes: int = 8 * 1024 * 1024
    deadline_s: float = 30.0
    longest_wait_s: float = 60.0
    waiting_at_once: int = 200
    failures_per_minute: int = 30
    audited_refusals_per_minute: int = 60
    connections: ConnectionLimits = field(
        default_factory=lambda: ConnectionLimits(connections=512, per_address=256)
    )

    def __post_init__(self) -> None:
        if self.failures_per_minute < 1 or self.audited_refusals_per_minute < 1:
            raise SettingsError("failures_per_minute, audited_refusals_per_minute: at least 1")
        names = [key.name for key in self.keys]
        if len(set(names)) != len(names):
            holders = {name: {key.name for key in self.keys if key.name == name} for name in names}
            roles: dict[str, set[Role]] = {name: set() for name in holders}
            for key in self.keys:
                roles[key.name] |= key.roles
            for name, has in roles.items():
                if {Role.SWITCH, Role.APPROVE} <= has:
                    raise SettingsError(f"api key {name}: switch and approve need two names")
        digests = [key.token_sha256 for key in self.keys]
        if len(set(digests)) != len(digests):
            raise SettingsError("api keys: one token is given to two keys")
        if self.tls is None and not self.allow_cleartext and not _LOOPBACK.fullmatch(self.host):
            raise SettingsError(f"host: {self.host} over plain http needs allow_cleartext")

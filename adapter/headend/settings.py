"""What a site tells us about its head end. Frozen values; units are in the names.

Addresses come from here and nowhere else: not from a WSDL, not from a reply.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from adapter.commands.flows import PROVISIONING_OPERATIONS, SWITCH_OPERATIONS, Operation
from adapter.errors import SettingsError
from adapter.headend.secret import Secret

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|::1)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How an https head end proves itself, and we to it. Files are PEM.

    `ca_file` pins the issuer: no other authority is believed. Without it, `system_trust` must say
    that the machine's own store is wanted. `server_name` replaces the URL's host in the name check,
    for head ends that are addressed by number.
    """

    ca_file: Path | None = None
    system_trust: bool = False
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: Secret | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicLogin:
    """HTTP Basic authentication of each request."""

    user: str
    password: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class UsernameToken:
    """WS-Security UsernameToken with nonce and created; digest or plain text (profile inferred)."""

    user: str
    password: Secret
    digest: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds per phase, and one deadline over the whole call.

    admission_s  waiting for a place within our own limits
    pool_s       waiting for a pooled connection and, together with it, for the connection itself
    connect_s    one TCP connect and its TLS handshake, per address of the host
    reply_s      between the last byte sent and the first received, and between any two received
    total_s      everything, from the call to the last byte of the reply
    """

    admission_s: float = 5.0
    pool_s: float = 10.0
    connect_s: float = 5.0
    reply_s: float = 30.0
    total_s: float = 60.0

    def __post_init__(self) -> None:
        # Nought would switch a phase's limit off, not make it short.
        for row in fields(self):
            if not getattr(self, row.name) > 0:
                raise SettingsError(f"{row.name}: more than 0 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `concurrency` calls at once and `rate_per_s` a second, with bursts of `burst`."""

    concurrency: int | None = None
    rate_per_s: float | None = None
    burst: int = 1

    def __post_init__(self) -> None:
        if self.concurrency is not None and self.concurrency < 1:
            raise SettingsError("concurrency: at least 1")
        if self.rate_per_s is not None and not self.rate_per_s > 0:
            raise SettingsError("rate_per_s: more than 0; None for no limit")
        if self.burst < 1:
            raise SettingsError("burst: at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """Our own limits for one head end. What the vendor's are is not known.

    `shares` are the priority classes, first the most urgent: the part of concurrency and of the
    saved-up rate that a class may use, so that the rest is kept free for the classes before it.
    An unknown class is treated as the last one.

    `pushback_*`: when the head end says TooManyConcurrentRequests or TooManyCommands, concurrency
    is halved and nothing is admitted for the pause, which doubles while that goes on.

    The breaker opens after so many calls in a row that could not be sent, or whose outcome stayed
    unknown, and then lets one call through per `breaker_open_s` (doubling up to the longest).
    """

    concurrency: int = 16
    rate_per_s: float | None = None
    burst: int = 16
    operations: Mapping[Operation, Limit] = field(default_factory=lambda: MappingProxyType({}))
    shares: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({"urgent": 1.0, "normal": 0.75, "bulk": 0.5})
    )
    max_waiting: int = 10_000
    pushback_pause_s: float = 0.5
    pushback_longest_s: float = 30.0
    breaker_not_sent: int = 5
    breaker_unknown: int = 20
    breaker_open_s: float = 2.0
    breaker_longest_s: float = 60.0

    def __post_init__(self) -> None:
        Limit(concurrency=self.concurrency, rate_per_s=self.rate_per_s, burst=self.burst)
        if not self.shares or not all(0 < share <= 1 for share in self.shares.values()):
            raise SettingsError("shares: at least one class, each more than 0 and at most 1")
        if self.breaker_not_sent < 1 or self.breaker_unknown < 1:
            raise SettingsError("breaker_not_sent, breaker_unknown: at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadEndSettings:
    """One head end.

    `service_urls` gives single services a whole URL of their own; the others live below `base_url`
    at the path of the contract.

    `fresh_connection`: operations that never ride on an idle connection. A pooled connection may be
    closed by the head end in the very moment we write, or hold a stray reply of the call before;
    for orders that move a switch neither is worth a saved handshake.

    `generic_faults`: named faults that are too general to prove that a switch did not move; for
    `SWITCH_OPERATIONS` they count as an unknown outcome. com:OperationFault is the contract's base
    type and says nothing more than "failed" (that it may follow an action is a caution of ours).

    `believe_bare_4xx`: a 4xx without a fault refuses a switch order too. A proxy, a firewall or an
    error page in front of the head end can say 4xx for something that the head end took, so that it
    proves something only where nothing stands between that answers in the head end's place.
    """

    base_url: str
    service_urls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    timeouts: Timeouts = field(default_factory=Timeouts)
    operation_timeouts: Mapping[Operation, Timeouts] = field(
        default_factory=lambda: MappingProxyType(
            {each: Timeouts(reply_s=120.0, total_s=180.0) for each in PROVISIONING_OPERATIONS}
        )
    )
    limits: LimitSettings = field(default_factory=LimitSettings)
    tls: Tls | None = None
    basic: BasicLogin | None = None
    username_token: UsernameToken | None = None
    allow_cleartext_passwords: bool = False
    max_reply_bytes: int = 16 * 1024 * 1024
    keep_alive_s: float = 10.0
    connect_attempts: int = 3
    connect_retry_wait_s: float = 0.2
    fresh_connection: frozenset[Operation] = SWITCH_OPERATIONS
    generic_faults: frozenset[str] = frozenset({"OperationFault"})
    believe_bare_4xx: bool = False

    def __post_init__(self) -> None:
        for name, url in (("base_url", self.base_url), *self.service_urls.items()):
            self._check_url(name, url)
        if self.max_reply_bytes <= 0 or self.connect_attempts < 1:
            raise SettingsError("max_reply_bytes and connect_attempts must be at least 1")
        if self.basic is not None and ":" in self.basic.user:
            raise SettingsError("basic: HTTP Basic has no user names with a colon")

    def _check_url(self, name: str, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SettingsError(f"{name}: an http or https URL with a host is needed")
        if parts.username is not None or parts.password is not None:
            raise SettingsError(f"{name}: no credentials in a URL; use basic")
        if parts.fragment:
            raise SettingsError(f"{name}: a URL with a fragment")
        if parts.scheme == "https":
            if self.tls is None or not (self.tls.ca_file or self.tls.system_trust):
                raise SettingsError(f"{name}: https needs tls with ca_file (or system_trust)")
        elif self._reveals_password and not _LOOPBACK.fullmatch(parts.hostname):
            raise SettingsError(
                f"{name}: a password over plain http needs allow_cleartext_passwords"
            )

    @property
    def _reveals_password(self) -> bool:
        in_clear = self.basic is not None or (
            self.username_token is not None and not self.username_token.digest
        )
        return in_clear and not self.allow_cleartext_passwords

    def url_for(self, operation: Operation, path: str) -> str:
        """Where `operation` is sent: its service's own URL, else `base_url` and path."""
        own = self.service_urls.get(operation.value.partition(".")[0])
        if own is not None:
            return own
        return f"{self.base_url.rstrip('/')}/{path.lstrip('/')}"

    def timeouts_for(self, operation: Operation) -> Timeouts:
        return self.operation_timeouts.get(operation, self.timeouts)

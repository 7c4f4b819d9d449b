"""What a site tells us about its head end. Frozen values; units are in the names.

Addresses come from here and nowhere else: not from a WSDL, not from a reply.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final
from urllib.parse import urlsplit

from adapter.commands.flows import PROVISIONING_OPERATIONS, SWITCH_OPERATIONS, Operation
from adapter.errors import SettingsError
from adapter.model.bounds import (
    GIB,
    MIB,
    Bounds,
    Count,
    PositiveSeconds,
    Seconds,
    Share,
    check_bounds,
)
from adapter.model.device import THIS_HEAD_END
from adapter.model.secret import Secret
from adapter.model.values import replace
from adapter.settings.loading import falls_back_on
from adapter.settings.urls import url_problem

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|::1)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """How an https head end proves itself, and we to it. Files are PEM.

    `ca_file` pins the issuer: no other authority is believed. Without it, `system_trust` must say
    that the machine's own store is wanted. `server_name` replaces the URL's host in the name check,
    for head ends that are addressed by number.
    """

    ca_file: Annotated[Path | None, "PEM of the only authority that is believed"] = None
    system_trust: Annotated[bool, "believe the machine's own authorities instead"] = False
    certificate_file: Annotated[Path | None, "PEM of our client certificate"] = None
    key_file: Annotated[Path | None, "PEM of our private key"] = None
    key_password: Annotated[Secret | None, "pass phrase of the private key"] = None
    server_name: Annotated[
        str | None, "name in the head end's certificate, if not the URL's host"
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicLogin:
    """HTTP Basic authentication of each request."""

    user: Annotated[str, "user of HTTP Basic"]
    password: Annotated[Secret, "password of HTTP Basic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsernameToken:
    """WS-Security UsernameToken with nonce and created; digest or plain text (profile inferred)."""

    user: Annotated[str, "user of the WS-Security UsernameToken"]
    password: Annotated[Secret, "password of the WS-Security UsernameToken"]
    digest: Annotated[bool, "send a digest and not the password (profile inferred)"] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds per phase, and one deadline over the whole call.

    0 would switch a phase's limit off, not make it short. `connect_s` is per address of the host.
    """

    admission_s: Annotated[PositiveSeconds, "waiting for a place within our own limits"] = 5.0
    pool_s: Annotated[
        PositiveSeconds, "waiting for a pooled connection, and for the connection itself"
    ] = 10.0
    connect_s: Annotated[PositiveSeconds, "one TCP connect with its TLS handshake"] = 5.0
    reply_s: Annotated[
        PositiveSeconds, "from the last byte sent to the first received, and between any two"
    ] = 30.0
    total_s: Annotated[
        PositiveSeconds, "everything, from the call to the last byte of the reply"
    ] = 60.0

    def __post_init__(self) -> None:
        check_bounds(self)


_Rate = Annotated[float, Bounds(above=0, most=1_000_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `concurrency` calls at once and `rate_per_s` a second, with bursts of `burst`."""

    concurrency: Annotated[Count | None, "calls at once"] = None
    rate_per_s: Annotated[_Rate | None, "calls a second; empty: no limit"] = None
    burst: Annotated[Count, "calls that may follow each other at once after a rest"] = 1

    def __post_init__(self) -> None:
        check_bounds(self)


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

    concurrency: Annotated[Count, "calls at once, in all"] = 16
    rate_per_s: Annotated[_Rate | None, "calls a second; empty: no limit, in all"] = None
    burst: Annotated[Count, "calls that may follow each other at once after a rest, in all"] = 16
    operations: Mapping[Operation, Limit] = field(default_factory=lambda: MappingProxyType({}))
    shares: Annotated[
        Mapping[str, Share], "part of the limits that a priority class may use, 0 to 1"
    ] = field(
        default_factory=lambda: MappingProxyType({"urgent": 1.0, "normal": 0.75, "bulk": 0.5})
    )
    slow_s: Annotated[
        PositiveSeconds, "an answer that takes longer is slow; three in a row are told to people"
    ] = 10.0
    max_waiting: Annotated[Count, "calls that may wait for a place; more are not sent"] = 10_000
    pushback_pause_s: Annotated[PositiveSeconds, "first pause after a fault that says too many"] = (
        0.5
    )
    pushback_longest_s: Annotated[PositiveSeconds, "longest such pause; it doubles up to this"] = (
        30.0
    )
    breaker_not_sent: Annotated[Count, "calls in a row not sent, until the breaker opens"] = 5
    breaker_unknown: Annotated[Count, "unknown outcomes in a row, until the breaker opens"] = 20
    breaker_open_s: Annotated[
        PositiveSeconds, "pause of an open breaker before one call is let through"
    ] = 2.0
    breaker_longest_s: Annotated[PositiveSeconds, "longest such pause; it doubles up to this"] = (
        60.0
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.shares or not all(0 < share <= 1 for share in self.shares.values()):
            raise SettingsError("shares: at least one class, each more than 0 and at most 1")


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

    name: Annotated[
        str, "what the registry calls this head end; a device of another one is not commanded here"
    ] = THIS_HEAD_END
    base_url: Annotated[str, "URL of the head end; services are below it at the contract's paths"]
    service_urls: Annotated[
        Mapping[str, str], "whole URL of single services, by the service's name"
    ] = field(default_factory=lambda: MappingProxyType({}))
    timeouts: Timeouts = field(default_factory=Timeouts)
    operation_timeouts: Mapping[Operation, Timeouts] = field(
        default_factory=lambda: MappingProxyType(
            {each: Timeouts(reply_s=120.0, total_s=180.0) for each in PROVISIONING_OPERATIONS}
        ),
        metadata=falls_back_on("timeouts"),
    )
    limits: LimitSettings = field(default_factory=LimitSettings)
    tls: Tls | None = None
    basic: BasicLogin | None = None
    username_token: UsernameToken | None = None
    allow_cleartext_passwords: Annotated[
        bool, "allow passwords over plain http beyond loopback"
    ] = False
    max_reply_bytes: Annotated[
        int, Bounds(least=1, most=GIB), "largest reply that is read, after decompression"
    ] = 16 * MIB
    keep_alive_s: Annotated[
        Seconds, "how long an idle connection is kept; below the head end's own"
    ] = 10.0
    connect_attempts: Annotated[
        Count, "tries to connect within one call, before a byte is sent"
    ] = 3
    connect_retry_wait_s: Annotated[Seconds, "first wait between such tries"] = 0.2
    fresh_connection: Annotated[
        frozenset[Operation], "operations that never ride on an idle connection"
    ] = SWITCH_OPERATIONS
    generic_faults: Annotated[
        frozenset[str], "faults too general to prove that a switch did not move"
    ] = frozenset({"OperationFault"})
    traceparent: Annotated[bool, "tell the head end the trace of a call, as an HTTP header"] = False
    believe_bare_4xx: Annotated[bool, "no proxy: a 4xx without fault refuses switch orders too"] = (
        False
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.name.strip():
            raise SettingsError("name: must not be blank: a device of a blank one is at this one")
        for name, url in (("base_url", self.base_url), *self.service_urls.items()):
            self._check_url(name, url)
        if self.basic is not None and ":" in self.basic.user:
            raise SettingsError("basic: HTTP Basic has no user names with a colon")

    def _check_url(self, name: str, url: str) -> None:
        if problem := url_problem(url):
            raise SettingsError(f"{name}: {problem}")
        parts = urlsplit(url)
        if parts.scheme == "https":
            if self.tls is None or not (self.tls.ca_file or self.tls.system_trust):
                raise SettingsError(f"{name}: https needs tls with ca_file (or system_trust)")
        elif self._reveals_password and not _LOOPBACK.fullmatch(parts.hostname or ""):
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


def with_access_of(settings: HeadEndSettings, other: HeadEndSettings) -> HeadEndSettings:
    """`settings` with the certificates, names and passwords of the other."""
    return replace(settings, tls=other.tls, basic=other.basic, username_token=other.username_token)

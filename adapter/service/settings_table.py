"""The settings as a table: for README, for `openway tables`, and for `openway config show`.

Settings that belong to other modules' dataclasses get their line of help here; a test demands one
for every setting.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import time
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.headend.secret import Secret
from adapter.service.settings import Loaded, Settings
from adapter.service.settings_reader import Leaf, leaves
from adapter.service.settings_values import WEEKDAYS

_PHASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "admission_s": "waiting for a place within our own limits",
        "pool_s": "waiting for a pooled connection, and for the connection itself",
        "connect_s": "one TCP connect with its TLS handshake",
        "reply_s": "from the last byte sent to the first received, and between any two",
        "total_s": "everything, from the call to the last byte of the reply",
    }
)
_LIMIT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "concurrency": "calls at once",
        "rate_per_s": "calls a second; empty: no limit",
        "burst": "calls that may follow each other at once after a rest",
    }
)

_CONNECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "connections": "connections at once; past it the one that is idle longest is closed",
        "per_address": "connections at once from one address",
        "idle_s": "a connection without a whole request head for so long is closed",
        "handshake_s": "longest TLS handshake",
        "linger_s": "the rest of a refused body is read and dropped for so long",
        "unsent_s": "a caller that does not take its answer for so long is cut off",
        "drain_s": "when stopping, requests under way may take so long",
    }
)
_SERVER_TLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "certificate_file": "PEM of the server's certificate",
        "key_file": "PEM of its private key",
        "key_password": "pass phrase of the private key",
        "client_ca_file": "PEM of the issuer whose certificate callers must show",
    }
)

HELP: Final[Mapping[str, str]] = MappingProxyType(
    {
        "listener.host": "address that callbacks are taken on",
        "listener.public_url": "URL of the listener as the head end sees it; empty: host and port",
        "listener.path_prefix": "path before /openway, for a proxy that keeps one",
        "listener.users": "lines of user:password; when given, callbacks need HTTP Basic",
        "listener.allow_anonymous": "beyond loopback: take callbacks without any credentials",
        **{f"listener.tls.{name}": text for name, text in _SERVER_TLS.items()},
        **{f"listener.connections.{name}": text for name, text in _CONNECTIONS.items()},
        "listener.bodies.status_bytes": "largest status message that is read",
        "listener.bodies.data_bytes": "largest message of data, events or exceptions",
        "listener.bodies.held_bytes": "largest one where bodies cannot be spooled to disk",
        "listener.bodies.whole_bytes": "larger messages are judged in pieces as they come in",
        "listener.bodies.large_at_once": "such messages held at a time; others wait unread",
        "listener.bodies.deadline_s": "a status message must be complete in this time",
        "listener.bodies.data_deadline_s": "the same for data, events and exceptions",
        "listener.quarantine.message_bytes": "kept of one refused message",
        "listener.quarantine.minute_bytes": "kept of all refused messages in a minute",
        "listener.quarantine.capture_s": "a refused message is read on for so long",
        "api.host": "address of the REST API",
        "api.keys": "lines of: name role,role token [expiry]; without keys nobody is let in",
        "api.allow_cleartext": "beyond loopback: serve without TLS",
        "api.body_bytes": "largest request body that is read",
        "api.deadline_s": "a request must be answered in this time",
        "api.longest_wait_s": "longest ?wait= of a caller for a command to end",
        "api.waiting_at_once": "callers that may wait at once",
        "api.failures_per_minute": "wrong keys of one address; past it 429, but for right keys",
        "api.audited_refusals_per_minute": "refused changes in the audit; one of each caller",
        **{f"api.tls.{name}": text for name, text in _SERVER_TLS.items()},
        **{f"api.connections.{name}": text for name, text in _CONNECTIONS.items()},
        "head_end.base_url": "URL of the head end; services are below it at the contract's paths",
        "head_end.service_urls": "whole URL of single services, by the service's name",
        **{f"head_end.timeouts.{name}": text for name, text in _PHASES.items()},
        **{
            f"head_end.operation_timeouts.<operation>.{name}": f"{text}, for one operation"
            for name, text in _PHASES.items()
        },
        **{f"head_end.limits.{name}": f"{text}, in all" for name, text in _LIMIT.items()},
        **{
            f"head_end.limits.operations.<operation>.{name}": f"{text}, for one operation"
            for name, text in _LIMIT.items()
        },
        "head_end.limits.shares": "part of the limits that a priority class may use, 0 to 1",
        "head_end.limits.max_waiting": "calls that may wait for a place; more are not sent",
        "head_end.limits.pushback_pause_s": "first pause after a fault that says too many",
        "head_end.limits.pushback_longest_s": "longest such pause; it doubles up to this",
        "head_end.limits.breaker_not_sent": "calls in a row not sent, until the breaker opens",
        "head_end.limits.breaker_unknown": "unknown outcomes in a row, until the breaker opens",
        "head_end.limits.breaker_open_s": "pause of an open breaker before one call is let through",
        "head_end.limits.breaker_longest_s": "longest such pause; it doubles up to this",
        "head_end.tls.ca_file": "PEM of the only authority that is believed",
        "head_end.tls.system_trust": "believe the machine's own authorities instead",
        "head_end.tls.certificate_file": "PEM of our client certificate",
        "head_end.tls.key_file": "PEM of our private key",
        "head_end.tls.key_password": "pass phrase of the private key",
        "head_end.tls.server_name": "name in the head end's certificate, if not the URL's host",
        "head_end.basic.user": "user of HTTP Basic",
        "head_end.basic.password": "password of HTTP Basic",
        "head_end.username_token.user": "user of the WS-Security UsernameToken",
        "head_end.username_token.password": "password of the WS-Security UsernameToken",
        "head_end.username_token.digest": "send a digest and not the password (profile inferred)",
        "head_end.allow_cleartext_passwords": "allow passwords over plain http beyond loopback",
        "head_end.max_reply_bytes": "largest reply that is read, after decompression",
        "head_end.keep_alive_s": "how long an idle connection is kept; below the head end's own",
        "head_end.connect_attempts": "tries to connect within one call, before a byte is sent",
        "head_end.connect_retry_wait_s": "first wait between such tries",
        "head_end.fresh_connection": "operations that never ride on an idle connection",
        "head_end.generic_faults": "faults too general to prove that a switch did not move",
        "head_end.believe_bare_4xx": "no proxy: a 4xx without fault refuses switch orders too",
        "commands.<kind>.expires_s": "from acceptance to the end of sending, if none is asked for",
        "commands.<kind>.send_s": "from the intent to send until silence counts as unclear",
        "commands.<kind>.reply_s": "from the head end's token to the result",
        "commands.<kind>.poll_first_s": "from the token to the first GetRequestStatus",
        "commands.<kind>.poll_every_s": "between further polls; doubles",
        "commands.<kind>.poll_longest_s": "longest time between polls",
        "commands.<kind>.settle_s": "listening for an unclear switch order before each look",
        "commands.<kind>.settle_looks": "switch state reads before a person is asked",
        "commands.<kind>.hold_s": "an error waits so long for a person, then is discarded",
        "commands.<kind>.measurement_s": "a read waits so long for its data after the result",
        "commands.<kind>.max_endpoints": "endpoints in one request; larger ones are split",
        "commands.<kind>.retry.attempts": "tries at what may have been taken; else until expiry",
        "commands.<kind>.retry.first_wait_s": "wait before the second try; doubles",
        "commands.<kind>.retry.longest_wait_s": "longest wait between tries",
        "switch.window": "local hours in which disconnects may leave, as 08:00-17:00; empty: any",
        "switch.time_zone": "zone of those hours",
        "switch.weekdays": "days on which disconnects may leave",
        "switch.per_hour": "disconnects in any hour; empty: no limit",
        "switch.needs_approval": "a second person must approve every disconnect",
    }
)

_UNITS: Final = (
    ("_per_s", "per second"),
    ("_s", "seconds"),
    ("_bytes", "bytes"),
    ("_days", "days"),
    ("per_hour", "per hour"),
    ("per_minute", "per minute"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; `variable` holds <KIND> or <OPERATION> where the name does."""

    name: str
    variable: str
    unit: str
    default: str
    help: str


def rows() -> tuple[Row, ...]:
    """Every setting; those of a keyed section once, with the defaults that differ."""
    gathered: dict[str, list[tuple[str, Leaf]]] = {}
    for leaf in leaves(Settings):
        key, name = _keyless(leaf.name)
        gathered.setdefault(name, []).append((key, leaf))
    return tuple(_row(name, found) for name, found in gathered.items())


_KEYED: Final = (
    ("commands.", "<kind>", 1),
    ("head_end.operation_timeouts.", "<operation>", 2),
    ("head_end.limits.operations.", "<operation>", 2),
)
"""Start of the name, what stands for the key, and how many words a key has."""


def _keyless(name: str) -> tuple[str, str]:
    for start, word, length in _KEYED:
        if name.startswith(start):
            parts = name.removeprefix(start).split(".")
            return ".".join(parts[:length]), f"{start}{word}.{'.'.join(parts[length:])}"
    return "", name


def _row(name: str, found: list[tuple[str, Leaf]]) -> Row:
    first = found[0][1]
    variable = Leaf(name=name, kind=first.kind, default=None).variable
    for _, word, _ in _KEYED:
        if word in name:
            masked = name.replace(word, "0")
            variable = Leaf(name=masked, kind=first.kind, default=None).variable
            variable = variable.replace("_0_", f"_{word.upper()}_")
    if first.secret:
        variable += "[_FILE]"
    return Row(
        name=f"{name}_file" if first.secret else name,
        variable=variable,
        unit=next((unit for end, unit in _UNITS if name.endswith(end)), ""),
        default=_defaults(found),
        help=first.help or HELP.get(name, ""),
    )


def _defaults(found: list[tuple[str, Leaf]]) -> str:
    by_text: dict[str, list[str]] = {}
    for key, leaf in found:
        by_text.setdefault(text_of(leaf.default), []).append(key)
    usual = max(by_text, key=lambda text: len(by_text[text]))
    others = [
        f"{text or 'empty'} for {', '.join(keys)}"
        for text, keys in by_text.items()
        if text != usual
    ]
    return "; ".join([usual, *others])


def text_of(value: object) -> str:
    """A value as people write it; secrets as a mask."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case StrEnum():
            return value.value
        case Secret():
            return "***"
        case float():
            return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
        case (time(), time()):
            return f"{value[0]:%H:%M}-{value[1]:%H:%M}"
        case Mapping():
            return ", ".join(f"{key}={text_of(each)}" for key, each in value.items())
        case tuple():
            return ", ".join(map(text_of, value))
        case frozenset():
            return _set_text(value)
    return "needed" if value is MISSING else str(value)


def _set_text(value: frozenset[object]) -> str:
    if value == frozenset(range(7)):
        return "mon to sun"
    if value and all(isinstance(each, int) for each in value):
        return ", ".join(WEEKDAYS[int(str(each))] for each in sorted(value, key=str))
    if (
        len(value) > 1
        and isinstance(one := next(iter(value)), StrEnum)
        and (len(value) == len(type(one)))
    ):
        return "all"
    return ", ".join(sorted(map(text_of, value)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One setting as it stands. `origin` is "default", "file" or a variable's name."""

    name: str
    value: str
    origin: str


def shown(loaded: Loaded, *, everything: bool = True) -> tuple[Shown, ...]:
    """Every setting with its value, secrets masked; or only those that were given."""
    found = tuple(
        Shown(
            name=f"{leaf.name}_file" if leaf.secret else leaf.name,
            value=_shown(leaf, _value(loaded.settings, leaf)),
            origin=loaded.origin.get(leaf.name, "default"),
        )
        for leaf in leaves(Settings)
        if not _absent(loaded, leaf)
    )
    return tuple(each for each in found if everything or each.origin != "default")


def _shown(leaf: Leaf, value: object) -> str:
    return "***" if leaf.secret and value else text_of(value)


def _absent(loaded: Loaded, leaf: Leaf) -> bool:
    """Settings of sections, and of rows of keyed sections, that do not exist."""
    return _value(loaded.settings, leaf) is MISSING


def _value(settings: Settings, leaf: Leaf) -> object:
    """What the settings hold at a name; MISSING where a section on the way is not there."""
    value: object = settings
    rest = leaf.name
    while rest:
        if isinstance(value, Mapping):
            key = next((each for each in value if rest.startswith(f"{each}.")), None)
            if key is None:
                return MISSING
            value, rest = value[key], rest.removeprefix(f"{key}.")
        elif is_dataclass(value):
            names = {item.name for item in fields(value)}
            name, _, rest = rest.partition(".")
            value = getattr(value, name) if name in names else MISSING
        else:
            return MISSING
    return value

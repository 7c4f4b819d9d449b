"""Which systems events are posted to, and how. Units are in the names."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from adapter.commands.effects import Severity
from adapter.engine.feed.types import kinds_of, types_of
from adapter.errors import InvalidRequest, SettingsError
from adapter.feed.selection import TypePatterns
from adapter.feed.wanted import Wanted
from adapter.model.bounds import Bounds, PositiveSeconds, check_bounds
from adapter.model.secret import Secret
from adapter.settings.urls import url_problem
from adapter.webhooks.signing import keys_of

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|::1)", re.IGNORECASE)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


class EventForm(StrEnum):
    """How CloudEvents 1.0 has an event over HTTP."""

    STRUCTURED = "structured"
    """Whole, as the body."""
    BINARY = "binary"
    """Its attributes as headers, its data as the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReceiverSettings:
    """What every system has that events are posted to."""

    name: Annotated[str, "what it is called here; small letters, digits, - and _"]
    url: Annotated[str, "events are posted to this URL"]
    keys: Annotated[
        tuple[Secret, ...], "keys that sign what is posted, as whsec_..., one a line; all sign"
    ] = ()
    form: Annotated[EventForm, "how CloudEvents has an event over HTTP"] = EventForm.STRUCTURED
    at_once: Annotated[int, Bounds(least=1, most=256), "posts under way at once"] = 16
    rate_per_s: Annotated[
        float, Bounds(least=0, most=100_000), "posts that begin in a second; 0: any number"
    ] = 0.0
    connect_s: Annotated[PositiveSeconds, "one connect, with its TLS handshake"] = 5.0
    reply_s: Annotated[PositiveSeconds, "until the answer to a post, and between its parts"] = 15.0
    ca_file: Annotated[Path | None, "PEM of the authority that is believed; empty: the system"] = (
        None
    )
    allow_cleartext: Annotated[bool, "beyond loopback: post over plain http"] = False

    def __post_init__(self) -> None:
        check_bounds(self)
        if not _NAME.fullmatch(self.name):
            raise SettingsError("name: small letters, digits, - and _ are needed")
        check_address(self.url, self.allow_cleartext)
        try:
            keys_of(self.keys)
        except SettingsError as error:
            raise SettingsError(f"keys_file: {error}") from None
        _ = self.wanted

    @property
    def wanted(self) -> Wanted:
        """Which events. Raises SettingsError."""
        return Wanted()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings(EventReceiverSettings):
    """One `[[events.webhook]]`: a system that events are posted to."""

    types: Annotated[
        tuple[str, ...], "only these types; * at the end of one for any end. Empty: all"
    ] = ()
    kinds: Annotated[
        tuple[str, ...], "only of commands, orders and replies of these kinds; empty: all"
    ] = ()
    requesters: Annotated[tuple[str, ...], "only of what these asked for; empty: all"] = ()
    severity: Annotated[Severity, "the least severity"] = Severity.INFO

    @property
    def wanted(self) -> Wanted:
        try:
            types, kinds = types_of(self.types), kinds_of(self.kinds)
        except InvalidRequest as error:
            raise SettingsError(str(error)) from None
        return Wanted(
            types=types,
            kinds=kinds,
            requesters=frozenset(self.requesters),
            severity=self.severity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackReceiverSettings(EventReceiverSettings):
    """One `[[events.callback]]`: where callback addresses of commands and orders may lead.

    Their replies, completion events and ends are posted there, and nothing else.
    """

    url: Annotated[str, "callback addresses are this URL, or below it"]
    at_once: Annotated[int, Bounds(least=1, most=256), "posts under way at once"] = 8
    private: Annotated[bool, "the name may lead to private, loopback and link-local addresses"] = (
        False
    )

    @property
    def wanted(self) -> Wanted:
        if "?" in self.url:
            raise SettingsError("url: an address without a query is needed")
        return Wanted(types=TypePatterns.of(ENDS), callback=self.url)


ENDS: Final = (
    "openway.command.completed",
    "openway.command.discarded",
    "openway.command.canceled",
    "openway.command.needs_person",
    "openway.command.resolved",
    "openway.command.completion.*",
    "openway.order.completed",
    "openway.order.discarded",
    "openway.order.reply.*",
)
"""What goes to the callback address of a command or order."""


def check_address(url: str, allow_cleartext: bool) -> None:
    """Raises SettingsError."""
    if problem := url_problem(url, query=True):
        raise SettingsError(f"url: {problem}")
    parts = urlsplit(url)
    clear = parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or "")
    if clear and not allow_cleartext:
        raise SettingsError("url: plain http beyond loopback needs allow_cleartext")

"""How the field work system is reached. Units are in the names."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

from adapter.errors import SettingsError
from adapter.model.bounds import MIB, Body, Port, PositiveSeconds, Seconds, Seed, Share
from adapter.model.secret import Secret
from adapter.settings.urls import url_problem

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|::1)", re.IGNORECASE)


class FieldWorkKind(StrEnum):
    NONE = "none"
    """A visit that an order wants waits for people."""
    FILE = "file"
    WEBHOOK = "webhook"
    CREW = "crew"
    """A simulated crew in the gateway's own process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DropSettings:
    folder: Annotated[Path, "messages go to out/ in here, reports are taken from in/"] = Path(
        "field-work"
    )
    poll_s: Annotated[PositiveSeconds, "how often in/ is looked at"] = 1.0
    report_bytes: Annotated[Body, "largest report that is read"] = MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class PostSettings:
    """How something is posted, signed as Standard Webhooks has it; the keys have its form."""

    url: Annotated[str, "messages are posted to this URL"] = ""
    keys: Annotated[
        tuple[Secret, ...], "keys that sign what is posted, as whsec_..., one a line; all sign"
    ] = ()
    ca_file: Annotated[Path | None, "PEM of the authority that is believed; empty: the system"] = (
        None
    )
    allow_cleartext: Annotated[bool, "beyond loopback: post over plain http"] = False
    connect_s: Annotated[PositiveSeconds, "one connect, with its TLS handshake"] = 5.0
    reply_s: Annotated[PositiveSeconds, "until the answer to a post, and between its parts"] = 20.0

    def __post_init__(self) -> None:
        if self.url and (problem := url_problem(self.url, query=True)):
            raise SettingsError(f"url: {problem}")
        parts = urlsplit(self.url)
        clear = parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or "")
        if clear and not self.allow_cleartext:
            raise SettingsError("url: plain http beyond loopback needs allow_cleartext")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplySettings(PostSettings):
    """Where replies to requesters go."""

    url: Annotated[
        str,
        "replies to requesters are posted to this URL; empty: they are events of the feed alone",
    ] = ""

    def __post_init__(self) -> None:
        PostSettings.__post_init__(self)
        if self.url and not self.keys:
            raise SettingsError("keys: are needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings(PostSettings):
    """Both directions are signed."""

    report_keys: Annotated[
        tuple[Secret, ...], "keys that are believed in reports; empty: the same as keys"
    ] = ()
    host: Annotated[str, "address that reports are taken on"] = "127.0.0.1"
    port: Annotated[Port, "port that reports are taken on; 0: any free one"] = 8104
    path: Annotated[str, "path that reports are posted to"] = "/field-work/reports"
    tolerance_s: Annotated[
        PositiveSeconds, "a report's signature may be older or newer by so much"
    ] = 300.0
    report_bytes: Annotated[Body, "largest report that is read"] = MIB
    deadline_s: Annotated[PositiveSeconds, "a report must be complete in this time"] = 15.0

    def __post_init__(self) -> None:
        PostSettings.__post_init__(self)
        if not self.path.startswith("/"):
            raise SettingsError("path: begins with /")


@dataclass(frozen=True, slots=True, kw_only=True)
class CrewSettings:
    seed: Annotated[Seed, "the same seed gives the same crew"] = 1
    book_s: Annotated[Seconds, "until an appointment is booked"] = 1.0
    lead_s: Annotated[Seconds, "from the booking to the appointment"] = 2.0
    travel_s: Annotated[Seconds, "from the message, or the appointment, to the start"] = 2.0
    work_s: Annotated[Seconds, "from the start to the report"] = 5.0
    jitter: Annotated[Share, "each of these may be longer by this share, 0 to 1"] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldWorkSettings:
    kind: Annotated[FieldWorkKind, "field work system: none, file, webhook or crew"] = (
        FieldWorkKind.NONE
    )
    file: DropSettings = field(default_factory=DropSettings)
    webhook: WebhookSettings = field(default_factory=WebhookSettings)
    crew: CrewSettings = field(default_factory=CrewSettings)

    def __post_init__(self) -> None:
        if self.kind is FieldWorkKind.WEBHOOK and not self.webhook.url:
            raise SettingsError("webhook.url: is needed")
        if self.kind is FieldWorkKind.WEBHOOK and not self.webhook.keys:
            raise SettingsError("webhook.keys: are needed")

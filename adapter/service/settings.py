"""Every setting of the gateway: one frozen table, read once, from a TOML file and the environment.

A setting `section.name` stands in the file as `name` under `[section]`, and in the environment as
OPENWAY_SECTION_NAME, which goes before the file. Units are in the names: `_s` seconds, `_bytes`
bytes. Secrets come from files (`name_file`) or the environment, never from the settings file, and
are never shown. An unknown or bad setting stops the start and is named.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from adapter.commands.clocks import ClockPolicy
from adapter.commands.flows import CommandKind
from adapter.commands.rules import SwitchPolicy
from adapter.commands.timing import POLICIES, Policy
from adapter.commands.usage_limits import CallQuota
from adapter.errors import SettingsError, meant
from adapter.fieldwork.settings import FieldWorkSettings, ReplySettings
from adapter.headend.settings import HeadEndSettings
from adapter.model.bounds import (
    Bounds,
    Count,
    CountOrZero,
    Days,
    Port,
    PositiveSeconds,
    Seconds,
    Seed,
    Share,
    check_bounds,
)
from adapter.model.secret import Secret
from adapter.model.values import replace
from adapter.orders.order import OrderKind
from adapter.server.settings import ListenerSettings, RestSettings
from adapter.settings.conversion import path_of
from adapter.settings.loading import PREFIX, Sources, read_section
from adapter.settings.text_files import read_toml
from adapter.settings.urls import url_problem
from adapter.subscriptions.reconcile import Generation
from adapter.webhooks.envelope import SOURCE
from adapter.webhooks.settings import CallbackReceiverSettings, ReceiverSettings

_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d{1,3}){3}|::1)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    path: Annotated[
        Path,
        "SQLite file of the store; made at the first start. With a URL: what the gateway's own "
        "files are named after",
    ] = Path("openway.db")
    url: Annotated[
        str, "database of the store, postgresql://user@host/database; empty: the SQLite file"
    ] = ""
    password: Annotated[Secret | None, "of the user in the URL"] = None
    witness: Annotated[
        Path | None,
        "file by which an older copy of the store shows; best on another disk, and in no backup. "
        "Empty: beside the store",
    ] = None
    ask_after_s: Annotated[
        Seconds,
        "after a longer stop, with a witness beside the store, switch orders wait for a person; "
        "0: never",
    ] = 900.0
    head_every_s: Annotated[
        Seconds, "the head of the audit is logged and published so often; 0: never"
    ] = 3_600.0

    def __post_init__(self) -> None:
        check_bounds(self)
        if not self.url:
            return
        parts = urlsplit(self.url)
        if parts.scheme not in ("postgresql", "postgres"):
            raise SettingsError("store.url: begins with postgresql://")
        if parts.password is not None:
            raise SettingsError("store.url: has a password; that belongs into store.password_file")

    def files(self, what: str) -> Path:
        """The SQLite file, for `what` looks at files. Raises SettingsError where there is none."""
        if self.url:
            raise SettingsError(
                f"store.url: {what} is for a store in SQLite files; use PostgreSQL's own tools"
            )
        return self.path

    @property
    def witness_file(self) -> Path:
        """Where the witness is."""
        return self.witness or self.path.with_suffix(".witness")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening(ListenerSettings):
    """Where the head end calls us."""

    port: Annotated[Port, "port that callbacks are taken on; 0: any free one"] = 8101


@dataclass(frozen=True, slots=True, kw_only=True)
class Api(RestSettings):
    """The REST API: where it listens, who may call it; and how the command line reaches it."""

    port: Annotated[Port, "port of the REST API; 0: any free one"] = 8102
    url: Annotated[str, "URL at which the command line calls the API; empty: host and port"] = ""
    key: Annotated[Secret | None, "key that the command line presents"] = None
    second_key: Annotated[Secret | None, "key of a second person, where two are needed"] = None
    ca_file: Annotated[Path | None, "PEM of the authority that the command line believes"] = None
    timeout_s: Annotated[PositiveSeconds, "the command line waits so long for an answer"] = 30.0

    @property
    def address(self) -> str:
        """Where a client on this machine finds the API."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "http" if self.tls is None else "https"
        return self.url.rstrip("/") or f"{scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractSettings:
    wsdl: Annotated[Path | None, "folder of the head end's own WSDL; empty: the packaged one"] = (
        None
    )
    time_zone: Annotated[str, "zone of the head end's times that name none"] = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    spool: Annotated[Path | None, "folder of large bodies; empty: beside the store"] = None
    tables: Annotated[Path | None, "TOML of quantities, conditions, times; empty: as shipped"] = (
        None
    )
    events: Annotated[Path | None, "TOML of device events and storm rules; empty: as shipped"] = (
        None
    )
    retention_days: Annotated[Days, "days that bodies are kept after they were taken in"] = 30.0
    workers: Annotated[
        int, Bounds(least=1, most=2), "processes for a large payload; of 2 one reads, one stores"
    ] = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """Days that rows are kept; 0 is for ever. Audit, commands, orders and measurements always are,
    and bodies of payloads have `intake.retention_days`."""

    messages_days: Annotated[Days, "SOAP messages of commands that have ended; 0: for ever"] = 90.0
    inbox_days: Annotated[Days, "messages of the head end that were dealt with; 0: for ever"] = 90.0
    quarantine_days: Annotated[
        Days, "refused messages nobody decided about, then they are discarded; 0: for ever"
    ] = 0.0
    events_days: Annotated[
        Days, "device events and arrivals, but for what began an outage that lasts; 0: for ever"
    ] = 1095.0
    errors_days: Annotated[
        Days, "error records that were closed, and counts of storms; 0: for ever"
    ] = 90.0
    publications_days: Annotated[Days, "publications that every sink has; 0: for ever"] = 90.0

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSettings:
    """Systems that events are posted to stand in tables of their own: any number of
    `[[events.webhook]]` and of `[[events.callback]]`."""

    source: Annotated[str, "what events say they are from (CloudEvents' source)"] = SOURCE
    alarm_s: Annotated[
        PositiveSeconds, "people are told when a receiver has not taken an event for so long"
    ] = 900.0
    webhook: tuple[ReceiverSettings, ...] = ()
    callback: tuple[CallbackReceiverSettings, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(self)
        names = [each.name for each in self.receivers]
        if twice := {name for name in names if names.count(name) > 1}:
            raise SettingsError(f"webhook: {', '.join(sorted(twice))}: a name is given twice")
        if not self.source or not self.source.isprintable():
            raise SettingsError("source: is needed")

    @property
    def receivers(self) -> tuple[ReceiverSettings | CallbackReceiverSettings, ...]:
        """All of them."""
        return (*self.webhook, *self.callback)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSettings:
    longest_catch_up_s: Annotated[
        PositiveSeconds,
        "a late scheduled read covers at most so much; windows before that are skipped",
    ] = 7 * 86_400.0

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    concurrency: Annotated[Count, "calls to the head end under way at once"] = 64
    lease_s: Annotated[PositiveSeconds, "seconds after which claimed work is offered again"] = 30.0
    kinds: Annotated[frozenset[CommandKind], "command kinds that the head end offers"] = frozenset(
        CommandKind
    )
    quota: tuple[CallQuota, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackSettings:
    keys: Annotated[
        tuple[Secret, ...],
        "keys that sign callback addresses, one a line; the first signs, all are believed. "
        "Empty: one is made beside the store",
    ] = ()
    parked_most: Annotated[
        Count,
        "callbacks that wait for their token to become known, at the bare address and at addresses "
        "of their own each; past it the oldest go to quarantine, and come back when it is known",
    ] = 10_000
    parked_s: Annotated[
        Seconds, "a callback whose token nobody knows waits so long; then it goes to quarantine"
    ] = 86_400.0

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersSettings:
    """Service orders; what a site orchestrates its own way stands in a file of its own."""

    file: Annotated[
        Path | None, "TOML file: orchestrations, activity types, reading calendar, valid tasks"
    ] = None
    visit_time_out_s: Annotated[
        Seconds,
        "a visit may be silent so long after it was sent, was due, or its appointment ended; then "
        "people are asked. 0: for ever; an activity type's visit_time_out_hours goes before",
    ] = 72 * 3600.0
    message_tries: Annotated[Count, "tries of a message to the field work system; then people"] = 10

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSettings(ClockPolicy):
    """When the machine's wall clock is not believed, and switch orders are held."""

    tolerance_s: Annotated[
        PositiveSeconds, "the wall clock may be off by so much; past it switch orders are held"
    ] = 60.0
    longest_stop_s: Annotated[
        PositiveSeconds, "after a longer stop, by the wall clock, somebody has to confirm it"
    ] = 86_400.0

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorSettings:
    """`openway simulate`; all else is in a file of its own (`config`)."""

    host: Annotated[str, "address of the simulated head end"] = "127.0.0.1"
    port: Annotated[Port, "port of the simulated head end; 0: any free one"] = 8103
    meters: Annotated[CountOrZero, "number of simulated meters"] = 1_000
    seed: Annotated[Seed, "the same seed gives the same meters and the same chances"] = 1
    journal: Annotated[Path | None, "JSON lines of every request and callback"] = None
    config: Annotated[Path | None, "TOML file: population, timing, limits, faults"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionSettings:
    """What the head end is asked to send us. Only the data service's operation is known; all of
    the subscription service is provisional."""

    data: Annotated[Generation, "service to subscribe for data and events: off, or which one"] = (
        Generation.OFF
    )
    exceptions: Annotated[Generation, "subscribe for exceptions: off or subscription_service"] = (
        Generation.OFF
    )
    system_name: Annotated[str, "SystemName under which we subscribe"] = "openway-gateway"
    exception_groups: Annotated[
        tuple[str, ...], "exceptions of these head end groups only; empty: of all (inferred)"
    ] = ()
    check_every_s: Annotated[PositiveSeconds, "between two checks of the subscriptions"] = 3600.0
    retry_s: Annotated[PositiveSeconds, "the next check after one that failed"] = 60.0
    silence: Annotated[
        bool,
        "tell when nothing has arrived for longer than is usual; also of subscriptions that are "
        "made by hand, once two days of arrivals are known",
    ] = True
    silence_s: Annotated[PositiveSeconds | None, "so long may nothing arrive; empty: learned"] = (
        None
    )
    silence_factor: Annotated[
        float, Bounds(above=0, most=1_000), "learned: so many times the longest usual silence"
    ] = 3.0
    silence_least_s: Annotated[Seconds, "learned: never less than this"] = 3600.0

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.exceptions is Generation.DATA_SERVICE:
            raise SettingsError("exceptions: the data service knows none")
        if not self.system_name:
            raise SettingsError("system_name: is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """Spans of commands and orders, to an OpenTelemetry collector."""

    endpoint: Annotated[
        str, "URL that spans are posted to, by OTLP over HTTP; empty: nothing is traced"
    ] = ""
    sampling: Annotated[
        Share, "share of the traces begun here that are told; a caller's own trace says it itself"
    ] = 1.0
    service_name: Annotated[str, "what the collector calls this gateway"] = "openway-gateway"
    every_s: Annotated[PositiveSeconds, "between two posts of spans"] = 5.0
    timeout_s: Annotated[PositiveSeconds, "one post; what is not taken is dropped"] = 10.0

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.endpoint and (problem := url_problem(self.endpoint)):
            raise SettingsError(f"endpoint: {problem}")


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    level: Annotated[
        LogLevel, "least level that is written; debug adds the messages of commands, with bodies"
    ] = LogLevel.INFO
    format: Annotated[LogFormat, "json, text, or auto: text on a terminal, else json"] = (
        LogFormat.AUTO
    )
    per_minute: Annotated[Count, "lines of one event a minute; the others are counted"] = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of it. `head_end` is None where none of its settings is given."""

    store: StoreSettings = field(default_factory=StoreSettings)
    listener: Listening = field(default_factory=Listening)
    api: Api = field(default_factory=Api)
    head_end: HeadEndSettings | None = None
    contract: ContractSettings = field(default_factory=ContractSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    intake: IntakeSettings = field(default_factory=IntakeSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    events: EventSettings = field(default_factory=EventSettings)
    schedules: ScheduleSettings = field(default_factory=ScheduleSettings)
    subscriptions: SubscriptionSettings = field(default_factory=SubscriptionSettings)
    commands: Mapping[CommandKind, Policy] = field(default_factory=lambda: POLICIES)
    switch: SwitchPolicy = field(default_factory=SwitchPolicy)
    clock: ClockSettings = field(default_factory=ClockSettings)
    callbacks: CallbackSettings = field(default_factory=CallbackSettings)
    orders: OrdersSettings = field(default_factory=OrdersSettings)
    field_work: FieldWorkSettings = field(default_factory=FieldWorkSettings)
    replies: ReplySettings = field(default_factory=ReplySettings)
    simulator: SimulatorSettings = field(default_factory=SimulatorSettings)
    log: LogSettings = field(default_factory=LogSettings)
    tracing: TracingSettings = field(default_factory=TracingSettings)

    def __post_init__(self) -> None:
        _check_url("listener.public_url", self.listener.public_url)
        _check_url("api.url", self.api.url)
        self._check_client()
        self._check_limits()
        for name, zone in (
            ("switch.time_zone", self.switch.time_zone),
            ("contract.time_zone", self.contract.time_zone),
        ):
            try:
                ZoneInfo(zone)
            except (KeyError, OSError, ValueError):
                raise SettingsError(f"{name}: no time zone {zone!r}") from None

    def _check_client(self) -> None:
        """The command line shows its key to nobody on the way."""
        parts = urlsplit(self.api.address)
        clear = parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname or "")
        if clear and self.api.key is not None and not self.api.allow_cleartext:
            raise SettingsError("api.url: a key over plain http needs api.allow_cleartext")

    def _check_limits(self) -> None:
        """A cap and a quota are known by their names; orders are of the kinds that there are."""
        names = [cap.name for cap in self.switch.cap]
        names += [quota.name for quota in self.engine.quota]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise SettingsError(f"switch.cap: {', '.join(twice)}: a name is given twice")
        kinds = [kind for spread in self.switch.spread for kind in spread.orders]
        if strange := sorted(set(kinds) - set(OrderKind)):
            why = f"{strange[0]}: unknown{meant(strange[0], OrderKind)}"
            raise SettingsError(f"switch.spread: orders: {why}")


def _check_url(name: str, url: str) -> None:
    if url and (problem := url_problem(url)):
        raise SettingsError(f"{name}: {problem}")


# ---------------------------------------------------------------- reading

log = logging.getLogger(__name__)

_RESERVED: Final = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}CRASH_AT"})
"""Variables that are no settings: the file itself, and the crash points of the tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """The settings and, by name, where each that was given came from ("file" or a variable).

    `warnings` are of files of secrets that everybody on the machine may read. `file` is None where
    there is no settings file.
    """

    settings: Settings
    origin: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    file: Path | None = None

    def log_warnings(self) -> None:
        for warning in self.warnings:
            log.warning("secret_open_to_others", extra={"reason": warning})


def load(path: Path | str | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of a file (or of OPENWAY_CONFIG) and the environment.

    Raises SettingsError with one line for each setting that is unknown or bad. Relative paths in
    the file start at the file's folder.
    """
    loaded = load_with_origin(path, environ)
    loaded.log_warnings()
    return loaded.settings


def load_with_origin(
    path: Path | str | None = None,
    environ: Mapping[str, str] | None = None,
    *,
    skipped: frozenset[str] = frozenset(),
) -> LoadedSettings:
    """As `load`, and where each comes from. `skipped` are settings that are not looked at."""
    environ = os.environ if environ is None else environ
    named = environ.get(f"{PREFIX}CONFIG")
    path = Path(path) if path else Path(named) if named else None
    sources = Sources(environ=environ, folder=path.parent if path else Path(), skipped=skipped)
    table = read_toml(path) if path else {}
    sources.refuse_unknown_variables(Settings, _RESERVED)
    settings = read_section(Settings, table, sources)
    if settings is None or sources.problems:
        raise SettingsError("\n".join(sources.problems))
    for name, file in _private_keys(settings):
        sources.warn_of(file, name)
    api = replace(settings.api, keys_path=sources.files.get("api.keys"))
    settings = replace(settings, api=api)
    if clear := ", ".join(key.name for key in api.keys if key.in_clear):
        sources.warnings.append(f"api.keys: {in_clear(clear)}")
    return LoadedSettings(
        settings=settings,
        origin=MappingProxyType(sources.origin),
        warnings=tuple(sources.warnings),
        file=path,
    )


def key_file(path: Path | None, environ: Mapping[str, str] | None = None) -> Path | None:
    """The file that `api.keys_file` names, also where it is not there yet. Raises SettingsError."""
    environ = os.environ if environ is None else environ
    if named := environ.get(f"{PREFIX}API_KEYS_FILE"):
        return Path(named)
    api = read_toml(path).get("api") if path else None
    given = api.get("keys_file") if isinstance(api, Mapping) else None
    folder = path.parent if path else Path()
    return None if given is None else path_of(given, folder)


def in_clear(names: str) -> str:
    return f"tokens stand in clear, of {names}; `openway config hash-keys` puts their digests there"


def _private_keys(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Those of TLS, which a library reads."""
    for section, server in (("listener", settings.listener.tls), ("api", settings.api.tls)):
        if server is not None:
            yield f"{section}.tls.key_file", server.key_file
    client = settings.head_end.tls if settings.head_end is not None else None
    if client is not None and client.key_file is not None:
        yield "head_end.tls.key_file", client.key_file

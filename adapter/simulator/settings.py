"""Every setting of the simulator, read once; an unknown or bad one stops the start and is named."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from adapter.errors import InvalidRequest, SettingsError
from adapter.model.bounds import (
    GIB,
    Bounds,
    Count,
    CountOrZero,
    Port,
    Seconds,
)
from adapter.model.values import replace
from adapter.settings.loading import NOT_IN_THE_FILE, Sources, read_section
from adapter.settings.text_files import read_toml
from adapter.simulator.faults import Script, read_script
from adapter.simulator.meters import PopulationPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds after the request was taken."""

    initializing_s: Annotated[Seconds, "when the request is Initializing"] = 0.01
    executing_s: Annotated[Seconds, "when it is Executing"] = 0.02
    acting_s: Annotated[Seconds, "when the endpoints act, and their data come"] = 0.035
    completed_s: Annotated[Seconds, "when it is Completed"] = 0.05
    portion_s: Annotated[Seconds, "between two portions of data"] = 0.005
    jitter: Annotated[
        float, Bounds(least=0, most=1_000), "each is stretched by up to this share, by the seed"
    ] = 0.2
    token_lifetime_s: Annotated[Seconds, "from the end of a request until its token is unknown"] = (
        86_400.0
    )
    registration_s: Annotated[Seconds, "from AddMeterDefinitions until the meter is registered"] = (
        0.0
    )
    honour_windows: Annotated[bool, "an interrogation waits for the start of its window"] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorLimits:
    """Bounds of the head end and of its answers. 0 is without limit.

    How often a callback is tried that was not answered with 2xx is documented nowhere, so by
    default it is tried once.
    """

    concurrent_requests: Annotated[CountOrZero, "requests under way at once"] = 0
    endpoints_per_request: Annotated[CountOrZero, "endpoints that one request may name"] = 0
    failures_per_result: Annotated[CountOrZero, "failures that one result lists"] = 0
    subscribers: Annotated[CountOrZero, "subscribers at once"] = 16
    meters_per_message: Annotated[Count, "meters in one message of data"] = 25
    intervals_per_block: Annotated[CountOrZero, "cuts a meter's load profile"] = 0
    callback_attempts: Annotated[CountOrZero, "tries of a callback not answered with 2xx"] = 1
    callback_retry_s: Annotated[Seconds, "between such tries"] = 1.0
    callback_timeout_s: Annotated[Seconds, "one try may take so long"] = 30.0
    callback_concurrency: Annotated[Count, "callbacks under way at once"] = 32
    body_bytes: Annotated[int, Bounds(least=0, most=GIB), "largest request body that is read"] = (
        16_777_216
    )
    requests_kept: Annotated[CountOrZero, "of more, the oldest finished are forgotten"] = 200_000
    journal_entries: Annotated[CountOrZero, "entries of the journal that are kept"] = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How the simulator reads what no source settles."""

    unfinished: Annotated[Literal["fault", "pending"], "what Get...Result gives before the end"] = (
        "fault"
    )
    mixed: Annotated[
        Literal["Failure", "Success"], "the overall Result when some endpoints failed"
    ] = "Failure"
    add_unknown_meters: Annotated[bool, "AddMeterDefinitions takes ESNs outside the population"] = (
        False
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Credentials. They open nothing but a simulator, so that they stand in its file."""

    caller_user: Annotated[str, "user wanted of callers; empty: none"] = ""
    caller_password: Annotated[str, "password wanted of callers"] = field(default="", repr=False)
    caller_security: Annotated[
        Literal["basic", "wsse"], "HTTP Basic or WS-Security UsernameToken"
    ] = "basic"
    callback_user: Annotated[str, "user of HTTP Basic given with callbacks; empty: none"] = ""
    callback_password: Annotated[str, "password given with callbacks"] = field(
        default="", repr=False
    )
    admin_token: Annotated[str, "bearer token of the admin address"] = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorTls:
    """PEM files; none where empty."""

    certificate: Annotated[str, "with it the simulator is served over https only"] = ""
    key: Annotated[str, "private key of the certificate"] = ""
    caller_ca: Annotated[str, "callers must show a certificate of this issuer"] = ""
    callback_ca: Annotated[
        str, "issuer trusted when calling https addresses, besides the machine's own"
    ] = ""
    callback_certificate: Annotated[str, "certificate that is shown there"] = ""
    callback_key: Annotated[str, "private key of that certificate"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """All of it. Subscribers are there as if subscribed before the start."""

    host: Annotated[str, "address to listen on"] = "127.0.0.1"
    port: Annotated[Port, "port to listen on; 0: any free one"] = 0
    admin_port: Annotated[
        Port | None,
        "port of the admin address; empty: under /admin on the same port, but without admin_token "
        "never beyond this machine",
    ] = None
    wsdl: Annotated[Path | None, "folder of the WSDL; empty: the packaged one"] = None
    journal: Annotated[Path | None, "JSON lines of every request and callback"] = None
    strict: Annotated[
        bool,
        "requests are held to media type, SOAPAction and members as WCF holds them",
    ] = True
    population: PopulationPlan = field(default_factory=PopulationPlan)
    timing: Timing = field(default_factory=Timing)
    limits: SimulatorLimits = field(default_factory=SimulatorLimits)
    answers: Answers = field(default_factory=Answers)
    access: Access = field(default_factory=Access)
    tls: SimulatorTls = field(default_factory=SimulatorTls)
    groups: Annotated[
        Mapping[str, tuple[str, ...]], "configuration groups besides the population's: their ESNs"
    ] = field(default_factory=lambda: MappingProxyType({}))
    data_subscribers: Annotated[
        Mapping[str, str], "addresses that get data and events, by SystemName"
    ] = field(default_factory=lambda: MappingProxyType({}))
    exception_subscribers: Annotated[
        Mapping[str, str], "addresses that get exceptions, by SystemName"
    ] = field(default_factory=lambda: MappingProxyType({}))
    scripts: tuple[Script, ...] = field(default=(), metadata=NOT_IN_THE_FILE)

    @property
    def seed(self) -> int:
        return self.population.seed

    @classmethod
    def load(cls, path: Path) -> "SimulatorConfig":
        """Read a TOML file. Raises SettingsError with a line for each bad setting."""
        return cls.read(read_toml(path))

    @classmethod
    def read(cls, table: Mapping[str, object]) -> "SimulatorConfig":
        """Read a table as a TOML file has it. Raises SettingsError as `load` does."""
        sources = Sources()
        settings = {name: value for name, value in table.items() if name != "script"}
        config = read_section(cls, settings, sources)
        scripts = _scripts(table.get("script", []), sources)
        if config is not None:
            sources.problems.extend(_contradictions(config))
        if config is None or sources.problems:
            raise SettingsError("\n".join(sources.problems))
        return replace(config, scripts=scripts)


def _scripts(rows: object, sources: Sources) -> tuple[Script, ...]:
    """They stand as [[script]]."""
    made: list[Script] = []
    if not isinstance(rows, list):
        sources.complain("script", "must be an array of tables, [[script]]")
        return ()
    for index, row in enumerate(rows):
        at = f"script[{index}]"
        try:
            if not isinstance(row, Mapping):
                raise InvalidRequest(at, "must be a table")
            made.append(read_script(row, at=at))
        except InvalidRequest as error:
            sources.problems.append(str(error))
    return tuple(made)


def _contradictions(config: SimulatorConfig) -> list[str]:
    """What is wrong with settings that are good each for itself."""
    found: list[str] = []
    plan, timing = config.population, config.timing
    try:
        if plan.time_zone != "UTC":  # which needs no time zone data on the machine
            ZoneInfo(plan.time_zone)
    except (KeyError, ValueError, OSError):
        found.append(f"population.time_zone: there is no {plan.time_zone!r}")
    steps = (timing.initializing_s, timing.executing_s, timing.acting_s, timing.completed_s)
    if list(steps) != sorted(steps):
        found.append("timing: initializing_s, executing_s, acting_s, completed_s must rise")
    return found

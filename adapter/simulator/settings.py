"""Every setting of the simulator, read once; an unknown or bad one stops the start and is named."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from adapter.errors import InvalidRequest, SettingsError
from adapter.simulator.faults import Script, read_script
from adapter.simulator.meters import PopulationPlan

T = TypeVar("T")
_MOST: Final = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds after the request was taken, each stretched by up to `jitter` as the seed says.

    What the endpoints do, and their data, come at `acting_s`, in portions `portion_s` apart.
    `token_lifetime_s` counts from the end of a request; after it the token is unknown.
    `registration_s`: from AddMeterDefinitions until the meter is registered. `honour_windows`:
    whether an interrogation waits for the start of its window.
    """

    initializing_s: float = 0.01
    executing_s: float = 0.02
    acting_s: float = 0.035
    completed_s: float = 0.05
    portion_s: float = 0.005
    jitter: float = 0.2
    token_lifetime_s: float = 86_400.0
    registration_s: float = 0.0
    honour_windows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the head end and of its answers. 0 is without limit.

    `callback_attempts`: how often a callback is tried that was not answered with 2xx. Nothing is
    documented, so by default it is tried once. `intervals_per_block` cuts a meter's load profile.
    Of more than `requests_kept` requests the oldest finished ones are forgotten.
    """

    concurrent_requests: int = 0
    endpoints_per_request: int = 0
    failures_per_result: int = 0
    subscribers: int = 16
    meters_per_message: int = 25
    intervals_per_block: int = 0
    callback_attempts: int = 1
    callback_retry_s: float = 1.0
    callback_timeout_s: float = 30.0
    callback_concurrency: int = 32
    body_bytes: int = 16_777_216
    requests_kept: int = 200_000
    journal_entries: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """How the simulator reads what no source settles.

    `unfinished`: what Get...Result gives before the end, `fault` or `pending`. `mixed`: the overall
    Result when some endpoints failed, `Failure` or `Success`. `add_unknown_meters`: whether
    AddMeterDefinitions takes ESNs outside the population.
    """

    unfinished: str = "fault"
    mixed: str = "Failure"
    add_unknown_meters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Credentials. `caller_*`: HTTP Basic or WS-Security wanted of callers, none where empty.

    `callback_*`: HTTP Basic given with callbacks. `admin_token`: bearer token of the admin address.
    """

    caller_user: str = ""
    caller_password: str = field(default="", repr=False)
    caller_security: str = "basic"
    callback_user: str = ""
    callback_password: str = field(default="", repr=False)
    admin_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM files; none where empty. With `certificate` the simulator is served over https only.

    `caller_ca`: callers must show a certificate of this issuer. `callback_*`: the issuer trusted
    when calling https addresses, besides the machine's own, and the certificate shown there.
    """

    certificate: str = ""
    key: str = ""
    caller_ca: str = ""
    callback_ca: str = ""
    callback_certificate: str = ""
    callback_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """All of it. `*_subscribers`: addresses by SystemName, as if subscribed before the start.

    `admin_port` None: the admin address is on the same port, under /admin; but without an
    `admin_token` it is never served beyond this machine. `port` 0: any free one.
    """

    host: str = "127.0.0.1"
    port: int = 0
    admin_port: int | None = None
    wsdl: Path | None = None
    journal: Path | None = None
    population: PopulationPlan = field(default_factory=PopulationPlan)
    timing: Timing = field(default_factory=Timing)
    limits: Limits = field(default_factory=Limits)
    answers: Answers = field(default_factory=Answers)
    access: Access = field(default_factory=Access)
    tls: Tls = field(default_factory=Tls)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    data_subscribers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    exception_subscribers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    scripts: tuple[Script, ...] = ()

    @property
    def seed(self) -> int:
        return self.population.seed

    @classmethod
    def load(cls, path: Path) -> "SimulatorConfig":
        """Read a TOML file. Raises SettingsError naming the bad setting."""
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: {error}") from error
        return cls.read(table)

    @classmethod
    def read(cls, table: Mapping[str, object]) -> "SimulatorConfig":
        """Read a table as a TOML file has it. Raises SettingsError naming the bad setting."""
        _refuse_unknown(table, {*_PLAIN, *_SECTIONS, *_MAPS, "groups", "script"}, "")
        values: dict[str, object] = {}
        for name in _PLAIN & table.keys():
            values[name] = _plain(name, table[name])
        for name, kind in _SECTIONS.items():
            values[name] = _section(kind, _table(table.get(name, {}), name), name)
        for name in _MAPS:
            given = _table(table.get(name, {}), name)
            values[name] = MappingProxyType(
                {key: _text(given[key], f"{name}.{key}") for key in given}
            )
        values["groups"] = _groups(_table(table.get("groups", {}), "groups"))
        values["scripts"] = _scripts(table.get("script", []))
        config = cls(**values)  # type: ignore[arg-type]  # every member was read by its own reader
        _check(config)
        return config


_PLAIN: Final = frozenset({"host", "port", "admin_port", "wsdl", "journal"})
_SECTIONS: Final[Mapping[str, type]] = MappingProxyType(
    {
        "population": PopulationPlan,
        "timing": Timing,
        "limits": Limits,
        "answers": Answers,
        "access": Access,
        "tls": Tls,
    }
)
_MAPS: Final = ("data_subscribers", "exception_subscribers")


def _refuse_unknown(table: Mapping[str, object], known: set[str], at: str) -> None:
    for name in table:
        if name not in known:
            where = f"{at}.{name}" if at else name
            raise SettingsError(f"{where}: unknown; known are {', '.join(sorted(known))}")


def _table(value: object, at: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{at}: must be a table")
    return value


def _text(value: object, at: str) -> str:
    if not isinstance(value, str):
        raise SettingsError(f"{at}: must be text")
    return value


def _plain(name: str, value: object) -> object:
    if name in ("port", "admin_port"):
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 65_535:
            raise SettingsError(f"{name}: must be a port, 0 to 65535")
        return value
    text = _text(value, name)
    return Path(text) if name in ("wsdl", "journal") else text


def _section(kind: type[T], table: Mapping[str, object], at: str) -> T:
    """A settings dataclass from a table; the default of a member gives its type."""
    standard = kind()
    known = {item.name for item in fields(kind)}  # type: ignore[arg-type]  # all are dataclasses
    _refuse_unknown(table, known, at)
    values = {
        name: _like(getattr(standard, name), value, f"{at}.{name}") for name, value in table.items()
    }
    return kind(**values)


def _like(standard: object, value: object, at: str) -> object:
    if isinstance(standard, bool):
        if not isinstance(value, bool):
            raise SettingsError(f"{at}: must be true or false")
        return value
    if isinstance(standard, int | float):
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if (
            number is None
            or not 0 <= number <= _MOST
            or (isinstance(standard, int) and number != int(number))
        ):
            kind = "a whole number" if isinstance(standard, int) else "a number"
            raise SettingsError(f"{at}: must be {kind}, 0 to {_MOST}")
        return int(number) if isinstance(standard, int) else float(number)
    if isinstance(standard, str):
        return _text(value, at)
    if not isinstance(value, list) or not value:
        raise SettingsError(f"{at}: must be a list of texts")
    return tuple(_text(item, at) for item in value)


def _groups(table: Mapping[str, object]) -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for name, members in table.items():
        if not isinstance(members, list):
            raise SettingsError(f"groups.{name}: must be a list of ESNs")
        groups[name] = tuple(_text(item, f"groups.{name}") for item in members)
    return MappingProxyType(groups)


def _scripts(rows: object) -> tuple[Script, ...]:
    if not isinstance(rows, list):
        raise SettingsError("script: must be an array of tables, [[script]]")
    try:
        return tuple(
            read_script(_table(row, f"script[{index}]"), at=f"script[{index}]")
            for index, row in enumerate(rows)
        )
    except InvalidRequest as error:
        raise SettingsError(str(error)) from error


def _check(config: SimulatorConfig) -> None:
    plan, timing = config.population, config.timing
    for item in fields(plan):
        if item.name.endswith("_share") and not 0 <= getattr(plan, item.name) <= 1:
            raise SettingsError(f"population.{item.name}: must be from 0 to 1")
    try:
        if plan.time_zone != "UTC":  # which needs no time zone data on the machine
            ZoneInfo(plan.time_zone)
    except (KeyError, ValueError, OSError):
        raise SettingsError(f"population.time_zone: there is no {plan.time_zone!r}") from None
    if plan.group_size < 1:
        raise SettingsError("population.group_size: must be 1 or more")
    steps = (timing.initializing_s, timing.executing_s, timing.acting_s, timing.completed_s)
    if list(steps) != sorted(steps):
        raise SettingsError("timing: initializing_s, executing_s, acting_s, completed_s must rise")
    if config.limits.meters_per_message < 1 or config.limits.callback_concurrency < 1:
        raise SettingsError(
            "limits: meters_per_message and callback_concurrency: must be 1 or more"
        )
    _one_of(config.answers.unfinished, ("fault", "pending"), "answers.unfinished")
    _one_of(config.answers.mixed, ("Failure", "Success"), "answers.mixed")
    _one_of(config.access.caller_security, ("basic", "wsse"), "access.caller_security")


def _one_of(value: str, allowed: tuple[str, ...], at: str) -> None:
    if value not in allowed:
        raise SettingsError(f"{at}: must be one of {', '.join(allowed)}")

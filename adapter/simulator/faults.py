"""SCRIPTS OF WHAT GOES WRONG: one row per effect below, and the matching of scripts to traffic.

A script says which traffic it is about (operation, meter, state of the callback), which of the
matching occurrences it hits (nth, first n, every n-th, a share drawn from the seed) and what then
happens. Scripts are looked at in the order they were added. All of one occurrence apply.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final, TypeVar

from adapter.commands.calls import FailureReason, RemoteState
from adapter.errors import InvalidRequest
from adapter.simulator.seeded import fraction
from adapter.wire.faults import FAULT_NAMESPACES

W = TypeVar("W", bound=StrEnum)


class FaultStage(StrEnum):
    """Which kind of occurrence an effect is about, and so what is counted and matched.

    BEFORE and AFTER are about any request, TOKEN about one that gives a token, JOB as well, or
    about the call for its result where the script names that operation. CALLBACK is one callback,
    DATA and ENDPOINT are one meter of one request.
    """

    BEFORE = "before"
    AFTER = "after"
    TOKEN = "token"
    JOB = "job"
    CALLBACK = "callback"
    DATA = "data"
    ENDPOINT = "endpoint"


class Effect(StrEnum):
    DELAY = "delay"
    HANG = "hang"
    CLOSE_BEFORE = "close_before"
    FAULT = "fault"
    INTERNAL_FAULT = "internal_fault"
    HTTP_STATUS = "http_status"
    HTML_PAGE = "html_page"
    DELAY_REPLY = "delay_reply"
    LOSE_REPLY = "lose_reply"
    HANG_AFTER = "hang_after"
    ERROR_AFTER = "error_after"
    HTTP_STATUS_AFTER = "http_status_after"
    TRUNCATE_REPLY = "truncate_reply"
    EMPTY_REPLY = "empty_reply"
    WRONG_TOKEN = "wrong_token"
    REPEAT_TOKEN = "repeat_token"
    NO_TOKEN = "no_token"
    CALLBACK_FIRST = "callback_first"
    FORGET_TOKEN = "forget_token"
    NEVER_FINISH = "never_finish"
    PENDING_RESULT = "pending_result"
    TRUNCATE_FAILURES = "truncate_failures"
    DROP_CALLBACK = "drop_callback"
    DUPLICATE_CALLBACK = "duplicate_callback"
    DELAY_CALLBACK = "delay_callback"
    REORDER_CALLBACKS = "reorder_callbacks"
    WRONG_CALLBACK_TOKEN = "wrong_callback_token"
    DROP_DATA = "drop_data"
    DUPLICATE_DATA = "duplicate_data"
    LATE_DATA = "late_data"
    UNASKED_DATA = "unasked_data"
    ENDPOINT_FAILURE = "endpoint_failure"
    OMIT_DEVICE = "omit_device"


@dataclass(frozen=True, slots=True)
class EffectRow:
    """When an effect applies, the parameter it cannot do without, and what happens."""

    stage: FaultStage
    needs: str | None
    meaning: str


E, G = Effect, FaultStage
# fmt: off
EFFECTS: Final[Mapping[Effect, EffectRow]] = MappingProxyType({
    E.DELAY:                EffectRow(G.BEFORE, "seconds", "waits before it acts"),
    E.HANG:                 EffectRow(G.BEFORE, None, "never answers and never acts"),
    E.CLOSE_BEFORE:         EffectRow(G.BEFORE, None, "closes the connection without acting"),
    E.FAULT:                EffectRow(G.BEFORE, "fault", "answers the named fault without acting"),
    E.INTERNAL_FAULT:       EffectRow(G.BEFORE, None, "answers InternalServiceFault without acting"),
    E.HTTP_STATUS:          EffectRow(G.BEFORE, "status", "answers status and text; 3xx: leads to text"),
    E.HTML_PAGE:            EffectRow(G.BEFORE, None, "answers a proxy's HTML page without acting"),
    E.DELAY_REPLY:          EffectRow(G.AFTER, "seconds", "acts, then waits before it replies"),
    E.LOSE_REPLY:           EffectRow(G.AFTER, None, "acts, then closes the connection without a reply"),
    E.HANG_AFTER:           EffectRow(G.AFTER, None, "acts and never replies"),
    E.ERROR_AFTER:          EffectRow(G.AFTER, None, "acts, then answers InternalServiceFault"),
    E.HTTP_STATUS_AFTER:    EffectRow(G.AFTER, "status", "acts, then answers this HTTP status, empty"),
    E.TRUNCATE_REPLY:       EffectRow(G.AFTER, None, "acts, replies by half, closes the connection"),
    E.EMPTY_REPLY:          EffectRow(G.AFTER, None, "acts, then answers 202 without a body"),
    E.WRONG_TOKEN:          EffectRow(G.TOKEN, None, "acts, replies with a token nobody knows"),
    E.REPEAT_TOKEN:         EffectRow(G.TOKEN, None, "acts, replies with the previous request's token"),
    E.NO_TOKEN:             EffectRow(G.TOKEN, None, "acts, replies without a token"),
    E.CALLBACK_FIRST:       EffectRow(G.TOKEN, None, "sends the first callback before it replies"),
    E.FORGET_TOKEN:         EffectRow(G.JOB, None, "works, and afterwards does not know the token"),
    E.NEVER_FINISH:         EffectRow(G.TOKEN, None, "starts, and stays Executing for ever"),
    E.PENDING_RESULT:       EffectRow(G.JOB, None, "answers Result=Pending where a fault would be due"),
    E.TRUNCATE_FAILURES:    EffectRow(G.JOB, "count", "cuts the failure list to `count`, and says so"),
    E.DROP_CALLBACK:        EffectRow(G.CALLBACK, None, "does not send this callback"),
    E.DUPLICATE_CALLBACK:   EffectRow(G.CALLBACK, None, "sends this callback `count` times more"),
    E.DELAY_CALLBACK:       EffectRow(G.CALLBACK, "seconds", "sends this callback later"),
    E.REORDER_CALLBACKS:    EffectRow(G.TOKEN, None, "sends Completed first, Initializing last"),
    E.WRONG_CALLBACK_TOKEN: EffectRow(G.CALLBACK, None, "sends this callback with a token nobody knows"),
    E.DROP_DATA:            EffectRow(G.DATA, None, "drops a meter's data, or the last `count` blocks"),
    E.DUPLICATE_DATA:       EffectRow(G.DATA, None, "sends this meter's data `count` times more"),
    E.LATE_DATA:            EffectRow(G.DATA, "seconds", "sends it, or the last `count` blocks, late"),
    E.UNASKED_DATA:         EffectRow(G.DATA, None, "sends another meter's data as well"),
    E.ENDPOINT_FAILURE:     EffectRow(G.ENDPOINT, None, "this meter fails with `reason`"),
    E.OMIT_DEVICE:          EffectRow(G.ENDPOINT, None, "this meter is missing in the result"),
})
# fmt: on

NAMED_FAULTS: Final = frozenset(FAULT_NAMESPACES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One row of a script. Globs are case-sensitive; `operation` matches with or without service.

    `nth` counts matching occurrences from 1; `first` is how many of them are hit from the start;
    `every` hits each n-th; `probability` is drawn from seed, script and count. `state` narrows
    callback effects to one com:State. `seconds` waits, `count` is a number of copies, rows or
    blocks.
    """

    effect: Effect
    id: str = ""
    operation: str = "*"
    meter: str = "*"
    state: RemoteState | None = None
    nth: int | None = None
    first: int | None = None
    every: int | None = None
    probability: float = 1.0
    seconds: float | None = None
    status: int | None = None
    fault: str | None = None
    reason: FailureReason = FailureReason.NO_RESPONSE
    count: int | None = None
    text: str = ""

    @property
    def stage(self) -> FaultStage:
        return EFFECTS[self.effect].stage

    def about(self, operation: str, meters: Sequence[str], state: str | None) -> bool:
        """Whether this traffic is what the script is about, counting left aside."""
        if self.state is not None and state is not None and self.state != state:
            return False
        if self.operation != "*" and not (
            fnmatchcase(operation, self.operation)
            or fnmatchcase(operation.rpartition(".")[2], self.operation)
        ):
            return False
        return self.meter == "*" or any(fnmatchcase(esn, self.meter) for esn in meters)

    def hits(self, occurrence: int, *, seed: int) -> bool:
        """Whether the `occurrence`-th matching one, from 1, is hit."""
        if self.nth is not None and occurrence != self.nth:
            return False
        if self.first is not None and occurrence > self.first:
            return False
        if self.every is not None and occurrence % self.every != 0:
            return False
        return self.probability >= 1 or fraction(seed, self.id, occurrence) < self.probability


@dataclass(slots=True)
class Scripts:
    """The scripts in force and how often each has matched and hit."""

    seed: int = 1
    _rows: dict[str, Script] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _hits: dict[str, int] = field(default_factory=dict)
    _next: int = 1

    def add(self, script: Script) -> Script:
        """Put a script in force. One without an id gets the next one. Raises InvalidRequest."""
        if not script.id:
            while f"s{self._next}" in self._rows:
                self._next += 1
            script = _with_id(script, f"s{self._next}")
        if script.id in self._rows:
            raise InvalidRequest("id", f"there is a script {script.id!r} already")
        self._rows[script.id] = script
        self._seen[script.id] = self._hits[script.id] = 0
        return script

    def add_all(self, scripts: Sequence[Script]) -> list[Script]:
        """Put scripts in force, all or none. Raises InvalidRequest."""
        given = [script.id for script in scripts if script.id]
        for script_id in given:
            if script_id in self._rows or given.count(script_id) > 1:
                raise InvalidRequest("id", f"there is a script {script_id!r} already")
        return [self.add(script) for script in scripts]

    def remove(self, script_id: str) -> bool:
        self._seen.pop(script_id, None)
        self._hits.pop(script_id, None)
        return self._rows.pop(script_id, None) is not None

    def clear(self) -> None:
        self._rows.clear()
        self._seen.clear()
        self._hits.clear()
        self._next = 1

    def listed(self) -> tuple[tuple[Script, int, int], ...]:
        """Each script with how often it has matched, and how often it has hit."""
        return tuple((row, self._seen[row.id], self._hits[row.id]) for row in self._rows.values())

    def __bool__(self) -> bool:
        return bool(self._rows)

    def has(self, stage: FaultStage) -> bool:
        return any(row.stage is stage for row in self._rows.values())

    def match(
        self,
        stages: Iterable[FaultStage],
        *,
        operation: str,
        meters: Sequence[str],
        state: str | None = None,
        by_name: FaultStage | None = None,
    ) -> dict[Effect, Script]:
        """The scripts that hit this occurrence, by effect; it is counted.

        Of stage `by_name` only the scripts that name an operation are looked at.
        """
        hit: dict[Effect, Script] = {}
        if not self._rows:
            return hit
        wanted = frozenset(stages)
        for row in self._rows.values():
            if row.stage not in wanted or not row.about(operation, meters, state):
                continue
            if row.stage is by_name and row.operation == "*":
                continue
            self._seen[row.id] += 1
            if row.hits(self._seen[row.id], seed=self.seed):
                self._hits[row.id] += 1
                hit.setdefault(row.effect, row)
        return hit


def _with_id(script: Script, script_id: str) -> Script:
    values = {item.name: getattr(script, item.name) for item in fields(Script)}
    return Script(**{**values, "id": script_id})


def read_script(row: Mapping[str, object], *, at: str = "script") -> Script:
    """A script from a TOML table or JSON object. Raises InvalidRequest naming the bad member."""
    known = {item.name: item for item in fields(Script)}
    for name in row:
        if name not in known:
            raise InvalidRequest(f"{at}.{name}", f"unknown; known are {', '.join(sorted(known))}")
    values: dict[str, object] = {}
    for name, item in known.items():
        if name in row and row[name] is not None:
            values[name] = _read_member(name, row[name], at=at)
        elif item.default is MISSING:
            raise InvalidRequest(f"{at}.{name}", "is missing")
    script = Script(**values)  # type: ignore[arg-type]  # every member was read by its own reader
    needs = EFFECTS[script.effect].needs
    if needs is not None and needs not in values:
        raise InvalidRequest(f"{at}.{needs}", f"effect {script.effect} needs it")
    return script


def script_row(script: Script) -> dict[str, str | int | float]:
    """The members of a script that say something, as JSON takes them; reads back as it is."""
    row: dict[str, str | int | float] = {}
    for item in fields(Script):
        value = getattr(script, item.name)
        if value is not None and (item.default is MISSING or value != item.default):
            row[item.name] = str(value) if isinstance(value, StrEnum) else value
    return row


def _read_member(name: str, value: object, *, at: str) -> object:
    where = f"{at}.{name}"
    if name == "effect":
        return _word(Effect, value, where)
    if name == "state":
        return _word(RemoteState, value, where)
    if name == "reason":
        return _word(FailureReason, value, where)
    if name == "fault":
        return _fault(value, where)
    if name in ("id", "operation", "meter", "text"):
        if not isinstance(value, str):
            raise InvalidRequest(where, "must be text")
        return value
    if name in ("probability", "seconds"):
        return _real(value, where, most=1.0 if name == "probability" else 31_536_000.0)
    least, most = (100, 599) if name == "status" else (0 if name == "count" else 1, 1_000_000)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidRequest(where, f"must be a whole number from {least} to {most}")
    return value


def _real(value: object, where: str, *, most: float) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        raise InvalidRequest(where, f"must be a number from 0 to {most:g}")
    return float(value)


def _fault(value: object, where: str) -> str:
    name = value if isinstance(value, str) else ""
    name = name if name.endswith("Fault") else f"{name}Fault"
    if name not in NAMED_FAULTS:
        raise InvalidRequest(where, f"unknown fault; known are {', '.join(sorted(NAMED_FAULTS))}")
    return name


def _word(kind: type[W], value: object, where: str) -> W:
    try:
        return kind(str(value))
    except ValueError:
        raise InvalidRequest(where, f"must be one of {', '.join(kind)}") from None

"""The fixture format: a scenario as data, the messages recorded of it, and what came out.

    <command>/<scenario>/scenario.toml   what it shows, what is done when, which messages went
                         NN-request.xml NN-reply.xml NN-callback.xml
                         expected.json   what came out (`outcome.py`)

Times in all of them are seconds since `start`, in virtual time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from adapter.commands.activity import CommandRequest
from adapter.commands.flows import CommandKind
from adapter.commands.rules import SwitchPolicy
from adapter.commands.timing import POLICIES, Policy, RetryPolicy
from adapter.commands.usage_limits import CallQuota, SwitchCap
from adapter.engine.commands.switch_holds import HoldReason
from adapter.errors import GatewayError, SettingsError
from adapter.model.json_members import json_value
from adapter.model.values import replace
from adapter.replay.json_text import json_text
from adapter.replay.layout import laid_out, taken_back
from adapter.replay.recording_files import (
    MOST_ACTS,
    MOST_MESSAGE_BYTES,
    MOST_MESSAGES,
    check_times,
    read_toml,
    read_within,
    write_within,
)
from adapter.replay.toml_text import toml_text

SCENARIO: Final = "scenario.toml"
EXPECTED: Final = "expected.json"
START: Final = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PUBLIC_URL: Final = "http://gateway.example:8101"
"""The gateway's own address in recordings, whatever port it had."""

_RECORDED: Final = "# What follows was written by `openway record`."


class BadScenario(GatewayError):
    """A scenario's files do not say what they should. The text names file and place."""

    code = "bad_scenario"


class Do(StrEnum):
    """What somebody does during a scenario; those AT_HEAD_END happen at the simulated head end
    only, and are passed over when a recording is played."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    RETRY = "retry"
    DISCARD = "discard"
    APPROVE = "approve"
    RESOLVE = "resolve"
    STOP = "stop"
    RESUME = "resume"
    """The first asks, another person confirms."""
    HOLD = "hold"
    """For another reason than that people have stopped switching."""
    RELEASE = "release"
    OVERRIDE = "override"
    END_OVERRIDE = "end_override"
    FORGET_TOKENS = "forget_tokens"
    CHANGE_METER = "change_meter"
    HEAD_END_DOWN = "head_end_down"
    HEAD_END_UP = "head_end_up"


AT_HEAD_END: Final = frozenset(
    {Do.FORGET_TOKENS, Do.CHANGE_METER, Do.HEAD_END_DOWN, Do.HEAD_END_UP}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing done at `at` seconds. `command` is the n-th submitted one, from 1; `hold` why
    switch orders are held, or are no longer; `limit` and `ends_at` are of an override."""

    do: Do
    at: float = 0.0
    request: CommandRequest | None = None
    command: int = 1
    by: str = "operator"
    reason: str = ""
    done: bool = False
    approver: str = ""
    hold: HoldReason | None = None
    limit: str = ""
    ends_at: datetime | None = None
    meter: Mapping[str, object] = field(default_factory=dict)


class RecordedKind(StrEnum):
    REQUEST = "request"
    """The gateway calls the head end."""
    REPLY = "reply"
    """What came back, or how nothing did."""
    CALLBACK = "callback"
    """The head end calls the gateway."""


class Lost(StrEnum):
    """How a call ended that had no whole reply."""

    NOT_SENT = "not_sent"
    CLOSED = "closed"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedMessage:
    """One message, in the order in which they went.

    `answers` is the number of the request a reply belongs to, from 1; `path` is where a callback
    came in. A reply has `status` and body, or is `lost` for the reason in `text`; the `text` of a
    callback is why the listener refused it.
    """

    at: float
    kind: RecordedKind
    operation: str
    body: bytes = b""
    status: int | None = None
    answers: int | None = None
    lost: Lost | None = None
    text: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is to happen. `name` is `<command>/<scenario>`, also its folder.

    policy      members of `Policy` that differ from the usual, for all commands alike
    switch      members of `SwitchPolicy` that differ
    quota       rows of `CallQuota`
    devices     rows of `devices.py`: what the registry knows at the start
    silence_s   how long the gateway waits for a reply before it gives up
    kind_policy the same for one kind, by its name: a site's own
    tolerance_s a recording of a running gateway: a call may have left there so much later than it
                was decided, and what is compared is what was decided; 0: made in virtual time,
                where all is the same
    ids         of such a recording: the commands as it names them, in the order of their acts
    simulator   settings of the simulated head end that was recorded, and `meters` in it that are
                not as they were born; nothing a replay needs
    """

    name: str
    shows: str
    acts: tuple[Act, ...]
    devices: tuple[Mapping[str, object], ...] = ()
    start: datetime = START
    seed: int = 1
    silence_s: float = 30.0
    policy: Mapping[str, object] = field(default_factory=dict)
    switch: Mapping[str, object] = field(default_factory=dict)
    quota: tuple[Mapping[str, object], ...] = ()
    kind_policy: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    tolerance_s: float = 0.0
    ids: tuple[str, ...] = ()
    simulator: Mapping[str, object] = field(default_factory=dict)

    def policies(self) -> dict[CommandKind, Policy]:
        """Every kind's policy with what differs. Raises BadScenario for a member there is not."""
        try:
            return {
                kind: _policy(usual, {**self.policy, **self.kind_policy.get(kind, {})})
                for kind, usual in POLICIES.items()
            }
        except (TypeError, msgspec.ValidationError) as error:
            raise BadScenario(f"{self.name}: policy: {error}") from error

    def switch_policy(self) -> SwitchPolicy:
        given = dict(self.switch)
        try:
            if "cap" in given:
                given["cap"] = msgspec.convert(given["cap"], tuple[SwitchCap, ...])
            return replace(SwitchPolicy(), **given)  # type: ignore[arg-type]  # as above
        except (TypeError, msgspec.ValidationError, SettingsError) as error:
            raise BadScenario(f"{self.name}: switch: {error}") from error

    def quotas(self) -> tuple[CallQuota, ...]:
        """Raises BadScenario."""
        try:
            return msgspec.convert(self.quota, tuple[CallQuota, ...])
        except (msgspec.ValidationError, SettingsError) as error:
            raise BadScenario(f"{self.name}: quota: {error}") from error


def _policy(usual: Policy, differing: Mapping[str, object]) -> Policy:
    given = dict(differing)
    retry = {**msgspec.to_builtins(usual.retry), **_table(given.pop("retry", {}))}
    return replace(
        usual,
        retry=msgspec.convert(retry, RetryPolicy),
        **given,  # type: ignore[arg-type]  # a wrong member is refused by name
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A scenario with what was recorded of it. `expected` is what `outcome.py` gathers."""

    scenario: Scenario
    messages: tuple[RecordedMessage, ...]
    expected: Mapping[str, object]
    ends_at: float
    """When everything was over, in seconds."""


def moment(scenario: Scenario, at: float) -> datetime:
    return scenario.start + timedelta(seconds=at)


def seconds(scenario: Scenario, now: datetime) -> float:
    return (now - scenario.start).total_seconds()


# ---------------------------------------------------------------- writing


def write(recording: Recording, folder: Path) -> None:
    """Write all files of a recording; message files of an older one are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("[0-9]*-*.xml"):
        old.unlink()
    rows = [_message_row(row, folder) for row in _named(recording.messages)]
    scenario = toml_text(_scenario_table(recording.scenario))
    recorded = toml_text({"recorded": {"ends_at": recording.ends_at, "message": rows}})
    text = f"{scenario}\n{_RECORDED}\n\n{recorded}"
    write_within(folder, SCENARIO, text.encode())
    write_within(folder, EXPECTED, json_text(recording.expected).encode())


def _named(messages: Sequence[RecordedMessage]) -> list[tuple[RecordedMessage, str]]:
    """Each message with its file; the same bytes again have the file they had before."""
    files: dict[tuple[RecordedKind, bytes], str] = {}
    named: list[tuple[RecordedMessage, str]] = []
    width = max(2, len(str(len(messages))))
    for number, message in enumerate(messages, start=1):
        if not message.body:
            named.append((message, ""))
            continue
        fresh = f"{number:0{width}}-{message.kind}.xml"
        named.append((message, files.setdefault((message.kind, message.body), fresh)))
    return named


def _message_row(row: tuple[RecordedMessage, str], folder: Path) -> dict[str, object]:
    message, file = row
    table: dict[str, object] = {
        "at": message.at,
        "kind": str(message.kind),
        "operation": message.operation,
        "answers": message.answers,
        "file": file or None,
        "status": message.status,
        "lost": None if message.lost is None else str(message.lost),
        "text": message.text or None,
        "path": message.path or None,
    }
    if file:
        shown = laid_out(message.body)
        table["raw"] = True if shown is None else None
        write_within(folder, file, message.body if shown is None else shown)
    return table


def _scenario_table(scenario: Scenario) -> dict[str, object]:
    return {
        "shows": scenario.shows,
        "start": scenario.start,
        "seed": scenario.seed,
        "silence_s": scenario.silence_s,
        "act": [_act_row(act) for act in scenario.acts],
        "device": list(scenario.devices) or None,
        "policy": scenario.policy,
        "switch": scenario.switch,
        "quota": list(scenario.quota) or None,
        "kind_policy": scenario.kind_policy,
        "tolerance_s": scenario.tolerance_s or None,
        "ids": list(scenario.ids) or None,
        "simulator": scenario.simulator,
    }


def _act_row(act: Act) -> dict[str, object]:
    row = _told(act)
    if act.request is not None:
        row["request"] = _told(act.request)
    return {"at": act.at, **{name: value for name, value in row.items() if name != "at"}}


def _told(value: Act | CommandRequest) -> dict[str, object]:
    """The members that differ from the usual, as TOML takes them."""
    usual = Act(do=Do.SUBMIT) if isinstance(value, Act) else CommandRequest(kind=value.kind)
    plain = _plain(value)
    standard = _plain(usual)
    always = ("do", "kind")
    return {name: each for name, each in plain.items() if name in always or each != standard[name]}


def _plain(value: object) -> dict[str, object]:
    plain = msgspec.to_builtins(value, builtin_types=(datetime,))
    assert isinstance(plain, dict)
    return plain


# ---------------------------------------------------------------- reading


def read(folder: Path) -> Recording:
    """A recording from its folder. Raises BadScenario."""
    scenario, table = _read_scenario(folder)
    if "recorded" not in table:
        raise BadScenario(f"{folder / SCENARIO}: nothing was recorded yet")
    recorded = _table(table["recorded"])
    try:
        expected = json_value(read_within(folder, EXPECTED))
    except (OSError, ValueError) as error:
        raise BadScenario(f"{folder / EXPECTED}: {error}") from error
    if not isinstance(expected, dict):
        raise BadScenario(f"{folder / EXPECTED}: an object is wanted")
    ends_at, rows = recorded.get("ends_at"), recorded.get("message")
    if not isinstance(ends_at, int | float) or not isinstance(rows, list):
        raise BadScenario(f"{folder / SCENARIO}: recorded: ends_at and message are wanted")
    if len(rows) > MOST_MESSAGES:
        raise BadScenario(f"{folder / SCENARIO}: recorded.message: at most {MOST_MESSAGES}")
    messages: list[RecordedMessage] = []
    size = 0
    for number, row in enumerate(rows, start=1):
        messages.append(_read_message(row, folder, number))
        size += len(messages[-1].body)
        if size > MOST_MESSAGE_BYTES:
            raise BadScenario(
                f"{folder / SCENARIO}: recorded.message[{number}].file: all messages together must "
                f"have at most {MOST_MESSAGE_BYTES} bytes"
            )
    times = {
        f"recorded.message[{number}].at": each.at for number, each in enumerate(messages, start=1)
    }
    _check_times(folder / SCENARIO, scenario.start, {"recorded.ends_at": ends_at, **times})
    return Recording(
        scenario=scenario, messages=tuple(messages), expected=expected, ends_at=float(ends_at)
    )


def unused_files(folder: Path) -> tuple[str, ...]:
    """Files that lie in the folder, and are no part of the recording. Raises BadScenario."""
    table = _table(_read_scenario(folder)[1]["recorded"])
    rows = table.get("message")
    known = {SCENARIO, EXPECTED}
    known |= {str(_table(row).get("file", "")) for row in rows} if isinstance(rows, list) else set()
    return tuple(sorted(each.name for each in folder.iterdir() if each.name not in known))


def read_scenario(folder: Path) -> Scenario:
    """What is to happen, whether or not it was recorded yet. Raises BadScenario."""
    return _read_scenario(folder)[0]


def _read_scenario(folder: Path) -> tuple[Scenario, dict[str, object]]:
    file = folder / SCENARIO
    try:
        table = read_toml(folder, SCENARIO)
    except (OSError, ValueError) as error:
        raise BadScenario(f"{file}: {error}") from error
    known = {name: value for name, value in table.items() if name != "recorded"}
    named = {"act": "acts", "device": "devices"}
    renamed = {named.get(name, name): value for name, value in known.items()}
    try:
        scenario = msgspec.convert(
            {"name": f"{folder.parent.name}/{folder.name}", **renamed}, _Known, strict=True
        )
    except msgspec.ValidationError as error:
        raise BadScenario(f"{file}: {error}") from error
    if len(scenario.acts) > MOST_ACTS:
        raise BadScenario(f"{file}: act: at most {MOST_ACTS}")
    times = {f"act[{number}].at": act.at for number, act in enumerate(scenario.acts, start=1)}
    _check_times(file, scenario.start, {"silence_s": scenario.silence_s, **times})
    return scenario.scenario(), table


def _check_times(file: Path, start: datetime, seconds: Mapping[str, float]) -> None:
    try:
        check_times(start, seconds)
    except ValueError as error:
        raise BadScenario(f"{file}: {error}") from error


class _Known(msgspec.Struct, forbid_unknown_fields=True):
    """A scenario's table as it is read: an unknown member is named, not passed over."""

    name: str
    shows: str
    acts: tuple[Act, ...]
    devices: tuple[dict[str, object], ...] = ()
    start: datetime = START
    seed: int = 1
    silence_s: float = 30.0
    policy: dict[str, object] = {}
    switch: dict[str, object] = {}
    quota: tuple[dict[str, object], ...] = ()
    kind_policy: dict[str, dict[str, object]] = {}
    tolerance_s: float = 0.0
    ids: tuple[str, ...] = ()
    simulator: dict[str, object] = {}

    def scenario(self) -> Scenario:
        return Scenario(**{name: getattr(self, name) for name in self.__struct_fields__})


def _read_message(row: object, folder: Path, number: int) -> RecordedMessage:
    table = dict(_table(row))
    file, raw = table.pop("file", ""), table.pop("raw", False)
    body = b""
    if file:
        try:
            body = read_within(folder, str(file))
        except (OSError, ValueError) as error:
            place = f"{folder / SCENARIO}: recorded.message[{number}].file"
            raise BadScenario(f"{place}: {str(file)!r}: {error}") from error
    try:
        message = msgspec.convert(table, RecordedMessage)
    except msgspec.ValidationError as error:
        raise BadScenario(f"{folder / SCENARIO}: recorded.message: {error}") from error
    return replace(message, body=body if raw else taken_back(body))


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise BadScenario("a table is wanted")
    return value

"""Recordings of a running gateway: read from its API page by page, with pseudonyms, as fixtures.

Commands that name a device together, or a group, are one recording: they wait for each other. What
a device was like at the start is told by what it is now and by the completion events since.
"""

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

import msgspec

from adapter.commands.activity import CommandRequest, State
from adapter.commands.flows import NATURE, CommandKind
from adapter.commands.rules import SwitchPolicy
from adapter.commands.timing import POLICIES
from adapter.engine.commands.identity import STATUS_PATH
from adapter.errors import GatewayError
from adapter.model.device import (
    CONNECTED,
    INSTALL_TRANSITIONS,
    DeviceView,
    InstallEvent,
    InstallStatus,
)
from adapter.model.values import replace
from adapter.replay.decisions import decisions
from adapter.replay.devices import row_of_view
from adapter.replay.scenario import (
    Act,
    Do,
    Lost,
    RecordedKind,
    RecordedMessage,
    Recording,
    Scenario,
)
from adapter.replay.stage import plain_json
from adapter.service.settings import Settings
from adapter.support.redaction import Redaction, plain
from adapter.support.rest import GatewayApi, moment_of, object_of, pages, rows_of
from adapter.web.listener.addresses import DATA_PATH
from adapter.wire.notifications import DATA_ARRIVED
from adapter.wire.tools.redacted import Unredactable

MOST_COMMANDS: Final = 5_000
MOST_MESSAGES: Final = 20_000
MOST_DEVICES: Final = 5_000
TOLERANCE_S: Final = 5.0
_CUT: Final = 64 * 1024
"""A message that is as long as what is kept of one was cut."""
_ENDS_AFTER: Final = timedelta(seconds=1)
_CHANGED: Final = "CompletionExecuted"
_USUAL_STATUS: Final = frozenset({InstallStatus.CONN_COMM, InstallStatus.DISCONN_COMM})
"""Of two that a meter may have had, one of these is more likely."""

_ACTS: Final = {
    "CancelAsked": Do.CANCEL,
    "RetryAsked": Do.RETRY,
    "DiscardAsked": Do.DISCARD,
    "Approved": Do.APPROVE,
}
"""What people do that an entry of the history tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCommand:
    """What the API tells of one command."""

    id: str
    summary: Mapping[str, object]
    request: CommandRequest
    history: Sequence[Mapping[str, object]]
    outcomes: Sequence[Mapping[str, object]]
    messages: Sequence[Mapping[str, object]]

    @property
    def created(self) -> datetime:
        return moment_of(self.summary["created_at"])

    @property
    def joins(self) -> Iterator[str]:
        """What it has in common with commands that it may wait for."""
        yield from (f"device {each}" for each in self.request.devices)
        if self.request.group:
            yield f"group {self.request.group}"


@dataclass(slots=True, kw_only=True)
class SiteRecordings:
    """`left_out`: what could not be recorded, and why."""

    recordings: list[Recording] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def record_site(
    api: GatewayApi, settings: Settings, redaction: Redaction, *, start: datetime, end: datetime
) -> SiteRecordings:
    """Commands that were accepted with start <= time < end, and have ended. Raises GatewayError."""
    made = SiteRecordings()
    commands = list(_commands(api, start, end, made))
    data = _data(api, start, made)
    devices = _Devices(api)
    for together in _together(commands):
        try:
            recording = _recording(together, data, devices, settings, redaction)
        except (_NotWhole, Unredactable, GatewayError) as error:
            made.left_out.append(f"{', '.join(each.id for each in together)}: {error}")
        else:
            made.recordings.append(recording)
    return made


class _NotWhole(Exception):
    """What was kept is not enough to play it back."""


def _commands(
    api: GatewayApi, start: datetime, end: datetime, made: SiteRecordings
) -> Iterator[RecordedCommand]:
    rows = list(pages(api, "/commands", {"since": start}, most=MOST_COMMANDS))
    if len(rows) == MOST_COMMANDS:
        made.left_out.append(f"commands before {rows[-1]['id']}: more than {MOST_COMMANDS}")
    for row in reversed(rows):
        if moment_of(row["created_at"]) >= end:
            continue
        if not State(str(row["state"])).rests:
            made.left_out.append(f"{row['id']}: has not ended")
            continue
        path = f"/commands/{quote(str(row['id']), safe='')}"
        yield RecordedCommand(
            id=str(row["id"]),
            summary=row,
            request=msgspec.convert(
                object_of(api.get(f"{path}/request"))["request"], CommandRequest
            ),
            history=rows_of(api.get(f"{path}/history")),
            outcomes=rows_of(api.get(f"{path}/outcomes")),
            messages=rows_of(api.get(f"{path}/messages")),
        )


def _data(api: GatewayApi, start: datetime, made: SiteRecordings) -> list[tuple[datetime, bytes]]:
    """Data that have arrived since; of a long one only its head is given, and it is left out."""
    found: list[tuple[datetime, bytes]] = []
    for row in pages(api, "/inbox", {"since": start}, most=MOST_MESSAGES):
        if row["operation"] != DATA_ARRIVED:
            continue
        message = object_of(api.get(f"/inbox/{row['id']}"))
        if not message.get("complete"):
            made.left_out.append(f"inbox {row['id']}: only the head of it is given")
            continue
        found.append((moment_of(row["at"]), base64.b64decode(str(message["raw_base64"]))))
    return sorted(found, key=lambda each: each[0])


def _together(commands: Sequence[RecordedCommand]) -> list[list[RecordedCommand]]:
    """Commands that have a device or a group in common, directly or by others."""
    leader: dict[str, str] = {}

    def first(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for command in commands:
        for each in command.joins:
            leader[first(each)] = first(f"command {command.id}")
    found: defaultdict[str, list[RecordedCommand]] = defaultdict(list)
    for command in commands:
        found[first(f"command {command.id}")].append(command)
    return list(found.values())


# ---------------------------------------------------------------- one recording


def _recording(
    commands: Sequence[RecordedCommand],
    data: Iterable[tuple[datetime, bytes]],
    devices: "_Devices",
    settings: Settings,
    redaction: Redaction,
) -> Recording:
    rows = devices.rows(commands)
    scenario = Scenario(
        name=f"{commands[0].request.kind}/{redaction.name(commands[0].id)}",
        shows="Recorded of a running gateway.",
        acts=(),
        start=commands[0].created,
        tolerance_s=TOLERANCE_S,
        ids=tuple(redaction.name(each.id) for each in commands),
        devices=tuple(_redacted_row(row, redaction) for row in rows),
        kind_policy=_policies(settings, {each.request.kind for each in commands}),
        switch=_switch(settings),
    )
    last = max(moment_of(entry["at"]) for each in commands for entry in each.history)
    end = max(last, commands[-1].created) + _ENDS_AFTER
    read = _of_reads(commands, rows, data, end)
    return Recording(
        scenario=replace(scenario, acts=tuple(_acts(commands, scenario, redaction))),
        messages=_messages(commands, read, scenario, redaction),
        expected={"commands": [_decided(each, redaction) for each in commands]},
        ends_at=_at(scenario, end),
    )


def _at(scenario: Scenario, moment: datetime) -> float:
    return (moment - scenario.start).total_seconds()


def _decided(command: RecordedCommand, redaction: Redaction) -> object:
    outcomes = [
        {**each, "endpoint": redaction.name(str(each["endpoint"]))} for each in command.outcomes
    ]
    return plain_json(decisions(command.summary, command.history, outcomes))


def _acts(
    commands: Sequence[RecordedCommand], scenario: Scenario, redaction: Redaction
) -> list[Act]:
    acts: list[Act] = []
    for number, command in enumerate(commands, start=1):
        at = _at(scenario, command.created)
        acts.append(Act(do=Do.SUBMIT, at=at, request=_request(command.request, redaction)))
        for entry in command.history:
            if (do := _ACTS.get(str(entry["action"]))) is not None:
                by = redaction.name(str(entry["actor"]))
                at = _at(scenario, moment_of(entry["at"]))
                acts.append(Act(do=do, at=at, command=number, by=by))
        resolution = command.summary["resolution"]
        if isinstance(resolution, Mapping):
            acts.append(
                Act(
                    do=Do.RESOLVE,
                    at=_at(scenario, moment_of(resolution["at"])),
                    command=number,
                    by=redaction.name(str(resolution["operator"])),
                    approver=redaction.name(str(resolution["approver"])),
                    done=bool(resolution["done"]),
                    reason="as recorded",
                )
            )
    return sorted(acts, key=lambda act: act.at)


def _request(request: CommandRequest, redaction: Redaction) -> CommandRequest:
    """With pseudonyms for all that names. Nobody is posted to: its callback address is dropped."""
    values = plain(msgspec.to_builtins(request))
    assert isinstance(values, dict)
    values.pop("callback_url", None)
    if request.order is not None:
        values.pop("order", None)
    return msgspec.convert(redaction.document(values), CommandRequest)


def _policies(settings: Settings, kinds: Iterable[CommandKind]) -> dict[str, Mapping[str, object]]:
    """Of each kind what differs from the usual."""
    found: dict[str, Mapping[str, object]] = {}
    for kind in sorted(kinds):
        ours, usual = (msgspec.to_builtins(each[kind]) for each in (settings.commands, POLICIES))
        if differing := {name: ours[name] for name in ours if ours[name] != usual[name]}:
            found[kind.value] = differing
    return found


def _switch(settings: Settings) -> dict[str, object]:
    """Of what bars a disconnect; not the hours, which no command that ended here has waited for."""
    usual = SwitchPolicy()
    names = ("per_hour", "needs_approval")
    return {
        name: getattr(settings.switch, name)
        for name in names
        if getattr(settings.switch, name) != getattr(usual, name)
    }


# ---------------------------------------------------------------- messages


def _messages(
    commands: Sequence[RecordedCommand],
    data: Iterable[tuple[datetime, bytes]],
    scenario: Scenario,
    redaction: Redaction,
) -> tuple[RecordedMessage, ...]:
    """In the order in which they went; a reply after its request."""
    rows: list[tuple[datetime, int, RecordedMessage]] = []
    calls = 0
    for command in commands:
        sent = {entry["action"] for entry in command.history} & {"Dispatched"}
        if sent and not any(message["outbound"] for message in command.messages):
            raise _NotWhole("its messages are not kept any more")
        waiting: dict[tuple[str, str], list[int]] = defaultdict(list)
        for message in command.messages:
            at, operation = moment_of(message["at"]), str(message["operation"])
            body = str(message["body"]).encode("utf-8", "surrogateescape")
            if len(body) >= _CUT:
                raise _NotWhole(f"a message of {operation} is longer than what is kept of one")
            call = (str(message["communication"]), operation)
            made = RecordedMessage(
                at=_at(scenario, at),
                kind=RecordedKind.CALLBACK,
                operation=operation,
                body=redaction.message(body),
            )
            if message["outbound"]:
                calls += 1
                waiting[call].append(calls)
                rows.append((at, calls, replace(made, kind=RecordedKind.REQUEST, answers=calls)))
            elif waiting[call]:
                reply = _reply(made, message, command, waiting[call].pop(0))
                rows.append((at, calls, reply))
            else:
                path = f"{STATUS_PATH}/{redaction.name(call[0])}/-"
                rows.append((at, calls, replace(made, path=path)))
    rows += [(at, 0, _arrived(scenario, at, raw, redaction)) for at, raw in data]
    return _numbered([row for _, _, row in sorted(rows, key=_order)])


def _arrived(scenario: Scenario, at: datetime, raw: bytes, redaction: Redaction) -> RecordedMessage:
    return RecordedMessage(
        at=_at(scenario, at),
        kind=RecordedKind.CALLBACK,
        operation=DATA_ARRIVED,
        body=redaction.message(raw),
        path=DATA_PATH,
    )


def _of_reads(
    commands: Sequence[RecordedCommand],
    rows: Iterable[Mapping[str, object]],
    data: Iterable[tuple[datetime, bytes]],
    until: datetime,
) -> list[tuple[datetime, bytes]]:
    """Data that came while reads among these commands were open, and name one of their meters: they
    name no request."""
    if not any(NATURE[each.request.kind].reads is not None for each in commands):
        return []
    named = [f">{row['endpoint']}<".encode() for row in rows if row.get("endpoint")]
    return [
        (at, raw)
        for at, raw in data
        if commands[0].created <= at < until and any(each in raw for each in named)
    ]


def _order(row: tuple[datetime, int, RecordedMessage]) -> tuple[datetime, int]:
    kinds = (RecordedKind.REQUEST, RecordedKind.REPLY, RecordedKind.CALLBACK)
    return row[0], kinds.index(row[2].kind)


def _reply(
    made: RecordedMessage,
    message: Mapping[str, object],
    command: RecordedCommand,
    answers: int,
) -> RecordedMessage:
    reply = replace(made, kind=RecordedKind.REPLY, answers=answers)
    status = message["status"]
    if isinstance(status, int) and status:
        return replace(reply, status=status)
    lost = Lost.NOT_SENT if _was_not_sent(command, message) else Lost.CLOSED
    return replace(reply, lost=lost, text="as recorded", body=b"")


def _was_not_sent(command: RecordedCommand, message: Mapping[str, object]) -> bool:
    """By what was decided next about that communication."""
    at = moment_of(message["at"])
    for entry in command.history:
        detail = entry["detail"] if isinstance(entry["detail"], Mapping) else {}
        if detail.get("communication") != message["communication"]:
            continue
        if moment_of(entry["at"]) >= at - timedelta(milliseconds=5):
            return str(entry["action"]) in ("SendFailed", "PollFailed", "FetchFailed")
    return False


def _numbered(rows: Sequence[RecordedMessage]) -> tuple[RecordedMessage, ...]:
    """Replies name the place of their request among all."""
    places = {
        row.answers: place
        for place, row in enumerate(rows, start=1)
        if row.kind is RecordedKind.REQUEST
    }
    return tuple(
        replace(row, answers=None if row.kind is RecordedKind.REQUEST else places[row.answers])
        if row.answers is not None
        else row
        for row in rows
    )


# ---------------------------------------------------------------- devices


class _Devices:
    """What the registry says of devices, asked once each, and what they were like at a start."""

    def __init__(self, api: GatewayApi) -> None:
        self._api = api
        self._views: dict[str, DeviceView] = {}
        self._all: list[DeviceView] | None = None

    def rows(self, commands: Sequence[RecordedCommand]) -> list[Mapping[str, object]]:
        named = {str(each) for command in commands for each in command.request.devices}
        groups = {command.request.group for command in commands if command.request.group}
        views = {name: self._view(name) for name in sorted(named)}
        if groups:
            members = (each for each in self._every() if groups & each.device.groups)
            views |= {each.device.id: each for each in members}
        return [row_of_view(view, _status_before(view, commands)) for view in views.values()]

    def _view(self, name: str) -> DeviceView:
        if name not in self._views:
            answer = self._api.get(f"/devices/{quote(name, safe='')}")
            self._views[name] = msgspec.convert(answer, DeviceView, strict=False)
        return self._views[name]

    def _every(self) -> list[DeviceView]:
        if self._all is None:
            rows = pages(self._api, "/devices", {}, most=MOST_DEVICES)
            self._all = [msgspec.convert(row, DeviceView, strict=False) for row in rows]
        return self._all


def _status_before(view: DeviceView, commands: Sequence[RecordedCommand]) -> InstallStatus | None:
    """Undoes what the completion events of these commands did, the last one first. Raises
    _NotWhole where others have moved the switch since."""
    installed = view.installed
    if installed is None:
        return None
    ids = tuple(each.id for each in commands)
    for change in installed.history:
        if change.at >= commands[0].created and not str(change.cause).startswith(ids):
            raise _NotWhole(f"device {view.device.id} was moved by others since")
    possible = {installed.status}
    for command in reversed(commands):
        changed = any(entry["action"] == _CHANGED for entry in command.history)
        if changed and str(view.device.id) in command.request.devices:
            effect = NATURE[command.request.kind].effect
            possible = {
                was
                for (was, by), now in INSTALL_TRANSITIONS.items()
                if by is effect and now in possible
            } or possible
    return _fitting(installed, possible, commands[0].created)


def _fitting(
    installed: InstallEvent, possible: Iterable[InstallStatus], start: datetime
) -> InstallStatus:
    """Of those that it may have had, the one that the on/off history says."""
    earlier = [each for each in installed.history if each.at < start]
    later = [each for each in installed.history if each.at >= start]
    on = earlier[-1].on if earlier else not later[0].on if later else None
    ranked = sorted(possible, key=lambda each: (each not in _USUAL_STATUS, each.value))
    fitting = [each for each in ranked if on is None or (each in CONNECTED) is on]
    return (fitting or ranked)[0]


def _redacted_row(row: Mapping[str, object], redaction: Redaction) -> Mapping[str, object]:
    made = redaction.document(plain(row))
    assert isinstance(made, dict)
    return made

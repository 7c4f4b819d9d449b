"""Recordings of a running gateway: read from its API page by page, with pseudonyms, as fixtures.

Commands that name a device together, or a group, are one recording: they wait for each other. So
are those that a limit counts: one leaves where another has not used it up.
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
from adapter.commands.flows import OPENING_KINDS, CommandKind
from adapter.commands.rules import SwitchPolicy
from adapter.commands.timing import POLICIES
from adapter.commands.usage_limits import day_of, spread_of
from adapter.engine.commands.switch_holds import HoldReason
from adapter.errors import GatewayError
from adapter.model.values import replace
from adapter.replay.decisions import (
    ABOUT_SWITCHING,
    ASKED,
    BEGAN,
    ENDED,
    FULL,
    HELD,
    RELEASED,
    ComparedTexts,
    decisions,
    of_gateway,
)
from adapter.replay.recording_files import MOST_ACTS
from adapter.replay.recording_files import MOST_MESSAGES as MOST_PLAYED
from adapter.replay.scenario import Act, Do, Recording, Scenario, seconds
from adapter.replay.stage import plain_json
from adapter.service.settings import Settings
from adapter.support.redaction import Redaction, plain
from adapter.support.rest import GatewayApi, events_since, moment_of, object_of, pages, rows_of
from adapter.support.site_devices import SiteDevices
from adapter.support.site_messages import NotRecordable, RecordedCommand, arrived_for, messages_of
from adapter.support.site_switching import SwitchingActs
from adapter.wire.notifications import DATA_ARRIVED
from adapter.wire.tools.redacted import Unredactable

MOST_COMMANDS: Final = 5_000
MOST_MESSAGES: Final = 20_000
MOST_EVENTS: Final = 100_000
LATENCY_S: Final = 5.0
"""So much later than it was decided may a call have left a busy gateway."""
_ENDS_AFTER: Final = timedelta(seconds=1)
_COMMAND_EVENTS: Final = "openway.command."
_PROGRAM: Final = frozenset({"gateway", "head-end", "listener"})

_ACTS: Final = {
    "CancelAsked": Do.CANCEL,
    "RetryAsked": Do.RETRY,
    "DiscardAsked": Do.DISCARD,
    "Approved": Do.APPROVE,
    "Resolved": Do.RESOLVE,
    "Validated": Do.RETRY,
}
"""What people do that an entry of the history tells. The first `Validated` is the acceptance."""

_PEOPLE: Final = frozenset({"by", "operator", "approver", "note"})
"""Members of an entry that hold what people wrote, and who they are."""
_NAMING: Final = _PEOPLE | {"actor", "endpoint", "id", "limit", "member", "ended_by"}
_OWN: Final = frozenset(
    {"action", "type", "severity", "operation", "kind", "state", "business_object"}
)
"""Members whose words are the program's."""


@dataclass(slots=True, kw_only=True)
class SiteRecordings:
    """`left_out`: what could not be recorded, and why."""

    recordings: list[Recording] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Night:
    """What all recordings are made of. `told`: events by command; `about`: those of switching."""

    data: Sequence[tuple[datetime, bytes]]
    told: Mapping[str, Sequence[Mapping[str, object]]]
    about: Sequence[Mapping[str, object]]
    switching: SwitchingActs
    devices: SiteDevices
    settings: Settings
    redaction: Redaction


def record_site(
    api: GatewayApi, settings: Settings, redaction: Redaction, *, start: datetime, end: datetime
) -> SiteRecordings:
    """Commands that were accepted with start <= time < end, and have ended. Raises GatewayError."""
    made = SiteRecordings()
    commands = list(_commands(api, start, end, made))
    events = list(events_since(api, start, (f"{_COMMAND_EVENTS}*", *ABOUT_SWITCHING)))
    if len(events) > MOST_EVENTS:
        raise GatewayError(f"more than {MOST_EVENTS} events since {start.isoformat()}")
    told: defaultdict[str, list[Mapping[str, object]]] = defaultdict(list)
    for each in events:
        told[str(each["subject"])].append(each)
    about = [each for each in events if each["type"] in ABOUT_SWITCHING]
    night = _Night(
        data=_data(api, start, made),
        told=told,
        about=about,
        switching=SwitchingActs.of(api, about, redaction),
        devices=SiteDevices(api),
        settings=settings,
        redaction=redaction,
    )
    limits = _Limits(settings)
    if commands and (counted := limits.counted_before(commands[0].created)):
        made.left_out.append(counted)
    for together in _together(commands, limits):
        try:
            recording = _recording(together, night, limits)
        except (NotRecordable, Unredactable, GatewayError) as error:
            made.left_out.append(f"{', '.join(each.id for each in together)}: {error}")
        else:
            made.recordings.append(recording)
    return made


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


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a site lets leave in an hour and a day."""

    settings: Settings

    def counting(self, request: CommandRequest) -> Iterator[str]:
        """The limits that may count such a command, by name."""
        switch = self.settings.switch
        if switch.per_hour is not None and request.kind in OPENING_KINDS:
            yield "switch.per_hour"
        yield from (cap.name for cap in switch.cap if request.kind in cap.kinds)
        for quota in self.settings.engine.quota:
            if quota.requester in ("", request.requester):
                yield quota.name

    def counted_before(self, start: datetime) -> str:
        """What is not known of them; "" where nothing was counted before the first command."""
        switch = self.settings.switch
        some = switch.per_hour is not None or switch.cap or self.settings.engine.quota
        day = day_of(start, switch.time_zone)
        if not some or start - day < timedelta(minutes=1):
            return ""
        return f"what limits had counted of the day before {start.isoformat()}"

    def check(self, commands: Sequence[RecordedCommand]) -> None:
        """Raises NotRecordable for what pseudonyms take away."""
        names = {name for each in commands for name in self.counting(each.request)}
        for cap in self.settings.switch.cap:
            if cap.name in names and cap.prefix:
                raise NotRecordable(
                    f"cap {cap.name} counts by how groups begin: these have pseudonyms"
                )

    def switch(self, redaction: Redaction) -> dict[str, object]:
        """Members of the policy that differ; not the hours, nor what spreads commands over a time:
        when one may leave is in its request."""
        ours, usual = self.settings.switch, SwitchPolicy()
        names = ("time_zone", "per_hour", "needs_approval", "resume_s", "longest_override_s")
        found: dict[str, object] = {
            name: getattr(ours, name)
            for name in names
            if getattr(ours, name) != getattr(usual, name)
        }
        if ours.cap:
            found["cap"] = [_row(cap, {"name": redaction.name(cap.name)}) for cap in ours.cap]
        return found

    def quotas(self, redaction: Redaction) -> tuple[Mapping[str, object], ...]:
        return tuple(
            _row(
                each, {name: redaction.name(getattr(each, name)) for name in ("name", "requester")}
            )
            for each in self.settings.engine.quota
        )


def _row(value: object, named: Mapping[str, str]) -> Mapping[str, object]:
    row = msgspec.to_builtins(value)
    assert isinstance(row, dict)
    made = {**row, **named}
    return {name: sorted(v) if isinstance(v, set | frozenset) else v for name, v in made.items()}


def _together(commands: Sequence[RecordedCommand], limits: _Limits) -> list[list[RecordedCommand]]:
    """Commands that have a device, a group or a limit in common, directly or by others."""
    leader: dict[str, str] = {}

    def first(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for command in commands:
        shared = [*command.joins, *(f"limit {each}" for each in limits.counting(command.request))]
        for each in shared:
            leader[first(each)] = first(f"command {command.id}")
    found: defaultdict[str, list[RecordedCommand]] = defaultdict(list)
    for command in commands:
        found[first(f"command {command.id}")].append(command)
    return list(found.values())


# ---------------------------------------------------------------- one recording


def _recording(commands: Sequence[RecordedCommand], night: _Night, limits: _Limits) -> Recording:
    redaction, settings = night.redaction, night.settings
    limits.check(commands)
    rows = night.devices.rows(commands)
    scenario = Scenario(
        name=f"{commands[0].request.kind}/{redaction.name(commands[0].id)}",
        shows="Recorded of a running gateway.",
        acts=(),
        start=commands[0].created,
        tolerance_s=LATENCY_S,
        ids=tuple(redaction.name(each.id) for each in commands),
        devices=tuple(_redacted_row(row, redaction) for row in rows),
        kind_policy=_policies(settings, {each.request.kind for each in commands}),
        switch=limits.switch(redaction),
        quota=limits.quotas(redaction),
    )
    last = max(moment_of(entry["at"]) for each in commands for entry in each.history)
    end = max(last, commands[-1].created) + _ENDS_AFTER
    if night.switching.held(HoldReason.CLOCK, scenario.start, end):
        raise NotRecordable("the wall clock was in doubt: its times say nothing")
    # Messages first: what they say whole is known then, where a sentence of the program says it.
    arrived = arrived_for(commands, rows, night.data, end)
    messages = messages_of(commands, arrived, scenario, redaction)
    _learn(commands, redaction)
    acts = [
        *night.switching.between(scenario.start, end),
        *_acts(commands, scenario, settings, redaction),
    ]
    if len(messages) > MOST_PLAYED or len(acts) > MOST_ACTS:
        raise NotRecordable(f"more than {MOST_PLAYED} messages or {MOST_ACTS} acts")
    words = ComparedTexts(scenario.ids)
    return Recording(
        scenario=replace(scenario, acts=tuple(sorted(acts, key=lambda act: act.at))),
        messages=messages,
        expected={
            "commands": [_decided(each, night, words) for each in commands],
            "gateway": _about_switching(commands, night, limits, words, scenario.start, end),
        },
        ends_at=seconds(scenario, end),
    )


def _learn(commands: Sequence[RecordedCommand], redaction: Redaction) -> None:
    """What people wrote, and who they are: known then where the program says it again."""
    for command in commands:
        for entry in command.history:
            detail = object_of(entry["detail"])
            asked = [detail.get(name) for name in _PEOPLE]
            if _is_act(entry):
                asked.append(detail.get("reason"))
            for each in (entry["actor"], *asked):
                redaction.learn(str(each or ""), "by")


def _decided(command: RecordedCommand, night: _Night, words: ComparedTexts) -> object:
    redaction = night.redaction
    summary, history, outcomes, told = (
        _said(each, redaction)
        for each in (command.summary, command.history, command.outcomes, night.told[command.id])
    )
    made = decisions(summary, history, outcomes, told, words)  # type: ignore[arg-type]  # as given
    return plain_json(made)


def _said(value: object, redaction: Redaction, name: str = "") -> object:
    """With pseudonyms; of sentences the words of the program stay."""
    if isinstance(value, Mapping):
        return {key: _said(each, redaction, key) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_said(each, redaction, name) for each in value]
    if not isinstance(value, str) or name in _OWN:
        return value
    if name == "status":
        return "/".join(redaction.program_text(each) for each in value.split("/"))
    return redaction.name(value) if name in _NAMING else redaction.program_text(value)


def _about_switching(
    commands: Sequence[RecordedCommand],
    night: _Night,
    limits: _Limits,
    words: ComparedTexts,
    start: datetime,
    end: datetime,
) -> object:
    counting = {name for each in commands for name in limits.counting(each.request)}
    told = [
        each
        for each in night.about
        if start <= moment_of(each["at"]) < end
        and (each["type"] != FULL or object_of(each["data"]).get("limit") in counting)
    ]
    before = night.switching.told_before(start)
    said = [_said_of_switching(each, night) for each in (*before, *told)]
    return plain_json(of_gateway(said, words))


def _said_of_switching(event: Mapping[str, object], night: _Night) -> Mapping[str, object]:
    """Of an event whose reason people wrote all of it has a pseudonym."""
    data = object_of(event["data"])
    said = object_of(_said(data, night.redaction))
    if event["type"] in (ASKED, BEGAN, ENDED):
        said["reason"] = night.redaction.name(str(data["reason"]))
    elif event["type"] in (HELD, RELEASED):
        said["text"] = night.switching.text(data)
    return {**event, "data": said}


def _is_act(entry: Mapping[str, object]) -> bool:
    return str(entry["action"]) in _ACTS and str(entry["actor"]) not in _PROGRAM


def _acts(
    commands: Sequence[RecordedCommand],
    scenario: Scenario,
    settings: Settings,
    redaction: Redaction,
) -> Iterator[Act]:
    for number, command in enumerate(commands, start=1):
        yield Act(
            do=Do.SUBMIT,
            at=seconds(scenario, command.created),
            by=redaction.name(str(command.history[0]["actor"])),
            request=_request(command, settings, redaction),
        )
        accepted = next((x for x in command.history if x["action"] == "Validated"), None)
        for entry in command.history:
            if _is_act(entry) and entry is not accepted:
                yield _act(entry, number, scenario, redaction)


def _act(entry: Mapping[str, object], number: int, scenario: Scenario, redaction: Redaction) -> Act:
    detail = object_of(entry["detail"])
    texts = {
        name: redaction.name(str(detail.get(name) or ""))
        for name in ("reason", "note", "operator", "approver")
    }
    return Act(
        do=_ACTS[str(entry["action"])],
        at=seconds(scenario, moment_of(entry["at"])),
        command=number,
        by=texts["operator"] or redaction.name(str(entry["actor"])),
        approver=texts["approver"],
        reason=texts["note"] or texts["reason"],
        done=detail.get("done") == "True",
    )


def _request(command: RecordedCommand, settings: Settings, redaction: Redaction) -> CommandRequest:
    """With pseudonyms for all that names. Nobody is posted to: its callback address is dropped. A
    command that was spread over a time has its moment of that."""
    request = command.request
    values = plain(msgspec.to_builtins(request))
    assert isinstance(values, dict)
    values.pop("callback_url", None)
    if request.order is not None:
        values.pop("order", None)
    if spread_of(settings.switch.spread, request.kind, "") is not None:
        values["effective_at"] = str(command.summary["effective_at"])
    return msgspec.convert(redaction.document(values), CommandRequest)


def _policies(settings: Settings, kinds: Iterable[CommandKind]) -> dict[str, Mapping[str, object]]:
    """Of each kind what differs from the usual."""
    found: dict[str, Mapping[str, object]] = {}
    for kind in sorted(kinds):
        ours, usual = (msgspec.to_builtins(each[kind]) for each in (settings.commands, POLICIES))
        if differing := {name: ours[name] for name in ours if ours[name] != usual[name]}:
            found[kind.value] = differing
    return found


def _redacted_row(row: Mapping[str, object], redaction: Redaction) -> Mapping[str, object]:
    made = redaction.document(plain(row))
    assert isinstance(made, dict)
    return made

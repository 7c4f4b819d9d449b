"""What the API tells of one command, and its messages as a recording has them, with pseudonyms."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapter.commands.activity import CommandRequest
from adapter.commands.flows import NATURE
from adapter.engine.commands.identity import STATUS_PATH
from adapter.model.values import replace
from adapter.replay.scenario import Lost, RecordedKind, RecordedMessage, Scenario, seconds
from adapter.support.redaction import Redaction
from adapter.support.rest import moment_of
from adapter.web.listener.addresses import DATA_PATH
from adapter.wire.notifications import DATA_ARRIVED

_CUT: Final = 64 * 1024
"""A message that is as long as what is kept of one was cut."""


_NOT_SENT: Final = frozenset({"SendFailed", "PollFailed", "FetchFailed"})
"""What is decided about a call that did not leave."""


class NotRecordable(Exception):
    """What was kept is not enough to play it back."""


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


def messages_of(
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
            raise NotRecordable("its messages are not kept any more")
        waiting: dict[tuple[str, str], list[int]] = defaultdict(list)
        for message in command.messages:
            at, operation = moment_of(message["at"]), str(message["operation"])
            body = str(message["body"]).encode("utf-8", "surrogateescape")
            if len(body) >= _CUT:
                raise NotRecordable(f"a message of {operation} is longer than what is kept of one")
            call = (str(message["communication"]), operation)
            made = RecordedMessage(
                at=seconds(scenario, at),
                kind=RecordedKind.CALLBACK,
                operation=operation,
                body=redaction.message(body),
            )
            if message["outbound"]:
                calls += 1
                waiting[call].append(calls)
                rows.append((at, calls, replace(made, kind=RecordedKind.REQUEST, answers=calls)))
            elif waiting[call]:
                reply = _reply(made, message, command, waiting[call].pop(0), redaction)
                rows.append((at, calls, reply))
            else:
                path = f"{STATUS_PATH}/{redaction.name(call[0])}/-"
                rows.append((at, calls, replace(made, path=path)))
    rows += [(at, 0, _arrived(scenario, at, raw, redaction)) for at, raw in data]
    return _numbered([row for _, _, row in sorted(rows, key=_order)])


def _arrived(scenario: Scenario, at: datetime, raw: bytes, redaction: Redaction) -> RecordedMessage:
    return RecordedMessage(
        at=seconds(scenario, at),
        kind=RecordedKind.CALLBACK,
        operation=DATA_ARRIVED,
        body=redaction.message(raw),
        path=DATA_PATH,
    )


def arrived_for(
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
    redaction: Redaction,
) -> RecordedMessage:
    reply = replace(made, kind=RecordedKind.REPLY, answers=answers)
    status = message["status"]
    if isinstance(status, int) and status:
        return replace(reply, status=status)
    action, why = _taken_as(command, message)
    lost = Lost.NOT_SENT if action in _NOT_SENT else Lost.CLOSED
    return replace(reply, lost=lost, text=redaction.program_text(why), body=b"")


def _taken_as(command: RecordedCommand, message: Mapping[str, object]) -> tuple[str, str]:
    """What was decided about that communication then, and what it says went wrong: the entry that
    is nearest in time, for a busy machine notes the one well before or after the other."""
    at = moment_of(message["at"])
    failed = [
        (abs(moment_of(entry["at"]) - at), str(entry["action"]), str(detail["detail"]))
        for entry in command.history
        if isinstance(detail := entry["detail"], Mapping)
        and detail.get("communication") == message["communication"]
        and detail.get("detail")
    ]
    return min(failed, default=(None, "", "as recorded"))[1:]


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

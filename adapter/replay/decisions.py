"""What a gateway decided about commands, without what differs from run to run: ids and times.

Made of what REST tells of a command, so that a recording of a running gateway has the same form.
How long a step decided to wait is a decision, and is compared exactly; when something was done is
not, for it has the real latency of a machine in it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from adapter.replay.json_text import first_difference

_COMMUNICATION: Final = ("step", "operation", "state", "attempt", "failure")
_SUMMARY: Final = (
    "kind", "state", "outcome", "reason", "switch_state", "voltage_present", "violations",
    "endpoints", "retries",
)  # fmt: skip
_OUTCOME: Final = ("endpoint", "result", "switch_state")
_ENTRY: Final = (
    "business_object", "status", "outcome", "cause", "failure", "reason", "detail", "error",
    "fault", "event", "polled", "needs_approval", "drop_optional", "by", "done", "operator",
    "approver", "note",
)  # fmt: skip
_TOLD: Final = (*_SUMMARY, "text")
_OF_GATEWAY: Final = (
    "reason", "text", "by", "limit", "member", "span", "most", "ended_by",
)  # fmt: skip
_NOTHING: Final = "nothing"
_NOTICES: Final = frozenset({"StatusNotified", "LateNotified"})
_NOTICE: Final = "Notified"
_LOOK: Final = "DataLookedUp"
"""A notice that moved nothing: which of the two it is called depends on a moment of real time."""

HELD: Final = "openway.gateway.switch_orders_held"
RELEASED: Final = "openway.gateway.switch_orders_released"
ASKED: Final = "openway.gateway.resume_requested"
BEGAN: Final = "openway.gateway.override_began"
ENDED: Final = "openway.gateway.override_ended"
FULL: Final = "openway.gateway.limit_reached"
ABOUT_SWITCHING: Final = (HELD, RELEASED, ASKED, BEGAN, ENDED, FULL)
"""Types of events about why switch orders do not leave, or more of them than a limit allows."""

_NAMES: Final = re.compile(r"\S*\d\S*( \S*\d\S*)*")
"""In a sentence: numbers, times, ids and pseudonyms. All of these have a digit."""

Rows: TypeAlias = Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class ComparedTexts:
    """Texts without what differs from run to run: of a sentence its words. `ids`: the commands of
    the recording."""

    ids: Sequence[str]

    def of(self, value: object) -> object:
        """A value of JSON, with every text in it."""
        if isinstance(value, str):
            for number, each in enumerate(self.ids, start=1):
                value = value.replace(each, f"command-{number}")
            return _NAMES.sub("#", value) if " " in value else value
        if isinstance(value, Mapping):
            return {name: self.of(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(each) for each in value]
        return value


def decisions(
    summary: Mapping[str, object], history: Rows, outcomes: Rows, told: Rows, words: ComparedTexts
) -> dict[str, object]:
    """Of one command: where it ended, how its communications did, each step on the way, and the
    events that went out of it (`told`)."""
    command = str(summary["id"])
    return {
        **_state(summary, _SUMMARY, words),
        "outcomes": sorted(
            ({name: each[name] for name in _OUTCOME} for each in outcomes),
            key=lambda each: str(each["endpoint"]),
        ),
        "steps": [_step(each, command, words) for each in history if _decided(each)],
        "publications": [_published(each, words) for each in told],
    }


def of_gateway(told: Rows, words: ComparedTexts) -> list[dict[str, object]]:
    """The events that are about no command: why nothing left, and what was let pass."""
    return [
        {
            "type": each["type"],
            "subject": each["subject"],
            "severity": each["severity"],
            "data": words.of(_some(each["data"], _OF_GATEWAY)),
        }
        for each in told
    ]


def _state(
    row: Mapping[str, object], names: Iterable[str], words: ComparedTexts
) -> dict[str, object]:
    return {
        **{name: words.of(row.get(name)) for name in names},
        "completion_events": [
            {"event": each["event"], "state": each["state"], "error": words.of(each["error"])}
            for each in _rows(row["completion_events"])
        ],
        "communications": [
            {name: each[name] for name in _COMMUNICATION} for each in _rows(row["communications"])
        ],
    }


def _published(event: Mapping[str, object], words: ComparedTexts) -> dict[str, object]:
    data = event["data"] if isinstance(event["data"], Mapping) else {}
    return {
        "type": event["type"],
        "subject": words.of(event["subject"]),
        "severity": event["severity"],
        "data": {
            **_state(data, _TOLD, words),
            "outcomes": sorted(
                (_some(each, (*_OUTCOME, "reason")) for each in _rows(data.get("outcomes"))),
                key=lambda each: str(each["endpoint"]),
            ),
        },
    }


def _some(value: object, names: Iterable[str]) -> dict[str, object]:
    row = value if isinstance(value, Mapping) else {}
    return {name: row[name] for name in names if name in row}


def _decided(entry: Mapping[str, object]) -> bool:
    """Not a look for data that found too little: how often there is one is a matter of time."""
    return entry["action"] != _LOOK or bool(_moves(entry))


def _moves(entry: Mapping[str, object]) -> Sequence[Sequence[object]]:
    detail = entry["detail"]
    moves = detail.get("moves") if isinstance(detail, Mapping) else None
    return moves if isinstance(moves, list | tuple) else ()


def _step(entry: Mapping[str, object], command: str, words: ComparedTexts) -> str:
    """An entry of the audit in a line: who did what, what was said, which states moved, and how
    long is waited now."""
    detail = entry["detail"] if isinstance(entry["detail"], Mapping) else {}
    moved, action = _moves(entry), str(entry["action"])
    said = [_NOTICE if action in _NOTICES and not moved else action, f"by {entry['actor']}"]
    if communication := detail.get("communication"):
        said.append(_short(str(communication), command))
    texts = ((name, detail.get(name)) for name in _ENTRY)
    said += [f"{name} {words.of(text)}" for name, text in texts if isinstance(text, str)]
    for subject, before, after in moved:
        said.append(f"{_short(str(subject), command)}: {before} > {after}")
    waits = detail.get("waits")
    for subject, dates in sorted(waits.items()) if isinstance(waits, Mapping) else ():
        said += [f"waits {subject} {name} {seconds:g} s" for name, seconds in dates.items()]
    return ", ".join(said)


def _short(subject: str, command: str) -> str:
    return "command" if subject == command else subject.replace(f"{command}-", "#")


def _rows(value: object) -> Rows:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def first_decision(expected: object, got: object) -> str:
    """The first step that was decided otherwise, and of which command; else whatever differs; ""
    where nothing does."""
    ours, theirs = _commands(expected), _commands(got)
    for number, one in enumerate(ours, start=1):
        other = theirs[number - 1] if number <= len(theirs) else {}
        recorded, now = _steps(one), _steps(other)
        for place in range(max(len(recorded), len(now))):
            was = recorded[place] if place < len(recorded) else _NOTHING
            found = now[place] if place < len(now) else _NOTHING
            if was != found:
                about = f"command {number} ({one.get('kind')}), step {place + 1}"
                return f"{about}: recorded {was}; now {found}"
    return first_difference(expected, got) or ""


def _commands(value: object) -> Rows:
    return _rows(value.get("commands")) if isinstance(value, Mapping) else []


def _steps(command: Mapping[str, object]) -> list[str]:
    steps = command.get("steps")
    return [str(each) for each in steps] if isinstance(steps, list) else []

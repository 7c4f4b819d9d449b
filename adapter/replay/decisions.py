"""What a gateway decided about commands, without what differs from run to run: ids, times, texts.

Made of what REST tells of a command, so that a recording of a running gateway has the same form.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from adapter.replay.json_text import first_difference

_SUMMARY: Final = (
    "kind", "state", "outcome", "switch_state", "voltage_present", "endpoints", "retries",
)  # fmt: skip
_COMMUNICATION: Final = ("step", "operation", "state", "attempt", "failure")
_OUTCOME: Final = ("endpoint", "result", "switch_state")
_ENTRY: Final = ("business_object", "status", "outcome", "cause", "failure")
_NOTHING: Final = "nothing"
_NOTICES: Final = frozenset({"StatusNotified", "LateNotified"})
_NOTICE: Final = "Notified"
_LOOK: Final = "DataLookedUp"
"""A notice that moved nothing: which of the two it is called depends on a moment of real time."""


Rows = Sequence[Mapping[str, object]]


def decisions(summary: Mapping[str, object], history: Rows, outcomes: Rows) -> dict[str, object]:
    """Of one command: where it ended, how its communications did, and each step on the way."""
    command = str(summary["id"])
    return {
        **{name: summary[name] for name in _SUMMARY},
        "completion_events": [
            {"event": each["event"], "state": each["state"]}
            for each in _rows(summary["completion_events"])
        ],
        "communications": [
            {name: each[name] for name in _COMMUNICATION}
            for each in _rows(summary["communications"])
        ],
        "outcomes": sorted(
            ({name: each[name] for name in _OUTCOME} for each in outcomes),
            key=lambda each: str(each["endpoint"]),
        ),
        "steps": [_step(each, command) for each in history if _decided(each)],
    }


def _decided(entry: Mapping[str, object]) -> bool:
    """Not a look for data that found too little: how often there is one is a matter of time."""
    return entry["action"] != _LOOK or bool(_moves(entry))


def _moves(entry: Mapping[str, object]) -> Sequence[Sequence[object]]:
    detail = entry["detail"]
    moves = detail.get("moves") if isinstance(detail, Mapping) else None
    return moves if isinstance(moves, list | tuple) else ()


def _step(entry: Mapping[str, object], command: str) -> str:
    """An entry of the audit in a line: what was done, and which states moved."""
    detail = entry["detail"] if isinstance(entry["detail"], Mapping) else {}
    moved, action = _moves(entry), str(entry["action"])
    words = [_NOTICE if action in _NOTICES and not moved else action]
    if communication := detail.get("communication"):
        words.append(_short(str(communication), command))
    words += [str(detail[name]) for name in _ENTRY if isinstance(detail.get(name), str)]
    for subject, before, after in moved:
        words.append(f"{_short(str(subject), command)}: {before} > {after}")
    return ", ".join(words)


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

"""What `openway order` and `openway todo` print for people."""

from collections.abc import Mapping
from typing import Final

from adapter.cli.client import Json, fields, items
from adapter.cli.output import (
    cell,
    columns,
    counted,
    print_fields,
    print_json,
    print_rows,
    print_text,
    say,
)

STEPS: Final = columns("step", "number title device cell type algorithm row note")
CHILDREN: Final = columns("child", "id activity task device state reason command row")
REPLIES: Final = columns(
    "reply", "id kind state attempts", ("created", "created_at"), ("due", "due_at"), "last_error"
)
_APART: Final = ("problem", "fields", "advice")
REQUESTS: Final = columns("request", "id purpose state outcome requester reason")


def print_order(made: dict[str, Json], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    problem = fields(made.get("problem"))
    shown = {name: value for name, value in made.items() if name not in _APART}
    print_fields(shown)
    if problem:
        print_fields({"problem": f"{problem['text']} ({problem['code']})", **_next(problem)})
    print_fields({f"field {name}": value for name, value in fields(made.get("fields")).items()})
    if made.get("advice"):
        print_fields({"advice": made["advice"]})


def _next(problem: Mapping[str, Json]) -> dict[str, object]:
    """What people can do, and what they have to know first."""
    off = "the customer is OFF by this order" if problem["without_supply"] else None
    return {
        "without supply": off,
        "to do": problem["action"],
        "blocked by": problem["blocking_order"],
    }


def print_plan(found: dict[str, Json]) -> None:
    for note in _texts(found["notes"]):
        print_text(note)
    refusals = items(found["refused_by"])
    for problem in refusals:
        print_text(f"refused today: {problem['text']} ({problem['code']}); {problem['action']}")
    rows = items(found["steps"])
    print_rows(STEPS, rows)
    for row in rows:
        print_text(f"{row['number']}. saw {_saw(row)}")
    if last := items(found["final_decisions"]):
        print_text(f"in the end saw {_saw(last[-1])}")
    problem = fields(found.get("problem"))
    why = f": {problem['text']}; {problem['action']}" if problem else ""
    steps = counted(len(rows), "step")
    if refusals:
        say(f"refused as things are today; else {steps}, then {found['outcome']}{why}")
    else:
        say(f"{steps}, then {found['outcome']}{why}")


def print_shown(found: dict[str, Json]) -> None:
    print_order(fields(found["order"]), as_json=False)
    print_text("\nchildren")
    print_rows(CHILDREN, items(found["children"]))
    print_text("decisions")
    for look in items(found["evaluations"]):
        for decision in items(look["decisions"]):
            place = f"{decision['cell']}. {decision['type']} {decision['algorithm']}"
            print_text(f"{look['at']}  {place}: {_decided(decision)}")
        if seen := items(look["decisions"]):
            print_text(f"    saw {_saw(seen[-1])}")
    print_text("\nreplies")
    print_rows(REPLIES, items(found["replies"]))
    if requests := items(found["requests"]):
        print_text("requests")
        print_rows(REQUESTS, requests)
    print_text("history")
    for entry in items(found["history"]):
        print_text(_step(entry))


def _saw(decision: Mapping[str, Json]) -> str:
    saw = fields(decision["facts"])
    long_last = sorted(saw, key=lambda name: (name == "commands", name))
    return " ".join(f"{name}={saw[name]}" for name in long_last)


def _decided(decision: Mapping[str, Json]) -> str:
    """The outcome, what it creates, fills or fails for, the row, the reason."""
    problem = fields(decision["problem"])
    filled = " ".join(f"{name}={value}" for name, value in fields(decision["fields"]).items())
    words = (decision["outcome"], decision["creates"], filled, problem.get("text"))
    said = " ".join(str(word).replace("_", " ") for word in words if word)
    why = ", ".join(str(each) for each in (decision["row"], decision["note"]) if each)
    return f"{said} ({why})" if why else said


def _step(entry: Mapping[str, Json]) -> str:
    """One line of the log: when, who, what, from where to where, why."""
    detail = fields(entry["detail"])
    moved = f"{detail.pop('from')} -> {detail.pop('to')}" if "from" in detail else ""
    more = "; ".join(f"{name}: {cell(value)}" for name, value in detail.items())
    said = (str(entry["at"]), f"{entry['actor']}: {entry['action']}", moved, more)
    return "  ".join(each for each in said if each)


def age(seconds: object) -> str:
    """`45s`, `12m`, `3h 5m`, `2d 4h`."""
    whole = int(seconds) if isinstance(seconds, int | float) else 0
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m" if minutes else f"{whole}s"


def _texts(value: Json) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []

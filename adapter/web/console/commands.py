"""Commands: the list, and all about one: where it stands, its time line, its messages."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from adapter.commands.activity import Command, CommunicationState, State, Work
from adapter.commands.flows import SWITCH_KINDS, CommandKind
from adapter.commands.outcomes import EndpointResult
from adapter.engine.commands.unsent import Unsent, UnsentReason, held_up
from adapter.engine.orders.child_commands import unsent
from adapter.model.ids import CommandId
from adapter.web.api import commands
from adapter.web.api.call import HistoryEntry
from adapter.web.console.buttons import BUTTONS, Button
from adapter.web.console.view import PageView
from adapter.web.console.words import moves_of, waits_of

QUERY: Final = (
    "kind", "state", "device", "open", "since", "requester", "reference", "cursor",
)  # fmt: skip
_SHOWN_ENDPOINTS: Final = 200
_SHOWN_BYTES: Final = 20_000
_WIDE: Final = 1_000.0
"""Of the time line, in its own units."""
_BETWEEN: Final = re.compile(r">\s*<")
_DEEPEST: Final = 40


async def load_list(view: PageView) -> Mapping[str, object]:
    page = await view.read(
        commands.CommandPage, commands.list_commands, {"limit": "50", **view.query}
    )
    return {"list": page, "kinds": tuple(CommandKind), "states": tuple(State)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """From one step of a command to the next. `left` and `width` place it on the time line."""

    entry: HistoryEntry
    after_s: float
    took_s: float
    left: float
    width: float
    tone: str

    @property
    def moves(self) -> Sequence[str]:
        """States that it has left for others, without ids."""
        return moves_of(self.entry.detail.get("moves"))

    @property
    def facts(self) -> Mapping[str, str]:
        """What else is known of it."""
        left_out = ("moves", "business_object")
        detail = self.entry.detail
        shown = {k: str(v) for k, v in detail.items() if k not in left_out}
        return shown | {"waits": waits_of(detail["waits"])} if "waits" in shown else shown


@dataclass(frozen=True, slots=True)
class NextStep:
    """What happens next, and when; None: as soon as it is its turn."""

    text: str
    at: datetime | None = None
    latest: bool = False


async def load(view: PageView) -> Mapping[str, object]:
    shown = await view.read(commands.CommandOut, commands.get_command)
    command = await view.api.gateway.commands.get(CommandId(shown.id))
    history = await view.read(commands.History, commands.get_command_history)
    outcomes = await view.read(commands.Outcomes, commands.get_command_outcomes)
    messages = await view.read(commands.Messages, commands.get_command_messages)
    waits = await held_up(command, view.api.gateway.upkeep.switch_safety)
    order = {result: n for n, result in enumerate(EndpointResult)}
    worst = sorted(outcomes.items, key=lambda each: -order[each.result])
    return {
        "command": shown,
        "activity": command.activity,
        "request": command.request,
        "switch": command.request.kind in SWITCH_KINDS,
        "legs": legs_of(history.items, view.now, open_=not shown.final),
        "next": [*_held(view, command, waits), *next_of(command, view.now, waits)],
        "outcomes": worst[:_SHOWN_ENDPOINTS],
        "outcome_count": len(outcomes.items),
        "incomplete": outcomes.incomplete,
        "messages": [
            {"number": n, "head": each, "text": indented(each.body[:_SHOWN_BYTES])}
            for n, each in enumerate(messages.items, 1)
        ],
        "shown_bytes": _SHOWN_BYTES,
        "offered": offered(command),
    }


async def load_message(view: PageView) -> Mapping[str, object]:
    """One message as it was, whole."""
    messages = await view.read(commands.Messages, commands.get_command_messages)
    number = view.path["number"]
    index = int(number) if number.isascii() and number.isdecimal() and len(number) < 9 else 0
    found = messages.items[index - 1] if 0 < index <= len(messages.items) else None
    return {"message": found, "number": number}


def offered(command: Command) -> Sequence[Button]:
    """The buttons that its state has a use for."""
    state = command.activity.state
    names: tuple[str, ...] = ()
    if state.waits_for_person:
        names = ("retry-command", "discard-command")
    if state is State.AWAITING_APPROVAL:
        names = ("approve-command", "discard-command")
    if state is State.NEEDS_PERSON:
        names = ("resolve-done", "resolve-not-done")
        if command.activity.resolution is not None:
            names = ("retry-command",)
    elif not state.final and not state.waits_for_person:
        names = ("cancel-command",)
    return [BUTTONS[name] for name in names]


def legs_of(history: Sequence[HistoryEntry], now: datetime, *, open_: bool) -> Sequence[Leg]:
    if not history:
        return []
    first, last = history[0].at, now if open_ else history[-1].at
    whole = max((last - first).total_seconds(), 0.001)
    ends = [*(each.at for each in history[1:]), last]
    made: list[Leg] = []
    for entry, end in zip(history, ends, strict=True):
        after, took = (entry.at - first).total_seconds(), (end - entry.at).total_seconds()
        made.append(
            Leg(
                entry=entry,
                after_s=max(after, 0.0),
                took_s=max(took, 0.0),
                left=round(_WIDE * max(after, 0.0) / whole, 1),
                width=round(max(_WIDE * max(took, 0.0) / whole, 1.0), 1),
                tone=_tone(entry.action),
            )
        )
    return made


def _held(view: PageView, command: Command, waits: Unsent | None) -> Iterator[NextStep]:
    """Why a connect or disconnect of which nothing has left does not."""
    held = waits is not None and waits.why is UnsentReason.HELD
    if held or (command.request.kind in SWITCH_KINDS and unsent(command)):
        for hold in view.api.gateway.upkeep.holds.all():
            yield NextStep(f"switching is held: {hold.text}")


def _tone(action: str) -> str:
    """What is waited for behind a step: the head end, the gateway, people."""
    if action in ("Dispatched", "TokenReceived", "StatusNotified", "StatusReceived", "Polled"):
        return "head-end"
    if action.endswith(("Failed", "Unclear", "Error")) or "Refused" in action:
        return "wrong"
    return "gateway"


def next_of(command: Command, now: datetime, waits: Unsent | None = None) -> Iterator[NextStep]:
    """What the gateway does next by itself, the nearest first; nothing where it has ended. `waits`:
    what the request that is to leave next waits for."""
    activity = command.activity
    if activity.state.final:
        return
    if activity.state.waits_for_person:
        yield NextStep("nothing by itself: it waits for people")
    steps = [*_of_activity(command, now), *_of_communications(command, waits)]
    yield from sorted(steps, key=lambda each: (each.latest, each.at or now))


_UNHELD: Final = {
    State.COMMUNICATION_ERROR: "ends as failed, unless it is tried again or given up before",
    State.COMPLETION_EVENT_ERROR: "two people must decide what became of it, from",
}
"""What comes where nobody did anything; `hold_until` is set in these states alone."""


def _of_activity(command: Command, now: datetime) -> Iterator[NextStep]:
    activity = command.activity
    if activity.effective_at > now:
        yield NextStep("takes effect", activity.effective_at)
    if activity.state in _UNHELD and activity.hold_until is not None:
        yield NextStep(_UNHELD[activity.state], activity.hold_until, latest=True)
    if activity.retry_at is not None:
        yield NextStep("is tried again", activity.retry_at)
    if activity.window_until is not None:
        yield NextStep("data are awaited until", activity.window_until, latest=True)
    if activity.next_completion is not None:
        yield NextStep(f"the registry follows: {activity.next_completion.kind.value}")
    if not command.communications or all(
        each.state is CommunicationState.QUEUED for each in command.communications
    ):
        yield NextStep("is never sent past", activity.expires_at, latest=True)


_WORK: Final = {
    Work.SEND: "the request is sent",
    Work.STATUS: "the head end is asked how far it is",
    Work.RESULT: "the result is fetched",
    Work.CANCEL: "the head end is asked to cancel",
}


def _of_communications(command: Command, waits: Unsent | None) -> Iterator[NextStep]:
    for each in command.communications:
        if each.state.final or each.superseded:
            continue
        step = each.step.value.replace("_", " ")
        if each.state is CommunicationState.QUEUED and waits is not None:
            if waits.why is not UnsentReason.HELD:  # the holds are told beside it, each of them
                until = " until" if waits.why is UnsentReason.LIMITED and waits.until else ""
                yield NextStep(f"{step}: {waits.text}{until}", waits.until)
        elif each.work in _WORK:
            yield NextStep(f"{step}: {_WORK[each.work]}", each.wake)
        elif each.wake is not None:
            yield NextStep(f"{step}: a callback is awaited until", each.wake)
        if each.deadline is not None:
            yield NextStep(f"{step}: its result is due by", each.deadline, latest=True)


def indented(body: str) -> str:
    """XML with a line for each element, for people; what is no XML stays as it is."""
    if not body.lstrip().startswith("<"):
        return body
    depth, lines = 0, list[str]()
    for line in _BETWEEN.sub(">\n<", body).splitlines():
        closing = line.startswith("</")
        depth = max(depth - closing, 0)
        lines.append("  " * min(depth, _DEEPEST) + line)
        opens = line.startswith("<") and not closing and not line.startswith(("<?", "<!"))
        if opens and not line.endswith("/>") and "</" not in line:
            depth += 1
    return "\n".join(lines)

"""Following one command to its end."""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Final

from adapter.cli.client import Client, Json, fields, segment
from adapter.cli.output import Exit, cell, console, print_json_line, say
from adapter.commands.activity import TO_DO, Outcome

_LOOK_S: Final = 20.0
"""How long one request waits at the API before the next one."""

_FOLLOW_S: Final = 3.0
"""The same for a read for many, whose progress is shown."""

SUCCESS: Final = frozenset(
    {Outcome.SUCCEEDED.value, Outcome.SUCCEEDED_INFERRED.value, Outcome.ALREADY_SATISFIED.value}
)
_WAITS: Final = frozenset(state.value for state in TO_DO)


def watch(
    client: Client,
    command_id: str,
    *,
    timeout_s: float,
    quiet: bool = False,
    lines: bool = False,
    now: Callable[[], float] = time.monotonic,
) -> dict[str, Json]:
    """The command when it is final or waits for a person, or as it is after `timeout_s`.

    With `lines` every change is printed as JSON; else people see the state while it lasts, and how
    far a read for many is.
    """
    ends = now() + timeout_s
    seen: tuple[Json, ...] | None = None
    look_s = 0.0
    progress = console(stderr=True)
    show = not quiet and not lines and progress.is_terminal
    with progress.status("waiting") if show else nullcontext() as status:
        while True:
            wait_s = max(min(ends - now(), look_s), 0.0)
            answer = client.get(f"/commands/{segment(command_id)}", {"wait": wait_s}, wait_s=wait_s)
            found = fields(answer)
            current = tuple(map(found.get, ("state", "outcome", "progress", "unsent", "unclear")))
            changed, seen = current != seen, current
            look_s = _LOOK_S if found.get("progress") is None else _FOLLOW_S
            if changed and lines:
                print_json_line(found)
            elif status is not None:
                status.update(cell(_line(found)))
            elif changed and not quiet and found.get("progress") is not None:
                say(_line(found))
            if found.get("final") or found.get("state") in _WAITS or now() >= ends:
                return found


def _line(found: Mapping[str, Json]) -> str:
    """Where a command stands, in a line."""
    line = f"{found.get('title')}: {found.get('state')}"
    if unsent := fields(found.get("unsent")):
        line = f"{found.get('title')}: not sent: {unsent['text']}"
    if doubt := unclear_text(found):
        line = f"{line}: {doubt}"
    if far := fields(found.get("progress")):
        told = f"{far['read']} read, {far['failed']} failed, {far['waiting']} to come"
        line = f"{line}: {told}, of {far['expected']}"
    return line


def unclear_text(found: Mapping[str, Json]) -> str:
    """That nobody knows what became of it, and when its switch is looked at; empty: it is known."""
    doubt = fields(found.get("unclear"))
    if not doubt:
        return ""
    look = f"; its switch is looked at at {doubt['look_at']}" if doubt["look_at"] else ""
    return f"{doubt['text']}{look}"


def outcome_exit(found: Mapping[str, Json]) -> Exit:
    if found.get("outcome") in SUCCESS:
        return Exit.OK
    if found.get("final") or found.get("state") in _WAITS:
        return Exit.WITHOUT_SUCCESS
    return Exit.UNREACHABLE

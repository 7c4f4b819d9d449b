"""What is published of a command: the events that go out, each with a fixed id."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from adapter.commands import steps
from adapter.commands.activity import FINAL, Command
from adapter.commands.effects import Effect, Publish
from adapter.commands.outcomes import EndpointOutcome, of_each
from adapter.engine.commands.ports import Publication
from adapter.engine.commands.summary import summary
from adapter.model.ids import EventId

LARGEST: Final = 64 * 1024
"""Bytes of an event's data; past it the outcomes of endpoints are where it says."""

_COMMUNICATIONS: Final = 50
"""So many of a command's communications are in an event, the last ones."""

_ENDS: Final = frozenset(state.value for state in FINAL)


def ends(command: Command, effects: Sequence[Effect], recorded: Sequence[EndpointOutcome]) -> bool:
    """Whether these effects tell the end of a command for many of which outcomes were `recorded`
    before as well."""
    if not effects or not any(map(_is_end, effects)) or not steps.for_many(command.request):
        return False
    return len(recorded) < command.activity.tally.requested


def publications(
    command: Command, effects: Sequence[Effect], rows: Iterable[EndpointOutcome] = ()
) -> tuple[Publication, ...]:
    """One event for each Publish; of the end of the command with how each endpoint came out.
    `rows` are the outcomes that were recorded, oldest first."""
    if not effects:
        return ()
    return tuple(
        Publication(
            id=EventId(f"{command.id}:{effect.key}"),
            type=f"openway.command.{effect.name}",
            subject=command.id,
            severity=effect.severity,
            data=_data(command, effect, rows),
            traceparent=command.activity.trace,
        )
        for effect in effects
        if isinstance(effect, Publish)
    )


def _is_end(effect: Effect) -> bool:
    return isinstance(effect, Publish) and effect.name in _ENDS


def _data(command: Command, effect: Publish, rows: Iterable[EndpointOutcome]) -> dict[str, object]:
    data = {**summary(command), "text": effect.text or None}
    if command.request.callback_url:
        data["callback_url"] = command.request.callback_url
    communications = data["communications"]
    if isinstance(communications, list):
        data["communications"] = communications[-_COMMUNICATIONS:]
    if not _is_end(effect):
        return data
    outcomes = [
        {
            "endpoint": each.endpoint,
            "result": each.result.value,
            "reason": each.reason,
            "switch_state": None if each.switch is None else each.switch.value,
        }
        for each in of_each(command, rows)
    ]
    data |= {"outcomes": outcomes, "outcomes_url": f"/api/v1/commands/{command.id}/outcomes"}
    if len(outcomes) > 1 and len(msgspec.json.encode(data)) > LARGEST:
        data["outcomes"] = None
    return data

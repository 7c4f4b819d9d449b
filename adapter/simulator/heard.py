"""WHAT A GATEWAY SAYS OF EACH EFFECT: the script, the command that it strikes, what people hear.

Of what heals itself nothing is said. A test runs every row: by a disconnect of one meter, or by an
on-demand read where the effect is about data.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapter.commands.flows import CommandKind
from adapter.engine.upkeep.signals import Signal
from adapter.simulator.faults import Effect, Script


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardOfEffect:
    script: Script
    kind: CommandKind
    said: frozenset[Signal]


def _row(
    effect: Effect, *said: Signal, operation: str = "DisconnectMeter", **rest: object
) -> HeardOfEffect:
    script = Script(effect=effect, operation=operation, **rest)  # type: ignore[arg-type]
    return HeardOfEffect(script=script, kind=CommandKind.REMOTE_DISCONNECT, said=frozenset(said))


def _read(effect: Effect, **rest: object) -> HeardOfEffect:
    script = Script(effect=effect, **rest)  # type: ignore[arg-type]
    return HeardOfEffect(script=script, kind=CommandKind.ON_DEMAND_READ_SCALAR, said=frozenset())


E, S = Effect, Signal
_ROWS: Final = (
    _row(E.DELAY, seconds=0.1),
    _row(E.HANG, S.NEEDS_PERSON),
    _row(E.CLOSE_BEFORE, S.NEEDS_PERSON, S.HEAD_END_LOST, operation="*"),
    _row(E.FAULT, S.PUSHED_BACK, fault="TooManyConcurrentRequestsFault", first=1),
    _row(E.INTERNAL_FAULT, S.NEEDS_PERSON),
    _row(E.HTTP_STATUS, S.NEEDS_PERSON, status=502),
    _row(E.HTML_PAGE, S.NEEDS_PERSON),
    _row(E.DELAY_REPLY, seconds=0.1),
    _row(E.LOSE_REPLY),
    _row(E.HANG_AFTER),
    _row(E.ERROR_AFTER),
    _row(E.HTTP_STATUS_AFTER, status=500),
    _row(E.TRUNCATE_REPLY),
    _row(E.EMPTY_REPLY),
    _row(E.WRONG_TOKEN, S.QUARANTINED),
    _row(E.REPEAT_TOKEN, S.QUARANTINED),
    _row(E.NO_TOKEN),
    _row(E.CALLBACK_FIRST),
    _row(E.FORGET_TOKEN),
    _row(E.NEVER_FINISH, S.NEEDS_PERSON),
    _row(E.PENDING_RESULT),
    _row(E.TRUNCATE_FAILURES, count=0),
    _row(E.DROP_CALLBACK),
    _row(E.DUPLICATE_CALLBACK, count=2),
    _row(E.DELAY_CALLBACK, seconds=0.2),
    _row(E.REORDER_CALLBACKS),
    _row(E.WRONG_CALLBACK_TOKEN, S.QUARANTINED),
    _read(E.DROP_DATA),
    _read(E.DUPLICATE_DATA, count=1),
    _read(E.LATE_DATA, seconds=0.2),
    _read(E.UNASKED_DATA),
    _row(E.ENDPOINT_FAILURE, S.COMMAND_WAITS),
    _row(E.OMIT_DEVICE),
)
HEARD: Final[Mapping[Effect, HeardOfEffect]] = MappingProxyType(
    {row.script.effect: row for row in _ROWS}
)
"""`openway tables heard` prints it."""

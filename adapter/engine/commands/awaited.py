"""What is waited for: the data of a read by its meters.

Which meters of a read for many still have no data is kept beside the store and never the truth: a
stop loses it, and the next look at all meters makes it again. Without it every payload would be a
reason to look at a whole city.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from adapter.commands.activity import Command, CommandRequest, State
from adapter.commands.calls import ReadingKind
from adapter.commands.flows import INTERVAL_KINDS, READ_KINDS
from adapter.model.ids import CommandId, EndpointId

MANY: Final = 200
"""Reads for more meters than this are followed here; few are simply looked at again."""

_RECENT: Final = timedelta(hours=1)
_INSTANT: Final = timedelta(microseconds=1)
_UNDER_WAY: Final = frozenset({State.COMMUNICATION_IN_PROGRESS, State.WAITING_FOR_MEASUREMENT})

Sought = tuple[ReadingKind, datetime, datetime]
"""The kind of readings that a command is after, and the first and last moment they may have."""


def sought(request: CommandRequest, created_at: datetime, now: datetime) -> Sought:
    """A register read on demand carries its own, later time. An interval that ends with the start
    of the period belongs to the period before it."""
    period = request.period
    interval = request.kind in INTERVAL_KINDS
    kind = ReadingKind.INTERVAL if interval else ReadingKind.REGISTER
    if period is None:
        return kind, created_at - _RECENT, now
    if interval:
        return kind, period.start + _INSTANT, period.end
    return kind, period.start, max(period.end, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a read for many is: `read`, `failed` and `waiting` add up to `expected`."""

    expected: int
    read: int
    failed: int
    waiting: int


@dataclass(slots=True)
class AwaitedRead:
    """One read; `left` have no data as far as was asked, of `arrived` payloads told since.

    `known`: the meters that failed are no longer among those `wanted`.
    """

    request: CommandRequest
    created_at: datetime
    wanted: tuple[EndpointId, ...]
    expected: int
    left: set[EndpointId] = field(default_factory=set)
    arrived: set[EndpointId] = field(default_factory=set)
    known: bool = False

    def sought(self, now: datetime) -> Sought:
        return sought(self.request, self.created_at, now)

    def learn(self, wanted: Sequence[EndpointId]) -> None:
        """The meters that did not fail, once that is known."""
        self.wanted = tuple(wanted)
        self.left.intersection_update(wanted)
        self.known = True

    @property
    def progress(self) -> Progress:
        waiting, wanted = len(self.left), len(self.wanted)
        return Progress(
            expected=self.expected,
            read=wanted - waiting,
            failed=self.expected - wanted,
            waiting=waiting,
        )


class Awaited:
    """The reads for many that are under way."""

    def __init__(self) -> None:
        self._reads: dict[CommandId, AwaitedRead] = {}

    def follow(self, command: Command) -> AwaitedRead | None:
        """To be told of every command that was saved; None where it is no such read, or is over."""
        many = len(command.targets) > MANY and command.request.kind in READ_KINDS
        if not many or command.activity.state not in _UNDER_WAY:
            self._reads.pop(command.activity.id, None)
            return None
        read = self._reads.get(command.id)
        if read is None:
            wanted = tuple(target.endpoint for target in command.targets)
            read = self._reads[command.id] = AwaitedRead(
                request=command.request,
                created_at=command.activity.created_at,
                wanted=wanted,
                expected=len(wanted),
                left=set(wanted),
            )
        return read

    def arrived(self, endpoints: Iterable[EndpointId]) -> None:
        told = frozenset(endpoints)
        for read in self._reads.values():
            read.arrived |= read.left & told

    def to_ask(self) -> list[tuple[CommandId, AwaitedRead]]:
        """The reads of which payloads told since the last time."""
        return [(command, read) for command, read in self._reads.items() if read.arrived]

    def progress(self, command: CommandId) -> Progress | None:
        read = self._reads.get(command)
        return None if read is None else read.progress

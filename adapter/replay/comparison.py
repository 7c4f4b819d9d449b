"""Which recorded message a call of the gateway is, and what a play is compared by.

A recording made in virtual time has one order, and every call its time. Of a running gateway real
time has passed between what caused a call and the call: a call is known by what it says, and how
long the gateway meant to wait is compared where that was decided (`decisions.py`).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol, TypeAlias

from adapter.engine.commands.identity import STATUS_PATH
from adapter.model.ids import CommunicationId
from adapter.replay.decisions import first_decision
from adapter.replay.json_text import first_difference as first_json_difference
from adapter.replay.played import Diverged
from adapter.replay.scenario import PUBLIC_URL, RecordedKind, RecordedMessage, Recording
from adapter.replay.stage import ReplayRun
from adapter.wire.tools.compare import Difference, first_difference

_MOST_TIMES: Final = 20
_ADDRESS: Final = re.compile(rb"https?://[^<\s]*?/openway/status/([^/<\s]+)/[^<\s]*")

Numbered: TypeAlias = tuple[int, RecordedMessage]
"""A message and its number in the recording, from 1."""


@dataclass(slots=True)
class PlayedMessages:
    """Those of a recording. `used`: the numbers of those that were played so far."""

    recorded: Sequence[RecordedMessage]
    used: set[int] = field(default_factory=set)
    _first: int = 1
    """No number before this one is left."""

    def unused(self) -> Iterator[Numbered]:
        """In their order."""
        while self._first in self.used:
            self._first += 1
        for number in range(self._first, len(self.recorded) + 1):
            if number not in self.used:
                yield number, self.recorded[number - 1]

    def next(self) -> Numbered | None:
        return next(self.unused(), None)

    def reply_to(self, request: int) -> Numbered:
        """Raises Diverged."""
        for number, message in self.unused():
            if message.kind is RecordedKind.REPLY and message.answers == request:
                return number, message
        raise Diverged(f"message {request}: no reply to it was recorded")


class RecordingComparison(Protocol):
    """How one kind of recording is compared. All raise Diverged."""

    def callback(self) -> Numbered | None:
        """The one that comes next, if one does."""

    def request(self, operation: str, sent: bytes, now: float) -> Numbered:
        """The recorded request that this one is; `now` in seconds since the start."""

    def nothing_before(self, reply: int) -> None:
        """Nothing is left that was recorded before this reply."""

    def communication(self, number: int, path: str) -> CommunicationId | None:
        """Whose address a callback came to; None: the address of all."""

    async def outcome(self) -> dict[str, object]:
        """What the recording's `expected` has."""

    def compared(self, expected: object, got: object) -> tuple[str, str]:
        """The first difference and the first decision that differs; "" where none does."""


@dataclass(slots=True)
class InVirtualTime:
    """Every message in its order, at its time, byte for byte what it says."""

    messages: PlayedMessages
    stage: ReplayRun

    def callback(self) -> Numbered | None:
        found = self.messages.next()
        return found if found is not None and found[1].kind is RecordedKind.CALLBACK else None

    def request(self, operation: str, sent: bytes, now: float) -> Numbered:
        found = self.messages.next()
        if found is None:
            number = len(self.messages.recorded) + 1
            raise Diverged(f"message {number}: nothing was recorded, got request {operation}")
        number, message = found
        if message.kind is not RecordedKind.REQUEST or message.operation != operation:
            raise Diverged(f"message {number}: expected {named(message)}, got request {operation}")
        if message.at != now:
            raise Diverged(f"message {number}: expected {named(message)}, got it at {now} s")
        if sent != message.body and (differs := first_difference(message.body, sent)) is not None:
            raise Diverged(f"message {number}: {operation}: {differs}")
        return found

    def nothing_before(self, reply: int) -> None:
        found = self.messages.next()
        if found is not None and found[0] < reply:
            raise Diverged(f"message {found[0]}: {named(found[1])} was recorded here")

    def communication(self, number: int, path: str) -> CommunicationId | None:
        if not path.startswith(f"{STATUS_PATH}/"):
            return None
        name, _, secret = path.removeprefix(f"{STATUS_PATH}/").partition("/")
        if not self.stage.inbox.genuine(name, secret):
            raise Diverged(f"message {number}: {path} is not our address")
        return CommunicationId(name)

    async def outcome(self) -> dict[str, object]:
        return await self.stage.outcome()

    def compared(self, expected: object, got: object) -> tuple[str, str]:
        return first_json_difference(expected, got) or "", ""


@dataclass(slots=True)
class OfRunningGateway:
    """A call may have left there later than it was decided, by the scenario's `tolerance_s` at the
    most, and never earlier; of two that were due together either went first."""

    messages: PlayedMessages
    stage: ReplayRun

    def callback(self) -> Numbered | None:
        callbacks = (x for x in self.messages.unused() if x[1].kind is RecordedKind.CALLBACK)
        return next(callbacks, None)

    def request(self, operation: str, sent: bytes, now: float) -> Numbered:
        said = self._as_recorded(sent)
        nearest: tuple[Numbered, Difference] | None = None
        elsewhen: Numbered | None = None
        for number, message in self.messages.unused():
            if message.kind is not RecordedKind.REQUEST or message.operation != operation:
                continue
            found = self._difference(_unsigned(message.body), said)
            if found is None:
                if 0 <= message.at - now <= self.stage.scenario.tolerance_s:
                    return number, message
                elsewhen = elsewhen or (number, message)
            elif nearest is None or abs(message.at - now) < abs(nearest[0][1].at - now):
                nearest = (number, message), found
        if elsewhen is not None:
            number, message = elsewhen
            raise Diverged(f"message {number}: expected {named(message)}, got it at {now:g} s")
        if nearest is not None:
            raise Diverged(f"message {nearest[0][0]}: {operation}: {nearest[1]}")
        raise Diverged(f"{operation} at {now:g} s: nothing of it was recorded any more")

    def nothing_before(self, reply: int) -> None:
        """What went before it here may have gone after it there."""

    def communication(self, number: int, path: str) -> CommunicationId | None:
        if not path.startswith(f"{STATUS_PATH}/"):
            return None
        name = path.removeprefix(f"{STATUS_PATH}/").partition("/")[0]
        for ours, theirs in self._ids():
            if name.startswith(theirs):
                return CommunicationId(name.replace(theirs, ours, 1))
        raise Diverged(f"message {number}: {path} is of no command that was submitted by then")

    async def outcome(self) -> dict[str, object]:
        return await self.stage.decided()

    def compared(self, expected: object, got: object) -> tuple[str, str]:
        found = first_decision(expected, got)
        return found, found

    def _ids(self) -> Sequence[tuple[str, str]]:
        """Ours, and those that the recording has for them."""
        return list(zip(self.stage.submitted, self.stage.scenario.ids, strict=False))

    def _difference(self, recorded: bytes, sent: bytes) -> Difference | None:
        """Times that the gateway makes of its clock may be earlier, as the call may."""
        for _ in range(_MOST_TIMES):
            found = first_difference(recorded, sent)
            if found is None or not self._late(found.expected, found.got):
                return found
            was, now = (each.strip("'").encode() for each in (found.expected, found.got))
            sent = sent.replace(now, was, 1)
        return found

    def _late(self, recorded: str, now: str) -> bool:
        """Whether both are times, shown in quotes, and the recorded one is a little later."""
        try:
            was, is_ = (datetime.fromisoformat(each.strip("'")) for each in (recorded, now))
            return 0 <= (was - is_).total_seconds() <= self.stage.scenario.tolerance_s
        except (ValueError, TypeError):
            return False

    def _as_recorded(self, body: bytes) -> bytes:
        """With the ids that the recording has for our commands, and addresses without secrets."""
        for ours, theirs in self._ids():
            body = body.replace(ours.encode(), theirs.encode())
        return _unsigned(body)


def comparison_of(
    recording: Recording, messages: PlayedMessages, stage: ReplayRun
) -> RecordingComparison:
    """As the recording was made."""
    if recording.scenario.tolerance_s:
        return OfRunningGateway(messages, stage)
    return InVirtualTime(messages, stage)


def named(message: RecordedMessage) -> str:
    return f"{message.kind} {message.operation} at {message.at} s"


def _unsigned(body: bytes) -> bytes:
    """Callback addresses as they would be at the address of recordings, without their secrets."""
    return _ADDRESS.sub(PUBLIC_URL.encode() + STATUS_PATH.encode() + rb"/\1", body)

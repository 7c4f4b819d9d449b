"""Plays what was recorded of a running gateway: head end and clock come from the recording.

Real time is not virtual time: a call was some moments later there, and of two that were due
together either went first. So a request is matched by what it says, within the scenario's
`tolerance_s`, and what is compared at the end is what was decided (`decisions.py`).
"""

import re
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from adapter.commands.calls import Answer, Call
from adapter.commands.flows import Operation
from adapter.commands.outcomes import of_each
from adapter.engine.clock import HandClock
from adapter.engine.commands.identity import STATUS_PATH
from adapter.engine.commands.ports import InboxState, Permit, Received
from adapter.engine.commands.summary import summary
from adapter.errors import NotSent, OutcomeUnknown
from adapter.headend.contract import ContractWire
from adapter.headend.settings import HeadEndSettings
from adapter.headend.verdict import judge
from adapter.model.ids import CommunicationId
from adapter.replay.decisions import decisions, first_decision
from adapter.replay.json_text import json_text
from adapter.replay.played import Diverged, Played
from adapter.replay.scenario import (
    PUBLIC_URL,
    Lost,
    RecordedKind,
    RecordedMessage,
    Recording,
    moment,
    seconds,
)
from adapter.replay.stage import ReplayRun, plain_json, staged
from adapter.wire.codec import Codec
from adapter.wire.tools.compare import Difference, first_difference

_MOST_TURNS: Final = 200_000
_MOST_TIMES: Final = 20
_HEAD_END: Final = HeadEndSettings(base_url="http://127.0.0.1")
_ADDRESS: Final = re.compile(rb"https?://[^<\s]*?/openway/status/([^/<\s]+)/[^<\s]*")


async def play_site(recording: Recording, codec: Codec) -> Played:
    """Play one recording of a running gateway against a gateway of its own."""
    began = time.perf_counter()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="openway-replay-"))
        player = _SitePlayer(recording, codec, Path(folder))
        await player.stage.open(stack)
        difference = ""
        try:
            await player.run()
        except Diverged as error:
            difference = str(error)
        got = await player.decided()
        decision = first_decision(dict(recording.expected), got)
        transcript = b"\n".join([*player.transcript, json_text(got).encode()])
    return Played(
        name=recording.scenario.name,
        difference=difference or decision,
        decision=decision,
        commands=len(player.stage.submitted),
        messages=len(player.used),
        virtual_s=player.now(),
        real_s=time.perf_counter() - began,
        transcript=transcript,
    )


@dataclass(slots=True)
class _SitePlayer:
    """Implements the engine's HeadEnd port. `used`: the numbers of the messages played so far."""

    recording: Recording
    codec: Codec
    folder: Path
    used: set[int] = field(default_factory=set)
    transcript: list[bytes] = field(default_factory=list)
    stage: ReplayRun = field(init=False)
    _clock: HandClock = field(init=False)
    _wire: ContractWire = field(init=False)
    _diverged: Diverged | None = None

    def __post_init__(self) -> None:
        scenario = self.recording.scenario
        self._clock = HandClock(scenario.start)
        self._wire = ContractWire(self.codec)
        self.stage = staged(scenario, self, self._clock, self.codec, self.folder)

    def now(self) -> float:
        return seconds(self.recording.scenario, self._clock.now())

    async def run(self) -> None:
        """Turn the clock through the recording. Raises Diverged."""
        scenario = self.recording.scenario
        left = list(scenario.acts)
        end = moment(scenario, self.recording.ends_at)
        for _ in range(_MOST_TURNS):
            while left and moment(scenario, left[0].at) <= self._clock.now():
                await self.stage.act(left.pop(0))
            await self.stage.gateway.drain()
            if self._diverged is not None:
                raise self._diverged
            coming = [moment(scenario, left[0].at)] if left else []
            waiting = self._callbacks()
            if waiting and moment(scenario, waiting[0][1].at) <= self._clock.now():
                await self._hand_in(*waiting[0])
                continue
            coming += [moment(scenario, waiting[0][1].at)] if waiting else []
            wake = await self.stage.store.next_wake()
            coming += [wake] if wake is not None else []
            if not coming or min(coming) > end:
                break
            await self._clock.turn(min(coming))
        await self._clock.turn(end)
        for number, message in enumerate(self.recording.messages, start=1):
            if number not in self.used and message.kind is not RecordedKind.REPLY:
                raise Diverged(f"message {number}: {_named(message)} was recorded, not sent")

    async def decided(self) -> dict[str, object]:
        """What the recording's `expected` has."""
        gateway, made = self.stage.gateway, []
        for command in self.stage.submitted:
            history = [
                {"action": each.note.action, "detail": plain_json(each.note.detail)}
                for each in await gateway.commands.history(command)
            ]
            found = await gateway.commands.get(command)
            rows = await gateway.commands.outcomes(command)
            outcomes = [
                {"endpoint": each.endpoint, "result": each.result, "switch_state": each.switch}
                for each in (of_each(found, rows) if found.activity.state.final else rows)
            ]
            made.append(plain_json(decisions(summary(found), history, outcomes)))
        return {"commands": made}

    # ------------------------------------------------------------ the head end

    async def admit(self, operation: Operation, priority: str, *, wait_s: float) -> Permit:
        """There is always a place."""
        return _SitePermit(self)

    async def call(self, call: Call) -> Answer:
        """A gateway survives any error of a call: one which ends the play is kept as well."""
        try:
            return await self._answer(call)
        except Diverged as error:
            self._diverged = self._diverged or error
            raise

    async def _answer(self, call: Call) -> Answer:
        number, request = self._matched(call)
        self._take(number, request)
        place, reply = self._reply_to(number)
        while (waiting := self._callbacks()) and waiting[0][1].at <= reply.at:
            await self._hand_in(*waiting[0])
        await self._clock.turn(moment(self.recording.scenario, reply.at))
        self._take(place, reply)
        if reply.lost is Lost.NOT_SENT:
            raise NotSent(reply.text)
        if reply.lost is not None or reply.status is None:
            raise OutcomeUnknown(reply.text)
        return judge(call, reply.status, reply.body, read=self._wire.read, settings=_HEAD_END)

    def _reply_to(self, number: int) -> tuple[int, RecordedMessage]:
        for place, message in enumerate(self.recording.messages, start=1):
            if message.kind is RecordedKind.REPLY and message.answers == number:
                return place, message
        raise Diverged(f"message {number}: no reply to it was recorded")

    def _matched(self, call: Call) -> tuple[int, RecordedMessage]:
        """The recorded request that this one is. Raises Diverged."""
        operation, now = call.operation.value, self.now()
        sent = self._as_recorded(self._wire.encode(call, header=b"").body)
        nearest: tuple[int, RecordedMessage, Difference] | None = None
        late: tuple[int, RecordedMessage] | None = None
        for number, message in enumerate(self.recording.messages, start=1):
            if message.kind is not RecordedKind.REQUEST or number in self.used:
                continue
            if message.operation != operation:
                continue
            found = self._difference(_unsigned(message.body), sent)
            if found is None:
                if abs(message.at - now) <= self.recording.scenario.tolerance_s:
                    return number, message
                late = late or (number, message)
            elif nearest is None or abs(message.at - now) < abs(nearest[1].at - now):
                nearest = number, message, found
        if late is not None:
            number, message = late
            raise Diverged(f"message {number}: expected {_named(message)}, got it at {now:g} s")
        if nearest is not None:
            raise Diverged(f"message {nearest[0]}: {operation}: {nearest[2]}")
        raise Diverged(f"{operation} at {now:g} s: nothing of it was recorded any more")

    def _difference(self, recorded: bytes, sent: bytes) -> Difference | None:
        """Times that the gateway makes of its clock may differ by the tolerance."""
        tolerance_s = self.recording.scenario.tolerance_s
        for _ in range(_MOST_TIMES):
            found = first_difference(recorded, sent)
            if found is None or not _close(found.expected, found.got, tolerance_s):
                return found
            was, now = (each.strip("'").encode() for each in (found.expected, found.got))
            sent = sent.replace(now, was, 1)
        return found

    def _as_recorded(self, body: bytes) -> bytes:
        """With the ids that the recording has for our commands, and addresses without secrets."""
        for ours, theirs in zip(self.stage.submitted, self.recording.scenario.ids, strict=False):
            body = body.replace(ours.encode(), theirs.encode())
        return _unsigned(body)

    def _take(self, number: int, message: RecordedMessage) -> None:
        self.used.add(number)
        line = f"{number} {self.now()} {message.kind} {message.operation} {message.status}"
        self.transcript += [line.encode(), message.body]

    # ------------------------------------------------------------ callbacks

    def _callbacks(self) -> list[tuple[int, RecordedMessage]]:
        """Those that were not handed in yet, in order."""
        return [
            (number, message)
            for number, message in enumerate(self.recording.messages, start=1)
            if message.kind is RecordedKind.CALLBACK and number not in self.used
        ]

    async def _hand_in(self, number: int, message: RecordedMessage) -> None:
        await self._clock.turn(moment(self.recording.scenario, message.at))
        self._take(number, message)
        await self.stage.inbox.receive(
            Received(
                operation=message.operation,
                raw=message.body,
                at=self._clock.now(),
                communication=self._communication(number, message.path),
                state=InboxState.QUARANTINED if message.text else InboxState.NEW,
                reason=message.text,
            )
        )

    def _communication(self, number: int, path: str) -> CommunicationId | None:
        if not path.startswith(f"{STATUS_PATH}/"):
            return None
        named = path.removeprefix(f"{STATUS_PATH}/").partition("/")[0]
        for ours, theirs in zip(self.stage.submitted, self.recording.scenario.ids, strict=False):
            if named.startswith(theirs):
                return CommunicationId(named.replace(theirs, ours, 1))
        raise Diverged(f"message {number}: {path} is of no command that was submitted by then")


@dataclass(frozen=True, slots=True)
class _SitePermit:
    player: _SitePlayer

    async def call(self, call: Call) -> Answer:
        return await self.player.call(call)

    def release(self) -> None:
        """There is nothing to give back."""


def _close(one: str, other: str, tolerance_s: float) -> bool:
    """Whether both are times, and near each other. They are shown in quotes."""
    try:
        times = [datetime.fromisoformat(each.strip("'")) for each in (one, other)]
        return abs((times[0] - times[1]).total_seconds()) <= tolerance_s
    except (ValueError, TypeError):
        return False


def _unsigned(body: bytes) -> bytes:
    """Callback addresses as they would be at the address of recordings, without their secrets."""
    return _ADDRESS.sub(PUBLIC_URL.encode() + STATUS_PATH.encode() + rb"/\1", body)


def _named(message: RecordedMessage) -> str:
    return f"{message.kind} {message.operation} at {message.at} s"

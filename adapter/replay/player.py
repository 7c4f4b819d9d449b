"""Plays a recording: it is the head end and the clock, and the gateway is the real one.

Every request must be the recorded one, at the recorded time; the reply is judged by the code that
judges real ones. The first thing that differs ends the play and is named.
"""

import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from adapter.commands.calls import Answer, Call
from adapter.commands.flows import Operation
from adapter.engine.clock import HandClock
from adapter.engine.commands.identity import STATUS_PATH
from adapter.engine.commands.ports import InboxState, Permit, Received
from adapter.errors import NotSent, OutcomeUnknown
from adapter.headend.contract import ContractWire
from adapter.headend.settings import HeadEndSettings
from adapter.headend.verdict import judge
from adapter.model.ids import CommunicationId
from adapter.replay.json_text import first_difference as first_json_difference
from adapter.replay.json_text import json_text
from adapter.replay.played import Diverged, Played
from adapter.replay.scenario import (
    AT_HEAD_END,
    Lost,
    RecordedKind,
    RecordedMessage,
    Recording,
    moment,
    seconds,
)
from adapter.replay.stage import ReplayRun, staged
from adapter.wire.codec import Codec
from adapter.wire.tools.compare import first_difference

_MOST_TURNS = 200_000
_HEAD_END = HeadEndSettings(base_url="http://127.0.0.1")


async def play(recording: Recording, codec: Codec) -> Played:
    """Play one recording against a gateway of its own."""
    began = time.perf_counter()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="openway-replay-"))
        player = _Player(recording, codec, Path(folder))
        await player.stage.open(stack)
        difference = ""
        outcome: dict[str, object] = {}
        try:
            await player.run()
            outcome = await player.stage.outcome()
            difference = first_json_difference(dict(recording.expected), outcome) or ""
        except Diverged as error:
            difference = str(error)
        player.transcript.append(json_text(outcome).encode())
        player.transcript.append(repr(await player.stage.store.audit_head()).encode())
    return Played(
        name=recording.scenario.name,
        difference=difference,
        commands=len(player.stage.submitted),
        messages=player.position,
        virtual_s=player.now(),
        real_s=time.perf_counter() - began,
        transcript=b"\n".join(player.transcript),
    )


class _Player:
    """Implements the engine's HeadEnd port. `position` is how many messages were played."""

    def __init__(self, recording: Recording, codec: Codec, folder: Path) -> None:
        self._recording = recording
        self._scenario = recording.scenario
        self._messages = recording.messages
        self._wire = ContractWire(codec)
        self._clock = HandClock(self._scenario.start)
        self.stage: ReplayRun = staged(self._scenario, self, self._clock, codec, folder)
        self.position = 0
        self._diverged: Diverged | None = None
        self.transcript: list[bytes] = []

    def now(self) -> float:
        return seconds(self._scenario, self._clock.now())

    async def run(self) -> None:
        """Turn the clock through the recording. Raises Diverged."""
        left = [act for act in self._scenario.acts if act.do not in AT_HEAD_END]
        end = moment(self._scenario, self._recording.ends_at)
        for _ in range(_MOST_TURNS):
            while left and moment(self._scenario, left[0].at) <= self._clock.now():
                await self.stage.act(left.pop(0))
            await self.stage.gateway.drain()
            if self._diverged is not None:
                raise self._diverged
            coming = [moment(self._scenario, left[0].at)] if left else []
            message = self._next()
            if message is not None and message.kind is RecordedKind.CALLBACK:
                if moment(self._scenario, message.at) <= self._clock.now():
                    await self._hand_in(message)
                    continue
                coming.append(moment(self._scenario, message.at))
            wake = await self.stage.store.next_wake()
            coming += [wake] if wake is not None else []
            if not coming or min(coming) > end:
                break
            await self._clock.turn(min(coming))
        await self._clock.turn(end)
        message = self._next()
        if message is not None:
            raise Diverged(f"message {self.position + 1}: {_named(message)} was recorded, not sent")

    def _next(self) -> RecordedMessage | None:
        more = self.position < len(self._messages)
        return self._messages[self.position] if more else None

    def _take(self, message: RecordedMessage, body: bytes) -> None:
        self.position += 1
        line = f"{self.position} {self.now()} {message.kind} {message.operation} {message.status}"
        self.transcript += [line.encode(), body]

    # ------------------------------------------------------------ the head end

    async def admit(self, operation: Operation, priority: str, *, wait_s: float) -> Permit:
        """There is always a place: how long one was waited for is not recorded."""
        return _Played(self)

    async def call(self, call: Call) -> Answer:
        """Compare a request with the recorded one and give what came back then.

        A gateway survives any error of a call, so that one which ends the play is kept as well.
        """
        try:
            return await self._answer(call)
        except Diverged as error:
            self._diverged = self._diverged or error
            raise

    async def _answer(self, call: Call) -> Answer:
        number = self.position + 1
        self._compare(call, number)
        while (message := self._next()) is not None:
            if message.kind is RecordedKind.REPLY and message.answers == number:
                return await self._reply(call, message)
            if message.kind is not RecordedKind.CALLBACK:
                raise Diverged(f"message {self.position + 1}: {_named(message)} was recorded here")
            await self._hand_in(message)
        raise Diverged(f"message {number}: no reply to it was recorded")

    def _compare(self, call: Call, number: int) -> None:
        message = self._next()
        operation = call.operation.value
        if message is None:
            raise Diverged(f"message {number}: nothing was recorded, got request {operation}")
        if message.kind is not RecordedKind.REQUEST or message.operation != operation:
            raise Diverged(f"message {number}: expected {_named(message)}, got request {operation}")
        if message.at != self.now():
            raise Diverged(
                f"message {number}: expected {_named(message)}, got it at {self.now()} s"
            )
        sent = self._wire.encode(call, header=b"").body
        if sent != message.body and (found := first_difference(message.body, sent)) is not None:
            raise Diverged(f"message {number}: {operation}: {found}")
        self._take(message, sent)

    async def _reply(self, call: Call, message: RecordedMessage) -> Answer:
        await self._clock.turn(moment(self._scenario, message.at))
        self._take(message, message.body)
        if message.lost is Lost.NOT_SENT:
            raise NotSent(message.text)
        if message.lost is not None or message.status is None:
            raise OutcomeUnknown(message.text)
        return judge(call, message.status, message.body, read=self._wire.read, settings=_HEAD_END)

    async def _hand_in(self, message: RecordedMessage) -> None:
        """A callback at its time and address, as the listener hands it in."""
        await self._clock.turn(moment(self._scenario, message.at))
        self._take(message, message.body)
        inbox = self.stage.inbox
        communication: CommunicationId | None = None
        if message.path.startswith(STATUS_PATH + "/"):
            name, _, secret = message.path.removeprefix(STATUS_PATH + "/").partition("/")
            if not inbox.genuine(name, secret):
                raise Diverged(f"message {self.position}: {message.path} is not our address")
            communication = CommunicationId(name)
        await inbox.receive(
            Received(
                operation=message.operation,
                raw=message.body,
                at=self._clock.now(),
                communication=communication,
                state=InboxState.QUARANTINED if message.text else InboxState.NEW,
                reason=message.text,
            )
        )


@dataclass(frozen=True, slots=True)
class _Played:
    player: _Player

    async def call(self, call: Call) -> Answer:
        return await self.player.call(call)

    def release(self) -> None:
        """There is nothing to give back."""


def _named(message: RecordedMessage) -> str:
    return f"{message.kind} {message.operation} at {message.at} s"

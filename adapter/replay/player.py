"""Plays a recording: it is the head end and the clock, and the gateway is the real one.

What a call is compared with, and how strictly, is `comparison.py`; the reply is judged by the code
that judges real ones. The first thing that differs ends the play and is named.
"""

import tempfile
import time
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapter.commands.calls import Answer, Call
from adapter.commands.flows import SWITCH_OPERATIONS, Operation
from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import InboxState, Permit, Received
from adapter.errors import NotSent, OutcomeUnknown
from adapter.headend.settings import HeadEndSettings
from adapter.replay.comparison import PlayedMessages, RecordingComparison, comparison_of, named
from adapter.replay.json_text import json_text
from adapter.replay.played import Diverged, Played
from adapter.replay.scenario import (
    AT_HEAD_END,
    Lost,
    RecordedMessage,
    Recording,
    moment,
    seconds,
)
from adapter.replay.stage import Program, ReplayRun, staged
from adapter.wire.codec import Codec

_MOST_TURNS: Final = 200_000
_HEAD_END: Final = HeadEndSettings(base_url="http://127.0.0.1")


async def play(recording: Recording, codec: Codec, program: Program | None = None) -> Played:
    """Play one recording against a gateway of its own. `program`: parts of it that are others than
    today's."""
    began = time.perf_counter()
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="openway-replay-"))
        player = _Player(recording, program or Program.of(codec), Path(folder))
        await player.stage.open(stack)
        difference = ""
        try:
            await player.run()
        except Diverged as error:
            difference = str(error)
        outcome = await player.comparison.outcome()
        found, decision = player.comparison.compared(dict(recording.expected), outcome)
        player.transcript.append(json_text(outcome).encode())
        player.transcript.append(repr(await player.stage.store.audit_head()).encode())
    return Played(
        name=recording.scenario.name,
        difference=difference or found,
        decision=decision,
        commands=len(player.stage.submitted),
        messages=len(player.messages.used),
        virtual_s=player.now(),
        real_s=time.perf_counter() - began,
        transcript=b"\n".join(player.transcript),
    )


class _Player:
    """Implements the engine's HeadEnd port."""

    def __init__(self, recording: Recording, program: Program, folder: Path) -> None:
        self._recording = recording
        self._scenario = recording.scenario
        self._program = program
        self._clock = HandClock(self._scenario.start)
        self.stage: ReplayRun = staged(self._scenario, self, self._clock, program, folder)
        self.messages = PlayedMessages(recording.messages)
        self.comparison: RecordingComparison = comparison_of(recording, self.messages, self.stage)
        self._diverged: Diverged | None = None
        self.transcript: list[bytes] = []

    def now(self) -> float:
        return seconds(self._scenario, self._clock.now())

    async def run(self) -> None:
        """Turn the clock through the recording. Raises Diverged."""
        left = deque(act for act in self._scenario.acts if act.do not in AT_HEAD_END)
        end = moment(self._scenario, self._recording.ends_at)
        for _ in range(_MOST_TURNS):
            while left and moment(self._scenario, left[0].at) <= self._clock.now():
                await self.stage.act(left.popleft())
            await self.stage.gateway.drain()
            if self._diverged is not None:
                raise self._diverged
            coming = [moment(self._scenario, left[0].at)] if left else []
            callback = self.comparison.callback()
            if callback is not None:
                at = moment(self._scenario, callback[1].at)
                if at <= self._clock.now():
                    await self._hand_in(*callback)
                    continue
                coming.append(at)
            held = self.stage.gateway.upkeep.holds.barred()
            wake = await self.stage.store.next_wake(SWITCH_OPERATIONS if held else frozenset())
            coming += [wake] if wake is not None else []
            if not coming or min(coming) > end:
                break
            await self._clock.turn(min(coming))
        await self._clock.turn(end)
        await self.stage.gateway.drain()
        if (message := self.messages.next()) is not None:
            raise Diverged(f"message {message[0]}: {named(message[1])} was recorded, not sent")

    def _take(self, number: int, message: RecordedMessage, body: bytes) -> None:
        self.messages.used.add(number)
        line = f"{number} {self.now()} {message.kind} {message.operation} {message.status}"
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
        sent = self._program.wire.encode(call, header=b"").body
        number, request = self.comparison.request(call.operation.value, sent, self.now())
        self._take(number, request, sent)
        place, reply = self.messages.reply_to(number)
        while (callback := self.comparison.callback()) is not None and callback[0] < place:
            await self._hand_in(*callback)
        self.comparison.nothing_before(place)
        await self._clock.turn(moment(self._scenario, reply.at))
        self._take(place, reply, reply.body)
        if reply.lost is Lost.NOT_SENT:
            raise NotSent(reply.text)
        if reply.lost is not None or reply.status is None:
            raise OutcomeUnknown(reply.text)
        return self._program.judge(
            call, reply.status, reply.body, read=self._program.wire.read, settings=_HEAD_END
        )

    async def _hand_in(self, number: int, message: RecordedMessage) -> None:
        """A callback at its time and address, as the listener hands it in."""
        await self._clock.turn(moment(self._scenario, message.at))
        self._take(number, message, message.body)
        await self.stage.inbox.receive(
            Received(
                operation=message.operation,
                raw=message.body,
                at=self._clock.now(),
                communication=self.comparison.communication(number, message.path),
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

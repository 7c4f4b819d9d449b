"""Correlator, dispatcher, applier and store, the real ones, step by step by hand.

Only the head end is played, since the order of what it says is what tests are about. The clock
stands: what is parked comes back because its token became known, or never.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from adapter.commands.activity import Command, State, Target
from adapter.commands.calls import (
    Answer,
    Call,
    HeadEndOutcome,
    RemoteResult,
    RemoteState,
    SwitchReading,
    SwitchState,
    TokenGiven,
)
from adapter.commands.events import CompletionExecuted, DataLookedUp, Validated
from adapter.commands.flows import SWITCH_KINDS, CommandKind, Operation
from adapter.commands.lifecycle import Step
from adapter.commands.rules import lanes_of
from adapter.commands.timing import POLICIES
from adapter.engine.clock import HandClock
from adapter.engine.commands.apply import Applier
from adapter.engine.commands.at_once import AtOnce
from adapter.engine.commands.correlator import STATUS_CHANGED, Correlator
from adapter.engine.commands.dispatcher import Dispatcher, DispatchSettings
from adapter.engine.commands.message_log import MessageLog
from adapter.engine.commands.ports import Import, Received
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.registry.store_registry import StoreRegistry
from adapter.errors import OutcomeUnknown
from adapter.model.ids import CommandId, CommunicationId, DeviceId, EndpointId, RequestToken
from adapter.model.values import replace
from adapter.store.commands.commands import SqliteStore
from adapter.wire.inbox import InboxReader
from tests.builders import a_device, a_service_point, a_submission, an_install
from tests.commands.run_to_end import NOON, a_command, check
from tests.new_stores import new_store
from tests.web.both_servers import TOKEN, codec, status_changed

AT_ONCE: Final = 67
"""Commands under way together."""


class HeldReplies:
    """A head end that replies to a request when told to, and has every result at once."""

    def __init__(self) -> None:
        self._held: dict[str, asyncio.Future[RequestToken | None]] = {}
        self._admitted = self._released = 0
        self._moved = asyncio.Event()
        self.requests = 0

    async def admit(self, operation: Operation, priority: str, *, wait_s: float) -> "HeldReplies":
        self._admitted += 1
        return self

    def release(self) -> None:
        self._released += 1
        self._moved.set()

    async def call(self, call: Call) -> Answer:
        if call.callback is None:
            switches = tuple(
                SwitchReading(endpoint=each, state=SwitchState.CONNECTED) for each in call.endpoints
            )
            return HeadEndOutcome(
                token=call.token,
                result=RemoteResult.SUCCESS,
                voltage_present=False,
                switches=switches,
            )
        self.requests += 1
        reply: asyncio.Future[RequestToken | None] = asyncio.get_running_loop().create_future()
        self._held[call.callback] = reply
        self._moved.set()
        token = await reply
        if token is None:
            raise OutcomeUnknown("the reply is lost")
        return TokenGiven(token=token)

    def reply(self, communication: CommunicationId, token: RequestToken | None) -> None:
        """None: the reply is lost."""
        self._held.pop(communication).set_result(token)

    async def settled(self, calls: int) -> None:
        """Wait until so many calls were made, and each is over or its reply is held back."""
        while self._admitted < calls or self._released + len(self._held) < calls:
            self._moved.clear()
            await self._moved.wait()


@dataclass(eq=False)
class Told:
    """One command, and what the head end still has to say about it, in this order."""

    id: CommandId
    kind: CommandKind
    token: RequestToken
    to_come: list[tuple[RemoteState, bool] | None]
    """States, and whether each is told at the communication's own address; None is the reply."""
    lost: bool

    @property
    def communication(self) -> CommunicationId:
        return CommunicationId(f"{self.id}-1")

    def reply_comes(self) -> bool:
        """Whether the reply is next; then it is to come no more."""
        if self.to_come[:1] != [None]:
            return False
        self.to_come.pop(0)
        return True

    def states_come(self, most: int) -> Iterator[tuple[RemoteState, bool]]:
        """The next states up to the reply; they are to come no more."""
        for _ in range(most):
            if not self.to_come or (heard := self.to_come[0]) is None:
                return
            self.to_come.pop(0)
            yield heard


class Engine:
    """What turns messages into commands' states, step by step by hand. `at_once`: callbacks are
    judged as they come in, and what is due is leased in its save."""

    def __init__(self, store: SqliteStore, clock: HandClock, *, at_once: bool = False) -> None:
        self.store = store
        self.clock = clock
        self.at_once = at_once
        self.head_end = HeldReplies()
        self.commands: dict[CommandId, Command] = {}
        self.calls = self.taken = 0
        holds = SwitchHolds(None, clock)
        self.leasing = AtOnce(holds)
        self.leasing.on = at_once
        self.applier = Applier(store, clock, POLICIES, self.leasing, changed=self._changed)
        reader, messages = InboxReader(codec()), MessageLog(store, clock)
        self.correlator = Correlator(
            store, self.applier, clock, reader, messages, holds, self.leasing, lambda: None
        )
        self.dispatcher = Dispatcher(
            store,
            StoreRegistry(store),
            self.head_end,
            self.applier,
            clock,
            str,
            DispatchSettings(concurrency=10 * AT_ONCE),
            holds,
            self.leasing,
        )

    def _changed(self, after: Command) -> None:
        if (before := self.commands.get(after.id)) is not None:
            check(before, Step(command=after))
        self.commands[after.id] = after

    async def submit(self, told: Sequence[Told]) -> list[Command]:
        """Accept them, each for a meter of its own; nothing is sent yet."""
        commands = [commanded(item, number) for number, item in enumerate(told)]
        await self.store.submit(
            [
                replace(
                    a_submission(command=item, lanes=lanes_of(item.request, item.targets)), key=None
                )
                for item in commands
            ]
        )
        return commands

    async def accept(self, told: Sequence[Told]) -> None:
        """Submit and send them; every reply is held back."""
        commands = await self.submit(told)
        await asyncio.gather(*(self.applier.apply(item.id, Validated()) for item in commands))
        await self.dispatch()

    async def hear(self, told: Sequence[tuple[Told, RemoteState, bool]]) -> None:
        """All in one turn, each on a connection of its own."""
        await asyncio.gather(*(self.take(*each) for each in told), self.correlate())
        await self.correlate()

    async def take(self, item: Told, state: RemoteState, addressed: bool) -> None:
        raw = message(state).replace(TOKEN.encode(), item.token.encode())
        received = Received(
            operation=STATUS_CHANGED,
            raw=raw,
            at=NOON,
            communication=item.communication if addressed else None,
            message=codec().decode_at_once(raw),
        )
        if await self.correlator.take(received):
            self.taken += 1
        else:
            await self.store.receive([received])

    async def correlate(self) -> None:
        while await self.correlator.once():
            pass

    async def reply(self, told: Sequence[Told]) -> None:
        """Give the tokens; a reply is lost where a callback has taught the token, or may yet."""
        for item in told:
            known = self.commands[item.id].communication(item.communication).token is not None
            lost = item.lost and (known or item.kind in SWITCH_KINDS)
            self.head_end.reply(item.communication, None if lost else item.token)
        await self.head_end.settled(self.calls)

    async def dispatch(self) -> int:
        """What is due at the head end: requests, results."""
        started = await self.dispatcher.start_taken() + await self.dispatcher.once()
        self.calls += started
        await self.head_end.settled(self.calls)
        return started

    async def finish(self) -> None:
        await self.correlate()
        while await self.dispatch():
            pass
        await asyncio.gather(*(self._complete(item) for item in self.commands.values()))

    async def _complete(self, command: Command) -> None:
        if command.activity.state is State.WAITING_FOR_MEASUREMENT:
            found = tuple(target.endpoint for target in command.targets)
            command = await self.applier.apply(command.id, DataLookedUp(found=found, missing=()))
        while (event := command.activity.next_completion) is not None:
            command = await self.applier.apply(command.id, CompletionExecuted(event=event.id))


def commanded(told: Told, number: int) -> Command:
    """For a meter of its own."""
    made = a_command(told.kind)
    device = DeviceId(f"D{number}")
    return replace(
        made,
        request=replace(made.request, devices=(device,) if made.request.devices else ()),
        targets=(Target(device=device, endpoint=EndpointId(f"E-{device}")),),
        activity=replace(made.activity, id=told.id),
    )


@cache
def message(state: RemoteState) -> bytes:
    return status_changed(TOKEN, state.value)


@asynccontextmanager
async def an_engine(folder: Path, *, at_once: bool = False) -> AsyncIterator[Engine]:
    clock = HandClock(NOON)
    store = SqliteStore(new_store(folder / "gateway.db"), now=clock.now)
    await store.open()
    try:
        names = [f"D{number}" for number in range(AT_ONCE)]
        await store.import_(
            Import(
                devices=tuple(a_device(name) for name in names),
                service_points=tuple(a_service_point(f"SP-{name}") for name in names),
                installs=tuple(an_install(name, f"SP-{name}") for name in names),
            )
        )
        yield Engine(store, clock, at_once=at_once)
    finally:
        await store.close()

"""Records a scenario: the real gateway against the simulated head end, over HTTP on loopback.

Both clocks are one, turned from each thing that is due to the next, so that nothing in a recording
depends on the machine. A head end that hangs costs real time once, until the client gives up; in
the recording the scenario's `silence_s` have passed then.
"""

import socket
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from adapter.commands.calls import Answer, Call
from adapter.commands.flows import Operation
from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import InboxState, Permit, Received
from adapter.errors import HeadEndError, NotSent
from adapter.headend.client import Encoded, HeadEndClient, HttpCall
from adapter.headend.contract import ContractWire
from adapter.headend.settings import HeadEndSettings, LimitSettings, Timeouts
from adapter.headend.verdict import judge
from adapter.model.ids import EndpointId
from adapter.model.values import replace
from adapter.replay.scenario import (
    PUBLIC_URL,
    Act,
    BadScenario,
    Do,
    Lost,
    RecordedKind,
    RecordedMessage,
    Recording,
    Scenario,
    moment,
    seconds,
)
from adapter.replay.stage import Program, ReplayRun, staged
from adapter.server.connections import bind, url_of
from adapter.server.settings import ListenerSettings
from adapter.simulator.faults import Effect
from adapter.simulator.meters import Meter, Population
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig
from adapter.web.listener.addresses import DATA_PATH, EVENTS_PATH, EXCEPTIONS_PATH
from adapter.web.listener.listener import Listener
from adapter.wire.codec import Codec
from adapter.wire.notifications import DATA_ARRIVED, EVENTS_ARRIVED, EXCEPTIONS_ARRIVED

_SILENT: Final = frozenset({Effect.HANG, Effect.HANG_AFTER})
_REAL_SILENCE_S: Final = 1.5
"""How long the client really waits for a reply of a head end that is told to hang."""
_PATIENCE_S: Final = 60.0
"""And of any other, so that a busy machine makes no difference."""
_MOST_TURNS: Final = 50_000
_MOST_DAYS: Final = timedelta(days=40)
_PATHS: Final = {
    DATA_ARRIVED: DATA_PATH,
    EVENTS_ARRIVED: EVENTS_PATH,
    EXCEPTIONS_ARRIVED: EXCEPTIONS_PATH,
}
_LIMITS: Final = LimitSettings(
    concurrency=64,
    pushback_pause_s=0.001,
    pushback_longest_s=0.001,
    breaker_not_sent=1_000_000,
    breaker_unknown=1_000_000,
)
"""Our own limits go by real time: they have no part in a recording."""
_USUAL: Final[Mapping[str, object]] = {
    "timing": {
        "initializing_s": 1.0,
        "executing_s": 3.0,
        "acting_s": 8.0,
        "completed_s": 10.0,
        "portion_s": 1.0,
        "jitter": 0.0,
    },
    "limits": {"callback_concurrency": 1},
}
"""The pace of the simulated head end where a scenario says nothing else; one callback at a time,
so that their order is always the same."""


async def record(scenario: Scenario, codec: Codec) -> Recording:
    """Run a scenario to its end and give what was said. Raises BadScenario."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="openway-record-"))
        recorder = Recorder(scenario, codec, Path(folder))
        await recorder.open(stack)
        await recorder.run()
        return await recorder.recording()


def simulator_config(scenario: Scenario) -> SimulatorConfig:
    """The head end of a scenario: its `simulator` table over the usual pace."""
    given = {name: value for name, value in scenario.simulator.items() if name != "meters"}
    table = {
        name: _merged(_USUAL.get(name), given.get(name)) for name in (_USUAL.keys() | given.keys())
    }
    config = SimulatorConfig.read(table)
    if any(script.effect is Effect.CALLBACK_FIRST for script in config.scripts):
        # Such a callback may be sent while another one is being worked off.
        return replace(config, limits=replace(config.limits, callback_concurrency=2))
    return config


def _merged(usual: object, given: object) -> object:
    if isinstance(usual, Mapping) and isinstance(given, Mapping):
        return {**usual, **given}
    return usual if given is None else given


def meter_rows(scenario: Scenario) -> list[Mapping[str, object]]:
    """The meters of the simulated head end that are not as they were born."""
    rows = scenario.simulator.get("meters", ())
    return list(msgspec.convert(rows, tuple[dict[str, object], ...]))


def changed(population: Population, row: Mapping[str, object]) -> None:
    """Change one meter: `esn` and the members that differ. Raises BadScenario."""
    meter = population.find(EndpointId(str(row.get("esn"))))
    if meter is None:
        raise BadScenario(f"there is no meter {row.get('esn')}")
    try:
        plain = {**msgspec.to_builtins(meter, builtin_types=(datetime,)), **row}
        population.put(msgspec.convert(plain, Meter))
    except msgspec.ValidationError as error:
        raise BadScenario(f"meter {meter.esn}: {error}") from error


class _Readdressed(ContractWire):
    """Writes requests with the listener's real address where they name the recorded one."""

    def __init__(self, codec: Codec, own_url: str) -> None:
        super().__init__(codec)
        self._own_url = own_url.encode()

    def encode(self, call: Call, *, header: bytes) -> Encoded:
        made = super().encode(call, header=header)
        return replace(made, body=made.body.replace(PUBLIC_URL.encode(), self._own_url))


class Recorder:
    """One run. It stands between gateway and client, and between listener and gateway.

    `simulator` is open to those who want to see what became of the meters.
    """

    def __init__(self, scenario: Scenario, codec: Codec, folder: Path) -> None:
        self._scenario = scenario
        self._codec = codec
        self._clock = HandClock(scenario.start)
        self.simulator = Simulator(simulator_config(scenario), clock=self._clock, codec=codec)
        for row in meter_rows(scenario):
            changed(self.simulator.world.population, row)
        self._stage: ReplayRun = staged(scenario, self, self._clock, Program.of(codec), folder)
        self._stage.inbox.heard = self._heard
        self._messages: list[RecordedMessage] = []
        self._handing = 0
        self._down = False

    async def open(self, stack: AsyncExitStack) -> None:
        """Start head end, listener and clients; load the registry."""
        url = await self.simulator.start()
        stack.push_async_callback(self.simulator.stop)
        listening = bind("127.0.0.1", 0)
        self._own_url = url_of(listening, tls=False)
        listener = Listener(
            self._stage.inbox,
            self._codec,
            ListenerSettings(),
            clock=self._clock,
            listening=listening,
        )
        await listener.start()
        stack.push_async_callback(listener.stop)
        self.simulator.subscribe(f"{self._own_url}{DATA_PATH}")
        nobody = stack.enter_context(closing(socket.socket()))
        nobody.bind(("127.0.0.1", 0))  # a port that is taken, and refuses
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        self._clients = {
            down: await stack.enter_async_context(self._client(address))
            for down, address in ((False, url), (True, closed))
        }
        await self._stage.open(stack)

    def _client(self, url: str) -> HeadEndClient:
        scripts = self.simulator.config.scripts
        hangs = any(script.effect in _SILENT for script in scripts)
        self._settings = HeadEndSettings(
            base_url=url,
            timeouts=Timeouts(
                reply_s=_REAL_SILENCE_S if hangs else _PATIENCE_S, total_s=2 * _PATIENCE_S
            ),
            operation_timeouts={},
            limits=_LIMITS,
            connect_attempts=1,
        )
        wire = _Readdressed(self._codec, self._own_url)
        return HeadEndClient(self._settings, wire, observe=self._observed)

    # ------------------------------------------------------------ the run

    async def run(self) -> None:
        """Turn the clock from one thing that is due to the next until all is over."""
        left = list(self._scenario.acts)
        world = self.simulator.world
        for _ in range(_MOST_TURNS):
            while left and moment(self._scenario, left[0].at) <= self._clock.now():
                await self._act(left.pop(0))
            await self._stage.gateway.drain()
            await self.simulator.run_due()
            coming = [world.schedule.next_due] if world.schedule.next_due else []
            if left:
                coming.append(moment(self._scenario, left[0].at))
            if not coming and await self._stage.over():
                return
            wake = await self._stage.store.next_wake()
            coming += [wake] if wake else []
            if not coming:
                raise BadScenario(f"{self._scenario.name}: not over, and nothing will happen")
            if min(coming) > self._scenario.start + _MOST_DAYS:
                raise BadScenario(f"{self._scenario.name}: not over after {_MOST_DAYS}")
            await self._clock.turn(min(coming))
        raise BadScenario(f"{self._scenario.name}: not over after {_MOST_TURNS} turns")

    async def _act(self, act: Act) -> None:
        match act.do:
            case Do.FORGET_TOKENS:
                self.simulator.world.forget_tokens()
            case Do.CHANGE_METER:
                changed(self.simulator.world.population, act.meter)
            case Do.HEAD_END_DOWN | Do.HEAD_END_UP:
                self._down = act.do is Do.HEAD_END_DOWN
            case _:
                await self._stage.act(act)

    async def recording(self) -> Recording:
        """What was recorded, once `run` has ended."""
        return Recording(
            scenario=self._scenario,
            messages=tuple(self._messages),
            expected=await self._stage.outcome(),
            ends_at=self._now(),
        )

    def _now(self) -> float:
        return seconds(self._scenario, self._clock.now())

    # ------------------------------------------------------------ what the gateway says

    async def admit(self, operation: Operation, priority: str, *, wait_s: float) -> Permit:
        """The engine's HeadEnd port: a place at the real client, with the recorder before it."""
        place = await self._clients[self._down].admit(operation, priority, wait_s=wait_s)
        return _Recorded(self, place)

    async def call(self, call: Call, place: Permit) -> Answer:
        """Make one call and note request, reply, and what came in between, in that order."""
        number = len(self._messages) + 1
        self._messages.append(
            RecordedMessage(
                at=self._now(), kind=RecordedKind.REQUEST, operation=call.operation.value
            )
        )
        _seen.set(None)
        try:
            answer = await place.call(call)
        except HeadEndError as error:
            await self._replied(number, error)
            raise
        await self._replied(number, None)
        return answer

    def _observed(self, http_call: HttpCall) -> None:
        """The client's observer; called before `place.call` returns, in the same task."""
        _seen.set(http_call)

    async def _replied(self, number: int, error: HeadEndError | None) -> None:
        seen = _seen.get()
        if seen is None:
            raise BadScenario(f"{self._scenario.name}: a call was not made: {error}") from error
        body = seen.request.replace(self._own_url.encode(), PUBLIC_URL.encode())
        at = number - 1
        self._messages[at] = replace(self._messages[at], body=body)
        lost = self._lost(seen, error)
        if lost is Lost.TIMED_OUT:
            await self._let_pass(self._scenario.silence_s)
        self._messages.append(
            RecordedMessage(
                at=self._now(),
                kind=RecordedKind.REPLY,
                operation=seen.call.operation.value,
                answers=number,
                body=seen.reply,
                status=seen.status,
                lost=lost,
                text=str(error) if lost is not None else "",
            )
        )

    def _lost(self, seen: HttpCall, error: HeadEndError | None) -> Lost | None:
        """How there was no whole reply; None where there was one, however it was judged."""
        if error is None:
            return None
        if isinstance(error, NotSent):
            return Lost.NOT_SENT
        if seen.status is not None:
            try:
                judge(
                    seen.call,
                    seen.status,
                    seen.reply,
                    read=ContractWire(self._codec).read,
                    settings=self._settings,
                )
            except HeadEndError as judged:
                if str(judged) == str(error):
                    return None
        return Lost.TIMED_OUT if "time-out" in str(error) else Lost.CLOSED

    async def _let_pass(self, length_s: float) -> None:
        """Virtual time in which the gateway hears nothing; callbacks come in all the same."""
        until = self._clock.now() + timedelta(seconds=length_s)
        schedule = self.simulator.world.schedule
        # Within a callback the head end is busy with that one: what is due comes after it.
        while not self._handing and (due := schedule.next_due) is not None and due <= until:
            await self._clock.turn(due)
            await self.simulator.run_due()
        await self._clock.turn(until)

    # ------------------------------------------------------------ what the head end says

    @asynccontextmanager
    async def _heard(self, received: Received) -> AsyncIterator[None]:
        path = _PATHS.get(received.operation, "")
        if received.communication is not None:
            address = self._stage.identity.address(received.communication)
            path = address.removeprefix(PUBLIC_URL)
        self._messages.append(
            RecordedMessage(
                at=self._now(),
                kind=RecordedKind.CALLBACK,
                operation=received.operation,
                body=received.raw,
                path=path,
                text=received.reason if received.state is InboxState.QUARANTINED else "",
            )
        )
        self._handing += 1
        try:
            yield
        finally:
            self._handing -= 1


_seen: ContextVar[HttpCall | None] = ContextVar("seen", default=None)
"""What the client last observed in this task."""


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A place at the real client."""

    recorder: Recorder
    place: Permit

    async def call(self, call: Call) -> Answer:
        return await self.recorder.call(call, self.place)

    def release(self) -> None:
        self.place.release()

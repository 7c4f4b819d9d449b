"""One store and one simulator through several lives of a gateway, the clock turned by hand."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from adapter.commands.activity import Command, CommandRequest
from adapter.commands.clocks import ClockPolicy
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.rules import SwitchPolicy
from adapter.commands.usage_limits import CallQuota
from adapter.engine.clock import HandClock, SystemClock
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import Change, Saved
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.commands.switch_holds import HoldReason
from adapter.engine.gateway import Gateway
from adapter.engine.orders.orders import Orders
from adapter.engine.orders.ports import OrderRules
from adapter.engine.upkeep.witness import WitnessPolicy
from adapter.headend.settings import HeadEndSettings
from adapter.model.ids import CommandId, EndpointId
from adapter.model.values import replace
from adapter.orders.plan import SMART_COMMANDS
from adapter.service.assembly import Core, OrderParts, connect
from adapter.service.settings import RetentionSettings
from adapter.simulator.faults import Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import device_id, registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import SimulatorConfig, Timing
from adapter.store.commands.commands import SqliteStore
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from tests.new_stores import new_store

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
"""What time it really is when a test begins."""

CUT, CONNECT = CommandKind.REMOTE_DISCONNECT, CommandKind.REMOTE_CONNECT
PING = CommandKind.DEVICE_STATUS_CHECK
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FAR = 400 * DAY


@cache
def codec() -> Codec:
    return Codec(Catalog.load())


class InterruptedStore(SqliteStore):
    """`on_intent` is called just when the intent to send is on disk."""

    on_intent: Callable[[], Awaitable[None]] | None = None

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        saved = await super().save(batch)
        intents = [note for change in batch for note in change.audit if note.action == "Dispatched"]
        if intents and self.on_intent is not None:
            close, self.on_intent = self.on_intent, None
            await close()
        return saved


@dataclass
class Life:
    """One process of the gateway; nothing runs by itself, `work` does what is due."""

    core: Core
    clock: HandClock
    simulator: Simulator

    @property
    def gateway(self) -> Gateway:
        return self.core.gateway

    @property
    def orders(self) -> Orders:
        return self.core.gateway.orders

    @property
    def held(self) -> list[HoldReason]:
        return [hold.reason for hold in self.gateway.upkeep.holds.all()]

    def endpoint(self, number: int) -> EndpointId:
        plan = self.simulator.config.population
        return EndpointId(f"{plan.esn_prefix}{plan.first_number + number}")

    async def ask(self, number: int, kind: CommandKind = CUT, **given: object) -> CommandId:
        """Submit a command for the n-th meter, and work what is due."""
        made = await self.submit(number, kind, **given)
        await self.work()
        return made

    async def submit(self, number: int, kind: CommandKind = CUT, **given: object) -> CommandId:
        """Submit a command for the n-th meter, and work nothing yet."""
        request = CommandRequest(kind=kind, devices=(device_id(self.endpoint(number)),))
        return (await self.gateway.commands.submit(replace(request, **given))).id  # type: ignore[arg-type]

    async def command(self, command: CommandId) -> Command:
        return await self.gateway.commands.get(command)

    async def work(self) -> None:
        await self.simulator.run_due()
        await self.gateway.drain()
        await self.orders.drain()
        await self.gateway.drain()

    async def later(self, by: timedelta) -> None:
        """Let time pass, a little past every lease, and work what is due then."""
        for length in (by, MINUTE):
            for clock in (self.clock, self.simulator.clock):
                assert isinstance(clock, HandClock)
                await clock.turn(clock.now() + length)
            await self.work()

    async def confirm(self, reason: HoldReason = HoldReason.CLOCK) -> None:
        await self.gateway.upkeep.holds.confirm(reason, by="ann", why="looked at the time server")
        await self.work()

    def sent(self, number: int, operation: Operation = Operation.DISCONNECT_METER) -> int:
        """How many such requests for the n-th meter the head end has seen."""
        return self.simulator.journal.count(operation, self.endpoint(number))


@asynccontextmanager
async def a_head_end(
    *, by_hand: bool = True, meters: int = 8, scripts: tuple[Script, ...] = ()
) -> AsyncIterator[Simulator]:
    """Its clock is right. It is turned by hand as well, so that no test depends on the machine's
    speed; not `by_hand`, for a gateway that runs by itself."""
    config = SimulatorConfig(
        population=PopulationPlan(count=meters, generating_share=0.0),
        timing=Timing(jitter=0.0),
        scripts=scripts,
    )
    clock = HandClock(NOON) if by_hand else SystemClock()
    async with Simulator(config, clock=clock, codec=codec()) as simulator:
        yield simulator


@asynccontextmanager
async def life(
    folder: Path,
    simulator: Simulator,
    shows: datetime,
    *,
    switch: SwitchPolicy | None = None,
    quotas: tuple[CallQuota, ...] = (),
    policy: ClockPolicy | None = None,
    store_type: type[SqliteStore] = SqliteStore,
    witness: WitnessPolicy | None = None,
) -> AsyncIterator[Life]:
    """A gateway that is started while the machine's wall clock shows this."""
    clock = HandClock(shows)
    store = store_type(new_store(folder / "gateway.db"), now=clock.now)
    await store.open()
    core = connect(
        store=store,
        codec=codec(),
        head_end=HeadEndSettings(base_url=simulator.url),
        identity=CallbackIdentity("http://127.0.0.1:9", (b"a key for tests",)),
        settings=CommandSettings(
            dispatch=DispatchSettings(switch=switch or SwitchPolicy(), lease_s=30.0, quotas=quotas)
        ),
        clock=clock,
        retention=RetentionSettings(),
        orders=OrderParts(rules=replace(OrderRules(), head_end_commands=SMART_COMMANDS)),
        clock_policy=policy,
        witness=witness,
    )
    core.client.open()
    await core.gateway.start(background=False)
    try:
        if not await store.devices(limit=1):
            await core.gateway.registry.import_devices(registry_of(simulator.world.population))
        yield Life(core, clock, simulator)
    finally:
        await core.gateway.stop()
        await core.client.close()
        await store.close()

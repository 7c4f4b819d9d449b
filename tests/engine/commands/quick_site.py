"""Gateway on SQLite, simulator and listener over real HTTP, with deadlines of a test's length."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from adapter.commands.activity import Command, CommandRequest
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.rules import SwitchPolicy
from adapter.commands.timing import Policy, RetryPolicy
from adapter.demo.demo import DemoSite, meters_for_twelve, stage
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.settings import CommandSettings
from adapter.headend.settings import Timeouts
from adapter.model.device import THIS_HEAD_END
from adapter.model.values import replace
from adapter.simulator.faults import Effect, Script
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.settings import SimulatorConfig, SimulatorLimits, Timing

WAIT_S = 20.0

FAST = Policy(
    send_s=5.0,
    reply_s=1.5,
    poll_first_s=0.3,
    poll_every_s=0.2,
    poll_longest_s=0.4,
    settle_s=0.3,
    settle_looks=2,
    hold_s=0.2,
    measurement_s=1.5,
    retry=RetryPolicy(attempts=3, first_wait_s=0.05, longest_wait_s=0.1),
)


def fast(**changes: object) -> dict[CommandKind, Policy]:
    policy = replace(FAST, **changes)  # type: ignore[arg-type]
    return dict.fromkeys(CommandKind, policy)


@asynccontextmanager
async def world(
    folder: Path,
    *scripts: Script,
    count: int = 40,
    policies: Mapping[CommandKind, Policy] | None = None,
    switch: SwitchPolicy | None = None,
    limits: SimulatorLimits | None = None,
    head_end: str = THIS_HEAD_END,
    noted_share: float = 0.0,
    timeouts: Timeouts | None = None,
) -> AsyncIterator[DemoSite]:
    config = SimulatorConfig(
        population=PopulationPlan(
            count=count, group_size=20, generating_share=0.0, noted_share=noted_share
        ),
        timing=Timing(jitter=0.0),
        limits=limits or SimulatorLimits(),
        scripts=scripts,
    )
    async with stage(
        folder,
        config=config,
        settings=CommandSettings(
            policies=policies or fast(),
            dispatch=DispatchSettings(
                lease_s=0.3, switch=switch or SwitchPolicy(), head_end=head_end
            ),
        ),
        prepare=meters_for_twelve,
        timeouts=timeouts,
    ) as made:
        yield made


async def finish(made: DemoSite, request: CommandRequest, *, wait_s: float = WAIT_S) -> Command:
    """Submit and wait for the final state."""
    command = await made.app.gateway.commands.submit(request, actor="test")
    return await made.app.gateway.commands.wait(command.id, timeout_s=wait_s)


def sends(made: DemoSite, operation: Operation, number: int) -> int:
    """How many requests of an operation for the n-th meter the head end has seen."""
    return made.simulator.journal.count(operation, made.endpoint(number))


def script(effect: Effect, operation: str = "*", **rest: object) -> Script:
    return Script(effect=effect, operation=operation, **rest)  # type: ignore[arg-type]

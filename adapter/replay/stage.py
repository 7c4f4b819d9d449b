"""The gateway of a scenario: the real one, store and intake too, with nothing left to chance.

Its clock is turned by hand, ids come from the seed, and the key of callback addresses is fixed.
Recorder and player both run it; they differ in who is the head end.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Final

import msgspec

from adapter.commands.activity import Command
from adapter.commands.calls import Answer
from adapter.commands.flows import CommandKind
from adapter.commands.outcomes import of_each
from adapter.commands.timing import Policy
from adapter.engine.clock import HandClock
from adapter.engine.commands.correlator import MessageReader
from adapter.engine.commands.dispatcher import DispatchSettings
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import HeadEnd, Received
from adapter.engine.commands.save_result import Taken
from adapter.engine.commands.settings import CommandSettings
from adapter.engine.commands.summary import summary
from adapter.engine.commands.switch_holds import Hold, HoldReason
from adapter.engine.gateway import Gateway
from adapter.engine.upkeep.set_aside import SetAside
from adapter.errors import GatewayError
from adapter.headend.contract import ContractWire
from adapter.headend.verdict import judge
from adapter.model.device import InstallEvent
from adapter.model.ids import CommandId, DeviceId, InboxId
from adapter.replay.decisions import ABOUT_SWITCHING, ComparedTexts, decisions, of_gateway
from adapter.replay.devices import registry_from
from adapter.replay.scenario import PUBLIC_URL, Act, BadScenario, Do, Scenario, seconds
from adapter.service.assembly import assemble
from adapter.service.payloads import taking
from adapter.service.settings import IntakeSettings
from adapter.store.commands.commands import SqliteStore
from adapter.wire.codec import Codec
from adapter.wire.inbox import InboxReader

KEY: Final = b"the key of recorded scenarios, open to all"
_MOST: Final = 100_000

Heard = Callable[[Received], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What of the program reads, writes and judges messages, and counts time. A part of it may be
    another than today's: what that changes is found in recordings."""

    wire: ContractWire
    reader: MessageReader
    judge: Callable[..., Answer] = judge
    policies: Mapping[CommandKind, Policy] | None = None
    """None: those of the scenario."""

    @classmethod
    def of(cls, codec: Codec) -> "Program":
        return cls(wire=ContractWire(codec), reader=InboxReader(codec))


class StagedInbox:
    """Has worked off what it is handed before it answers; `heard` surrounds that."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._receiving: set[asyncio.Task[InboxId]] = set()
        self.heard: Heard = lambda received: nullcontext()

    def genuine(self, communication: str, secret: str) -> bool:
        return self._gateway.inbox.genuine(communication, secret)

    async def bound_quarantine(self, most_bytes: int) -> int:
        return await self._gateway.inbox.bound_quarantine(most_bytes)

    def free_bytes(self) -> int:
        return self._gateway.inbox.free_bytes()

    async def take(self, received: Received) -> None:
        await self.receive(received)

    def begin(self, received: Received, then: Taken) -> None:
        task = asyncio.get_running_loop().create_task(self.receive(received))
        self._receiving.add(task)
        task.add_done_callback(self._receiving.discard)
        task.add_done_callback(lambda done: then(done.exception()))

    async def receive(self, received: Received) -> InboxId:
        async with self.heard(received):
            made = await self._gateway.inbox.receive(received)
            await self._gateway.drain()
        return made


@dataclass(slots=True, kw_only=True)
class ReplayRun:
    """The gateway of one scenario, and what was done and submitted in it so far."""

    scenario: Scenario
    clock: HandClock
    store: SqliteStore
    gateway: Gateway
    inbox: StagedInbox
    identity: CallbackIdentity
    submitted: list[CommandId] = field(default_factory=list)
    done: list[dict[str, object]] = field(default_factory=list)
    before: dict[DeviceId, InstallEvent | None] = field(default_factory=dict)

    async def open(self, stack: AsyncExitStack) -> None:
        """Registry loaded, nothing running by itself; `stack` closes it."""
        await self.store.open()
        stack.push_async_callback(self.store.close)
        await self.gateway.start(background=False)
        stack.push_async_callback(self.gateway.stop)
        await self.gateway.registry.import_devices(
            registry_from(self.scenario.devices), by="scenario"
        )
        for view in await self.gateway.registry.devices(limit=_MOST):
            self.before[view.device.id] = view.installed

    async def act(self, act: Act) -> None:
        """Do one thing a person or a requester does; what it came to is part of the outcome."""
        told: dict[str, object] = {"at": act.at, "do": str(act.do)}
        try:
            if (switching := _SWITCHING.get(act.do)) is not None:
                await switching(self.gateway, act, self.clock.now())
            else:
                command = await self._act(act)
                told |= {"command": command.id, "state": command.activity.state.value}
        except GatewayError as error:
            told |= {"error": error.code, "text": str(error)}
        self.done.append(told)
        await self.gateway.drain()

    async def _act(self, act: Act) -> Command:
        gateway = self.gateway
        if act.do is Do.SUBMIT:
            if act.request is None:
                raise BadScenario(f"{self.scenario.name}: submit without a request")
            actor = act.by if self.scenario.ids else "scenario"
            made = await gateway.commands.submit(act.request, actor=actor)
            self.submitted.append(made.id)
            return made
        if not 1 <= act.command <= len(self.submitted):
            raise BadScenario(f"{self.scenario.name}: there is no command {act.command}")
        command = self.submitted[act.command - 1]
        match act.do:
            case Do.CANCEL:
                return await gateway.commands.cancel(command, by=act.by, reason=act.reason)
            case Do.RETRY:
                return await gateway.commands.retry(command, by=act.by)
            case Do.DISCARD:
                return await gateway.commands.discard(command, by=act.by, reason=act.reason)
            case Do.APPROVE:
                return await gateway.commands.approve(command, by=act.by)
            case Do.RESOLVE:
                return await gateway.commands.resolve(
                    command,
                    done=act.done,
                    operator=act.by,
                    approver=act.approver,
                    note=act.reason,
                )
            case _:
                raise BadScenario(f"{self.scenario.name}: {act.do} is not done at the gateway")

    async def over(self) -> bool:
        """Whether every command has ended."""
        found = await self.store.load(self.submitted)
        return all(command.activity.state.rests for command in found.values())

    # ------------------------------------------------------------ what came out

    async def decided(self) -> dict[str, object]:
        """What `expected.json` of a running gateway holds (`decisions.py`)."""
        made, words = [], ComparedTexts(self.submitted)
        published = [
            {
                "type": row.publication.type,
                "subject": row.publication.subject,
                "severity": row.publication.severity.value,
                "data": plain_json(row.publication.data),
            }
            for row in await self.store.outbox("scenario", limit=_MOST)
        ]
        for command in self.submitted:
            history = [
                {
                    "actor": each.note.actor,
                    "action": each.note.action,
                    "detail": plain_json(each.note.detail),
                }
                for each in await self.gateway.commands.history(command)
            ]
            found = await self.gateway.commands.get(command)
            rows = await self.gateway.commands.outcomes(command)
            outcomes = [
                {"endpoint": each.endpoint, "result": each.result, "switch_state": each.switch}
                for each in (of_each(found, rows) if found.activity.state.final else rows)
            ]
            told = [each for each in published if each["subject"] == command]
            plain = plain_json(summary(found))
            assert isinstance(plain, dict)
            made.append(plain_json(decisions(plain, history, outcomes, told, words)))
        about = [each for each in published if each["type"] in ABOUT_SWITCHING]
        return {"commands": made, "gateway": of_gateway(about, words)}

    async def outcome(self) -> dict[str, object]:
        """What `expected.json` holds: plain data in a fixed order, times in seconds or ISO 8601."""
        return {
            "done": self.done,
            "commands": [await self._command(item) for item in self.submitted],
            "installs": await self._installs(),
            "measurements": await self._measurements(),
            "publications": await self._publications(),
            "inbox": await self._inbox(),
            "sends": dict(sorted((await self.store.ledger()).communications_by_state.items())),
        }

    def _at(self, at: datetime) -> float:
        return seconds(self.scenario, at)

    async def _command(self, command: CommandId) -> dict[str, object]:
        history = await self.gateway.commands.history(command)
        found = await self.gateway.commands.get(command)
        return {
            "summary": plain_json(summary(found)),
            "outcomes": [plain_json(row) for row in await self.gateway.commands.outcomes(command)],
            "history": [
                {
                    "at": self._at(entry.at),
                    "actor": entry.note.actor,
                    "action": entry.note.action,
                    **_told(command, entry.note.detail),
                }
                for entry in history
            ],
        }

    async def _installs(self) -> list[object]:
        """The install events that are not as they were at the start."""
        views = await self.gateway.registry.devices(limit=_MOST)
        return [
            _event(view.installed)
            for view in views
            if view.installed != self.before.get(view.device.id)
        ]

    async def _measurements(self) -> list[object]:
        views = await self.gateway.registry.devices(limit=_MOST)
        return [
            plain_json(each)
            for view in views
            for each in await self.gateway.registry.measurements(view.device.id)
        ]

    async def _publications(self) -> list[object]:
        """Those of commands."""
        rows = await self.store.outbox("scenario", limit=_MOST)
        return [
            {
                "at": self._at(row.at),
                "id": row.publication.id,
                "type": row.publication.type,
                "severity": row.publication.severity.value,
                "state": row.publication.data["state"],
                "outcome": row.publication.data["outcome"],
                "text": row.publication.data["text"],
            }
            for row in rows
            if row.publication.type.startswith("openway.command.")
        ]

    async def _inbox(self) -> list[object]:
        rows = reversed(await self.gateway.inbox.list(limit=_MOST))
        return [
            {
                "at": self._at(row.at),
                "operation": row.operation.rpartition(".")[2],
                "state": row.state.value,
                "reason": row.reason,
                "communication": row.communication,
                "token": row.token,
            }
            for row in rows
        ]


def staged(
    scenario: Scenario, head_end: HeadEnd, clock: HandClock, program: Program, folder: Path
) -> ReplayRun:
    """The gateway of a scenario in front of `head_end`, at the scenario's start; its files are in
    `folder`."""
    store = SqliteStore(folder / "gateway.db", now=clock.now)
    store.set_aside = store.database.set_aside = SetAside()  # what fails unexpectedly ends the run
    payloads = taking(store, clock, IntakeSettings())
    identity = CallbackIdentity(PUBLIC_URL, (KEY,))
    random = Random(scenario.seed)
    gateway = assemble(
        store=store,
        head_end=head_end,
        reader=program.reader,
        clock=clock,
        identity=identity,
        settings=CommandSettings(
            policies=program.policies or scenario.policies(),
            dispatch=DispatchSettings(switch=scenario.switch_policy(), quotas=scenario.quotas()),
        ),
        entropy=lambda: random.getrandbits(80),
        payloads=payloads,
    )
    return ReplayRun(
        scenario=scenario,
        clock=clock,
        store=store,
        gateway=gateway,
        inbox=StagedInbox(gateway),
        identity=identity,
    )


async def _stop(gateway: Gateway, act: Act, now: datetime) -> None:
    await gateway.upkeep.switch_safety.stop(by=act.by, why=act.reason)


async def _resume(gateway: Gateway, act: Act, now: datetime) -> None:
    await gateway.upkeep.switch_safety.resume(by=act.by, why=act.reason)


async def _hold(gateway: Gateway, act: Act, now: datetime) -> None:
    hold = Hold(reason=_reason_of(act), since=now, text=act.reason)
    await gateway.upkeep.holds.hold(hold, by=act.by)


async def _release(gateway: Gateway, act: Act, now: datetime) -> None:
    await gateway.upkeep.holds.lift(_reason_of(act), by=act.by, why=act.reason)


async def _override(gateway: Gateway, act: Act, now: datetime) -> None:
    if act.ends_at is None:
        raise BadScenario("an override needs `ends_at`")
    await gateway.upkeep.switch_safety.override(
        act.limit, by=act.by, why=act.reason, ends_at=act.ends_at
    )


async def _end_override(gateway: Gateway, act: Act, now: datetime) -> None:
    safety = gateway.upkeep.switch_safety
    for each in await safety.overrides():
        if each.ended_at is None and each.limit == act.limit:
            await safety.end_override(each.id, by=act.by, why=act.reason)


def _reason_of(act: Act) -> HoldReason:
    if act.hold is None:
        raise BadScenario(f"{act.do}: `hold` says for which reason")
    return act.hold


_SWITCHING: Final[Mapping[Do, Callable[[Gateway, Act, datetime], Awaitable[None]]]] = (
    MappingProxyType(
        {
            Do.STOP: _stop,
            Do.RESUME: _resume,
            Do.HOLD: _hold,
            Do.RELEASE: _release,
            Do.OVERRIDE: _override,
            Do.END_OVERRIDE: _end_override,
        }
    )
)
"""What is done about switching, not about one command."""


def plain_json(value: object) -> object:
    """As JSON has it, so that what was written and what is compared are the same."""
    plain: object = json.loads(msgspec.json.encode(value, order="deterministic"))
    return plain


def _event(installed: InstallEvent | None) -> object:
    """A status of a site's own only where it has one: recordings are made without."""
    plain = plain_json(installed)
    if isinstance(plain, dict) and not plain.get("site_status"):
        plain.pop("site_status", None)
    return plain


def _told(command: CommandId, detail: Mapping[str, object]) -> dict[str, object]:
    """What an audit entry says, its moves as text; the command's own id is not repeated, nor what
    it waits for: in virtual time what follows says it."""
    plain = plain_json(detail)
    assert isinstance(plain, dict)
    told = {name: value for name, value in plain.items() if name not in ("moves", "waits")}
    communication = f"{command}-"
    told |= {
        name: f"#{value.removeprefix(communication)}"
        for name, value in told.items()
        if isinstance(value, str) and value.startswith(communication)
    }
    moves = [
        f"{'command' if subject == command else '#' + subject.removeprefix(communication)}: "
        f"{before} > {after}"
        for subject, before, after in plain.get("moves", [])
    ]
    return {**told, "moves": moves} if moves else told

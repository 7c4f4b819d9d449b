"""The one public surface: REST, command line, console, listener and tests call this."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from adapter.commands.activity import Command, CommandRequest, State
from adapter.commands.events import (
    Approved,
    CancelAsked,
    ClockCorrected,
    DiscardAsked,
    Resolved,
    RetryAsked,
)
from adapter.commands.flows import CommandKind
from adapter.commands.outcomes import EndpointOutcome
from adapter.commands.timing import POLICIES, Policy
from adapter.engine.commands.apply import Applier, SavedWith
from adapter.engine.commands.awaited import Progress, Watchers
from adapter.engine.commands.completer import Completer
from adapter.engine.commands.correlator import Correlator, MessageReader
from adapter.engine.commands.dispatcher import Dispatcher, DispatchSettings
from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.message_log import MessageLog
from adapter.engine.commands.monitor import Monitor
from adapter.engine.commands.ports import (
    AuditEntry,
    AuditNote,
    Change,
    Clock,
    Disposition,
    Filter,
    HeadEnd,
    Import,
    InboxRow,
    InboxState,
    Ledger,
    Logged,
    Received,
    Registry,
    Sink,
    Store,
)
from adapter.engine.commands.publisher import Publisher
from adapter.engine.commands.submit import Submitter
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.commands.validation import Validation
from adapter.engine.readings.incomplete import incomplete
from adapter.engine.readings.ports import Blocks, Intake, Loaded, MeasurementStore
from adapter.engine.registry.importer import Importer
from adapter.engine.registry.ports import ImportReport
from adapter.engine.registry.registry import StoreRegistry
from adapter.engine.runner import Runner
from adapter.engine.upkeep.clock_watch import ClockWatch
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import (
    Conflict,
    Forbidden,
    NotFound,
    StoreFailed,
)
from adapter.model.device import DeviceView
from adapter.model.ids import (
    CommandId,
    DeviceId,
    EndpointId,
    InboxId,
)
from adapter.model.reading import InitialMeasurement

_SUBMIT_TRIES: Final = 5
_UNDER_WAY: Final = frozenset({InboxState.NEW, InboxState.TAKING})
_STATEFUL: Final = ("correlate", "dispatch", "monitor", "publish")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """How this gateway behaves. `head_end_kinds` are the commands that the head end offers."""

    policies: Mapping[CommandKind, Policy] = field(default_factory=lambda: POLICIES)
    dispatch: DispatchSettings = field(default_factory=DispatchSettings)
    head_end_kinds: frozenset[CommandKind] = frozenset(CommandKind)


class Gateway:
    """Submit commands, look at them, decide about them, hand in what the head end says.

    Commands are durable when `submit` returns. Everything may be called from several tasks at
    once. Errors are those of `adapter.errors`: InvalidRequest names field and rule, NotFound,
    Conflict (idempotency key with other content, or the state forbids it), StoreFailed.
    """

    def __init__(
        self,
        *,
        store: Store,
        head_end: HeadEnd,
        reader: MessageReader,
        clock: Clock,
        identity: CallbackIdentity,
        intake: Intake,
        data: MeasurementStore,
        settings: GatewaySettings | None = None,
        registry: Registry | None = None,
        sinks: Sequence[Sink] = (),
        messages: MessageLog | None = None,
        holds: SwitchHolds | None = None,
        clock_watch: ClockWatch | None = None,
        entropy: Callable[[], int] = lambda: secrets.randbits(80),
    ) -> None:
        self._store = store
        self._clock = clock
        self._identity = identity
        settings = settings or GatewaySettings()
        self.holds = holds or SwitchHolds(None, clock)
        """Why no switch order may leave now."""
        self.clock_watch = clock_watch
        self._registry = registry or StoreRegistry(store)
        dispatch = settings.dispatch
        validation = Validation(store, self._registry, settings.head_end_kinds, dispatch.switch)
        self._submitter = Submitter(
            store, self._registry, validation, clock, settings.policies, entropy
        )
        self._applier = Applier(store, clock, settings.policies, changed=self._changed)
        completer = Completer(data, self._registry, self._applier, clock)
        self._monitor = Monitor(
            store,
            data,
            self._applier,
            completer,
            clock,
            validation,
            self.holds,
            lease_s=dispatch.lease_s,
        )
        self._dispatcher = Dispatcher(
            store,
            self._registry,
            head_end,
            self._applier,
            clock,
            identity.address,
            dispatch,
            self.holds,
        )
        self._messages = messages or MessageLog(store, clock)
        self._intake = intake
        self.data = data
        """Measurements of the payloads that were taken in."""
        self.data_loaded: Callable[[Loaded], Awaitable[None]] | None = None
        """Told what a payload brought, once that is seen: a hint."""
        self._correlator = Correlator(
            store,
            self._applier,
            clock,
            reader,
            self._messages,
            to_intake=lambda: self._runner.poke("intake"),
        )
        self._publisher = Publisher(store, clock, sinks)
        self._runner = Runner(
            {
                "correlate": self._correlate,
                "dispatch": self._dispatcher.once,
                "monitor": self._monitor.once,
                "publish": self._publisher.once,
                "messages": self._messages.once,
                "intake": self._take_in,
                "clock": self._look_at_clock,
            },
        )
        store.set_aside.on_discard(RowKind.COMMAND, self._give_up)
        self.holds.lifted = lambda: self._runner.poke(*_STATEFUL)
        self._importer = Importer(store, clock)
        self._watchers = Watchers()
        self._inbound_watchers: set[asyncio.Event] = set()

    # ------------------------------------------------------------ life

    async def start(self, *, background: bool = True) -> None:
        """Recover from the last stop, then run. Without `background`, `drain` does the work."""
        await self.holds.load()
        if self.clock_watch is not None:
            await self.clock_watch.start()
        await self._dispatcher.recover()
        await self._importer.look_at_shared()
        if background:
            self._runner.start()

    async def stop(self) -> None:
        """Stop claiming, let what is under way finish, leave the rest to the store."""
        await self._runner.stop()
        await self._dispatcher.settle()
        await self._intake.stop()
        if self.clock_watch is not None:
            await self.clock_watch.stop()
        with suppress(StoreFailed):
            await self._messages.once()

    @property
    def failed(self) -> "asyncio.Future[BaseException] | None":
        """Done when the store has failed and the process must stop (I12)."""
        return self._runner.failed

    async def drain(self) -> None:
        """Work everything that is due now, in a fixed order, and return (I17)."""
        await self._look_at_clock()
        worked = 1
        while worked:
            worked = await self._correlate()
            worked += await self._take_in()
            worked += await self._monitor.once()
            worked += await self._dispatcher.once(inline=True)
            worked += await self._publisher.once()
        await self._messages.once()

    async def _look_at_clock(self) -> int:
        return 0 if self.clock_watch is None else await self.clock_watch.once()

    async def correct(self, command: CommandId, event: ClockCorrected) -> None:
        """The clock was wrong and is right again."""
        await self._applier.apply(command, event)

    async def _correlate(self) -> int:
        worked = await self._correlator.once()
        self._inbound_moved(worked)
        return worked

    def _inbound_moved(self, worked: int) -> None:
        if worked:
            for event in self._inbound_watchers:
                event.set()

    async def _take_in(self) -> int:
        taken = await self._intake.once()
        self._inbound_moved(taken.worked)
        self._monitor.data_arrived(taken.endpoints)
        if self.data_loaded is not None:
            await self.data_loaded(taken)
        return int(taken.worked)

    def _changed(self, command: Command) -> None:
        self._runner.poke(*_STATEFUL)
        self._monitor.changed(command)
        self._watchers.changed(command.id)

    # ------------------------------------------------------------ commands

    async def submit(self, request: CommandRequest, *, actor: str = "api") -> Command:
        """Accept a command. The same idempotency key gives the same command, for ever.

        A request that can never work raises InvalidRequest and stores nothing. One that breaks a
        rule of the world as it is (install state, open opposite command) is stored in
        `validation_error`, from where it can be retried.
        """
        made = await self._submitter.submit(request, actor=actor)
        if made.new:
            self._runner.poke(*_STATEFUL)
        return await self.get(made.id)

    async def get(self, command: CommandId) -> Command:
        """Raises NotFound."""
        found = await self._store.load([command])
        if command not in found:
            raise NotFound(f"no command {command}")
        return found[command]

    async def by_key(self, key: str) -> CommandId | None:
        """The command that was accepted under an idempotency key."""
        return await self._store.by_key(key)

    async def list(self, wanted: Filter | None = None) -> Sequence[Command]:
        return await self._store.list(wanted or Filter())

    async def wait(self, command: CommandId, *, timeout_s: float) -> Command:
        """The command when it is final, or as it is after `timeout_s` seconds."""
        return await self._watchers.wait(command, self.get, timeout_s=timeout_s)

    def progress(self, command: CommandId) -> Progress | None:
        """How far a read for many is, while its data are awaited; None where that is not known."""
        return self._monitor.progress(command)

    async def history(self, command: CommandId) -> Sequence[AuditEntry]:
        """Every transition with its cause, oldest first."""
        return await self._store.audit(subject=command)

    async def outcomes(self, command: CommandId) -> Sequence[EndpointOutcome]:
        return await self._store.outcomes(command)

    async def incomplete(self, command: Command) -> Mapping[EndpointId, Blocks]:
        """The meters of an interval read, as `get` gives it, of whose blocks some have not come."""
        return await incomplete(self.data, command, self._clock.now())

    async def messages(self, command: CommandId) -> Sequence[Logged]:
        """The SOAP messages of the command's communications, callback secrets masked."""
        await self._messages.once()
        return await self._store.messages(command)

    async def cancel(self, command: CommandId, *, by: str, reason: str = "") -> Command:
        """Cancel: at once if nothing was sent, else by CancelRequest. Conflict when too late."""
        event = CancelAsked(by=by, reason=reason)
        return await self._applier.apply(command, event, SavedWith(actor=by))

    async def retry(self, command: CommandId, *, by: str) -> Command:
        """Try again what waits in an error state, on fresh facts."""
        found = await self.get(command)
        if found.activity.state is State.VALIDATION_ERROR:
            return await self._monitor.revalidate(found, actor=by)
        return await self._applier.apply(command, RetryAsked(by=by), SavedWith(actor=by))

    async def discard(self, command: CommandId, *, by: str, reason: str = "") -> Command:
        event = DiscardAsked(by=by, reason=reason)
        return await self._applier.apply(command, event, SavedWith(actor=by))

    async def _give_up(self, command: str, by: str, reason: str) -> None:
        """A person discarded it where it was set aside: it ends, as far as its state allows."""
        try:
            await self.discard(CommandId(command), by=by, reason=reason)
        except Conflict:
            await self.cancel(CommandId(command), by=by, reason=reason)

    async def approve(self, command: CommandId, *, by: str) -> Command:
        """Approve a disconnect. Raises Forbidden for the requester."""
        found = await self.get(command)
        if by == found.request.requester:
            raise Forbidden("the requester cannot approve the own command")
        return await self._applier.apply(command, Approved(by=by), SavedWith(actor=by))

    async def resolve(
        self, command: CommandId, *, done: bool, operator: str, approver: str, note: str = ""
    ) -> Command:
        """Close an unknown outcome, as done or as not done, by two different people."""
        event = Resolved(done=done, operator=operator, approver=approver, note=note)
        return await self._applier.apply(command, event, SavedWith(actor=operator))

    # ------------------------------------------------------------ inbound

    async def receive(self, received: Received) -> InboxId:
        """Store one inbound message. When this returns it is durable and may be answered (I4)."""
        (made,) = await self._store.receive([received])
        if received.state is InboxState.QUARANTINED:
            refused = AuditNote(
                actor="listener",
                action="Refused",
                subject=f"inbox:{made}",
                detail={"reason": received.reason},
            )
            await self._store.save([Change(audit=(refused,))])
        self._runner.poke("correlate")
        return made

    def genuine(self, communication: str, secret: str) -> bool:
        """Whether a callback address is one of ours."""
        return self._identity.genuine(communication, secret)

    async def inbox(
        self,
        *,
        state: InboxState | None = None,
        limit: int = 50,
        before: InboxId | None = None,
    ) -> Sequence[InboxRow]:
        return await self._store.inbox(state=state, limit=limit, before=before)

    async def inbox_row(self, inbox: InboxId) -> InboxRow:
        found = await self._store.inbox_row(inbox)
        if found is None:
            raise NotFound(f"no inbound message {inbox}")
        return found

    async def judged(self, inbox: InboxId, *, timeout_s: float) -> InboxRow:
        """The message once it was judged and taken in, or as it is after `timeout_s` seconds."""
        moved = asyncio.Event()
        self._inbound_watchers.add(moved)
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            while True:
                moved.clear()
                row = await self.inbox_row(inbox)
                left = deadline - asyncio.get_running_loop().time()
                if row.state not in _UNDER_WAY or left <= 0:
                    return row
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, 1.0)):
                        await moved.wait()
        finally:
            self._inbound_watchers.discard(moved)

    async def replay_quarantined(self, inbox: InboxId, *, by: str) -> None:
        """Judge a quarantined message again, as if it had just come."""
        await self._move_quarantined(inbox, InboxState.NEW, "Replayed", by)
        self._runner.poke("correlate")

    async def discard_quarantined(self, inbox: InboxId, *, by: str) -> None:
        await self._move_quarantined(inbox, InboxState.DISCARDED, "Discarded", by)

    async def _move_quarantined(self, inbox: InboxId, to: InboxState, action: str, by: str) -> None:
        row = await self.inbox_row(inbox)
        if row.state is not InboxState.QUARANTINED:
            raise Conflict(f"message {inbox} is {row.state}, not quarantined")
        audit = AuditNote(
            actor=by, action=action, subject=f"inbox:{inbox}", detail={"reason": row.reason}
        )
        moved = Disposition(inbox=inbox, state=to, reason=row.reason)
        await self._store.save([Change(inbox=(moved,), audit=(audit,))])

    # ------------------------------------------------------------ devices and data

    async def import_devices(
        self,
        what: Import,
        *,
        by: str = "api",
        override: str | None = None,
        whole: bool = False,
        dry_run: bool = False,
    ) -> ImportReport:
        """Load master data; see `Importer.load`."""
        return await self._importer.load(
            what, by=by, override=override, whole=whole, dry_run=dry_run
        )

    @property
    def shared_endpoints(self) -> Mapping[EndpointId, Sequence[DeviceView]]:
        """Endpoints that more than one device names: no switch order goes to any of them."""
        return self._importer.shared

    async def devices(
        self, *, after: DeviceId | None = None, limit: int = 100
    ) -> Sequence[DeviceView]:
        return await self._store.devices(after=after, limit=limit)

    async def device(self, device: DeviceId) -> DeviceView:
        found = await self._registry.views([device])
        if device not in found:
            raise NotFound(f"no device {device}")
        return found[device]

    async def measurements(self, device: DeviceId) -> Sequence[InitialMeasurement]:
        return await self._store.measurements(device)

    # ------------------------------------------------------------ books

    async def ledger(self) -> Ledger:
        """Counts that must agree with each other (I10)."""
        return await self._store.ledger()

    async def audit(self, *, after: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        return await self._store.audit(after=after, limit=limit)

    async def note_refusal(self, *, by: str, why: Mapping[str, object]) -> None:
        """Audit a call that was turned away before it was a call."""
        audit = AuditNote(actor=by, action="Refused", subject="api", detail=why)
        await self._store.save([Change(audit=(audit,))])

    async def verify_audit(self) -> int:
        return await self._store.verify_audit()

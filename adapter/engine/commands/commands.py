"""Commands to meters: submitted, looked at, decided about."""

from collections.abc import Mapping, Sequence

from adapter.commands.activity import Command, CommandRequest, State
from adapter.commands.events import (
    Approved,
    CancelAsked,
    ClockCorrected,
    DiscardAsked,
    Resolved,
    RetryAsked,
)
from adapter.commands.outcomes import EndpointOutcome
from adapter.engine.commands.apply import SavedWith
from adapter.engine.commands.awaited import Progress
from adapter.engine.commands.bulk import BulkRequests, BulkStore
from adapter.engine.commands.ports import AuditEntry, Clock, Filter, Logged, Store
from adapter.engine.commands.workers import CommandWorkers
from adapter.engine.listing import Listing
from adapter.engine.readings.incomplete import incomplete
from adapter.engine.readings.ports import Blocks, MeasurementStore
from adapter.engine.upkeep.set_aside import RowKind
from adapter.engine.upkeep.signals import say_command_waits
from adapter.errors import Conflict, Forbidden, NotFound
from adapter.model.ids import CommandId, EndpointId
from adapter.model.names import alike


class Commands:
    """Submit commands, look at them, decide about them. A command is durable when `submit`
    returns; everything may be called from several tasks at once.

    Raises InvalidRequest, which names field and rule; NotFound; Conflict (the idempotency key has
    other content, or the command's state forbids it); Forbidden where it takes a second person;
    StoreFailed.
    """

    def __init__(
        self,
        store: Store,
        bulks: BulkStore,
        workers: CommandWorkers,
        data: MeasurementStore,
        clock: Clock,
    ) -> None:
        self._store = store
        self._workers = workers
        self._data = data
        self._clock = clock
        self.bulk = BulkRequests(store, bulks, workers.submitter, workers.signals, clock)
        store.set_aside.on_discard(RowKind.COMMAND, self._give_up)

    async def submit(
        self, request: CommandRequest, *, actor: str = "api", order_kind: str = ""
    ) -> Command:
        """Accept a command. The same idempotency key gives the same command, for ever. `order_kind`
        is the kind of the service order that asks for it.

        A request that can never work raises InvalidRequest and stores nothing. One that breaks a
        rule of the world as it is (install state, open opposite command) is stored in
        `validation_error`, from where it can be retried.
        """
        made = await self._workers.submitter.submit(request, actor=actor, order_kind=order_kind)
        found = await self.get(made)
        say_command_waits(self._workers.signals, found)
        return found

    # ------------------------------------------------------------ look

    @property
    def ended(self) -> Mapping[tuple[str, str], int]:
        """How many have ended since the start, by kind and outcome."""
        return self._workers.applier.ended

    async def get(self, command: CommandId) -> Command:
        """Raises NotFound."""
        found = await self._store.load([command])
        if command not in found:
            raise NotFound(f"no command {command}")
        return found[command]

    async def by_key(self, key: str) -> CommandId | None:
        """The command that was accepted under an idempotency key."""
        return await self._store.by_key(key)

    async def list(self, wanted: Filter | None = None) -> Listing[Command, CommandId]:
        """Newest first; what cannot be read is among `unreadable`."""
        return await self._store.list(wanted or Filter())

    async def wait(self, command: CommandId, *, timeout_s: float) -> Command:
        """The command when it is final or needs a person, or as it is after `timeout_s` seconds."""
        return await self._workers.watchers.wait(command, self.get, timeout_s=timeout_s)

    def progress(self, command: CommandId) -> Progress | None:
        """How far a read for many is, while its data are awaited; None where that is not known."""
        return self._workers.monitor.progress(command)

    async def history(self, command: CommandId) -> Sequence[AuditEntry]:
        """Every transition with its cause, oldest first."""
        return await self._store.audit(subject=command)

    async def outcomes(self, command: CommandId) -> Sequence[EndpointOutcome]:
        return await self._store.outcomes(command)

    async def incomplete(self, command: Command) -> Mapping[EndpointId, Blocks]:
        """The meters of an interval read, as `get` gives it, of whose blocks some have not come."""
        return await incomplete(self._data, command, self._clock.now())

    async def messages(self, command: CommandId) -> Sequence[Logged]:
        """The SOAP messages of the command's communications, callback secrets masked."""
        return await self._store.messages(command)

    # ------------------------------------------------------------ decide

    async def cancel(self, command: CommandId, *, by: str, reason: str = "") -> Command:
        """Cancel: at once if nothing was sent, else by CancelRequest. Conflict when too late."""
        event = CancelAsked(by=by, reason=reason)
        return await self._workers.applier.apply(command, event, SavedWith(actor=by))

    async def retry(self, command: CommandId, *, by: str) -> Command:
        """Try again what waits in an error state, on fresh facts."""
        found = await self.get(command)
        if found.activity.state is State.VALIDATION_ERROR:
            return await self._workers.monitor.revalidate(found, actor=by)
        return await self._workers.applier.apply(command, RetryAsked(by=by), SavedWith(actor=by))

    async def discard(self, command: CommandId, *, by: str, reason: str = "") -> Command:
        event = DiscardAsked(by=by, reason=reason)
        return await self._workers.applier.apply(command, event, SavedWith(actor=by))

    async def _give_up(self, command: str, by: str, reason: str) -> None:
        """A person discarded it where it was set aside: it ends, as far as its state allows."""
        try:
            await self.discard(CommandId(command), by=by, reason=reason)
        except Conflict:
            await self.cancel(CommandId(command), by=by, reason=reason)

    async def approve(self, command: CommandId, *, by: str) -> Command:
        """Approve a disconnect. Raises Forbidden for the requester."""
        found = await self.get(command)
        if alike(by, found.request.requester):
            raise Forbidden("the requester cannot approve the own command")
        later = self._workers.submitter.spread_again(found)
        event = Approved(by=by, not_before=later)
        return await self._workers.applier.apply(command, event, SavedWith(actor=by))

    async def resolve(
        self, command: CommandId, *, done: bool, operator: str, approver: str, note: str = ""
    ) -> Command:
        """Close an unknown outcome, as done or as not done, by two different people."""
        event = Resolved(done=done, operator=operator, approver=approver, note=note)
        return await self._workers.applier.apply(command, event, SavedWith(actor=operator))

    async def correct(self, command: CommandId, event: ClockCorrected) -> None:
        """The clock was wrong and is right again."""
        await self._workers.applier.apply(command, event)

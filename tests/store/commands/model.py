"""The store as plain dictionaries: what the one on disk is compared with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapter.commands.activity import Command, Communication, CommunicationState, Work
from adapter.commands.flows import Operation
from adapter.commands.lifecycle import wake_of
from adapter.commands.outcomes import EndpointOutcome
from adapter.commands.rules import priority_of
from adapter.engine.commands.ports import (
    Accepted,
    AuditEntry,
    AuditNote,
    Change,
    Debit,
    Duplicate,
    Filter,
    Found,
    Import,
    InboxRow,
    InboxState,
    KeyConflict,
    LaneTaken,
    Leased,
    Ledger,
    Logged,
    LoggedCall,
    PublicationRow,
    Received,
    Saved,
    Submission,
    Submitted,
    refusal_of,
)
from adapter.engine.listing import Listing
from adapter.engine.registry.ports import Known
from adapter.engine.upkeep.set_aside import SetAside
from adapter.model.bounds import TIB
from adapter.model.device import DeviceView
from adapter.model.ids import (
    CommandId,
    CommunicationId,
    DeviceId,
    EndpointId,
    InboxId,
    RequestToken,
)
from adapter.model.reading import InitialMeasurement
from adapter.model.values import replace
from adapter.store.commands.parking import PUSHED_OUT
from adapter.store.rows import due_of
from tests.store.commands.model_commands import count, fits
from tests.store.commands.model_inbox import InboxModel
from tests.store.commands.model_journal import Journal
from tests.store.commands.model_registry import RegistryModel


@dataclass(slots=True)
class _Stored:
    """A command with what the store keeps beside it; `due` of its communications moves on."""

    command: Command
    content: str
    priority: int
    wake: datetime | None
    due: dict[CommunicationId, datetime | None]


class ModelStore:
    """The Store port without a disk. Closing keeps the content, so that it can be opened again."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self._now = now
        self._commands: dict[CommandId, _Stored] = {}
        self._communications: dict[CommunicationId, CommandId] = {}
        self._tokens: dict[RequestToken, CommunicationId] = {}
        self._keys: dict[str, CommandId] = {}
        self._outcomes: dict[CommandId, dict[EndpointId, EndpointOutcome]] = {}
        self._lanes: dict[str, CommandId] = {}
        self._debits: dict[str, list[datetime]] = {}
        self._messages: list[Logged] = []
        self._measurements: dict[str, InitialMeasurement] = {}
        self._registry = RegistryModel()
        self._inbox = InboxModel()
        self._journal = Journal()
        self.set_aside = SetAside()

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    # ------------------------------------------------------------ commands

    async def submit(self, batch: Sequence[Submission]) -> Sequence[Submitted]:
        at = self._now()
        return [self._submit(item, at) for item in batch]

    def _submit(self, item: Submission, at: datetime) -> Submitted:
        command = item.command
        known = self._commands.get(command.id)
        if known is not None:
            same = known.content == item.content
            return Accepted(id=command.id, repeated=True) if same else KeyConflict(id=command.id)
        owner = None if item.key is None else self._keys.get(item.key)
        if owner is not None:
            same = self._commands[owner].content == item.content
            return Duplicate(id=owner) if same else KeyConflict(id=owner)
        holders = self._other_holders(item.lanes, command.id)
        if holders and not item.steal:
            return LaneTaken(holders=holders)
        if item.key is not None:
            self._keys[item.key] = command.id
        self._commands[command.id] = _Stored(
            command, item.content, priority_of(command.request).rank, item.wake, due={}
        )
        self._put_communications(command, item)
        self._lanes.update(dict.fromkeys(item.lanes, command.id))
        self._put_outcomes(command.id, item.outcomes)
        self._journal.publish(item.publications, at)
        self._journal.note(item.audit, at)
        return Accepted(id=command.id)

    async def load(self, ids: Sequence[CommandId]) -> Mapping[CommandId, Command]:
        return {item: self._commands[item].command for item in ids if item in self._commands}

    async def save(self, batch: Sequence[Change]) -> Sequence[Saved]:
        at = self._now()
        for change in batch:
            self._inbox.check(change.inbox)
        return [self._save(change, at) for change in batch]

    def _save(self, change: Change, at: datetime) -> Saved:
        command = change.command
        if command is not None:
            stored = self._commands.get(command.id)
            if stored is None or stored.command.version != command.version:
                return Saved.MOVED
        if not all(self._registry.unmoved(install) for install in change.installs):
            return Saved.MOVED
        if command is not None:
            if self._other_holders(change.acquire, command.id):
                return Saved.LANE_TAKEN
            if self._token_taken(command.communications):
                return Saved.TOKEN_TAKEN
        if change.debit is not None and not self._affordable(change.debit, at):
            return Saved.OVER_BUDGET
        if command is not None:
            self._save_command(command, change)
        if change.debit is not None:
            self._debits.setdefault(change.debit.bucket, []).append(at)
        for install in change.installs:
            self._registry.put(install)
        for measurement in change.measurements:
            self._measurements.setdefault(measurement.id, measurement)
        self._inbox.dispose(change.inbox, self._tokens)
        self._inbox.put_judged(change.received)
        self._journal.publish(change.publications, at)
        self._journal.note(change.audit, at)
        return Saved.SAVED

    def _save_command(self, command: Command, change: Change) -> None:
        stored = self._commands[command.id]
        self._put_communications(command, change)
        stored.wake = change.wake
        if change.release:
            self._lanes = {k: v for k, v in self._lanes.items() if v != command.id}
        self._lanes.update(dict.fromkeys(change.acquire, command.id))
        self._put_outcomes(command.id, change.outcomes)
        written_once = {item.id: item.endpoints for item in stored.command.communications}
        stored.command = replace(
            command,
            request=stored.command.request,
            targets=stored.command.targets,
            communications=tuple(
                replace(item, endpoints=written_once.get(item.id, item.endpoints))
                for item in command.communications
            ),
            version=command.version + 1,
        )

    def _put_communications(self, command: Command, saved: Change | Submission) -> None:
        """A lease holds for as long as work, state and wake stay as they were."""
        stored = self._commands[command.id]
        before = {item.id: _plan(item) for item in stored.command.communications}
        known = dict(self._tokens)
        for item in stored.command.communications:
            if item.token is not None:
                self._tokens.pop(item.token, None)
        for item in command.communications:
            self._communications[item.id] = command.id
            if item.token is not None:
                self._tokens[item.token] = item.id
            if item.id not in stored.due or before[item.id] != _plan(item):
                leased = item.id in saved.leased
                stored.due[item.id] = saved.lease_until if leased else due_of(item)
        new = (x for x in command.communications if x.token and known.get(x.token) != x.id)
        self._inbox.unpark([x.token for x in new if x.token])

    def _token_taken(self, communications: Iterable[Communication]) -> bool:
        tokens = [(item.token, item.id) for item in communications if item.token is not None]
        twice = len({token for token, _ in tokens}) < len(tokens)
        return twice or any(self._tokens.get(token, owner) != owner for token, owner in tokens)

    def _other_holders(self, lanes: Iterable[str], command: CommandId) -> dict[str, CommandId]:
        held = {lane: self._lanes[lane] for lane in lanes if lane in self._lanes}
        return {lane: holder for lane, holder in held.items() if holder != command}

    def _affordable(self, debit: Debit, at: datetime) -> bool:
        since = at - timedelta(microseconds=round(debit.window_s * 1_000_000))
        used = [time for time in self._debits.get(debit.bucket, ()) if time > since]
        return len(used) < debit.limit

    def _put_outcomes(self, command: CommandId, outcomes: Iterable[EndpointOutcome]) -> None:
        for item in outcomes:
            self._outcomes.setdefault(command, {})[item.endpoint] = item

    def _all_communications(self) -> Iterable[tuple[_Stored, Communication]]:
        return (
            (stored, x) for stored in self._commands.values() for x in stored.command.communications
        )

    async def claim(
        self,
        work: Work,
        *,
        limit: int,
        now: datetime,
        lease_until: datetime,
        skip: frozenset[Operation] = frozenset(),
    ) -> Sequence[Leased]:
        ready = sorted(
            (stored.priority, due, communication.id)
            for stored, communication in self._all_communications()
            if communication.work is work
            and communication.operation not in skip
            and (due := stored.due[communication.id]) is not None
            and due <= now
        )[:limit]
        leased = [self._lease(communication) for _, _, communication in ready]
        for item in leased:
            self._commands[item.command].due[item.communication] = lease_until
        return leased

    def _lease(self, communication: CommunicationId) -> Leased:
        stored = self._commands[self._communications[communication]]
        return Leased(
            command=stored.command.id,
            communication=communication,
            operation=stored.command.communication(communication).operation,
            priority=stored.priority,
        )

    async def due(self, *, limit: int, now: datetime, lease_until: datetime) -> Sequence[CommandId]:
        ready = sorted(
            (stored.wake, command)
            for command, stored in self._commands.items()
            if stored.wake is not None and stored.wake <= now
        )[:limit]
        for _, command in ready:
            self._commands[command].wake = lease_until
        return [command for _, command in ready]

    async def free_claimed(self, *, now: datetime, until: datetime) -> int:
        freed = 0
        for stored in self._commands.values():
            for item in stored.command.communications:
                leased, due = stored.due[item.id], due_of(item)
                if leased and due and now < leased <= until and due < leased:
                    stored.due[item.id], freed = due, freed + 1
            own = wake_of(stored.command)
            if stored.wake and now < stored.wake <= until and own is not None and own <= now:
                stored.wake, freed = own, freed + 1
        return freed

    async def sending(self) -> Sequence[Leased]:
        found = [
            x.id for _, x in self._all_communications() if x.state is CommunicationState.SENDING
        ]
        return [self._lease(communication) for communication in sorted(found)]

    async def next_wake(self, skip: frozenset[Operation] = frozenset()) -> datetime | None:
        times = [stored.wake for stored in self._commands.values()]
        times += [
            due
            for stored in self._commands.values()
            for item in stored.command.communications
            if (due := stored.due.get(item.id)) is not None
            and not (item.work is Work.SEND and item.operation in skip)
        ]
        times += self._inbox.next_wakes()
        return min((time for time in times if time is not None), default=None)

    async def find(
        self, *, communications: Sequence[CommunicationId] = (), tokens: Sequence[RequestToken] = ()
    ) -> Sequence[Found]:
        by_token = [self._tokens[token] for token in tokens if token in self._tokens]
        known = [item for item in communications if item in self._communications]
        found: list[Found] = []
        for communication in dict.fromkeys([*known, *by_token]):
            command = self._commands[self._communications[communication]].command
            found.append(
                Found(
                    command=command.id,
                    version=command.version,
                    communication=command.communication(communication),
                )
            )
        return found

    async def holders(self, lanes: Sequence[str]) -> Mapping[str, CommandId]:
        return {lane: self._lanes[lane] for lane in sorted(set(lanes)) if lane in self._lanes}

    # ------------------------------------------------------------ inbound

    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        ids: list[InboxId] = []
        for item in batch:
            (inbox,) = self._inbox.receive([item])
            ids.append(inbox)
            row, note = self._inbox.get(inbox), refusal_of(inbox, item)
            if note is not None and row is not None and row.times == 1:
                self._journal.note((note,), self._now())
        return ids

    async def park(
        self, received: Received, token: RequestToken, reason: str, wake: datetime
    ) -> bool:
        unknown = token not in self._tokens
        if unknown:
            self._inbox.park(received, token, reason, wake)
        return unknown

    async def bound_quarantine(self, most_bytes: int) -> int:
        parts = [removed for removed in self._inbox.bound_quarantine(most_bytes) if removed]
        for removed in parts:
            detail = {
                "rows": len(removed),
                "first": min(removed),
                "last": max(removed),
                "bytes": sum(removed.values()),
                "reason": "quarantine is full",
            }
            note = AuditNote(actor="gateway", action="Removed", subject="inbox", detail=detail)
            self._journal.note((note,), self._now())
        return sum(sum(removed.values()) for removed in parts)

    def free_bytes(self) -> int:
        return TIB

    async def unread(self, *, limit: int, now: datetime) -> Sequence[InboxRow]:
        return self._inbox.unread(limit=limit, now=now)

    async def untaken(self, until: datetime) -> bool:
        return self._inbox.untaken(until)

    def at_hand(self, communication: CommunicationId) -> Found | None:
        return None

    async def bound_parked(self, most: int) -> int:
        moved = self._inbox.bound_parked(most, self._now())
        if moved:
            detail = {
                "rows": len(moved),
                "first": min(moved),
                "last": max(moved),
                "reason": PUSHED_OUT,
            }
            note = AuditNote(actor="gateway", action="Quarantined", subject="inbox", detail=detail)
            self._journal.note((note,), self._now())
        return len(moved)

    async def inbox(
        self, *, state: InboxState | None = None, limit: int = 50, before: InboxId | None = None
    ) -> Sequence[InboxRow]:
        return self._inbox.list(state=state, limit=limit, before=before)

    async def inbox_row(self, inbox: InboxId) -> InboxRow | None:
        return self._inbox.get(inbox)

    # ------------------------------------------------------------ measurements

    async def measurements(
        self, device: DeviceId, *, limit: int = 100
    ) -> Sequence[InitialMeasurement]:
        mine = [item for item in self._measurements.values() if item.device == device]
        return sorted(mine, key=lambda item: (item.end, item.id), reverse=True)[:limit]

    # ------------------------------------------------------------ queries

    async def list(self, wanted: Filter) -> Listing[Command, CommandId]:
        found = [
            stored.command
            for _, stored in sorted(self._commands.items(), reverse=True)
            if fits(stored.command, wanted)
        ]
        page = found[: wanted.limit]
        return Listing(ids=[command.id for command in page], rows=page, unreadable=[])

    async def by_key(self, key: str) -> CommandId | None:
        return self._keys.get(key)

    async def outcomes(self, command: CommandId) -> Sequence[EndpointOutcome]:
        return [outcome for _, outcome in sorted(self._outcomes.get(command, {}).items())]

    async def audit(
        self, *, subject: str | None = None, after: int = 0, limit: int = 1000
    ) -> Sequence[AuditEntry]:
        mine = (
            communication
            for communication, owner in self._communications.items()
            if owner == subject
        )
        subjects = None if subject is None else {subject, *mine}
        return self._journal.audit(subjects, after, limit)

    async def verify_audit(self, heads: Sequence[tuple[int, str]] = ()) -> int:
        return self._journal.verify_audit(heads)

    async def audit_head(self) -> tuple[int, str]:
        return self._journal.head.seq, self._journal.head.digest.hex()

    async def ledger(self) -> Ledger:
        commands = [stored.command for stored in self._commands.values()]
        return Ledger(
            accepted=len(commands),
            commands_by_state=count(command.activity.state for command in commands),
            received=len(self._inbox.states()),
            inbox_by_state=count(self._inbox.states()),
            callbacks=self._inbox.callbacks(),
            communications_by_state=count(
                x.state for _, x in self._all_communications() if x.sent_at is not None
            ),
            completion_events=count(
                f"{event.kind}:{event.state}"
                for command in commands
                for event in command.activity.completions
            ),
            publications=self._journal.published,
        )

    def log_call(self, call: LoggedCall) -> None:
        told = Logged(
            communication=call.communication,
            at=call.sent_at,
            outbound=True,
            operation=call.operation,
            status=0,
            body=call.request,
        )
        reply = replace(
            told, at=call.replied_at, outbound=False, status=call.status, body=call.reply
        )
        self._messages += [told, reply]

    async def messages(self, command: CommandId) -> Sequence[Logged]:
        callbacks = self._inbox.logged(command, self._tokens)
        found = [
            item
            for item in (*self._messages, *callbacks)
            if self._communications.get(item.communication) == command
        ]
        return sorted(found, key=lambda item: (item.at, not item.outbound))

    # ------------------------------------------------------------ events out

    async def outbox(self, sink: str, *, limit: int) -> Sequence[PublicationRow]:
        return self._journal.outbox(sink, limit=limit)

    async def publications(self, sink: str, numbers: Sequence[int]) -> Sequence[PublicationRow]:
        return [row for row in self._journal.outbox("", limit=2**63) if row.seq in numbers]

    async def delivered(self, sink: str, seq: int) -> None:
        self._journal.delivered(sink, seq)

    # ------------------------------------------------------------ registry

    async def known(self, what: Import) -> Known:
        return self._registry.known(what)

    async def import_(
        self,
        what: Import,
        *,
        asked: Import | None = None,
        seen: Known | None = None,
        audit: Sequence[AuditNote] = (),
    ) -> Saved:
        if not self._registry.import_(what, asked or what, seen or Known()):
            return Saved.MOVED
        self._journal.note(audit, self._now())
        return Saved.SAVED

    async def views(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceView]:
        return self._registry.views(devices)

    async def at_endpoints(
        self, endpoints: Sequence[EndpointId]
    ) -> Mapping[EndpointId, Sequence[DeviceView]]:
        return self._registry.at_endpoints(endpoints)

    async def shared_endpoints(self) -> Mapping[EndpointId, Sequence[DeviceView]]:
        return self._registry.shared_endpoints()

    async def members(self, group: str) -> Sequence[DeviceId]:
        return self._registry.members(group)

    async def devices(
        self, *, after: DeviceId | None = None, limit: int = 100
    ) -> Sequence[DeviceView]:
        return self._registry.devices(after=after, limit=limit)


def _plan(communication: Communication) -> tuple[Work, CommunicationState, datetime | None]:
    return communication.work, communication.state, communication.wake

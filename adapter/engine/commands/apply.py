"""The only place where commands change: load, step, save with everything that goes along.

What arrives while a save is under way becomes the next batch; a row that moved meanwhile is loaded
and stepped again. One command's events of a batch are stepped one after the other.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from adapter.commands.activity import FINAL, Command, CommunicationState
from adapter.commands.business_objects import object_of_event
from adapter.commands.effects import Effect, RecordOutcomes, ReleaseLanes
from adapter.commands.events import Event
from adapter.commands.flows import CommandKind
from adapter.commands.lifecycle import Step, step
from adapter.commands.outcomes import EndpointOutcome
from adapter.commands.timing import Policy
from adapter.commands.usage_limits import Uses
from adapter.commands.waits import waits
from adapter.engine.commands.at_once import AtOnce, LeasedWork
from adapter.engine.commands.ports import (
    AuditNote,
    Change,
    Clock,
    Debit,
    Disposition,
    JudgedMessage,
    Saved,
    Store,
)
from adapter.engine.commands.publications import ends, publications
from adapter.engine.commands.save_result import SaveResult
from adapter.errors import Conflict, Forbidden, GatewayError, NotFound, StoreFailed
from adapter.model.device import InstallEvent
from adapter.model.ids import CommandId
from adapter.model.reading import InitialMeasurement
from adapter.model.values import replace_struct as replace

log = logging.getLogger(__name__)

_BATCH: Final = 256
_MOVED_TRIES: Final = 20


class OverBudget(Forbidden):
    """The budget for disconnects is used up for now."""

    code = "over_budget"


class OverLimit(Forbidden):
    """A cap or quota has no room: it waits until it has."""

    code = "over_limit"


class SwitchHeld(Conflict):
    """No connect and no disconnect leaves now."""

    code = "switch_held"


class TokenTaken(Conflict):
    """The token is another communication's: the head end gave or told somebody else's."""

    code = "token_taken"


class SavedWith(Struct, frozen=True, kw_only=True, gc=False):
    """What is stored in the same transaction as the step."""

    actor: str = "gateway"
    inbox: tuple[Disposition, ...] = ()
    received: tuple[JudgedMessage, ...] = ()
    installs: tuple[InstallEvent, ...] = ()
    measurements: tuple[InitialMeasurement, ...] = ()
    acquire: tuple[str, ...] = ()
    debit: Debit | None = None
    uses: Uses | None = None
    given_back: Uses | None = None
    switches: bool = False

    @property
    def conditional(self) -> bool:
        """Whether the store may refuse it for another reason than a moved row."""
        return bool(self.debit or self.acquire or self.installs or self.uses or self.given_back)

    def joined(self, other: "SavedWith") -> "SavedWith":
        """Both, stored as one; the first debit counts."""
        if self is _NOTHING:
            return other
        return SavedWith(
            inbox=self.inbox + other.inbox,
            received=self.received + other.received,
            installs=self.installs + other.installs,
            measurements=self.measurements + other.measurements,
            acquire=self.acquire + other.acquire,
            debit=self.debit or other.debit,
            uses=self.uses or other.uses,
            given_back=self.given_back or other.given_back,
            switches=self.switches or other.switches,
        )


_NOTHING: Final = SavedWith()


class _Application(Struct, eq=False):
    command: CommandId
    event: Event
    along: SavedWith
    done: SaveResult
    tries: int = 0
    alone: bool = False


class _Draft(Struct, eq=False):
    """One command's part of a batch."""

    before: Command
    after: Command
    along: SavedWith
    taken: LeasedWork | None = None
    jobs: list[_Application] = []
    effects: list[Effect] = []
    notes: list[AuditNote] = []
    recorded: tuple[EndpointOutcome, ...] = ()
    stored: Sequence[EndpointOutcome] = ()
    """Outcomes of its endpoints that were recorded before, where it has ended."""


class Applier:
    """`changed` is called with every command that was saved: a hint, never needed for truth."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        policies: Mapping[CommandKind, Policy],
        at_once: AtOnce,
        *,
        changed: Callable[[Command], None] = lambda command: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._policies = policies
        self._at_once = at_once
        self._changed = changed
        self._pending: list[_Application] = []
        self._flushing: asyncio.Task[None] | None = None
        self.ended: Counter[tuple[str, str]] = Counter()
        """How many have ended since the start, by kind and outcome."""

    async def apply(
        self, command: CommandId, event: Event, along: SavedWith | None = None
    ) -> Command:
        """Step one command by one event and save it.

        Returns the command as saved. Raises NotFound, IllegalTransition, Forbidden, OverBudget, or
        StoreFailed; nothing was changed then, except that StoreFailed leaves it unknown.
        """
        done: asyncio.Future[Command] = asyncio.get_running_loop().create_future()
        self.begin(command, event, along or _NOTHING, done)
        return await done

    def begin(self, command: CommandId, event: Event, along: SavedWith, told: SaveResult) -> None:
        """As `apply`: `told` hears the same result or error when it is saved."""
        self._pending.append(_Application(command, event, along, told))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._take()
                try:
                    await self._run_all(batch)
                except BaseException as error:
                    _fail(batch, error)
                    if not isinstance(error, Exception):
                        raise
        finally:
            self._flushing = None

    async def _run_all(self, batch: list[_Application]) -> None:
        """What one event cannot bear costs no other of the batch: each runs alone then. Nothing of
        the batch was saved, for it is one transaction."""
        try:
            await self._run(batch)
        except StoreFailed:
            raise
        except Exception as error:
            left = [job for job in batch if not job.done.done()]
            if len(left) <= 1:
                raise
            log.warning("batch_failed", extra={"error": repr(error), "events": len(left)})
            for job in left:
                await self._run_alone(job)

    async def _run_alone(self, job: _Application) -> None:
        try:
            await self._run([job])
        except StoreFailed:
            raise
        except Exception as error:  # told to who asked for it
            _fail([job], error)

    def _take(self) -> tuple[list[_Application], list[_Application]]:
        """The next batch: a job that the store may refuse goes alone for its command."""
        batch: list[_Application] = []
        later: list[_Application] = []
        alone: set[CommandId] = set()
        taken: set[CommandId] = set()
        for job in self._pending:
            single = job.alone or job.along.conditional
            full = len(batch) >= _BATCH or job.command in alone
            if full or (single and job.command in taken):
                later.append(job)
                alone.add(job.command)
                continue
            batch.append(job)
            taken.add(job.command)
            if single:
                alone.add(job.command)
        return batch, later

    async def _run(self, batch: list[_Application]) -> None:
        loaded = await self._store.load(list(dict.fromkeys(job.command for job in batch)))
        drafts: dict[CommandId, _Draft] = {}
        now = self._clock.now()
        for job in batch:
            before = loaded.get(job.command)
            if before is None:
                _fail([job], NotFound(f"no command {job.command}"))
                continue
            draft = drafts.get(job.command)
            if draft is None:
                draft = drafts[job.command] = _Draft(before, before, _NOTHING)
            self._step(draft, job, now)
        ready = [draft for draft in drafts.values() if draft.jobs]
        if not ready:
            return
        for draft in ready:
            draft.recorded = outcomes(draft.effects)
            if ends(draft.after, draft.effects, draft.recorded):
                draft.stored = await self._store.outcomes(draft.after.id)
        results = await self._store.save([self._change(draft, now) for draft in ready])
        for draft, saved in zip(ready, results, strict=True):
            self._settle(draft, saved)

    def _step(self, draft: _Draft, job: _Application, now: datetime) -> None:
        policy = self._policies[draft.after.request.kind]
        try:
            before = draft.after
            made = step(before, job.event, now=now, policy=policy)
        except GatewayError as error:
            _fail([job], error)
            return
        draft.after = made.command
        draft.jobs.append(job)
        draft.along = draft.along.joined(job.along)
        draft.effects.extend(made.effects)
        draft.notes.append(note(job.along.actor, job.event, made, waits(before, made.command, now)))

    def _change(self, draft: _Draft, now: datetime) -> Change:
        along, recorded = draft.along, draft.recorded
        draft.taken = taken = self._at_once.take(draft.before, draft.after, now)
        return Change(
            command=draft.after,
            wake=taken.wake,
            leased=taken.leased,
            lease_until=taken.until,
            acquire=along.acquire,
            release=_releases(draft.effects),
            audit=tuple(draft.notes),
            publications=publications(draft.after, draft.effects, (*draft.stored, *recorded)),
            outcomes=recorded,
            inbox=along.inbox,
            received=along.received,
            installs=along.installs,
            measurements=along.measurements,
            debit=along.debit,
            uses=along.uses,
            given_back=_unused(along.given_back, draft.after),
            switches=along.switches,
        )

    def _settle(self, draft: _Draft, saved: Saved) -> None:
        if saved is Saved.SAVED:
            after = replace(draft.after, version=draft.after.version + 1)
            for job in draft.jobs:
                if not job.done.done():
                    job.done.set_result(after)
            if draft.taken is not None:
                self._at_once.carry(after, draft.taken)
            activity = after.activity
            if activity.state in FINAL and draft.before.activity.state not in FINAL:
                self.ended[after.request.kind, activity.outcome or ""] += 1
            self._changed(after)
        elif saved is Saved.MOVED:
            for job in draft.jobs:
                job.tries += 1
                if job.tries >= _MOVED_TRIES or job.along.installs:
                    _fail([job], Conflict(f"command {job.command} keeps moving"))
                else:
                    self._pending.append(job)
        elif saved is Saved.OVER_BUDGET:
            _fail(draft.jobs, OverBudget("the budget is used up for now"))
        elif saved is Saved.OVER_LIMIT:
            _fail(draft.jobs, OverLimit("a limit has no room for now"))
        elif saved is Saved.HELD:
            _fail(draft.jobs, SwitchHeld("switch orders are held"))
        elif saved is Saved.TOKEN_TAKEN:
            self._token_taken(draft)
        else:
            _fail(draft.jobs, Conflict(f"{saved.value}: {draft.after.id}"))

    def _token_taken(self, draft: _Draft) -> None:
        """Tell the one whose token it is; of several, run each alone to find out whose."""
        if len(draft.jobs) > 1:
            for job in draft.jobs:
                job.alone = True
            self._pending.extend(draft.jobs)
        else:
            _fail(
                draft.jobs,
                TokenTaken(f"{draft.after.id}: the token belongs to another communication"),
            )


_NOT_LEFT: Final = frozenset(
    {CommunicationState.QUEUED, CommunicationState.FAILED, CommunicationState.CANCELED}
)


def _unused(given_back: Uses | None, after: Command) -> Uses | None:
    """What a send did not use after all: not where a callback shows that the head end has it."""
    if given_back is None:
        return None
    return given_back if after.communication(given_back.communication).state in _NOT_LEFT else None


def _fail(jobs: Sequence[_Application], error: BaseException) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(error)


def outcomes(effects: Sequence[Effect]) -> tuple[EndpointOutcome, ...]:
    if not effects:  # as of most events
        return ()
    return tuple(
        row for effect in effects if isinstance(effect, RecordOutcomes) for row in effect.rows
    )


def _releases(effects: Sequence[Effect]) -> bool:
    if not effects:
        return False
    return any(isinstance(effect, ReleaseLanes) for effect in effects)


_SAFE_FIELDS: Final = (
    "communication", "token", "detail", "by", "reason", "done", "operator", "approver", "note",
    "error", "event", "polled", "needs_approval", "drop_optional",
    "ahead_s", "by_wrong_clock",
)  # fmt: skip

_SUMMED_UP: Final[Mapping[str, Callable[[Any], str]]] = MappingProxyType(
    {
        "status": lambda status: f"{status.state}/{status.result}",
        "fault": lambda fault: f"{fault.name}: {fault.message}",
    }
)


def note(
    actor: str, event: Event, made: Step, waited: Mapping[str, object] = MappingProxyType({})
) -> AuditNote:
    """The audit entry of one step: the cause, every move it made, and what is waited for now."""
    safe, summed_up = _told_of(type(event))
    detail: dict[str, object] = {
        name: str(value) for name in safe if (value := getattr(event, name))
    }
    for name in summed_up:
        if (value := getattr(event, name)) is not None:
            detail[name] = _SUMMED_UP[name](value)
    about = object_of_event(made.command, event)
    if about is not None:
        detail["business_object"] = about
    detail["moves"] = [[move.subject, move.before, move.after] for move in made.moves]
    if waited:
        detail["waits"] = waited
    return AuditNote(
        actor=actor, action=type(event).__name__, subject=made.command.activity.id, detail=detail
    )


@cache
def _told_of(kind: type[Event]) -> tuple[Sequence[str], Sequence[str]]:
    """Which of its fields are told as they are, and which summed up."""
    known = kind.__struct_fields__
    return (
        [name for name in _SAFE_FIELDS if name in known],
        [name for name in _SUMMED_UP if name in known],
    )

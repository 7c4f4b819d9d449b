"""From a request to a stored command: judged on fresh facts, once for each idempotency key."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from adapter.commands.activity import Activity, Command, CommandRequest
from adapter.commands.flows import SWITCH_KINDS, CommandKind, Priority, Scope
from adapter.commands.lifecycle import step
from adapter.commands.rules import SwitchPolicy, check_request, lanes_of
from adapter.commands.timing import Policy, after
from adapter.commands.usage_limits import place_of, spread_again, spread_of, spread_to
from adapter.commands.waits import waits
from adapter.engine.commands.apply import note, outcomes
from adapter.engine.commands.at_once import AtOnce, LeasedWork
from adapter.engine.commands.ports import (
    Accepted,
    AuditNote,
    Clock,
    DeviceRegistry,
    Duplicate,
    Filter,
    KeyConflict,
    LaneTaken,
    Store,
    Submission,
)
from adapter.engine.commands.publications import publications
from adapter.engine.commands.validation import Facts, Surveyed, Validation
from adapter.engine.sortable_ids import SortableIds
from adapter.engine.tracing import SpanName, TraceSpan, span
from adapter.errors import Conflict
from adapter.model.ids import CommandId, DeviceId, ServicePointId
from adapter.model.values import replace

_SUBMIT_TRIES: Final = 5
_LISTS: Final = 1_000
"""So many lists whose commands are spread are counted at once; of more the oldest begins anew."""


class Prepared(Struct, frozen=True, kw_only=True):
    """A command that may be stored, and what of its work whoever stores it has leased."""

    submission: Submission
    surveyed: Surveyed
    leased: LeasedWork
    draft: Command
    actor: str
    at_once: bool


class Submitter:
    """`entropy` gives the random 80 bits of an id."""

    def __init__(
        self,
        store: Store,
        registry: DeviceRegistry,
        validation: Validation,
        clock: Clock,
        policies: Mapping[CommandKind, Policy],
        entropy: Callable[[], int],
        at_once: AtOnce,
        switch: SwitchPolicy | None = None,
    ) -> None:
        self._switch = switch or SwitchPolicy()
        self._store = store
        self._registry = registry
        self._validation = validation
        self._clock = clock
        self._policies = policies
        self._ids = SortableIds(entropy)
        self._at_once = at_once
        self._spread_so_far: dict[object, tuple[str, int]] = {}
        """Of each list of commands that are spread: its first one's id, and how many there are."""

    async def submit(
        self, request: CommandRequest, *, actor: str, order_kind: str = ""
    ) -> CommandId:
        """The command of the request. Raises InvalidRequest, UnknownDevice and Conflict; see
        `Commands.submit`."""
        with span(SpanName.SUBMIT, None, kind=request.kind, order=request.order or "") as traced:
            made = await self._submit(request, actor, traced, order_kind)
            traced.set("command", made)
            return made

    async def _submit(
        self, request: CommandRequest, actor: str, traced: TraceSpan, order_kind: str
    ) -> CommandId:
        prepared = await self.prepare(
            request, actor=actor, trace=traced.traceparent, order_kind=order_kind
        )
        for _ in range(_SUBMIT_TRIES):
            if not isinstance(prepared, Prepared):
                return prepared
            traced.set("endpoints", len(prepared.draft.targets))
            (result,) = await self._store.submit([prepared.submission])
            match result:
                case Accepted(id=made, repeated=repeated):
                    traced.set("outcome", prepared.submission.command.activity.state)
                    if not repeated:
                        self.carry(prepared)
                    return made
                case Duplicate(id=made):
                    return made
                case KeyConflict(id=made):
                    raise key_conflict(made)
                case LaneTaken(holders=holders):
                    prepared = await self.again(prepared, holders)
        raise Conflict("other commands for this device keep coming and going; try again")

    async def prepare(
        self,
        request: CommandRequest,
        *,
        actor: str,
        trace: str,
        at_once: bool = True,
        order_kind: str = "",
    ) -> Prepared | CommandId:
        """What is to be stored, as if nobody else had the meter; or the command that is known.
        `trace` is the traceparent of what submits it, `order_kind` the kind of the service order
        whose it is. Without `at_once` its work waits in the store. Raises as `submit` does."""
        content = fingerprint(request)
        if (known := await self._known(request, content)) is not None:
            return known
        check_request(request, now=self._clock.now())
        command, surveyed = await self._draft(request, trace, order_kind)
        return await self._first(command, content, actor, surveyed, at_once=at_once)

    async def again(self, prepared: Prepared, holders: Mapping[str, CommandId]) -> Prepared:
        """After the store refused it: these others have the meter."""
        facts = await self._validation.facts(prepared.draft)
        facts = replace(facts, open_commands={**facts.open_commands, **holders})
        return self._prepared(
            prepared.draft,
            facts,
            prepared.submission.content,
            prepared.actor,
            prepared.surveyed,
            at_once=prepared.at_once,
        )

    def carry(self, prepared: Prepared) -> None:
        """It was stored."""
        self._at_once.carry(prepared.submission.command, prepared.leased)

    def next_id(self) -> str:
        """For what is stored beside the commands."""
        return self._ids.next(self._clock.now())

    async def _first(
        self,
        command: Command,
        content: str,
        actor: str,
        surveyed: Surveyed,
        *,
        at_once: bool,
    ) -> Prepared:
        """As if nobody else had the meter: where somebody has, the store refuses it. Only who is
        not accepted anyway, or wants to pass others, asks who they are."""
        if command.request.past_unclear_order is None:
            alone = Facts(violations=surveyed.violations, open_commands={})
            made = self._prepared(command, alone, content, actor, surveyed, at_once=at_once)
            if made.submission.lanes:
                return made
        facts = await self._validation.facts(command, surveyed)
        return self._prepared(command, facts, content, actor, surveyed, at_once=at_once)

    async def _known(self, request: CommandRequest, content: str) -> CommandId | None:
        if request.idempotency_key is None:
            return None
        known = await self._store.by_key(request.idempotency_key)
        if known is None:
            return None
        found = await self._store.load([known])
        if fingerprint(found[known].request) != content:
            raise key_conflict(known)
        return known

    def _spread(
        self, command: CommandId, request: CommandRequest, order_kind: str, start: datetime
    ) -> datetime:
        """When it may leave where many may be asked for at once; what is urgent is not spread. A
        list is what is asked for with the same dates since the gateway was started."""
        switch = self._switch
        if not switch.spread or request.priority is Priority.URGENT:
            return start
        spread = spread_of(switch.spread, request.kind, order_kind)
        if spread is None:
            return start
        later = request.effective_at if request.effective_at == start else None
        key = (spread, later, request.expires_at)
        first, number = self._spread_so_far.pop(key, (command, 0))
        self._spread_so_far[key] = first, number + 1
        if len(self._spread_so_far) > _LISTS:
            del self._spread_so_far[next(iter(self._spread_so_far))]
        place = place_of(number, first)
        expires = request.expires_at
        return spread_to(place, spread.over_s, switch.hours, start=start, expires=expires)

    def spread_again(self, command: Command) -> datetime | None:
        """When one may leave that was spread and is approved only now."""
        if not self._switch.spread:
            return None
        return spread_again(command, self._switch.hours, now=self._clock.now())

    async def _draft(
        self, request: CommandRequest, trace: str, order_kind: str
    ) -> tuple[Command, Surveyed]:
        if not self._ids.known:
            newest = await self._store.list(Filter(limit=1))
            self._ids.after(*newest.ids)
        now = self._clock.now()
        devices: Sequence[DeviceId] = request.devices
        if request.flow.scope is Scope.GROUP and request.group is not None:
            devices = await self._registry.members(request.group)
        surveyed = await self._validation.survey(request, devices)
        policy = self._policies[request.kind]
        made = CommandId(self._ids.next(now))
        effective = max(request.effective_at or now, now)
        if not surveyed.violations:
            effective = self._spread(made, request, order_kind, effective)
        activity = Activity(
            id=made,
            created_at=now,
            effective_at=effective,
            expires_at=request.expires_at or after(effective, policy.expires_s),
            service_point=_place(request, surveyed),
            switch_before=surveyed.switch,
            trace=trace,
        )
        return Command(request=request, targets=surveyed.targets, activity=activity), surveyed

    def _prepared(
        self,
        command: Command,
        facts: Facts,
        content: str,
        actor: str,
        surveyed: Surveyed,
        *,
        at_once: bool,
    ) -> Prepared:
        request = command.request
        verdict = self._validation.judge(command, facts)
        policy = self._policies[request.kind]
        now = self._clock.now()
        made = step(command, verdict, now=now, policy=policy)
        accepted = not verdict.violations and not made.command.activity.state.final
        told: dict[str, object] = {"kind": request.kind.value, "requester": request.requester}
        if surveyed.left_out:
            told["at_another_head_end"] = surveyed.left_out
        asked = AuditNote(actor=actor, action="Submitted", subject=command.id, detail=told)
        take = self._at_once.take if at_once else self._at_once.leave
        taken = take(None, made.command, now)
        submission = Submission(
            command=made.command,
            key=request.idempotency_key,
            content=content,
            wake=taken.wake,
            leased=taken.leased,
            lease_until=taken.until,
            lanes=lanes_of(request, command.targets) if accepted else (),
            steal=request.past_unclear_order is not None,
            audit=(asked, note(actor, verdict, made, waits(command, made.command, now))),
            publications=publications(made.command, made.effects, outcomes(made.effects)),
            outcomes=outcomes(made.effects),
        )
        return Prepared(
            submission=submission,
            surveyed=surveyed,
            leased=taken,
            draft=command,
            actor=actor,
            at_once=at_once,
        )


def _place(request: CommandRequest, surveyed: Surveyed) -> ServicePointId | None:
    """Whose supply a connect or disconnect is about."""
    if request.kind not in SWITCH_KINDS:
        return None
    return request.service_point or surveyed.stands_at


def fingerprint(request: CommandRequest) -> str:
    """Of all that was asked, but for the key."""
    plain = replace(request, idempotency_key=None)
    return hashlib.sha256(msgspec.json.encode(plain, order="deterministic")).hexdigest()


def key_conflict(known: CommandId) -> Conflict:
    return Conflict(f"the idempotency key belongs to command {known}, with other content")

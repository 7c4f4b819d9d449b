"""Scheduled reads: each window becomes one command, once; what came of it is reported."""

import logging
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from heapq import nsmallest
from operator import itemgetter
from typing import Final

from adapter.commands.activity import Command, Target
from adapter.commands.clocks import ClockError
from adapter.commands.outcomes import EndpointOutcome
from adapter.engine import crash_points
from adapter.engine.commands.commands import Commands
from adapter.engine.commands.ports import AuditNote, Clock
from adapter.engine.readings.ports import Blocks
from adapter.engine.schedules.ports import (
    DeviceRead,
    IssuedWindow,
    ReadResult,
    ScheduleStore,
    WindowReport,
)
from adapter.engine.sortable_ids import SortableIds
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import Conflict, GatewayError, InvalidRequest, NotFound, StoreFailed
from adapter.model.ids import DeviceId, EndpointId
from adapter.model.values import replace
from adapter.model.whole_numbers import LONG
from adapter.schedules import schedule as rules
from adapter.schedules.schedule import ReadPlan, ReadSchedule, ScheduleId, ScheduleState

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_LISTED: Final = 200
_RETRY: Final = timedelta(minutes=1)
_TRIES: Final = 5


class Schedules:
    """Add, pause, resume and remove scheduled reads, and report what came of their windows. `once`
    makes the requests that are due; `longest` bounds what one late request covers, and windows
    before that are skipped and said to be.

    Raises InvalidRequest, which names field and rule; NotFound; Conflict where a schedule keeps
    moving or its state forbids it; StoreFailed.
    """

    def __init__(
        self,
        store: ScheduleStore,
        commands: Commands,
        clock: Clock,
        *,
        longest: timedelta | None = None,
        entropy: Callable[[], int] = lambda: secrets.randbits(80),
    ) -> None:
        self._store = store
        self._commands = commands
        self._clock = clock
        self._longest = longest
        self._ids = SortableIds(entropy)
        store.set_aside.on_discard(RowKind.SCHEDULE, self._give_up)

    async def _give_up(self, schedule: str, by: str, reason: str) -> None:
        """A person discarded it where it was set aside."""
        await self.remove(ScheduleId(schedule), by=by)

    # ------------------------------------------------------------ work

    async def once(self) -> int:
        """Make the requests that are due. Returns how many schedules were looked at."""
        found = await self._store.due_schedules(now=self._clock.now(), limit=_AT_ONCE)
        for schedule in found:
            attend = self._attend(schedule)
            await self._store.set_aside.attend(RowKind.SCHEDULE, schedule.id, attend)
        return len(found)

    async def _attend(self, schedule: ReadSchedule) -> None:
        """Store the request before it is made: after a crash the very same one is made again, and
        its idempotency key finds what the first try may have stored."""
        now = self._clock.now()
        made = rules.next_issue(schedule, now=now, longest=self._longest)
        if made is not None and schedule.pending is not None and rules.is_stale(made, now=now):
            key = rules.requested(schedule, made).idempotency_key
            if key is not None and await self._commands.by_key(key) is None:
                await self._store.put_schedule(rules.without_pending(schedule))
                return
        if made is None:
            await self._store.put_schedule(schedule)
            return
        if schedule.pending is None:
            schedule = rules.with_pending(schedule, made)
            if not await self._store.put_schedule(schedule):
                return
            schedule = replace(schedule, version=schedule.version + 1)
        crash_points.reached("schedule.before_submit")
        request = rules.requested(schedule, made)
        try:
            command = await self._commands.submit(request, actor=request.requester)
        except StoreFailed:
            raise
        except GatewayError as error:
            await self._refused(schedule, error)
            return
        crash_points.reached("schedule.after_submit")
        window = IssuedWindow(
            number=schedule.issued + 1,
            covers=made.covers,
            missed=made.missed,
            command=command.id,
            at=self._clock.now(),
            expected=len(command.targets),
            skipped=rules.skipped(schedule, made.missed),
        )
        audit = AuditNote(
            actor=request.requester,
            action="WindowIssued",
            subject=f"schedule:{schedule.id}",
            detail={
                "command": command.id,
                "from": made.covers.start.isoformat(),
                "to": made.covers.end.isoformat(),
                "missed_from": made.missed and made.missed.start.isoformat(),
                "skipped": window.skipped,
            },
        )
        # False: somebody paused it meanwhile. The pending request stays, and is found again.
        await self._store.put_schedule(rules.submitted(schedule), audit=[audit], window=window)

    async def _refused(self, schedule: ReadSchedule, error: GatewayError) -> None:
        log.warning("schedule_refused", extra={"schedule": schedule.id, "error": str(error)})
        later = self._clock.now() + _RETRY
        after = rules.troubled(schedule, f"{error.code}: {error}", retry_at=later)
        if schedule.problem == after.problem:
            await self._store.put_schedule(after)
            return
        note = AuditNote(
            actor=f"schedule:{schedule.id}",
            action="WindowRefused",
            subject=f"schedule:{schedule.id}",
            detail={"reason": after.problem},
        )
        await self._store.put_schedule(after, audit=[note])

    async def correct_clock(self, error: ClockError) -> None:
        """The clock was wrong and is right again: no schedule waits for a time that it dated."""
        now, after = self._clock.now(), None
        while found := await self._store.schedules(after=after, limit=_LISTED):
            for schedule in found:
                windows = await self._store.windows(schedule.id, limit=_LISTED)
                issued = [window.covers for window in windows]
                mended = rules.corrected(schedule, issued, now=now, longest_retry=_RETRY)
                if mended != schedule:
                    note = _note(mended, "ClockCorrected", "gateway")
                    await self._store.put_schedule(mended, audit=[note])
            after = found[-1].id

    # ------------------------------------------------------------ surface

    async def add(self, plan: ReadPlan, *, by: str) -> ReadSchedule:
        """Raises InvalidRequest naming the field that is wrong."""
        now = self._clock.now()
        number = ScheduleId(self._ids.next(now))
        made = rules.begin(number, plan, now=now, by=by)
        await self._store.put_schedule(made, audit=[_note(made, "ScheduleAdded", by)])
        return await self.get(number)

    async def get(self, schedule: ScheduleId) -> ReadSchedule:
        found = await self._store.schedule(schedule)
        if found is None:
            raise NotFound(f"no schedule {schedule}")
        return found

    async def list(
        self,
        *,
        state: ScheduleState | None = None,
        after: ScheduleId | None = None,
        limit: int = 50,
    ) -> Sequence[ReadSchedule]:
        return await self._store.schedules(state=state, after=after, limit=limit)

    async def pause(self, schedule: ScheduleId, *, by: str) -> ReadSchedule:
        return await self._move(schedule, rules.paused, "SchedulePaused", by)

    async def resume(self, schedule: ScheduleId, *, by: str) -> ReadSchedule:
        return await self._move(schedule, rules.resumed, "ScheduleResumed", by)

    async def remove(self, schedule: ScheduleId, *, by: str) -> ReadSchedule:
        """End it. Its row and its windows stay, for the reports."""
        return await self._move(schedule, rules.removed, "ScheduleRemoved", by)

    async def _move(
        self,
        schedule: ScheduleId,
        move: Callable[[ReadSchedule], ReadSchedule],
        action: str,
        by: str,
    ) -> ReadSchedule:
        for _ in range(_TRIES):
            after = move(await self.get(schedule))
            if await self._store.put_schedule(after, audit=[_note(after, action, by)]):
                return await self.get(schedule)
        raise Conflict(f"schedule {schedule} keeps moving; try again")

    # ------------------------------------------------------------ reports

    async def windows(
        self, schedule: ScheduleId, *, before: int | None = None, limit: int = 50
    ) -> Sequence[WindowReport]:
        """What became of its windows, newest first; without the devices."""
        await self.get(schedule)
        found = await self._store.windows(schedule, before=before, limit=limit)
        return [_report(item, await self._commands.get(item.command)) for item in found]

    async def report(
        self,
        schedule: ScheduleId,
        number: int,
        *,
        results: Collection[ReadResult] = frozenset(ReadResult),
        cursor: str | None = None,
        limit: int = 1_000,
    ) -> WindowReport:
        """One window with its devices that ended so: those missing and failed first, a page at a
        time. Raises NotFound, InvalidRequest for a cursor that no page gave."""
        after = _place(cursor)
        await self.get(schedule)
        before = min(number, LONG.most - 1) + 1
        found = await self._store.windows(schedule, before=before, limit=1)
        if not found or found[0].number != number:
            raise NotFound(f"schedule {schedule} has no window {number}")
        command = await self._commands.get(found[0].command)
        outcomes = {row.endpoint: row for row in await self._commands.outcomes(command.id)}
        short = await self._commands.incomplete(command)
        places = [
            _place_of(target, outcomes.get(target.endpoint), target.endpoint in short)
            for target in command.targets
        ]
        chosen = (each for each in places if _ORDER[each[0]] in results and each[:2] > after)
        page = nsmallest(limit + 1, chosen, key=itemgetter(0, 1))
        devices = tuple(_device_read(each, outcomes, short) for each in page[:limit])
        return replace(
            _report(found[0], command),
            incomplete=sum(rank == _INCOMPLETE for rank, _, _ in places),
            devices=devices,
            next=f"{page[limit - 1][0]}.{page[limit - 1][1]}" if len(page) > limit else None,
        )


_ORDER: Final = (*ReadResult, ReadResult.SUCCEEDED)
"""In which reports list devices; of those that were read the incomplete ones stand first."""

_INCOMPLETE: Final = _ORDER.index(ReadResult.SUCCEEDED)
_Place = tuple[int, DeviceId, EndpointId]
"""Of a device in a report: the place of its result in `_ORDER`, then its name."""


def _place_of(target: Target, outcome: EndpointOutcome | None, short: bool) -> _Place:
    result = ReadResult.WAITING if outcome is None else ReadResult(outcome.result.value)
    rank = _ORDER.index(result)
    whole = rank == _INCOMPLETE and not short
    return rank + whole, target.device, target.endpoint


def _device_read(
    place: _Place,
    outcomes: Mapping[EndpointId, EndpointOutcome],
    short: Mapping[EndpointId, Blocks],
) -> DeviceRead:
    rank, device, endpoint = place
    outcome = outcomes.get(endpoint)
    return DeviceRead(
        device=device,
        endpoint=endpoint,
        result=_ORDER[rank],
        reason="" if outcome is None else outcome.reason,
        incomplete=str(short[endpoint]) if rank == _INCOMPLETE else "",
    )


def _place(cursor: str | None) -> tuple[int, str]:
    if cursor is None:
        return -1, ""
    rank, dot, device = cursor.partition(".")
    if not dot or rank not in {str(number) for number in range(len(_ORDER))}:
        raise InvalidRequest("cursor", "must be `next` of the page before")
    return int(rank), device


def _report(window: IssuedWindow, command: Command) -> WindowReport:
    activity = command.activity
    tally = activity.tally
    known = tally.succeeded + tally.failed + tally.missing + tally.unknown
    waiting = 0 if activity.state.final else max(window.expected - known, 0)
    return WindowReport(
        window=window,
        state=activity.state,
        outcome=activity.outcome,
        tally=tally,
        waiting=waiting,
    )


def _note(schedule: ReadSchedule, action: str, by: str) -> AuditNote:
    plan = schedule.plan
    return AuditNote(
        actor=by,
        action=action,
        subject=f"schedule:{schedule.id}",
        detail={"name": plan.name, "group": plan.group, "kind": plan.kind.value},
    )

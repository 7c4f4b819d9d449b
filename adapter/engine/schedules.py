"""Scheduled reads: each window becomes one command, once; what came of it is reported."""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from adapter.commands import schedule as rules
from adapter.commands.activity import Command
from adapter.commands.schedule import Plan, ReadSchedule, ScheduleId, ScheduleState
from adapter.engine import points
from adapter.engine.gateway import Gateway
from adapter.engine.ports import AuditNote, Clock
from adapter.engine.schedule_ports import DeviceRead, IssuedWindow, ScheduleStore, WindowReport
from adapter.errors import Conflict, GatewayError, NotFound, StoreFailed
from adapter.model.ids import sortable_id

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_RETRY: Final = timedelta(minutes=1)
_TRIES: Final = 5
_MOST_DEVICES: Final = 1_000
"""So many devices are listed in a report; the tally counts all."""


class Schedules:
    """The worker, and the surface that REST and command line ask. `longest` bounds what one late
    request covers; windows before that are skipped and said to be."""

    def __init__(
        self,
        store: ScheduleStore,
        gateway: Gateway,
        clock: Clock,
        *,
        longest: timedelta | None = None,
        entropy: Callable[[], int] = lambda: secrets.randbits(80),
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._clock = clock
        self._longest = longest
        self._entropy = entropy

    # ------------------------------------------------------------ work

    async def once(self) -> int:
        """Make the requests that are due. Returns how many schedules were looked at."""
        found = await self._store.due_schedules(now=self._clock.now(), limit=_AT_ONCE)
        for schedule in found:
            await self._attend(schedule)
        return len(found)

    async def _attend(self, schedule: ReadSchedule) -> None:
        """Store the request before it is made: after a crash the very same one is made again, and
        its idempotency key finds what the first try may have stored."""
        now = self._clock.now()
        made = rules.next_issue(schedule, now=now, longest=self._longest)
        if made is not None and schedule.pending is not None and rules.is_stale(made, now=now):
            key = rules.requested(schedule, made).idempotency_key
            if key is not None and await self._gateway.by_key(key) is None:
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
        points.reached("schedule.before_submit")
        request = rules.requested(schedule, made)
        try:
            command = await self._gateway.submit(request, actor=request.requester)
        except StoreFailed:
            raise
        except GatewayError as error:
            await self._refused(schedule, error)
            return
        points.reached("schedule.after_submit")
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
        if schedule.trouble == after.trouble:
            await self._store.put_schedule(after)
            return
        note = AuditNote(
            actor=f"schedule:{schedule.id}",
            action="WindowRefused",
            subject=f"schedule:{schedule.id}",
            detail={"why": after.trouble},
        )
        await self._store.put_schedule(after, audit=[note])

    # ------------------------------------------------------------ surface

    async def add(self, plan: Plan, *, by: str) -> ReadSchedule:
        """Raises InvalidRequest naming the field that is wrong."""
        now = self._clock.now()
        number = ScheduleId(sortable_id(int(now.timestamp() * 1000), self._entropy()))
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
        return [_report(item, await self._gateway.get(item.command)) for item in found]

    async def report(self, schedule: ScheduleId, number: int) -> WindowReport:
        """One window with its devices: those missing and failed first. Raises NotFound."""
        await self.get(schedule)
        found = await self._store.windows(schedule, before=number + 1, limit=1)
        if not found or found[0].number != number:
            raise NotFound(f"schedule {schedule} has no window {number}")
        command = await self._gateway.get(found[0].command)
        outcomes = {row.endpoint: row for row in await self._gateway.outcomes(command.id)}
        devices = []
        for target in command.targets:
            row = outcomes.get(target.endpoint)
            devices.append(
                DeviceRead(
                    device=target.device,
                    endpoint=target.endpoint,
                    result="waiting" if row is None else row.result.value,
                    reason="" if row is None else row.reason,
                )
            )
        devices.sort(key=lambda item: (_ORDER.index(item.result), item.device))
        return replace(_report(found[0], command), devices=tuple(devices[:_MOST_DEVICES]))


_ORDER: Final = ("missing", "failed", "unknown", "waiting", "succeeded")


def _report(window: IssuedWindow, command: Command) -> WindowReport:
    activity = command.activity
    tally = activity.tally
    known = tally.succeeded + tally.failed + tally.missing + tally.unknown
    waiting = 0 if activity.state.final else max(window.expected - known, 0)
    return WindowReport(
        window=window,
        state=activity.state,
        verdict=activity.verdict,
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

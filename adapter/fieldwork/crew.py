"""A simulated crew: takes visits, books, comes, works, reports; in virtual time or in real time.

The same seed and the same messages give the same crew. What goes wrong is scripted
(`crew_scripts.py`). It keeps its visits in memory only: after a restart it is told of those that
are not over (`recover`), and goes on from what it has reported.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Final

from adapter.engine.commands.ports import Clock
from adapter.engine.orders.field_work import (
    CancelRefused,
    FieldInbox,
    FieldMessage,
    FieldNews,
    FieldReport,
    FieldWorkRefused,
    OpenVisit,
    OtherWork,
)
from adapter.errors import Conflict, GatewayError, NotFound, StoreFailed
from adapter.fieldwork.crew_scripts import CrewFault, CrewScript
from adapter.fieldwork.settings import CrewSettings
from adapter.fieldwork.simulated_site import Street, UnknownStreet
from adapter.model.device import DisconnectLocation
from adapter.model.ids import DeviceId, EventId
from adapter.model.values import replace
from adapter.orders.completion import CompletionReport
from adapter.orders.field_activity_events import (
    AppointmentBooked,
    CrewStarted,
    MessageKind,
    Rescheduled,
    Slot,
    WorkCanceled,
    WorkReported,
)
from adapter.orders.lookups import BASE, OrderLookups
from adapter.orders.order import ChildId
from adapter.orders.tasks import CancelReason, FieldEffect, RescheduleReason

log = logging.getLogger(__name__)

_WINDOW: Final = timedelta(hours=4)
_AGAIN: Final = timedelta(seconds=1)
_NAME: Final = "simulated crew"

Action = Callable[[datetime], Awaitable[None]]


class CrewUnavailable(GatewayError):
    """The message was not taken, or nobody said that it was; it may be sent again."""

    code = "crew_unavailable"


@dataclass(slots=True, kw_only=True)
class Visit:
    """One activity as the crew knows it. `reports` counts, so that each has a fixed id; `plan`
    counts how often its time was set, of which the last holds."""

    message: FieldMessage
    reports: int = 0
    started: bool = False
    over: bool = False
    plan: int = 0
    slot: Slot | None = None
    scripts: list[CrewScript] = field(default_factory=list)

    def script(self, twist: CrewFault) -> CrewScript | None:
        return next((each for each in self.scripts if each.twist is twist), None)


def _keep(visit: Visit, message: FieldMessage) -> None:
    """What a message says of the visit."""
    match message.kind:
        case MessageKind.SLOTS:
            visit.message = message
        case MessageKind.DISPATCH:
            visit.message = replace(message, appointment=message.appointment or visit.slot)
        case MessageKind.MODIFY:
            details = {**visit.message.details, **message.details}
            visit.message = replace(
                visit.message,
                details=details,
                not_before=message.not_before,
                appointment=message.appointment or visit.message.appointment,
            )
        case MessageKind.CANCEL:
            pass


def _times(message: FieldMessage) -> tuple[datetime | None, Slot | None]:
    return message.not_before, message.appointment


def _recall(visit: Visit, news: FieldNews) -> None:
    """What was reported of the visit in an earlier life."""
    match news:
        case AppointmentBooked(slot=slot) | Rescheduled(slot=slot):
            visit.slot = slot
        case CrewStarted():
            visit.started = True
        case WorkReported() | WorkCanceled():
            visit.over = True
        case CancelRefused() | OtherWork():
            pass


class Crew:
    """Fits the port to field work systems. `told` has every report that was handed in."""

    def __init__(
        self,
        settings: CrewSettings,
        clock: Clock,
        *,
        street: Street | None = None,
        scripts: Sequence[CrewScript] = (),
        lookups: OrderLookups = BASE,
    ) -> None:
        """`lookups` are the site's: its own field task types change what the site says. Raises
        SettingsError for a script that names what is in none of them."""
        for script in scripts:
            script.check(lookups)
        self._lookups = lookups
        self._settings = settings
        self._clock = clock
        self._street = street or UnknownStreet()
        self._left = [(script, script.times or -1) for script in scripts]
        self._inbox: FieldInbox | None = None
        self._heap: list[tuple[datetime, int, Action]] = []
        self._count = 0
        self._moved = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        self._seen: set[str] = set()
        self.visits: dict[ChildId, Visit] = {}
        self.told: list[FieldReport] = []
        self.unfit: list[tuple[FieldReport, str]] = []
        """Reports that the inbox did not want, with its reason."""

    # ------------------------------------------------------------ its own time

    def hand_to(self, inbox: FieldInbox) -> None:
        """Where reports go, for whoever turns the time by hand."""
        self._inbox = inbox

    async def start(self, inbox: FieldInbox) -> None:
        self.hand_to(inbox)
        self._working = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
            self._working = None

    @property
    def next_due(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None

    async def run_due(self) -> int:
        """Do what is due by now, in order; the number of things done."""
        done = 0
        while self._heap and self._heap[0][0] <= self._clock.now():
            due, _, action = heappop(self._heap)
            try:
                await action(due)
            except StoreFailed:
                raise
            except Exception:  # one visit of a pretended crew: the others go on
                log.exception("crew_action_failed")
            done += 1
        return done

    async def _work(self) -> None:
        while True:
            self._moved.clear()
            await self.run_due()
            due = self.next_due
            loop = asyncio.get_running_loop()
            waits: list[asyncio.Task[object]] = [loop.create_task(self._moved.wait())]
            if due is not None:
                waits.append(loop.create_task(self._clock.wait(due)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
                await asyncio.gather(*waits, return_exceptions=True)

    def _later(self, at: datetime, action: Action) -> None:
        self._count += 1
        heappush(self._heap, (at, self._count, action))
        self._moved.set()

    def _after(self, visit: Visit, seconds: float, what: str) -> timedelta:
        """That many seconds, longer by chance where so set; the same for the same visit."""
        chance = Random(f"{self._settings.seed}:{visit.message.activity}:{what}").random()
        return timedelta(seconds=seconds * (1 + self._settings.jitter * chance))

    # ------------------------------------------------------------ after a restart

    def recover(self, visits: Iterable[OpenVisit]) -> None:
        """Take up visits of an earlier life: what was reported is not done again."""
        for known in visits:
            visit = Visit(message=known.messages[0], reports=len(known.reports))
            self.visits[visit.message.activity] = visit
            for message in known.messages:
                self._seen.add(message.id)
                _keep(visit, message)
            for report in known.reports:
                _recall(visit, report.news)
            self._resume(visit, known)

    def _resume(self, visit: Visit, known: OpenVisit) -> None:
        now = self._clock.now()
        if visit.over:
            return
        if visit.started:
            work = self._after(visit, self._settings.work_s, "work")
            self._later(now + work, lambda at: self._finish(visit, at))
        elif any(each.kind is MessageKind.DISPATCH for each in known.messages):
            slot = visit.slot or visit.message.appointment
            visit.message = replace(visit.message, appointment=slot)
            self._set_out(visit, now)
        elif visit.slot is None:
            due = now + self._after(visit, self._settings.book_s, "book")
            self._later(due, lambda at: self._book(visit, at))
        asked = [each for each in known.messages if each.kind is MessageKind.CANCEL]
        if len(asked) > sum(isinstance(each.news, CancelRefused) for each in known.reports):
            self._cancel(visit, asked[-1], now)

    # ------------------------------------------------------------ messages

    async def send(self, message: FieldMessage) -> None:
        """Take a message; one that is known changes nothing."""
        if message.id in self._seen:
            return
        visit = self.visits.get(message.activity)
        if visit is None:
            visit = Visit(message=message, scripts=self._scripts_for(message))
            self.visits[message.activity] = visit
        if self._once(visit, CrewFault.REFUSES):
            raise FieldWorkRefused(f"the crew does not take {message.task}")
        if self._once(visit, CrewFault.UNAVAILABLE):
            raise CrewUnavailable("the crew's system is not there")
        self._seen.add(message.id)
        self._take(visit, message)
        if self._once(visit, CrewFault.TAKEN_UNSAID):
            raise CrewUnavailable("no answer from the crew's system")

    def _scripts_for(self, message: FieldMessage) -> list[CrewScript]:
        found = []
        for index, (script, left) in enumerate(self._left):
            if left and script.fits(message):
                found.append(script)
                self._left[index] = (script, left - 1)
        return found

    def _once(self, visit: Visit, twist: CrewFault) -> bool:
        script = visit.script(twist)
        if script is not None:
            visit.scripts.remove(script)
        return script is not None

    def _take(self, visit: Visit, message: FieldMessage) -> None:
        now = self._clock.now()
        before = visit.message
        _keep(visit, message)
        match message.kind:
            case MessageKind.SLOTS:
                due = now + self._after(visit, self._settings.book_s, "book")
                self._later(due, lambda at: self._book(visit, at))
            case MessageKind.DISPATCH:
                self._set_out(visit, now)
            case MessageKind.MODIFY:
                if _times(before) != _times(visit.message):
                    self._set_out(visit, now)
            case MessageKind.CANCEL:
                self._cancel(visit, message, now)

    def _set_out(self, visit: Visit, now: datetime) -> None:
        message = visit.message
        slot = message.appointment
        earliest = max(
            now,
            message.not_before or now,
            slot.start if slot is not None else now,
        )
        travel = self._after(visit, self._settings.travel_s, "travel")
        late = visit.script(CrewFault.LATE)
        start = earliest + travel + timedelta(seconds=late.delay_s if late else 0)
        visit.plan += 1
        plan = visit.plan
        moved = visit.script(CrewFault.RESCHEDULES)
        if moved is not None:
            self._later(earliest, lambda at: self._reschedule(visit, moved, at, plan))
            start += timedelta(seconds=moved.delay_s)
        self._later(start, lambda at: self._begin(visit, at, plan))

    def _cancel(self, visit: Visit, message: FieldMessage, now: datetime) -> None:
        """A visit that is over already is left as it is: its report came first (documented)."""
        if visit.over:
            return
        if self._once(visit, CrewFault.CANCEL_TOO_LATE):
            self._later(now, lambda at: self._begin(visit, at))
            self._later(now, lambda at: self._refuse_cancel(visit, at))
        elif visit.started or self._once(visit, CrewFault.CANCEL_REFUSED):
            self._later(now, lambda at: self._refuse_cancel(visit, at))
        else:
            reason = message.details.get("reason", CancelReason.UNDETERMINED)
            self._later(now, lambda at: self._call_off(visit, reason, at))

    # ------------------------------------------------------------ what it does

    async def _book(self, visit: Visit, at: datetime) -> None:
        lead = at + timedelta(seconds=self._settings.lead_s)
        start = max(lead, visit.message.not_before or lead)
        visit.slot = Slot(start=start, end=start + _WINDOW, taken_by=_NAME)
        await self._tell(visit, AppointmentBooked(slot=visit.slot))

    async def _reschedule(self, visit: Visit, script: CrewScript, at: datetime, plan: int) -> None:
        if visit.over or visit.started or plan != visit.plan:
            return
        start = at + timedelta(seconds=script.delay_s)
        slot = Slot(start=start, end=start + _WINDOW, taken_by=_NAME)
        await self._tell(
            visit, Rescheduled(slot=slot, reason=script.reason or RescheduleReason.CREW)
        )

    async def _begin(self, visit: Visit, at: datetime, plan: int | None = None) -> None:
        if visit.over or visit.started or plan not in (None, visit.plan):
            return
        visit.started = True
        await self._tell(visit, CrewStarted())
        work = self._after(visit, self._settings.work_s, "work")
        self._later(at + work, lambda then: self._finish(visit, then))

    async def _finish(self, visit: Visit, at: datetime) -> None:
        if visit.over:
            return
        visit.over = True
        news = self._outcome(visit, at)
        if visit.script(CrewFault.LOST) is not None:
            return
        report = await self._tell(visit, news)
        if visit.script(CrewFault.DUPLICATE) is not None:
            self._later(at + _AGAIN, lambda then: self._hand_in(report))

    async def _refuse_cancel(self, visit: Visit, at: datetime) -> None:
        if not visit.over:
            await self._tell(visit, CancelRefused(reason="the crew is on it"))

    async def _call_off(self, visit: Visit, reason: str, at: datetime) -> None:
        if visit.over or visit.started:
            return
        visit.over = True
        report = CompletionReport(at=at, cause=self._cause(visit))
        await self._tell(visit, WorkCanceled(reason=reason, report=report, who=_NAME))

    def _outcome(self, visit: Visit, at: datetime) -> FieldNews:
        cause = self._cause(visit)
        script = visit.script(CrewFault.NO_ACCESS)
        if script is not None:
            remarks = (script.remark or "nobody let the crew in",)
            report = CompletionReport(at=at, cause=cause, remarks=remarks)
            reason = script.reason or CancelReason.NO_ACCESS
            return WorkCanceled(reason=reason, report=report, who=_NAME)
        return WorkReported(report=self._report(visit, at, cause), who=_NAME)

    def _report(self, visit: Visit, at: datetime, cause: EventId) -> CompletionReport:
        message = visit.message
        task = self._lookups.task(message.task)
        planned = task.successful if task is not None else ()
        skipped = self._skipped(visit)
        done = tuple(effect for effect in planned if effect not in skipped)
        removed = message.site.device if FieldEffect.REMOVE in done else None
        if visit.script(CrewFault.OTHER_DEVICE) is not None:
            removed = DeviceId("ANOTHER")
        brought = FieldEffect.INSTALL in done
        device = self._street.new_device(message) if brought else None
        disconnect_location = self._cut_at(visit)
        read = FieldEffect.MEASURE in done
        left = visit.script(CrewFault.LEFT_AS) if brought else None
        status = None if left is None else self._lookups.status(left.install_status)
        self._street.changed(
            message, done, device=device, disconnect_location=disconnect_location, at=at
        )
        return CompletionReport(
            at=at,
            cause=cause,
            new_device=device,
            new_capabilities=frozenset() if device is None else device.capabilities,
            install_status=None if status is None else status[0],
            site_status="" if status is None else status[1],
            disconnect_location=disconnect_location,
            not_done=skipped,
            removed_device=removed,
            measurements=self._street.read(message, device, cause=cause, at=at) if read else (),
            remarks=tuple(each.remark for each in visit.scripts if each.remark),
        )

    def _skipped(self, visit: Visit) -> frozenset[FieldEffect]:
        script = visit.script(CrewFault.LEAVES_OUT)
        skipped = set(script.leaves_out) if script is not None else set()
        if visit.script(CrewFault.NO_READING) is not None:
            skipped.add(FieldEffect.MEASURE)
        return frozenset(skipped)

    def _cut_at(self, visit: Visit) -> DisconnectLocation | None:
        if visit.script(CrewFault.CUT_AT_SOURCE) is not None:
            return DisconnectLocation.SOURCE
        return DisconnectLocation.DEVICE if visit.script(CrewFault.CUT_AT_DEVICE) else None

    # ------------------------------------------------------------ reports

    def _cause(self, visit: Visit) -> EventId:
        """The id of the report that comes next: its completion events are known by it."""
        return EventId(f"{visit.message.activity}/crew/{visit.reports + 1}")

    async def _tell(self, visit: Visit, news: FieldNews) -> FieldReport:
        report = FieldReport(
            id=self._cause(visit), activity=visit.message.activity, news=news, who=_NAME
        )
        visit.reports += 1
        await self._hand_in(report)
        return report

    async def _hand_in(self, report: FieldReport) -> None:
        assert self._inbox is not None
        try:
            await self._inbox.receive(report)
        except (Conflict, NotFound) as error:
            self.unfit.append((report, error.code))
            log.warning("crew_report_unfit", extra={"report": report.id, "code": error.code})
        except Exception:
            log.exception("crew_report_not_taken", extra={"report": report.id})
            self._later(self._clock.now() + _AGAIN, lambda then: self._hand_in(report))
        else:
            self.told.append(report)

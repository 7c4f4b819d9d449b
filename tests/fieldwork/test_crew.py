"""The simulated crew in virtual time: what it does, what goes wrong, always the same."""

from datetime import datetime, timedelta
from typing import TypeVar

import pytest

from adapter.engine.clock import HandClock
from adapter.engine.orders.field_work import (
    CancelRefused,
    FieldMessage,
    FieldNews,
    FieldWorkRefused,
)
from adapter.errors import StoreFailed
from adapter.fieldwork.crew import Crew, CrewUnavailable
from adapter.fieldwork.crew_scripts import CrewFault, CrewScript
from adapter.fieldwork.settings import CrewSettings
from adapter.fieldwork.simulated_site import SimulatedStreet
from adapter.model.device import (
    Category,
    ComponentKind,
    Device,
    DisconnectLocation,
    InstallStatus,
    MeasuringComponent,
)
from adapter.model.ids import DeviceId
from adapter.orders.field_activity_events import (
    AppointmentBooked,
    CrewStarted,
    MessageKind,
    Rescheduled,
    Slot,
    WorkCanceled,
    WorkReported,
)
from adapter.orders.tasks import CancelReason, FieldEffect
from tests.fieldwork.builders import METER, NOON, KeptReports, a_message, until
from tests.support import every_case, run

TIMES = CrewSettings(book_s=60.0, lead_s=3600.0, travel_s=600.0, work_s=1200.0)
TRAVEL = timedelta(seconds=600)
REGISTER = MeasuringComponent(id="kwh", kind=ComponentKind.SCALAR, quantity="Wh d")
THERE = Device(id=DeviceId("M-1"), components=(REGISTER,))
N = TypeVar("N", bound=FieldNews)


def slot_at(hours: int) -> Slot:
    start = NOON + timedelta(hours=hours)
    return Slot(start=start, end=start + timedelta(hours=2), taken_by="customer")


class Day:
    """A crew, its clock and its inbox; time goes on with `on`."""

    def __init__(self, *scripts: CrewScript, times: CrewSettings = TIMES) -> None:
        self.clock = HandClock(NOON)
        known = {THERE.id: THERE, METER.id: METER}
        street = SimulatedStreet(known.get, van=(METER,))
        self.crew = Crew(times, self.clock, street=street, scripts=scripts)
        self.inbox = KeptReports()
        self.crew.hand_to(self.inbox)

    async def send(self, *messages: FieldMessage) -> None:
        for message in messages:
            await self.crew.send(message)

    async def on(self, seconds: float = 86_400.0) -> None:
        end = self.clock.now() + timedelta(seconds=seconds)
        while (due := self.crew.next_due) is not None and due <= end:
            await self.clock.turn(due)
            await self.crew.run_due()
        await self.clock.turn(end)

    @property
    def news(self) -> list[FieldNews]:
        return [report.news for report in self.inbox.reports.values()]

    def only(self, kind: type[N]) -> N:
        (found,) = (each for each in self.news if isinstance(each, kind))
        return found


def names(day: Day) -> list[str]:
    return [type(each).__name__ for each in day.news]


def a_visit(*scripts: CrewScript, message: FieldMessage | None = None) -> Day:
    """A visit from the message to the end of the day."""
    day = Day(*scripts)

    async def goes() -> None:
        await day.send(message or a_message())
        await day.on()

    run(goes())
    return day


def of(twist: CrewFault, **rest: object) -> CrewScript:
    return CrewScript(twist=twist, **rest)  # type: ignore[arg-type]


def install() -> FieldMessage:
    return a_message(task="D1-InstallMeter", site=empty_site())


def empty_site() -> object:
    site = a_message().site
    return type(site)(
        service_point=site.service_point,
        category=Category.METER,
        connected=True,
        disconnect_location=site.disconnect_location,
    )


def test_a_visit_starts_when_it_may_and_is_reported_with_the_reading() -> None:
    day = a_visit()
    assert names(day) == ["CrewStarted", "WorkReported"]
    report = day.only(WorkReported).report
    assert report.at == NOON + timedelta(minutes=5) + timedelta(seconds=1800)
    assert [m.device for m in report.measurements] == ["M-1"]
    assert report.cause in day.inbox.reports


async def test_the_same_message_again_changes_nothing() -> None:
    day = Day()
    await day.send(a_message(), a_message())
    await day.on()
    await day.send(a_message())
    await day.on()
    assert names(day) == ["CrewStarted", "WorkReported"]


async def test_an_appointment_is_booked_and_kept() -> None:
    day = Day()
    await day.send(a_message(kind=MessageKind.SLOTS))
    await day.on(300.0)
    slot = day.only(AppointmentBooked).slot
    assert slot.start == NOON + timedelta(seconds=3660)
    await day.send(a_message(2, appointment=slot))
    await day.on()
    assert day.only(WorkReported).report.at == NOON + timedelta(seconds=3660 + 1800)


def test_the_van_gives_the_new_device_and_its_reading_is_left_to_the_head_end() -> None:
    report = a_visit(message=install()).only(WorkReported).report
    assert report.new_device == METER
    assert report.measurements == ()


@pytest.mark.parametrize("status", [None, InstallStatus.PENDING])
def test_a_named_or_planned_device_goes_before_what_is_in_the_van(
    status: InstallStatus | None,
) -> None:
    site = a_message().site
    planned = type(site)(
        service_point=site.service_point,
        category=site.category,
        connected=True,
        disconnect_location=site.disconnect_location,
        device=THERE.id if status is not None else None,
        status=status,
    )
    details = {} if status is not None else {"newDevice": "M-1"}
    message = a_message(task="D1-InstallMeter", site=planned, details=details)
    report = a_visit(message=message).only(WorkReported).report
    assert report.new_device == THERE


def test_an_exchange_says_which_device_was_removed() -> None:
    report = a_visit(message=a_message(task="D1-ExchangeMeter")).only(WorkReported).report
    assert (report.removed_device, report.new_device) == ("M-1", METER)


# ---------------------------------------------------------------- what goes wrong


def test_nobody_lets_the_crew_in() -> None:
    news = a_visit(of(CrewFault.NO_ACCESS)).only(WorkCanceled)
    assert news.reason == CancelReason.NO_ACCESS
    assert news.report.remarks


def test_a_cut_at_the_source_says_so() -> None:
    message = a_message(task="D1-CutForNonPayment")
    report = a_visit(of(CrewFault.CUT_AT_SOURCE, remark="locked"), message=message).only(
        WorkReported
    )
    assert report.report.disconnect_location is DisconnectLocation.SOURCE
    assert report.report.remarks == ("locked",)


def test_what_was_left_out_is_told() -> None:
    script = of(CrewFault.LEAVES_OUT, leaves_out=(FieldEffect.TURN_ON,))
    assert a_visit(script).only(WorkReported).report.not_done == {FieldEffect.TURN_ON}
    report = a_visit(of(CrewFault.NO_READING)).only(WorkReported).report
    assert report.not_done == {FieldEffect.MEASURE}
    assert not report.measurements


def test_a_late_crew_comes_later_by_so_much() -> None:
    usual = a_visit().only(WorkReported).report.at
    late = a_visit(of(CrewFault.LATE, delay_s=900.0)).only(WorkReported).report.at
    assert late - usual == timedelta(seconds=900)


def test_a_rescheduled_visit_is_told_before_it_is_made() -> None:
    day = a_visit(of(CrewFault.RESCHEDULES, delay_s=7200.0))
    assert names(day) == ["Rescheduled", "CrewStarted", "WorkReported"]
    assert day.only(Rescheduled).slot.start == NOON + timedelta(minutes=5, hours=2)


def test_a_report_that_comes_twice_has_one_id() -> None:
    day = a_visit(of(CrewFault.DUPLICATE))
    assert names(day) == ["CrewStarted", "WorkReported"]
    assert day.inbox.repeated == 1


def test_a_lost_report_never_comes() -> None:
    assert names(a_visit(of(CrewFault.LOST))) == ["CrewStarted"]


async def test_a_message_that_is_refused_or_not_taken_is_taken_later() -> None:
    day = Day(of(CrewFault.REFUSES), of(CrewFault.UNAVAILABLE), of(CrewFault.TAKEN_UNSAID))
    with pytest.raises(FieldWorkRefused):
        await day.send(a_message())
    with pytest.raises(CrewUnavailable):
        await day.send(a_message())
    with pytest.raises(CrewUnavailable):
        await day.send(a_message())  # taken, and nobody said so
    await day.send(a_message())
    await day.on()
    assert names(day) == ["CrewStarted", "WorkReported"]


async def test_a_script_hits_the_visits_it_is_about_as_often_as_it_says() -> None:
    script = of(CrewFault.NO_ACCESS, task="d1-turnonmeter", service_point="SP-1", times=1)
    day = Day(script)
    others = [
        a_message(id="B", activity="SO-2.1"),
        a_message(id="C", activity="SO-3.1", task="D1-TurnOffMeter"),
    ]
    await day.send(a_message(), *others)
    await day.on()
    assert names(day).count("WorkCanceled") == 1
    assert names(day).count("WorkReported") == 2


# ---------------------------------------------------------------- cancel and change


def cancel() -> FieldMessage:
    return a_message(9, kind=MessageKind.CANCEL, details={"reason": "CM-PaymentReceived"})


@pytest.mark.parametrize(
    ("after_s", "scripts", "told"),
    [
        (60.0, (), ["WorkCanceled"]),
        (60.0, (of(CrewFault.CANCEL_REFUSED),), ["CancelRefused", "CrewStarted", "WorkReported"]),
        (60.0, (of(CrewFault.CANCEL_TOO_LATE),), ["CrewStarted", "CancelRefused", "WorkReported"]),
        (1000.0, (), ["CrewStarted", "CancelRefused", "WorkReported"]),
        (5000.0, (), ["CrewStarted", "WorkReported"]),
    ],
)
async def test_a_cancel_is_answered_by_what_came_first(
    after_s: float, scripts: tuple[CrewScript, ...], told: list[str]
) -> None:
    day = Day(*scripts)
    await day.send(a_message())
    await day.on(after_s)
    await day.send(cancel())
    await day.on()
    assert names(day) == told
    if told == ["WorkCanceled"]:
        assert day.only(WorkCanceled).reason == "CM-PaymentReceived"
    if "CancelRefused" in told:
        assert day.only(CancelRefused).reason


async def test_a_change_reaches_the_crew_that_has_not_come_yet() -> None:
    day = Day()
    await day.send(install())
    await day.on(60.0)
    await day.send(a_message(2, kind=MessageKind.MODIFY, details={"newDevice": "M-1"}))
    await day.on()
    assert day.only(WorkReported).report.new_device == THERE


async def started_at(day: Day) -> list[datetime]:
    """When the crew began, each time, by the end of the second day."""
    began: list[datetime] = []
    end = NOON + timedelta(days=2)
    while (due := day.crew.next_due) is not None and due <= end:
        await day.clock.turn(due)
        await day.crew.run_due()
        count = sum(isinstance(each, CrewStarted) for each in day.news)
        began += [due] * (count - len(began))
    return began


TIMED: tuple[tuple[dict[str, object], timedelta], ...] = (
    ({"not_before": NOON + timedelta(hours=3)}, timedelta(hours=3)),
    ({"not_before": NOON + timedelta(minutes=2)}, timedelta(minutes=2)),
    ({"appointment": slot_at(5)}, timedelta(hours=5)),
    ({"not_before": NOON, "appointment": slot_at(4)}, timedelta(hours=4)),
    ({"details": {"newDevice": "M-1"}}, timedelta(minutes=5)),
)


async def test_the_crew_sets_out_again_where_a_change_brings_another_time() -> None:
    with every_case() as case:
        for change, begins in TIMED:
            with case(change):
                day = Day()
                await day.send(a_message())
                await day.on(60.0)
                kept = {"not_before": a_message().not_before, **change}
                await day.send(a_message(2, kind=MessageKind.MODIFY, **kept))
                assert await started_at(day) == [NOON + begins + TRAVEL]
                assert names(day) == ["CrewStarted", "WorkReported"]


async def test_of_several_changes_of_time_the_last_one_holds() -> None:
    day = Day()
    await day.send(a_message())
    for number, hours in enumerate((6, 1, 2), 2):
        at = NOON + timedelta(hours=hours)
        await day.send(a_message(number, kind=MessageKind.MODIFY, not_before=at))
    assert await started_at(day) == [NOON + timedelta(hours=2) + TRAVEL]


async def test_a_crew_that_is_going_to_put_off_a_visit_tells_it_once_of_the_time_that_holds() -> (
    None
):
    day = Day(of(CrewFault.RESCHEDULES, delay_s=1800.0))
    await day.send(a_message())
    later = NOON + timedelta(hours=3)
    await day.send(a_message(2, kind=MessageKind.MODIFY, not_before=later))
    assert await started_at(day) == [later + TRAVEL + timedelta(seconds=1800)]
    assert day.only(Rescheduled).slot.start == later + timedelta(seconds=1800)


async def test_a_change_of_time_that_comes_after_the_crew_began_changes_nothing() -> None:
    day = Day()
    await day.send(a_message())
    await day.on(1000.0)
    assert names(day) == ["CrewStarted"]
    later = NOON + timedelta(hours=3)
    await day.send(a_message(2, kind=MessageKind.MODIFY, not_before=later))
    await day.on()
    assert names(day) == ["CrewStarted", "WorkReported"]


# ---------------------------------------------------------------- itself


def test_the_same_seed_is_the_same_crew() -> None:
    def ends(seed: int) -> object:
        times = CrewSettings(seed=seed, travel_s=600.0, work_s=1200.0, jitter=1.0)
        day = Day(times=times)

        async def goes() -> None:
            await day.send(a_message())
            await day.on()

        run(goes())
        return day.only(WorkReported).report.at

    assert ends(1) == ends(1)
    assert len({ends(seed) for seed in range(5)}) == 5


async def test_a_report_that_is_not_taken_is_handed_in_again() -> None:
    day = Day()
    day.inbox.broken = StoreFailed("disk full")
    await day.send(a_message())
    await day.on(905.0)
    assert not day.inbox.reports
    day.inbox.broken = None
    await day.on()
    assert set(names(day)) == {"CrewStarted", "WorkReported"}


async def test_a_report_that_nobody_wants_is_noted_with_the_reason() -> None:
    day = Day()
    day.inbox.refuses = frozenset({a_message().activity})
    await day.send(a_message())
    await day.on()
    assert [why for _, why in day.crew.unfit] == ["conflict", "conflict"]


async def test_it_works_by_itself_when_it_is_started() -> None:
    day = Day()
    await day.crew.start(day.inbox)
    await day.send(a_message(appointment=Slot(start=NOON, end=NOON + timedelta(hours=1))))
    for _ in range(3):
        await day.clock.turn(day.clock.now() + timedelta(hours=1))
        await until(lambda: day.crew.next_due is None or day.crew.next_due > day.clock.now())
    await day.crew.stop()
    assert isinstance(day.news[0], CrewStarted)
    assert names(day) == ["CrewStarted", "WorkReported"]

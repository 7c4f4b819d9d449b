"""The simulated crew in the gateway's own process: a restart, or a SIGKILL, loses no visit."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from adapter.engine.clock import HandClock
from adapter.engine.orders.field_work import (
    CancelRefused,
    FieldMessage,
    FieldNews,
    FieldReport,
    OpenVisit,
)
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.settings import CrewSettings
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
from adapter.orders.tasks import RescheduleReason
from tests.durability.gateway_process import TOKEN, rig, until
from tests.fieldwork.builders import ACTIVITY, NOON, KeptReports, a_message
from tests.fieldwork.test_kills import ORDERS, Requester, killed, load, world

TIMES = CrewSettings(book_s=60.0, lead_s=3600.0, travel_s=600.0, work_s=1200.0)
SLOT = Slot(start=NOON + timedelta(hours=2), end=NOON + timedelta(hours=4))
SLOTS = a_message(1, kind=MessageKind.SLOTS)
DISPATCH = a_message(2, appointment=SLOT)
CANCEL = a_message(3, kind=MessageKind.CANCEL, details={"reason": "CM-X"})
BOOKED, STARTED = AppointmentBooked(slot=SLOT), CrewStarted()
LATER = Slot(start=NOON + timedelta(days=1), end=NOON + timedelta(days=1, hours=2))
MOVED = Rescheduled(slot=LATER, reason=RescheduleReason.CREW)


def told(*news: FieldNews) -> tuple[FieldReport, ...]:
    return tuple(
        FieldReport(id=f"{ACTIVITY}/crew/{n}", activity=ACTIVITY, news=each)
        for n, each in enumerate(news, start=1)
    )


CASES = [
    ([SLOTS], [], [AppointmentBooked]),
    ([SLOTS], [BOOKED], []),
    ([SLOTS, DISPATCH], [BOOKED], [CrewStarted, WorkReported]),
    ([SLOTS, DISPATCH], [BOOKED, STARTED], [WorkReported]),
    ([SLOTS, DISPATCH, CANCEL], [BOOKED], [WorkCanceled]),
    ([SLOTS, DISPATCH, CANCEL], [BOOKED, STARTED], [CancelRefused, WorkReported]),
    ([SLOTS, DISPATCH, CANCEL], [BOOKED, STARTED, CancelRefused(reason="x")], [WorkReported]),
    ([DISPATCH], [WorkReported(report=CompletionReport(at=NOON, cause=ACTIVITY))], []),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("messages", "reported", "follows"), CASES)
async def test_a_crew_goes_on_from_what_it_has_reported(
    messages: Sequence[FieldMessage], reported: Sequence[FieldNews], follows: list[type[FieldNews]]
) -> None:
    clock, inbox = HandClock(NOON + timedelta(hours=1)), KeptReports()
    crew = Crew(TIMES, clock)
    crew.hand_to(inbox)
    crew.recover([OpenVisit(messages=tuple(messages), reports=told(*reported))])
    await crew.send(messages[-1])  # nobody is sure that it was taken
    while (due := crew.next_due) is not None:
        await clock.turn(due)
        await crew.run_due()
    assert [type(each.news) for each in inbox.reports.values()] == follows
    first = len(reported) + 1
    ids = [f"{ACTIVITY}/crew/{n}" for n in range(first, first + len(follows))]
    assert list(inbox.reports) == ids


async def test_a_moved_appointment_and_a_changed_element_are_kept() -> None:
    clock, inbox = HandClock(NOON + timedelta(hours=3)), KeptReports()
    crew = Crew(TIMES, clock)
    crew.hand_to(inbox)
    changed = a_message(3, kind=MessageKind.MODIFY, details={"newDevice": "M-7"})
    install = replace(DISPATCH, task="D1-InstallMeter")
    known = OpenVisit(messages=(SLOTS, install, changed), reports=told(BOOKED, MOVED))
    crew.recover([known])
    first = crew.next_due
    assert first == LATER.start + timedelta(seconds=TIMES.travel_s)
    while (due := crew.next_due) is not None:
        await clock.turn(due)
        await crew.run_due()
    news = [each.news for each in inbox.reports.values()][-1]
    assert isinstance(news, WorkReported)
    assert news.report.new_device is not None
    assert news.report.new_device.id == "M-7"


ONLY_VISITS = """
[[orders.orchestration.enable]]
type = "D1-CRSPACT"
field_activity_bo = "D1-FieldActivity"
rows = "deviceInstalledAtSP=false specificFieldTask=D1-ConnSPAtSrceAndInstMtr"
[[orders.orchestration.disable]]
type = "D1-UPDDVC"
field_activity_bo = "D1-FieldActivity"
error_if_missing = "Con"
rows = "installationEventStatusOverride=ManualOn specificFieldTask=D1-TurnOffMeter"
[[orders.orchestration.exchange]]
type = "D1-CREMTREXC"
activity = "activityBOToCreate=D1-FieldActivity specificFieldTask=D1-ExchangeMeter"
"""
INSIDE = """
[orders]
file = "orders.toml"
[field_work]
kind = "crew"
[field_work.crew]
book_s = 0.1
lead_s = 0.1
travel_s = 0.1
work_s = 0.3
jitter = 1.0
"""


async def one_run(folder: Path, kills: int) -> dict[int, object]:
    await asyncio.to_thread(folder.mkdir)
    await asyncio.to_thread((folder / "orders.toml").write_text, ONLY_VISITS)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        rig(folder, meters=1, extra=INSIDE) as made,
    ):
        await load(made)
        requester = Requester(made, session)
        asking = asyncio.get_running_loop().create_task(requester.ask())
        await killed(made, kills)
        last = await made.start()
        await asking
        await until(requester.ended, within_s=60, why="every order is final")
        assert await made.nursery.stop(last) == 0
        return await world(made)


@pytest.mark.timeout(240)
@pytest.mark.seconds(220)
async def test_a_killed_gateway_takes_its_own_crew_up_again(tmp_path: Path) -> None:
    peaceful = await one_run(tmp_path / "peace", 0)
    assert await one_run(tmp_path / "kills", 3) == peaceful
    assert len(peaceful) == ORDERS

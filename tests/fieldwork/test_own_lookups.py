"""A site's own task types, install statuses and reasons, at the simulated crew and in reports."""

import json
from datetime import timedelta

import pytest

from adapter.engine.clock import HandClock
from adapter.engine.orders.field_work import FieldMessage, FieldReport, OtherWork
from adapter.errors import SettingsError
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.crew_scripts import CrewFault, CrewScript
from adapter.fieldwork.messages import BadReport, read_report, report_json
from adapter.fieldwork.settings import CrewSettings
from adapter.fieldwork.simulated_site import SimulatedStreet
from adapter.model.device import InstallStatus
from adapter.model.values import replace
from adapter.orders.configuration import changed_tasks, parse_configuration
from adapter.orders.field_activity_events import Rescheduled, WorkCanceled, WorkReported
from tests.fieldwork.builders import METER, NOON, KeptReports, a_message
from tests.support import for_every

S = InstallStatus
TASKS = changed_tasks(
    {
        "CM-FitSubmeter": {"like": "D1-InstallMeter"},
        "CM-Look": {"group": "other", "when_successful": []},
    }
)
LOOKUPS = parse_configuration(
    {
        "install_status": {"CM-OffForChange": {"means": "Disconn-Decomm"}},
        "reasons": {"cancel": ["CM-DogInTheYard"], "reschedule": ["CM-RoadWorks"]},
    },
    TASKS,
).lookups
OTHER = {
    "kind": "other_work",
    "id": "R-1",
    "activity": "FA-1",
    "servicePoint": "SP-1",
    "createdAt": "2026-03-10T12:00:00Z",
}


def fits() -> FieldMessage:
    message = a_message(task="CM-FitSubmeter")
    return replace(message, site=replace(message.site, device=None, status=None))


async def reports(message: FieldMessage, *scripts: CrewScript) -> list[FieldReport]:
    """What the crew reports of a visit, to its end."""
    clock, inbox = HandClock(NOON), KeptReports()
    street = SimulatedStreet({METER.id: METER}.get, van=(METER,), lookups=LOOKUPS)
    crew = Crew(CrewSettings(), clock, street=street, scripts=scripts, lookups=LOOKUPS)
    crew.hand_to(inbox)
    await crew.send(message)
    for _ in range(20):
        due = crew.next_due
        if due is None:
            break
        await clock.turn(max(due, clock.now() + timedelta(seconds=1)))
        await crew.run_due()
    return list(inbox.reports.values())


async def test_the_crew_does_what_a_task_type_of_the_site_changes() -> None:
    last = (await reports(fits()))[-1].news
    assert isinstance(last, WorkReported)
    assert last.report.new_device == METER
    (look,) = (
        x.news for x in await reports(a_message(task="CM-Look")) if hasattr(x.news, "report")
    )
    assert isinstance(look, WorkReported)
    assert (look.report.new_device, look.report.measurements) == (None, ())


async def test_the_crew_leaves_a_device_as_a_status_of_the_site_and_it_is_read_back() -> None:
    left = CrewScript(twist=CrewFault.LEFT_AS, install_status="cm-offforchange")
    told = (await reports(fits(), left))[-1]
    assert isinstance(told.news, WorkReported)
    done = told.news.report
    assert (done.install_status, done.site_status) == (S.DISCONN_DECOMM, "CM-OffForChange")
    assert read_report(report_json(told), LOOKUPS) == told


async def test_the_crew_gives_reasons_of_the_site() -> None:
    dog = CrewScript(twist=CrewFault.NO_ACCESS, reason="CM-DogInTheYard")
    gone = (await reports(fits(), dog))[-1].news
    assert isinstance(gone, WorkCanceled)
    assert gone.reason == "CM-DogInTheYard"
    works = CrewScript(twist=CrewFault.RESCHEDULES, reason="CM-RoadWorks", delay_s=60.0)
    told = [x.news for x in await reports(fits(), works)]
    assert [x.reason for x in told if isinstance(x, Rescheduled)] == ["CM-RoadWorks"]


@for_every(
    ("script", "named"),
    [
        (CrewScript(twist=CrewFault.LATE, task="CM-Dance"), "unknown field task CM-Dance"),
        (CrewScript(twist=CrewFault.NO_ACCESS, reason="CM-RoadWorks"), "CM-RoadWorks is none"),
        (CrewScript(twist=CrewFault.LATE, reason="CM-RoadWorks"), "CM-RoadWorks is none"),
        (CrewScript(twist=CrewFault.LEFT_AS), "install_status"),
        (CrewScript(twist=CrewFault.LEFT_AS, install_status="Gone"), "install_status"),
    ],
)
def test_a_script_that_names_what_is_in_no_lookup_is_refused(
    script: CrewScript, named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        Crew(CrewSettings(), HandClock(NOON), scripts=(script,), lookups=LOOKUPS)


def test_other_work_may_be_of_a_task_type_of_the_site() -> None:
    raw = json.dumps({**OTHER, "task": "cm-fitsubmeter"}).encode()
    news = read_report(raw, LOOKUPS).news
    assert isinstance(news, OtherWork)
    assert news.task == "CM-FitSubmeter"
    with pytest.raises(BadReport, match="unknown field task"):
        read_report(raw)
    near = json.dumps({**OTHER, "task": "CM-FitSubmetre"}).encode()
    with pytest.raises(BadReport, match="mean CM-FitSubmeter"):
        read_report(near, LOOKUPS)


def test_a_status_that_is_none_is_refused_by_name() -> None:
    work = {"at": "2026-03-10T12:00:00Z", "installStatus": "CM-Nowhere"}
    raw = {"kind": "work_reported", "id": "R-1", "activity": "SO-1.1", "work": work}
    with pytest.raises(BadReport, match=r"installStatus: CM-Nowhere is not one.*CM-OffForChange"):
        read_report(json.dumps(raw).encode(), LOOKUPS)

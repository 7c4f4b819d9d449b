"""A meter of which a block never came is read, and its report says how much of it is here."""

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.commands.flows import CommandKind
from adapter.demo.demo import DemoSite
from adapter.engine.schedules.ports import DeviceRead, ReadResult, WindowReport
from adapter.schedules.recurrence import Window
from adapter.schedules.schedule import ReadPlan, ScheduleId
from adapter.simulator.faults import Effect, Script
from adapter.simulator.settings import SimulatorConfig, SimulatorLimits
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving
from tests.engine.commands.quick_site import fast, world

IN_BLOCKS = SimulatorLimits(intervals_per_block=4)
"""Three hours of quarters come in three blocks."""

LOST = Script(effect=Effect.DROP_DATA, every=3, count=1)
PATIENT = fast(reply_s=15.0, measurement_s=15.0)
SHORT = "2 of 3 blocks"
WAIT_S = 30.0


async def read_once(made: DemoSite, window: Window) -> ScheduleId:
    """One read of a group, seen to its end."""
    schedules = made.app.core.gateway.schedules
    plan = ReadPlan(
        name="hours",
        group="Substation 2",
        kind=CommandKind.SCHEDULED_READ_INTERVAL,
        starts=made.simulator.clock.now(),
        once=window,
    )
    added = await schedules.add(plan, by="ann")
    while not (found := await schedules.windows(added.id)):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.02)
    assert found[0].incomplete is None
    done = await made.app.gateway.commands.wait(found[0].window.command, timeout_s=WAIT_S)
    assert done.activity.state.final
    return added.id


async def report_once(made: DemoSite, schedule: ScheduleId, count: int) -> WindowReport:
    """The report once so many meters are incomplete: a read ends with each meter's first block."""
    schedules = made.app.core.gateway.schedules
    async with asyncio.timeout(WAIT_S):
        while (  # noqa: ASYNC110 - no event
            found := await schedules.report(schedule, 1)
        ).incomplete != count:
            await asyncio.sleep(0.02)
    return found


@pytest.mark.seconds(90)
async def test_lost_blocks_are_told_until_they_come(tmp_path: Path) -> None:
    async with world(tmp_path, LOST, policies=PATIENT, limits=IN_BLOCKS) as made:
        now = made.simulator.clock.now().replace(minute=0, second=0, microsecond=0)
        window = Window(now - timedelta(hours=4), now - timedelta(hours=1))
        schedule = await read_once(made, window)
        ((_, answered, lost),) = made.simulator.world.scripts.listed()
        assert 0 < lost < answered
        report = await report_once(made, schedule, lost)
        assert report.tally.succeeded == answered
        short = [each for each in report.devices if each.incomplete]
        assert [(each.result, each.incomplete) for each in short] == [
            (ReadResult.SUCCEEDED, SHORT)
        ] * lost
        at = report.devices.index(short[0])
        assert list(report.devices[at:]) == [*short, *_whole(report)]
        assert await _page_by_page(made, schedule, lost) == list(report.devices)

        made.simulator.world.scripts.clear()
        await read_once(made, window)
        whole = await report_once(made, schedule, 0)
        assert not any(each.incomplete for each in whole.devices)
        assert whole.tally == report.tally


def _whole(report: WindowReport) -> list[DeviceRead]:
    return [
        each
        for each in report.devices
        if each.result is ReadResult.SUCCEEDED and not each.incomplete
    ]


async def _page_by_page(made: DemoSite, schedule: ScheduleId, lost: int) -> list[DeviceRead]:
    """Every device, from pages of three that all have the sums."""
    found: list[DeviceRead] = []
    cursor: str | None = None
    while not found or cursor is not None:
        schedules = made.app.core.gateway.schedules
        page = await schedules.report(schedule, 1, cursor=cursor, limit=3)
        assert page.incomplete == lost
        found += page.devices
        cursor = page.next
    return found


# ---------------------------------------------------------------- on the command line, over REST


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    head_end = SimulatorConfig(limits=IN_BLOCKS, scripts=(LOST,))
    with serving(tmp_path_factory.mktemp("blocks"), head_end=head_end) as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    terminal = Terminal(capsys, monkeypatch, service.api_url)
    assert terminal.as_(ADMIN)("devices", "import", str(service.devices_file)).code == 0
    return terminal.as_(OPERATOR)


def test_incomplete_meters_are_shown_with_what_came_of_them(openway: Terminal) -> None:
    made = openway("schedule", "add", "Substation 1", "interval", "--once", "-4h", "-1h", "--json")
    number = str(made.json["id"])
    windows: object = []
    while not windows:
        windows = openway("schedule", "report", number, "--json").json["items"]
    assert isinstance(windows, list)
    assert windows[0]["incomplete"] is None
    command = str(windows[0]["command"])
    openway("command", "watch", command, "--timeout", "30s")
    report, lost = _settled(openway, number)
    assert report["incomplete"] == len(lost) > 0

    told = openway("schedule", "report", number, "1").out
    head, *lines = told.splitlines()
    assert all(any(name in line and SHORT in line for line in lines) for name in lost)
    assert told.count(SHORT) == len(lost)
    assert "incomplete" in head + lines[0]
    assert "incomplete" not in openway("schedule", "report", number).out
    shown = openway("command", "show", command, "--outcomes")
    assert shown.out.count(SHORT) == len(lost)
    assert f"{len(lost)} of those that were read are incomplete" in shown.err


def _settled(openway: Terminal, number: str) -> tuple[dict[str, object], list[str]]:
    """The report, once nobody lacks more than the block that was lost; and who lacks that."""
    until = time.monotonic() + WAIT_S
    while True:
        report = openway("schedule", "report", number, "1", "--json").json
        devices = report["devices"]
        assert isinstance(devices, list)
        short = {str(each["device"]): each["incomplete"] for each in devices if each["incomplete"]}
        if set(short.values()) == {SHORT}:
            return report, list(short)
        assert time.monotonic() < until

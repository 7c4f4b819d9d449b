"""What an import may change and what it leaves alone: every case on one snapshot."""

import pytest

from adapter.engine.commands.ports import Import
from adapter.engine.registry.import_plan import ImportPlan, Override, plan
from adapter.engine.registry.ports import Known, named
from adapter.model.device import (
    Device,
    DisconnectLocation,
    InstallEvent,
    InstallStatus,
    OnOff,
    ServicePoint,
)
from adapter.model.ids import EventId
from adapter.model.values import replace
from tests.builders import NOON, a_device, a_service_point, an_install, at

CUT = OnOff(at=at(-60), on=False, cause=EventId("c:1"))
DARK = an_install(status=InstallStatus.DISCONN_COMM, history=(CUT,), version=3)
OVERRIDE = Override(reason="the crew was there", at=NOON, cause=EventId("import:root:1"))


def known(*members: Device | ServicePoint | InstallEvent) -> Known:
    return Known(
        devices={each.id: each for each in members if isinstance(each, Device)},
        service_points={each.id: each for each in members if isinstance(each, ServicePoint)},
        installs=tuple(each for each in members if isinstance(each, InstallEvent)),
    )


def a_file(*members: Device | ServicePoint | InstallEvent) -> Import:
    return Import(
        devices=tuple(each for each in members if isinstance(each, Device)),
        service_points=tuple(each for each in members if isinstance(each, ServicePoint)),
        installs=tuple(each for each in members if isinstance(each, InstallEvent)),
    )


def left(made: ImportPlan) -> list[tuple[str, str, str, str]]:
    return [(each.subject, each.field, each.stored, each.given) for each in made.left_alone]


STORE = known(a_device(), a_service_point(), DARK)


def test_the_same_again_writes_nothing() -> None:
    file = a_file(a_device(), a_service_point(), an_install())
    made = plan(file, known(a_device(), a_service_point(), an_install()))
    assert made == plan(file, known(a_device(), a_service_point(), an_install(version=7)))
    assert (made.write, made.left_alone, made.overridden) == (Import(), (), ())


def test_status_arming_and_history_of_a_known_install_event_are_left_alone_and_told() -> None:
    old = OnOff(at=at(-90_000), on=True, cause=EventId("import"))
    file = a_file(a_device(), a_service_point(), an_install(armed=True, history=(old,)))
    made = plan(file, STORE)
    assert made.write == Import()
    assert left(made) == [
        ("M-1", "status", "Disconn-Comm", "Conn-Comm"),
        ("M-1", "armed", "false", "true"),
        ("M-1", "history", "2026-03-02T11:59:00Z|off", "2026-03-01T11:00:00Z|on"),
    ]
    assert {each.reason for each in made.left_alone[:2]} == {"only completion events change it"}


def test_what_the_file_does_not_say_stays_and_is_not_told() -> None:
    """A file without a column for life support takes it from nobody."""
    sick = a_service_point(life_support=True, connected=False)
    file = a_file(a_device(serial="9"), a_service_point(sp_type="home"), an_install())
    silent = replace(
        file,
        said={
            named(file.devices[0]): frozenset({"id", "serial"}),
            named(file.service_points[0]): frozenset({"id", "sp_type"}),
            named(file.installs[0]): frozenset({"device", "service_point", "installed_at"}),
        },
    )
    made = plan(silent, known(a_device(groups=frozenset({"a"})), sick, DARK))
    assert made.write.devices == (a_device(serial="9", groups=frozenset({"a"})),)
    assert made.write.service_points == (replace(sick, sp_type="home"),)
    assert (made.write.installs, made.left_alone) == ((), ())


def test_the_source_status_of_a_known_service_point_is_left_alone_its_rest_is_the_files() -> None:
    open_ = a_service_point(connected=False, disconnect_location=DisconnectLocation.SOURCE)
    file = a_file(a_service_point(life_support=True, protected=True))
    made = plan(file, known(open_))
    assert made.write.service_points == (replace(open_, life_support=True, protected=True),)
    assert left(made) == [
        ("SP-1", "connected", "false", "true"),
        ("SP-1", "disconnect_location", "D1SR", "D1DV"),
    ]
    made = plan(file, known(open_), OVERRIDE)
    assert made.write.service_points == file.service_points
    assert [each.reason for each in made.overridden] == ["the crew was there"] * 2


def test_an_override_takes_the_status_and_appends_to_the_history() -> None:
    file = a_file(a_device(), a_service_point(), an_install(history=()))
    made = plan(file, STORE, OVERRIDE)
    entry = OnOff(at=NOON, on=True, cause=OVERRIDE.cause)
    conn = InstallStatus.CONN_COMM
    assert made.write.installs == (replace(DARK, status=conn, history=(CUT, entry)),)
    (told,) = made.overridden
    assert (told.field, told.stored, told.given) == ("status", "Disconn-Comm", "Conn-Comm")
    assert made.left_alone == ()


def test_an_override_that_turns_nothing_on_or_off_adds_no_entry() -> None:
    decommissioned = an_install(status=InstallStatus.DISCONN_DECOMM)
    made = plan(a_file(a_device(), a_service_point(), decommissioned), STORE, OVERRIDE)
    assert made.write.installs == (replace(DARK, status=InstallStatus.DISCONN_DECOMM),)


def test_a_new_device_with_its_service_point_and_install_event_is_as_the_file_says() -> None:
    file = a_file(a_device("M-2"), a_service_point("SP-2"), an_install("M-2", "SP-2", armed=True))
    made = plan(file, STORE)
    assert made.write == file
    assert made.left_alone == ()


def test_a_removal_is_the_files_and_keeps_status_and_history() -> None:
    gone = an_install(removed_at=at(-10), status=InstallStatus.REMOVED)
    made = plan(a_file(a_device(), a_service_point(), gone), STORE)
    assert made.write.installs == (replace(DARK, removed_at=at(-10)),)
    assert made.left_alone == ()


@pytest.mark.parametrize("removed", [None, at(-5)], ids=["still-there", "another-date"])
def test_a_removal_that_is_known_is_not_undone(removed: object) -> None:
    gone = replace(DARK, removed_at=at(-10))
    file = a_file(a_device(), a_service_point(), replace(DARK, removed_at=removed))  # type: ignore[arg-type]
    for override in (None, OVERRIDE):
        made = plan(file, known(a_device(), a_service_point(), gone), override)
        assert made.write.installs == ()
        assert [each.field for each in made.left_alone] == ["removed_at"]


@pytest.mark.parametrize("seconds", [-1e6, -86_399, -60])
def test_another_date_does_not_make_another_install_event(seconds: float) -> None:
    """One second more, and a cut customer would be connected."""
    file = a_file(a_device(), a_service_point(), an_install(installed_at=at(seconds)))
    made = plan(file, STORE)
    assert made.write.installs == ()
    assert [each.field for each in made.left_alone] == ["installed_at", "status"]


def test_a_removal_under_another_date_of_installation_is_taken() -> None:
    gone = an_install(installed_at=at(-86_000), removed_at=at(-10), status=DARK.status)
    made = plan(a_file(a_device(), a_service_point(), gone), STORE)
    assert made.write.installs == (replace(DARK, removed_at=at(-10)),)


def test_a_device_at_another_service_point_needs_its_removal() -> None:
    moved = an_install("M-1", "SP-2", installed_at=at(-10))
    file = a_file(a_device(), a_service_point("SP-2"), moved)
    made = plan(file, STORE)
    assert made.write.installs == ()
    assert made.untaken == made.left_alone
    assert left(made) == [
        ("M-1", "installed", "SP-1 since 2026-03-01T12:00:00Z", "SP-2 since 2026-03-02T11:59:50Z")
    ]
    assert made.left_alone[0].reason == "say in removed_at when it was removed from SP-1"


@pytest.mark.parametrize("override", [None, OVERRIDE])
def test_a_switch_that_was_opened_stays_open_where_the_meter_goes(
    override: Override | None,
) -> None:
    gone, moved = an_install(removed_at=at(-20)), an_install("M-1", "SP-2", installed_at=at(-10))
    file = a_file(a_device(), a_service_point(), a_service_point("SP-2"), gone, moved)
    made = plan(file, STORE, override)
    removed, there = made.write.installs
    assert removed.removed_at == at(-20)
    if override is None:
        assert there == replace(moved, status=InstallStatus.DISCONN_COMM)
        assert ("M-1", "status", "Disconn-Comm", "Conn-Comm") in left(made)
    else:
        assert there == moved


def test_a_device_that_was_removed_may_be_installed_again() -> None:
    gone = an_install(removed_at=at(-100), status=InstallStatus.CONN_DECOMM)
    again = an_install(installed_at=at(-10), status=InstallStatus.CONN_PRECOMM)
    made = plan(
        a_file(a_device(), a_service_point(), again), known(a_device(), a_service_point(), gone)
    )
    assert made.write.installs == (again,)
    assert made.left_alone == ()


def test_a_file_that_is_older_than_an_communication_does_not_bring_the_old_meter_back() -> None:
    gone = replace(DARK, removed_at=at(-100))
    new = an_install("M-2", installed_at=at(-90))
    file = a_file(a_device(), a_service_point(), an_install())
    made = plan(file, known(a_device(), a_device("M-2"), a_service_point(), gone, new))
    assert made.write.installs == ()
    assert [each.field for each in made.left_alone] == ["removed_at", "status"]
    dated = a_file(a_device(), a_service_point(), an_install(installed_at=at(-50)))
    made = plan(dated, known(a_device(), a_device("M-2"), a_service_point(), gone, new))
    assert made.write.installs == ()
    assert made.untaken[0].reason == "say in removed_at when M-2 was removed from there"


def test_a_device_that_the_file_shows_without_its_install_event_stays_installed() -> None:
    file = a_file(a_device(), a_device("M-2"), a_service_point("SP-2"), an_install("M-2", "SP-2"))
    made = plan(file, STORE)
    assert left(made) == [("M-1", "installed", "SP-1 since 2026-03-01T12:00:00Z", "")]
    assert plan(a_file(a_device()), STORE).left_alone == ()

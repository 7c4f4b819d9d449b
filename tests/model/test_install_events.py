"""Install events: the arrows, repeated causes, overrides, removed devices."""

from datetime import timedelta

import pytest

from adapter.model.capability import DeviceType, supported_commands
from adapter.model.device import (
    COMMISSIONED,
    CONNECTED,
    INSTALL_TRANSITIONS,
    Device,
    DeviceView,
    InstallEffect,
    InstallEvent,
    InstallRefused,
    InstallStatus,
    ServicePoint,
    allows,
    already,
    apply_effect,
    override_problem,
)
from adapter.model.ids import DeviceId, EndpointId, EventId, ServicePointId, sortable_id
from adapter.model.values import replace
from tests.commands.run_to_end import NOON
from tests.support import for_every

I, E = InstallStatus, InstallEffect  # noqa: E741
CAUSE = EventId("cmd:D1-ConnectDevice")
# From the inferred table of the notes: status, then commission, connect, disconnect, decommission.
# fmt: off
TABLE = (
    (I.PENDING,        I.PRECONN_COMM, I.CONN_PRECOMM, None,           None),
    (I.CONN_PRECOMM,   I.CONN_COMM,    None,           None,           None),
    (I.PRECONN_COMM,   None,           I.CONN_COMM,    None,           I.DISCONN_DECOMM),
    (I.CONN_COMM,      None,           None,           I.DISCONN_COMM, I.CONN_DECOMM),
    (I.DISCONN_COMM,   None,           I.CONN_COMM,    None,           I.DISCONN_DECOMM),
    (I.CONN_DECOMM,    I.CONN_COMM,    None,           None,           None),
    (I.DISCONN_DECOMM, I.DISCONN_COMM, None,           None,           None),
)
# fmt: on
COLUMNS = (E.COMMISSION, E.CONNECT, E.DISCONNECT, E.DECOMMISSION)
ARROWS = {
    (row[0], effect): target
    for row in TABLE
    for effect, target in zip(COLUMNS, row[1:], strict=True)
    if target is not None
}


def a_view(status: InstallStatus | None = I.CONN_COMM, *, removed: bool = False) -> DeviceView:
    installed = None
    if status is not None:
        installed = InstallEvent(
            device=DeviceId("D0"),
            service_point=ServicePointId("SP0"),
            installed_at=NOON,
            removed_at=NOON if removed else None,
            status=status,
            version=3,
        )
    return DeviceView(
        device=Device(id=DeviceId("D0"), endpoint=EndpointId("E0")),
        service_point=ServicePoint(id=ServicePointId("SP0")),
        installed=installed,
    )


def test_the_arrows_are_those_of_the_notes() -> None:
    assert dict(INSTALL_TRANSITIONS) == ARROWS


@for_every("status", InstallStatus)
@for_every("effect", InstallEffect)
def test_every_status_and_effect_is_an_arrow_already_met_or_refused(
    status: InstallStatus, effect: InstallEffect
) -> None:
    view = a_view(status)
    target = ARROWS.get((status, effect))
    assert allows(view.installed, effect) == (target is not None)
    if target is not None:
        assert apply_effect(view, effect, at=NOON, cause=CAUSE).status is target
    elif already(view.installed, effect):
        assert apply_effect(view, effect, at=NOON, cause=CAUSE).status is status
    else:
        with pytest.raises(InstallRefused):
            apply_effect(view, effect, at=NOON, cause=CAUSE)


@pytest.mark.parametrize("arrow", sorted(ARROWS))
def test_an_effect_leads_to_a_status_that_has_it(
    arrow: tuple[InstallStatus, InstallEffect],
) -> None:
    status, effect = arrow
    after = apply_effect(a_view(status), effect, at=NOON, cause=CAUSE)
    assert already(after, effect)
    assert after.connected == (after.status in CONNECTED)
    assert after.commissioned == (after.status in COMMISSIONED)


@pytest.mark.parametrize(("effect", "on"), [(E.CONNECT, True), (E.DISCONNECT, False)])
def test_connect_and_disconnect_write_the_on_off_history_with_the_head_ends_time(
    effect: InstallEffect, on: bool
) -> None:
    status = I.DISCONN_COMM if on else I.CONN_COMM
    acted = NOON + timedelta(minutes=5)
    after = apply_effect(a_view(status), effect, at=acted, cause=CAUSE)
    (entry,) = after.history
    assert (entry.at, entry.on, entry.cause) == (acted, on, CAUSE)


@pytest.mark.parametrize("arrow", sorted(ARROWS))
def test_the_same_cause_again_changes_nothing(arrow: tuple[InstallStatus, InstallEffect]) -> None:
    status, effect = arrow
    view = a_view(status)
    once = apply_effect(view, effect, at=NOON, cause=CAUSE)
    again = apply_effect(replace(view, installed=once), effect, at=NOON, cause=CAUSE)
    assert again == once


def test_a_wish_already_met_still_leaves_a_trace_that_the_command_ran() -> None:
    after = apply_effect(a_view(I.CONN_COMM), E.CONNECT, at=NOON, cause=CAUSE)
    assert after.status is I.CONN_COMM
    assert len(after.history) == 1


def test_another_cause_adds_another_entry() -> None:
    view = a_view(I.DISCONN_COMM)
    one = apply_effect(view, E.CONNECT, at=NOON, cause=CAUSE)
    two = apply_effect(replace(view, installed=one), E.DISCONNECT, at=NOON, cause=EventId("x"))
    assert [entry.on for entry in two.history] == [True, False]


def test_an_override_takes_the_place_of_the_usual_status() -> None:
    after = apply_effect(
        a_view(I.CONN_COMM), E.DISCONNECT, at=NOON, cause=CAUSE, override=I.MANUAL_OFF
    )
    assert after.status is I.MANUAL_OFF
    assert not after.connected


def test_an_override_does_not_make_the_impossible_possible() -> None:
    with pytest.raises(InstallRefused):
        apply_effect(a_view(I.PENDING), E.DISCONNECT, at=NOON, cause=CAUSE, override=I.MANUAL_OFF)


def test_arming_comes_with_a_connect_and_goes_with_the_next_switch_order_only() -> None:
    view = a_view(I.DISCONN_COMM)
    armed = apply_effect(view, E.CONNECT, at=NOON, cause=CAUSE, armed=True)
    assert armed.armed
    view = replace(view, installed=armed)
    assert apply_effect(view, E.COMMISSION, at=NOON, cause=EventId("a")).armed
    assert not apply_effect(view, E.DISCONNECT, at=NOON, cause=EventId("b")).armed
    assert not apply_effect(view, E.CONNECT, at=NOON, cause=EventId("c")).armed


def test_commissioning_creates_the_install_event_where_there_is_none() -> None:
    made = apply_effect(a_view(None), E.COMMISSION, at=NOON, cause=CAUSE)
    assert (made.status, made.installed_at, made.version) == (I.PRECONN_COMM, NOON, 0)
    nowhere = replace(a_view(None), service_point=None)
    with pytest.raises(InstallRefused):
        apply_effect(nowhere, E.COMMISSION, at=NOON, cause=CAUSE)
    for effect in (E.CONNECT, E.DISCONNECT, E.DECOMMISSION):
        with pytest.raises(InstallRefused):
            apply_effect(a_view(None), effect, at=NOON, cause=CAUSE)


def test_a_removed_device_can_be_decommissioned_and_installed_anew() -> None:
    view = a_view(I.CONN_COMM, removed=True)
    gone = apply_effect(view, E.DECOMMISSION, at=NOON, cause=CAUSE)
    assert (gone.status, gone.removed_at) == (I.CONN_DECOMM, NOON)
    anew = apply_effect(view, E.COMMISSION, at=NOON, cause=CAUSE)
    assert (anew.status, anew.removed_at) == (I.PRECONN_COMM, None)
    for effect in (E.CONNECT, E.DISCONNECT):
        assert not allows(view.installed, effect)
        assert not already(view.installed, effect)
        with pytest.raises(InstallRefused):
            apply_effect(view, effect, at=NOON, cause=CAUSE)


def test_the_given_install_event_is_not_changed_and_keeps_its_version() -> None:
    view = a_view(I.DISCONN_COMM)
    after = apply_effect(view, E.CONNECT, at=NOON, cause=CAUSE)
    assert after.version == 3
    assert view.installed is not None
    assert view.installed.status is I.DISCONN_COMM


# ---------------------------------------------------------------- capability and ids

BOTH = frozenset({"remote_connect", "load_check"})
TYPES = {"AMR2": DeviceType(name="AMR2", commands=BOTH)}


@pytest.mark.parametrize(
    ("device", "head_ends", "expected"),
    [
        (None, {"openway": BOTH}, frozenset()),
        (Device(id=DeviceId("D")), {"openway": BOTH}, frozenset()),
        (
            Device(id=DeviceId("D"), endpoint=EndpointId("E"), device_type="AMR2"),
            {"openway": frozenset({"load_check"})},
            frozenset({"load_check"}),
        ),
        (
            Device(
                id=DeviceId("D"),
                endpoint=EndpointId("E"),
                device_type="AMR2",
                capabilities=frozenset({"remote_connect"}),
            ),
            {"openway": BOTH},
            frozenset({"remote_connect"}),
        ),
        (Device(id=DeviceId("D"), endpoint=EndpointId("E"), device_type="AMR2"), {}, frozenset()),
        (
            Device(id=DeviceId("D"), endpoint=EndpointId("E"), device_type="none such"),
            {"openway": BOTH},
            frozenset(),
        ),
    ],
)
def test_a_device_supports_what_it_its_type_and_its_head_end_do(
    device: Device | None, head_ends: dict[str, frozenset[str]], expected: frozenset[str]
) -> None:
    assert supported_commands(device, TYPES, head_ends) == expected


def test_ids_sort_by_time_and_have_26_characters() -> None:
    ids = [sortable_id(ms, entropy) for ms in (0, 1, 2**47) for entropy in (0, 2**80 - 1)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {len(item) for item in ids} == {26}


@pytest.mark.parametrize("effect", InstallEffect)
@pytest.mark.parametrize("status", InstallStatus)
def test_a_status_that_may_be_set_instead_has_a_way_on_and_says_what_was_done(
    effect: InstallEffect, status: InstallStatus
) -> None:
    """Whoever is switched off under a status of a site's choice can be switched on again."""
    ways = {(before, each) for before, each in INSTALL_TRANSITIONS}
    if override_problem(effect, status):
        return
    assert status not in (I.PENDING, I.REMOVED, I.MANUAL_ON, I.MANUAL_OFF)
    match effect:
        case E.DISCONNECT:
            assert status not in CONNECTED
            assert (status, E.CONNECT) in ways
        case E.CONNECT:
            assert status in CONNECTED
            assert (status, E.DISCONNECT) in ways or (status, E.COMMISSION) in ways
        case E.COMMISSION:
            assert status in COMMISSIONED
        case E.DECOMMISSION:
            assert status not in COMMISSIONED


@pytest.mark.parametrize("effect", InstallEffect)
def test_the_usual_status_of_a_command_may_be_set(effect: InstallEffect) -> None:
    usual = {after for (before, each), after in INSTALL_TRANSITIONS.items() if each is effect}
    assert all(not override_problem(effect, status) for status in usual)

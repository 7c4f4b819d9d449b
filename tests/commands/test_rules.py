"""Validation: the shape of a request, the rules against the world, the last look before a cut."""

from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.commands.activity import CommandRequest, ReadPeriod, Target, UnsureLoadCheck
from adapter.commands.flows import EFFECT_OF, FLOWS, SWITCH_KINDS, CommandKind, Priority, Scope
from adapter.commands.rules import (
    SwitchPolicy,
    check_request,
    in_window,
    judge,
    lanes_of,
    may_dispatch,
    priority_of,
)
from adapter.errors import InvalidRequest
from adapter.model.device import (
    INSTALL_TRANSITIONS,
    Device,
    DeviceView,
    InstallEvent,
    InstallStatus,
    ServicePoint,
)
from adapter.model.ids import CommandId, DeviceId, EndpointId, ServicePointId
from adapter.model.values import replace
from tests.commands.example_counts import QUICK
from tests.commands.run_to_end import NOON, C, a_command, a_request
from tests.support import for_every

ALL = frozenset(CommandKind)
HOUR = timedelta(hours=1)
NAIVE = datetime(2026, 3, 3, 12, 0)  # noqa: DTZ001
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
PERIOD = ReadPeriod(start=NOON - HOUR, end=NOON)


def a_view(
    status: InstallStatus | None = InstallStatus.CONN_COMM, *, smart: bool = True, **point: Any
) -> DeviceView:
    installed = None
    if status is not None:
        installed = InstallEvent(
            device=DeviceId("D0"),
            service_point=ServicePointId("SP0"),
            installed_at=NOON - HOUR,
            status=status,
        )
    return DeviceView(
        device=Device(
            id=DeviceId("D0"),
            endpoint=EndpointId("E0") if smart else None,
            capabilities=frozenset(kind.value for kind in CommandKind),
        ),
        service_point=ServicePoint(id=ServicePointId("SP0"), **point),
        installed=installed,
    )


def broken(request: CommandRequest, view: DeviceView, **world: Any) -> list[str]:
    facts: dict[str, Any] = {"head_end_kinds": ALL, "open_commands": {}, **world}
    return [item.rule for item in judge(request, [view], **facts)]


# ---------------------------------------------------------------- the shape of a request


@pytest.mark.parametrize("kind", CommandKind)
def test_a_plain_request_of_every_kind_is_fit(kind: CommandKind) -> None:
    check_request(a_request(kind), now=NOON)


@for_every(
    ("kind", "change", "field"),
    [
        (C.REMOTE_CONNECT, {"devices": ()}, "devices"),
        (C.REMOTE_CONNECT, {"devices": (DeviceId("a"), DeviceId("b"))}, "devices"),
        (C.DEVICE_STATUS_CHECK, {"devices": (DeviceId("a"), DeviceId("b"))}, "devices"),
        (C.ON_DEMAND_READ_SCALAR, {"devices": (DeviceId("a"), DeviceId("a"))}, "devices"),
        (
            C.MULTI_DEVICE_STATUS_CHECK,
            {"devices": tuple(DeviceId(str(n)) for n in range(100_001))},
            "devices",
        ),
        (C.REMOTE_CONNECT, {"group": "g"}, "group"),
        (C.SCHEDULED_READ_SCALAR, {"group": None}, "group"),
        (C.SCHEDULED_READ_SCALAR, {"group": ""}, "group"),
        (C.SCHEDULED_READ_SCALAR, {"devices": (DeviceId("a"),)}, "devices"),
        (C.REMOTE_CONNECT, {"effective_at": NAIVE}, "effective_at"),
        (C.REMOTE_CONNECT, {"expires_at": NAIVE}, "expires_at"),
        (C.REMOTE_CONNECT, {"expires_at": NOON}, "expires_at"),
        (C.REMOTE_CONNECT, {"effective_at": NOON + HOUR, "expires_at": NOON + HOUR}, "expires_at"),
        (C.REMOTE_CONNECT, {"period": PERIOD}, "period"),
        *(
            (
                C.REMOTE_DISCONNECT,
                {"install_status_override": InstallStatus(status)},
                "install_status_override",
            )
            for status in ("ManualOff", "Removed", "Disconn-Decomm", "Pending", "Conn-Comm")
        ),
        (
            C.REMOTE_CONNECT,
            {"install_status_override": InstallStatus.MANUAL_ON},
            "install_status_override",
        ),
        (
            C.LOAD_CHECK,
            {"install_status_override": InstallStatus.CONN_COMM},
            "install_status_override",
        ),
        (C.ON_DEMAND_READ_SCALAR, {"period": None}, "period"),
        (C.ON_DEMAND_READ_SCALAR, {"period": replace(PERIOD, end=PERIOD.start)}, "period"),
        (C.ON_DEMAND_READ_SCALAR, {"period": replace(PERIOD, start=NAIVE)}, "period"),
        (C.ON_DEMAND_READ_SCALAR, {"period": replace(PERIOD, end=LAST)}, "period"),
        (C.ON_DEMAND_READ_SCALAR, {"period": replace(PERIOD, start=FIRST)}, "period"),
        (C.REMOTE_CONNECT, {"effective_at": LAST}, "effective_at"),
        (C.REMOTE_CONNECT, {"expires_at": LAST}, "expires_at"),
        (C.SCHEDULED_READ_SCALAR, {"period": replace(PERIOD, window_start=NOON)}, "period"),
        (
            C.SCHEDULED_READ_SCALAR,
            {"period": replace(PERIOD, window_start=NOON, window_end=NOON)},
            "period",
        ),
        (C.REMOTE_DISCONNECT, {"check_load": True}, "check_load"),
        (C.REMOTE_CONNECT, {"unsure_load_check": UnsureLoadCheck.END}, "unsure_load_check"),
        (C.REMOTE_DISCONNECT, {"user_intervention_required": True}, "user_intervention_required"),
        (C.LOAD_CHECK, {"check_switch": True}, "check_switch"),
        (C.LOAD_CHECK, {"with_read": True}, "with_read"),
        (C.LOAD_CHECK, {"emergency_override": True}, "emergency_override"),
        (C.REMOTE_DISCONNECT, {"past_unclear_order": ("a", "b")}, "past_unclear_order"),
        (C.REMOTE_CONNECT, {"past_unclear_order": ("a", "a")}, "past_unclear_order"),
        (C.REMOTE_CONNECT, {"past_unclear_order": ("a", "")}, "past_unclear_order"),
        (C.REMOTE_CONNECT, {"idempotency_key": ""}, "idempotency_key"),
        (C.REMOTE_CONNECT, {"idempotency_key": "k" * 201}, "idempotency_key"),
        (C.REMOTE_CONNECT, {"reference": "r" * 201}, "reference"),
    ],
)
def test_a_request_that_can_never_work_is_refused_by_the_name_of_its_field(
    kind: CommandKind, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_request(replace(a_request(kind), **change), now=NOON)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize("kind", sorted(SWITCH_KINDS))
def test_the_options_of_switch_orders_are_taken(kind: CommandKind) -> None:
    request = a_request(kind, check_switch=True, with_read=True, emergency_override=True)
    check_request(request, now=NOON)


def test_a_reconnect_by_two_people_may_ask_to_pass_the_fence() -> None:
    check_request(a_request(C.REMOTE_CONNECT, past_unclear_order=("a", "b")), now=NOON)


# ---------------------------------------------------------------- the world


@pytest.mark.parametrize("kind", CommandKind)
def test_a_device_fit_for_it_breaks_no_rule(kind: CommandKind) -> None:
    effect = EFFECT_OF.get(kind)
    status = next((s for s, e in INSTALL_TRANSITIONS if e is effect), InstallStatus.CONN_COMM)
    assert broken(a_request(kind), a_view(status)) == []


@pytest.mark.parametrize("kind", CommandKind)
def test_a_head_end_that_cannot_do_it_is_told(kind: CommandKind) -> None:
    request = a_request(kind, ignore_install_state=True)
    assert broken(request, a_view(), head_end_kinds=ALL - {kind}) == ["head_end_capability"]


@pytest.mark.parametrize("kind", CommandKind)
def test_a_manual_meter_takes_no_command(kind: CommandKind) -> None:
    assert broken(a_request(kind), a_view(smart=False)) == ["smart_device"]


@pytest.mark.parametrize("kind", CommandKind)
def test_a_device_without_the_capability_is_not_eligible(kind: CommandKind) -> None:
    view = a_view()
    other = frozenset(item.value for item in CommandKind if item is not kind)
    view = replace(view, device=replace(view.device, capabilities=other))
    assert broken(a_request(kind, ignore_install_state=True), view) == ["eligible_command"]


@for_every("kind", sorted(EFFECT_OF))
@for_every("status", [*InstallStatus, None])
def test_the_install_state_must_have_an_arrow_for_the_command(
    kind: CommandKind, status: InstallStatus | None
) -> None:
    effect = EFFECT_OF[kind]
    fits = (status, effect) in INSTALL_TRANSITIONS
    if status is None:
        fits = kind is C.DEVICE_COMMISSIONING
    assert broken(a_request(kind), a_view(status)) == ([] if fits else ["install_state"])
    ignoring = a_request(kind, ignore_install_state=True)
    assert broken(ignoring, a_view(status)) == []


@for_every("kind", CommandKind)
@for_every("how", ["protected", "life_support"])
def test_only_disconnects_are_barred_at_a_protected_service_point(
    kind: CommandKind, how: str
) -> None:
    request = a_request(kind, ignore_install_state=True, emergency_override=True)
    expected = ["protected"] if kind is C.REMOTE_DISCONNECT else []
    assert broken(request, a_view(InstallStatus.CONN_COMM, smart=True, **{how: True})) == expected


@pytest.mark.parametrize("kind", sorted(EFFECT_OF))
@pytest.mark.parametrize("where", ["no service point", "removed"])
def test_a_meter_of_which_nobody_knows_where_it_is_is_not_disconnected(
    kind: CommandKind, where: str
) -> None:
    view = a_view(InstallStatus.CONN_COMM)
    assert view.installed is not None
    if where == "removed":
        view = replace(view, installed=replace(view.installed, removed_at=NOON))
    else:
        view = replace(view, service_point=None)
    request = a_request(kind, ignore_install_state=True)
    assert broken(request, view) == (["protected"] if kind is C.REMOTE_DISCONNECT else [])


def test_an_open_command_in_the_same_lane_is_named() -> None:
    request = a_request(C.REMOTE_DISCONNECT)
    found = judge(
        request,
        [a_view()],
        head_end_kinds=ALL,
        open_commands={"switch:D0": CommandId("other")},
    )
    assert [item.rule for item in found] == ["open_command"]
    assert "other" in found[0].text


def test_every_device_of_a_request_is_judged() -> None:
    request = a_request(C.ON_DEMAND_READ_SCALAR, 2)
    rows = judge(request, [a_view(smart=False)] * 2, head_end_kinds=ALL, open_commands={})
    assert len(rows) == 2


def test_connect_and_disconnect_of_a_meter_share_one_lane() -> None:
    lanes = {kind: lanes_of(a_request(kind)) for kind in CommandKind}
    assert lanes[C.REMOTE_CONNECT] == lanes[C.REMOTE_DISCONNECT] == ("switch:D0",)
    single = [k for k in CommandKind if FLOWS[k].scope is not Scope.GROUP]
    assert len({lanes[kind] for kind in single}) == len(single) - 1
    assert lanes[C.SCHEDULED_READ_SCALAR] == ()
    assert lanes_of(a_request(C.ON_DEMAND_READ_SCALAR, 2)) == ()


def test_a_lane_goes_by_endpoint_too_whatever_its_spelling() -> None:
    one, other = (
        lanes_of(a_request(C.REMOTE_DISCONNECT), [Target(device=DeviceId(id), endpoint=esn)])
        for id, esn in (("D0", EndpointId("2.16.70.A-1")), ("T", EndpointId(" 2.016.0070.a1")))
    )
    assert one == other == ("switch:D0", "switch@2.16.70.a1")


def test_a_holder_of_two_lanes_is_told_once() -> None:
    holders = {"switch:D0": CommandId("c1"), "switch@2.16": CommandId("c1")}
    found = judge(a_request(C.REMOTE_DISCONNECT), [], head_end_kinds=ALL, open_commands=holders)
    assert [each.text for each in found] == ["command c1 is open for switch:D0"]


@pytest.mark.parametrize("kind", EFFECT_OF)
def test_an_endpoint_of_two_devices_is_nobodys(kind: CommandKind) -> None:
    view, other = a_view(smart=True), a_view(smart=True)
    other = replace(other, device=replace(other.device, id=DeviceId("T")))
    assert view.device.endpoint is not None
    target = Target(device=view.device.id, endpoint=view.device.endpoint)
    holders = {target.endpoint: [view, other]}
    found = judge(a_request(kind), [view], head_end_kinds=ALL, open_commands={}, holders=holders)
    assert "endpoint" in {each.rule for each in found}
    command = a_command(kind)
    look = partial(may_dispatch, command.request, command.activity, view, SwitchPolicy(), now=NOON)
    last = look(target=target, holders=[view, other])
    assert last is not None
    assert last.rule == "endpoint"
    assert look(target=target, holders=[view]) is None
    moved = look(target=replace(target, endpoint=EndpointId("2.99")), holders=[])
    assert moved is not None
    assert moved.rule == "endpoint"


@pytest.mark.parametrize("kind", sorted(SWITCH_KINDS))
def test_a_switch_order_does_not_follow_its_meter_to_another_service_point(
    kind: CommandKind,
) -> None:
    view, command = a_view(smart=True), a_command(kind)
    assert view.installed is not None
    home = view.installed.service_point
    moved = replace(view.installed, service_point=ServicePointId("SP-NEXT-DOOR"))
    meant = replace(command.activity, service_point=home)
    look = partial(may_dispatch, command.request, policy=SwitchPolicy(), now=NOON)
    assert look(meant, view) is None
    gone = look(meant, replace(view, installed=moved))
    assert gone is not None
    assert (gone.rule, gone.text) == (
        "service_point",
        f"D0 stands at SP-NEXT-DOOR by now, and this command is for {home}",
    )
    removed = look(meant, replace(view, installed=replace(moved, removed_at=NOON)))
    assert removed is not None
    assert look(command.activity, replace(view, installed=moved)) is None, "nobody knew a place"


def test_a_disconnect_is_barred_by_the_protection_of_any_device_of_its_endpoint() -> None:
    view, other = a_view(smart=True), a_view(smart=True, life_support=True)
    other = replace(other, device=replace(other.device, id=DeviceId("T")))
    assert view.device.endpoint is not None
    found = judge(
        a_request(C.REMOTE_DISCONNECT),
        [view],
        head_end_kinds=ALL,
        open_commands={},
        holders={view.device.endpoint: [view, other]},
    )
    assert [each.rule for each in found] == ["endpoint", "protected"]


@for_every(
    ("named", "ours", "commanded"),
    [
        ("", "openway", True),
        (" ", "AMI-North", True),
        ("openway", "openway", True),
        (" OpenWay ", "openway", True),
        ("AMI-North", "ami-north", True),
        ("AMI-North", "openway", False),
        ("openway", "AMI-North", False),
    ],
)
def test_a_device_of_another_head_end_is_not_commanded_here(
    named: str, ours: str, commanded: bool
) -> None:
    view = a_view()
    view = replace(view, device=replace(view.device, head_end=named))
    for kind in CommandKind:
        request = replace(a_request(kind), ignore_install_state=True)
        found = broken(request, view, head_end=ours)
        assert ("head_end" in found) is not commanded, kind
    command = a_command(C.REMOTE_CONNECT)
    last = may_dispatch(
        command.request, command.activity, view, SwitchPolicy(), now=NOON, head_end=ours
    )
    assert (last is None) is commanded
    assert last is None or (last.rule, last.text) == (
        "head_end",
        f"D0 is at the head end {named}, and this one is {ours}",
    )


def test_a_connect_goes_first_and_groups_go_last() -> None:
    assert priority_of(a_request(C.REMOTE_CONNECT)) is Priority.URGENT
    assert priority_of(a_request(C.REMOTE_DISCONNECT)) is Priority.NORMAL
    assert priority_of(a_request(C.SCHEDULED_READ_INTERVAL)) is Priority.BULK
    asked = a_request(C.REMOTE_CONNECT, priority=Priority.BULK)
    assert priority_of(asked) is Priority.BULK
    assert [item.rank for item in Priority] == [0, 1, 2]


# ---------------------------------------------------------------- the last look


def barred(
    kind: CommandKind = C.REMOTE_DISCONNECT,
    view: DeviceView | None = None,
    policy: SwitchPolicy | None = None,
    now: datetime = NOON,
    **activity: Any,
) -> str | None:
    command = a_command(kind)
    found = may_dispatch(
        command.request,
        replace(command.activity, **activity),
        view,
        policy or SwitchPolicy(),
        now=now,
    )
    return None if found is None else found.rule


@pytest.mark.parametrize("kind", CommandKind)
def test_nothing_leaves_after_its_expiry(kind: CommandKind) -> None:
    assert barred(kind, a_view()) is None
    assert barred(kind, a_view(), now=NOON + 4 * HOUR) == "not_after"


@pytest.mark.parametrize("kind", CommandKind)
def test_nothing_leaves_before_its_effective_date_though_it_was_queued_already(
    kind: CommandKind,
) -> None:
    command = a_command(kind)
    request = replace(command.request, effective_at=NOON + HOUR)
    asked = (request, command.activity, a_view(), SwitchPolicy())
    early = may_dispatch(*asked, now=NOON + HOUR - timedelta(seconds=1))
    assert early is not None
    assert early.rule == "effective_at"
    assert may_dispatch(*asked, now=NOON + HOUR) is None


@pytest.mark.parametrize("how", ["protected", "life_support"])
def test_protection_that_came_after_acceptance_stops_a_disconnect(how: str) -> None:
    assert barred(view=a_view(InstallStatus.CONN_COMM, smart=True, **{how: True})) == "protected"
    assert (
        barred(C.REMOTE_CONNECT, a_view(InstallStatus.CONN_COMM, smart=True, **{how: True})) is None
    )


def test_a_disconnect_of_a_device_nobody_knows_does_not_leave() -> None:
    assert barred(view=None) == "unknown_device"
    assert barred(C.REMOTE_CONNECT, None) is None


def test_a_disconnect_leaves_only_approved_where_that_is_wanted() -> None:
    policy = SwitchPolicy(needs_approval=True)
    assert barred(view=a_view(), policy=policy) == "approval"
    assert barred(view=a_view(), policy=policy, approved_by="b") is None


def test_a_disconnect_leaves_only_inside_the_window() -> None:
    policy = SwitchPolicy(window=(time(8), time(12)))
    assert barred(view=a_view(), policy=policy, now=NOON) == "window"
    assert barred(view=a_view(), policy=policy, now=NOON - timedelta(seconds=1)) is None
    assert barred(C.REMOTE_CONNECT, policy=policy) is None


# ---------------------------------------------------------------- windows

MONDAY = 0


def local(text: str, zone: str = "UTC", fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-03-02T07:59:59", False),
        ("2026-03-02T08:00:00", True),
        ("2026-03-02T16:59:59", True),
        ("2026-03-02T17:00:00", False),
        ("2026-03-01T12:00:00", False),
    ],
)
def test_a_window_opens_at_its_first_and_closes_at_its_last_minute(at: str, inside: bool) -> None:
    policy = SwitchPolicy(window=(time(8), time(17)), weekdays=frozenset(range(5)))
    assert in_window(policy, now=local(at)) is inside


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-03-02T21:59:59", False),
        ("2026-03-02T22:00:00", True),
        ("2026-03-03T01:59:59", True),  # Tuesday, but Monday's window
        ("2026-03-03T02:00:00", False),
        ("2026-03-02T01:00:00", False),  # Monday, but Sunday's window
        ("2026-03-03T23:00:00", False),
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_opens_on(at: str, inside: bool) -> None:
    policy = SwitchPolicy(window=(time(22), time(2)), weekdays=frozenset({MONDAY}))
    assert in_window(policy, now=local(at)) is inside


def test_without_a_window_only_the_weekday_counts_in_the_sites_own_time() -> None:
    policy = SwitchPolicy(weekdays=frozenset({MONDAY}), time_zone="America/New_York")
    assert in_window(policy, now=local("2026-03-03T03:00:00"))
    assert not in_window(policy, now=local("2026-03-03T05:00:00"))


def test_a_window_follows_the_wall_clock_when_summer_time_begins_and_ends() -> None:
    zone = "America/New_York"
    policy = SwitchPolicy(window=(time(8), time(17)), time_zone=zone)
    assert not in_window(policy, now=datetime(2026, 3, 7, 12, 59, tzinfo=UTC))  # 07:59 EST
    assert in_window(policy, now=datetime(2026, 3, 8, 12, 0, tzinfo=UTC))  # 08:00 EDT
    night = SwitchPolicy(window=(time(1, 30), time(2)), time_zone=zone)
    for fold in (0, 1):  # 01:45 happens twice, and is inside both times
        assert in_window(night, now=local("2026-11-01T01:45:00", zone, fold))


@QUICK
@given(
    st.times(),
    st.times(),
    st.sets(st.integers(0, 6)),
    st.sampled_from(["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
)
def test_a_day_not_listed_opens_no_window(
    opens: time, closes: time, days: set[int], zone: str, when: datetime
) -> None:
    now = when.replace(tzinfo=UTC)
    policy = SwitchPolicy(window=(opens, closes), time_zone=zone, weekdays=frozenset(days))
    inside = in_window(policy, now=now)
    here = now.astimezone(ZoneInfo(zone))
    if inside:
        assert {here.weekday(), (here.weekday() - 1) % 7} & days
    if not days:
        assert not inside

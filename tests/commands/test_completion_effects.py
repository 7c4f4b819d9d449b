"""Completion events: what each changes in the registry, and that again changes nothing more."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.commands.activity import Command, CompletionEvent
from adapter.commands.calls import Reading, ReadingKind
from adapter.commands.completion import component_for, execute, same_quantity
from adapter.commands.flows import CommandKind, Completion
from adapter.model.device import (
    ComponentKind,
    Device,
    DeviceView,
    InstallEvent,
    InstallRefused,
    InstallStatus,
    MeasuringComponent,
    ServicePoint,
)
from adapter.model.ids import DeviceId, EndpointId, EventId, ServicePointId
from adapter.model.reading import not_regular
from adapter.model.values import replace
from tests.commands.example_counts import QUICK
from tests.commands.run_to_end import NOON, C, a_command

HOUR = timedelta(hours=1)


def a_view(
    number: int = 0,
    status: InstallStatus = InstallStatus.CONN_COMM,
    components: tuple[MeasuringComponent, ...] = (),
) -> DeviceView:
    device, point = DeviceId(f"D{number}"), ServicePointId(f"SP{number}")
    return DeviceView(
        device=Device(id=device, endpoint=EndpointId(f"E{number}"), components=components),
        service_point=ServicePoint(id=point),
        installed=InstallEvent(
            device=device, service_point=point, installed_at=NOON, status=status
        ),
    )


def an_event(kind: Completion, command: Command) -> CompletionEvent:
    return CompletionEvent(id=EventId(f"{command.id}:{kind.value}"), kind=kind, at=NOON)


def register(
    at: datetime = NOON, value: str = "5.0", endpoint: str = "E0", quantity: str = "Wh d"
) -> Reading:
    return Reading(
        endpoint=EndpointId(endpoint),
        kind=ReadingKind.REGISTER,
        quantity=quantity,
        source="Current",
        at=at,
        value=Decimal(value),
    )


def interval(number: int, endpoint: str = "E0") -> Reading:
    return Reading(
        endpoint=EndpointId(endpoint),
        kind=ReadingKind.INTERVAL,
        quantity="Wh d",
        source="LP1",
        at=NOON + number * timedelta(minutes=15),
        value=Decimal(number),
        seconds=900,
    )


@pytest.mark.parametrize(
    ("kind", "completion", "before", "after"),
    [
        (C.DEVICE_COMMISSIONING, Completion.COMMISSION_DEVICE, "Pending", "PreConn-Comm"),
        (C.DEVICE_DECOMMISSIONING, Completion.DECOMMISSION_DEVICE, "Conn-Comm", "Conn-Decomm"),
        (C.REMOTE_CONNECT, Completion.CONNECT_DEVICE, "Disconn-Comm", "Conn-Comm"),
        (C.REMOTE_DISCONNECT, Completion.DISCONNECT_DEVICE, "Conn-Comm", "Disconn-Comm"),
    ],
)
def test_a_completion_event_moves_the_install_event(
    kind: CommandKind, completion: Completion, before: str, after: str
) -> None:
    command = a_command(kind)
    event = an_event(completion, command)
    view = a_view(status=InstallStatus(before))
    (installed,) = execute(command, event, [view], []).installs
    assert installed.status == after
    again = execute(command, event, [replace(view, installed=installed)], [])
    assert again.installs == (installed,)
    assert again.measurements == ()


def test_a_completion_that_the_install_state_forbids_is_refused() -> None:
    command = a_command(C.REMOTE_DISCONNECT)
    event = an_event(Completion.DISCONNECT_DEVICE, command)
    with pytest.raises(InstallRefused):
        execute(command, event, [a_view(status=InstallStatus.PENDING)], [])


def test_a_connect_with_user_intervention_arms_the_meter() -> None:
    command = a_command(C.REMOTE_CONNECT, user_intervention_required=True)
    view = a_view(status=InstallStatus.DISCONN_COMM)
    event = an_event(Completion.CONNECT_DEVICE, command)
    assert execute(command, event, [view], []).installs[0].armed


def test_the_status_that_the_request_wants_instead_is_set() -> None:
    command = a_command(C.REMOTE_DISCONNECT, install_status_override=InstallStatus.MANUAL_OFF)
    event = an_event(Completion.DISCONNECT_DEVICE, command)
    assert execute(command, event, [a_view()], []).installs[0].status is InstallStatus.MANUAL_OFF


# ---------------------------------------------------------------- Create IMD

SCALAR = a_command(C.ON_DEMAND_READ_SCALAR)
CREATE = an_event(Completion.CREATE_IMD, SCALAR)


def test_a_scalar_measurement_is_the_latest_value_of_each_register() -> None:
    rows = [register(NOON, "2"), register(NOON - HOUR, "1"), register(quantity="VARh", value="7")]
    made = execute(SCALAR, CREATE, [a_view()], rows).measurements
    assert [(m.quantity, [v.value for v in m.values]) for m in made] == [
        ("VARh", [Decimal(7)]),
        ("Wh d", [Decimal(2)]),
    ]
    assert all(m.kind is ComponentKind.SCALAR and m.start == m.end == NOON for m in made)


def test_an_interval_measurement_reaches_from_the_first_start_to_the_last_end() -> None:
    command = a_command(C.ON_DEMAND_READ_INTERVAL)
    event = an_event(Completion.CREATE_IMD, command)
    rows = [interval(n) for n in (3, 1, 2)]
    (made,) = execute(command, event, [a_view()], rows).measurements
    assert made.start == NOON
    assert made.end == NOON + timedelta(minutes=45)
    assert [value.value for value in made.values] == [1, 2, 3]
    assert made.seconds == 900
    assert made.cause == event.id


@pytest.mark.parametrize("kind", [C.ON_DEMAND_READ_SCALAR, C.ON_DEMAND_READ_INTERVAL])
def test_values_of_the_other_kind_and_of_strangers_are_left_out(kind: CommandKind) -> None:
    command = a_command(kind)
    other = interval(1) if kind is C.ON_DEMAND_READ_SCALAR else register()
    rows = [other, register(endpoint="E9"), interval(1, endpoint="E9")]
    event = an_event(Completion.CREATE_IMD, command)
    assert execute(command, event, [a_view()], rows).measurements == ()


def test_only_quantities_that_the_device_is_configured_for_are_kept() -> None:
    own = MeasuringComponent(id="MC1", kind=ComponentKind.SCALAR, quantity="WH D")
    views = [a_view(components=(own,))]
    rows = [register(quantity="Wh d"), register(quantity="VARh")]
    (made,) = execute(SCALAR, CREATE, views, rows).measurements
    assert made.component == "MC1"
    assert component_for(views[0], same_quantity("Wh d"), ReadingKind.INTERVAL) is None


def test_two_spellings_of_a_quantity_are_one() -> None:
    assert same_quantity("Whd") == same_quantity(" Wh  D ")
    rows = [register(quantity="Whd"), register(quantity="Wh d", at=NOON - HOUR)]
    assert len(execute(SCALAR, CREATE, [a_view()], rows).measurements) == 1


def test_devices_that_name_their_components_alike_keep_their_measurements_apart() -> None:
    own = (MeasuringComponent(id="1", kind=ComponentKind.SCALAR, quantity="Wh d"),)
    views = [a_view(0, components=own), a_view(1, components=own)]
    rows = [register(), register(endpoint="E1")]
    made = execute(SCALAR, CREATE, views, rows).measurements
    assert len({item.id for item in made}) == 2


def test_a_measurement_says_the_condition_of_each_value() -> None:
    command = a_command(C.ON_DEMAND_READ_INTERVAL)
    event = an_event(Completion.CREATE_IMD, command)
    rows = [
        replace(interval(1), condition=501000),
        replace(interval(2), condition=301000, statuses=("Tamper",)),
        replace(interval(3), condition=201000, value=None, statuses=("SkippedInterval",)),
    ]
    (made,) = execute(command, event, [a_view()], rows).measurements
    assert [(v.value, v.condition) for v in made.values] == [
        (Decimal(1), 501000),
        (Decimal(2), 301000),
        (None, 201000),
    ]
    assert not_regular([made]) == "2 of 3 values not regular: condition 201000 (1), 301000 (1)"
    regular = replace(made, values=made.values[:1])
    assert not_regular([regular]) == not_regular([]) == ""


def test_of_two_readings_of_one_time_the_better_one_counts() -> None:
    rows = [
        replace(register(value="7"), condition=501000),
        replace(register(value="8"), condition=403000),
        replace(register(), condition=501000, value=None),
    ]
    for told in permutations(rows):
        (made,) = execute(SCALAR, CREATE, [a_view()], told).measurements
        assert [(v.value, v.condition) for v in made.values] == [(Decimal(7), 501000)]


def test_a_register_without_a_number_is_not_the_latest_where_there_is_one() -> None:
    none = replace(register(), condition=201000, value=None)
    earlier = replace(register(NOON - HOUR, "4"), condition=501000)
    (made,) = execute(SCALAR, CREATE, [a_view()], [none, earlier]).measurements
    assert [(v.value, v.condition) for v in made.values] == [(Decimal(4), 501000)]
    (made,) = execute(SCALAR, CREATE, [a_view()], [none]).measurements
    assert [(v.value, v.condition) for v in made.values] == [(None, 201000)]


def test_no_data_make_no_measurement() -> None:
    assert execute(SCALAR, CREATE, [a_view()], []).measurements == ()


@QUICK
@given(st.lists(st.integers(1, 20), min_size=1), st.randoms(use_true_random=False))
def test_the_same_data_in_any_order_and_doubled_make_the_same_measurements(
    numbers: list[int], chance: object
) -> None:
    command = a_command(C.ON_DEMAND_READ_INTERVAL, devices=2)
    event = an_event(Completion.CREATE_IMD, command)
    views = [a_view(0), a_view(1)]
    rows = [interval(n, f"E{n % 2}") for n in numbers]
    mixed = [*rows, *rows]
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    first = execute(command, event, views, rows).measurements
    assert execute(command, event, views, mixed).measurements == first
    assert len({item.id for item in first}) == len(first)

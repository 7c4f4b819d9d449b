"""What a device supports follows from itself, its type and its head end."""

import pytest

from adapter.model.capability import DeviceType, supported_commands
from adapter.model.measurement import CycleSchedule
from adapter.model.values import replace
from tests.orders.builders import NOON, a_manual_meter, a_smart_meter

TYPES = {"A3": DeviceType(name="A3", commands=frozenset({"remote_connect", "load_check"}))}
HEAD_ENDS = {"openway": frozenset({"remote_connect", "remote_disconnect"})}
TYPED = replace(a_smart_meter(), device_type="A3")
OWN = replace(TYPED, capabilities=frozenset({"remote_disconnect"}))


@pytest.mark.parametrize(
    ("device", "commands"),
    [
        (None, set()),
        (a_manual_meter(), set()),
        (a_smart_meter(), set()),
        (TYPED, {"remote_connect"}),
        (OWN, {"remote_disconnect"}),
        (replace(OWN, head_end="another"), set()),
    ],
)
def test_type_and_head_end_both_have_to_support_a_command(
    device: object, commands: set[str]
) -> None:
    assert supported_commands(device, TYPES, HEAD_ENDS) == commands  # type: ignore[arg-type]


def test_the_first_scheduled_read_of_a_window_is_found() -> None:
    days = tuple(NOON.replace(day=day) for day in (1, 10, 20))
    schedule = CycleSchedule(cycle="C", reads=days)
    assert schedule.within(NOON.replace(day=2), NOON.replace(day=25)) == days[1]
    assert schedule.within(NOON.replace(day=11), NOON.replace(day=20)) is None

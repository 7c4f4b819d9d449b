"""The format of order fixtures: a world, what is done in it, what goes wrong, and what came out.

    orders/<kind>/<scenario>/order.toml      written by hand
                             expected.json   what came out (`order_outcome.py`)

Times are seconds since `start`, in virtual time. No message of the head end is kept: it is the
simulator that answers.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from adapter.commands.flows import CommandKind
from adapter.fieldwork.crew_scripts import CrewScript
from adapter.model.device import Category, DisconnectLocation, InstallStatus
from adapter.model.json_members import json_value
from adapter.model.values import replace
from adapter.orders.order import OrderKind
from adapter.orders.plan import SMART_COMMANDS
from adapter.replay.json_text import json_text
from adapter.replay.recording_files import (
    MOST_ACTS,
    check_times,
    read_toml,
    read_within,
    write_within,
)
from adapter.replay.scenario import EXPECTED, START, BadScenario

ORDER: Final = "order.toml"


class OrderDo(StrEnum):
    """What somebody does. COMPLETE closes an order by hand, COMPLETE_VISIT and CANCEL_VISIT its
    latest child, without anything to add; MEASURE is a value that the simulated head end sends by
    itself; CHANGE_METER happens there too."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    UPDATE = "update"
    PAYMENT = "payment"
    RETRY = "retry"
    CORRECT = "correct"
    COMPLETE = "complete"
    DISCARD = "discard"
    COMPLETE_VISIT = "complete_visit"
    CANCEL_VISIT = "cancel_visit"
    MEASURE = "measure"
    CHANGE_METER = "change_meter"


class OrderAct(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """One thing done at `at` seconds. `order` is the n-th submitted one, from 1.

    `effective_in_s` and `service_in_s` count from the act itself; 0 leaves it to the gateway. So
    does `read_in_s`, the time of a measured `value` (Wh), which has `statuses` in a load profile.
    """

    do: OrderDo
    at: float = 0.0
    order: int = 1
    kind: OrderKind | None = None
    point: str = "SP-1"
    reference: str = ""
    effective_in_s: float = 0.0
    service_in_s: float = 0.0
    fields: dict[str, str] = {}
    by: str = "cis"
    reason: str = ""
    device: str = ""
    component: str = "kwh"
    value: Decimal = Decimal(4_711_500)
    read_in_s: float = 0.0
    statuses: tuple[str, ...] = ()
    meter: dict[str, object] = {}


class PointRow(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    id: str = "SP-1"
    category: Category = Category.METER
    connected: bool = True
    disconnect_location: DisconnectLocation = DisconnectLocation.DEVICE
    time_zone: str = "UTC"
    life_support: bool = False
    protected: bool = False
    measurement_cycle: str = ""


class DeviceRow(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """`meter` is the number of its simulated meter, from 0; None is a manual meter or an item.

    A meter bills by its `register` ("kwh"), its load profile (`interval`, "load"), or both.
    `status` None: not installed anywhere, in the crew's van where `van` says so.
    """

    id: str
    meter: int | None = None
    point: str = "SP-1"
    status: InstallStatus | None = None
    category: Category = Category.METER
    register: bool = True
    interval: bool = False
    commands: tuple[str, ...] = tuple(sorted(SMART_COMMANDS | {CommandKind.LOAD_CHECK}))
    van: bool = False


class CrewRow(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The members of `CrewSettings` that matter in virtual time, and what goes wrong."""

    seed: int = 1
    book_s: float = 600.0
    lead_s: float = 3_600.0
    travel_s: float = 1_800.0
    work_s: float = 1_200.0
    script: tuple[CrewScript, ...] = ()


class OrderScenario(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """`orders` is a site's orders file, `policy` members of `Policy` that differ from the usual.

    Without `ends_at` it ends when nothing is left to happen, or an hour after the last act.
    """

    shows: str
    act: tuple[OrderAct, ...]
    start: datetime = START
    seed: int = 1
    point: tuple[PointRow, ...] = (PointRow(),)
    device: tuple[DeviceRow, ...] = ()
    crew: CrewRow = CrewRow()
    simulator: dict[str, object] = {}
    orders: dict[str, object] = {}
    policy: dict[str, object] = {}
    ends_at: float | None = None
    name: str = ""


def order_folders(below: Path) -> tuple[Path, ...]:
    return tuple(sorted(file.parent for file in below.rglob(ORDER)))


def read_order_scenario(folder: Path) -> OrderScenario:
    """Raises BadScenario naming file and member."""
    file = folder / ORDER
    try:
        made = msgspec.convert(read_toml(folder, ORDER), OrderScenario, strict=False)
    except (OSError, ValueError) as error:
        raise BadScenario(f"{file}: {error}") from error
    if len(made.act) > MOST_ACTS:
        raise BadScenario(f"{file}: act: at most {MOST_ACTS}")
    times = {
        f"act[{number}].{name}": getattr(act, name)
        for number, act in enumerate(made.act, start=1)
        for name in ("at", "effective_in_s", "service_in_s", "read_in_s")
    }
    try:
        check_times(made.start, {"ends_at": made.ends_at or 0.0, **times})
    except ValueError as error:
        raise BadScenario(f"{file}: {error}") from error
    return replace(made, name=f"{folder.parent.name}/{folder.name}")


def read_expected(folder: Path) -> Mapping[str, object]:
    """Raises BadScenario."""
    file = folder / EXPECTED
    try:
        expected = json_value(read_within(folder, EXPECTED))
    except (OSError, ValueError) as error:
        raise BadScenario(f"{file}: {error}") from error
    if not isinstance(expected, dict):
        raise BadScenario(f"{file}: an object is wanted")
    return expected


def write_expected(folder: Path, outcome: Mapping[str, object]) -> None:
    write_within(folder, EXPECTED, json_text(outcome).encode())

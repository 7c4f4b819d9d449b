"""The activity business objects that an order may create as its children.

Command objects are the command-flow table's. `D1-FieldActivity` is documented. The names that
begin with `CM-` are ours: the product has such activities, and their names are not published.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.commands.flows import FLOWS, CommandKind


class ChildKind(StrEnum):
    COMMAND = "command"
    FIELD = "field"
    WAIT_MEASUREMENT = "wait_measurement"
    WAIT_SCHEDULED_READ = "wait_scheduled_read"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessObject:
    """One kind of child. `task` is the field task of a field activity that always has the same."""

    name: str
    kind: ChildKind
    command: CommandKind | None = None
    task: str = ""


FIELD_ACTIVITY: Final = "D1-FieldActivity"
INCOMPATIBLE_DEVICE: Final = "CM-IncompatibleDevice"
WAIT_MEASUREMENT: Final = "CM-WaitForMeasurement"
WAIT_SCHEDULED_READ: Final = "CM-WaitForScheduledRead"

_COMMANDS: Final = (
    CommandKind.DEVICE_COMMISSIONING,
    CommandKind.DEVICE_DECOMMISSIONING,
    CommandKind.REMOTE_CONNECT,
    CommandKind.REMOTE_DISCONNECT,
    CommandKind.ON_DEMAND_READ_SCALAR,
    CommandKind.ON_DEMAND_READ_INTERVAL,
    CommandKind.DEVICE_STATUS_CHECK,
    CommandKind.LOAD_CHECK,
    CommandKind.READ_DISCONNECT_STATE,
)


def _table(rows: Iterable[BusinessObject]) -> Mapping[str, BusinessObject]:
    return MappingProxyType({row.name: row for row in rows})


BUSINESS_OBJECTS: Final = _table(
    [
        *(
            BusinessObject(name=FLOWS[kind].business_object, kind=ChildKind.COMMAND, command=kind)
            for kind in _COMMANDS
        ),
        BusinessObject(name=FIELD_ACTIVITY, kind=ChildKind.FIELD),
        BusinessObject(name=INCOMPATIBLE_DEVICE, kind=ChildKind.FIELD, task="D1-ExchangeMeter"),
        BusinessObject(name=WAIT_MEASUREMENT, kind=ChildKind.WAIT_MEASUREMENT),
        BusinessObject(name=WAIT_SCHEDULED_READ, kind=ChildKind.WAIT_SCHEDULED_READ),
    ]
)
"""Only single-device objects: an order concerns one service point."""

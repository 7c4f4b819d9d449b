"""THE FIELD TASK TABLE: what crews can be asked to do, and what their work changes.

The values are the product's base values (documented). Their meaning is read from their names;
appointment options, thresholds, and what each changes in the world are ours (inferred).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Routing(StrEnum):
    """Documented: whether the task concerns one service point or only passes through."""

    SP_REQUIRED = "SP Required"
    PASS_THROUGH = "Pass-Through"


class Appointment(StrEnum):
    NOT_APPLICABLE = "Not Applicable"
    OPTIONAL = "Optional"
    REQUIRED = "Required"


class FieldEffect(StrEnum):
    """What a completion event of field work does to the world. `completion.py` applies it."""

    CONNECT_POINT = "connect_point"
    OPEN_SOURCE = "open_source"
    OPEN_AT_DEVICE = "open_at_device"
    INSTALL = "install"
    REMOVE = "remove"
    TURN_ON = "turn_on"
    TURN_OFF = "turn_off"
    CUT = "cut"
    MEASURE = "measure"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """Whether another task of the listed types within `hours` is allowed."""

    allowed: bool = False
    hours: int = 24
    tasks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTask:
    """One value of D1-FieldTaskTypeLookup with its documented attributes.

    `successful` and `canceled` are the two lists of completion events, in order.
    """

    name: str
    group: str
    routing: Routing
    appointment: Appointment
    successful: tuple[FieldEffect, ...]
    canceled: tuple[FieldEffect, ...] = ()
    duplicates: Overlap = Overlap()
    conflicts: Overlap = Overlap(allowed=True)

    @property
    def disconnects(self) -> bool:
        return takes_supply(self.successful)


_E, _A, _R = FieldEffect, Appointment, Routing
DISCONNECTING: Final = frozenset({_E.OPEN_SOURCE, _E.OPEN_AT_DEVICE, _E.TURN_OFF, _E.CUT})


def takes_supply(effects: Iterable[FieldEffect]) -> bool:
    return not DISCONNECTING.isdisjoint(effects)


_N, _O, _Q = _A.NOT_APPLICABLE, _A.OPTIONAL, _A.REQUIRED
_DATA: Final[tuple[tuple[str, str, Appointment, tuple[FieldEffect, ...]], ...]] = (
    # task                         group        appointment  when successful
    ("D1-ConnectSPAtSource", "enable", _O, (_E.CONNECT_POINT,)),
    ("D1-ConnectSPAtMeter", "enable", _O, (_E.CONNECT_POINT,)),
    ("D1-ConnectSPAtDevice", "enable", _O, (_E.CONNECT_POINT,)),
    ("D1-ConnectSPAtSourceAndTurnOn", "enable", _O, (_E.CONNECT_POINT, _E.TURN_ON)),
    ("D1-ConnectSPAtMeterAndTurnOn", "enable", _O, (_E.CONNECT_POINT, _E.TURN_ON)),
    ("D1-ConnSPAtSrceAndTurnOnDvc", "enable", _O, (_E.CONNECT_POINT, _E.TURN_ON)),
    ("D1-ConnectSPAtDvcAndTurnOn", "enable", _O, (_E.CONNECT_POINT, _E.TURN_ON)),
    ("D1-ConnSPAtSrceAndInstMtr", "enable", _Q, (_E.CONNECT_POINT, _E.INSTALL, _E.MEASURE)),
    ("D1-ConnSPAtMtrAndInstMtr", "enable", _Q, (_E.CONNECT_POINT, _E.INSTALL, _E.MEASURE)),
    ("D1-ConnSPAtSrceAndInstDvc", "enable", _Q, (_E.CONNECT_POINT, _E.INSTALL)),
    ("D1-ConnSPAtDvcAndInstDvc", "enable", _Q, (_E.CONNECT_POINT, _E.INSTALL)),
    ("D1-InstallMeter", "enable", _Q, (_E.INSTALL, _E.MEASURE)),
    ("D1-InstallDevice", "enable", _Q, (_E.INSTALL,)),
    ("D1-TurnOnMeter", "enable", _O, (_E.TURN_ON, _E.MEASURE)),
    ("D1-TurnOnItem", "enable", _O, (_E.TURN_ON,)),
    ("D1-TurnOffMeter", "disable", _N, (_E.TURN_OFF, _E.MEASURE)),
    ("D1-TurnOffItem", "disable", _N, (_E.TURN_OFF,)),
    ("D1-CutForNonPayment", "cut", _N, (_E.CUT,)),
    ("D1-CutItemForNonPayment", "cut", _N, (_E.CUT,)),
    ("D1-ReconnectForPayment", "reconnect", _N, (_E.CONNECT_POINT, _E.TURN_ON)),
    ("D1-ReconnectItemForPayment", "reconnect", _N, (_E.CONNECT_POINT, _E.TURN_ON)),
    ("D1-ExchangeMeter", "exchange", _O, (_E.REMOVE, _E.INSTALL, _E.MEASURE)),
    ("D1-ExchangeDevice", "exchange", _O, (_E.REMOVE, _E.INSTALL)),
    ("D1-RemoveMeter", "remove", _N, (_E.MEASURE, _E.REMOVE)),
    ("D1-RemoveDevice", "remove", _N, (_E.REMOVE,)),
    ("D1-DisconnectSPAtSource", "remove", _N, (_E.OPEN_SOURCE,)),
    ("D1-DisconnectItemSPAtSource", "remove", _N, (_E.OPEN_SOURCE,)),
    ("D1-DisconnectSPAtMeter", "remove", _N, (_E.OPEN_AT_DEVICE,)),
    ("D1-DisconnectSPAtDevice", "remove", _N, (_E.OPEN_AT_DEVICE,)),
    ("D1-DisConnSPAtSrceAndRmveMtr", "remove", _N, (_E.MEASURE, _E.OPEN_SOURCE, _E.REMOVE)),
    ("D1-DisConnSPAtMtrAndRmveMtr", "remove", _N, (_E.MEASURE, _E.OPEN_AT_DEVICE, _E.REMOVE)),
    ("D1-DisConnSPAtDvcAndRmveDvc", "remove", _N, (_E.OPEN_AT_DEVICE, _E.REMOVE)),
    ("D1-ReadMeter", "other", _N, (_E.MEASURE,)),
    ("D1-DisconnectWarning", "other", _N, ()),
    ("D1-ServiceInvestigation", "other", _O, ()),
    ("D1-MaintainEquipment", "other", _O, ()),
    ("D1-TrimTree", "other", _O, ()),
    ("D1-TurnOnPilotLight", "other", _Q, ()),
)

OPPOSITES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "enable": frozenset({"disable", "cut", "remove"}),
        "disable": frozenset({"enable", "reconnect"}),
        "cut": frozenset({"enable", "reconnect"}),
        "reconnect": frozenset({"disable", "cut", "remove"}),
        "exchange": frozenset({"remove"}),
        "remove": frozenset({"enable", "reconnect", "exchange"}),
        "other": frozenset(),
    }
)
"""Groups whose open work contradicts a task. Ours."""

_PASS_THROUGH: Final = frozenset({"D1-MaintainEquipment", "D1-TrimTree"})


def _rows() -> tuple[FieldTask, ...]:
    names = {group: frozenset(n for n, g, _, _ in _DATA if g == group) for group in OPPOSITES}
    return tuple(
        FieldTask(
            name=name,
            group=group,
            routing=_R.PASS_THROUGH if name in _PASS_THROUGH else _R.SP_REQUIRED,
            appointment=appointment,
            successful=effects,
            duplicates=Overlap(tasks=frozenset({name})),
            conflicts=Overlap(
                allowed=not OPPOSITES[group],
                hours=72,
                tasks=frozenset().union(*(names[other] for other in OPPOSITES[group])),
            ),
        )
        for name, group, appointment, effects in _DATA
    )


FIELD_TASKS: Final[Mapping[str, FieldTask]] = MappingProxyType({row.name: row for row in _rows()})
_FOLDED: Final = MappingProxyType({name.casefold(): row for name, row in FIELD_TASKS.items()})


def own_field_task(name: str, group: str) -> FieldTask:
    """A type of a site's own that changes nothing yet; it contradicts what its group does."""
    against = {task.name for task in FIELD_TASKS.values() if task.group in OPPOSITES[group]}
    return FieldTask(
        name=name,
        group=group,
        routing=Routing.SP_REQUIRED,
        appointment=Appointment.NOT_APPLICABLE,
        successful=(),
        duplicates=Overlap(tasks=frozenset({name})),
        conflicts=Overlap(allowed=not against, hours=72, tasks=frozenset(against)),
    )


AS_SHIPPED: Final[Mapping[str, FieldTask]] = MappingProxyType({})


def field_task(name: str, changed: Mapping[str, FieldTask] = AS_SHIPPED) -> FieldTask | None:
    """The task of that name, as the site has `changed` it or has it of its own; None for an unknown
    one.

    Case does not matter: the product spells one two ways.
    """
    known = _FOLDED.get(name.casefold())
    if known is None:
        own = (task for task in changed.values() if task.name.casefold() == name.casefold())
        return next(own, None)
    return changed.get(known.name, known)


class CancelReason(StrEnum):
    """D1-CancelReasonLookup. The first two are base values (documented); the others are ours."""

    AUTO_DISCARDED = "D1-AutoDiscarded"
    UNDETERMINED = "D1-Undetermined"
    PAYMENT = "CM-PaymentReceived"
    REQUESTER = "CM-RequesterWithdrew"
    NO_ACCESS = "CM-NoAccess"
    WRONG_ORDER = "CM-OrderedInError"
    CUSTOMER_DARK = "CM-SupplyRestored"


class RescheduleReason(StrEnum):
    """D1-RescheduleReasonLookup. The lookup is documented, its base values are not; all ours."""

    CUSTOMER = "CM-CustomerAsked"
    CREW = "CM-CrewNotAvailable"
    WEATHER = "CM-Weather"
    NO_ACCESS = "CM-NoAccess"
    PARTS = "CM-PartsMissing"

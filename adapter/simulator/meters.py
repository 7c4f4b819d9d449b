"""The meters: what one is, what a command does to it, and a population of many that costs little.

A meter that nobody changed is not stored: it is a function of the seed and its number. All of the
behaviour here is the simulator's own reading of the contract's names (inferred), above all that
the head end refuses to close a switch while it sees voltage on the load side.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Final

from msgspec import Struct

from adapter.commands.calls import FailureReason, SwitchState
from adapter.model.bounds import Bounds, Count, CountOrZero, Seed, Share
from adapter.model.ids import EndpointId
from adapter.model.values import replace
from adapter.simulator.seeded import fractions

EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""Since when a meter that nobody touched has been in its state, and counts energy."""

_OBJECT_ID: Final = re.compile(r"\d+(\.\d+)+", re.ASCII)
"""What every serial number seen so far looks like."""

PULSES: Final = ("0.025", "0.2", "0.5")
"""Watt-hours a pulse. A watt-hour is a whole number of each, so that nothing is lost."""

_AT_HAND: Final = 256

R, S = FailureReason, SwitchState


class Meter(Struct, frozen=True, kw_only=True):
    """One endpoint as the head end and the street know it.

    `commissioned`: the head end has its definition; `registered`: it also talks to the network.
    `backfeed`: voltage stands on the load side while the switch is open. `open_since` is set while
    the switch is not closed; `off` are the past periods without consumption, `outages` those
    without supply, both as (from, to) in UTC. `zone` is that of its daily habits. `pulse` is the
    PulseMultiplier of a meter that sends raw pulses; one that sends watt-hours has none.
    """

    esn: EndpointId
    serial: str
    device_class: str
    configuration_group: str
    groups: tuple[str, ...] = ()
    registered: bool = True
    commissioned: bool = True
    switch: SwitchState = S.CONNECTED
    switch_changed_at: datetime = EPOCH
    remote_switch: bool = True
    backfeed: bool = False
    reachable: bool = True
    generates: bool = False
    open_since: datetime | None = None
    off: tuple[tuple[datetime, datetime], ...] = ()
    outages: tuple[tuple[datetime, datetime], ...] = ()
    zone: str = "UTC"
    pulse: str = ""

    @property
    def load_side_voltage(self) -> bool:
        """What DetectLoadSideVoltageByMeter tells: supply through a closed switch, or back-feed."""
        return self.switch is S.CONNECTED or self.backfeed

    @property
    def known(self) -> bool:
        return self.commissioned and self.registered


class Failed(Struct, frozen=True, kw_only=True):
    """Why an endpoint did not do what it was asked."""

    reason: FailureReason
    description: str = ""


class Done(Struct, frozen=True, kw_only=True):
    """The endpoint did it. `meter` is how it is afterwards."""

    meter: Meter


Answered = Done | Failed


def addressable(meter: Meter | None, esn: EndpointId) -> Failed | None:
    """Why the head end will not even try to reach this endpoint, or None when it will."""
    if meter is None and _OBJECT_ID.fullmatch(esn) is None:
        return Failed(reason=R.INVALID_IDENTIFIER, description="This is no serial number.")
    if meter is None:
        return Failed(reason=R.TARGET_NOT_FOUND, description=f"No endpoint {esn} is known.")
    if not meter.known:
        return Failed(reason=R.TARGET_NOT_REGISTERED, description=f"{esn} is not registered.")
    return None


def reached(meter: Meter) -> Failed | None:
    if not meter.reachable:
        return Failed(reason=R.NO_RESPONSE, description="No answer from the endpoint.")
    return None


def _switchable(meter: Meter) -> Failed | None:
    if not meter.remote_switch:
        return Failed(reason=R.OPERATION_NOT_SUPPORTED, description="There is no remote switch.")
    return reached(meter)


def moved(meter: Meter, switch: SwitchState, *, now: datetime) -> Meter:
    """The meter with its switch in another position since `now`."""
    if switch is meter.switch:
        return meter
    off, open_since = meter.off, meter.open_since
    if switch is S.CONNECTED:
        if open_since is not None:
            off, open_since = (*off, (open_since, now)), None
    elif open_since is None:
        open_since = now
    return replace(meter, switch=switch, switch_changed_at=now, off=off, open_since=open_since)


def disconnect(meter: Meter, *, now: datetime) -> Answered:
    if (failed := _switchable(meter)) is not None:
        return failed
    return Done(meter=moved(meter, S.DISCONNECTED, now=now))


def reconnect(meter: Meter, *, by_customer: bool, now: datetime) -> Answered:
    """Close the switch, or arm it for the customer's hand. Refused while the load side is live."""
    if (failed := _switchable(meter)) is not None:
        return failed
    if meter.switch is S.CONNECTED:
        return Done(meter=meter)
    if meter.backfeed:
        return Failed(reason=R.INVALID_TARGET_STATE, description="Load side voltage is present.")
    return Done(meter=moved(meter, S.ARMED if by_customer else S.CONNECTED, now=now))


def read_switch(meter: Meter) -> Answered:
    failed = _switchable(meter)
    return Done(meter=meter) if failed is None else failed


def answer(meter: Meter) -> Answered:
    """What any other request meets: an answer, or silence."""
    failed = reached(meter)
    return Done(meter=meter) if failed is None else failed


def ping(meter: Meter) -> Answered:
    if not meter.reachable:
        return Failed(reason=R.COMMUNICATION_ERROR, description="The endpoint is unreachable.")
    return Done(meter=meter)


_Names = Annotated[Sequence[str], Bounds(least=1, most=1_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PopulationPlan:
    """How many meters there are and how they differ. Shares are of all meters, but for those of
    intervals and days."""

    count: Annotated[CountOrZero, "number of meters"] = 1_000
    seed: Annotated[Seed, "the same seed gives the same meters and the same chances"] = 1
    esn_prefix: Annotated[str, "start of every ESN"] = "2.16.840.1.114416.15.243."
    first_number: Annotated[Seed, "end of the first ESN"] = 700_001
    group_size: Annotated[Count, "meters of a group"] = 1_000
    device_classes: Annotated[_Names, "device classes, in turn"] = (
        "OpenWay CENTRON",
        "OpenWay CENTRON Polyphase",
    )
    configuration_groups: Annotated[_Names, "configuration groups, in turn"] = (
        "Residential",
        "Commercial",
    )
    unregistered_share: Annotated[Share, "the head end cannot reach them yet"] = 0.0
    disconnected_share: Annotated[Share, "their switch is open"] = 0.0
    unreachable_share: Annotated[Share, "they do not answer"] = 0.0
    backfeed_share: Annotated[Share, "voltage on the load side of an open switch"] = 0.0
    without_switch_share: Annotated[Share, "they have no remote switch"] = 0.0
    generating_share: Annotated[Share, "they deliver energy as well"] = 0.1
    skipped_share: Annotated[
        Share, "of all intervals: recorded without a value, though the register went on"
    ] = 0.0
    noted_share: Annotated[
        Share, "of all intervals: told with a status word that nothing else here causes"
    ] = 0.0
    clock_reset_share: Annotated[
        Share, "of all days of a meter: its clock is set, forward or back"
    ] = 0.0
    raw_share: Annotated[Share, "they send pulses and a multiplier in place of watt-hours"] = 0.0
    interval_billed_share: Annotated[
        Share, "master data bill them by load profile; all others by register"
    ] = 0.0
    time_zone: Annotated[
        str,
        "IANA name: the day's shape follows its clock, and intervals of its summer time carry the "
        "status for it (inferred)",
    ] = "UTC"


@dataclass(slots=True)
class Population:
    """All meters. Only those that were changed or added take memory, and the last that were asked
    for: a request asks for its own more than once."""

    plan: PopulationPlan
    _changed: dict[EndpointId, Meter] = field(default_factory=dict)
    _added: dict[EndpointId, None] = field(default_factory=dict)
    _groups: dict[str, tuple[EndpointId, ...]] = field(default_factory=dict)
    _at_hand: dict[EndpointId, Meter] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.plan.count + len(self._added)

    def __iter__(self) -> Iterator[EndpointId]:
        plan = self.plan
        for index in range(plan.count):
            yield EndpointId(f"{plan.esn_prefix}{plan.first_number + index}")
        yield from tuple(self._added)

    @property
    def changed(self) -> int:
        return len(self._changed)

    def find(self, esn: EndpointId) -> Meter | None:
        meter = self._changed.get(esn) or self._at_hand.get(esn)
        if meter is not None:
            return meter
        index = self._index(esn)
        if index is None:
            return None
        if len(self._at_hand) >= _AT_HAND:
            self._at_hand.clear()
        meter = self._at_hand[esn] = self._born(esn, index)
        return meter

    def put(self, meter: Meter) -> None:
        """Keep a changed meter, or add a new one."""
        if meter.esn not in self._changed and self._index(meter.esn) is None:
            self._added[meter.esn] = None
        self._changed[meter.esn] = meter

    def new(self, esn: EndpointId, configuration_group: str = "") -> Meter:
        """A meter outside the plan, as it comes from the factory; not kept until it is put."""
        serial = esn.rpartition(".")[2]
        group = configuration_group or self.plan.configuration_groups[0]
        return Meter(
            esn=esn,
            serial=serial,
            device_class=self.plan.device_classes[0],
            configuration_group=group,
            zone=self.plan.time_zone,
            registered=False,
            commissioned=False,
        )

    def reset(self) -> None:
        """Every meter as it was born; added meters and named groups are gone."""
        self._changed.clear()
        self._added.clear()
        self._groups.clear()

    @property
    def named_groups(self) -> Mapping[str, tuple[EndpointId, ...]]:
        """The groups given by name and list; the planned ones are not among them."""
        return MappingProxyType(self._groups)

    def set_group(self, name: str, members: Sequence[EndpointId]) -> None:
        self._groups[name] = tuple(dict.fromkeys(members))

    def drop_group(self, name: str) -> bool:
        return self._groups.pop(name, None) is not None

    def group_names(self) -> tuple[str, ...]:
        size = self.plan.group_size
        substations = -(-self.plan.count // size)
        planned = tuple(f"Substation {number + 1}" for number in range(substations))
        return tuple(dict.fromkeys((*planned, *self.plan.configuration_groups, *self._groups)))

    def members(self, name: str) -> tuple[EndpointId, ...] | None:
        """The meters of a group, or None where there is no such group.

        A group is a named list, a planned "Substation n" of neighbouring numbers, or all meters of
        one configuration group.
        """
        if name in self._groups:
            return self._groups[name]
        if name in self.plan.configuration_groups:
            return tuple(
                esn
                for esn in self
                if (meter := self.find(esn)) is not None and meter.configuration_group == name
            )
        return self._substation(name)

    def _substation(self, name: str) -> tuple[EndpointId, ...] | None:
        word, _, digits = name.rpartition(" ")
        if word != "Substation" or not digits.isascii() or not digits.isdigit():
            return None
        plan = self.plan
        first = (int(digits) - 1) * plan.group_size
        if not 0 <= first < plan.count:
            return None
        last = min(first + plan.group_size, plan.count)
        return tuple(
            EndpointId(f"{plan.esn_prefix}{plan.first_number + index}")
            for index in range(first, last)
        )

    def _index(self, esn: EndpointId) -> int | None:
        plan = self.plan
        digits = esn.removeprefix(plan.esn_prefix)
        if digits == esn or not (digits.isascii() and digits.isdigit()) or digits[0] == "0":
            return None
        index = int(digits) - plan.first_number if len(digits) < 19 else -1
        return index if 0 <= index < plan.count else None

    def _born(self, esn: EndpointId, index: int) -> Meter:
        plan = self.plan
        lots = fractions(plan.seed, esn)
        registered = lots[0] >= plan.unregistered_share
        open_switch = lots[1] < plan.disconnected_share
        classes, groups = plan.device_classes, plan.configuration_groups
        return Meter(
            esn=esn,
            serial=str(plan.first_number + index),
            device_class=classes[int(lots[6] * len(classes))],
            configuration_group=groups[int(lots[6] * len(groups))],
            groups=(f"Substation {index // plan.group_size + 1}",),
            registered=registered,
            commissioned=registered,
            switch=S.DISCONNECTED if open_switch else S.CONNECTED,
            open_since=EPOCH if open_switch else None,
            remote_switch=lots[2] >= plan.without_switch_share,
            backfeed=lots[3] < plan.backfeed_share,
            reachable=lots[4] >= plan.unreachable_share,
            generates=lots[5] < plan.generating_share,
            zone=plan.time_zone,
            pulse=PULSES[int(lots[7] * 999_983) % len(PULSES)] if lots[7] < plan.raw_share else "",
        )

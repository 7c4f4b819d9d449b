"""Whether a request may become a command: its devices looked at, and the rules applied to them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from adapter.commands.activity import Command, CommandRequest, CommunicationState, Target
from adapter.commands.calls import SwitchState
from adapter.commands.events import Validated
from adapter.commands.flows import EFFECT_OF, OPENING_KINDS, CommandKind
from adapter.commands.rules import SwitchPolicy, Violation, judge, lanes_of
from adapter.commands.steps import moves_switch
from adapter.engine.commands.ports import DeviceRegistry, Store
from adapter.errors import InvalidRequest, UnknownDevice
from adapter.model.device import THIS_HEAD_END, DeviceView
from adapter.model.ids import CommandId, DeviceId, ServicePointId, endpoint_key

_UNDER_WAY: Final = frozenset(
    {CommunicationState.SENDING, CommunicationState.AWAITING, CommunicationState.FETCHING}
)
_AT_ONCE: Final = 500
"""Devices whose records are in memory at one time; a command may be about a whole city."""

_MOST_TOLD: Final = 100
"""Violations of single devices that are kept with a command."""


class Surveyed(Struct, frozen=True, kw_only=True):
    """The devices of a request: whom to reach, and which rules they break.

    `switch` is what the registry says of the switch of a request for one, `stands_at` where its
    device is installed. `left_out` counts the
    members of a group that are at another head end: its group of that name has none of them.
    """

    targets: tuple[Target, ...]
    violations: tuple[Violation, ...]
    switch: SwitchState | None
    stands_at: ServicePointId | None = None
    left_out: int = 0


class Facts(Struct, frozen=True, kw_only=True):
    """What validation looks at besides the request."""

    violations: tuple[Violation, ...]
    """Of the devices."""
    open_commands: Mapping[str, CommandId]


@dataclass(slots=True)
class _Violations:
    """The first ones of single devices, and how many there are."""

    kept: list[Violation] = field(default_factory=list)
    more: int = 0

    def add(self, found: Sequence[Violation]) -> None:
        free = _MOST_TOLD - len(self.kept)
        self.kept += found[:free]
        self.more += len(found[free:])

    def told(self) -> tuple[Violation, ...]:
        if not self.more:
            return tuple(self.kept)
        rest = Violation(rule=self.kept[-1].rule, text=f"and {self.more} more like these")
        return (*self.kept, rest)


class Validation:
    """Gathers fresh facts and applies the rules to them."""

    def __init__(
        self,
        store: Store,
        registry: DeviceRegistry,
        head_end_kinds: frozenset[CommandKind],
        switch: SwitchPolicy,
        head_end: str = THIS_HEAD_END,
    ) -> None:
        self._store = store
        self._registry = registry
        self._kinds = head_end_kinds
        self._switch = switch
        self._head_end = head_end

    async def survey(self, request: CommandRequest, devices: Sequence[DeviceId]) -> Surveyed:
        """Look at the devices of a new request. Raises UnknownDevice, InvalidRequest."""
        targets: list[Target] = []
        violations = _Violations()
        switch, stands_at, left_out = None, None, 0
        for some in _some_at_a_time(devices):
            views = await self._registry.views(some)
            if request.group is not None:
                away = self._elsewhere(views)
                left_out += len(away)
                some = [item for item in some if item not in away]
            targets += [_target(item, views.get(item)) for item in some]
            violations.add(await self._judge(request, views.values()))
            if len(request.devices) == 1:
                only = views[devices[0]]
                switch, stands_at = _switch_of(only), only.stands_at
        return Surveyed(
            targets=_once_each(targets, grouped=request.group is not None),
            violations=violations.told(),
            switch=switch,
            stands_at=stands_at,
            left_out=left_out,
        )

    def _elsewhere(self, views: Mapping[DeviceId, DeviceView]) -> frozenset[DeviceId]:
        return frozenset(
            each for each, view in views.items() if not view.device.belongs_to(self._head_end)
        )

    async def _judge(
        self, request: CommandRequest, views: Collection[DeviceView]
    ) -> tuple[Violation, ...]:
        kinds = frozenset({request.kind})
        if request.group is not None:
            views = [view for view in views if view.device.belongs_to(self._head_end)]
        named = [view.device.endpoint for view in views if view.device.endpoint is not None]
        asked = named if request.kind in EFFECT_OF else []
        holders = await self._registry.at_endpoints(asked) if asked else {}
        return judge(
            request,
            tuple(views),
            head_end_kinds=kinds,
            open_commands={},
            holders=holders,
            head_end=self._head_end,
        )

    async def facts(self, command: Command, surveyed: Surveyed | None = None) -> Facts:
        """Fresh facts; those of the devices are `surveyed` where that was only just done."""
        lanes = lanes_of(command.request, command.targets)
        holders = await self._store.holders(lanes) if lanes else {}
        others = {lane: holder for lane, holder in holders.items() if holder != command.id}
        if command.request.past_unclear_order is not None:
            others = await self._moving(others)
        if surveyed is not None:
            return Facts(violations=surveyed.violations, open_commands=others)
        violations = _Violations()
        ids = [target.device for target in command.targets]
        for some in _some_at_a_time(ids):
            views = await self._registry.views(some)
            violations.add(await self._judge(command.request, views.values()))
        return Facts(violations=violations.told(), open_commands=others)

    async def _moving(self, holders: Mapping[str, CommandId]) -> dict[str, CommandId]:
        """Those that even two people may not pass: their order is under way, its end is known soon.

        What waits, or is unclear, may be passed: being dark is the worse harm (I7 all the same).
        """
        found = await self._store.load(list(holders.values()))
        return {
            lane: holder
            for lane, holder in holders.items()
            if any(
                moves_switch(item) and item.state in _UNDER_WAY
                for item in found[holder].communications
            )
        }

    def judge(self, command: Command, facts: Facts) -> Validated:
        request = command.request
        kinds, own = self._kinds, frozenset({request.kind})
        violations = (
            *judge(request, (), head_end_kinds=kinds, open_commands={}),
            *facts.violations,
            *judge(request, (), head_end_kinds=own, open_commands=facts.open_commands),
        )
        blocked = any(item.rule == "open_command" for item in violations)
        disconnect = request.kind in OPENING_KINDS
        return Validated(
            violations=violations,
            needs_approval=self._switch.needs_approval and disconnect,
            drop_optional=request.optional and blocked,
        )


def _some_at_a_time(devices: Sequence[DeviceId]) -> Iterator[Sequence[DeviceId]]:
    """The records of a city are not for memory."""
    for at in range(0, len(devices), _AT_ONCE):
        yield devices[at : at + _AT_ONCE]


def _target(device: DeviceId, view: DeviceView | None) -> Target:
    if view is None:
        raise UnknownDevice("devices", f"{device} is not in the registry")
    if view.device.endpoint is None:
        raise InvalidRequest("devices", f"{device} is not a smart meter")
    return Target(device=device, endpoint=view.device.endpoint)


def _once_each(targets: Sequence[Target], *, grouped: bool) -> tuple[Target, ...]:
    """Every endpoint once: of a group the first device that names it, else InvalidRequest."""
    known: dict[str, Target] = {}
    for target in targets:
        first = known.setdefault(endpoint_key(target.endpoint), target)
        if first is not target and not grouped:
            raise InvalidRequest("devices", f"{first.device} and {target.device} name one endpoint")
    return tuple(known.values())


def _switch_of(view: DeviceView) -> SwitchState | None:
    """What the registry says of the switch now; a switch check replaces it."""
    if view.installed is None:
        return None
    return SwitchState.CONNECTED if view.installed.connected else SwitchState.DISCONNECTED

"""How commands are carried out: what a site may choose of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from adapter.commands.flows import CommandKind
from adapter.commands.timing import POLICIES, Policy
from adapter.engine.commands.correlator import ParkingPolicy
from adapter.engine.commands.dispatcher import DispatchSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """`head_end_kinds` are the commands that the head end offers."""

    policies: Mapping[CommandKind, Policy] = field(default_factory=lambda: POLICIES)
    dispatch: DispatchSettings = field(default_factory=DispatchSettings)
    parking: ParkingPolicy = field(default_factory=ParkingPolicy)
    head_end_kinds: frozenset[CommandKind] = frozenset(CommandKind)

"""Whether work takes supply away or gives it back, and whether a service point has supply.

By the records: what a child was to do, and install event and source status as they are now.
"""

from collections.abc import Sequence
from typing import Final

from adapter.commands.flows import CLOSING_KINDS, OPENING_KINDS
from adapter.orders.order import ChildFact, ChildSpec, View
from adapter.orders.tasks import FieldEffect, takes_supply

_CONNECTING: Final = frozenset({FieldEffect.CONNECT_POINT, FieldEffect.TURN_ON})


def disconnects(child: ChildSpec) -> bool:
    """Whether the child takes supply away."""
    return child.command in OPENING_KINDS or takes_supply(child.changes)


def reconnects(child: ChildSpec) -> bool:
    """Whether the child gives supply back."""
    return child.command in CLOSING_KINDS or not _CONNECTING.isdisjoint(child.changes)


def cut_off(children: Sequence[ChildFact]) -> bool:
    """Whether the work of an order took supply away last."""
    done = [each.spec for each in children if each.completed]
    switching = [each for each in done if disconnects(each) or reconnects(each)]
    return bool(switching) and disconnects(switching[-1])


def supplied(view: View) -> bool:
    """Whether the service point is connected and its device, where it has one, lets supply
    through."""
    return view.service_point.connected and (view.on or not view.device_expected)

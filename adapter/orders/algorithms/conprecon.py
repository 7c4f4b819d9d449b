"""D1-CONPRECON, Connect Only If Previously Connected."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.verdict import Pass, SetField, Verdict
from adapter.orders.order import CONNECT_NEW_DEVICE, DO_CONNECT, DO_NOT_CONNECT, ServiceOrder, View

LABELS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectIfConnectedBefore:
    """D1-CONPRECON. The source names no parameters."""


def parse(_read: ParameterReader) -> ConnectIfConnectedBefore:
    return ConnectIfConnectedBefore()


def connect_if_connected_before(
    order: ServiceOrder, view: View, _params: ConnectIfConnectedBefore
) -> Verdict:
    """D1-CONPRECON: fill the empty flag from the old device; never override a value.

    A device behind an open source is not connected (inferred).
    """
    if order.fields.get(CONNECT_NEW_DEVICE):
        return Pass(note="the flag has a value")
    connected = view.on and view.service_point.connected
    return SetField(fields={CONNECT_NEW_DEVICE: DO_CONNECT if connected else DO_NOT_CONNECT})

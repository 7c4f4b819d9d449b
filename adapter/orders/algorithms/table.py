"""THE TEN ALGORITHM TYPES of "Are SP and Device Ready?", and a site's own: one row for each.

The file of a type is named by its code. It has the type's parameters, how they are written, and the
pure function of order, facts and parameters that decides. Each acts only if the world still needs
it, for every pass starts again from the first (documented). Steps marked (inferred) or (ours) are
not in the source.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from adapter.orders.algorithms import (
    canspact_updspac,
    chkmsmt,
    conprecon,
    cremtrexc,
    crspact,
    custom,
    dcrmmtr,
    dvcomchk,
    remonoff,
    upddvc,
)
from adapter.orders.algorithms.canspact_updspac import MaintainSpecificActivity, maintain_nothing
from adapter.orders.algorithms.chkmsmt import CheckMeasurement, check_measurement
from adapter.orders.algorithms.conprecon import (
    ConnectIfConnectedBefore,
    connect_if_connected_before,
)
from adapter.orders.algorithms.cremtrexc import CreateMeterExchange, create_meter_exchange
from adapter.orders.algorithms.crspact import CreateSpecificActivity, create_specific_activity
from adapter.orders.algorithms.custom import CustomFunction, run_custom
from adapter.orders.algorithms.dcrmmtr import DecommissionRemoved, decommission_removed
from adapter.orders.algorithms.dvcomchk import CompatibilityCheckParameters, check_compatibility
from adapter.orders.algorithms.reader import ParameterReader, Raw
from adapter.orders.algorithms.remonoff import RemoteOffOn, remote_off_on
from adapter.orders.algorithms.rows import AlgorithmType
from adapter.orders.algorithms.upddvc import UpdateDevice, update_device
from adapter.orders.algorithms.verdict import Customs, Verdict
from adapter.orders.elements import ELEMENTS, ActivityElement
from adapter.orders.lookups import BASE, OrderLookups
from adapter.orders.order import ServiceOrder, View

Parameters = (
    CompatibilityCheckParameters
    | ConnectIfConnectedBefore
    | CreateSpecificActivity
    | CreateMeterExchange
    | UpdateDevice
    | RemoteOffOn
    | DecommissionRemoved
    | CheckMeasurement
    | MaintainSpecificActivity
    | CustomFunction
)
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class AlgorithmRow(Generic[P]):
    """One type: its title in the source, its parameters, their labels there, how they are read,
    and what decides. "(ours)" marks a label that the source does not have."""

    code: AlgorithmType
    title: str
    parameters: type[P]
    labels: Mapping[str, str]
    parse: Callable[[ParameterReader], P]
    decide: Callable[[ServiceOrder, View, P, Customs], Verdict]

    def run(self, order: ServiceOrder, view: View, params: object, customs: Customs) -> Verdict:
        if not isinstance(params, self.parameters):
            raise TypeError(f"{type(params).__name__} are no parameters of {self.code}")
        return self.decide(order, view, params, customs)


_T = AlgorithmType


def _plain(
    decide: Callable[[ServiceOrder, View, P], Verdict],
) -> Callable[[ServiceOrder, View, P, Customs], Verdict]:
    """For a type that asks no function of the site's."""
    return lambda order, view, params, _customs: decide(order, view, params)


# fmt: off
_ROWS: Final = (
    #            code          title                                   parameters                     labels                   read by                 what decides
    AlgorithmRow(_T.DVCOMCHK,  "Customer-Device Compatibility Check",  CompatibilityCheckParameters,  dvcomchk.LABELS,         dvcomchk.parse,         check_compatibility),
    AlgorithmRow(_T.CONPRECON, "Connect Only If Previously Connected", ConnectIfConnectedBefore,      conprecon.LABELS,        conprecon.parse,        _plain(connect_if_connected_before)),
    AlgorithmRow(_T.CRSPACT,   "Create Specific Activity",             CreateSpecificActivity,        crspact.LABELS,          crspact.parse,          create_specific_activity),
    AlgorithmRow(_T.CREMTREXC, "Create Meter Exchange Field Activity", CreateMeterExchange,           cremtrexc.LABELS,        cremtrexc.parse,        _plain(create_meter_exchange)),
    AlgorithmRow(_T.UPDDVC,    "Update Device",                        UpdateDevice,                  upddvc.LABELS,           upddvc.parse,           _plain(update_device)),
    AlgorithmRow(_T.REMONOFF,  "Remote Turn Off Turn On",              RemoteOffOn,                   remonoff.LABELS,         remonoff.parse,         _plain(remote_off_on)),
    AlgorithmRow(_T.DCRMMTR,   "Decommission Removed Meter",           DecommissionRemoved,           dcrmmtr.LABELS,          dcrmmtr.parse,          _plain(decommission_removed)),
    AlgorithmRow(_T.CHKMSMT,   "Check For Measurement",                CheckMeasurement,              chkmsmt.LABELS,          chkmsmt.parse,          _plain(check_measurement)),
    AlgorithmRow(_T.CANSPACT,  "Cancel Specific Activity",             MaintainSpecificActivity,      canspact_updspac.LABELS, canspact_updspac.parse, _plain(maintain_nothing)),
    AlgorithmRow(_T.UPDSPAC,   "Update Specific Activity",             MaintainSpecificActivity,      canspact_updspac.LABELS, canspact_updspac.parse, _plain(maintain_nothing)),
    AlgorithmRow(_T.CUSTOM,    "A site's own",                         CustomFunction,                custom.LABELS,           custom.parse,           run_custom),
)
# fmt: on
ALGORITHMS: Final[Mapping[AlgorithmType, AlgorithmRow[Any]]] = MappingProxyType(
    {row.code: row for row in _ROWS}
)


MEASURING: Final = frozenset({_T.CHKMSMT, _T.DVCOMCHK, _T.CRSPACT, _T.CUSTOM})
"""Types that look at measurements, or that ask a function of the site's, which may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One algorithm of an orchestration: its type, its name, its parameters."""

    type: AlgorithmType
    name: str
    parameters: Parameters

    def decide(self, order: ServiceOrder, view: View, customs: Customs) -> Verdict:
        """What the order needs next, as far as this algorithm can say."""
        return ALGORITHMS[self.type].run(order, view, self.parameters, customs)


def parse_algorithm(
    type_: AlgorithmType,
    name: str,
    raw: Raw,
    *,
    where: str,
    lookups: OrderLookups = BASE,
    elements: Mapping[str, ActivityElement] = ELEMENTS,
) -> Algorithm:
    """One algorithm with typed parameters. Raises SettingsError (RowError for a row)."""
    row = ALGORITHMS[type_]
    read = ParameterReader(type_, f"{where}: {name}", raw, row.labels, lookups, elements)
    return Algorithm(type=type_, name=name, parameters=row.parse(read))

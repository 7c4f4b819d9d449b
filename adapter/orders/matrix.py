"""THE ORCHESTRATION MATRIX: which algorithms decide each of the six kinds of order, and how.

Documented: the algorithm types, the six kinds, and on how many kinds each type stands
(2, 1, 1, 1, 6, 1, 1, 4). Inferred: in which columns the marks stand (near certain, but for the one
of FOURTH_MEASUREMENT_CHECK) and that the algorithms run in the order of the source's table.
Ours: the parameter rows, for which the source gives two examples only. A site replaces any of
it in TOML.
"""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final

from adapter.orders.algorithms.reader import Raw
from adapter.orders.algorithms.rows import AlgorithmType
from adapter.orders.algorithms.table import Algorithm, parse_algorithm
from adapter.orders.order import OrderKind

K, T = OrderKind, AlgorithmType
Orchestrations = Mapping[OrderKind, tuple[Algorithm, ...]]

# The source marks Check For Measurement on four kinds and its page no longer shows which. Three are
# near certain; the fourth is UNCERTAIN (Exchange about 65 %). None leaves it out.
FOURTH_MEASUREMENT_CHECK: Final[OrderKind | None] = K.EXCHANGE

ROW_COUNTS: Final[Mapping[AlgorithmType, int]] = MappingProxyType(
    {
        T.DVCOMCHK: 2,
        T.CONPRECON: 1,
        T.CRSPACT: 1,
        T.CREMTREXC: 1,
        T.UPDDVC: 6,
        T.REMONOFF: 1,
        T.DCRMMTR: 1,
        T.CHKMSMT: 4,
    }
)
"""On how many kinds each type stands, in the order of the source's table (documented)."""

FA: Final = "D1-FieldActivity"

# fmt: off
# The source's example is the first row. One row per documented Enable task.
_CREATE: Final = """
servicePointConnected=false disconnectLocation=D1SR deviceInstalledAtSP=false specificFieldTask=D1-ConnSPAtSrceAndInstMtr spTypeCategory=D1MT
servicePointConnected=false disconnectLocation=D1SR deviceInstalledAtSP=false specificFieldTask=D1-ConnSPAtSrceAndInstDvc spTypeCategory=D1IT
servicePointConnected=false disconnectLocation=D1DV deviceInstalledAtSP=false specificFieldTask=D1-ConnSPAtMtrAndInstMtr spTypeCategory=D1MT
servicePointConnected=false disconnectLocation=D1DV deviceInstalledAtSP=false specificFieldTask=D1-ConnSPAtDvcAndInstDvc spTypeCategory=D1IT
servicePointConnected=false disconnectLocation=D1SR deviceInstalledAtSP=true installationEventStatusOverride=ManualOff specificFieldTask=D1-ConnectSPAtSourceAndTurnOn spTypeCategory=D1MT
servicePointConnected=false disconnectLocation=D1SR deviceInstalledAtSP=true installationEventStatusOverride=ManualOff specificFieldTask=D1-ConnSPAtSrceAndTurnOnDvc spTypeCategory=D1IT
servicePointConnected=false disconnectLocation=D1DV deviceInstalledAtSP=true installationEventStatusOverride=ManualOff specificFieldTask=D1-ConnectSPAtMeterAndTurnOn spTypeCategory=D1MT
servicePointConnected=false disconnectLocation=D1DV deviceInstalledAtSP=true installationEventStatusOverride=ManualOff specificFieldTask=D1-ConnectSPAtDvcAndTurnOn spTypeCategory=D1IT
servicePointConnected=false disconnectLocation=D1SR deviceInstalledAtSP=true specificFieldTask=D1-ConnectSPAtSource
servicePointConnected=false disconnectLocation=D1DV deviceInstalledAtSP=true specificFieldTask=D1-ConnectSPAtMeter spTypeCategory=D1MT
servicePointConnected=false disconnectLocation=D1DV deviceInstalledAtSP=true specificFieldTask=D1-ConnectSPAtDevice spTypeCategory=D1IT
servicePointConnected=true deviceInstalledAtSP=false specificFieldTask=D1-InstallMeter spTypeCategory=D1MT
servicePointConnected=true deviceInstalledAtSP=false specificFieldTask=D1-InstallDevice spTypeCategory=D1IT
servicePointConnected=false disconnectLocation=D1SR specificFieldTask=D1-ConnectSPAtSource spTypeCategory=D1MI
servicePointConnected=false disconnectLocation=D1DV specificFieldTask=D1-ConnectSPAtDevice spTypeCategory=D1MI
"""

_COMMISSION: Final = """
installationEventStatusOverride=Conn-PreComm activityBOToCreate=D1-DeviceCommission alternativeFieldTask=skip
installationEventStatusOverride=Conn-Decomm activityBOToCreate=D1-DeviceCommission alternativeFieldTask=skip
installationEventStatusOverride=Disconn-Decomm activityBOToCreate=D1-DeviceCommission alternativeFieldTask=skip
"""

# Disconn-Decomm comes last: only a meter that cannot be commissioned gets that far, and it is off.
_CONNECT: Final = """
installationEventStatusOverride=Disconn-Comm activityBOToCreate=D1-RemoteConnect alternativeFieldTask=D1-TurnOnMeter
installationEventStatusOverride=PreConn-Comm activityBOToCreate=D1-RemoteConnect alternativeFieldTask=D1-TurnOnMeter
installationEventStatusOverride=ManualOff specificFieldTask=D1-TurnOnMeter spTypeCategory=D1MT
installationEventStatusOverride=ManualOff specificFieldTask=D1-TurnOnItem spTypeCategory=D1IT
installationEventStatusOverride=Disconn-Decomm specificFieldTask=D1-TurnOnMeter
"""

_TURN_OFF: Final = """
installationEventStatusOverride=Conn-Comm activityBOToCreate=D1-RemoteDisconnect alternativeFieldTask=D1-TurnOffMeter
installationEventStatusOverride=Conn-PreComm specificFieldTask=D1-TurnOffMeter
installationEventStatusOverride=Conn-Decomm specificFieldTask=D1-TurnOffMeter
installationEventStatusOverride=ManualOn specificFieldTask=D1-TurnOffMeter spTypeCategory=D1MT
installationEventStatusOverride=ManualOn specificFieldTask=D1-TurnOffItem spTypeCategory=D1IT
"""
_TURN_OFF_POINT: Final = """
servicePointConnected=true specificFieldTask=D1-DisconnectItemSPAtSource spTypeCategory=D1MI
"""

_CUT: Final = """
installationEventStatusOverride=Conn-Comm activityBOToCreate=D1-RemoteDisconnect alternativeFieldTask=D1-CutForNonPayment
installationEventStatusOverride=Conn-PreComm specificFieldTask=D1-CutForNonPayment
installationEventStatusOverride=Conn-Decomm specificFieldTask=D1-CutForNonPayment
installationEventStatusOverride=ManualOn specificFieldTask=D1-CutForNonPayment spTypeCategory=D1MT
installationEventStatusOverride=ManualOn specificFieldTask=D1-CutItemForNonPayment spTypeCategory=D1IT
"""
_CUT_POINT: Final = """
servicePointConnected=true specificFieldTask=D1-CutItemForNonPayment spTypeCategory=D1MI
"""

_RECONNECT: Final = _COMMISSION + """
installationEventStatusOverride=Disconn-Comm activityBOToCreate=D1-RemoteConnect alternativeFieldTask=D1-ReconnectForPayment
installationEventStatusOverride=PreConn-Comm activityBOToCreate=D1-RemoteConnect alternativeFieldTask=D1-ReconnectForPayment
installationEventStatusOverride=ManualOff specificFieldTask=D1-ReconnectForPayment spTypeCategory=D1MT
installationEventStatusOverride=ManualOff specificFieldTask=D1-ReconnectItemForPayment spTypeCategory=D1IT
installationEventStatusOverride=Disconn-Decomm specificFieldTask=D1-ReconnectForPayment
"""
# A crew may have cut at the source, or taken the meter away: without these rows, "Con" would call
# the order done with the customer still dark.
_RECONNECT_POINT: Final = """
servicePointConnected=false specificFieldTask=D1-ReconnectForPayment spTypeCategory=D1MT
servicePointConnected=false specificFieldTask=D1-ReconnectItemForPayment spTypeCategory=D1IT
servicePointConnected=false specificFieldTask=D1-ReconnectItemForPayment spTypeCategory=D1MI
servicePointConnected=true deviceInstalledAtSP=false specificFieldTask=D1-InstallMeter spTypeCategory=D1MT
servicePointConnected=true deviceInstalledAtSP=false specificFieldTask=D1-InstallDevice spTypeCategory=D1IT
"""

# "Nothing" (ours) where what is to be turned off has no service already; "Con" where the rows have
# work at a service point without it: a new meter behind an open source is commissioned.
_MEASURE: Final[tuple[AlgorithmType, str, Raw]] = (T.CHKMSMT, "Check for Measurement", {"field_task": "D1-ReadMeter"})
_COMPATIBLE: Final[tuple[AlgorithmType, str, Raw]] = (T.DVCOMCHK, "Customer-Device Compatibility Check", {})

_CELLS: Final[Mapping[OrderKind, tuple[tuple[AlgorithmType, str, Raw], ...]]] = {
    K.ENABLE: (
        _COMPATIBLE,
        (T.CRSPACT,   "Connect SP and/or Install Device", {"field_activity_bo": FA, "rows": _CREATE}),
        (T.UPDDVC,    "Commission and Turn On",           {"field_activity_bo": FA, "error_if_missing": "Yes", "rows": _COMMISSION + _CONNECT}),
        _MEASURE,
    ),
    K.DISABLE: (
        (T.UPDDVC,    "Turn Off",                         {"field_activity_bo": FA, "error_if_missing": "Nothing", "rows": _TURN_OFF, "service_point_rows": _TURN_OFF_POINT}),
        _MEASURE,
    ),
    K.CUT: (
        (T.UPDDVC,    "Cut",                              {"field_activity_bo": FA, "error_if_missing": "Nothing", "rows": _CUT, "service_point_rows": _CUT_POINT}),
    ),
    K.RECONNECT: (
        (T.UPDDVC,    "Reconnect",                        {"field_activity_bo": FA, "error_if_missing": "Con", "rows": _RECONNECT, "service_point_rows": _RECONNECT_POINT}),
    ),
    K.EXCHANGE: (
        (T.CONPRECON, "Connect Only If Previously Connected", {}),
        (T.CREMTREXC, "Create Meter Exchange Field Activity", {"activity": "activityBOToCreate=D1-FieldActivity specificFieldTask=D1-ExchangeMeter"}),
        (T.UPDDVC,    "Commission New Device",            {"field_activity_bo": FA, "error_if_missing": "Con", "rows": _COMMISSION}),
        (T.UPDDVC,    "Connect New Device",               {"field_activity_bo": FA, "error_if_missing": "Yes", "rows": _CONNECT, "element": "connectNewDevice", "stop_value": "D1NC"}),
        (T.DCRMMTR,   "Decommission Removed Meter",       {"activity": "activityBOToCreate=D1-DeviceDecommission"}),
    ),
    K.BACK_TO_BACK: (
        _COMPATIBLE,
        (T.UPDDVC,    "Commission and Turn On",           {"field_activity_bo": FA, "error_if_missing": "Yes", "rows": _COMMISSION + _CONNECT}),
        (T.REMONOFF,  "Remote Turn Off Turn On",          {}),
        _MEASURE,
    ),
}
# fmt: on


@cache
def default_matrix(fourth: OrderKind | None) -> Orchestrations:
    """The matrix, with the uncertain mark of Check For Measurement on `fourth`."""
    return MappingProxyType(
        {
            kind: tuple(
                parse_algorithm(type_, name, raw, where=f"matrix, {kind}")
                for type_, name, raw in (*cells, *((_MEASURE,) if kind is fourth else ()))
            )
            for kind, cells in _CELLS.items()
        }
    )


MATRIX: Final[Orchestrations] = default_matrix(FOURTH_MEASUREMENT_CHECK)

MAINTENANCE: Final[Mapping[str, Algorithm]] = MappingProxyType(
    {
        "cancel": parse_algorithm(T.CANSPACT, "Cancel Specific Activity", {}, where="matrix"),
        "update": parse_algorithm(T.UPDSPAC, "Update Specific Activity", {}, where="matrix"),
    }
)
"""The two orchestrations of category Orchestration Maintenance (documented)."""


def marks(matrix: Orchestrations = MATRIX) -> Mapping[AlgorithmType, tuple[OrderKind, ...]]:
    """For each type of the source's table the kinds it stands on, in the table's order."""
    return {
        type_: tuple(k for k in OrderKind if any(a.type is type_ for a in matrix[k]))
        for type_ in ROW_COUNTS
    }

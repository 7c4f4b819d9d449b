"""D1-REMONOFF: off and on again for a back-to-back order, and who was left in the dark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapter.commands.flows import CLOSING_KINDS, OPENING_KINDS, CommandKind
from adapter.model.device import InstallEffect, InstallStatus
from adapter.orders.activities import INCOMPATIBLE_DEVICE, ChildKind
from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.verdict import Create, Pass, Verdict, Wait, command_child, refuse
from adapter.orders.order import ChildFact, ServiceOrder, View
from adapter.orders.switching import reconnects
from adapter.orders.tasks import FieldEffect

LABELS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "incompatibility_bo": "Device Incompatibility Detected Activity BO",
        "connect_bo": "Remote Connect BO",
        "disconnect_bo": "Remote Disconnect BO",
        "status_after_connect": "Installation Event Status Override for Connect",
        "status_after_disconnect": "Installation Event Status Override for Disconnect",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOffOn:
    """D1-REMONOFF."""

    incompatibility_bo: str = INCOMPATIBLE_DEVICE
    connect_bo: str = "D1-RemoteConnect"
    disconnect_bo: str = "D1-RemoteDisconnect"
    status_after_connect: InstallStatus = InstallStatus.CONN_COMM
    status_after_disconnect: InstallStatus = InstallStatus.DISCONN_COMM
    site_status_after_connect: str = ""
    site_status_after_disconnect: str = ""


def parse(read: ParameterReader) -> RemoteOffOn:
    default = RemoteOffOn()
    on, site_on = read.status(
        "status_after_connect", default.status_after_connect, InstallEffect.CONNECT
    )
    off, site_off = read.status(
        "status_after_disconnect", default.status_after_disconnect, InstallEffect.DISCONNECT
    )
    return RemoteOffOn(
        incompatibility_bo=read.activity(
            "incompatibility_bo", default.incompatibility_bo, ChildKind.FIELD
        ),
        connect_bo=read.command("connect_bo", default.connect_bo, CommandKind.REMOTE_CONNECT),
        disconnect_bo=read.command(
            "disconnect_bo", default.disconnect_bo, CommandKind.REMOTE_DISCONNECT
        ),
        status_after_connect=on,
        status_after_disconnect=off,
        site_status_after_connect=site_on,
        site_status_after_disconnect=site_off,
    )


def remote_off_on(_order: ServiceOrder, view: View, params: RemoteOffOn) -> Verdict:
    """D1-REMONOFF: off, then on, resumed wherever it was interrupted.

    A connection that D1-UPDDVC or a crew made after our disconnect counts as the second half: the
    two algorithms must not fight. A customer we left dark comes before every other rule (ours).
    """
    if left_dark(view.children):
        return _restore(view, params)
    if view.of(params.incompatibility_bo):
        return Pass(note="the device was or will be changed in the field")
    waiting = next((c for c in view.children if not c.final and _switches(c, params)), None)
    if waiting is not None:
        return Wait(child=waiting.id)
    if any(c.completed for c in view.of(params.disconnect_bo)):
        return Pass(note="off and on again")
    supported = all(
        view.supports(k) for k in (CommandKind.REMOTE_CONNECT, CommandKind.REMOTE_DISCONNECT)
    )
    if not (supported and view.commissioned):
        return Pass(note="the device cannot be switched remotely")  # inferred: no field parameter
    if view.restricted:
        return Pass(note=f"not switched off: {view.restricted}")  # ours
    if view.activity_type.netting and any(
        c.completed and reconnects(c.spec) for c in view.children
    ):
        return Pass(note="not switched off: it was off, and this order turned it on")  # ours
    if not view.on:
        return refuse("not_ready", "the device is off before the change-over", "retry")
    child = command_child(
        view,
        params.disconnect_bo,
        override=params.status_after_disconnect,
        site_status=params.site_status_after_disconnect,
    )
    return Create(child=child, note="first half: off")


def _restore(view: View, params: RemoteOffOn) -> Verdict:
    if view.on:
        return Pass(note="supply was restored by other means")
    if not view.supports(CommandKind.REMOTE_CONNECT):
        return refuse(
            "customer_without_supply",
            "switched off by this order, and the device no longer supports a remote connect",
            "send a crew at once",
            dark=True,
        )
    child = command_child(
        view,
        params.connect_bo,
        override=params.status_after_connect,
        site_status=params.site_status_after_connect,
    )
    return Create(child=child, note="second half: on")


def left_dark(children: Sequence[ChildFact]) -> bool:
    """Whether the order switched the customer off and nothing has completed since to restore it.

    Asked of back-to-back orders only: for Disable and Cut, dark is the purpose.
    """
    dark = False
    for child in sorted(children, key=lambda each: each.number):
        if not child.completed:
            continue
        if child.spec.command in OPENING_KINDS:
            dark = True
        elif _restores(child):
            dark = False
    return dark


def _restores(child: ChildFact) -> bool:
    if child.spec.command in CLOSING_KINDS:
        return True
    return bool({FieldEffect.TURN_ON, FieldEffect.INSTALL} & set(child.spec.changes))


def _switches(child: ChildFact, params: RemoteOffOn) -> bool:
    return child.spec.business_object in (params.connect_bo, params.disconnect_bo)

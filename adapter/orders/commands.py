"""A child that is a command: what the gateway is asked, and how its progress looks to an order."""

from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from adapter.commands.activity import (
    Activity,
    CommandRequest,
    Outcome,
    ReadPeriod,
    State,
)
from adapter.commands.flows import CLOSING_KINDS, READ_KINDS, SWITCH_KINDS, Priority
from adapter.errors import InvalidRequest
from adapter.orders.order import ChildId, ChildSpec, ChildState, OrderKind, ServiceOrder

_URGENT: Final = frozenset({OrderKind.RECONNECT, OrderKind.BACK_TO_BACK, OrderKind.ENABLE})


_BEFORE: Final = timedelta(hours=1)
"""A register read this long before the child was made is as good as a new one. Ours."""


def command_request(
    order: ServiceOrder, child: ChildId, spec: ChildSpec, *, at: datetime | None = None
) -> CommandRequest:
    """The request for a command child. Its idempotency key is the child's id: asking twice is safe.

    `at` is when the child was made; reads take their period from it. Raises InvalidRequest for a
    child that is no command.
    """
    if spec.command is None or spec.device is None:
        raise InvalidRequest("child", f"{child} is no command")
    restoring = spec.command in CLOSING_KINDS and order.kind in _URGENT
    return CommandRequest(
        kind=spec.command,
        devices=(spec.device,),
        effective_at=spec.effective_at,
        idempotency_key=child,
        requester=order.requester,
        reference=order.external_reference,
        order=order.id,
        service_point=order.service_point if spec.command in SWITCH_KINDS else None,
        priority=Priority.URGENT if restoring else None,
        install_status_override=spec.override,
        site_install_status=spec.site_status,
        check_load=spec.check_load,
        unsure_load_check=spec.unsure_load_check,
        period=_period(spec, at or order.created_at) if spec.command in READ_KINDS else None,
    )


def _period(spec: ChildSpec, at: datetime) -> ReadPeriod:
    end = max(at, spec.effective_at or at)
    return ReadPeriod(start=end - _BEFORE, end=end)


_STATES: Final = MappingProxyType(
    {
        State.PENDING: ChildState.QUEUED,
        State.VALIDATION_ERROR: ChildState.VALIDATION_ERROR,
        State.AWAITING_APPROVAL: ChildState.QUEUED,
        State.WAITING_FOR_EFFECTIVE_DATE: ChildState.QUEUED,
        State.CONNECTION_READY: ChildState.SENDING,
        State.COMMUNICATION_IN_PROGRESS: ChildState.SENT,
        State.COMMUNICATION_ERROR: ChildState.COMMUNICATION_ERROR,
        State.WAITING_FOR_MEASUREMENT: ChildState.STARTED,
        State.EXECUTING_COMPLETION_EVENTS: ChildState.STARTED,
        State.COMPLETION_EVENT_ERROR: ChildState.COMPLETION_ERROR,
        State.CANCELLING: ChildState.CANCELLING,
        State.COMPLETED: ChildState.FAILED,
        State.DISCARDED: ChildState.DISCARDED,
        State.CANCELED: ChildState.CANCELED,
        State.NEEDS_PERSON: ChildState.COMMUNICATION_ERROR,
        State.RESOLVED: ChildState.COMPLETED,
    }
)
_GOOD: Final = frozenset({Outcome.SUCCEEDED, Outcome.SUCCEEDED_INFERRED, Outcome.ALREADY_SATISFIED})
_BAD: Final = frozenset({Outcome.UNREACHABLE, Outcome.FAILED, Outcome.NO_DATA, Outcome.EXPIRED})


def command_child_state(activity: Activity, *, unclear: bool = False) -> ChildState:
    """The command's state on the scale that orders know. `unclear` says that it is not known
    whether a switch order of it was taken.

    Completed counts only with a good outcome: an order looks at the world again only after its
    child's completion events took effect. An unknown outcome holds the order in error until people
    decide it.
    """
    resolution = activity.resolution
    if activity.state is State.RESOLVED and resolution is not None and not resolution.done:
        return ChildState.FAILED
    if activity.state is State.COMPLETED and activity.outcome in _GOOD:
        return ChildState.COMPLETED
    if activity.state is State.DISCARDED and activity.outcome in _BAD:
        return ChildState.FAILED
    if unclear and activity.state is State.COMMUNICATION_IN_PROGRESS:
        return ChildState.UNCLEAR
    return _STATES[activity.state]

"""The steps of a command: which there are, what each one sends, what its answer means.

Questions about a command only: nothing here changes one. `progress.py` acts on the answers.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from adapter.commands.activity import (
    Command,
    CommandRequest,
    Communication,
    CommunicationState,
    Failure,
    Outcome,
    ReadPeriod,
    StepKind,
    UnsureLoadCheck,
)
from adapter.commands.business_objects import KIND_OF_STEP
from adapter.commands.calls import (
    Call,
    FailureReason,
    ReadParameters,
    RemoteResult,
    SwitchState,
)
from adapter.commands.failures import (
    LOAD_CHECK_UNSURE,
    LOAD_SIDE_VOLTAGE,
    Remedy,
    failure_row,
)
from adapter.commands.flows import (
    FLOWS,
    SWITCH_OPERATIONS,
    WINDOW_OPERATIONS,
    Leaves,
    Operation,
    Reads,
    Scope,
    Tells,
)
from adapter.commands.timing import Policy, after
from adapter.model.device import InstallEffect
from adapter.model.ids import CommunicationId
from adapter.model.values import replace_struct as replace

_OPERATION: Final[Mapping[StepKind, Operation]] = MappingProxyType(
    {step: FLOWS[kind].request.operation for step, kind in KIND_OF_STEP.items()}
)
_MAIN: Final = (StepKind.MAIN,)
_RECENT: Final = timedelta(hours=1)
_NOT_THERE: Final = frozenset({FailureReason.TARGET_NOT_REGISTERED, FailureReason.TARGET_NOT_FOUND})
OPEN_SWITCH: Final = frozenset({SwitchState.DISCONNECTED, SwitchState.DISCONNECTED_OR_DIVERSION})


class Conclusion(Struct, frozen=True, kw_only=True, gc=False):
    """What a finished step means. At most one of `stop`, `cause`, `satisfied` is set.

    stop       the command ends, discarded, for this cause
    cause      the command waits in Communication Error for a person
    satisfied  the meter already is as wanted: nothing needs to be sent
    """

    stop: str | None = None
    cause: str | None = None
    satisfied: bool = False
    outcome: Outcome | None = None
    reason: str = ""
    switch: SwitchState | None = None
    switch_before: SwitchState | None = None
    voltage_present: bool | None = None


def plan(request: CommandRequest) -> tuple[StepKind, ...]:
    """The steps of a command, in order.

    The switch before the load: behind a switch that is closed already there is voltage anyway.
    """
    if not (request.check_switch or request.check_load or request.with_read):
        return _MAIN
    wanted = (
        (StepKind.SWITCH_CHECK, request.check_switch),
        (StepKind.LOAD_CHECK, request.check_load),
        (StepKind.READ, request.with_read),
        (StepKind.MAIN, True),
    )
    return tuple(kind for kind, flag in wanted if flag)


def for_many(request: CommandRequest) -> bool:
    """Whether outcomes are kept per endpoint."""
    return request.flow.scope is Scope.GROUP or len(request.devices) > 1


def moves_switch(communication: Communication) -> bool:
    return communication.operation in SWITCH_OPERATIONS


def communications(
    command: Command, kind: StepKind, policy: Policy, *, now: datetime
) -> tuple[Communication, ...]:
    """The communications of a step: one, or one per chunk of `policy.max_endpoints` endpoints."""
    flow = command.request.flow
    operation = _OPERATION.get(kind, flow.request.operation)
    endpoints = tuple([target.endpoint for target in command.targets])
    if flow.scope is Scope.GROUP and kind is StepKind.MAIN:
        chunks = [endpoints]
    else:
        size = policy.max_endpoints
        chunks = [endpoints[at : at + size] for at in range(0, len(endpoints), size)]
    first = command.activity.communications_made + 1
    return tuple(
        [
            Communication(
                id=communication_id(command, first + number),
                step=kind,
                operation=operation,
                endpoints=chunk,
                wake=now,
            )
            for number, chunk in enumerate(chunks)
        ]
    )


def communication_id(command: Command, ordinal: int) -> CommunicationId:
    return CommunicationId(f"{command.id}-{ordinal}")


def again(command: Command, communication: Communication, due: datetime) -> Communication:
    """A further attempt at the same request, under an identity of its own."""
    return Communication(
        id=communication_id(command, command.activity.communications_made + 1),
        step=communication.step,
        operation=communication.operation,
        endpoints=communication.endpoints,
        wake=due,
        attempt=communication.attempt + 1,
    )


def look(
    command: Command, unclear: Communication, policy: Policy, *, now: datetime
) -> tuple[Communication, ...]:
    """The switch state read that may settle an unclear order; it has `reply_s` in all."""
    made = Communication(
        id=communication_id(command, command.activity.communications_made + 1),
        step=StepKind.SETTLE,
        operation=_OPERATION[StepKind.SETTLE],
        endpoints=unclear.endpoints,
        wake=now,
        deadline=after(now, policy.reply_s),
    )
    return (made,)


def current(command: Command) -> tuple[Communication, ...]:
    """The latest attempts of the step in progress (looks are beside it, not in it)."""
    own = [item for item in command.communications if item.step is not StepKind.SETTLE]
    if not own:
        return ()
    kind = own[-1].step
    return tuple([item for item in own if item.step is kind and not item.superseded])


def unclear(command: Command) -> Communication | None:
    return next((x for x in command.communications if x.state is CommunicationState.UNCLEAR), None)


def open_looks(command: Command) -> tuple[Communication, ...]:
    looks = [item for item in command.communications if item.step is StepKind.SETTLE]
    return tuple([item for item in looks if not item.superseded])


def wanted_switch(request: CommandRequest) -> frozenset[SwitchState]:
    """The switch states that show a switch order done."""
    if request.nature.leaves is Leaves.OPEN:
        return OPEN_SWITCH
    if request.user_intervention_required:
        return frozenset({SwitchState.ARMED, SwitchState.CONNECTED})
    return frozenset({SwitchState.CONNECTED})


def opposite_switch(request: CommandRequest) -> frozenset[SwitchState]:
    """The switch states before a switch order from which its effect can be told."""
    if request.nature.leaves is Leaves.OPEN:
        return frozenset({SwitchState.CONNECTED, SwitchState.ARMED})
    return OPEN_SWITCH


def proves_idle(communication: Communication) -> bool:
    """Whether what is known of a communication that is over proves that no meter acted."""
    if communication.sent_at is None:
        return True
    return communication.failure is not None and failure_row(communication.failure.cause).idle


def may_resend(communication: Communication, cause: str) -> bool:
    """I3: a switch order only where the failure proves it idle; all others by their row."""
    row = failure_row(cause)
    return row.remedy is Remedy.RETRY and (row.idle or not moves_switch(communication))


def call_of(
    command: Command, communication: Communication, *, callback: str, now: datetime | None = None
) -> Call:
    """The request that a communication sends, `now` or when the command becomes effective."""
    request = command.request
    main = communication.step is StepKind.MAIN
    group = request.group if main and request.flow.scope is Scope.GROUP else None
    return Call(
        operation=communication.operation,
        endpoints=() if group else communication.endpoints,
        group=group,
        callback=None if main and request.flow.synchronous else callback,
        read=_read_of(command, communication, now or command.activity.effective_at),
        configuration_group=request.configuration_group,
        emergency_override=request.emergency_override and main,
        user_intervention_required=request.user_intervention_required and main,
    )


def _read_of(
    command: Command, communication: Communication, now: datetime
) -> ReadParameters | None:
    request = command.request
    period = request.period
    if communication.step is StepKind.READ:
        end = communication.wake or command.activity.effective_at
        return ReadParameters(start=end - _RECENT, end=end, registers=True)
    reads = request.nature.reads
    if period is None or reads is None:
        return None
    interval = reads is Reads.INTERVAL
    windowed = request.flow.request.operation in WINDOW_OPERATIONS
    window = _window_of(command, period, now) if windowed else None
    return ReadParameters(
        start=period.start,
        end=period.end,
        window_start=None if window is None else window[0],
        window_end=None if window is None else window[1],
        load_profile=interval,
        registers=not interval,
        events=period.events,
    )


def _window_of(command: Command, period: ReadPeriod, now: datetime) -> tuple[datetime, datetime]:
    """When the head end may interrogate. A window that was over before the request could leave
    would have nothing read: the head end then has until the command expires."""
    activity = command.activity
    start, end = period.window_start, period.window_end
    if start is not None and end is not None and end > now:
        return start, end
    return (activity.effective_at if start is None else now), activity.expires_at


def conclude(command: Command, finished: tuple[Communication, ...]) -> Conclusion:
    """What the finished step means for the command."""
    kind = finished[0].step
    broken = next((x for x in finished if x.state is not CommunicationState.COMPLETED), None)
    if kind is StepKind.READ:
        return Conclusion()
    if kind is StepKind.LOAD_CHECK:
        return _load_checked(command.request, finished[0])
    if kind is StepKind.SWITCH_CHECK:
        return _switch_checked(command.request, finished[0])
    if broken is not None:
        failure = broken.failure or Failure(cause="unclear")
        return _failed(failure.cause, failure.detail)
    if for_many(command.request):
        return Conclusion()
    return _concluded_single(command, finished[0])


def _concluded_single(command: Command, communication: Communication) -> Conclusion:
    nature = command.request.nature
    if nature.tells is Tells.REACHABLE and communication.endpoint_failure is not None:
        return Conclusion(outcome=Outcome.UNREACHABLE, reason=communication.endpoint_failure.value)
    if communication.endpoint_failure is not None:
        if _undone_before(command, communication):
            reason = "the head end no longer has the meter; an earlier attempt's reply was lost"
            return Conclusion(outcome=Outcome.SUCCEEDED_INFERRED, reason=reason)
        return _failed(communication.endpoint_failure.value)
    if communication.result is RemoteResult.FAILURE:
        return _failed("request_failed")
    if communication.result is not RemoteResult.SUCCESS and not communication.inferred:
        return _failed("result_unknown")
    if nature.tells is Tells.VOLTAGE and communication.voltage_present is None:
        return _failed(LOAD_CHECK_UNSURE)
    if nature.tells is Tells.SWITCH and communication.switch is None:
        return _failed("switch_check_unsure")
    seen = communication.switch
    if nature.leaves is not None:
        seen = _switch_after(command.request)
    return Conclusion(
        outcome=Outcome.SUCCEEDED_INFERRED if communication.inferred else None,
        switch=seen,
        voltage_present=communication.voltage_present,
    )


def _undone_before(command: Command, communication: Communication) -> bool:
    """Whether a decommissioning that says "not registered" tells that an earlier attempt at it,
    whose fate is not known, had done it already."""
    if command.request.nature.effect is not InstallEffect.DECOMMISSION:
        return False
    if communication.endpoint_failure not in _NOT_THERE:
        return False
    return any(
        item.id != communication.id and item.failure is not None and not proves_idle(item)
        for item in command.communications
    )


def _switch_after(request: CommandRequest) -> SwitchState:
    if request.nature.leaves is Leaves.OPEN:
        return SwitchState.DISCONNECTED
    armed = request.user_intervention_required
    return SwitchState.ARMED if armed else SwitchState.CONNECTED


def _failed(cause: str, detail: str = "") -> Conclusion:
    row = failure_row(cause)
    reason = f"{cause}: {detail or row.meaning}"
    if row.remedy in (Remedy.STOP, Remedy.VISIT):
        return Conclusion(stop=cause, reason=reason)
    return Conclusion(cause=cause, reason=reason)


def _load_checked(request: CommandRequest, communication: Communication) -> Conclusion:
    sure = communication.result is RemoteResult.SUCCESS and communication.endpoint_failure is None
    if communication.voltage_present is None or not sure:
        return _unsure_load(request.unsure_load_check)
    if communication.voltage_present:
        return replace(_failed(LOAD_SIDE_VOLTAGE), voltage_present=True)
    return Conclusion(voltage_present=False)


def _unsure_load(follows: UnsureLoadCheck) -> Conclusion:
    failed = _failed(LOAD_CHECK_UNSURE)
    match follows:
        case UnsureLoadCheck.CONNECT:
            return Conclusion()
        case UnsureLoadCheck.END:
            return replace(failed, cause=None, stop=LOAD_CHECK_UNSURE)
        case UnsureLoadCheck.WAIT:
            return failed


def _switch_checked(request: CommandRequest, communication: Communication) -> Conclusion:
    seen = communication.switch
    if seen is None or seen is SwitchState.UNKNOWN or communication.endpoint_failure is not None:
        return _failed("switch_check_unsure")
    if seen in wanted_switch(request):
        return Conclusion(satisfied=True, switch=seen, switch_before=seen)
    if request.nature.leaves is Leaves.CLOSED and seen is SwitchState.DISCONNECTED_OR_DIVERSION:
        return replace(_failed("switch_state_unsafe"), switch=seen)
    return Conclusion(switch=seen, switch_before=seen)

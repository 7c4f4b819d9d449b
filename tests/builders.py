"""Values for tests: every part has a default, and a test names only what it is about."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from adapter.commands.activity import (
    Activity,
    Command,
    CommandRequest,
    Communication,
    CommunicationState,
    State,
    StepKind,
    Target,
    Work,
)
from adapter.commands.calls import (
    RemoteResult,
    RemoteState,
    RequestStatus,
)
from adapter.commands.effects import Severity
from adapter.commands.flows import CommandKind, Operation, Priority
from adapter.engine.commands.ports import AuditNote, Publication, Received, Submission
from adapter.model.device import Device, DeviceView, InstallEvent, InstallStatus, ServicePoint
from adapter.model.ids import (
    CommandId,
    CommunicationId,
    DeviceId,
    EndpointId,
    EventId,
    RequestToken,
    ServicePointId,
    sortable_id,
)
from adapter.model.values import replace

NOON: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """That many seconds after NOON."""
    return NOON + timedelta(seconds=seconds)


class HandClock:
    """A clock that a test turns."""

    def __init__(self, start: datetime = NOON) -> None:
        self.time = start

    def __call__(self) -> datetime:
        return self.time

    def turn(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def a_command_id(number: int = 1) -> CommandId:
    """Ids that sort by their number."""
    return CommandId(sortable_id(1_772_452_800_000 + number, number))


def a_token(number: int = 1) -> RequestToken:
    return RequestToken(f"00000000-0000-4000-8000-{number:012d}")


def a_request(
    kind: CommandKind = CommandKind.REMOTE_DISCONNECT,
    *devices: str,
    **changes: Any,
) -> CommandRequest:
    named = tuple(DeviceId(device) for device in devices or ("M-1",))
    return replace(CommandRequest(kind=kind, devices=named, requester="test"), **changes)


def an_activity(id: CommandId | None = None, **changes: Any) -> Activity:
    made = Activity(
        id=id or a_command_id(),
        created_at=NOON,
        effective_at=NOON,
        expires_at=at(86_400),
    )
    return replace(made, **changes)


def a_communication(
    command: CommandId | None = None, ordinal: int = 1, **changes: Any
) -> Communication:
    """Queued and due at NOON."""
    made = Communication(
        id=CommunicationId(f"{command or a_command_id()}-{ordinal}"),
        step=StepKind.MAIN,
        operation=Operation.DISCONNECT_METER,
        endpoints=(EndpointId("E-1"),),
        wake=NOON,
    )
    return replace(made, **changes)


def an_awaiting_communication(
    command: CommandId | None = None, ordinal: int = 1, *, token: RequestToken, **changes: Any
) -> Communication:
    sent = {
        "state": CommunicationState.AWAITING,
        "work": Work.STATUS,
        "token": token,
        "sent_at": NOON,
        "wake": at(60),
        "deadline": at(900),
    }
    return a_communication(command, ordinal, **{**sent, **changes})


def a_command(
    number: int = 1,
    *,
    kind: CommandKind = CommandKind.REMOTE_DISCONNECT,
    devices: tuple[str, ...] = ("M-1",),
    state: State = State.COMMUNICATION_IN_PROGRESS,
    communications: tuple[Communication, ...] | None = None,
    request: CommandRequest | None = None,
    version: int = 0,
    **activity: Any,
) -> Command:
    """A command in progress with one queued communication, due at NOON."""
    id = a_command_id(number)
    return Command(
        request=request or a_request(kind, *devices),
        targets=tuple(
            Target(device=DeviceId(device), endpoint=EndpointId(f"E-{device}"))
            for device in devices
        ),
        activity=an_activity(id, state=state, **activity),
        communications=(a_communication(id),) if communications is None else communications,
        version=version,
    )


def a_submission(
    number: int = 1, *, command: Command | None = None, priority: int | None = None, **changes: Any
) -> Submission:
    command = command or a_command(number)
    if priority is not None:
        request = replace(command.request, priority=tuple(Priority)[priority])
        command = replace(command, request=request)
    made = Submission(
        command=command,
        key=f"key-{number}",
        content=f"content-{number}",
        wake=None,
    )
    return replace(made, **changes)


def a_note(subject: str = "subject", action: str = "moved", **detail: object) -> AuditNote:
    return AuditNote(actor="test", action=action, subject=subject, detail=detail)


def a_publication(id: str = "event-1", **changes: Any) -> Publication:
    made = Publication(
        id=EventId(id), type="command.received", subject="s", severity=Severity.INFO, data={}
    )
    return replace(made, **changes)


def a_message(raw: bytes = b"<StatusChanged/>", **changes: Any) -> Received:
    operation = "RequestStatusChangedService.StatusChanged"
    return replace(Received(operation=operation, raw=raw, at=NOON, remote="192.0.2.1"), **changes)


def a_status(
    token: RequestToken,
    state: RemoteState = RemoteState.COMPLETED,
    result: RemoteResult = RemoteResult.SUCCESS,
    **changes: Any,
) -> RequestStatus:
    return replace(RequestStatus(token=token, state=state, result=result), **changes)


def a_device(id: str = "M-1", **changes: Any) -> Device:
    made = Device(
        id=DeviceId(id),
        endpoint=EndpointId(f"E-{id}"),
        capabilities=frozenset(kind.value for kind in CommandKind),
    )
    return replace(made, **changes)


def a_service_point(id: str = "SP-1", **changes: Any) -> ServicePoint:
    return replace(ServicePoint(id=ServicePointId(id)), **changes)


def an_install(device: str = "M-1", service_point: str = "SP-1", **changes: Any) -> InstallEvent:
    made = InstallEvent(
        device=DeviceId(device),
        service_point=ServicePointId(service_point),
        installed_at=at(-86_400),
        status=InstallStatus.CONN_COMM,
    )
    return replace(made, **changes)


def a_view(id: str = "M-1", **install: Any) -> DeviceView:
    """A commissioned and connected device at a service point."""
    return DeviceView(
        device=a_device(id),
        service_point=a_service_point(),
        installed=an_install(id, **install),
    )

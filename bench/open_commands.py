"""Commands that wait for their head end, by the hundred thousand, put into a store in a while.

Each has what one has that was sent and got its token: command, communication, token, target,
lanes, four entries in the audit, one publication. Its two messages are left out.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

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
from adapter.commands.effects import Severity
from adapter.commands.flows import CommandKind, Operation
from adapter.commands.lifecycle import wake_of
from adapter.commands.rules import lanes_of
from adapter.engine.commands.ports import AuditNote, Publication, Submission
from adapter.engine.orders.sink import OrderSink
from adapter.model.ids import (
    CommandId,
    CommunicationId,
    DeviceId,
    EndpointId,
    EventId,
    RequestToken,
    sortable_id,
)
from adapter.store.commands.commands import SqlStore
from bench.payloads import ESN

INSTALLED: Final = datetime(2020, 1, 1, tzinfo=UTC)
_BATCH: Final = 2_000
_FIRST: Final = 10_000_001
"""Meters of their own: nothing else is asked of them."""

_LONG: Final = timedelta(days=15)
_NEWEST: Final = "SELECT max(seq) FROM publication"
"""What was told of them was delivered long ago: no backlog is measured."""


async def fill(store: SqlStore, count: int) -> None:
    for start in range(0, count, _BATCH):
        await store.submit(list(waiting(start, min(_BATCH, count - start))))
    last = await store.database.query(lambda db: db.execute(_NEWEST).get)
    await store.delivered(OrderSink.name, last or 0)


def waiting(start: int, count: int) -> Iterator[Submission]:
    """`count` commands, no two from different numbers alike."""
    now = datetime.now(UTC)
    millis = int(time.time() * 1000)
    for number in range(start, start + count):
        id = CommandId(sortable_id(millis, number))
        device, endpoint = DeviceId(f"W{_FIRST + number}"), EndpointId(f"{ESN}{_FIRST + number}")
        communication = Communication(
            id=CommunicationId(f"{id}-1"),
            step=StepKind.MAIN,
            operation=Operation.PING,
            endpoints=(endpoint,),
            state=CommunicationState.AWAITING,
            work=Work.STATUS,
            wake=now + _LONG,
            token=RequestToken(str(UUID(int=(1 << 100) + number))),
            deadline=now + 2 * _LONG,
            sent_at=now,
        )
        request = CommandRequest(kind=CommandKind.DEVICE_STATUS_CHECK, devices=(device,))
        command = Command(
            request=request,
            targets=(Target(device=device, endpoint=endpoint),),
            activity=Activity(
                id=id,
                state=State.COMMUNICATION_IN_PROGRESS,
                created_at=now,
                effective_at=now,
                expires_at=now + 2 * _LONG,
            ),
            communications=(communication,),
        )
        yield Submission(
            command=command,
            key=None,
            content=f"bench {number}",
            wake=wake_of(command),
            lanes=lanes_of(request, command.targets),
            audit=tuple(
                AuditNote(actor="bench", action=action, subject=id, detail={"kind": request.kind})
                for action in ("Submitted", "Validated", "Dispatched", "TokenReceived")
            ),
            publications=(
                Publication(
                    id=EventId(f"{id}:received"),
                    type="openway.command.received",
                    subject=id,
                    severity=Severity.INFO,
                    data={"command": id, "kind": request.kind, "state": "pending"},
                ),
            ),
        )

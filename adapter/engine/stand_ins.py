"""What serves until a site connects its own systems: replies, measurements, field work."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from adapter.commands.effects import Severity
from adapter.engine.field_work import FieldInbox, FieldMessage
from adapter.engine.order_ports import OrderStore
from adapter.engine.ports import Change, Publication, Store
from adapter.model.ids import DeviceId, EventId
from adapter.model.measurement import REGULAR, Measurement
from adapter.model.reading import InitialMeasurement
from adapter.orders.replies import Reply

_LATEST = 1000


class InitialAsFinal:
    """A STAND-IN: takes every initial measurement for a final one, of an ordinary good condition.

    A measurement system validates, edits and estimates first. What crews read is added as it is.
    """

    def __init__(self, store: Store, orders: OrderStore) -> None:
        self._store = store
        self._orders = orders

    async def final(
        self, device: DeviceId, start: datetime, end: datetime
    ) -> Sequence[Measurement]:
        initial = await self._store.measurements(device, limit=_LATEST)
        found = [made for each in initial for made in _final(each) if start <= made.at < end]
        return [*found, *await self._orders.crew_measurements(device, start, end)]


def _final(initial: InitialMeasurement) -> list[Measurement]:
    last = initial.values[-1] if initial.values else None
    if last is None or last.value is None:
        return []
    return [
        Measurement(
            id=initial.id,
            component=initial.component,
            at=last.at,
            value=last.value,
            condition=REGULAR,
            device=initial.device,
        )
    ]


class PublishedReplies:
    """Replies go out as events, with their fixed id, to whatever sinks the gateway has."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def deliver(self, reply: Reply) -> None:
        publication = Publication(
            id=EventId(reply.id),
            type=f"openway.order.reply.{reply.kind.value}",
            subject=reply.order,
            severity=Severity.INFO,
            data={
                "id": reply.id,
                "order": reply.order,
                "kind": reply.kind.value,
                "requester": reply.requester,
                "reference": reply.external_reference,
                "details": dict(reply.details),
            },
        )
        await self._store.save([Change(publications=(publication,))])


@dataclass(slots=True)
class Outgoing:
    """A field work system that only keeps what it is sent, each message once, and tells `heard`."""

    messages: dict[str, FieldMessage] = field(default_factory=dict)
    heard: Callable[[FieldMessage], None] = lambda message: None

    async def send(self, message: FieldMessage) -> None:
        if message.id not in self.messages:
            self.messages[message.id] = message
            self.heard(message)

    async def start(self, inbox: FieldInbox) -> None:
        pass

    async def stop(self) -> None:
        pass

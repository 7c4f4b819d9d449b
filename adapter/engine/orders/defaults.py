"""What serves until a site connects its own systems: replies, field work."""

from collections.abc import Callable
from dataclasses import dataclass, field

from adapter.commands.effects import Severity
from adapter.engine.commands.ports import Change, Publication, Store
from adapter.engine.orders.field_work import FieldInbox, FieldMessage
from adapter.model.ids import EventId
from adapter.orders.replies import RequesterReply


class PublishedReplies:
    """Replies go out as events, with their fixed id, to whatever sinks the gateway has."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def deliver(self, reply: RequesterReply) -> None:
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

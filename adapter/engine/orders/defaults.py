"""What serves until a site connects its own systems: replies, field work."""

from collections.abc import Callable
from dataclasses import dataclass, field

from adapter.engine.orders.field_work import FieldInbox, FieldMessage
from adapter.engine.orders.ports import NoReceiver
from adapter.orders.replies import RequesterReply


class PublishedReplies:
    """Replies are in the feed already, each stored with what it tells; nobody else is told."""

    async def deliver(self, reply: RequesterReply) -> None:
        """Raises NoReceiver."""
        raise NoReceiver("no receiver of replies is set up (replies.url): it is in the feed alone")


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

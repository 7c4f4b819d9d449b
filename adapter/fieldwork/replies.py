"""Replies to requesters as signed webhooks, posted like the messages to a field work system."""

from collections.abc import Sequence

import msgspec

from adapter.engine.commands.ports import Clock
from adapter.engine.orders.ports import ReplyRefused
from adapter.fieldwork.posting import PostRefused, SignedPost
from adapter.fieldwork.settings import ReplySettings
from adapter.model.secret import Secret
from adapter.orders.replies import RequesterReply


class WebhookReplies:
    """Fits the port to the requester's system. A reply that is refused waits for people."""

    def __init__(self, settings: ReplySettings, clock: Clock) -> None:
        """Raises SettingsError for keys that are none."""
        self._post = SignedPost(settings, clock)

    def use(self, keys: Sequence[Secret]) -> None:
        """Sign with these from the next reply on. Raises SettingsError for keys that are none."""
        self._post.use(keys)

    async def deliver(self, reply: RequesterReply) -> None:
        """Raises ReplyRefused for a lasting 4xx, NotTaken for what is to be tried again."""
        try:
            await self._post.post(reply.id, reply_json(reply))
        except PostRefused as error:
            raise ReplyRefused(f"the reply {error}") from error

    async def close(self) -> None:
        await self._post.close()


def reply_json(reply: RequesterReply) -> bytes:
    """One reply; the same reply gives the same bytes."""
    form = {
        "id": reply.id,
        "order": reply.order,
        "kind": reply.kind,
        "requester": reply.requester,
        "reference": reply.external_reference,
        "createdAt": reply.created_at,
        "details": reply.details,
    }
    return msgspec.json.encode(form, order="deterministic") + b"\n"

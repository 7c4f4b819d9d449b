"""Replies to requesters by webhook: posted, signed, refused, tried again; and by the settings."""

import asyncio
import json
from pathlib import Path

import pytest

from adapter.engine.orders.ports import ReplyRefused
from adapter.engine.orders.requests import OrderRequest
from adapter.errors import SettingsError
from adapter.fieldwork.posting import NotTaken
from adapter.fieldwork.replies import WebhookReplies
from adapter.fieldwork.settings import ReplySettings
from adapter.model.ids import OrderId, ServicePointId
from adapter.orders.events import ReplyKind
from adapter.orders.order import OrderKind
from adapter.orders.replies import RequesterReply
from adapter.service.app import build
from adapter.service.settings import load
from tests.fieldwork.builders import NOON
from tests.fieldwork.test_webhook import CLOCK, OURS, FieldSystem, serving

REPLY = RequesterReply(
    id="SO-1.2/appointment/3",
    order=OrderId("SO-1"),
    kind=ReplyKind.INTERIM,
    requester="cis",
    external_reference="4711",
    created_at=NOON,
    due_at=NOON,
    details={"child": "SO-1.2"},
)


async def delivered(*statuses: int) -> FieldSystem:
    system = FieldSystem(statuses)
    async with serving(system) as url:
        there = WebhookReplies(ReplySettings(url=url, keys=(OURS,)), CLOCK)
        try:
            await there.deliver(REPLY)
        finally:
            await there.close()
    return system


async def test_a_reply_is_posted_signed_with_an_id_that_stays() -> None:
    system = await delivered(200)
    assert system.ids == ["SO-1_2:appointment:3"]
    assert json.loads(system.bodies[0]) == {
        "id": "SO-1.2/appointment/3",
        "order": "SO-1",
        "kind": "interim",
        "requester": "cis",
        "reference": "4711",
        "createdAt": "2026-03-10T12:00:00Z",
        "details": {"child": "SO-1.2"},
    }


async def test_a_lasting_no_is_a_refusal_and_all_else_is_tried_again() -> None:
    with pytest.raises(ReplyRefused, match="410"):
        await delivered(410)
    for status in (429, 503):
        with pytest.raises(NotTaken, match=str(status)):
            await delivered(status)


def test_an_address_needs_keys_and_is_not_plain_http_beyond_loopback() -> None:
    with pytest.raises(SettingsError, match="keys"):
        ReplySettings(url="https://cis.example/replies")
    with pytest.raises(SettingsError, match="allow_cleartext"):
        ReplySettings(url="http://cis.example/replies", keys=(OURS,))


async def test_the_service_posts_replies_to_where_its_settings_say(tmp_path: Path) -> None:
    system = FieldSystem((503, 200))
    async with serving(system) as url:
        (tmp_path / "keys").write_text(OURS.reveal())
        (tmp_path / "openway.toml").write_text(
            '[head_end]\nbase_url = "http://127.0.0.1:9"\n'
            '[store]\npath = "gateway.db"\n[listener]\nport = 0\n[api]\nport = 0\n'
            f'[replies]\nurl = "{url}"\nkeys_file = "keys"\n'
        )
        settings = load(tmp_path / "openway.toml", {})
        async with build(settings) as app:
            order = await app.gateway.orders.submit(
                OrderRequest(
                    kind=OrderKind.CUT,
                    service_point=ServicePointId("nowhere"),
                    external_reference="1",
                )
            )
            async with asyncio.timeout(20):
                for _ in iter(int, 1):
                    replies = (await app.gateway.orders.show(order.id)).replies
                    if replies and replies[0].attempts:
                        break
                    await asyncio.sleep(0.01)
                assert "answered 503" in replies[0].last_error
                await app.gateway.orders.operator.retry_replies(order.id, by="anna")
                for _ in iter(int, 1):
                    if len(system.bodies) == 3:
                        break
                    await asyncio.sleep(0.01)
    kinds = [json.loads(body)["kind"] for body in system.bodies]
    assert kinds == ["acknowledgement", "acknowledgement", "negative_acknowledgement"]
    assert len(set(system.ids)) == 2

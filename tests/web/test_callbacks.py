"""What the head end tells us is stored byte for byte, and answered after that (I4)."""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest

from adapter.engine.commands.ports import InboxState, Received
from adapter.errors import StoreFailed
from adapter.model.ids import InboxId
from adapter.store.commands.commands import SqliteStore
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from adapter.wire.xml import Soap
from tests.web.both_servers import (
    DATA,
    EVENTS,
    EXCEPTIONS,
    SOAP_11,
    SOAP_12,
    STATUS,
    a_rig,
    codec,
    data_arrived,
    events_arrived,
    exceptions_arrived,
    fault_of,
    status_changed,
    token_of,
)

MESSAGES = [
    ("/openway/status", STATUS, status_changed()),
    ("/openway/data", DATA, data_arrived()),
    ("/openway/events", EVENTS, events_arrived()),
    ("/openway/exceptions", EXCEPTIONS, exceptions_arrived()),
]


@pytest.mark.parametrize(("path", "operation", "body"), MESSAGES)
async def test_each_operation_is_stored_as_it_came_and_answered_with_its_empty_response(
    path: str, operation: str, body: bytes
) -> None:
    async with a_rig() as rig:
        status, answer = await rig.post(path, body)
        assert (status, answer) == (200, codec().encode_response(operation, {}))
        row = await rig.only_row()
        assert (row.operation, row.raw, row.state) == (operation, body, InboxState.NEW)
        assert (row.remote, row.communication, row.at) == ("127.0.0.1", None, rig.clock.now())


async def test_a_signed_address_names_the_attempt() -> None:
    async with a_rig() as rig:
        status, _ = await rig.post(rig.signed("attempt-7"), status_changed())
        assert status == 200
        assert (await rig.only_row()).communication == "attempt-7"


async def test_a_flood_of_strange_forms_leaves_the_head_ends_own_to_be_read_at_once() -> None:
    own, honest = Codec(Catalog.load()), status_changed()
    strange = [re.sub(rb"(</?|:)s\b", rb"\1p%d" % n, honest) for n in range(40)]
    async with a_rig(reads_with=own) as rig:
        for body in strange:
            assert (await rig.post("/openway/status", body))[0] == 200
        met = [own.decode_at_once(body, known=False) is not None for body in strange]
        assert met == [True] * 4 + [False] * 36
        assert (await rig.post(rig.signed(), honest))[0] == 200
        assert own.decode_at_once(honest, known=False) is not None


async def test_a_callback_with_an_unknown_token_is_taken_and_parked() -> None:
    async with a_rig() as rig:
        status, _ = await rig.post("/openway/status", status_changed())
        assert status == 200
        await rig.gateway.drain()
        assert (await rig.only_row()).state is InboxState.PARKED


async def test_a_callback_for_a_sent_command_is_applied_and_its_repeat_changes_nothing() -> None:
    async with a_rig() as rig:
        told = await rig.ask("POST", "/commands", {"kind": "load_check", "devices": ["M1"]})
        await rig.gateway.drain()
        (call,) = rig.head_end.calls
        assert call.callback is not None
        for _ in range(2):
            body = status_changed(token_of(1), "Executing")
            assert (await rig.post(call.callback, body))[0] == 200
            await rig.gateway.drain()
        rows = await rig.rows()
        assert [row.state for row in rows] == [InboxState.APPLIED, InboxState.IGNORED]
        assert rows[0].command == told["id"]


@pytest.mark.parametrize(
    ("soap", "media", "namespace"),
    [
        (Soap.V11, "text/xml; charset=utf-8", SOAP_11),
        (
            Soap.V12,
            'application/soap+xml; charset=utf-8; action="http://www.itron.com/ami/2008/10/common/'
            'RequestStatusChangedService/StatusChanged"',
            SOAP_12,
        ),
    ],
)
async def test_the_answer_comes_in_the_version_of_the_message(
    soap: Soap, media: str, namespace: str
) -> None:
    async with a_rig() as rig:
        body = status_changed().replace(SOAP_11.encode(), namespace.encode())
        async with rig.http.post(
            rig.signed(), data=body, headers={"Content-Type": media}
        ) as response:
            assert response.status == 200
            assert response.content_type == media.partition(";")[0]
            assert await response.read() == codec().encode_response(STATUS, {}, soap=soap)
            assert "aiohttp" not in response.headers["Server"]


@pytest.mark.parametrize("mark", ["utf-16", "utf-8-sig"])
async def test_a_byte_order_mark_is_read(mark: str) -> None:
    async with a_rig() as rig:
        text = status_changed().decode().partition("?>")[2]
        media = "text/xml; charset=utf-16" if mark == "utf-16" else "text/xml"
        status, _ = await rig.post(rig.signed(), text.encode(mark), {"Content-Type": media})
        assert status == 200


HEADER = (
    '<s:Header><Action s:mustUnderstand="1" xmlns="http://schemas.microsoft.com/ws/2005/05/'
    'addressing/none">{}</Action></s:Header><s:Body>'
)


@pytest.mark.parametrize("action", [None, "", '""', "{}", '"{}"'])
async def test_the_action_may_be_absent_empty_or_right(action: str | None) -> None:
    async with a_rig() as rig:
        right = codec().catalog.spec(STATUS).soap_action
        headers = {} if action is None else {"SOAPAction": action.format(right)}
        assert (await rig.post(rig.signed(), status_changed(), headers))[0] == 200


@pytest.mark.parametrize("action", ["urn:other", "http://example.com/IData/EventsArrivedAsync"])
async def test_of_inferred_operations_body_and_address_decide_and_a_foreign_action_is_logged(
    action: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_rig() as rig:
        for path, body in (
            ("/openway/data", data_arrived()),
            ("/openway/events", events_arrived()),
            ("/openway/exceptions", exceptions_arrived()),
        ):
            assert (await rig.post(path, body, {"SOAPAction": f'"{action}"'}))[0] == 200
        assert (await rig.post("/openway/data", exceptions_arrived(), {"SOAPAction": action}))[
            0
        ] == 500, "the address decides"
        assert rig.listener.counts["foreign_action"] == 3
        logged = [each for each in caplog.records if each.message == "foreign_soap_action"]
        assert {getattr(each, "action", "") for each in logged} == {action}


async def test_the_action_block_that_wcf_writes_is_understood() -> None:
    async with a_rig() as rig:
        right = codec().catalog.spec(STATUS).soap_action
        body = status_changed().decode().replace("<s:Body>", HEADER.format(right)).encode()
        assert (await rig.post(rig.signed(), body))[0] == 200


class FailingStore(SqliteStore):
    """Its disk is full from the start."""

    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        raise StoreFailed("disk I/O error in /var/secret/place.db")


@pytest.mark.parametrize("body", [status_changed(), b"<nonsense"])
async def test_nothing_is_acknowledged_when_the_store_fails(body: bytes) -> None:
    async with a_rig(store_type=FailingStore) as rig:
        status, answer = await rig.post(rig.signed(), body)
        assert (status, fault_of(answer)) == (503, "Server")
        assert b"disk" not in answer


class SlowStore(SqliteStore):
    """Commits when it is told to."""

    may = asyncio.Event()
    asked = asyncio.Event()
    stored = asyncio.Event()

    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        self.asked.set()
        await self.may.wait()
        made = await super().receive(batch)
        self.stored.set()
        return made


async def test_a_message_is_stored_even_if_the_head_end_hangs_up_before_the_answer() -> None:
    SlowStore.may, SlowStore.asked, SlowStore.stored = (asyncio.Event() for _ in range(3))
    async with a_rig(store_type=SlowStore) as rig:
        sending = asyncio.create_task(rig.post(rig.signed(), status_changed()))
        await SlowStore.asked.wait()
        assert not sending.done()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        SlowStore.may.set()
        await SlowStore.stored.wait()
        assert (await rig.only_row()).raw == status_changed()


async def test_the_address_for_data_takes_events_too() -> None:
    async with a_rig() as rig:
        status, answer = await rig.post("/openway/data", events_arrived())
        assert status == 200
        assert b"EventsArrivedResponse" in answer
        assert (await rig.only_row()).operation == EVENTS


class CrowdedStore(SqliteStore):
    """Stores what came at a signed address, and holds all else until it is told to go on."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.may, self.crowded = asyncio.Event(), asyncio.Event()
        self.held: list[Received] = []

    async def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        (message,) = batch
        if message.communication is None or message.state is InboxState.QUARANTINED:
            self.held.append(message)
            if len(self.held) == 2:
                self.crowded.set()
            await self.may.wait()
        return await super().receive(batch)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/openway/status", status_changed(), 200), ("/openway/data", b"<nonsense", 500)],
    ids=["unknown tokens", "refused"],
)
async def test_a_flood_of_what_anybody_can_send_waits_for_its_own_kind(
    path: str, body: bytes, status: int
) -> None:
    """Few of it are with the store at a time, so that a signed callback finds it free."""
    async with a_rig(store_type=CrowdedStore) as rig, asyncio.TaskGroup() as group:
        assert isinstance(rig.store, CrowdedStore)
        flood = [group.create_task(rig.post(path, body)) for _ in range(40)]
        await rig.store.crowded.wait()
        for _ in range(3):
            assert (await rig.post(rig.signed(), status_changed()))[0] == 200
        assert 0 < len(rig.store.held) <= 4
        rig.store.may.set()
        answers = await asyncio.gather(*flood)
        assert {told for told, _ in answers} == {status}
        assert len(await rig.rows()) == len(flood) + 3

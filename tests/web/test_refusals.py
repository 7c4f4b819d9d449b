"""Wrong input at the listener: a clear fault outside, a row with the reason inside (I5)."""

import pytest

from adapter.engine.commands.ports import InboxState
from adapter.server.settings import ListenerSettings, QuarantineLimits
from tests.web.both_servers import (
    SOAP_11,
    SOAP_12,
    STATUS,
    a_rig,
    fault_of,
    status_changed,
)
from tests.web.hostile_requests import BARE, GOOD, MALFORMED, WRONG, WSSE


@pytest.mark.parametrize("name", [*MALFORMED, *WRONG])
async def test_a_message_that_cannot_be_taken_is_kept_and_answered_with_a_fault(name: str) -> None:
    text = {**MALFORMED, **WRONG}[name]
    async with a_rig() as rig:
        status, answer = await rig.post(rig.signed(), text.encode())
        assert (status, fault_of(answer)) == (500, "Client")
        row = await rig.only_row()
        assert row.state is InboxState.QUARANTINED
        assert row.raw == text.encode()[:65_536]
        assert ("not well-formed" in row.reason) == (name in MALFORMED), row.reason
        assert row.communication == "attempt-1"
        await rig.gateway.drain()
        assert (await rig.gateway.upkeep.ledger()).inbox_by_state == {"quarantined": 1}


async def test_the_answer_tells_nothing_of_files_or_code() -> None:
    async with a_rig() as rig:
        for text in MALFORMED.values():
            _, answer = await rig.post(rig.signed(), text.encode())
            for word in (b"line", b"lxml", b".py", b"root:", b"column", b"Error"):
                assert word not in answer


async def test_bytes_that_are_neither_utf8_nor_utf16_are_refused() -> None:
    async with a_rig() as rig:
        latin = GOOD.replace("Completed", "Complété").encode("latin-1")
        status, answer = await rig.post(rig.signed(), latin)
        assert (status, fault_of(answer)) == (500, "Client")


@pytest.mark.parametrize(
    "action",
    [
        "http://www.itron.com/ami/2008/10/common/RequestService/GetRequestStatus",
        '"urn:other"',
        "StatusChange",
    ],
)
async def test_a_status_message_whose_action_names_another_operation_is_refused(
    action: str,
) -> None:
    async with a_rig() as rig:
        status, answer = await rig.post(rig.signed(), status_changed(), {"SOAPAction": action})
        assert (status, fault_of(answer)) == (500, "Client")
        row = await rig.only_row()
        assert row.state is InboxState.QUARANTINED
        assert row.reason.startswith("SOAPAction")
        assert row.operation == STATUS


async def test_a_header_block_that_must_be_understood_is_not_passed_over() -> None:
    block = f'<s:Header><Security s:mustUnderstand="1" xmlns="{WSSE}"/></s:Header><s:Body>'
    async with a_rig() as rig:
        body = BARE.replace("<s:Body>", block)
        status, answer = await rig.post(rig.signed(), body.encode())
        assert (status, fault_of(answer)) == (500, "MustUnderstand")
        elsewhere = body.replace("s:mustUnderstand", 's:actor="urn:x" s:mustUnderstand')
        assert (await rig.post(rig.signed(), elsewhere.encode()))[0] == 200
        optional = body.replace('s:mustUnderstand="1"', "")
        assert (await rig.post(rig.signed(), optional.encode()))[0] == 200


async def test_an_envelope_of_an_unknown_version_is_a_version_mismatch() -> None:
    async with a_rig() as rig:
        body = BARE.replace(SOAP_11, "http://www.w3.org/2099/soap")
        status, answer = await rig.post(rig.signed(), body.encode())
        assert (status, fault_of(answer)) == (500, "VersionMismatch")


async def test_a_fault_for_soap_12_is_a_sender_fault_with_status_400() -> None:
    async with a_rig() as rig:
        body = BARE.replace(SOAP_11, SOAP_12).replace("StatusChanged", "StatusUnchanged")
        status, answer = await rig.post(
            rig.signed(), body.encode(), {"Content-Type": "application/soap+xml"}
        )
        assert (status, fault_of(answer)) == (400, "Sender")
        assert SOAP_12.encode() in answer


async def test_an_address_that_is_not_genuine_changes_nothing_but_quarantine() -> None:
    async with a_rig() as rig:
        genuine = rig.signed("attempt-1")
        forged = genuine[:-1] + ("0" if genuine[-1] != "0" else "1")
        other = genuine.replace("attempt-1", "attempt-2")
        for address in (forged, other, "/openway/status/attempt-1/", "/openway/status/a/b"):
            status, answer = await rig.post(address, status_changed())
            assert (status, fault_of(answer)) == (404, "Client"), address
        rows = await rig.rows()
        assert len(rows) == 3
        for row in rows:
            assert (row.state, row.communication) == (InboxState.QUARANTINED, None)
            assert "not genuine" in row.reason
            assert genuine.rpartition("/")[2] not in row.reason


async def test_a_quarantined_message_can_be_judged_again_or_given_up() -> None:
    async with a_rig() as rig:
        for _ in range(2):
            await rig.post("/openway/status/a/b", status_changed())
        first, second = await rig.rows()
        for path in (f"/inbox/{first.id}/retry", f"/inbox/{second.id}/discard"):
            assert (await rig.ask("POST", path, {}, by="admin")).status == 200
        await rig.gateway.drain()
        states = [row.state for row in await rig.rows()]
        assert states == [InboxState.PARKED, InboxState.DISCARDED]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 415),
        ({"Content-Type": "multipart/related; boundary=x"}, 415),
        ({"Content-Type": "text/xml; charset=iso-8859-1"}, 415),
        ({"Content-Type": "text/xml; charset=utf-16"}, 415),
        ({"Content-Encoding": "bogus"}, 415),
        ({"Content-Encoding": "deflate"}, 415),
        ({"Expect": "200-ok"}, 417),
    ],
)
async def test_what_the_headers_already_tell_is_refused_and_kept(
    headers: dict[str, str], status: int
) -> None:
    async with a_rig() as rig:
        got, answer = await rig.post(rig.signed(), status_changed(), headers)
        assert got == status
        fault_of(answer)
        assert (await rig.only_row()).state is InboxState.QUARANTINED


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_post_is_allowed_where_messages_come_in(method: str) -> None:
    async with a_rig() as rig:
        async with rig.http.request(method, rig.signed()) as response:
            assert response.status == 405
            assert response.headers["Allow"] == "POST"
        assert await rig.rows() == []


async def test_unknown_addresses_are_counted_and_not_kept() -> None:
    async with a_rig() as rig:
        for path in ("/", "/openway", "/openway/statusx", "/openway/status/a/b/c"):
            status, answer = await rig.post(path, status_changed())
            assert (status, fault_of(answer)) == (404, "Client")
        assert rig.listener.counts["http_404"] == 4
        assert await rig.rows() == []


async def test_a_flood_of_refused_messages_fills_no_disk() -> None:
    limits = QuarantineLimits(message_bytes=4_096, minute_bytes=50_000)
    async with a_rig(ListenerSettings(quarantine=limits)) as rig:
        junk = b"<" + b"x" * 20_000
        for _ in range(30):
            status, _ = await rig.post(rig.signed(), junk)
            assert status == 500
        rows = await rig.rows()
        assert sum(len(row.raw) + 1_024 for row in rows) <= 52_000
        assert all("[truncated: the first 4096 of 20001 bytes kept]" in r.reason for r in rows)
        counts = rig.listener.counts
        assert counts["quarantined"] + counts["not_kept"] == 30
        assert counts["not_kept_bytes"] == counts["not_kept"] * len(junk) > 0
        assert (await rig.post(rig.signed(), status_changed()))[0] == 200

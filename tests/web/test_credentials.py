"""HTTP Basic at the listener: every address, several live passwords, nothing told to strangers."""

import pytest

from adapter.engine.commands.ports import InboxState
from adapter.errors import SettingsError
from adapter.server.credentials import basic_header_of
from adapter.server.settings import BasicUser, ListenerSettings, QuarantineLimits
from tests.web.both_servers import (
    HASTY,
    XML,
    Rig,
    a_rig,
    data_arrived,
    events_arrived,
    exceptions_arrived,
    fault_of,
    status_changed,
)

USERS = (
    BasicUser(user="head-end", password="old one: with a colon"),
    BasicUser(user="head-end", password="new onè"),
)
GUARDED = ListenerSettings(users=USERS, connections=HASTY)
BODIES = {
    "/openway/status": status_changed(),
    "/openway/data": data_arrived(),
    "/openway/events": events_arrived(),
    "/openway/exceptions": exceptions_arrived(),
}


@pytest.mark.parametrize("path", BODIES)
async def test_all_live_passwords_are_let_in(path: str) -> None:
    async with a_rig(GUARDED) as rig:
        for each in USERS:
            header = {"Authorization": basic_header_of(each.user, each.password)}
            assert (await rig.post(path, BODIES[path], header))[0] == 200
        header = {"Authorization": header["Authorization"].replace("Basic", "bAsIc")}
        assert (await rig.post(path, BODIES[path], header))[0] == 200


WRONG = [
    "Basic",
    "Negotiate",
    "Digest username=x",
    "Basic !!!!",
    "Basic " + "A" * 6_000,
    "Bearer abc",
    basic_header_of("head-end", "wrong"),
    basic_header_of("someone", USERS[0].password),
    basic_header_of("", ""),
]


async def refusals(rig: Rig) -> list[str]:
    """What the audit has refusals of."""
    found = await rig.gateway.upkeep.audit()
    return [entry.note.subject for entry in found if entry.note.action == "Refused"]


@pytest.mark.parametrize("header", WRONG)
async def test_nobody_else_is_let_in_and_one_row_counts_them(header: str) -> None:
    async with a_rig(GUARDED) as rig:
        headers = {"Authorization": header}
        for path in (rig.signed(), *BODIES):
            status, answer = await rig.post(path, status_changed(), headers)
            assert (status, fault_of(answer)) == (401, "Client")
        (row,) = await rig.rows()
        assert (row.state, row.times) == (InboxState.QUARANTINED, 5)
        assert "wrong credentials" in row.reason
        assert (row.communication, row.raw) == (None, status_changed())
        assert row.last_at is not None
        assert await refusals(rig) == [f"inbox:{row.id}"]


async def test_a_row_that_was_decided_counts_no_more() -> None:
    wrong = {"Authorization": basic_header_of("head-end", "wrong")}
    async with a_rig(GUARDED) as rig:
        for _ in range(2):
            await rig.post("/openway/status", status_changed(), wrong)
        (row,) = await rig.rows()
        await rig.gateway.inbox.discard(row.id, by="anna")
        await rig.post("/openway/status", status_changed(), wrong)
        assert [(each.state, each.times) for each in await rig.rows()] == [
            (InboxState.DISCARDED, 2),
            (InboxState.QUARANTINED, 1),
        ]


@pytest.mark.parametrize("given", [{}, {"Authorization": ""}, {"Expect": "100-continue"}])
async def test_a_first_request_without_credentials_is_a_question(
    given: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with a_rig(GUARDED) as rig:
        for path, body in BODIES.items():
            async with rig.http.post(rig.url + path, data=body, headers={**XML, **given}) as told:
                assert told.status == 401
                assert told.headers["WWW-Authenticate"].startswith("Basic ")
        assert rig.listener.counts["challenged"] == len(BODIES)
        assert await rig.rows() == []
        assert await refusals(rig) == []
        assert [record for record in caplog.records if record.levelname == "WARNING"] == []


async def test_fifty_callbacks_of_a_client_that_asks_first_leave_nothing_in_quarantine() -> None:
    """As WCF does it: without credentials, and after the challenge with them."""
    known = {"Authorization": basic_header_of(USERS[1].user, USERS[1].password)}
    async with a_rig(GUARDED) as rig:
        for _ in range(50):
            path = "/openway/data"
            assert (await rig.post(path, BODIES[path]))[0] == 401
            assert (await rig.post(path, BODIES[path], known))[0] == 200
        states = [row.state for row in await rig.rows()]
        assert states.count(InboxState.QUARANTINED) == 0
        assert len(states) == 50


async def test_strangers_cannot_use_up_the_quarantine_of_the_head_end() -> None:
    limits = QuarantineLimits(minute_bytes=20_000)
    settings = ListenerSettings(users=USERS, quarantine=limits, connections=HASTY)
    wrong = {"Authorization": basic_header_of("head-end", "wrong")}
    async with a_rig(settings) as rig:
        for _ in range(20):
            await rig.post("/openway/data", b"<" * 10_000, wrong)
        counts = rig.listener.counts
        (row,) = await rig.rows()
        assert counts["not_kept"] > 0
        assert row.times + counts["not_kept"] == 20
        known = {"Authorization": basic_header_of(USERS[1].user, USERS[1].password)}
        assert (await rig.post("/openway/data", b"<broken", known))[0] == 500
        assert len(await rig.rows()) == 2


async def test_the_contract_is_shown_without_a_password() -> None:
    async with (
        a_rig(GUARDED) as rig,
        rig.http.get(rig.url + "/openway/data?wsdl") as response,
    ):
        assert response.status == 200


@pytest.mark.parametrize(("user", "password"), [("", "x"), ("a:b", "x"), ("a", "")])
def test_users_that_http_basic_cannot_carry_stop_the_start(user: str, password: str) -> None:
    with pytest.raises(SettingsError, match="users"):
        ListenerSettings(users=(BasicUser(user=user, password=password),))


def test_passwords_do_not_show() -> None:
    assert "colon" not in repr(GUARDED)

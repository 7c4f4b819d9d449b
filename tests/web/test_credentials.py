"""HTTP Basic at the listener: every address, several live passwords, nothing told to strangers."""

import pytest

from adapter.engine.commands.ports import InboxState
from adapter.errors import SettingsError
from adapter.server.credentials import basic_header_of
from adapter.server.settings import BasicUser, ListenerSettings, QuarantineLimits
from tests.web.both_servers import (
    HASTY,
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
    None,
    "",
    "Basic",
    "Basic !!!!",
    "Basic " + "A" * 6_000,
    "Bearer abc",
    basic_header_of("head-end", "wrong"),
    basic_header_of("someone", USERS[0].password),
    basic_header_of("", ""),
]


@pytest.mark.parametrize("header", WRONG)
async def test_nobody_else_is_let_in_but_nothing_is_lost(header: str | None) -> None:
    async with a_rig(GUARDED) as rig:
        headers = {"Authorization": header} if header is not None else {}
        for path in (rig.signed(), *BODIES):
            status, answer = await rig.post(path, status_changed(), headers)
            assert (status, fault_of(answer)) == (401, "Client")
        rows = await rig.rows()
        assert [row.state for row in rows] == [InboxState.QUARANTINED] * 5
        assert all("credentials" in row.reason for row in rows)
        assert all(row.communication is None for row in rows)
        async with rig.http.post(rig.signed(), data=b"x") as response:
            assert response.headers["WWW-Authenticate"].startswith("Basic ")


async def test_strangers_cannot_use_up_the_quarantine_of_the_head_end() -> None:
    limits = QuarantineLimits(minute_bytes=20_000)
    settings = ListenerSettings(users=USERS, quarantine=limits, connections=HASTY)
    async with a_rig(settings) as rig:
        for _ in range(20):
            await rig.post("/openway/data", b"<" * 10_000)
        assert rig.listener.counts["not_kept"] == 19
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

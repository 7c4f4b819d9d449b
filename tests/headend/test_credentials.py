"""Passwords: where they come from, how they travel, and where they never show."""

import base64
import copy
import hashlib
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from adapter.commands.calls import Call, TokenGiven
from adapter.errors import HeadEndError, OutcomeUnknown, Refused, SettingsError
from adapter.headend.client import HeadEndClient, HttpCall
from adapter.headend.settings import BasicLogin, HeadEndSettings, UsernameToken
from adapter.model.secret import Secret
from adapter.settings.text_files import secret_from_environment, secret_from_file
from tests.headend.bad_head_ends import Peer, Script, Seen, Server, http
from tests.headend.calls_and_replies import (
    DISCONNECT,
    PING,
    TOKEN,
    ping_reply,
    settings,
    the_wire,
    token_reply,
)

CANARY = "canary-0451-päss"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
PROFILE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0"


def _asking_for_basic(user: str, password: str) -> Script:
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    async def script(peer: Peer, seen: Seen) -> None:
        known = seen.headers.get("authorization") == expected
        await peer.send(http(200, token_reply()) if known else http(401))

    return script


async def test_basic_is_sent_with_the_first_request() -> None:
    async with Server(_asking_for_basic("gateway", CANARY)) as server:
        login = BasicLogin(user="gateway", password=Secret(CANARY))
        async with HeadEndClient(settings(server.url, basic=login), the_wire()) as client:
            assert await client.call(DISCONNECT) == TokenGiven(token=TOKEN)
        assert len(server.seen) == 1


@pytest.mark.parametrize(("call", "kind"), [(PING, Refused), (DISCONNECT, OutcomeUnknown)])
async def test_a_wrong_password_is_told_and_is_not_in_the_text(
    call: Call, kind: type[HeadEndError]
) -> None:
    async with Server(_asking_for_basic("gateway", "another")) as server:
        login = BasicLogin(user="gateway", password=Secret(CANARY))
        async with HeadEndClient(settings(server.url, basic=login), the_wire()) as client:
            with pytest.raises(kind, match="HTTP 401") as caught:
                await client.call(call)
            assert CANARY not in repr(caught.value)
        assert len(server.seen) == 1


def _wsse_problem(body: bytes, password: str, *, digest: bool) -> str | None:
    """What a strict head end would find wrong with the UsernameToken; None when it is right."""
    tokens = etree.fromstring(body).findall(
        f"{{*}}Header/{{{WSSE}}}Security/{{{WSSE}}}UsernameToken"
    )
    if len(tokens) != 1:
        return "not one token"
    given = tokens[0].find(f"{{{WSSE}}}Password")
    nonce = base64.b64decode(tokens[0].findtext(f"{{{WSSE}}}Nonce") or "", validate=True)
    created = tokens[0].findtext(f"{{{WSU}}}Created") or ""
    if given is None or len(nonce) < 16:
        return "no password or a short nonce"
    age_s = (datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()
    if not -5 < age_s < 60:
        return f"{age_s} s old"
    proof = hashlib.sha1(nonce + created.encode() + password.encode()).digest()
    expected = base64.b64encode(proof).decode() if digest else password
    kind = f"{PROFILE}#{'PasswordDigest' if digest else 'PasswordText'}"
    if given.text != expected or given.get("Type") != kind:
        return f"password or type {given.get('Type')}"
    return None


@pytest.mark.parametrize("digest", [True, False])
async def test_the_username_token_is_right_and_its_nonce_is_fresh_for_each_request(
    digest: bool,
) -> None:
    nonces: list[bytes] = []
    problems: list[str | None] = []

    async def script(peer: Peer, seen: Seen) -> None:
        problems.append(_wsse_problem(seen.body, CANARY, digest=digest))
        found = etree.fromstring(seen.body).find(f".//{{{WSSE}}}Nonce")
        assert found is not None
        nonces.append((found.text or "").encode())
        await peer.send(http(200, ping_reply()))

    async with Server(script) as server:
        token = UsernameToken(user="gateway", password=Secret(CANARY), digest=digest)
        site = settings(server.url, username_token=token)
        async with HeadEndClient(site, the_wire()) as client:
            for _ in range(3):
                await client.call(PING)
    assert problems == [None, None, None]
    assert len(set(nonces)) == 3


async def test_recordings_have_the_bytes_but_no_credentials() -> None:
    recorded: list[HttpCall] = []
    cookie = http(200, token_reply(), "Set-Cookie: session=canary-cookie; path=/")

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.send(cookie if len(recorded) < 2 else http(500, b"<html/>"))

    async with Server(script) as server:
        site = settings(
            server.url,
            basic=BasicLogin(user="gateway", password=Secret(CANARY)),
            username_token=UsernameToken(user="gateway", password=Secret(CANARY), digest=False),
        )
        async with HeadEndClient(site, the_wire(), observe=recorded.append) as client:
            await client.call(DISCONNECT)
            await client.call(DISCONNECT)
            with pytest.raises(HeadEndError):
                await client.call(DISCONNECT)
        assert b"canary-0451" in server.seen[0].body
    first, _, last = recorded
    assert (first.status, first.reply, first.error) == (200, token_reply(), None)
    assert last.status == 500
    assert last.reply == b"<html/>"
    assert isinstance(last.error, HeadEndError)
    assert b"DisconnectMeter" in first.request
    for exchange in recorded:
        shown = repr(exchange)
        assert CANARY not in shown
        assert b"canary" not in exchange.request
        assert "canary-cookie" not in shown
        assert "Basic " not in shown


async def test_an_observer_that_fails_changes_no_outcome() -> None:
    def failing(exchange: HttpCall) -> None:
        raise OSError("disk full")

    async def script(peer: Peer, seen: Seen) -> None:
        await peer.send(http(200, token_reply()))

    async with (
        Server(script) as server,
        HeadEndClient(settings(server.url), the_wire(), observe=failing) as client,
    ):
        assert await client.call(DISCONNECT) == TokenGiven(token=TOKEN)


def test_a_secret_shows_nothing_of_itself() -> None:
    secret = Secret(CANARY)
    login = BasicLogin(user="gateway", password=secret)
    site = HeadEndSettings(base_url="http://127.0.0.1", basic=login)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>80}", repr(login), repr(site)):
        assert CANARY not in shown
    assert secret.reveal() == CANARY
    assert secret == Secret(CANARY)
    assert secret != Secret("another")
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(secret)


def test_secrets_come_from_files_and_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{CANARY}\n", encoding="utf-8")
    assert secret_from_file(file).reveal() == CANARY
    assert secret_from_environment("PW", {"PW": CANARY}).reveal() == CANARY


@pytest.mark.parametrize(
    "content", [b"", b" \n", b"changeme\n", b"Secret", b"\xff\xfe", b"x" * 5000]
)
def test_a_secret_that_cannot_be_one_stops_the_start_and_is_not_shown(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(SettingsError, match="password") as caught:
        secret_from_file(file)
    assert "changeme" not in str(caught.value)
    with pytest.raises(SettingsError, match="absent"):
        secret_from_file(tmp_path / "absent")
    with pytest.raises(SettingsError, match="HEAD_END_PASSWORD"):
        secret_from_environment("HEAD_END_PASSWORD", {})


def test_a_password_in_clear_needs_tls_or_a_word_of_consent() -> None:
    login = BasicLogin(user="gateway", password=Secret(CANARY))
    text = UsernameToken(user="gateway", password=Secret(CANARY), digest=False)
    digest = UsernameToken(user="gateway", password=Secret(CANARY), digest=True)
    url = "http://head-end.example:8103"
    with pytest.raises(SettingsError, match="allow_cleartext_passwords"):
        HeadEndSettings(base_url=url, basic=login)
    with pytest.raises(SettingsError, match="allow_cleartext_passwords"):
        HeadEndSettings(base_url=url, username_token=text)
    HeadEndSettings(base_url=url, username_token=digest)
    HeadEndSettings(base_url=url, basic=login, allow_cleartext_passwords=True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "head-end.example",
        "ftp://head-end.example",
        "http://",
        "http://u:p@h.example",
        "http://h/#x",
    ],
)
def test_an_address_that_cannot_be_one_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="base_url"):
        HeadEndSettings(base_url=url)
    with pytest.raises(SettingsError, match="DataService"):
        HeadEndSettings(base_url="http://h.example", service_urls={"DataService": url})

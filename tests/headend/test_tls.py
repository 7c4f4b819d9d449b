"""Who is believed to be the head end, and what we show it."""

import asyncio
import ssl
from pathlib import Path

import pytest

from adapter.commands.calls import TokenGiven
from adapter.errors import HeadEndError, NotSent, OutcomeUnknown, SettingsError
from adapter.headend.client import HeadEndClient
from adapter.headend.security import tls_context
from adapter.headend.settings import HeadEndSettings, Timeouts, Tls
from adapter.model.secret import Secret
from tests.headend.authority import Authority
from tests.headend.bad_head_ends import Peer, Server, http, replying
from tests.headend.calls_and_replies import DISCONNECT, TOKEN, settings, the_wire, token_reply
from tests.support import run

GOOD = replying(http(200, token_reply()))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "Another Issuer")


def outcome(context: ssl.SSLContext, tls: Tls) -> tuple[object, Server]:
    """What a disconnect ended as, and the server that saw it."""

    async def scene() -> tuple[object, Server]:
        async with Server(GOOD, tls=context) as server:
            site = settings(server.url, tls=tls, connect_attempts=3)
            async with HeadEndClient(site, the_wire()) as client:
                try:
                    return await client.call(DISCONNECT), server
                except HeadEndError as error:
                    return error, server

    return run(scene())


def test_a_head_end_with_a_certificate_of_the_pinned_issuer_is_believed(
    authority: Authority,
) -> None:
    context = authority.server_context(authority.issue("127.0.0.1"))
    answer, server = outcome(context, Tls(ca_file=authority.ca))
    assert answer == TokenGiven(token=TOKEN)
    assert len(server.seen) == 1


def test_another_issuer_is_not_believed_and_not_tried_twice(
    authority: Authority, stranger: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.ca))
    context = stranger.server_context(stranger.issue("127.0.0.1"))
    error, server = outcome(context, Tls(ca_file=authority.ca))
    assert isinstance(error, NotSent)
    assert str(error) == "TLS: the head end's certificate is not accepted"
    assert server.seen == []
    assert server.connections <= 1


def test_a_certificate_for_another_host_is_not_believed(authority: Authority) -> None:
    context = authority.server_context(authority.issue("other.example"))
    error, server = outcome(context, Tls(ca_file=authority.ca))
    assert isinstance(error, NotSent)
    assert server.seen == []


def test_a_head_end_addressed_by_number_may_show_the_name_that_was_configured(
    authority: Authority,
) -> None:
    context = authority.server_context(authority.issue("other.example"))
    answer, _ = outcome(context, Tls(ca_file=authority.ca, server_name="other.example"))
    assert answer == TokenGiven(token=TOKEN)


def test_an_expired_certificate_is_not_believed(authority: Authority) -> None:
    context = authority.server_context(authority.issue("127.0.0.1", expired=True))
    error, server = outcome(context, Tls(ca_file=authority.ca))
    assert isinstance(error, NotSent)
    assert server.seen == []


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_client_certificate_is_shown(
    authority: Authority, stranger: Authority, newest: ssl.TLSVersion
) -> None:
    context = authority.server_context(
        authority.issue("127.0.0.1"), clients=stranger, newest=newest
    )
    ours = stranger.issue("gateway", key_password=b"k3y")
    tls = Tls(
        ca_file=authority.ca,
        certificate_file=ours.certificate,
        key_file=ours.key,
        key_password=Secret("k3y"),
    )
    answer, server = outcome(context, tls)
    assert answer == TokenGiven(token=TOKEN)
    assert server.seen[0].peer_certificate


def test_without_the_client_certificate_nothing_reaches_the_head_end(
    authority: Authority, stranger: Authority
) -> None:
    """TLS 1.3 refuses only after our side of the handshake is done: bytes may have left by then."""
    shown = authority.issue("127.0.0.1")
    for newest, kinds in (
        (ssl.TLSVersion.TLSv1_2, (NotSent,)),
        (ssl.TLSVersion.TLSv1_3, (NotSent, OutcomeUnknown)),
    ):
        context = authority.server_context(shown, clients=stranger, newest=newest)
        error, server = outcome(context, Tls(ca_file=authority.ca))
        assert isinstance(error, kinds), error
        assert server.seen == []


async def test_a_handshake_that_never_ends_is_not_sent(authority: Authority) -> None:
    async def silent(peer: Peer) -> None:
        await asyncio.Event().wait()

    async with Server(GOOD, greet=silent) as server:
        quick = Timeouts(connect_s=0.2, pool_s=0.3, total_s=3.0)
        url = server.url.replace("http:", "https:")
        site = settings(url, tls=Tls(ca_file=authority.ca), timeouts=quick)
        async with HeadEndClient(site, the_wire()) as client:
            with pytest.raises(NotSent, match="within the time-out"):
                await client.call(DISCONNECT)


async def test_plain_http_where_tls_is_spoken_is_not_sent(authority: Authority) -> None:
    async with Server(GOOD) as server:
        url = server.url.replace("http:", "https:")
        quick = Timeouts(connect_s=0.3)
        site = settings(url, tls=Tls(ca_file=authority.ca), timeouts=quick)
        async with HeadEndClient(site, the_wire()) as client:
            with pytest.raises(NotSent):
                await client.call(DISCONNECT)
        assert server.seen == []


def test_the_context_has_the_strict_settings_and_no_key_log(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    context = tls_context(Tls(ca_file=authority.ca))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1
    assert not context.keylog_filename


def test_bad_tls_files_stop_the_start_and_are_named(authority: Authority, tmp_path: Path) -> None:
    missing = tmp_path / "absent.pem"
    locked = authority.issue("locked", key_password=b"phrase")
    with pytest.raises(SettingsError, match=r"absent\.pem"):
        tls_context(Tls(ca_file=missing))
    with pytest.raises(SettingsError, match=r"absent\.pem"):
        tls_context(Tls(ca_file=authority.ca, certificate_file=missing))
    with pytest.raises(SettingsError, match=r"locked\.pem"):
        tls_context(
            Tls(ca_file=authority.ca, certificate_file=locked.certificate, key_file=locked.key)
        )
    with pytest.raises(SettingsError, match="key_file"):
        tls_context(Tls(ca_file=authority.ca, key_file=locked.key))


def test_https_without_a_pinned_issuer_stops_the_start() -> None:
    for tls in (None, Tls()):
        with pytest.raises(SettingsError, match="ca_file"):
            HeadEndSettings(base_url="https://head-end.example", tls=tls)
    HeadEndSettings(base_url="https://head-end.example", tls=Tls(system_trust=True))

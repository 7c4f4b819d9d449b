"""Certificates, keys and passwords change while the gateway runs, and no request is dropped."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from adapter.commands.activity import CommandRequest
from adapter.commands.flows import CommandKind
from adapter.engine.upkeep.signals import Signal
from adapter.model.ids import DeviceId
from adapter.model.todo import TodoSubject
from adapter.server.credentials import basic_header_of
from adapter.service.app import App
from adapter.settings.changes import ReloadReport
from adapter.simulator.registry import device_id
from tests.durability.gateway_process import until
from tests.service.secured_site import (
    ADMIN,
    CALLBACK_PASSWORD,
    OPERATOR,
    SecuredSite,
    a_secured_site,
    served,
)
from tests.support import every_case
from tests.web.both_servers import XML, status_changed, token_of

_WAIT_S: Final = 20.0
_CUT_BYTES: Final = 100
_NEW_PASSWORD: Final = "another word of the head end's"


@asynccontextmanager
async def a_site(folder: Path) -> AsyncIterator[tuple[SecuredSite, App]]:
    async with a_secured_site(folder) as site, served(site) as app:
        yield site, app


async def succeeded(site: SecuredSite, app: App, number: int) -> bool:
    """Whether a meter that is checked through the head end answers."""
    device: DeviceId = device_id(sorted(site.simulator.world.population)[number])
    request = CommandRequest(kind=CommandKind.DEVICE_STATUS_CHECK, devices=(device,))
    found = await app.gateway.commands.submit(request)
    async with asyncio.timeout(_WAIT_S):
        while not found.activity.state.rests and found.activity.waits_since is None:
            found = await app.gateway.commands.wait(found.id, timeout_s=0.1)
    return found.activity.outcome == "succeeded"


class Load:
    """Callers at both servers, some with a connection of their own that stays, some with a new one
    for each request. What is not answered as it should be is a failure."""

    def __init__(self, site: SecuredSite, app: App) -> None:
        self._site = site
        self._app = app
        self._ended = asyncio.Event()
        self.answered = 0
        self.failures: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            for work in (self._callback, self._look):
                group.create_task(self._keeping(work))
                group.create_task(self._anew(work))
            await until(lambda: self.answered >= 20, within_s=_WAIT_S, why="callers are served")
            try:
                yield
                seen = self.answered
                await until(lambda: self.answered >= seen + 20, within_s=_WAIT_S, why="they go on")
            finally:
                self._ended.set()

    async def _keeping(self, work: Callable[[aiohttp.ClientSession], Awaitable[int]]) -> None:
        async with self._site.client() as session:
            while not self._ended.is_set():
                await self._once(session, work)

    async def _anew(self, work: Callable[[aiohttp.ClientSession], Awaitable[int]]) -> None:
        while not self._ended.is_set():
            async with self._site.client() as session:
                await self._once(session, work)

    async def _once(
        self,
        session: aiohttp.ClientSession,
        work: Callable[[aiohttp.ClientSession], Awaitable[int]],
    ) -> None:
        try:
            status = await work(session)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.failures.append(repr(error))
            return
        if status != 200:
            self.failures.append(f"{work.__name__}: {status}")
        self.answered += 1

    async def _callback(self, session: aiohttp.ClientSession) -> int:
        url = f"{self._app.listener.url}/openway/status"
        headers = {**XML, "Authorization": basic_header_of("head-end", CALLBACK_PASSWORD)}
        body = status_changed(token_of(self.answered + 1))
        async with session.post(url, data=body, headers=headers) as answer:
            return answer.status

    async def _look(self, session: aiohttp.ClientSession) -> int:
        headers = {"Authorization": f"Bearer {OPERATOR}"}
        url = f"{self._app.rest.url}/api/v1/commands?limit=1"
        async with session.get(url, headers=headers) as answer:
            return answer.status


async def test_certificates_of_both_servers_change_under_load_and_no_request_is_dropped(
    tmp_path: Path,
) -> None:
    async with a_site(tmp_path) as (site, app):
        load = Load(site, app)
        async with load.running(), site.client() as stays:
            before = site.certificate("listener"), site.certificate("api")
            url = f"{app.rest.url}/healthz"
            async with stays.get(url) as answer:
                assert answer.status == 200
            for _ in range(3):
                for name in ("listener", "api"):
                    site.renew(name)
                report = await app.live.reload(by="test")
                assert not report.problems
            assert set(report.taken) == {
                f"{server}.tls.{file}"
                for server in ("listener", "api")
                for file in ("certificate_file", "key_file")
            }
            assert await site.shown_at(app.listener.url) == site.certificate("listener")
            assert await site.shown_at(app.rest.url) == site.certificate("api")
            assert before != (site.certificate("listener"), site.certificate("api"))
            opened = app.rest.open_connections
            async with stays.get(url) as answer:
                assert answer.status == 200
            assert app.rest.open_connections <= opened + 1
        assert load.failures == []
        assert app.gateway.upkeep.signals.counts[Signal.SETTINGS_RELOADED] == 3


async def test_an_open_connection_keeps_the_certificate_that_it_was_shown(tmp_path: Path) -> None:
    async with a_site(tmp_path) as (site, app):
        host, port = app.rest.url.removeprefix("https://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), ssl=site.trust())
        old = site.certificate("api")
        site.renew("api")
        assert (await app.live.reload(by="test")).taken
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: here\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
        assert shown.getpeercert(binary_form=True) == old
        writer.close()
        await writer.wait_closed()


async def test_what_the_head_end_is_shown_and_told_changes_between_two_commands(
    tmp_path: Path,
) -> None:
    async with a_site(tmp_path) as (site, app):
        assert await succeeded(site, app, 0)
        (tmp_path / "wsse-password").write_text(_NEW_PASSWORD, encoding="utf-8")
        other = type(site.authority)(tmp_path, "Somebody Else")
        shown = other.issue("127.0.0.1")
        (tmp_path / "client.pem").write_bytes(shown.certificate.read_bytes())
        (tmp_path / "client.key").write_bytes(shown.key.read_bytes())
        report = await app.live.reload(by="test")
        assert set(report.taken) == {
            "head_end.username_token.password_file",
            "head_end.tls.certificate_file",
            "head_end.tls.key_file",
        }
        # An issuer that the head end does not know: a pooled connection would hide it.
        assert not await succeeded(site, app, 1)
        site.renew("client")
        (tmp_path / "wsse-password").write_text(
            site.simulator.config.access.caller_password, encoding="utf-8"
        )
        assert (await app.live.reload(by="test")).taken
        assert await succeeded(site, app, 2)


async def test_names_and_passwords_of_the_head_end_change(tmp_path: Path) -> None:
    async with a_site(tmp_path) as (site, app), site.client() as http:

        async def status_of(password: str) -> int:
            headers = {**XML, "Authorization": basic_header_of("head-end", password)}
            url = f"{app.listener.url}/openway/status"
            async with http.post(url, data=status_changed(), headers=headers) as answer:
                return answer.status

        assert (await status_of(CALLBACK_PASSWORD), await status_of(_NEW_PASSWORD)) == (200, 401)
        (tmp_path / "users.txt").write_text(f"head-end:{_NEW_PASSWORD}\n", encoding="utf-8")
        assert (await app.live.reload(by="test")).taken == ("listener.users_file",)
        assert (await status_of(CALLBACK_PASSWORD), await status_of(_NEW_PASSWORD)) == (401, 200)


Spoil = Callable[[SecuredSite], None]


def _other_key(site: SecuredSite) -> None:
    (site.folder / "listener.key").write_bytes(site.authority.issue("127.0.0.1").key.read_bytes())


def _cut(name: str) -> Spoil:
    def spoil(site: SecuredSite) -> None:
        path = site.folder / name
        path.write_bytes(path.read_bytes()[:_CUT_BYTES])

    return spoil


def _gone(name: str) -> Spoil:
    return lambda site: (site.folder / name).unlink()


def _for_all_to_write(site: SecuredSite) -> None:
    (site.folder / "api.key").chmod(0o666)


def _unknown_setting(site: SecuredSite) -> None:
    text = site.settings_file.read_text(encoding="utf-8")
    site.settings_file.write_text(text + "\n[stoer]\npath = 1\n", encoding="utf-8")


_SPOILED: Final[dict[str, tuple[Spoil, str]]] = {
    "the key of another certificate": (_other_key, "listener.tls"),
    "half a certificate": (_cut("api.pem"), "api.tls"),
    "no certificate": (_gone("listener.pem"), "listener.tls: certificate_file"),
    "a key that others may write": (_for_all_to_write, "others may write it"),
    "half a client certificate": (_cut("client.pem"), "head_end.tls.certificate_file"),
    "no password": (_gone("wsse-password"), "head_end.username_token.password_file"),
    "no users": (_gone("users.txt"), "listener.users_file"),
    "an unknown setting": (_unknown_setting, "stoer"),
}


async def test_a_bad_file_leaves_all_of_before_in_use_and_people_are_told(tmp_path: Path) -> None:
    async with a_site(tmp_path) as (site, app):
        good = {path: path.read_bytes() for path in tmp_path.iterdir() if _is_setting(path)}
        with every_case() as case:
            for number, (name, (spoil, named)) in enumerate(_SPOILED.items(), start=1):
                with case(name):
                    spoil(site)
                    await _refused(site, app, number, named)
                for path, content in good.items():
                    path.write_bytes(content)
                    path.chmod(0o600)
                assert not (await app.live.reload(by="test")).problems


def _is_setting(path: Path) -> bool:
    return path.suffix in (".pem", ".key", ".txt", ".toml", "") and path.stem != "gateway"


async def _refused(site: SecuredSite, app: App, number: int, named: str) -> None:
    shown = await site.shown_at(app.listener.url), await site.shown_at(app.rest.url)
    if (site.folder / "client.pem").stat().st_size > _CUT_BYTES:
        site.renew("client")  # good; but one that is bad holds back all
    report = await app.live.reload(by="test")
    assert named in " ".join(report.problems)
    assert report.taken == ()
    after = await site.shown_at(app.listener.url), await site.shown_at(app.rest.url)
    assert after == shown
    assert await succeeded(site, app, number)
    upkeep = app.gateway.upkeep
    assert any("settings of before" in each for each in (await upkeep.ready()).wrong)
    (entry,) = [
        each for each in await upkeep.todo.list() if each.first.subject is TodoSubject.SETTINGS
    ]
    assert named in entry.first.text
    assert [each.typed for each in entry.commands] == ["openway reload"]
    assert upkeep.signals.counts[Signal.SETTINGS_REFUSED] == number
    notes = [each.note for each in await upkeep.audit() if each.note.subject == "settings"]
    assert (notes[-1].actor, notes[-1].action) == ("test", "SettingsRefused")


async def test_what_was_mended_is_taken_and_no_longer_waits_for_people(tmp_path: Path) -> None:
    async with a_site(tmp_path) as (site, app):
        _other_key(site)
        assert (await app.live.reload(by="test")).problems
        site.renew("listener")
        assert (await app.live.reload(by="test")) == ReloadReport(
            taken=("listener.tls.certificate_file", "listener.tls.key_file"),
            restart=[],
            problems=[],
        )
        assert await app.live.doubt() == ""
        assert await app.live.todo() == []


async def test_what_takes_a_restart_is_named_and_not_taken(tmp_path: Path) -> None:
    async with a_site(tmp_path) as (site, app):
        text = site.settings_file.read_text(encoding="utf-8")
        text = text.replace('client_ca_file = "', 'client_ca_file = "').replace(
            "[listener.connections]\nidle_s = 60.0", "[listener.connections]\nidle_s = 61.0"
        )
        site.settings_file.write_text(text + "\n[engine]\nconcurrency = 3\n", encoding="utf-8")
        site.renew("api")
        report = await app.live.reload(by="test")
        assert report.taken == ("api.tls.certificate_file", "api.tls.key_file")
        assert report.restart == ["listener.connections.idle_s", "engine.concurrency"]


async def test_the_interface_shows_what_a_reload_would_take_and_takes_it(tmp_path: Path) -> None:
    async with a_site(tmp_path) as (site, app), site.client() as http:
        http.headers["Authorization"] = f"Bearer {ADMIN}"
        (tmp_path / "wsse-password").write_text(_NEW_PASSWORD, encoding="utf-8")
        site.renew("api")
        url = f"{app.rest.url}/api/v1/settings"
        async with http.get(url) as answer:
            shown = await answer.json()
        changed = {each["name"]: each for each in shown["items"] if each["found"] is not None}
        assert set(changed) == {
            "head_end.username_token.password_file",
            "api.tls.certificate_file",
            "api.tls.key_file",
        }
        assert {each["taken_by"] for each in changed.values()} == {"reload"}
        assert changed["head_end.username_token.password_file"]["found"] == "***"
        async with http.post(f"{url}/reload", json={"reason": "the year is over"}) as answer:
            told = await answer.json()
        assert set(told["taken"]) == set(changed)
        for secret in (_NEW_PASSWORD, ADMIN, OPERATOR, CALLBACK_PASSWORD):
            assert secret not in str((shown, told))

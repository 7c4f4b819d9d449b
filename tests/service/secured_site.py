"""A gateway by its settings file between a strict head end with mutual TLS and a secured API."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp

from adapter.service.app import App, build
from adapter.service.settings import load, load_with_origin
from adapter.simulator.meters import PopulationPlan
from adapter.simulator.registry import registry_of
from adapter.simulator.server import Simulator
from adapter.simulator.settings import Access, SimulatorConfig, SimulatorTls
from tests.headend.authority import Authority, Issued

ADMIN: Final = "admin-" + "0" * 40
OPERATOR: Final = "operator-" + "0" * 40
WSSE_PASSWORD: Final = "what the head end wants to hear"
CALLBACK_PASSWORD: Final = "what the gateway wants to hear"
_HERE: Final = "127.0.0.1"
_SOON_GIVEN_UP: Final = "[commands.device_status_check]\nretry.attempts = 1\n"


@dataclass(slots=True, kw_only=True)
class SecuredSite:
    """Its files; `renew` puts a new certificate and key in the place of those before."""

    folder: Path
    authority: Authority
    simulator: Simulator

    @property
    def settings_file(self) -> Path:
        return self.folder / "openway.toml"

    def renew(self, name: str) -> None:
        put(self.folder, name, self.authority.issue(_HERE))

    def certificate(self, name: str) -> bytes:
        """As it is on the wire."""
        return ssl.PEM_cert_to_DER_cert((self.folder / f"{name}.pem").read_text(encoding="ascii"))

    def trust(self) -> ssl.SSLContext:
        """What callers use, who show a certificate of the same authority."""
        context = ssl.create_default_context(cafile=self.authority.ca)
        context.load_cert_chain(self.folder / "caller.pem", self.folder / "caller.key")
        return context

    def client(self) -> aiohttp.ClientSession:
        """Keeps its connections."""
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self.trust()))

    async def shown_at(self, url: str) -> bytes:
        """The certificate that a new connection is shown."""
        host, port = url.removeprefix("https://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=self.trust())
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        await writer.wait_closed()
        return found


def put(folder: Path, name: str, issued: Issued) -> None:
    """One file after the other, as people do it."""
    (folder / f"{name}.pem").write_bytes(issued.certificate.read_bytes())
    (folder / f"{name}.key").write_bytes(issued.key.read_bytes())


def write_files(folder: Path, authority: Authority) -> None:
    """Certificates, keys, users and passwords."""
    for name in ("listener", "api", "client", "caller", "head-end"):
        put(folder, name, authority.issue(_HERE))
    for name, text in (
        ("keys.txt", f"root admin {ADMIN}\nann operate,switch {OPERATOR}\n"),
        ("wsse-password", WSSE_PASSWORD),
        ("users.txt", f"head-end:{CALLBACK_PASSWORD}\n"),
    ):
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o600)


def head_end_of(folder: Path, authority: Authority, *, user: str = "gateway") -> SimulatorConfig:
    """Strict, over https alone, for callers with a certificate and WS-Security."""
    return SimulatorConfig(
        population=PopulationPlan(count=20),
        access=Access(
            caller_user=user,
            caller_password=WSSE_PASSWORD,
            caller_security="wsse",
            callback_user="head-end",
            callback_password=CALLBACK_PASSWORD,
        ),
        tls=SimulatorTls(
            certificate=str(folder / "head-end.pem"),
            key=str(folder / "head-end.key"),
            caller_ca=str(authority.ca),
            callback_ca=str(authority.ca),
            callback_certificate=str(folder / "caller.pem"),
            callback_key=str(folder / "caller.key"),
        ),
    )


def settings_text(
    authority: Authority, head_end: str, *, listener: int = 0, api: int = 0, more: str = ""
) -> str:
    """Paths are below the file's own folder."""
    ca = authority.ca
    return f"""
[store]
path = "gateway.db"

[listener]
port = {listener}
users_file = "users.txt"
[listener.tls]
certificate_file = "listener.pem"
key_file = "listener.key"
client_ca_file = "{ca}"
[listener.connections]
idle_s = 60.0

[api]
port = {api}
keys_file = "keys.txt"
[api.tls]
certificate_file = "api.pem"
key_file = "api.key"
[api.connections]
idle_s = 60.0

[head_end]
base_url = "{head_end}"
[head_end.tls]
ca_file = "{ca}"
certificate_file = "client.pem"
key_file = "client.key"
[head_end.username_token]
user = "gateway"
password_file = "wsse-password"
digest = true
{more}"""


@asynccontextmanager
async def a_secured_site(folder: Path) -> AsyncIterator[SecuredSite]:
    """The head end runs; the settings file is written."""
    authority = Authority(folder)
    write_files(folder, authority)
    async with Simulator(head_end_of(folder, authority)) as simulator:
        site = SecuredSite(folder=folder, authority=authority, simulator=simulator)
        text = settings_text(authority, simulator.url, more=_SOON_GIVEN_UP)
        site.settings_file.write_text(text, encoding="utf-8")
        yield site


@asynccontextmanager
async def served(site: SecuredSite) -> AsyncIterator[App]:
    """The gateway in this process, with the head end's meters."""
    read = partial(load_with_origin, site.settings_file, {}, skipped=frozenset({"api.keys"}))
    async with build(load(site.settings_file, {}), read=read) as app:
        await app.gateway.registry.import_devices(
            registry_of(site.simulator.world.population), by="test"
        )
        yield app

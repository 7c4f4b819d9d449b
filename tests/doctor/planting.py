"""A site with nothing wrong, and one fault planted in it at a time."""

import asyncio
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import apsw
from joserfc.jwk import ECKey

from adapter.cli.client import Client
from adapter.doctor.callback_address import CallerFiles
from adapter.doctor.doctor import Diagnosis, examine
from adapter.engine.private_files import OWNER_ONLY
from adapter.server.settings import ApiKey, Role
from adapter.store.commands.commands import SqliteStore
from adapter.wire.catalog import Catalog
from tests.doctor.web_servers import (
    Handler,
    NoContract,
    changed_contract,
    head_end,
    nobody,
    served,
    silent,
)
from tests.headend.authority import Authority

WITHIN_S: Final = 8.0


@dataclass
class PlantedSite:
    """What the settings file says, by section; what it names is in `folder`."""

    folder: Path
    stack: ExitStack
    sections: dict[str, dict[str, object]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    off: timedelta = timedelta()
    """How far the doctor's clock is from the machine's."""

    @property
    def store(self) -> Path:
        return self.folder / "gateway.db"

    def set(self, section: str, **values: object) -> None:
        self.sections.setdefault(section, {}).update(values)

    def head_end(self, catalog: Catalog | None = None, *, off: timedelta = timedelta()) -> str:
        url = self.stack.enter_context(served(head_end(catalog or Catalog.load(), off=off)))
        self.set("head_end", base_url=url)
        return url

    def file(self, *, text: str | None = None) -> Path:
        keys = self.folder / "keys"
        keys.write_text("".join(f"{line}\n" for line in self.keys), encoding="utf-8")
        keys.chmod(self.sections.pop("modes", {}).get("keys", OWNER_ONLY))  # type: ignore[arg-type]
        file = self.folder / "openway.toml"
        lines: list[str] = []
        for section, values in self.sections.items():
            lines.append(f"[{section}]")
            lines += [f"{name} = {_toml(value)}" for name, value in values.items()]
        file.write_text("\n".join(lines) if text is None else text, encoding="utf-8")
        return file

    def examined(self, *, text: str | None = None, within_s: float = WITHIN_S) -> Diagnosis:
        return examine(
            self.file(text=text),
            api=lambda loaded: Client(url=loaded.settings.api.address, timeout_s=2.0),
            clock=lambda: datetime.now(UTC) + self.off,
            caller=CallerFiles(),
            within_s=within_s,
        )


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def healthy(folder: Path, stack: ExitStack, *, contract: bool = True) -> PlantedSite:
    """Stopped, and never started: its store is not there yet. Without `contract` its head end
    serves none, which takes the doctor half a second to read."""
    site = PlantedSite(folder, stack)
    key, _ = ApiKey.make("root", Role.ADMIN, Role.OPERATE, now=datetime.now(UTC))
    site.keys.append(key.line)
    site.set("store", path="gateway.db")
    site.set("contract", time_zone="Europe/Berlin")
    site.set("listener", port=0)
    api_url = stack.enter_context(nobody())
    site.set("api", port=0, keys_file="keys", url=api_url)
    if contract:
        site.head_end()
    else:
        site.set("head_end", base_url=stack.enter_context(served(NoContract)))
    return site


Plant = Callable[[PlantedSite], None]
PLANTS: Final[dict[str, tuple[str, str, Plant]]] = {}
"""By name: the code that the doctor must give, words that its advice must have, and the fault."""


def plants(code: str, advice: str) -> Callable[[Plant], Plant]:
    def keep(plant: Plant) -> Plant:
        PLANTS[plant.__name__] = (code, advice, plant)
        return plant

    return keep


# ---------------------------------------------------------------- the head end's TLS


def _https(site: PlantedSite, *, clients: Authority | None = None, **shown: object) -> Authority:
    authority = Authority(site.folder, name="Issuer of the head end")
    issued = authority.issue(str(shown.pop("name", "127.0.0.1")), expired=bool(shown.pop("old", 0)))
    context = authority.server_context(issued, clients=clients)
    url = site.stack.enter_context(served(NoContract, context))
    site.set("head_end", base_url=url)
    site.set("head_end.tls", ca_file=authority.ca.name)
    return authority


@plants("head_end_certificate_expired", "new certificate")
def expired_certificate(site: PlantedSite) -> None:
    _https(site, old=True)


@plants("head_end_certificate_issuer", "head_end.tls.ca_file")
def wrong_authority(site: PlantedSite) -> None:
    _https(site)
    site.set("head_end.tls", ca_file=Authority(site.folder, name="Somebody else").ca.name)


@plants("head_end_certificate_name", "head_end.tls.server_name")
def name_mismatch(site: PlantedSite) -> None:
    _https(site, name="headend.example")


@plants("head_end_certificate_soon", "ask who runs the head end")
def certificate_that_ends_tomorrow(site: PlantedSite) -> None:
    _https(site)


@plants("client_certificate_missing", "head_end.tls.certificate_file")
def client_certificate_missing(site: PlantedSite) -> None:
    _https(site, clients=Authority(site.folder, name="Issuer of clients"))


def _as_client(site: PlantedSite, issuer: Authority, *, old: bool = False) -> None:
    issued = issuer.issue("gateway.example", expired=old)
    issued.key.chmod(OWNER_ONLY)
    site.set("head_end.tls", certificate_file=issued.certificate.name, key_file=issued.key.name)


@plants("client_certificate_expired", "restart the gateway")
def client_certificate_expired(site: PlantedSite) -> None:
    issuer = Authority(site.folder, name="Issuer of clients")
    _https(site, clients=issuer)
    _as_client(site, issuer, old=True)


@plants("client_certificate_refused", "must believe its issuer")
def client_certificate_of_a_stranger(site: PlantedSite) -> None:
    _https(site, clients=Authority(site.folder, name="Issuer of clients"))
    _as_client(site, Authority(site.folder, name="Issuer of nobody"))


@plants("tls_failed", "what is spoken there")
def plain_http_where_https_is_set(site: PlantedSite) -> None:
    _https(site)
    url = site.stack.enter_context(served(NoContract))
    site.set("head_end", base_url=url.replace("http:", "https:"))


# ---------------------------------------------------------------- the head end otherwise


@plants("head_end_name_unknown", "head_end.base_url")
def name_that_nobody_has(site: PlantedSite) -> None:
    site.set("head_end", base_url="http://headend.invalid:8080")


@plants("head_end_unreachable", "nc -vz 127.0.0.1")
def head_end_down(site: PlantedSite) -> None:
    site.set("head_end", base_url=site.stack.enter_context(nobody()))


@plants("head_end_silent", "ask who runs the head end")
def head_end_that_never_answers(site: PlantedSite) -> None:
    site.set("head_end", base_url=site.stack.enter_context(silent()))


@plants("clock_off", "timedatectl set-ntp true")
def clock_ten_minutes_off(site: PlantedSite) -> None:
    site.head_end(off=timedelta(minutes=10))


class _Locked(NoContract):
    """Lets nobody in who has not the right password."""

    def do_POST(self) -> None:
        self.body()
        self.reply(401, b"", {"WWW-Authenticate": "Basic"})


@plants("credentials_refused", "head_end.basic")
def wrong_password(site: PlantedSite) -> None:
    secret = site.folder / "password"
    secret.write_text("not-the-right-one")
    secret.chmod(OWNER_ONLY)
    site.set("head_end", base_url=site.stack.enter_context(served(_Locked)))
    site.set("head_end.basic", user="gateway", password_file="password")


class _Unsaid(Handler):
    def do_GET(self) -> None:
        self.reply(404, b"")

    def do_POST(self) -> None:
        self.body()
        self.reply(404, b"")


@plants("contract_not_served", "openway wsdl check")
def contract_that_is_not_served(site: PlantedSite) -> None:
    site.set("head_end", base_url=site.stack.enter_context(served(_Unsaid)))


@plants("contract_breaks", "openway wsdl fetch")
def contract_without_an_operation(site: PlantedSite) -> None:
    name = '<wsdl:operation name="ReadDisconnectStateByMeters"'
    other = '<wsdl:operation name="ReadDisconnectState"'
    site.head_end(changed_contract(site.folder / "theirs", "diagnostic.wsdl", name, other))


@plants("contract_differs", "contract.wsdl = DIR")
def contract_with_other_types(site: PlantedSite) -> None:
    site.head_end(
        changed_contract(
            site.folder / "theirs",
            "com.xsd",
            '<xs:element name="Id" type="ser:guid"/>',
            '<xs:element name="Id" type="xs:string"/>',
        )
    )


# ---------------------------------------------------------------- settings, keys, machine


@plants("zone_unknown", "contract.time_zone")
def wrong_time_zone(site: PlantedSite) -> None:
    site.set("contract", time_zone="Europe/Atlantis")


@plants("setting_bad", "openway config show")
def setting_out_of_bounds(site: PlantedSite) -> None:
    site.set("engine", concurrency=0)


@plants("settings_file_bad", "openway config check")
def orders_file_missing(site: PlantedSite) -> None:
    site.set("orders", file="nowhere.toml")


@plants("head_end_unset", "head_end.base_url")
def no_head_end(site: PlantedSite) -> None:
    del site.sections["head_end"]


@plants("secret_open", "take the right away")
def key_file_readable_by_all(site: PlantedSite) -> None:
    site.set("modes", keys=0o644)


@plants("key_no_admin", "new-key NAME admin")
def no_key_with_admin_right(site: PlantedSite) -> None:
    site.keys[:] = [ApiKey.make("ann", Role.OPERATE, now=datetime.now(UTC))[0].line]


@plants("keys_none", "api.keys_file")
def no_key_at_all(site: PlantedSite) -> None:
    del site.sections["api"]["keys_file"]


@plants("issuer_not_reached", "compare api.oidc")
def issuer_that_does_not_answer(site: PlantedSite) -> None:
    url = site.stack.enter_context(nobody())
    site.set("api.oidc", issuer=url, audience="openway")


class _Discovery(Handler):
    """It says who it is and where its keys are, and has no page to log in at."""

    def do_GET(self) -> None:
        host = f"http://{self.headers['Host']}"
        key = {**ECKey.generate_key("P-256").as_dict(private=False), "kid": "one"}
        shown = {"issuer": host, "jwks_uri": f"{host}/keys", "keys": [key]}
        self.reply(200, json.dumps(shown).encode())


@plants("issuer_not_reached", "compare api.oidc")
def issuer_without_a_login(site: PlantedSite) -> None:
    url = site.stack.enter_context(served(_Discovery))
    site.set("api.oidc", issuer=url, audience="openway")
    back = "https://gateway.example/console/login/callback"
    site.set("api.oidc.login", client_id="console", redirect_url=back)


@plants("key_bad", "remove the line")
def hashed_key_malformed(site: PlantedSite) -> None:
    site.keys.append("bob approve sha256:0123 id=0123")


@plants("key_file_missing", "openway config new-key NAME ROLES --append` makes the file")
def file_of_keys_missing(site: PlantedSite) -> None:
    site.set("api", keys_file="nowhere")


@plants("not_looked_at", "openway doctor")
def settings_that_cannot_be_read(site: PlantedSite) -> None:
    site.set("engine", concurrency=0)


@plants("key_in_clear", "openway config hash-keys")
def key_in_clear(site: PlantedSite) -> None:
    site.keys.append("bob approve " + "t" * 40)


@plants("key_expired", "openway keys withdraw")
def key_that_has_ended(site: PlantedSite) -> None:
    ended = datetime.now(UTC) - timedelta(days=1)
    site.keys.append(ApiKey.of("bob", "b" * 40, Role.APPROVE, expires_at=ended).line)


@plants("port_taken", "ss -ltnp")
def port_taken(site: PlantedSite) -> None:
    url = site.stack.enter_context(silent())
    site.set("listener", port=int(url.rpartition(":")[2]))


@plants("callback_local", "listener.public_url")
def callback_address_of_this_machine_alone(site: PlantedSite) -> None:
    site.set("head_end", base_url="http://headend.invalid:8080")


def _serving_tls(site: PlantedSite, section: str, *, old: bool) -> None:
    issued = Authority(site.folder, name="Our own").issue("gateway.example", expired=old)
    issued.key.chmod(OWNER_ONLY)
    files = {"certificate_file": issued.certificate.name, "key_file": issued.key.name}
    site.set(f"{section}.tls", **files)


@plants("listener_certificate_expired", "restart the gateway")
def certificate_of_the_listener_expired(site: PlantedSite) -> None:
    _serving_tls(site, "listener", old=True)


@plants("api_certificate_soon", "restart the gateway")
def certificate_of_the_api_that_ends_tomorrow(site: PlantedSite) -> None:
    _serving_tls(site, "api", old=False)


# ---------------------------------------------------------------- the store


def _stored(site: PlantedSite) -> None:
    """A store that was closed properly."""

    async def make() -> None:
        store = SqliteStore(site.store, now=lambda: datetime.now(UTC))
        await store.open()
        await store.close()

    asyncio.run(make())


@plants("store_read_only", "mode 600")
def store_read_only(site: PlantedSite) -> None:
    _stored(site)
    site.store.chmod(stat.S_IRUSR)


@plants("store_open", "chmod go=")
def store_open_to_others(site: PlantedSite) -> None:
    _stored(site)
    site.store.chmod(0o644)


@plants("disk_low", "make room")
def disk_full(site: PlantedSite) -> None:
    _stored(site)
    site.set("listener.quarantine", reserve_bytes=2**40)


@plants("store_newer", "install the version that wrote it")
def store_of_a_newer_program(site: PlantedSite) -> None:
    _stored(site)
    with closing(apsw.Connection(str(site.store))) as connection:
        connection.pragma("user_version", 9_999)


@plants("store_unreadable", "openway restore")
def store_of_another_program(site: PlantedSite) -> None:
    with closing(apsw.Connection(str(site.store))) as connection:
        connection.execute("CREATE TABLE song (title TEXT)")


@plants("store_damaged", "openway restore DIR --replace")
def corrupt_page(site: PlantedSite) -> None:
    _stored(site)
    with closing(apsw.Connection(str(site.store))) as connection:
        page: int = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'audit_subject'"
        ).get
        size = int(connection.pragma("page_size"))
        connection.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
    descriptor = os.open(site.store, os.O_RDWR)
    try:
        os.pwrite(descriptor, b"\xff" * size, (page - 1) * size)
    finally:
        os.close(descriptor)


def cases() -> Iterator[tuple[str, str, str, Plant]]:
    for name, (code, advice, plant) in PLANTS.items():
        yield name, code, advice, plant

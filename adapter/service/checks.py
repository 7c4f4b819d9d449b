"""Files that settings name, looked at before anything is started."""

import errno
import ssl
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from adapter.engine.events.tables import load_event_tables
from adapter.engine.readings.tables import load_tables, names_zone
from adapter.errors import ContractError, SettingsError
from adapter.fieldwork.settings import FieldWorkKind
from adapter.headend import security
from adapter.server import connections, issuer
from adapter.server.connections import bind
from adapter.service.callback_keys import written_keys
from adapter.service.orders_file import load_rules
from adapter.service.settings import Settings
from adapter.settings.text_files import require_file
from adapter.webhooks.signing import keys_of
from adapter.wire.catalog import Catalog


def check_files(settings: Settings) -> None:
    """Raises SettingsError with a line for each file that cannot be used: orders and tables that
    are wrong, certificates, keys that do not belong to them, authorities, keys that sign; and for
    each address that cannot be listened at. One that is taken is none: it may be ours."""
    problems: list[str] = []
    for section, look in _looks(settings):
        try:
            look()
        except SettingsError as error:
            problems.append(f"{section}{error}")
        except (OSError, ValueError) as error:  # as ssl has them
            problems.append(f"{section}{error}")
    if problems:
        raise SettingsError("\n".join(problems))


def zone_remark(settings: Settings, given: Collection[str]) -> str:
    """What is said where nobody has set in which zone times without an offset are read; "" else.
    `given` are the settings that were."""
    if "contract.time_zone" in given or names_zone(settings.intake.tables):
        return ""
    told = "times without an offset are read in UTC: set contract.time_zone to the zone of the site"
    return f"{told}, or time.zone of intake.tables"


def catalog_of(folder: Path | None) -> Catalog:
    """The WSDL of a folder; None: the packaged one. Raises SettingsError."""
    try:
        return Catalog.load(folder)
    except ContractError as error:
        raise SettingsError(f"contract.wsdl: {error}") from error


def _looks(settings: Settings) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is looked at, and the section of the settings that it stands in."""
    orders, intake, head_end = settings.orders, settings.intake, settings.head_end
    yield "", lambda: load_rules(orders.file, settings.engine.kinds)
    yield "", lambda: load_tables(intake.tables, zone=settings.contract.time_zone)
    yield "", lambda: load_event_tables(intake.events)
    if (theirs := settings.listener.tls) is not None:
        yield "listener.", lambda: connections.tls_context(theirs)
    if (ours := settings.api.tls) is not None:
        yield "api.", lambda: connections.tls_context(ours)
    if (oidc := settings.api.oidc) is not None:
        yield "api.", issuer.check_installed
        yield "api.", lambda: issuer.trust_of(oidc)
    if head_end is not None and (client := head_end.tls) is not None:
        yield "head_end.", lambda: security.tls_context(client)
    for section, file in (
        ("api", settings.api.ca_file),
        ("replies", settings.replies.ca_file),
        ("field_work.webhook", settings.field_work.webhook.ca_file),
    ):
        if file is not None:
            yield f"{section}.ca_file: {file}: ", partial(_authority, file)
    yield "", lambda: written_keys(settings)
    webhook = settings.field_work.webhook
    if settings.field_work.kind is FieldWorkKind.WEBHOOK:
        yield "field_work.webhook.keys_file: ", lambda: keys_of(webhook.keys)
    if settings.replies.url:
        yield "replies.keys_file: ", lambda: keys_of(settings.replies.keys)
    yield "store.path: ", lambda: _folder_of(settings.store.path)
    yield from _addresses(settings)


def _authority(file: Path) -> None:
    require_file(file, "it")
    ssl.create_default_context(cafile=str(file))


def _folder_of(store: Path) -> None:
    if store.is_dir():
        raise SettingsError(f"{store} is a folder")
    if not store.parent.is_dir():
        raise SettingsError(f"{store}: there is no folder {store.parent}")


def _addresses(settings: Settings) -> Iterator[tuple[str, Callable[[], object]]]:
    webhook = settings.field_work.webhook
    asked = [
        ("listener", settings.listener.host, settings.listener.port),
        ("api", settings.api.host, settings.api.port),
    ]
    if settings.field_work.kind is FieldWorkKind.WEBHOOK:
        asked.append(("field_work.webhook", webhook.host, webhook.port))
    taken: dict[tuple[str, int], str] = {}
    for section, host, port in asked:
        other = taken.setdefault((host, port), section) if port else section
        yield "", partial(_listen, section, host, port, other)


def _listen(section: str, host: str, port: int, other: str) -> None:
    """`other` has this address first."""
    if other != section:
        raise SettingsError(f"{section}.port: {host}:{port} is {other}.port already")
    try:
        bind(host, port, section=section).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise SettingsError(f"{error.filename}: {error.strerror}") from error

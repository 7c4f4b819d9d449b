"""Files that settings name, looked at before anything is started."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from adapter.engine.events.tables import load_event_tables
from adapter.engine.readings.tables import load_tables
from adapter.errors import ContractError, SettingsError
from adapter.headend import security
from adapter.server import connections
from adapter.service.orders_file import load_rules
from adapter.service.settings import Settings
from adapter.wire.catalog import Catalog


def check_files(settings: Settings) -> None:
    """Raises SettingsError with a line for each file that cannot be used: orders and tables that
    are wrong, certificates, keys that do not belong to them, authorities."""
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


def catalog_of(folder: Path | None) -> Catalog:
    """The WSDL of a folder; None: the packaged one. Raises ContractError."""
    try:
        return Catalog.load(folder)
    except ContractError as error:
        raise ContractError(f"contract.wsdl: {error}") from error


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
    if head_end is not None and (client := head_end.tls) is not None:
        yield "head_end.", lambda: security.tls_context(client)
    for section, file in (
        ("api", settings.api.ca_file),
        ("replies", settings.replies.ca_file),
        ("field_work.webhook", settings.field_work.webhook.ca_file),
    ):
        if file is not None:
            named = str(file)
            yield (
                f"{section}.ca_file: {file}: ",
                lambda named=named: ssl.create_default_context(cafile=named),  # type: ignore[misc]  # its type is not inferred
            )

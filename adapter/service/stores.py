"""Which store the settings name."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from adapter.errors import SettingsError
from adapter.service.settings import StoreSettings
from adapter.store.commands.commands import SqliteStore, SqlStore

if TYPE_CHECKING:
    from adapter.store.postgresql.migration import ServerPlan

_NO_DRIVER: Final = "store.url: needs the extra: pip install 'openway-gateway[postgres]'"


def store_of(settings: StoreSettings, *, now: Callable[[], datetime]) -> SqlStore:
    """Not open yet. Raises SettingsError where its driver is not installed."""
    if not settings.url:
        return SqliteStore(settings.path, now=now)
    try:
        from adapter.store.postgresql.store import PostgresqlStore
    except ImportError as error:
        raise SettingsError(_NO_DRIVER) from error
    return PostgresqlStore(settings.url, settings.path, password=_password(settings), now=now)


def bring_server_up_to_date(settings: StoreSettings, *, dry_run: bool) -> "ServerPlan":
    """Run the migrations that are pending there; a dry run undoes them. Raises SettingsError,
    StoreFailed."""
    try:
        from adapter.store.postgresql.migration import bring_up_to_date
    except ImportError as error:
        raise SettingsError(_NO_DRIVER) from error
    return bring_up_to_date(settings.url, password=_password(settings), dry_run=dry_run)


def _password(settings: StoreSettings) -> str | None:
    return None if settings.password is None else settings.password.reveal()

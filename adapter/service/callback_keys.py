"""The keys that sign callback addresses: the operator's, or one that is made beside the store."""

import secrets
from typing import Final

from adapter.engine.commands.ports import Filter, Store
from adapter.engine.private_files import close_to_others, write_whole
from adapter.errors import SettingsError
from adapter.service.settings import Settings
from adapter.settings.text_files import read_whole

_SHORTEST: Final = 32
_LONGEST: Final = 4096


async def callback_keys(settings: Settings, store: Store) -> tuple[bytes, ...]:
    """Raises SettingsError for a key that anybody could guess, and for one that is lost.

    A new key in place of a lost one would turn away every callback that is still to come for the
    commands in the store, so that it is made only for a store without commands.
    """
    path = settings.store.path.with_suffix(".key")
    if not settings.callbacks.keys and not path.exists():
        if (await store.list(Filter(limit=1))).ids:
            raise SettingsError(
                f"{path} is missing: it signed the callback addresses of the commands in the store,"
                " whose callbacks would be refused. Put it back; or, if it is lost, name a file"
                f" with a new key of {_SHORTEST} characters or more in callbacks.keys_file"
            )
        write_whole(path, secrets.token_hex(_SHORTEST).encode())
    if not settings.callbacks.keys:
        close_to_others(path)
    return written_keys(settings)


def written_keys(settings: Settings) -> tuple[bytes, ...]:
    """Those that are there: none where one is still to be made. Raises SettingsError for a key that
    anybody could guess."""
    if settings.callbacks.keys:
        return tuple(_whole(key.reveal(), "callbacks.keys_file") for key in settings.callbacks.keys)
    path = settings.store.path.with_suffix(".key")
    if not path.exists():
        return ()
    raw = read_whole(path, f"{path}", _LONGEST)
    return (_whole(raw.decode("ascii", errors="replace"), f"{path}"),)


def _whole(key: str, where: str) -> bytes:
    text = key.strip()
    if len(text) < _SHORTEST:  # empty, or cut short: anybody could sign
        raise SettingsError(f"{where}: a key shorter than {_SHORTEST} characters")
    return text.encode()

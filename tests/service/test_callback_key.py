"""The key that signs callback addresses, in a file of its own beside the store."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from adapter.errors import SettingsError
from adapter.service.app import build
from adapter.service.callback_keys import callback_keys
from adapter.service.settings import Settings, load
from adapter.store.commands.commands import SqliteStore
from tests.builders import NOON, a_submission


def settings_in(folder: Path, environment: Mapping[str, str] | None = None) -> Settings:
    path = folder / "openway.toml"
    path.write_text(
        '[store]\npath = "gateway.db"\n[listener]\nport = 0\n[api]\nport = 0\n'
        '[head_end]\nbase_url = "http://127.0.0.1:9"\n'
    )
    return load(path, dict(environment or {}))


async def keys(settings: Settings, *, commands: int = 0) -> tuple[bytes, ...]:
    """The keys that a gateway starts with, over a store with so many commands."""
    with TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "gateway.db", now=lambda: NOON)
        await store.open()
        try:
            await store.submit([a_submission(number) for number in range(commands)])
            return await callback_keys(settings, store)
        finally:
            await store.close()


@pytest.mark.parametrize("left", [b"", b"\n", b"0f3a"], ids=["empty", "blank", "cut"])
async def test_a_key_cut_short_stops_the_start_so_that_nobody_else_can_sign(
    left: bytes, tmp_path: Path
) -> None:
    (tmp_path / "gateway.key").write_bytes(left)
    with pytest.raises(SettingsError, match=r"gateway\.key"):
        async with build(settings_in(tmp_path)):
            pass


async def test_a_short_key_of_the_operators_own_stops_the_start_too(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, {"OPENWAY_CALLBACKS_KEYS": "0f3a"})
    with pytest.raises(SettingsError, match=r"callbacks\.keys_file"):
        await keys(settings)


async def test_a_key_is_made_once_whole_and_for_its_owner_alone(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    (made,) = await keys(settings)
    path = tmp_path / "gateway.key"
    assert path.read_bytes() == made
    assert len(made) == 64
    path.chmod(0o644)  # as a program before this one, or an operator, left it
    assert await keys(settings, commands=2) == (made,)
    assert path.stat().st_mode & 0o777 == 0o600
    assert {each.name for each in tmp_path.iterdir()} == {"gateway.key", "openway.toml"}


async def test_a_lost_key_is_not_made_anew_while_the_store_has_commands(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gateway\.key is missing.*callbacks\.keys_file"):
        await keys(settings_in(tmp_path), commands=1)
    assert not (tmp_path / "gateway.key").exists()
    own = "k" * 32
    settings = settings_in(tmp_path, {"OPENWAY_CALLBACKS_KEYS": own})
    assert await keys(settings, commands=1) == (own.encode(),)

"""The key that signs callback addresses, in a file of its own beside the store."""

from pathlib import Path

import pytest

from adapter.app import build
from adapter.errors import SettingsError
from adapter.settings import load
from tests.support import run


@pytest.mark.parametrize("left", [b"", b"\n", b"0f3a"], ids=["empty", "blank", "cut"])
def test_a_key_cut_short_stops_the_start_so_that_nobody_else_can_sign(
    left: bytes, tmp_path: Path
) -> None:
    async def scenario() -> None:
        (tmp_path / "gateway.key").write_bytes(left)
        path = tmp_path / "openway.toml"
        path.write_text(
            '[store]\npath = "gateway.db"\n[listener]\nport = 0\n[api]\nport = 0\n'
            '[head_end]\nbase_url = "http://127.0.0.1:9"\n'
        )
        with pytest.raises(SettingsError, match=r"gateway\.key"):
            async with build(load(path, {})):
                pass

    run(scenario())

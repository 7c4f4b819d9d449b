"""The hostile messages are refused for what the table says, as a listener reads them."""

import tomllib

import pytest

from adapter.errors import WireError
from adapter.wire.notifications import status_changed
from tests.replay.recordings import FIXTURES, codec
from tests.support import for_every

HOSTILE = FIXTURES / "hostile"
ROWS = tomllib.loads((HOSTILE / "refusals.toml").read_text())["message"]


@for_every("row", ROWS, ids=[row["file"] for row in ROWS])
def test_a_hostile_message_is_refused_for_what_it_is(row: dict[str, str]) -> None:
    with pytest.raises(WireError) as caught:
        status_changed(codec(), (HOSTILE / row["file"]).read_bytes())
    assert caught.value.code == row["code"]
    assert row["text"] in str(caught.value)


def test_every_hostile_message_has_its_row_and_is_small() -> None:
    files = {file.name: file.stat().st_size for file in HOSTILE.glob("*.xml")}
    assert sorted(files) == sorted(row["file"] for row in ROWS)
    assert max(files.values()) < 8_192

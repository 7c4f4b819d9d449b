"""The committed recordings, and the codec that reads them."""

from functools import cache
from pathlib import Path
from typing import Final

from adapter.replay.played import Played
from adapter.replay.player import play
from adapter.replay.scenario import Recording, read
from adapter.wire.catalog import Catalog
from adapter.wire.codec import Codec
from tests.support import run

FIXTURES: Final = Path(__file__).resolve().parents[2] / "fixtures"


@cache
def codec() -> Codec:
    return Codec(Catalog.load())


def recording(name: str) -> Recording:
    return read(FIXTURES / name)


def played(what: Recording) -> Played:
    return run(play(what, codec()))


def sent(what: Recording, operation: str) -> int:
    """How often the gateway sent an operation."""
    return sum(
        message.kind == "request" and message.operation.endswith("." + operation)
        for message in what.messages
    )

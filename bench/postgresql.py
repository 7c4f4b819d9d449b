"""One command, submit to final state, over a PostgreSQL store beside the same over SQLite files.

The server is on this machine, on the same disk, and waits for it with each commit, as SQLite does.
Gateways and server share the processors.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from bench.commands import gateway, head_end, work
from bench.report import Figure, Part, Ran, comparison, ratios
from bench.rounds import Options, interleaved
from bench.sides.head_end import DELAYS_S
from tests import postgresql_server

_AT_ONCE: Final = {1: 30, 64: 384, 256: 384}
"""How many commands are in a turn, by how many are under way at a time."""

_METERS: Final = 384
_FILES, _SERVER = "SQLite", "PostgreSQL"


def measure(options: Options) -> Part:
    part = Part(title="One command on PostgreSQL")
    if postgresql_server.programs() is None:
        part.notes.append(postgresql_server.ABSENT)
        return part
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # the server runs as another user where this is root's
        server = stack.enter_context(postgresql_server.server(on=folder))
        url = stack.enter_context(postgresql_server.new_database(server))
        asked = stack.enter_context(head_end(*DELAYS_S))
        sides = {
            _FILES: stack.enter_context(gateway(asked, folder / "files", meters=_METERS)),
            _SERVER: stack.enter_context(
                gateway(asked, folder / "server", meters=_METERS, store_url=url)
            ),
        }
        turns = {
            f"{name}, {at_once} at once": work(
                side, options.some(count, least=max(at_once, 2)), at_once
            )
            for at_once, count in _AT_ONCE.items()
            for name, side in sides.items()
        }
        ran = interleaved(turns, options.rounds)
    part.details.append(comparison("Submit to final state", ran))
    part.figures += _figures(ran)
    return part


def _figures(ran: dict[str, list[Ran]]) -> list[Figure]:
    def of(name: str, at_once: int) -> list[Ran]:
        return ran[f"{name}, {at_once} at once"]

    found = [
        Figure(
            what=f"commands a second / SQLite's, {at_once} at once",
            unit="ratio",
            each=ratios(of(_SERVER, at_once), of(_FILES, at_once), lambda one: one.per_second),
            goal=0.5,
            more=True,
        )
        for at_once in _AT_ONCE
    ]
    found.append(
        Figure(
            what="commands a second, 64 at once",
            unit="/s",
            each=[one.per_second for one in of(_SERVER, 64)],
        )
    )
    return found

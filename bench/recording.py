"""Commands while a recording of the gateway is read, beside the same commands with nobody reading.

One recording is read in each turn, from a process of its own, of what was asked for just before.
"""

import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from adapter.cli.client import Client
from adapter.errors import GatewayError
from adapter.model.secret import Secret
from adapter.service.settings import load
from adapter.support.pseudonyms import Pseudonyms
from adapter.support.redaction import Redaction
from adapter.support.site_recording import record_site
from bench.commands import gateway, head_end, work
from bench.processes import Side
from bench.report import Figure, Part, Ran, comparison, ratios
from bench.rounds import Options, interleaved
from bench.sides.gateway import RECORDER
from bench.sides.head_end import DELAYS_S

_AT_ONCE: Final = 64
_COUNT: Final = 1_024
_BACK: Final = timedelta(seconds=2)
_ALONE, _RECORDED = "nobody reads", "a recording is read"


def measure(options: Options) -> Part:
    part = Part(title="A command while a recording is read")
    with tempfile.TemporaryDirectory() as temporary, head_end(*DELAYS_S) as asked:
        folder = Path(temporary)
        (folder / "openway.toml").write_text('[head_end]\nbase_url = "http://127.0.0.1:9"\n')
        with gateway(asked, folder / "store") as ours:
            alone = work(ours, options.some(_COUNT, least=_AT_ONCE), _AT_ONCE)
            reading = _Recordings(ours, folder / "openway.toml")
            sides = {_ALONE: alone, _RECORDED: reading.during(alone)}
            ran = interleaved(sides, options.rounds)
    part.details.append(comparison("Submit to final state, 64 at once", ran))
    part.figures += [
        Figure(
            what="commands a second, a recording is read / nobody reads",
            unit="ratio",
            each=ratios(ran[_RECORDED], ran[_ALONE], lambda one: one.per_second),
            more=True,
        ),
        Figure(
            what="latency (median), a recording is read / nobody reads",
            unit="ratio",
            each=ratios(ran[_RECORDED], ran[_ALONE], lambda one: one.latency_ms(0.5)),
        ),
    ]
    part.notes.append(f"{reading.commands} commands were recorded in {reading.made} recordings.")
    return part


class _Recordings:
    """`made` of them, with so many `commands` in all."""

    def __init__(self, side: Side, settings: Path) -> None:
        self._client = Client(url=side.ready["api"], key=Secret(RECORDER))
        self._settings = load(settings, {})
        self.made = self.commands = 0

    def during(self, run: Callable[[], Ran]) -> Callable[[], Ran]:
        def both() -> Ran:
            thread = threading.Thread(target=self._record)
            thread.start()
            ran = run()
            thread.join()
            return ran

        return both

    def _record(self) -> None:
        redaction = Redaction(Pseudonyms(b"a key of pseudonyms, open to all"))
        now = datetime.now(UTC)
        with suppress(GatewayError):  # what moved meanwhile is not recorded
            made = record_site(self._client, self._settings, redaction, start=now - _BACK, end=now)
            self.made += 1
            self.commands += sum(len(each.scenario.ids) for each in made.recordings)

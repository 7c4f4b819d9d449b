"""A recording only reads: what the writer does for the same commands is the same with and without.

Nothing runs in the background, and the clock is turned by hand, so that every run counts the same.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import apsw

from adapter.cli.client import Client
from adapter.model.secret import Secret
from adapter.service.settings import load
from adapter.support.pseudonyms import Pseudonyms
from adapter.support.redaction import Redaction
from adapter.support.site_recording import SiteRecordings, record_site
from tests.builders import NOON
from tests.web.both_servers import TOKENS, Rig, a_rig

_KEY: Final = b"a key of pseudonyms, open to all"
_TURNS: Final = 6
_BOUNDS: Final = ("BEGIN", "COMMIT", "SELECT 1 FROM main.sqlite_schema")
"""Of a transaction."""


@contextmanager
def writing() -> Iterator[Counter[str]]:
    """Statements and commits of connections that may write, of those opened within."""
    counts: Counter[str] = Counter()

    def opened(connection: apsw.Connection) -> None:
        if not connection.open_flags & apsw.SQLITE_OPEN_CREATE:
            return  # one that only reads

        def ran(event: Any) -> None:
            sql = event["sql"].strip()
            own = " duration " in sql  # each request of the API is measured, these too
            counts["statements"] += not (event["trigger"] or own or sql.startswith(_BOUNDS))
            counts["commits"] += sql == "COMMIT"

        connection.trace_v2(apsw.SQLITE_TRACE_STMT, ran, id=counts)

    apsw.connection_hooks.append(opened)
    try:
        yield counts
    finally:
        apsw.connection_hooks.remove(opened)


async def a_day(rig: Rig, folder: Path, *, recorded: bool) -> list[SiteRecordings]:
    """Commands that end and others that do not, hour by hour; with a recording of all of it after
    each of them."""
    made = []
    for turn in range(_TURNS):
        kind, device = ("device_status_check", "M1") if turn % 2 else ("load_check", "M2")
        later = (rig.clock.now() + timedelta(hours=9)).isoformat()
        for more in ({}, {"effective_at": later}):
            asked = {"kind": kind, "devices": [device], **more}
            key = {"Idempotency-Key": f"{turn} {len(more)}"}
            told = await rig.ask("POST", "/commands", asked, headers=key)
            assert told.status == 202, told
        assert (await rig.ask("POST", f"/commands/{told['id']}/cancel", {})).status == 200
        await rig.gateway.drain()
        if recorded:
            made.append(await asyncio.to_thread(_record, rig, folder))
        await rig.clock.turn(rig.clock.now() + timedelta(hours=1))
        await rig.gateway.drain()
    return made


def _record(rig: Rig, folder: Path) -> SiteRecordings:
    client = Client(url=rig.rest.url, key=Secret(TOKENS["admin"]))
    redaction = Redaction(Pseudonyms(_KEY))
    (folder / "openway.toml").write_text('[head_end]\nbase_url = "http://127.0.0.1:9"\n')
    settings = load(folder / "openway.toml", {})
    end = rig.clock.now() + timedelta(seconds=1)
    return record_site(client, settings, redaction, start=NOON - timedelta(hours=1), end=end)


async def test_recording_adds_no_statement_to_what_the_writer_does(tmp_path: Path) -> None:
    counted = []
    for recorded in (False, True):
        with writing() as counts:
            async with a_rig() as rig:
                made = await a_day(rig, tmp_path, recorded=recorded)
            counted.append(dict(counts))
    without, within = counted
    assert within["statements"] == without["statements"]
    # What may go along with a later save is written by itself where that is long in coming.
    assert within["commits"] <= without["commits"] + _TURNS
    assert without["commits"] > _TURNS
    assert len(made) == _TURNS
    assert sum(len(each.recordings) for each in made) >= _TURNS

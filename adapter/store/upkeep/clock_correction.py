"""What a wrong clock left behind in the gateway's SQLite file: the CorrectionStore port."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from adapter.commands.activity import FINAL, State
from adapter.commands.correlation import LONGEST_PARK_S
from adapter.model.ids import CommandId
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.rows import micros, moment
from adapter.store.transaction import Transaction

_OPEN: Final = json.dumps(sorted(State(each) for each in set(State) - FINAL))
_HOUR: Final = 3_600_000_000

_OPEN_COMMANDS: Final = """
SELECT id, wake FROM command WHERE state IN (SELECT value FROM json_each(:states)) AND id > :after
ORDER BY id LIMIT :limit"""
# By the first entry about each: of those that were made with a command, the last one leads there.
_NAMED: Final = "subject IN (value, (SELECT number FROM command WHERE id = value))"
_ACCEPTED_SINCE: Final = f"""
SELECT value FROM json_each(:subjects)
WHERE (SELECT min(seq) FROM (
    SELECT seq FROM audit WHERE previous IS NULL AND {_NAMED}
    UNION ALL SELECT seq FROM (
        WITH RECURSIVE linked (seq) AS (
            SELECT noted FROM command WHERE id = value AND noted > 0
            UNION ALL SELECT previous FROM linked JOIN audit ON audit.seq = linked.seq
            WHERE previous > 0 AND previous < audit.seq)
        SELECT seq FROM linked))) > :entry"""

_CORRECT: Final = (
    # A lease that is longer than leases are is a wrong clock's.
    """
UPDATE communication SET due = wake WHERE work IN ('send', 'status', 'result', 'cancel')
    AND due > :leased AND wake IS NOT NULL AND wake < due""",
    # What was sent by a wrong clock counts as sent now: the budget is not used up for ever.
    "UPDATE debit SET at = :now WHERE at > :now",
    """
INSERT INTO limit_use (name, member, hour, used)
SELECT name, member, :now, sum(used) FROM limit_use WHERE hour > :now GROUP BY name, member
ON CONFLICT (name, member, hour) DO UPDATE SET used = limit_use.used + excluded.used""",
    "DELETE FROM limit_use WHERE hour > :now",
    "UPDATE limit_wait SET until = :now WHERE until > :now",
    "UPDATE inbox SET wake = :now WHERE state = 'parked' AND wake > :parked",
    "UPDATE order_reply SET due = :now WHERE due > :tried",
    "UPDATE field_message SET due = :now WHERE due > :tried",
    "UPDATE event_window SET ends = :now WHERE summed_up = 0 AND started > :now",
    "DELETE FROM arrival_hour WHERE hour > :hour",
)
_LONGEST_TRY: Final = timedelta(hours=1)
"""No reply and no message waits longer for its next try."""


class SqliteCorrection:
    """The CorrectionStore port beside the commands, in the same file."""

    def __init__(self, store: Database) -> None:
        self._store = store

    async def open_commands(
        self, after: CommandId | None, *, limit: int
    ) -> Sequence[tuple[CommandId, datetime | None]]:
        names = {"states": _OPEN, "after": after or "", "limit": limit}

        def work(db: SqlConnection) -> list[tuple[CommandId, datetime | None]]:
            return [
                (CommandId(str(number)), None if wake is None else moment(int(str(wake))))
                for number, wake in db.execute(_OPEN_COMMANDS, names)
            ]

        return await self._store.query(work)

    async def accepted_since(self, subjects: Sequence[str], entry: int) -> frozenset[str]:
        names = {"subjects": json.dumps(list(subjects)), "entry": entry}
        return await self._store.query(
            lambda db: frozenset(str(row[0]) for row in db.execute(_ACCEPTED_SINCE, names))
        )

    async def correct_rows(self, *, now: datetime, lease_s: float) -> None:
        values = {
            "now": micros(now),
            "leased": micros(now + timedelta(seconds=2 * lease_s)),
            "parked": micros(now + timedelta(seconds=LONGEST_PARK_S)),
            "tried": micros(now + _LONGEST_TRY),
            "hour": micros(now) // _HOUR,
        }

        def work(tx: Transaction) -> None:
            for query in _CORRECT:
                given = {name: values[name] for name in values if f":{name}" in query}
                tx.connection.execute(query, given)

        await self._store.write(work)

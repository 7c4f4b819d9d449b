"""What is measured of the store when somebody asks: the oldest that is open, the size of files."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from adapter.commands.activity import State
from adapter.model.ids import milliseconds_of
from adapter.orders.order import FINAL_STATES, OrderState
from adapter.store.commands import queries
from adapter.store.connection import SqlConnection
from adapter.store.database import Database
from adapter.store.rows import moment

OLDEST_COMMANDS: Final = """
SELECT kind, min(id) FROM (
    SELECT kind, id FROM command WHERE state = :state AND state <> 'completed'
    ORDER BY id LIMIT 200)
GROUP BY kind"""
COUNT_ORDERS: Final = """
SELECT count(*) FROM (SELECT 1 FROM service_order WHERE state = :state LIMIT :most)"""
OLDEST_ORDER: Final = "SELECT min(id) FROM service_order WHERE state = :state"
COUNT_DEAD: Final = """
SELECT receiver, count(*) FROM (SELECT receiver FROM delivery WHERE dead = 1 LIMIT :most)
GROUP BY receiver"""
_MESSAGES: Final = {
    "judge": queries.FIRST_UNTAKEN,
    "take_in": queries.FIRST_TAKING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreGauges:
    """Since when the oldest are there: commands of each state and kind that are open, the kinds
    among the 200 oldest of a state; orders of each open state; messages that are to be judged, or
    taken in. How many orders are in each state, and events that a receiver did not take, are
    counted as far as was asked."""

    oldest_commands: Mapping[tuple[str, str], datetime]
    oldest_orders: Mapping[str, datetime]
    oldest_messages: Mapping[str, datetime]
    orders: Mapping[str, int]
    dead: Mapping[str, int]
    file_bytes: Mapping[str, int]
    folder: Path


class SqliteGauges:
    def __init__(self, store: Database) -> None:
        self._store = store

    async def look(self, *, most: int) -> StoreGauges:
        """No more than `most` of a kind are counted."""
        return await self._store.query(partial(self._look, most=most))

    def _look(self, db: SqlConnection, most: int) -> StoreGauges:
        commands = {
            (state.value, kind): _made_at(oldest)
            for state in State
            if not state.final
            for kind, oldest in db.execute(OLDEST_COMMANDS, {"state": state})
        }
        open_orders = [each for each in OrderState if each not in FINAL_STATES]
        orders = {
            each.value: int(db.execute(COUNT_ORDERS, {"state": each, "most": most}).get)
            for each in open_orders
        }
        oldest_orders = {
            each.value: _made_at(oldest)
            for each in open_orders
            if (oldest := db.execute(OLDEST_ORDER, {"state": each}).get) is not None
        }
        messages = {
            step: moment(at)
            for step, query in _MESSAGES.items()
            if (at := db.execute(query).get) is not None
        }
        path = self._store.path
        files = sorted(path.parent.glob(f"{path.stem}*"))
        return StoreGauges(
            oldest_commands=commands,
            oldest_orders=oldest_orders,
            oldest_messages=messages,
            orders=orders,
            dead=dict(db.execute(COUNT_DEAD, {"most": most})),
            file_bytes={each.name: each.stat().st_size for each in files if each.is_file()},
            folder=path.parent,
        )


def _made_at(id_: str) -> datetime:
    """When a sortable id was made."""
    return datetime.fromtimestamp(milliseconds_of(id_) / 1000, UTC)

"""What one order costs in commits, statements, looks and saves: counts, not times.

An Enable Service at a service point without a meter, to its end: a visit and three commands, each
of them done step by step on a clock that is turned by hand, so that every run counts the same but
for what happens to share a commit. The bounds are today's figures with a little room; whoever makes
an order cheaper lowers them.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from adapter.engine.orders.ports import OrderShown
from adapter.model.device import InstallStatus
from adapter.orders.field_activity_events import WorkReported
from adapter.orders.order import ChildState, OrderKind, OrderState
from adapter.replay.order_run import run_order
from adapter.replay.order_scenario import read_order_scenario
from adapter.store.orders import queries
from adapter.wire.codec import packaged_codec
from tests.engine.orders.site_with_orders import Place, rig

ORDER: Final = Path(__file__).parents[3] / "fixtures" / "orders" / "enable" / "new_service"
POLLS: Final = ("DUE", "MESSAGES_DUE", "REPLIES_DUE", "NEXT_WAKE")
"""Asked whenever a loop comes round, whatever there is to do."""

MOST: Final = {
    "commits": 140,
    "statements of orders": 292,
    "times that the order was read": 38,
    "times that it was decoded": 1,
    "times that its service point was read": 10,
    "saves": 31,
}
"""Many of the saves are looks that time brings, while the crew takes hours."""


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Statements of all connections that are opened within, by their names; and commits."""
    names = {str(text).strip(): name for name, text in vars(queries).items() if name.isupper()}
    counts: Counter[str] = Counter()

    def opened(connection: apsw.Connection) -> None:
        def ran(event: Any) -> None:
            name = names.get(event["sql"].strip())
            if name is not None and not event["trigger"]:
                counts[name] += 1

        def committed() -> bool:
            counts["commits"] += 1
            return False  # or SQLite would undo it

        connection.trace_v2(apsw.SQLITE_TRACE_STMT, ran, id=counts)
        connection.set_commit_hook(committed, id=counts)

    apsw.connection_hooks.append(opened)
    try:
        yield counts
    finally:
        apsw.connection_hooks.remove(opened)


async def test_an_order_costs_no_more_than_it_did() -> None:
    with counting() as counts:
        played = await run_order(read_order_scenario(ORDER), packaged_codec())
    orders = json.loads(json.dumps(played.outcome["orders"], default=str))
    assert [len(order["children"]) for order in orders] == [4]
    named = [name for name in counts if name not in (*POLLS, "commits")]
    found = {
        "commits": counts["commits"],
        "statements of orders": sum(counts[name] for name in named),
        "times that the order was read": counts["ORDER"],
        "times that it was decoded": counts["ORDER_BODY"],
        "times that its service point was read": counts["OTHER_WORK"],
        "saves": counts["UPDATE_ORDER"],
    }
    assert {name: found[name] for name in MOST if found[name] > MOST[name]} == {}
    assert found["saves"] >= 8, "counts of nothing are within every bound"


def _is_sent(shown: OrderShown) -> bool:
    """The crew has the visit, and that it has left is saved."""
    return any(x.fact.state is ChildState.SENT and not x.leaving for x in shown.children)


async def test_a_report_and_the_look_that_it_leads_to_are_one_save(tmp_path: Path) -> None:
    with counting() as counts:
        async with rig(tmp_path, places=1) as made:
            made.crew.idle = lambda message: True
            manual = Place(number=0, kind="manual", spare="manual", status=InstallStatus.MANUAL_ON)
            place = await made.put(manual)
            order = await made.submit(OrderKind.CUT, place)
            await made.until(order.id, _is_sent)
            (message,) = made.crew.heard
            before = counts["UPDATE_ORDER"]
            await made.crew.report(message, WorkReported(report=made.crew.done(message)))
            assert (await made.orders.get(order.id)).state is OrderState.COMPLETED
            assert counts["UPDATE_ORDER"] - before == 1

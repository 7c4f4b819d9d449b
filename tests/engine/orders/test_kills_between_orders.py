"""SIGKILL after each save of two orders that are about each other: what one has noted and the other
has yet to hear of is not lost.

Every life of the gateway makes one save more than the one before, and dies, until nothing is left
to be saved. So it dies between the two marks of a pair that is netted, and between the refusal of a
reconnection and the call-back of the cut that it makes void.
"""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from adapter.commands.calls import SwitchState
from adapter.commands.flows import Operation
from adapter.engine.clock import SystemClock
from adapter.model.ids import EndpointId
from adapter.orders.order import OrderKind
from adapter.simulator.registry import registry_of
from adapter.store.commands.commands import SqliteStore
from adapter.store.rows import micros
from tests.durability.gateway_process import START_S, TOKEN, Life, Rig, rig, until
from tests.engine.orders.payloads_in_store import read_now, take_in
from tests.engine.orders.test_kills import accepted

K = OrderKind
POINT = "SP700001"
RULES = "[orders.activity_type.disable]\nnetting = true\n"
SETTINGS = '[switch]\nneeds_approval = true\n[orders]\nfile = "orders.toml"\n'
MOST_LIVES = 20
SOON = timedelta(seconds=25)
RESTS_S = 4.0
"""An order that has nothing to save for so long has come to its end: no look is as far apart."""


class Requester:
    """Of two orders at one service point."""

    def __init__(self, made: Rig, session: aiohttp.ClientSession) -> None:
        self._made = made
        self._session = session
        self._at = datetime.now(UTC).isoformat()

    async def submit(self, kind: OrderKind) -> None:
        body = {
            "kind": kind.value,
            "service_point": POINT,
            "reference": kind.value,
            "effective_at": self._at,
        }
        url = f"{self._made.api}/orders"
        await until(lambda: accepted(self._session, url, body), within_s=30, why="it is accepted")

    async def orders(self) -> Mapping[str, Mapping[str, Any]]:
        """By kind."""
        async with self._session.get(f"{self._made.api}/orders") as answer:
            assert answer.status == 200
            return {each["kind"]: each for each in (await answer.json())["items"]}

    async def is_answered(self) -> bool:
        return all(each["final"] for each in (await self.orders()).values())

    async def waits_for_approval(self, kind: OrderKind) -> bool:
        async with self._session.get(f"{self._made.api}/commands?state=awaiting_approval") as found:
            waits = (await found.json())["items"]
        order = (await self.orders())[kind]
        return bool(waits) and order["state"] == "in_progress"


async def have_readings(made: Rig) -> None:
    """So that no order waits for one, which a death may cost."""
    store = SqliteStore(made.store_path, now=SystemClock().now)
    await store.open()
    await take_in(store, read_now(registry_of(made.simulator.world.population).devices))
    await store.close()


def hurry(made: Rig) -> None:
    """What would be looked at soon is looked at now; what would be only in minutes is not."""
    now = datetime.now(UTC)
    with closing(sqlite3.connect(made.store_path)) as store, store:
        store.execute(
            "UPDATE service_order SET wake = ? WHERE wake <= ?", (micros(now), micros(now + SOON))
        )


async def dies(life: Life) -> bool:
    """Before it has had nothing to save for a while."""
    both: set[asyncio.Future[Any]] = {life.ready, life.ended}
    await asyncio.wait(both, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait({life.ended}, timeout=RESTS_S)
    return life.ended.done()


async def killed_after_each_save(
    folder: Path, first: OrderKind, second: OrderKind
) -> tuple[int, Mapping[str, Mapping[str, Any]], int, SwitchState]:
    """The second order comes while the first one's disconnect waits at the gateway. How often it
    was killed; the orders in the end, the disconnects that left, and how the switch stands."""
    (folder / "orders.toml").write_text(RULES, encoding="utf-8")
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        rig(folder, meters=1, extra=SETTINGS) as made,
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=5)) as session,
    ):
        await have_readings(made)
        requester = Requester(made, session)
        life = await made.start()
        await requester.submit(first)
        await until(
            lambda: requester.waits_for_approval(first), within_s=30, why="its command waits"
        )
        await made.nursery.stop(life)
        life = await made.start(crash_at="order.after_save:1", ready=False)
        asking = asyncio.get_running_loop().create_task(requester.submit(second))
        deaths = 0
        while await dies(life):
            deaths += 1
            assert deaths < MOST_LIVES
            hurry(made)
            life = await made.start(crash_at=f"order.after_save:{deaths + 1}", ready=False)
        await asking
        await made.nursery.kill(life)
        life = await made.start()
        await until(requester.is_answered, within_s=30, why="both orders are final")
        orders = await requester.orders()
        await made.nursery.stop(life)
        endpoint = EndpointId(next(iter(made.simulator.world.population)))
        meter = made.simulator.world.population.find(endpoint)
        assert meter is not None
        sent = made.simulator.journal.count(Operation.DISCONNECT_METER, endpoint)
        return deaths, orders, sent, meter.switch


@pytest.mark.timeout(180)
@pytest.mark.seconds(160)
async def test_a_pair_is_netted_whatever_dies_between_its_two_marks(tmp_path: Path) -> None:
    deaths, orders, sent, switch = await killed_after_each_save(tmp_path, K.DISABLE, K.ENABLE)
    disable, enable = orders[K.DISABLE], orders[K.ENABLE]
    assert deaths >= 3
    assert (disable["state"], enable["state"]) == ("completed", "completed")
    assert disable["fields"]["nettedWith"] == enable["id"]
    assert enable["fields"]["nettedWith"] == disable["id"]
    assert (sent, switch) == (0, SwitchState.CONNECTED)


@pytest.mark.timeout(180)
@pytest.mark.seconds(160)
async def test_a_cut_is_called_back_whatever_dies_after_the_reconnection_was_refused(
    tmp_path: Path,
) -> None:
    deaths, orders, sent, switch = await killed_after_each_save(tmp_path, K.CUT, K.RECONNECT)
    assert deaths >= 2
    assert (orders[K.CUT]["state"], orders[K.RECONNECT]["state"]) == ("discarded", "completed")
    assert (sent, switch) == (0, SwitchState.CONNECTED)

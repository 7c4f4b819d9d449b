"""What a killed process had claimed is free at the next start; damaged bytes are never judged."""

import hashlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import apsw
import pytest

from adapter.commands.activity import State, Work
from adapter.engine.commands.correlator import DATA_ARRIVED, STATUS_CHANGED
from adapter.engine.commands.ports import InboxState, Received
from adapter.engine.upkeep.set_aside import RowKind
from tests.clock.lives import MINUTE, NOON, PING, Life, a_head_end, life
from tests.web.both_servers import data_arrived, status_changed


async def test_a_send_that_a_killed_process_had_claimed_leaves_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as killed:
            orders = [await killed.submit(number) for number in range(3)]
            lease = NOON + MINUTE / 2
            store = killed.core.store
            claimed = await store.claim(Work.SEND, limit=9, now=NOON, lease_until=lease)
            assert len(claimed) == 3
        async with life(tmp_path, head_end, NOON) as again:
            await again.work()
            assert [again.sent(number) for number in range(3)] == [1, 1, 1]
            for order in orders:
                found = (await again.command(order)).activity
                assert found.state is State.COMMUNICATION_IN_PROGRESS


async def test_a_command_that_a_killed_process_had_taken_up_is_looked_at_at_the_next_start(
    tmp_path: Path,
) -> None:
    async with a_head_end() as head_end:
        async with life(tmp_path, head_end, NOON) as killed:
            order = await killed.ask(0, PING, effective_at=NOON + MINUTE)
            store, due = killed.core.store, NOON + MINUTE
            assert await store.due(limit=9, now=due, lease_until=due + MINUTE / 2) == [order]
        async with life(tmp_path, head_end, NOON + MINUTE) as again:
            await again.work()
            assert (await again.command(order)).activity.state is State.COMMUNICATION_IN_PROGRESS


# ---------------------------------------------------------------- damaged bytes


def one_bit(raw: bytes) -> bytes:
    return raw[:-30] + bytes([raw[-30] ^ 1]) + raw[-29:]


DAMAGE: Final[dict[str, Callable[[bytes], bytes]]] = {
    "one bit": one_bit,
    "cut short": lambda raw: raw[:-1],
    "empty": lambda raw: b"",
    "another message": lambda raw: status_changed("00000000-0000-4000-8000-000000000009"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.parametrize("operation", [STATUS_CHANGED, DATA_ARRIVED])
async def test_a_message_whose_bytes_are_not_those_received_is_set_aside_and_the_others_go_on(
    tmp_path: Path, operation: str, damage: Callable[[bytes], bytes]
) -> None:
    raw = status_changed() if operation == STATUS_CHANGED else data_arrived()
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as gateway:
        inbox = gateway.gateway.inbox
        bad = await inbox.receive(Received(operation=operation, raw=raw, at=NOON))
        good = await inbox.receive(Received(operation=DATA_ARRIVED, raw=data_arrived(), at=NOON))
        with closing(apsw.Connection(str(tmp_path / "gateway.db"))) as db:
            db.execute("UPDATE inbox_raw SET raw = ? WHERE id = ?", (damage(raw), bad))
        await gateway.work()
        assert (await inbox.get(good)).state is InboxState.STORED
        assert (await inbox.get(bad)).state is InboxState.NEW
        assert (await inbox.get(bad)).damaged is bool(damage(raw))
        assert not (await inbox.get(good)).damaged
        await told(gateway, RowKind.MESSAGE, bad)
        for _ in range(6):
            await gateway.later(10 * MINUTE)
        row = await told(gateway, RowKind.MESSAGE, bad)
        assert row == "set_aside"


async def test_a_payload_that_is_damaged_before_it_is_taken_in_is_set_aside(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as gateway:
        store, raw = gateway.core.store, data_arrived()
        row = await gateway.gateway.inbox.receive(
            Received(operation=DATA_ARRIVED, raw=raw, at=NOON, state=InboxState.LOADING)
        )
        with closing(apsw.Connection(str(tmp_path / "gateway.db"))) as db:
            db.execute("UPDATE inbox_raw SET raw = ? WHERE id = ?", (one_bit(raw), row))
            found = db.execute("SELECT hash FROM inbox WHERE id = ?", (row,)).get
        assert found == hashlib.sha256(raw).digest()
        await gateway.work()
        await told(gateway, RowKind.PAYLOAD, row)
        assert (await store.ledger()).inbox_by_state == {"loading": 1}


async def told(gateway: Life, kind: RowKind, row: int) -> str:
    """The state of the row among those that failed, which say why."""
    rows = await gateway.core.store.set_aside.rows(state=None, kind=kind)
    (failed,) = [each for each in rows if each.row == str(row)]
    assert failed.error == "MessageDamaged"
    assert "not those that were received" in failed.detail
    return failed.state.value

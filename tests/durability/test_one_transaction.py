"""What is kept and its audit entry are one transaction (I6): a kill between them cannot be."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from adapter.commands.activity import CommandRequest
from adapter.engine.commands.bulk import BulkRequest
from adapter.engine.commands.ports import InboxState, Received
from adapter.engine.commands.switch_holds import Hold, HoldReason
from adapter.model.ids import DeviceId
from adapter.simulator.registry import registry_of
from tests.clock.lives import NOON, PING, Life, a_head_end, life

REFUSED: Final = Received(
    operation="", raw=b"<x/>", at=NOON, state=InboxState.QUARANTINED, reason="no credentials"
)


async def quarantined(gateway: Life) -> int:
    return await gateway.gateway.inbox.receive(REFUSED)


async def imported(gateway: Life) -> object:
    what = registry_of(gateway.simulator.world.population)
    return await gateway.gateway.registry.import_devices(what)


async def retried(gateway: Life) -> None:
    (row,) = await gateway.gateway.inbox.list()
    await gateway.gateway.inbox.retry(row.id, by="ann")


async def discarded(gateway: Life) -> None:
    (row,) = await gateway.gateway.inbox.list()
    await gateway.gateway.inbox.discard(row.id, by="ann")


async def turned_away(gateway: Life) -> None:
    await gateway.gateway.upkeep.note_refusal(by="ann", why={"reason": "no role"})


async def held(gateway: Life) -> None:
    hold = Hold(reason=HoldReason.WITNESS, since=NOON, text="a test")
    await gateway.gateway.upkeep.holds.hold(hold)


async def submitted(gateway: Life) -> object:
    request = CommandRequest(kind=PING, devices=(DeviceId("M700003"),))
    return await gateway.gateway.commands.submit(request)


async def submitted_in_bulk(gateway: Life) -> object:
    rows = {
        line: CommandRequest(
            kind=PING, devices=(DeviceId(f"M70000{line}"),), idempotency_key=f"{line}"
        )
        for line in (2, 3, 4)
    }
    asked = BulkRequest(kind=PING, key="k", requester="ann", reference="", rows=rows)
    return await gateway.gateway.commands.bulk.submit(asked, actor="ann")


DEEDS: Final[dict[str, Callable[[Life], Awaitable[object]]]] = {
    "a message is refused": quarantined,
    "devices are loaded": imported,
    "a message is judged again": retried,
    "a message is given up": discarded,
    "a call is turned away": turned_away,
    "switch orders are held": held,
    "a command is accepted": submitted,
    "a bulk request is accepted": submitted_in_bulk,
}
_NEEDS_A_MESSAGE: Final = (retried, discarded)


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS.keys())
async def test_what_is_kept_and_its_audit_entry_are_one_commit(
    tmp_path: Path, deed: Callable[[Life], Awaitable[object]]
) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as gateway:
        if deed in _NEEDS_A_MESSAGE:
            await quarantined(gateway)
        store = gateway.core.store
        commits, (entries, _) = store.database.commits, await store.audit_head()
        await deed(gateway)
        assert store.database.commits == commits + 1
        assert (await store.audit_head())[0] > entries


async def test_of_many_refused_messages_each_has_its_entry(tmp_path: Path) -> None:
    async with a_head_end() as head_end, life(tmp_path, head_end, NOON) as gateway:
        store = gateway.core.store
        kinds = [InboxState.QUARANTINED, InboxState.NEW] * 20
        ids = await store.receive(
            [Received(operation="", raw=b"", at=NOON, state=each, reason="bad") for each in kinds]
        )
        told = {each.note.subject for each in await store.audit() if each.note.action == "Refused"}
        assert told == {f"inbox:{each}" for each in ids[::2]}

"""Callbacks that nobody knows hold up no order: the addressed ones are read before them."""

from adapter.engine.commands.correlator import ROWS_AT_ONCE
from adapter.engine.commands.ports import Received
from adapter.store.commands.reading import UNADDRESSED_SHARE
from tests.builders import a_token
from tests.web.both_servers import a_rig, status_changed

STRAYS = 40 * ROWS_AT_ONCE


async def test_an_addressed_callback_behind_a_flood_of_strays_is_in_the_first_batch() -> None:
    async with a_rig() as rig:
        flood = [
            Received(
                operation="RequestStatusChangedService.StatusChanged",
                raw=status_changed(a_token(number)),
                at=rig.clock.now(),
            )
            for number in range(STRAYS)
        ]
        await rig.store.receive(flood)
        assert (await rig.post(rig.signed(), status_changed()))[0] == 200
        batch = await rig.store.unread(limit=ROWS_AT_ONCE, now=rig.clock.now())
        assert batch[0].communication == "attempt-1"
        assert len(batch) == 1 + ROWS_AT_ONCE // UNADDRESSED_SHARE

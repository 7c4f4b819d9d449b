"""A site's own registry goes away between the intent to switch and the first byte."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from adapter.commands.activity import CommandRequest, CommunicationState
from adapter.commands.flows import CommandKind
from adapter.engine.registry.store_registry import StoreRegistry
from adapter.model.device import DeviceView
from adapter.model.ids import DeviceId
from adapter.store.commands.commands import SqliteStore
from tests.engine.upkeep.broken_rows import a_stage


class SiteRegistry(StoreRegistry):
    """Unreachable while a request is about to leave, as long as it is `away`."""

    def __init__(self, store: SqliteStore) -> None:
        super().__init__(store)
        self.store, self.away, self.asked_in_vain = store, True, 0

    async def views(self, devices: Sequence[DeviceId]) -> Mapping[DeviceId, DeviceView]:
        if self.away and await self.store.sending():
            self.asked_in_vain += 1
            raise ConnectionError("the site's registry does not answer")
        return await super().views(devices)


async def test_a_registry_that_goes_away_at_the_last_look_leaves_nothing_sent_and_nothing_unclear(
    tmp_path: Path,
) -> None:
    made: list[SiteRegistry] = []

    def registry(store: SqliteStore) -> SiteRegistry:
        made.append(SiteRegistry(store))
        return made[0]

    async with a_stage(tmp_path, registry=registry) as stage:
        request = CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(DeviceId("M1"),))
        cut = await stage.gateway.commands.submit(request)
        await stage.later(timedelta(0))
        assert made[0].asked_in_vain == 1
        assert stage.head_end.calls == []
        (sent,) = (await stage.gateway.commands.get(cut.id)).communications
        assert sent.state is not CommunicationState.UNCLEAR
        made[0].away = False
        await stage.later(timedelta(hours=1))
        assert len(stage.head_end.calls) == 1

"""A request that cannot be written fails at once and says which endpoint it is."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapter.commands.activity import Command, CommandRequest, Outcome, ReadPeriod
from adapter.commands.flows import CommandKind, Operation
from adapter.demo.demo import DemoSite
from adapter.engine.commands.ports import Import, Saved
from adapter.model.ids import EndpointId
from adapter.model.values import replace
from tests.engine.commands.quick_site import finish, world

BAD = ("2.\x01", "2.\x0b9", "2.\x00", "2.\ufffe")


async def test_a_read_for_many_ends_at_once_and_names_the_endpoint(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        for number, endpoint in enumerate(BAD):
            await planted(made, number, endpoint)
            now = datetime.now(UTC)
            read = CommandRequest(
                kind=CommandKind.ON_DEMAND_READ_SCALAR,
                devices=(made.device(number), made.device(6), made.device(7)),
                period=ReadPeriod(start=now - timedelta(hours=1), end=now),
            )
            check(await finish(made, read), endpoint)


async def test_a_switch_order_ends_at_once_and_its_meter_is_free_again(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        right = made.endpoint(2)
        cut = CommandRequest(kind=CommandKind.REMOTE_DISCONNECT, devices=(made.device(2),))
        await planted(made, 2, "2.\x02")
        check(await finish(made, cut), "2.\x02")
        await planted(made, 2, right)
        assert (await finish(made, cut)).activity.outcome is Outcome.SUCCEEDED
        assert made.simulator.journal.count(Operation.DISCONNECT_METER) == 1


def check(ended: Command, endpoint: str) -> None:
    assert ended.activity.outcome is not Outcome.SUCCEEDED
    (sent,) = ended.communications
    assert sent.failure is not None
    assert sent.failure.cause == "unwritable"
    assert sent.failure.detail.startswith("the request cannot be written: endpoint ")
    assert ascii(endpoint) in sent.failure.detail
    assert sent.tries == 0


async def planted(made: DemoSite, number: int, endpoint: str) -> None:
    """As an import before the rule has left it in the store."""
    view = await made.app.gateway.registry.device(made.device(number))
    what = Import(devices=(replace(view.device, endpoint=EndpointId(endpoint)),))
    store = made.app.core.store
    assert await store.import_(what, seen=await store.known(what)) is Saved.SAVED

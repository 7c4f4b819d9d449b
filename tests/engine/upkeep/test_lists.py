"""A page of commands or orders of which a row cannot be read: it is shown, with the others."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from adapter.cli.output import Exit
from adapter.commands.activity import Command, CommandRequest
from adapter.commands.clocks import ClockError
from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import Filter
from adapter.engine.orders.ports import OrderFilter
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import Conflict
from adapter.model.ids import DeviceId, ServicePointId
from adapter.orders.order import OrderKind, OrderState
from adapter.orders.payment import PaidSupply
from adapter.store.upkeep.clock_correction import SqliteCorrection
from tests.cli.running_service import ADMIN, OPERATOR, Service, Terminal, serving
from tests.engine.upkeep.broken_rows import FILE, Broken, Stage, a_stage
from tests.web.both_servers import NOON

PING = CommandKind.DEVICE_STATUS_CHECK
PARTS = (("communication", "body"), ("asked", "request"), ("asked", "targets"))


async def submit(stage: Stage, number: int) -> Command:
    request = CommandRequest(
        kind=PING,
        devices=(DeviceId(f"M{number}"),),
        requester="me",
        effective_at=stage.clock.now() + timedelta(hours=1),
    )
    return await stage.gateway.commands.submit(request, actor="me")


@pytest.mark.parametrize("wanted", [Filter(), Filter(kind=PING), Filter(device=DeviceId("M1"))])
async def test_a_command_that_cannot_be_read_is_listed_as_such(
    tmp_path: Path, wanted: Filter
) -> None:
    async with a_stage(tmp_path) as stage:
        first, second = await submit(stage, 1), await submit(stage, 1)
        Broken(tmp_path, "command", "activity", "id", first.id)
        listing = await stage.gateway.commands.list(wanted)
        assert listing.ids == sorted((first.id, second.id), reverse=True)
        assert [command.id for command in listing.rows] == [second.id]
        (row,) = listing.unreadable
        assert (row.id, row.error, row.set_aside) == (first.id, "ValidationError", None)
        await stage.later(timedelta(hours=1))
        await stage.tries()
        (row,) = (await stage.gateway.commands.list(wanted)).unreadable
        assert row.set_aside == (await stage.only(RowKind.COMMAND)).id


async def test_a_command_is_listed_as_such_for_whatever_part_of_it_cannot_be_read(
    tmp_path: Path,
) -> None:
    async with a_stage(tmp_path) as stage:
        await submit(stage, 1)
        await stage.later(timedelta(hours=1))
        await submit(stage, 2)
        for table, column in (
            ("communication", "body"),
            ("asked", "request"),
            ("asked", "targets"),
        ):
            broken = Broken(tmp_path, table, column, "number", 1)
            listing = await stage.gateway.commands.list()
            assert (len(listing.rows), len(listing.unreadable)) == (1, 1), column
            broken.mend()
        assert not (await stage.gateway.commands.list()).unreadable


async def test_pages_go_on_behind_a_command_that_cannot_be_read(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        made = [(await submit(stage, 1)).id for _ in range(3)]
        Broken(tmp_path, "command", "activity", "id", made[1])
        seen: list[str] = []
        before = None
        while True:
            listing = await stage.gateway.commands.list(Filter(limit=1, before=before))
            seen += listing.ids
            if (before := listing.next(1)) is None:
                break
        assert seen == sorted(made, reverse=True)


async def test_new_ids_follow_the_newest_row_after_a_restart_though_it_cannot_be_read(
    tmp_path: Path,
) -> None:
    async with a_stage(tmp_path) as stage:
        command, order = await submit(stage, 1), await stage.order(1)
        Broken(tmp_path, "command", "activity", "id", command.id)
        Broken(tmp_path, "service_order", "body", "id", order.id)
    async with a_stage(tmp_path, at=NOON - timedelta(hours=1)) as stage:
        assert (await submit(stage, 2)).id > command.id
        assert (await stage.order(2)).id > order.id


@pytest.mark.parametrize(
    "wanted",
    [
        OrderFilter(),
        OrderFilter(kind=OrderKind.CUT),
        OrderFilter(service_point=ServicePointId("SP-M1"), open_only=True),
        OrderFilter(state=OrderState.PENDING),
    ],
)
async def test_an_order_that_cannot_be_read_is_listed_as_such(
    tmp_path: Path, wanted: OrderFilter
) -> None:
    async with a_stage(tmp_path) as stage:
        one, two = await stage.order(1), await stage.order(2)
        Broken(tmp_path, "service_order", "body", "id", one.id)
        listing = await stage.orders.list(wanted)
        alone = wanted.service_point is not None
        assert [order.id for order in listing.rows] == ([] if alone else [two.id])
        assert [(row.id, row.error) for row in listing.unreadable] == [(one.id, "DecodeError")]
        assert not (await stage.orders.list(OrderFilter(kind=OrderKind.ENABLE))).ids


async def test_a_payment_ends_the_cuts_it_can_read_and_names_the_other(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        one, other = await stage.order(1), await stage.order(1, reference="another")
        Broken(tmp_path, "service_order", "body", "id", one.id)
        with pytest.raises(Conflict, match=one.id):
            await stage.orders.payment(ServicePointId("SP-M1"), by="billing")
        assert (await stage.orders.get(other.id)).final
        paid = await stage.orders.payment(ServicePointId("SP-M2"), by="billing")
        assert paid.supply is PaidSupply.NOT_CUT


async def test_a_clock_is_not_corrected_while_an_open_order_cannot_be_read(tmp_path: Path) -> None:
    async with a_stage(tmp_path) as stage:
        one, two = await stage.order(1), await stage.order(2)
        broken = Broken(tmp_path, "service_order", "body", "id", one.id)
        store = SqliteCorrection(stage.store.database)
        with pytest.raises(Conflict, match=one.id):
            await stage.orders.correct_clock(ClockError(ahead_s=5.0), store)
        assert (await stage.orders.get(two.id)).id == two.id
        broken.mend()
        await stage.orders.correct_clock(ClockError(ahead_s=5.0), store)


# ---------------------------------------------------------------- REST and the command line


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("lists"), meters=4) as running:
        yield running


@pytest.fixture
def openway(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    monkeypatch.setenv("OPENWAY_CONFIG", str(service.devices_file.parent / "openway.toml"))
    return Terminal(capsys, monkeypatch, service.api_url).as_(OPERATOR)


@pytest.mark.parametrize(
    ("noun", "table", "column", "given"),
    [
        ("command", "command", "activity", ("device_status_check", "M700001")),
        ("order", "service_order", "body", ("cut", "SP700001", "--reference")),
    ],
)
def test_people_and_programs_see_the_row_that_cannot_be_read(
    service: Service, openway: Terminal, noun: str, table: str, column: str, given: tuple[str, ...]
) -> None:
    folder = service.devices_file.parent
    assert (folder / FILE).exists()
    openway.as_(ADMIN)("devices", "import", str(service.devices_file))
    openway.as_(OPERATOR)
    made = []
    for number in ("1", "2"):
        more = (number,) if noun == "order" else ()
        submitted = openway(noun, "submit", *given, *more, "--effective-at", "+1h", "--json").json
        made.append(str(submitted["id"]))
    Broken(folder, table, column, "id", made[0])
    page = openway(noun, "list", "--json")
    assert page.code == Exit.OK
    rows, unreadable = page.json["items"], page.json["unreadable"]
    assert isinstance(rows, list)
    assert isinstance(unreadable, list)
    assert [row["id"] for row in rows] == [made[1]]
    assert [row["id"] for row in unreadable] == [made[0]]
    plain = openway(noun, "list")
    lines = [line for line in plain.out.splitlines() if made[0] in line or made[1] in line]
    assert [made[1] in lines[0], made[0] in lines[1]] == [True, True]
    assert "cannot be read: " in lines[1]
    assert "openway set-aside" in plain.err

"""What the console's pages take with many rows in the store, beside their queries in SQLite alone.

python -m bench.console_pages [COMMANDS [ORDERS]]

Of each page the median of so many rounds: until its last byte has come over loopback; and of the
statements that it ran, again with the same values and nothing done with their rows. Only printed.
"""

import asyncio
import statistics
import sys
import time
from datetime import timedelta
from typing import Final

import apsw

from adapter.commands.activity import CommunicationState, Outcome, State, Work
from adapter.commands.flows import CommandKind
from adapter.engine.commands.ports import Import
from adapter.engine.orders.requests import OrderRequest
from adapter.model.ids import ServicePointId
from adapter.model.values import replace
from adapter.orders.order import OrderKind
from adapter.store.connection import SqlConnection
from tests.builders import (
    a_command,
    a_communication,
    a_device,
    a_request,
    a_service_point,
    a_submission,
    an_install,
)
from tests.web.both_servers import NOON, Rig, a_rig
from tests.web.console.visitor import a_visitor

_ROUNDS: Final = 15
_BATCH: Final = 500
_WAITS: Final = 50
"""One of so many waits for people."""


async def fill(rig: Rig, commands: int, orders: int) -> None:
    for start in range(1, commands + 1, _BATCH):
        numbers = range(start, min(start + _BATCH, commands + 1))
        await rig.store.submit([a_submission(n, command=_command(n)) for n in numbers])
    for start in range(0, orders, _BATCH):
        numbers = range(start, min(start + _BATCH, orders))
        await rig.gateway.registry.import_devices(
            Import(
                devices=tuple(a_device(f"MX{n}") for n in numbers),
                service_points=tuple(a_service_point(f"SPX{n}") for n in numbers),
                installs=tuple(an_install(f"MX{n}", f"SPX{n}") for n in numbers),
            )
        )
        for n in numbers:
            await rig.gateway.orders.submit(
                OrderRequest(
                    kind=OrderKind.CUT,
                    service_point=ServicePointId(f"SPX{n}"),
                    external_reference=f"o{n}",
                    requester="cis",
                    effective_at=NOON + timedelta(days=2),
                )
            )


def _command(number: int):  # type: ignore[no-untyped-def]
    waits = not number % _WAITS
    made = a_command(
        number,
        request=a_request(CommandKind.REMOTE_DISCONNECT, f"M{number % 3 + 1}", requester="cis"),
        state=State.COMMUNICATION_ERROR if waits else State.COMPLETED,
        outcome=None if waits else Outcome.SUCCEEDED,
        reason="the head end said no",
        waits_since=NOON,
    )
    sent = replace(a_communication(made.id), state=CommunicationState.COMPLETED, work=Work.NONE)
    return replace(made, communications=(sent,))


async def main(commands: int, orders: int) -> None:
    async with a_rig() as rig, a_visitor(rig, "switcher") as visitor:
        await fill(rig, commands, orders)
        ran: list[tuple[str, object]] = []

        def heard(cursor: apsw.Cursor, statement: str, values: object) -> bool:
            if statement.lstrip().upper().startswith(("SELECT", "WITH")):
                ran.append((statement, values))
            return True

        def listen(db: SqlConnection) -> None:
            assert isinstance(db, apsw.Connection)
            db.exec_trace = heard

        def again(db: SqlConnection) -> float:
            """Milliseconds."""
            assert isinstance(db, apsw.Connection)
            statements, db.exec_trace = list(ran), None
            began = time.perf_counter()
            for statement, values in statements:
                for _ in db.execute(statement, values):  # type: ignore[arg-type]
                    pass
            spent = time.perf_counter() - began
            db.exec_trace = heard
            return spent * 1e3

        await rig.store.database.query(listen)
        await rig.store.database.read(listen)
        order = (await rig.ask("GET", "/orders?limit=1"))["items"][0]["id"]
        command = _command(_WAITS).id
        print(f"{commands} commands, {orders} orders; ms, medians of {_ROUNDS}")
        print(f"{'page':<44}{'page':>8}{'SQLite':>8}{'ratio':>7}{'bytes':>8}")
        for path in (
            "", "/waits", "/commands", "/commands?state=communication_error",
            "/commands?requester=cis&open=true", f"/commands/{command}", "/orders",
            f"/orders/{order}", "/inbox", "/intake", "/schedules", "/switching", "/audit",
            "/settings",
        ):  # fmt: skip
            took: list[float] = []
            alone: list[float] = []
            size = 0
            for _ in range(_ROUNDS + 1):
                ran.clear()
                began = time.perf_counter()
                shown = await visitor.open(path)
                took.append((time.perf_counter() - began) * 1e3)
                alone.append(await rig.store.database.query(again))
                assert shown.status == 200, shown
                size = len(shown.text)
            page, sqlite = statistics.median(took[1:]), statistics.median(alone[1:])
            ratio = page / sqlite if sqlite else 0.0
            print(f"{path or '/':<44}{page:8.1f}{sqlite:8.2f}{ratio:7.1f}{size:8}")


if __name__ == "__main__":
    asyncio.run(main(*(int(each) for each in (*sys.argv[1:], "50000", "5000")[:2])))

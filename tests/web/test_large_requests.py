"""Requests that name very many devices: bounded, and read where they hold nobody else up."""

import asyncio
import json
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from adapter.commands.rules import MOST_DEVICES
from adapter.engine.commands.ports import Filter
from tests.support import every_case
from tests.web.both_servers import Rig, Told, a_rig

HEADER = {"kind": "multi_device_status_check", "idempotency_key": "many-1"}


class Counting(ThreadPoolExecutor):
    """Counts what the event loop hands to it."""

    handed = 0

    def submit(self, work: Callable[..., Any], /, *given: Any, **named: Any) -> Future[Any]:
        self.handed += 1
        return super().submit(work, *given, **named)


def devices(count: int) -> list[str]:
    return [f"M{number}" for number in range(count)]


async def bulk(rig: Rig, *rows: object) -> Told:
    body = "\n".join(json.dumps(row) for row in (HEADER, *rows)).encode()
    kind = {"Content-Type": "application/x-ndjson"}
    return await rig.ask("POST", "/commands/bulk", body, headers=kind)


async def test_too_many_devices_are_refused_by_field_and_rule() -> None:
    many, half = devices(MOST_DEVICES + 1), devices(MOST_DEVICES // 2 + 1)
    async with a_rig() as rig:
        with every_case() as case:
            for name, told, field, rule in (
                ("a command", await rig.ask("POST", "/commands", {**HEADER, "devices": many}),
                 "devices", f"at most {MOST_DEVICES} items"),
                ("a row", await bulk(rig, {"devices": many}),
                 "line 2: devices", f"at most {MOST_DEVICES} items"),
                ("rows together", await bulk(rig, {"devices": half}, {"devices": half}),
                 "devices", f"at most {MOST_DEVICES} in all rows"),
            ):  # fmt: skip
                with case(name):
                    assert told.status == 422
                    assert told["field"] == field
                    assert told["rule"].startswith(rule)
        assert not (await rig.gateway.commands.list(Filter(limit=1))).ids


async def test_a_large_body_is_read_beside_the_event_loop() -> None:
    few, many = devices(2), devices(20_000)
    async with a_rig() as rig:
        beside = Counting(max_workers=1)
        asyncio.get_running_loop().set_default_executor(beside)
        with every_case() as case:
            for name, count, ask in (
                ("a command", 0, rig.ask("POST", "/commands", {**HEADER, "devices": few})),
                (
                    "a command for many",
                    1,
                    rig.ask("POST", "/commands", {**HEADER, "devices": many}),
                ),
                ("a bulk request", 0, bulk(rig, {"devices": few})),
                ("a bulk request for many", 1, bulk(rig, {"devices": many})),
            ):
                beside.handed = 0
                told = await ask
                with case(f"{name}: {told.body}"):
                    assert beside.handed == count
                    assert told["rule"].startswith("M0 is not in the registry")

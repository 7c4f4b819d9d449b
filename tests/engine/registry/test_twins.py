"""Ids that people take for one another: the second is refused, and the first is named."""

from pathlib import Path

import pytest

from adapter.engine.clock import HandClock
from adapter.engine.commands.ports import Import
from adapter.engine.registry.importer import Importer
from adapter.engine.registry.imports import ImportRefused
from adapter.model.device import Device, ServicePoint
from adapter.model.ids import DeviceId, ServicePointId
from adapter.store.commands.commands import SqliteStore
from tests.builders import NOON
from tests.support import every_case

PAIRS = (
    ("Meter-A1", "METER-a1"), ("M700001", "m700001"), ("MOT-1", "\u041c\u041e\u0422-1"),
    ("\u0420\u0415\u041a", "pek"), ("BETA", "\u0392\u0395\u03a4\u0391"), ("x/1", "X/1"),
)  # fmt: skip


def everything(id: str) -> tuple[tuple[str, Import], ...]:
    return (
        ("id", Import(devices=(Device(id=DeviceId(id)),))),
        ("id", Import(service_points=(ServicePoint(id=ServicePointId(id)),))),
        ("groups", Import(devices=(Device(id=DeviceId("D1"), groups=frozenset({id})),))),
    )


async def test_a_twin_of_the_registry_is_refused_and_named_and_nothing_is_loaded(
    tmp_path: Path,
) -> None:
    with every_case() as case:
        for number, (known, new) in enumerate(PAIRS):
            clock = HandClock(NOON)
            store = SqliteStore(tmp_path / f"{number}.db", now=clock.now)
            await store.open()
            importer = Importer(store, clock)
            for _, what in everything(known):
                await importer.load(what, by="ann")
            before = await store.audit_head()
            for column, what in everything(new):
                with case((known, new, column)):
                    with pytest.raises(ImportRefused) as refused:
                        await importer.load(what, by="ann")
                    (problem,) = refused.value.problems
                    assert (problem.row, problem.column) == (1, column)
                    assert problem.rule == f"{new} looks like {known}, which the registry has"
            assert await store.audit_head() == before
            for _, what in everything(known):  # what is known is no twin of itself
                await importer.load(what, by="ann")
            await store.close()

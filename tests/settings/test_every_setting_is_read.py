"""Every setting is read by something: one that nobody reads would be given and do nothing."""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

import adapter
from adapter.service.settings import Settings
from adapter.settings.loading import leaves
from adapter.simulator.settings import SimulatorConfig

PACKAGE = Path(adapter.__file__).parent


@cache
def names_read() -> frozenset[str]:
    """The attributes that the product reads. A check of a settings class of itself is no reading:
    what `__post_init__` looks at is left out, but for `allow_...`, which is there for a check."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        checks = {
            inner
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and node.name in CHECKS
            for inner in ast.walk(node)
        }
        found |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Load)
            and (node not in checks or node.attr.startswith("allow_"))
        }
    return frozenset(found)


CHECKS = frozenset({"__post_init__", "_contradictions"})


def nobody_reads(settings: type) -> Iterable[str]:
    """The names of settings that nothing reads."""
    for leaf in leaves(settings):
        if leaf.name.rpartition(".")[2] not in names_read():
            yield leaf.name


def test_every_setting_of_the_gateway_is_read() -> None:
    assert list(nobody_reads(Settings)) == []


def test_every_setting_of_the_simulator_is_read() -> None:
    assert list(nobody_reads(SimulatorConfig)) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    port: Annotated[int, "which something reads"] = 1
    planted_and_forgotten: Annotated[int, "which nothing reads"] = 1


def test_a_setting_that_nobody_reads_is_found() -> None:
    assert list(nobody_reads(Planted)) == ["planted_and_forgotten"]

"""A site's own algorithm, by the name of its function."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapter.model.values import replace
from adapter.orders.algorithms.reader import ParameterReader
from adapter.orders.algorithms.verdict import Create, Customs, Verdict, Wait, checked_child, refuse
from adapter.orders.order import ServiceOrder, View

LABELS: Final[Mapping[str, str]] = MappingProxyType({"function": "(ours) package.module:function"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomFunction:
    """A site's own algorithm, by its configured name `package.module:function`."""

    function: str


def parse(read: ParameterReader) -> CustomFunction:
    name = read.text("function")
    package, colon, function = name.partition(":")
    if not (package and colon and function.isidentifier()):
        raise read.fail("function", "must be package.module:function")
    return CustomFunction(function=name)


def run_custom(
    order: ServiceOrder, view: View, params: CustomFunction, customs: Customs
) -> Verdict:
    """A site's own algorithm."""
    function = customs.algorithms.get(params.function)
    if function is None:
        return refuse("algorithm_missing", f"algorithm {params.function} is not installed")
    verdict: object = function(order, view)
    if not isinstance(verdict, Verdict):
        raise TypeError(f"{params.function} gave {type(verdict).__name__}, which is no verdict")
    if isinstance(verdict, Create):
        child = checked_child(params.function, verdict.child, view.lookups)
        return replace(verdict, child=child)
    if isinstance(verdict, Wait) and verdict.child not in {c.id for c in view.children}:
        raise ValueError(f"{params.function} waits for {verdict.child}, which is no child")
    return verdict

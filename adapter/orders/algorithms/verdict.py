"""What an algorithm can decide, how a decision is kept, and a site's own functions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from adapter.orders.order import ChildId, ChildSpec, Problem, ServiceOrder, View


def _nothing() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Nothing to do here: on to the next algorithm. `note` is for the record."""

    note: str = ""
    row: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetField:
    """Fill elements of the activity, then on to the next algorithm."""

    fields: Mapping[str, str]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Create this child; the remaining algorithms are skipped (documented)."""

    child: ChildSpec
    note: str = ""
    row: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """An own child is still at it."""

    child: ChildId
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """The algorithm cannot decide: the order goes to Activity Error with this problem."""

    problem: Problem
    row: str = ""


Verdict: TypeAlias = Pass | SetField | Create | Wait | Error


class Outcome(StrEnum):
    PASS = "pass"
    SET_FIELD = "set_field"
    CREATE = "create"
    WAIT = "wait"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One algorithm's verdict as it is kept: matrix cell, row, result, and the facts it saw."""

    cell: int
    type: str
    algorithm: str
    outcome: Outcome
    row: str = ""
    note: str = ""
    child: ChildSpec | None = None
    problem: Problem | None = None
    fields: Mapping[str, str] = field(default_factory=_nothing)
    facts: Mapping[str, str] = field(default_factory=_nothing)


CompatibilityCheck: TypeAlias = Callable[[ServiceOrder, View], bool]
OverrideAlgorithm: TypeAlias = Callable[[ServiceOrder, View], ChildSpec | None]
CustomAlgorithm: TypeAlias = Callable[[ServiceOrder, View], Verdict]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customs:
    """A site's own functions by their configured name `package.module:function`.

    Resolving the names is the edge's work; here they are only called.
    """

    compatibility: Mapping[str, CompatibilityCheck] = field(default_factory=dict)
    override: Mapping[str, OverrideAlgorithm] = field(default_factory=dict)
    algorithms: Mapping[str, CustomAlgorithm] = field(default_factory=dict)


NO_CUSTOMS: Final = Customs()

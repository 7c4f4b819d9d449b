"""What a measuring component is said to measure, held against what comes for it.

A component that does not say its unit or its interval length agrees with any.
"""

from collections.abc import Sequence
from typing import Final

from adapter.model.device import MeasuringComponent
from adapter.model.values import replace
from adapter.readings.conditions import SUSPECT
from adapter.readings.seeds import Normal

_PREFIXES: Final = "mM"
"""Milli and mega: units that differ in the case of these are not the same."""


def same_unit(one: str, other: str) -> bool:
    """Blanks do not count, nor does the case: `KWH` is kWh. `mWh` is not MWh."""
    one, other = "".join(one.split()), "".join(other.split())
    if one == other:
        return True
    prefixes = {one[:1], other[:1]}
    return one.casefold() == other.casefold() and prefixes != set(_PREFIXES)


def disagreement(component: MeasuringComponent, *, unit: str, seconds: int) -> str:
    """In words; "" where they agree. `seconds` is the interval length, 0 of registers."""
    said, arrived = [], []
    if component.unit and not same_unit(component.unit, unit):
        said.append(component.unit)
        arrived.append(unit or "no unit")
    if component.seconds and seconds and component.seconds != seconds:
        said.append(f"{component.seconds} s")
        arrived.append(f"{seconds} s")
    if not said:
        return ""
    return f"component {component.id} has {', '.join(said)} and not {', '.join(arrived)}"


def fitting(
    components: Sequence[MeasuringComponent], *, unit: str, seconds: int
) -> tuple[MeasuringComponent, str]:
    """Of several for one quantity the first that agrees, else the first; and its disagreement."""
    judged = [(each, disagreement(each, unit=unit, seconds=seconds)) for each in components]
    return next((each for each in judged if not each[1]), judged[0])


def of_component_that_disagrees(normal: Normal, words: str) -> Normal:
    """The same values under a condition that is not regular."""
    return replace(
        normal,
        rows=[
            (at, value, external, min(condition, SUSPECT), statuses)
            for at, value, external, condition, statuses in normal.rows
        ],
        conversion=f"{normal.conversion}; {words}",
    )

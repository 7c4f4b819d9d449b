"""What an attack came to: a row for each kind, and what was accepted that must not be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_COLUMNS: Final = ("kind", "tried", "refused", "kept", "without effect",
                   "accepted wrongly", "slowest, CPU ms", "most memory, MiB")  # fmt: skip
_MIB: Final = 1024 * 1024


@dataclass(slots=True, kw_only=True)
class Kind:
    """`refused`: answered so, or put into quarantine later; `kept` of them are there, with a
    reason. `without_effect`: taken as a message of which such come, repeated or early, and nothing
    was changed by it. `wrong`: what was accepted all the same. `cpu_ms` and `memory` are those of
    the costliest attempt, in milliseconds and bytes, with its name."""

    name: str
    tried: int = 0
    refused: int = 0
    kept: int = 0
    without_effect: int = 0
    wrong: list[str] = field(default_factory=list)
    cpu_ms: tuple[float, str] = (0.0, "")
    memory: tuple[int, str] = (0, "")

    def cost(self, of: str, cpu_ms: float, memory: int) -> None:
        self.cpu_ms = max(self.cpu_ms, (cpu_ms, of))
        self.memory = max(self.memory, (memory, of))

    @property
    def cells(self) -> tuple[str, ...]:
        cpu, memory = self.cpu_ms, self.memory
        return (
            self.name,
            str(self.tried),
            str(self.refused),
            str(self.kept),
            str(self.without_effect),
            str(len(self.wrong)),
            f"{cpu[0]:.1f} ({cpu[1][:40]})" if cpu[1] else "",
            f"{memory[0] / _MIB:.1f} ({memory[1][:40]})" if memory[1] else "",
        )


def table(kinds: Sequence[Kind]) -> str:
    """All of it as text, the sum at the end; then each wrong acceptance."""
    total = Kind(
        name="in all",
        tried=sum(each.tried for each in kinds),
        refused=sum(each.refused for each in kinds),
        kept=sum(each.kept for each in kinds),
        without_effect=sum(each.without_effect for each in kinds),
        wrong=[text for each in kinds for text in each.wrong],
        cpu_ms=max((each.cpu_ms for each in kinds), default=(0.0, "")),
        memory=max((each.memory for each in kinds), default=(0, "")),
    )
    rows = [_COLUMNS, *(each.cells for each in (*kinds, total))]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]  # fmt: skip
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join([*lines, *(f"! {text}" for text in total.wrong)])

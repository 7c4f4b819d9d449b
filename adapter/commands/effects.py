"""What a step asks for besides the new state; stored in the same transaction as the state."""

from dataclasses import dataclass
from enum import StrEnum

from adapter.commands.outcomes import EndpointOutcome


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOutcomes:
    """Outcomes of endpoints; a later one for the same endpoint replaces the earlier."""

    rows: tuple[EndpointOutcome, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Tell the requester. `name` is the last part of the event's type; with `nth`, which tells
    apart those that may come more than once, it is that of its id: once per command (I2)."""

    name: str
    nth: str = ""
    severity: Severity = Severity.INFO
    text: str = ""

    @property
    def key(self) -> str:
        """What the event's id ends with."""
        return f"{self.name}.{self.nth}" if self.nth else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseLanes:
    """The command no longer holds its meter."""


Effect = RecordOutcomes | Publish | ReleaseLanes

"""What a step asks for besides the new state; stored in the same transaction as the state."""

from enum import StrEnum

from msgspec import Struct

from adapter.commands.outcomes import EndpointOutcome


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class RecordOutcomes(Struct, frozen=True, kw_only=True, gc=False):
    """Outcomes of endpoints; a later one for the same endpoint replaces the earlier."""

    rows: tuple[EndpointOutcome, ...]


class Publish(Struct, frozen=True, kw_only=True, gc=False):
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


class ReleaseLanes(Struct, frozen=True, kw_only=True, gc=False):
    """The command no longer holds its meter."""


Effect = RecordOutcomes | Publish | ReleaseLanes

"""What the JSON interface says of held switch orders and of the clock."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from adapter.engine.commands.switch_holds import Hold, HoldReason


class HoldOut(Struct, kw_only=True):
    """Why no connect and no disconnect leaves. `action` is what people can do about it."""

    reason: HoldReason
    since: datetime
    text: str
    action: str

    @classmethod
    def of(cls, hold: Hold) -> "HoldOut":
        return cls(reason=hold.reason, since=hold.since, text=hold.text, action=hold.action)


class HoldList(Struct, kw_only=True):
    """The longest first; none: switch orders leave."""

    items: list[HoldOut]

    @classmethod
    def of(cls, holds: Sequence[Hold]) -> "HoldList":
        return cls(items=[HoldOut.of(hold) for hold in holds])


class ClockOut(Struct, kw_only=True):
    """`now` is what the machine's wall clock shows, `expected` what it should show at the earliest,
    by the time seen last and the seconds counted since; `off_by_s` is 0 where they agree, negative
    where the clock is behind. `held`: switch orders are held because of it."""

    now: datetime
    expected: datetime
    off_by_s: float
    held: HoldOut | None


class ReadyOut(Struct, kw_only=True):
    """`status`: ready, or held where no switch order leaves; all else is served all the same.
    `warnings` is what people have to see to while it runs."""

    status: str
    held: list[HoldOut]
    warnings: list[str]

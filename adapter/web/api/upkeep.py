"""What the JSON interface says of how long rows are kept."""

from datetime import datetime

from msgspec import Struct

from adapter.engine.upkeep.retention import Kept, Retention


class KeptOut(Struct, kw_only=True):
    """`days` null: for ever. `removed` since the process was started."""

    what: Kept
    days: float | None
    removed: int


class RetentionOut(Struct, kw_only=True):
    """`last` is when the last sweep ended, null before the first; `under_way`: another has begun.
    The audit is never pruned."""

    items: list[KeptOut]
    last: datetime | None
    under_way: bool

    @classmethod
    def of(cls, retention: Retention) -> "RetentionOut":
        return cls(
            items=[
                KeptOut(what=state.what, days=state.days, removed=state.removed)
                for state in retention.states()
            ],
            last=retention.last,
            under_way=retention.under_way,
        )

"""Which meters of a read have sent some of their blocks and not the others.

Such a meter is read all the same: the three ends of a meter (read, failed, missing) and their sums
stay. It is computed whenever somebody asks, so that a late block makes the meter complete.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from adapter.commands.activity import Command
from adapter.commands.flows import INTERVAL_KINDS
from adapter.model.ids import EndpointId


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """So many different blocks came of the number that each of them told (TotalBlocks)."""

    came: int
    told: int

    def __str__(self) -> str:
        return f"{self.came} of {self.told} blocks"


class BlockBooks(Protocol):
    async def missing_blocks(
        self,
        endpoints: Collection[EndpointId],
        start: datetime,
        end: datetime,
        *,
        came: tuple[datetime, datetime],
    ) -> Mapping[EndpointId, Blocks]:
        """Those of `endpoints` of whose blocks, which begin at `start <= time < end`, some were
        taken in from the one to the other time of `came`, and not all until now.

        Nothing on the wire tells which blocks belong together: those of one meter and period that
        tell the same total are taken for one set (inferred). Of several sets the largest counts.
        """


async def incomplete(
    books: BlockBooks | None, command: Command, now: datetime
) -> Mapping[EndpointId, Blocks]:
    """Of a read of intervals, as far as is known now; of every other command nobody."""
    period, activity = command.request.period, command.activity
    if books is None or period is None or command.request.kind not in INTERVAL_KINDS:
        return {}
    return await books.missing_blocks(
        frozenset(target.endpoint for target in command.targets),
        period.start,
        period.end,
        came=(activity.created_at, activity.finished_at or now),
    )

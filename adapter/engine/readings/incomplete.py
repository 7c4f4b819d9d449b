"""Which meters of a read have sent some of their blocks and not the others.

Such a meter is read all the same: the three ends of a meter (read, failed, missing) and their sums
stay. It is computed whenever somebody asks, so that a late block makes the meter complete.
"""

from collections.abc import Mapping
from datetime import datetime

from adapter.commands.activity import Command
from adapter.commands.flows import INTERVAL_KINDS
from adapter.engine.readings.ports import Blocks, MeasurementStore
from adapter.model.ids import EndpointId


async def incomplete(
    data: MeasurementStore, command: Command, now: datetime
) -> Mapping[EndpointId, Blocks]:
    """Of a read of intervals, as far as is known now; of every other command nobody."""
    period, activity = command.request.period, command.activity
    if period is None or command.request.kind not in INTERVAL_KINDS:
        return {}
    return await data.missing_blocks(
        frozenset(target.endpoint for target in command.targets),
        period.start,
        period.end,
        came=(activity.created_at, activity.finished_at or now),
    )

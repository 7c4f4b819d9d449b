"""Ids that sort in the order of acceptance, whatever the clock does: lists and pages go by them."""

from collections.abc import Callable
from datetime import datetime

from adapter.model.ids import is_sortable_id, milliseconds_of, sortable_id


class SortableIds:
    """Where the clock is behind the newest id, the next one is a millisecond after that; else it
    has the time of the clock. `entropy` gives the random 80 bits of an id."""

    def __init__(self, entropy: Callable[[], int]) -> None:
        self._entropy = entropy
        self._newest = 0
        self.known = False
        """Whether the newest id of the store has been told."""

    def after(self, *made: str) -> None:
        """The newest id of the store; none where it has none."""
        self.known = True
        times = (milliseconds_of(each) for each in made if is_sortable_id(each))
        self._newest = max(self._newest, *times, 0)

    def next(self, now: datetime) -> str:
        at = int(now.timestamp() * 1000)
        self._newest = at if at >= self._newest else self._newest + 1
        return sortable_id(self._newest, self._entropy())

"""Ids that sort in the order of acceptance, whatever the clock does: lists and pages go by them."""

from collections.abc import Callable
from datetime import datetime

from adapter.model.ids import id_number, id_of_number, is_sortable_id, number_of_id, time_of_number

_STEP = 2**60


class SortableIds:
    """An id has the time of the clock and `entropy`, 80 random bits. In the millisecond of the
    newest id, and where the clock is behind it, the next one is a random step after the newest."""

    def __init__(self, entropy: Callable[[], int]) -> None:
        self._entropy = entropy
        self._newest = 0
        self.known = False
        """Whether the newest id of the store has been told."""

    def after(self, *made: str) -> None:
        """The newest id of the store; none where it has none."""
        self.known = True
        self._newest = max(self._newest, *(number_of_id(e) for e in made if is_sortable_id(e)), 0)

    def next(self, now: datetime) -> str:
        entropy = self._entropy()
        milliseconds = int(now.timestamp() * 1000)
        if milliseconds > time_of_number(self._newest):
            self._newest = id_number(milliseconds, entropy)
        else:
            self._newest += 1 + entropy % _STEP
        return id_of_number(self._newest)

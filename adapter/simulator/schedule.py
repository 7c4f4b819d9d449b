"""What the simulated head end will do when: a queue in time, turned by whoever holds the clock."""

from collections.abc import Callable
from datetime import datetime
from heapq import heappop, heappush

from adapter.simulator.jobs import Delivery

Step = Callable[[datetime], list[Delivery]]


class Schedule:
    """Steps by due time; those due at one moment run in the order they were put in."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Step]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_due(self) -> datetime | None:
        return self._heap[0][0] if self._heap else None

    def put(self, due: datetime, step: Step) -> None:
        self._count += 1
        heappush(self._heap, (due, self._count, step))

    def run_one(self, now: datetime) -> list[Delivery] | None:
        """Run the next step that is due by `now`; None when there is none."""
        if not self._heap or self._heap[0][0] > now:
            return None
        due, _, step = heappop(self._heap)
        return step(due)

    def clear(self) -> None:
        self._heap.clear()

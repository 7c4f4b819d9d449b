"""Places for callers who wait for an answer: long polls, streams, live pages of the console.

One key has at most half of them, so that whoever opens many keeps nobody else from looking.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from adapter.model.names import person
from adapter.server.credentials import Caller
from adapter.web.api.problems import ProblemRaised

_AGAIN: Final = {"Retry-After": "5"}


class WaitingPlaces:
    """`most` in all. Callers without a key share what one key has."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._of_one_key = -(-most // 2)
        self._taken: Counter[str] = Counter()

    def check(self, caller: Caller | None) -> None:
        """Raises ProblemRaised 429 where the caller gets none."""
        if self._taken.total() >= self._most:
            text = f"all {self._most} places of those who wait are taken: try again"
            raise ProblemRaised(429, "too_many_waiting", text, headers=_AGAIN)
        if self._taken[_name(caller)] >= self._of_one_key:
            text = (
                f"this key has {self._of_one_key} of the {self._most} places of those who wait, "
                "and may have no more: close a stream or a page, or try again"
            )
            raise ProblemRaised(429, "too_many_waiting", text, headers=_AGAIN)

    @contextmanager
    def taken(self, caller: Caller | None) -> Iterator[None]:
        """One of them meanwhile. Raises as `check`."""
        self.check(caller)
        name = _name(caller)
        self._taken[name] += 1
        try:
            yield
        finally:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]


def _name(caller: Caller | None) -> str:
    return "" if caller is None else person(caller.name)

"""Whether the public callback address leads to this gateway: a token that is good once.

Who asks for a check is given an address below the public one, and a word. Who then calls that
address from outside is answered the word, which no other server knows; what came along is kept.
"""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from adapter.errors import Conflict, NotFound
from adapter.model.values import replace

CHECK_PATH: Final = "/openway/check/"
_LASTS: Final = timedelta(minutes=2)
_MOST: Final = 16
_MOST_HEADERS: Final = 64


class CheckArrival(Struct, frozen=True, kw_only=True, gc=False):
    """A call of the address: from where, and the names of its headers, in lower case. `authorized`
    None: the listener wants no user."""

    at: datetime
    remote: str
    headers: tuple[str, ...]
    authorized: bool | None


class CallbackCheck(Struct, frozen=True, kw_only=True, gc=False):
    """`word` is what the address answers. `arrived` None: nobody has called it yet."""

    id: str
    url: str
    word: str
    ends_at: datetime
    arrived: CheckArrival | None = None


class CallbackChecks:
    """The checks under way; a handful, each for two minutes."""

    def __init__(self, public_url: str, now: Callable[[], datetime]) -> None:
        self._public_url = public_url
        self._now = now
        self._open: dict[str, CallbackCheck] = {}

    def begin(self) -> CallbackCheck:
        """Raises Conflict where too many are under way."""
        now = self._now()
        self._open = {id_: each for id_, each in self._open.items() if now < each.ends_at}
        if len(self._open) >= _MOST:
            raise Conflict(f"{_MOST} callback checks are under way; each ends after two minutes")
        id_ = secrets.token_hex(16)
        check = CallbackCheck(
            id=id_,
            url=f"{self._public_url}{CHECK_PATH}{id_}",
            word=secrets.token_hex(16),
            ends_at=now + _LASTS,
        )
        self._open[id_] = check
        return check

    def get(self, id_: str) -> CallbackCheck:
        """Raises NotFound, also for one that has ended."""
        check = self._open.get(id_)
        if check is None or check.ends_at <= self._now():
            raise NotFound(f"callback check {id_[:64]}")
        return check

    def called(self, id_: str, arrival: CheckArrival) -> str:
        """The word; "" for a check that is not under way, or was called before."""
        check = self._open.get(id_)
        if check is None or check.ends_at <= self._now() or check.arrived is not None:
            return ""
        kept = replace(arrival, headers=arrival.headers[:_MOST_HEADERS])
        self._open[id_] = replace(check, arrived=kept)
        return check.word

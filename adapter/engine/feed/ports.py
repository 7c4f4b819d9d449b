"""What the feed needs of a store."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from adapter.engine.commands.ports import AuditNote, Publication
from adapter.feed.selection import Selection
from adapter.feed.wanted import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedPage:
    """Some events in their order, each as JSON. `next` is the cursor behind them and behind what
    was looked at and not wanted; `more`: the look ended before the newest event. `unreadable` are
    the numbers of events whose rows are damaged."""

    events: Sequence[bytes]
    next: int
    more: bool
    unreadable: Sequence[int] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedBounds:
    """Numbers of the oldest event that is kept (None: none is) and of the newest that ever was."""

    oldest: int | None
    newest: int


class FeedStore(Protocol):
    async def bounds(self) -> FeedBounds: ...

    async def id_of(self, seq: int) -> str | None:
        """The id of the event of that number; None: it is not there."""

    async def page(self, after: int, wanted: Selection, *, limit: int) -> FeedPage:
        """The first events behind `after`. Raises Conflict where there was never one of that
        number, NotKept where the ones behind it were removed."""


# ---------------------------------------------------------------- deliveries


@dataclass(frozen=True, slots=True, kw_only=True)
class PostResult:
    """What came of posting one event. `gone`: the receiver wants no more (410). `error` is empty
    where it was taken; `least_s` is how long the receiver wants to be left alone."""

    status: int | None = None
    error: str = ""
    gone: bool = False
    least_s: float = 0.0

    @property
    def taken(self) -> bool:
        return not self.error


class Receiver(Protocol):
    """A system that events are posted to. `at_once` posts are under way together, and no more than
    `rate_per_s` begin in a second (0: any number)."""

    name: str
    wanted: Wanted
    at_once: int
    rate_per_s: float

    async def post(self, event: bytes) -> PostResult:
        """One event as the feed has it. Raises nothing for what the receiver does."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDelivery:
    """An event that a receiver has not taken while it was offered later ones. `first` is when it
    was posted first; None: it waits behind another one. `dead`: it was not taken in 72 hours, and
    is posted again only where people say so."""

    receiver: str
    seq: int
    dead: bool = False
    attempts: int = 0
    first: datetime | None = None
    due: datetime
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverState:
    """`seq`: all events up to this one were posted, or are among its deliveries. `stopped` says
    why it is sent nothing; `alarm` is since when people were told that it is behind."""

    name: str
    seq: int
    stopped: str = ""
    alarm: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryChange:
    """One transaction: the receiver as it becomes, deliveries as they become, those that are over,
    and what is told of it."""

    receiver: ReceiverState
    put: Sequence[EventDelivery] = ()
    over: Sequence[int] = ()
    audit: Sequence[AuditNote] = field(default=())
    publications: Sequence[Publication] = field(default=())


class DeliveryStore(FeedStore, Protocol):
    async def receivers(self, names: Sequence[str]) -> Sequence[ReceiverState]:
        """Those of the names; one that is new begins behind the newest event. What the others have
        not taken keeps no event any more."""

    async def deliveries(
        self, receiver: str, *, dead: bool | None = None, limit: int, after: int = 0
    ) -> Sequence[EventDelivery]:
        """By number of the event."""

    async def stored(self, numbers: Sequence[int]) -> Sequence[tuple[int, bytes]]:
        """Those of the events that are there, each as the feed has it."""

    async def time_of(self, after: int) -> datetime | None:
        """When the first event behind `after` was stored."""

    async def before(self, at: datetime) -> int:
        """The number of the last event that was stored before then."""

    async def change(self, change: DeliveryChange) -> None: ...

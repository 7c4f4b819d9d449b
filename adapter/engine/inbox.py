"""What the head end sends: stored before it is answered; a plain callback with its effect."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol

from adapter.engine.commands.identity import CallbackIdentity
from adapter.engine.commands.ports import (
    AuditNote,
    Change,
    Disposition,
    InboxRow,
    InboxState,
    Received,
    Store,
)
from adapter.engine.commands.save_result import NotPlain, Taken
from adapter.engine.runner import Runner
from adapter.engine.upkeep.durations import Durations, Measure
from adapter.engine.upkeep.signals import Signal, Signals, say_quarantined
from adapter.errors import Conflict, NotFound
from adapter.model.ids import InboxId

_UNDER_WAY: Final = frozenset({InboxState.NEW, InboxState.LOADING})


class MessageReceiver(Protocol):
    """What a listener hands messages to; see `Inbox`."""

    def genuine(self, communication: str, secret: str) -> bool: ...

    async def take(self, received: Received) -> None: ...

    def begin(self, received: Received, then: Taken) -> None: ...

    async def receive(self, received: Received) -> InboxId: ...

    async def bound_quarantine(self, most_bytes: int) -> int: ...

    def free_bytes(self) -> int: ...


class Judge(Protocol):
    """What judges callbacks as they come in; see `Correlator`."""

    async def take(self, received: Received) -> bool: ...

    def begin(self, received: Received, then: Taken) -> bool: ...


class Inbox:
    """Take what the head end sends, look at what came, decide about what was refused. A message is
    durable when `receive` returns, and may then be answered (I4).

    Raises NotFound; Conflict where a message is not quarantined; StoreFailed.
    """

    def __init__(
        self,
        store: Store,
        identity: CallbackIdentity,
        runner: Runner,
        judge: Judge,
        signals: Signals,
        durations: Durations,
    ) -> None:
        self._store = store
        self._durations = durations
        self._signals = signals
        self._identity = identity
        self._runner = runner
        self._judge = judge
        self._watching: set[asyncio.Event] = set()
        self._storing: set[asyncio.Task[object]] = set()
        self.addressed_came: Callable[[], None] = lambda: None
        """Told when one was stored that names its communication: a hint."""

    def genuine(self, communication: str, secret: str) -> bool:
        """Whether a callback address is one of ours."""
        return self._identity.genuine(communication, secret)

    async def take(self, received: Received) -> None:
        """Store one message: a plain callback with its effect, any other to be judged later."""
        if await self._judge.take(received):
            self._seen(received)
        else:
            await self.receive(received)

    def begin(self, received: Received, then: Taken) -> None:
        """As `take`: `then` is told when the message is stored, or why it is not."""
        if not self._judge.begin(received, partial(self._judged, received, then)):
            self._begin(self.take(received), then)

    def _judged(self, received: Received, then: Taken, error: BaseException | None) -> None:
        if isinstance(error, NotPlain):
            self._begin(self.receive(received), then)
            return
        if error is None:
            self._seen(received)
        then(error)

    def _begin(self, storing: Coroutine[Any, Any, object], then: Taken) -> None:
        task = asyncio.get_running_loop().create_task(storing)
        self._storing.add(task)

        def done(task: asyncio.Task[object]) -> None:
            self._storing.discard(task)
            then(asyncio.CancelledError() if task.cancelled() else task.exception())

        task.add_done_callback(done)

    def _seen(self, received: Received) -> None:
        self._durations.since(Measure.ARRIVAL_TO_SEEN, received.operation, received.at)
        self.moved()

    async def receive(self, received: Received) -> InboxId:
        """Store one message, a refused one with its audit entry."""
        (made,) = await self._store.receive([received])
        if received.state is InboxState.QUARANTINED:
            self._say_refused(received)
        if received.communication is not None:
            self.addressed_came()
        self._runner.poke("correlate")
        return made

    def _say_refused(self, received: Received) -> None:
        say_quarantined(self._signals, received.operation, received.reason, received.remote)
        if received.rejection is not None and received.rejection.stranger:
            remote = received.remote
            self._signals.tell(Signal.KEY_REFUSED, remote, remote=remote, server="listener")

    async def bound_quarantine(self, most_bytes: int) -> int:
        """Remove the oldest of what may be removed past so many bytes, see `Store`. How many bytes;
        the audit says which."""
        return await self._store.bound_quarantine(most_bytes)

    def free_bytes(self) -> int:
        """What is free on the disk that holds the store."""
        return self._store.free_bytes()

    # ------------------------------------------------------------ look

    async def list(
        self,
        *,
        state: InboxState | None = None,
        limit: int = 50,
        before: InboxId | None = None,
    ) -> Sequence[InboxRow]:
        """Newest first."""
        return await self._store.inbox(state=state, limit=limit, before=before)

    async def get(self, inbox: InboxId) -> InboxRow:
        """Raises NotFound."""
        found = await self._store.inbox_row(inbox)
        if found is None:
            raise NotFound(f"no inbound message {inbox}")
        return found

    async def judged(self, inbox: InboxId, *, timeout_s: float) -> InboxRow:
        """The message once it was judged and taken in, or as it is after `timeout_s` seconds."""
        moved = asyncio.Event()
        self._watching.add(moved)
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            while True:
                moved.clear()
                row = await self.get(inbox)
                left = deadline - asyncio.get_running_loop().time()
                if row.state not in _UNDER_WAY or left <= 0:
                    return row
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, 1.0)):
                        await moved.wait()
        finally:
            self._watching.discard(moved)

    def moved(self) -> None:
        """Some messages were judged or taken in: a hint."""
        for event in self._watching:
            event.set()

    # ------------------------------------------------------------ quarantine

    async def retry(self, inbox: InboxId, *, by: str) -> None:
        """Judge a quarantined message again, as if it had just come."""
        await self._decide(inbox, InboxState.NEW, "Replayed", by)
        self._runner.poke("correlate")

    async def discard(self, inbox: InboxId, *, by: str) -> None:
        """Give a quarantined message up; its row stays."""
        await self._decide(inbox, InboxState.DISCARDED, "Discarded", by)

    async def _decide(self, inbox: InboxId, to: InboxState, action: str, by: str) -> None:
        row = await self.get(inbox)
        if row.state is not InboxState.QUARANTINED:
            raise Conflict(f"message {inbox} is {row.state}, not quarantined")
        audit = AuditNote(
            actor=by, action=action, subject=f"inbox:{inbox}", detail={"reason": row.reason}
        )
        moved = Disposition(inbox=inbox, state=to, reason=row.reason)
        await self._store.save([Change(inbox=(moved,), audit=(audit,))])

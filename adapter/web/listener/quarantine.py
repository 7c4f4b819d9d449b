"""What is refused at the door and kept all the same, within bounds that a flood cannot burst."""

import asyncio
import hashlib
import logging
from collections import Counter
from datetime import datetime
from typing import Final

from adapter.engine.commands.ports import ROW_BYTES, InboxState, Received, Rejection
from adapter.engine.inbox import MessageReceiver
from adapter.model.ids import CommunicationId
from adapter.server.rate_limit import LimitedLog
from adapter.server.settings import QuarantineLimits

_MOST_ADDRESSES: Final = 4096
_LOOKS: Final = 64
"""Into so many parts is the bound divided: one part is what may come between two looks."""

limited_log = LimitedLog(logging.getLogger(__name__))


class _Budget:
    """`size` bytes at once, filled up again over a minute."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = float(size)
        self._at = asyncio.get_running_loop().time()

    def spend(self, count: int) -> bool:
        now = asyncio.get_running_loop().time()
        self._left = min(self._size, self._left + (now - self._at) * self._size / 60)
        self._at = now
        if count > self._left:
            return False
        self._left -= count
        return True


class Quarantine:
    """Stores refused messages. Callers without the right credentials have a budget of their own,
    so that they cannot use up that of the head end."""

    def __init__(
        self, inbox: MessageReceiver, limits: QuarantineLimits, counts: Counter[str]
    ) -> None:
        self._inbox = inbox
        self._limits = limits
        self._counts = counts
        self._added = limits.total_bytes
        """Since the last look at what all cost; at first nobody has looked."""
        self._addresses: set[tuple[str, str]] = set()
        self._budgets = {known: _Budget(limits.minute_bytes) for known in (True, False)}

    async def keep(
        self,
        raw: bytes,
        *,
        reason: str,
        at: datetime,
        remote: str,
        operation: str = "",
        communication: CommunicationId | None = None,
        cut: bool = False,
        length: int | None = None,
        known: bool = True,
        counted: bool = False,
    ) -> bool:
        """Whether it was stored. `cut`: `raw` is not all; `length` is that of all, where known.
        `counted`: where the address has such a row, that counts one more.

        Raises StoreFailed.
        """
        kept = raw[: self._limits.message_bytes]
        if self._inbox.free_bytes() < self._limits.reserve_bytes:
            limited_log.warning("disk_nearly_full_nothing_refused_is_kept")
            return self._passed_over(raw)
        again = counted and (remote, reason) in self._addresses
        if not self._budgets[known].spend(ROW_BYTES + (0 if again else len(kept))):
            return self._passed_over(raw)
        if counted and len(self._addresses) < _MOST_ADDRESSES:
            self._addresses.add((remote, reason))
        rejection = Rejection(cause=reason, stranger=not known, counted=counted)
        if cut or len(kept) < len(raw):
            whole = length if length is not None else None if cut else len(raw)
            of = f" of {whole}" if whole is not None else ""
            reason = f"{reason} [truncated: the first {len(kept)}{of} bytes kept]"
        elif raw:
            reason = f"{reason} [sha256 {hashlib.sha256(raw).hexdigest()[:16]}]"
        await self._inbox.receive(
            Received(
                operation=operation,
                raw=kept,
                at=at,
                communication=communication,
                remote=remote,
                state=InboxState.QUARANTINED,
                reason=reason,
                rejection=rejection,
            )
        )
        self._counts["quarantined"] += 1
        await self._bound(len(kept) + ROW_BYTES)
        return True

    def _passed_over(self, raw: bytes) -> bool:
        self._counts["not_kept"] += 1
        self._counts["not_kept_bytes"] += len(raw)
        return False

    async def _bound(self, added: int) -> None:
        """Hold the bound in all: looked at once a small part of it has come, one at a time."""
        self._added += added
        most = self._limits.total_bytes
        if self._added < most // _LOOKS:
            return
        self._added = 0
        removed = await self._inbox.bound_quarantine(most - most // _LOOKS)
        if removed:
            self._counts["quarantine_removed_bytes"] += removed
            limited_log.warning("quarantine_full_oldest_removed", bytes=removed)

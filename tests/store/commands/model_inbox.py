"""The inbox in dictionaries: a part of the model."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from adapter.engine.commands.correlator import STATUS_CHANGED
from adapter.engine.commands.message_log import masked
from adapter.engine.commands.ports import (
    ROW_BYTES,
    Disposition,
    InboxRow,
    InboxState,
    JudgedMessage,
    Logged,
    Received,
    Rejection,
)
from adapter.errors import NotFound
from adapter.model.ids import CommandId, CommunicationId, InboxId, RequestToken
from adapter.model.values import replace
from adapter.store.commands.parking import PUSHED_OUT
from adapter.store.commands.reading import UNADDRESSED_SHARE

_AT_ONCE = datetime(1970, 1, 1, tzinfo=UTC)
_REFUSED = (InboxState.QUARANTINED, InboxState.DISCARDED)


class InboxModel:
    """Received messages by number; `wakes` says when a parked one is looked at again."""

    def __init__(self) -> None:
        self._rows: dict[InboxId, InboxRow] = {}
        self._wakes: dict[InboxId, datetime | None] = {}
        self._rejections: dict[InboxId, Rejection] = {}
        self._made = 0

    def check(self, dispositions: Iterable[Disposition]) -> None:
        for item in dispositions:
            if item.inbox not in self._rows:
                raise NotFound(f"no inbox row {item.inbox}")

    def receive(self, batch: Sequence[Received]) -> Sequence[InboxId]:
        ids: list[InboxId] = []
        for item in batch:
            counting = self._counting(item)
            if counting is not None:
                row = self._rows[counting]
                self._rows[counting] = replace(row, times=row.times + 1, last_at=item.at)
                ids.append(counting)
                continue
            self._made += 1
            inbox = InboxId(self._made)
            if item.rejection is not None:
                self._rejections[inbox] = item.rejection
            self._rows[inbox] = InboxRow(
                id=inbox,
                operation=item.operation,
                raw=item.raw,
                at=item.at,
                communication=item.communication,
                remote=item.remote,
                state=item.state,
                reason=item.reason,
                spool="" if item.spool is None else item.spool.file,
                spool_bytes=0 if item.spool is None else item.spool.size,
            )
            self._wakes[inbox] = None
            ids.append(inbox)
        return ids

    def park(self, item: Received, token: RequestToken, reason: str, wake: datetime) -> None:
        (inbox,) = self.receive([item])
        parked = replace(self._rows[inbox], state=InboxState.PARKED, reason=reason, token=token)
        self._rows[inbox], self._wakes[inbox] = parked, wake

    def _counting(self, item: Received) -> InboxId | None:
        """The row that counts one more, where there is one."""
        if item.rejection is None or not item.rejection.counted:
            return None
        alike = (
            inbox
            for inbox, each in reversed(self._rejections.items())
            if each.stranger and each.cause == item.rejection.cause
        )
        rows = (self._rows[inbox] for inbox in alike)
        same = (row.id for row in rows if row.remote == item.remote and row.state in _REFUSED[:1])
        return next(same, None)

    def bound_quarantine(self, most_bytes: int) -> tuple[dict[InboxId, int], dict[InboxId, int]]:
        """The rows that were removed, and what each cost: rejected ones, those nobody knows."""
        unknown = {
            inbox: len(row.raw) + ROW_BYTES
            for inbox, row in self._rows.items()
            if row.state is InboxState.QUARANTINED
            and row.communication is None
            and self._wakes[inbox] is not None
        }
        excess = sum(self._rejected().values()) + sum(unknown.values()) - most_bytes
        rejected: dict[InboxId, int] = {}
        given_up: dict[InboxId, int] = {}
        for kept, removed in ((self._rejected(), rejected), (unknown, given_up)):
            for inbox, cost in kept.items():
                if excess <= 0:
                    break
                removed[inbox] = cost
                excess -= cost
        for inbox in (*rejected, *given_up):
            del self._rows[inbox], self._wakes[inbox]
            self._rejections.pop(inbox, None)
        return rejected, given_up

    def _rejected(self) -> dict[InboxId, int]:
        """What may be removed of them, in the order in which it goes."""
        kept = {
            inbox: len(self._rows[inbox].raw) + ROW_BYTES
            for inbox in self._rejections
            if self._rows[inbox].state in _REFUSED
        }
        order = sorted(kept, key=lambda each: (not self._rejections[each].stranger, each))
        return {inbox: kept[inbox] for inbox in order}

    def dispose(self, dispositions: Iterable[Disposition], known: Container[RequestToken]) -> None:
        """One that waits for a token that is known by now is due at once."""
        for item in dispositions:
            bare = self._rows[item.inbox].communication is None
            waits = item.state is InboxState.PARKED and item.token is not None
            late = bare and waits and item.token in known
            self._wakes[item.inbox] = _AT_ONCE if late else item.wake
            self._rows[item.inbox] = replace(
                self._rows[item.inbox],
                state=item.state,
                reason=item.reason,
                command=item.command,
                token=item.token,
            )

    def unread(self, *, limit: int, now: datetime) -> Sequence[InboxRow]:
        new = [row for row in self._rows.values() if row.state is InboxState.NEW]
        parked = sorted(
            (wake, row.id)
            for row in self._rows.values()
            if row.state is InboxState.PARKED
            and (wake := self._wakes[row.id]) is not None
            and wake <= now
        )
        due = [self._rows[inbox] for _, inbox in parked[:limit]]
        addressed = [row for row in new if row.communication is not None]
        others = [row for row in new if row.communication is None][:limit] + due
        others.sort(key=lambda row: row.id)
        addressed = addressed[: limit - min(len(others), limit // UNADDRESSED_SHARE)]
        room = limit - len(addressed)
        if addressed:
            room = min(room, max(limit // UNADDRESSED_SHARE, 1))
        return addressed + others[:room]

    def untaken(self, until: datetime) -> bool:
        waits = (InboxState.NEW, InboxState.LOADING)
        return any(row.state in waits and row.at <= until for row in self._rows.values())

    def put_judged(self, messages: Iterable[JudgedMessage]) -> None:
        for each in messages:
            received = replace(each.received, state=each.state, reason=each.reason)
            (inbox,) = self.receive([received])
            row = self._rows[inbox]
            self._rows[inbox] = replace(row, command=each.command, token=each.token)

    def unpark(self, tokens: Sequence[RequestToken]) -> None:
        for row in self._rows.values():
            if row.token not in tokens:
                continue
            gave_way = row.state is InboxState.QUARANTINED and self._wakes[row.id] is not None
            if gave_way:
                self._rows[row.id] = replace(row, state=InboxState.PARKED)
            if gave_way or row.state is InboxState.PARKED:
                self._wakes[row.id] = _AT_ONCE

    def bound_parked(self, most: int, now: datetime) -> Sequence[InboxId]:
        """The rows that gave way."""
        moved: list[InboxId] = []
        for bare in (True, False):
            parked = [
                row
                for row in self._rows.values()
                if row.state is InboxState.PARKED and (row.communication is None) is bare
            ]
            for row in parked[: max(len(parked) - most, 0)]:
                self._rows[row.id] = replace(row, state=InboxState.QUARANTINED, reason=PUSHED_OUT)
                self._wakes[row.id] = now
                moved.append(row.id)
        return moved

    def logged(
        self, command: CommandId, owners: Mapping[RequestToken, CommunicationId]
    ) -> list[Logged]:
        """By their addresses; those of the command that came at the bare one, by their tokens."""
        found = []
        for row in self._rows.values():
            bare = owners.get(row.token) if row.token and row.command == command else None
            communication = row.communication or bare
            if communication is not None:
                logged = Logged(
                    communication=communication,
                    at=row.at,
                    outbound=False,
                    operation=row.operation,
                    status=0,
                    body=masked(row.raw),
                )
                found.append(logged)
        return found

    def callbacks(self) -> dict[str, int]:
        ways = Counter(
            "addressed"
            if row.communication is not None
            else "by_token"
            if row.state in (InboxState.APPLIED, InboxState.IGNORED)
            else "unmatched"
            for row in self._rows.values()
            if row.operation == STATUS_CHANGED
            and row.state is not InboxState.NEW
            and row.id not in self._rejections
        )
        return dict(sorted(ways.items()))

    def next_wakes(self) -> list[datetime | None]:
        """When each row that waits can be read; of the new ones, the oldest counts."""
        new = [row.at for row in self._rows.values() if row.state is InboxState.NEW]
        parked = [row.id for row in self._rows.values() if row.state is InboxState.PARKED]
        return [*new[:1], *(self._wakes[inbox] for inbox in parked)]

    def states(self) -> list[InboxState]:
        return [row.state for row in self._rows.values()]

    def list(
        self, *, state: InboxState | None, limit: int, before: InboxId | None
    ) -> Sequence[InboxRow]:
        found = [
            row
            for row in reversed(self._rows.values())
            if state in (None, row.state) and (before is None or row.id < before)
        ]
        return found[:limit]

    def get(self, inbox: InboxId) -> InboxRow | None:
        return self._rows.get(inbox)

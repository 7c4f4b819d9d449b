"""Inbox to events: reads stored messages, finds their communication, applies what they tell.

Every row ends with a disposition. A callback nobody knows yet is parked and looked at again at
each new token and by the sweep; what contradicts what is known is quarantined, never applied.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from adapter.commands.calls import RequestStatus
from adapter.commands.correlation import GIVE_UP_S, Correlation, Match, correlate, unmatched
from adapter.commands.events import Event, LateNotified, StatusNotified
from adapter.engine import crash_points
from adapter.engine.commands.apply import Applier, SavedWith, TokenTaken
from adapter.engine.commands.at_once import AtOnce
from adapter.engine.commands.message_log import MessageLog
from adapter.engine.commands.ports import (
    ROW_BYTES,
    AuditNote,
    Change,
    Clock,
    Disposition,
    Found,
    InboxRow,
    InboxState,
    JudgedMessage,
    Received,
    Store,
)
from adapter.engine.commands.save_result import CallbackResult, NotPlain, Taken
from adapter.engine.commands.spans import callback_span
from adapter.engine.commands.switch_holds import Hold, HoldReason, SwitchHolds
from adapter.engine.tracing import TraceSpan
from adapter.engine.upkeep.set_aside import RowKind
from adapter.engine.upkeep.signals import Signals, say_quarantined
from adapter.errors import Conflict, StoreFailed, WireError
from adapter.model.bounds import GIB
from adapter.model.ids import CommunicationId, RequestToken

if TYPE_CHECKING:  # not worth loading the contract for
    from adapter.wire.codec import ReadMessage

log = logging.getLogger(__name__)

STATUS_CHANGED = "RequestStatusChangedService.StatusChanged"
DATA_ARRIVED = "DataSubscriberService.DataArrived"
PAYLOADS = frozenset(
    {
        DATA_ARRIVED,
        "EventSubscriberService.EventsArrived",
        "ExceptionSubscriberService.ExceptionsArrived",
    }
)

ROWS_AT_ONCE = 32
"""Few: in a flood, messages that wait to be stored and answered go before those to be understood.
"""
_READ_IN_ONE_GO: Final = 8
_LOOKS: Final = 64
"""Into so many parts is the bound on what is parked divided: one may come between two looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkingPolicy:
    """Of callbacks that nobody knows yet: `most` wait at once, each `longest_s` seconds at most. In
    quarantine they cost `quarantine_bytes` at most, with what was refused when it came; those at an
    address of their own are not counted, and not removed."""

    most: int = 10_000
    longest_s: float = GIVE_UP_S
    quarantine_bytes: int = GIB


_LONGEST_LINE: Final = 8
"""So many callbacks of one communication may wait to be judged as they come in."""


_Read: TypeAlias = tuple[InboxRow, RequestStatus | WireError | None]
_Stray: TypeAlias = tuple[InboxRow, RequestToken, Correlation]
"""One whose address or token nobody knows yet."""


class MessageReader(Protocol):
    """How stored bytes are understood. Raises WireError."""

    def status(self, raw: bytes) -> RequestStatus: ...

    def status_told(self, message: "ReadMessage") -> RequestStatus:
        """Of one that was read at the door."""


class Correlator:
    """`to_intake` is told that a payload waits."""

    def __init__(
        self,
        store: Store,
        applier: Applier,
        clock: Clock,
        reader: MessageReader,
        messages: MessageLog,
        holds: SwitchHolds,
        at_once: AtOnce,
        to_intake: Callable[[], None],
        parking: ParkingPolicy | None = None,
        signals: Signals | None = None,
    ) -> None:
        self._signals = signals or Signals(clock)
        self._store = store
        self._applier = applier
        self._clock = clock
        self._reader = reader
        self._messages = messages
        self._holds = holds
        self._at_once = at_once
        self._to_intake = to_intake
        self._judging: set[CommunicationId] = set()
        self._lines: dict[CommunicationId, deque[tuple[Received, Taken]] | None] = {}
        """Of which one callback is judged as it came in, and those that wait for their turn."""
        self._parking = parking or ParkingPolicy()
        self._make_way = False
        self._parked = self._parking.most + 1
        """Since the last look at how many there are; at first nobody has looked."""
        self._unknown_bytes = self._parking.quarantine_bytes
        """The same of what those cost that may be in quarantine by now."""

    async def take(self, received: Received) -> bool:
        """Judge a callback as it comes in, and store it with its effect in one transaction: of one
        whose token nobody knows that is to wait.

        False, and nothing was done: it is not plain, and goes the careful way through the inbox.
        """
        if received.message is None or not self._at_once.on:
            return False
        if received.communication is None:
            return await self._take_stray(received)
        told: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        if not self.begin(received, partial(_tell, told)):
            return False
        if (error := await told) is None:
            return True
        if isinstance(error, NotPlain):
            return False
        raise error

    def begin(self, received: Received, then: Taken) -> bool:
        """As `take`, for one at an address of ours: `then` is told how it went, with NotPlain where
        nothing was done. False: so it is already."""
        address = received.communication
        if address is None or received.message is None or not self._at_once.on:
            return False
        if address not in self._lines:
            self._lines[address] = None
            self._take(address, received, then)
            return True
        line = self._lines[address] or deque()
        if len(line) >= _LONGEST_LINE:
            return False
        self._lines[address] = line
        line.append((received, then))
        return True

    def _take(self, address: CommunicationId, received: Received, then: Taken) -> None:
        try:
            plain = self._apply(address, received, then)
        except Exception as error:
            self._taken(address, then, _not_plain(address, error))
        else:
            if not plain:
                self._taken(address, then, NotPlain())

    def _applied(
        self,
        address: CommunicationId,
        received: Received,
        then: Taken,
        traced: TraceSpan,
        error: BaseException | None,
    ) -> None:
        traced.end(error)
        if error is None:
            crash_points.reached("callback.after_apply")
            self._messages.callback(address, received.operation, received.raw)
        elif not isinstance(error, StoreFailed):
            error = _not_plain(address, error)
        self._taken(address, then, error)

    def _taken(self, address: CommunicationId, then: Taken, error: BaseException | None) -> None:
        """One after the other, each against what the one before it has taught."""
        line = self._lines[address]
        if line:
            self._take(address, *line.popleft())
        else:
            del self._lines[address]
        then(error)

    async def _take_stray(self, received: Received) -> bool:
        """A flood of them must cost little: none is read back, and the loop hears of none."""
        assert received.message is not None
        verdict = self._unmatched(received.at)
        if received.operation != STATUS_CHANGED or verdict.look_again_at is None:
            return False
        try:
            token = self._reader.status_told(received.message).token
        except WireError:
            return False  # the careful way says what is wrong with it
        if not await self._store.park(received, token, verdict.reason, verdict.look_again_at):
            return False
        self._count_parked(len(received.raw))
        await self._bound_parked()
        await self._bound_quarantine()
        return True

    def _apply(self, address: CommunicationId, received: Received, then: Taken) -> bool:
        """False: it is not plain."""
        found = self._store.at_hand(address) if address not in self._judging else None
        if found is None:
            return False
        assert received.message is not None
        status = self._reader.status_told(received.message)
        verdict = correlate(
            status,
            found.communication,
            addressed=True,
            received_at=received.at,
            now=received.at,
        )
        event = _event_of(verdict, found, status)
        if event is None:
            return False
        judged = JudgedMessage(
            received=received,
            state=InboxState.APPLIED,
            reason=verdict.match.value,
            command=found.command,
            token=status.token,
        )
        along = SavedWith(actor="head-end", received=(judged,))
        crash_points.reached("callback.before_apply")
        traced = callback_span(found, received.operation, status)
        told = CallbackResult(partial(self._applied, address, received, then, traced))
        self._applier.begin(found.command, event, along, told)
        return True

    async def once(self, *, limit: int = ROWS_AT_ONCE) -> int:
        """Work one batch of the inbox. Returns how many rows were looked at."""
        self._make_way = False
        rows = await self._store.unread(limit=limit, now=self._clock.now())
        if not rows:
            return 0
        looked_at = len(rows)
        crash_points.reached("inbox.before_apply")
        rows = await self._park_on(rows)
        read = await self._read_all(rows)
        found, read = await self._find(read)
        by_id = {item.communication.id: item for item in found}
        by_token = {item.communication.token: item for item in found if item.communication.token}
        seen: set[CommunicationId] = set()
        work = []
        strays: list[_Stray] = []
        unknown: list[InboxRow] = []
        for row, told in read:
            if isinstance(told, RequestStatus):
                known = (
                    by_id.get(row.communication) if row.communication else by_token.get(told.token)
                )
                if known is None:
                    if row.communication is not None and row.state is InboxState.NEW:
                        unknown.append(row)
                    verdict = self._unmatched(row.at)
                    if verdict.match is Match.EARLY:
                        strays.append((row, told.token, verdict))
                        continue
                key = known.communication.id if known else None
                if key is not None and (key in seen or key in self._lines):
                    continue  # judged in the next batch, against what this one learns
                if key is not None:
                    seen.add(key)
                work.append(self._attend(row, partial(self._notify, row, told, known)))
            else:
                work.append(self._attend(row, partial(self._keep, row, told)))
        await self._alarm(unknown)
        self._judging |= seen
        try:
            await asyncio.gather(*work)
        finally:
            self._judging -= seen
        await self._park(strays)
        await self._bound_parked()
        await self._bound_quarantine()
        return looked_at

    async def _park_on(self, rows: Sequence[InboxRow]) -> Sequence[InboxRow]:
        """Parked ones that are as unknown as before wait on, unread. The others."""
        old = [(row, row.token) for row in rows if row.state is InboxState.PARKED and row.token]
        if not old:
            return rows
        addresses = [row.communication for row, _ in old if row.communication is not None]
        tokens = [token for row, token in old if row.communication is None]
        try:
            found = await self._store.find(communications=addresses, tokens=tokens)
        except StoreFailed:
            raise
        except Exception:
            return rows  # row by row it shows whose error it is
        known = {
            name for each in found for name in (each.communication.id, each.communication.token)
        }
        strays: list[_Stray] = []
        for row, token in old:
            if (row.communication or token) not in known:
                verdict = self._unmatched(row.at)
                if verdict.match is Match.EARLY:
                    strays.append((row, token, verdict))
        await self._park(strays)
        parked = {row.id for row, _, _ in strays}
        return [row for row in rows if row.id not in parked]

    async def _park(self, strays: Sequence[_Stray]) -> None:
        """All of them in one change: a flood of them must cost little."""
        if not strays:
            return
        dispositions = tuple(
            Disposition(
                inbox=row.id,
                state=InboxState.PARKED,
                reason=verdict.reason,
                token=token,
                wake=verdict.look_again_at,
            )
            for row, token, verdict in strays
        )
        try:
            await self._store.save([Change(inbox=dispositions)])
        except StoreFailed:
            raise
        except Exception:
            for (row, _, _), each in zip(strays, dispositions, strict=True):
                await self._attend(row, partial(self._save, each))
            return
        for row, _, _ in strays:
            if row.state is InboxState.NEW:
                self._count_parked(len(row.raw))
        for row, _, _ in strays:
            await self._store.set_aside.went_through(RowKind.MESSAGE, row.id)

    def _count_parked(self, size: int) -> None:
        """One more, of so many bytes."""
        self._parked += 1
        self._unknown_bytes += size + ROW_BYTES

    async def _save(self, disposition: Disposition) -> None:
        await self._store.save([Change(inbox=(disposition,))])

    async def _bound_parked(self) -> None:
        """Looked at once a small part of the bound has come."""
        most = self._parking.most
        part = most // _LOOKS
        if self._parked <= part:
            return
        self._parked = 0
        moved = await self._store.bound_parked(most - part)
        if moved:
            log.warning("parked_full_oldest_quarantined", extra={"rows": moved})
            say_quarantined(self._signals, "", "too many callbacks that nobody knows")

    async def _bound_quarantine(self) -> None:
        """The same of what those in quarantine cost whose token nobody knows."""
        most = self._parking.quarantine_bytes
        part = most // _LOOKS
        if self._unknown_bytes < part:
            return
        self._unknown_bytes = 0
        removed = await self._store.bound_quarantine(most - part)
        if removed:
            log.warning("quarantine_full_oldest_removed", extra={"bytes": removed})

    def addressed_came(self) -> None:
        """A message at an address of ours was stored: what has none makes way for it."""
        self._make_way = True

    async def _attend(self, row: InboxRow, work: Callable[[], Awaitable[None]]) -> None:
        await self._store.set_aside.attend(RowKind.MESSAGE, row.id, work())

    async def _read_all(self, rows: Sequence[InboxRow]) -> list[_Read]:
        """Those that can be read, or are known to be garbage; the others are noted as failed. What
        waits to be stored and answered has its turn between any two."""
        read: list[_Read] = []
        for number, row in enumerate(rows):
            if number % _READ_IN_ONE_GO == _READ_IN_ONE_GO - 1:
                await asyncio.sleep(0)  # those that wait to be stored and answered
                if self._make_way and row.communication is None:
                    break  # the others are as due as they were
            try:
                read.append((row, self._read(row)))
            except Exception as error:
                await self._store.set_aside.fail(RowKind.MESSAGE, row.id, error)
        return read

    async def _find(self, read: list[_Read]) -> tuple[Sequence[Found], list[_Read]]:
        """The communications, in one question; where one of them cannot be read, row by row."""
        try:
            return await self._communications(read), read
        except StoreFailed:
            raise
        except Exception as error:
            if len(read) == 1:
                await self._store.set_aside.fail(RowKind.MESSAGE, read[0][0].id, error)
                return (), []
        found: list[Found] = []
        left: list[_Read] = []
        for each in read:
            some, still = await self._find([each])
            found += some
            left += still
        return found, left

    async def _communications(self, read: Sequence[_Read]) -> Sequence[Found]:
        communications = [row.communication for row, _ in read if row.communication is not None]
        tokens = [
            told.token
            for row, told in read
            if isinstance(told, RequestStatus) and row.communication is None
        ]
        return await self._store.find(communications=communications, tokens=tokens)

    def _read(self, row: InboxRow) -> RequestStatus | WireError | None:
        """None for what is not read here."""
        if row.operation != STATUS_CHANGED:
            return None
        try:
            return self._reader.status(row.raw)
        except WireError as error:
            return error

    async def _keep(self, row: InboxRow, told: WireError | None) -> None:
        """Data, events and exceptions are the intake's work; of others the raw bytes stay."""
        if isinstance(told, WireError):
            await self._close(row, InboxState.QUARANTINED, str(told))
        elif row.operation in PAYLOADS:
            taking = Disposition(inbox=row.id, state=InboxState.LOADING)
            await self._store.save([Change(inbox=(taking,))])
            self._to_intake()
        else:
            stored = Disposition(inbox=row.id, state=InboxState.STORED)
            await self._store.save([Change(inbox=(stored,))])

    def _unmatched(self, received_at: datetime) -> Correlation:
        return unmatched(
            received_at=received_at, now=self._clock.now(), give_up_s=self._parking.longest_s
        )

    async def _notify(self, row: InboxRow, status: RequestStatus, found: Found | None) -> None:
        verdict = correlate(
            status,
            found.communication if found else None,
            addressed=row.communication is not None,
            received_at=row.at,
            now=self._clock.now(),
            give_up_s=self._parking.longest_s,
        )
        if found is not None:
            self._messages.callback(found.communication.id, row.operation, row.raw)
        event = None if found is None else _event_of(verdict, found, status)
        if found is None or event is None:
            await self._leave(row, status, verdict, found)
            return
        done = Disposition(
            inbox=row.id,
            state=InboxState.APPLIED,
            reason=verdict.match.value,
            command=found.command,
            token=status.token,
        )
        try:
            with callback_span(found, row.operation, status):
                await self._applier.apply(
                    found.command, event, SavedWith(actor="head-end", inbox=(done,))
                )
        except TokenTaken as error:
            quarantined = InboxState.QUARANTINED
            await self._close(row, quarantined, str(error), status=status, found=found)
        except Conflict as error:
            # The communication moved while this was judged: judge again against what it is now.
            words = {"inbox": row.id, "communication": found.communication.id, "reason": str(error)}
            log.info("callback_moved", extra=words)

    async def _alarm(self, rows: Sequence[InboxRow]) -> None:
        """A request is stored before it leaves, and only we sign addresses: another store has sent
        these. Said once, and again for what a person has judged anew; of those that come together
        in one line, for a flood of them must cost little."""
        if not rows:
            return
        row, others = rows[0], len(rows) - 1
        text = (
            f"message {row.id} came at the address of {row.communication}, which we signed and the "
            "store does not know: the store is an older copy, or another one has its key"
        )
        words = {
            "inbox": row.id,
            "communication": row.communication,
            "others": others,
            "reason": text,
        }
        log.critical("callback_of_unknown_communication", extra=words)
        if self._holds.of(HoldReason.OLDER_STORE) is None:
            hold = Hold(reason=HoldReason.OLDER_STORE, since=self._clock.now(), text=text)
            await self._holds.hold(hold)

    async def _leave(
        self, row: InboxRow, status: RequestStatus, verdict: Correlation, found: Found | None
    ) -> None:
        match verdict.match:
            case Match.DUPLICATE:
                ignored = InboxState.IGNORED
                await self._close(row, ignored, verdict.reason, status=status, found=found)
            case Match.UNKNOWN:
                # It keeps a wake: should its token become known all the same, it comes back.
                self._unknown_bytes += len(row.raw) + ROW_BYTES
                await self._close(
                    row,
                    InboxState.QUARANTINED,
                    verdict.reason,
                    status=status,
                    wake=self._clock.now(),
                )
            case _:
                quarantined = InboxState.QUARANTINED
                await self._close(row, quarantined, verdict.reason, status=status, found=found)

    async def _close(
        self,
        row: InboxRow,
        state: InboxState,
        reason: str,
        *,
        status: RequestStatus | None = None,
        wake: datetime | None = None,
        found: Found | None = None,
    ) -> None:
        done = Disposition(
            inbox=row.id,
            state=state,
            reason=reason,
            command=found.command if found else None,
            token=status.token if status else None,
            wake=wake,
        )
        audit: tuple[AuditNote, ...] = ()
        if state is InboxState.QUARANTINED:
            audit = (
                AuditNote(
                    actor="gateway",
                    action="Quarantined",
                    subject=f"inbox:{row.id}",
                    detail={"reason": reason},
                ),
            )
            words = {"inbox": row.id, "communication": row.communication, "reason": reason}
            log.warning("message_quarantined", extra=words)
            say_quarantined(self._signals, row.operation, reason, row.remote)
        await self._store.save([Change(inbox=(done,), audit=audit)])


def _not_plain(address: CommunicationId, error: BaseException) -> NotPlain:
    """Nothing was saved: the careful way finds out, and notes it."""
    log.info("callback_not_plain", extra={"communication": address, "reason": repr(error)})
    return NotPlain()


def _tell(told: asyncio.Future[BaseException | None], error: BaseException | None) -> None:
    if not told.done():
        told.set_result(error)


def _event_of(verdict: Correlation, found: Found, status: RequestStatus) -> Event | None:
    """None where the callback moves nothing."""
    match verdict.match:
        case Match.MATCHED:
            return StatusNotified(communication=found.communication.id, status=status)
        case Match.LATE:
            return LateNotified(communication=found.communication.id, status=status)
        case _:
            return None

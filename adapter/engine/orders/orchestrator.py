"""Carries service orders through: wakes them, hands their children out, takes what comes back.

One order is worked by one task at a time; the version of its case guards it besides. What is to be
done next is always in the store: a restart loses nothing, and a lost hint heals within a poll.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from types import MappingProxyType
from typing import Final

from adapter.commands import steps
from adapter.commands.activity import Command, State
from adapter.commands.clocks import ClockError
from adapter.engine import crash_points
from adapter.engine.commands.commands import Commands
from adapter.engine.commands.ports import Clock, Store
from adapter.engine.commands.switch_holds import SwitchHolds
from adapter.engine.listing import UnreadableRow, refuse_unreadable
from adapter.engine.orders.child_commands import at_head_end, is_of, unsent
from adapter.engine.orders.deliveries import Deliveries
from adapter.engine.orders.facts import (
    MasterDataFailed,
    MeasurementsFailed,
)
from adapter.engine.orders.field_work import FieldWork
from adapter.engine.orders.named_locks import NamedLocks
from adapter.engine.orders.ports import (
    CaseSaved,
    Child,
    OrderChange,
    OrderFilter,
    OrderLook,
    OrderRecord,
    OrderRules,
    OrderStore,
    OrderWorld,
    Requester,
)
from adapter.engine.orders.site_facts import SiteFactsReader
from adapter.engine.orders.unit_of_work import FactsWanted, UnitOfWork, decides
from adapter.engine.orders.unit_of_work_children import fail_command, refresh_command
from adapter.engine.orders.unit_of_work_order import (
    correct_clock,
    monitor_order,
    net_orders,
    retry_unblocked,
    take_netting,
    withdraw_order,
)
from adapter.engine.tracing import SpanName, span
from adapter.engine.upkeep.clock_correction import CorrectionStore, accepted_by
from adapter.engine.upkeep.set_aside import RowKind
from adapter.errors import Conflict, InvalidRequest, NotFound
from adapter.model.device import Device
from adapter.model.ids import CommandId, OrderId
from adapter.orders.activities import ChildKind
from adapter.orders.commands import command_request
from adapter.orders.maintenance import MaintenanceActivity
from adapter.orders.netting import netted_with
from adapter.orders.order import (
    ChildId,
    OrderKind,
)
from adapter.orders.switching import disconnects

log = logging.getLogger(__name__)

_TRIES: Final = 20
_ROUNDS: Final = 100
_LISTED: Final = 500

NOTHING_SUBMITTED: Final[Mapping[ChildId, CommandId]] = MappingProxyType({})

Change = Callable[[UnitOfWork], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenOrder:
    """An order with the commands of its open children, and with what is at its service point where
    that was asked for. `taken` are the ids under the keys of those children."""

    case: OrderRecord
    world: OrderWorld | None
    taken: Mapping[ChildId, CommandId] = field(default_factory=dict)
    commands: Mapping[ChildId, Command] = field(default_factory=dict)


class Orchestrator:
    """`command_store` is where the commands are kept. `saved` is called with every change that was
    saved: a hint, never needed for truth."""

    def __init__(
        self,
        store: OrderStore,
        command_store: Store,
        commands: Commands,
        facts: SiteFactsReader,
        holds: SwitchHolds,
        field_work: FieldWork,
        requester: Requester,
        clock: Clock,
        rules: OrderRules,
        *,
        lease_s: float = 30.0,
        saved: Callable[[OrderChange], None] = lambda change: None,
    ) -> None:
        self.store = store
        self.facts = facts
        self.rules = rules
        self._command_store = command_store
        self._commands = commands
        self._holds = holds
        self._clock = clock
        self._pause = timedelta(seconds=lease_s)
        self._saved = saved
        self.deliveries = Deliveries(
            store, field_work, requester, clock, rules, self._told, lease=self._pause
        )
        self._locks = NamedLocks()
        self._unclear: set[OrderId] = set()
        """Withdrawn orders that wait to learn whether a command of theirs was taken."""
        self._hinted: dict[OrderId, None] = {}
        """Orders to look at soon, in the order of the hints."""

    # ------------------------------------------------------------ loops

    async def once(self, *, limit: int = 64) -> int:
        """Attend the orders that are due. Returns how many. None while the clock is in doubt:
        what an order does next is a matter of its dates."""
        if self._holds.doubts_clock:
            return 0
        now = self._clock.now()
        hinted = self._take_hinted(limit)
        due, attended = await asyncio.gather(
            self.store.due(limit=limit, now=now), self._all(hinted)
        )
        missed = [order for order, done in attended.items() if not done]
        if missed:
            await self.store.wake(missed, now + self._pause)
        attended |= await self._all([order for order in due if order not in attended])
        later = [order for order, done in attended.items() if done is False]
        if later:
            await self.store.put_off(later, now, now + self._pause)
        return len(attended)

    def hint(self, orders: Iterable[OrderId]) -> None:
        """Have orders looked at soon. What is lost of it heals when they look by themselves."""
        self._hinted.update(dict.fromkeys(orders))

    def command_moved(self, command: Command) -> bool:
        """Whether an order waits for that news: its command may be called back now. A hint, for
        time counts; without it the order looks again soon."""
        order = command.request.order
        if order is None or order not in self._unclear or steps.unclear(command) is not None:
            return False
        self.hint((OrderId(order),))
        return True

    def _take_hinted(self, limit: int) -> list[OrderId]:
        taken = list(islice(self._hinted, limit))
        for order in taken:
            del self._hinted[order]
        return [x for x in taken if not self.store.set_aside.held(RowKind.ORDER, x)]

    async def _all(self, orders: Sequence[OrderId]) -> dict[OrderId, bool | None]:
        """Whether each was come to; None where it failed."""
        return dict(zip(orders, await asyncio.gather(*map(self._one, orders)), strict=True))

    async def _one(self, order: OrderId) -> bool | None:
        return await self.store.set_aside.attend(RowKind.ORDER, order, self._attend(order))

    async def _attend(self, order: OrderId) -> bool:
        """Whether it was come to."""
        try:
            async with self.working(order):
                await self.carry_on(order)
        except (Conflict, MasterDataFailed, MeasurementsFailed) as error:
            # The order stays due in the store: it is looked at again after a pause. A site's own
            # system may be away for as long as it likes.
            log.warning("order_not_attended", extra={"order": order, "reason": str(error)})
            return False
        return True

    # ------------------------------------------------------------ one order

    def working(self, order: OrderId) -> AbstractAsyncContextManager[None]:
        """Nobody else in this process works on the order meanwhile."""
        return self._locks.holding(order)

    async def act(
        self, order: OrderId, change: Change, *, arriving: Device | None = None, facts: bool = False
    ) -> UnitOfWork:
        """Apply one change to the order as it is now, and let it go on from there.

        `arriving` is one that a crew reports as installed; `facts`: the change will ask for them.
        The caller is `working` on the order. Raises NotFound, or what `change` raises; nothing was
        changed then.
        """
        work = await self.apply(
            order, change, arriving=arriving, facts=facts, looking=not self._holds.doubts_clock
        )
        if not work.settled:
            await self.carry_on(order, work.saved)
        return work

    async def apply(
        self,
        order: OrderId,
        change: Change,
        *,
        arriving: Device | None = None,
        facts: bool = False,
        loaded: _OpenOrder | None = None,
        looking: bool = False,
    ) -> UnitOfWork:
        """Like `act`, and leave what follows to the loop, but for the look that can be saved along
        where `looking`. `loaded` is how the order is."""
        for _ in range(_TRIES):
            found = loaded or await self._load(order, facts=facts)
            loaded = None
            work, write, unclear = await self._stepped(found, change, arriving, looking=looking)
            saved = await self._save(work, write)
            if saved in (CaseSaved.SAVED, CaseSaved.KNOWN):
                work.repeated = saved is CaseSaved.KNOWN
                (self._unclear.add if unclear else self._unclear.discard)(order)
                await self._withdrawn(work)
                await self._netted(work)
                return work
            if saved is CaseSaved.REFERENCE_TAKEN:
                raise Conflict("the reference belongs to a request about another order")
            if saved is CaseSaved.LEAVING:
                raise Conflict(f"a message of order {order} is just leaving; try again")
        raise Conflict(f"order {order} keeps moving; try again")

    async def _save(self, work: UnitOfWork, write: OrderChange) -> CaseSaved:
        if work.is_needless(write):
            return CaseSaved.SAVED
        crash_points.reached("order.before_save")
        if work.settled:
            (saved,) = await self.store.save([write])
        else:
            saved, work.saved = await self.store.save_and_look(write, _decides)
        crash_points.reached("order.after_save")
        if saved is CaseSaved.SAVED:
            self._saved(write)
        return saved

    async def _stepped(
        self,
        found: _OpenOrder,
        change: Change,
        arriving: Device | None,
        *,
        looking: bool,
        facts: bool = False,
    ) -> tuple[UnitOfWork, OrderChange, bool]:
        """The order after the change, and whether it waits to learn what became of a command. The
        facts are loaded where they are asked for."""
        work = await self._work(found, arriving, facts=facts or found.world is not None)
        try:
            if work.lacks_facts and work.decides:
                raise FactsWanted
            return _changed(work, change, looking=looking)
        except FactsWanted:
            return await self._stepped(found, change, arriving, looking=looking, facts=True)
        except Exception:
            if not looking:
                raise
            # What was reported is kept, whatever the look that it leads to comes to.
            return await self._stepped(found, change, arriving, looking=False, facts=facts)

    async def carry_on(self, order: OrderId, look: OrderLook | None = None) -> None:
        """Look, hand out commands, look again, until the order waits for somebody else. `look` is
        how it was when it was saved."""
        if self._holds.doubts_clock:
            return
        for _ in range(_ROUNDS):
            found = await self._load(order) if look is None else await self._opened(look)
            asked = found.case.order
            with span(SpanName.ORDER_PASS, asked.trace, order=order, kind=asked.kind) as traced:
                work, more = await self._pass(order, found)
                traced.set("outcome", work.order.state.name.lower())
            if not more:
                return
            look = work.saved
        log.error("order_keeps_moving", extra={"order": order})

    async def _pass(self, order: OrderId, found: _OpenOrder) -> tuple[UnitOfWork, bool]:
        """One look at it, and whether it needs another at once."""
        submitted = await self._hand_out(found)
        if await self._stop_commands(found.case) or submitted is not None:
            found = await self._load(order, submitted=submitted or {})
        work = await self.apply(order, await self._look(found.case), loaded=found)
        await self._call_back_overtaken(work)
        blocked = work.blocked_by is not None and work.case.blocked_by is None
        more = work.stale or submitted is not None or work.unsubmitted or blocked
        return work, more and not work.settled

    async def _told(self, order: OrderId, change: Change) -> None:
        async with self.working(order):
            await self.act(order, change)

    async def _look(self, case: OrderRecord) -> Change:
        """The monitor's look; where another order stood in the way, whether it is gone."""
        blocker = case.blocked_by
        if blocker is None:
            return monitor_order
        found = (await self.store.load([blocker])).get(blocker)
        gone = found is None or found.order.final

        def look(work: UnitOfWork) -> None:
            if found is not None:
                net_orders(work, found.order)
            if gone:
                retry_unblocked(work)
            monitor_order(work)

        return look

    async def _netted(self, work: UnitOfWork) -> None:
        """Orders whose switching this one makes needless, or no longer does, are told; where that
        is lost, the next look at this one tells them."""
        order = work.order
        for other in work.nets:
            nets = netted_with(order) == other
            async with self.working(other):
                try:
                    await self.act(other, _net(order.id, nets=nets))
                except Conflict as error:
                    log.info("order_not_netted", extra={"order": other, "reason": str(error)})

    async def _withdrawn(self, work: UnitOfWork) -> None:
        """Orders that this one makes void end now, before they can create a child."""
        for other in work.supersedes:
            await self._withdraw(other, by=work.order.id)

    async def _call_back_overtaken(self, work: UnitOfWork) -> None:
        """What the order waits for and makes void is withdrawn once; it ends as it comes out."""
        other = work.overtaken
        if other is None:
            return
        found = (await self.store.load([other])).get(other)
        if found is not None and not found.order.stop:
            await self._withdraw(other, by=work.order.id)

    async def _withdraw(self, other: OrderId, *, by: OrderId) -> None:
        async with self.working(other):
            try:
                await self.call_back(other, reason=by)
                await self.act(other, _void(by))
            except Conflict as error:
                log.info("order_not_withdrawn", extra={"order": other, "reason": str(error)})

    # ------------------------------------------------------------ facts

    async def case(self, order: OrderId) -> OrderRecord:
        """Raises NotFound."""
        found = (await self.store.load([order])).get(order)
        if found is None:
            raise NotFound(f"no order {order}")
        return found

    async def request(self, order: OrderId, request: str) -> MaintenanceActivity:
        """Raises NotFound."""
        case = await self.case(order)
        for each in case.requests:
            if each.id == request:
                return each
        raise NotFound(f"no request {request} about order {order}")

    async def order_of(self, child: ChildId) -> OrderId:
        """Raises NotFound."""
        order = await self.store.order_of(child)
        if order is None:
            raise NotFound(f"no activity {child}")
        return order

    async def unit_of_work(self, order: OrderId) -> UnitOfWork:
        """The case with its facts, loaded anew. Raises NotFound."""
        return await self._work(await self._load(order, facts=True), None, facts=True)

    async def _load(
        self,
        order: OrderId,
        *,
        facts: bool = False,
        submitted: Mapping[ChildId, CommandId] = NOTHING_SUBMITTED,
    ) -> _OpenOrder:
        """The order as it is now; what is at its service point where the next look is one at the
        world, or where `facts` are asked for. Raises NotFound."""

        found = await self.store.look(order, _always if facts else _decides)
        if found is None:
            raise NotFound(f"no order {order}")
        return await self._opened(found, submitted)

    async def _opened(
        self, look: OrderLook, submitted: Mapping[ChildId, CommandId] = NOTHING_SUBMITTED
    ) -> _OpenOrder:
        case, world = look
        taken = await self._taken(case, submitted)
        commands = await self._commands_of(case, taken)
        return _OpenOrder(case=case, world=world, taken=taken, commands=commands)

    async def _work(self, found: _OpenOrder, arriving: Device | None, *, facts: bool) -> UnitOfWork:
        site = await self.facts.of(found.case, found.world, arriving) if facts else None
        work = UnitOfWork(found.case, site, self.rules, now=self._clock.now())
        for child, command in found.commands.items():
            refresh_command(work, child, command)
        return work

    async def _taken(
        self, case: OrderRecord, submitted: Mapping[ChildId, CommandId]
    ) -> Mapping[ChildId, CommandId]:
        """The commands of the open children; one that was submitted is found by its key."""
        ids: dict[ChildId, CommandId] = {}
        for child in case.children:
            if child.fact.spec.kind is not ChildKind.COMMAND or child.fact.final:
                continue
            id_ = child.fact.id
            known = child.command or submitted.get(id_) or await self._command_store.by_key(id_)
            if known is not None:
                ids[id_] = known
        return ids

    async def _commands_of(
        self, case: OrderRecord, ids: Mapping[ChildId, CommandId]
    ) -> Mapping[ChildId, Command]:
        if not ids:
            return {}
        loaded = await self._command_store.load(list(ids.values()))
        found = {child: loaded[command] for child, command in ids.items() if command in loaded}
        return {child: each for child, each in found.items() if is_of(each, case, child)}

    # ------------------------------------------------------------ commands

    async def _hand_out(self, found: _OpenOrder) -> Mapping[ChildId, CommandId] | None:
        """Submit the commands that the gateway does not have yet. The key makes it safe to repeat.

        Returns those that it has taken; None where there was none to submit.
        """
        waiting = [
            child
            for child in found.case.children
            if child.fact.spec.kind is ChildKind.COMMAND
            and not child.fact.final
            and child.fact.id not in found.commands
        ]
        submitted: dict[ChildId, CommandId] = {}
        for child in waiting:
            command = await self._submit(found.case, child, found.taken.get(child.fact.id))
            if command is not None:
                submitted[child.fact.id] = command
        return submitted if waiting else None

    async def _submit(
        self, case: OrderRecord, child: Child, taken: CommandId | None
    ) -> CommandId | None:
        """`taken`: the idempotency key is that of another command."""
        fact, command = child.fact, None
        crash_points.reached("order.before_submit")
        try:
            request = command_request(case.order, fact.id, fact.spec, at=fact.created_at)
            if taken is not None:
                raise InvalidRequest("idempotency_key", f"is that of command {taken}")
            made = await self._commands.submit(
                request, actor=f"order:{case.order.id}", order_kind=case.order.kind.value
            )
            command = made.id
        except InvalidRequest as error:
            reason = str(error)
            await self.apply(case.order.id, lambda work: fail_command(work, fact.id, reason))
        crash_points.reached("order.after_submit")
        return command

    async def call_back(
        self, order: OrderId, *, reason: str, sent: bool = False
    ) -> frozenset[ChildId]:
        """Cancel commands of which nothing has left, so that the order can end at once; with
        `sent`, have the head end asked to cancel what is with it. The children that ended so.

        One whose outcome is unclear is not called back before its outcome is known. A customer
        whom the order left dark is waiting for them: those are left alone. What cannot be cancelled
        any more shows in the facts, which decide.
        """
        found = await self._load(order, facts=True)
        if (await self._work(found, None, facts=True)).dark:
            return frozenset()
        ended: set[ChildId] = set()
        for child, command in found.commands.items():
            try:
                if command.activity.state is State.VALIDATION_ERROR:
                    await self._commands.discard(command.id, by=f"order:{order}", reason=reason)
                    ended.add(child)
                elif unsent(command):
                    await self._commands.cancel(command.id, by=f"order:{order}", reason=reason)
                    ended.add(child)
                elif sent and at_head_end(command):
                    await self._commands.cancel(command.id, by=f"order:{order}", reason=reason)
            except Conflict as error:
                words = {"command": command.id, "order": order, "reason": str(error)}
                log.info("command_not_called_back", extra=words)
        return frozenset(ended)

    async def _stop_commands(self, case: OrderRecord) -> bool:
        """A withdrawn order wants no command of its own to be carried out that may still be called
        back, one that is netted no disconnect to leave. That it is withdrawn is on disk before:
        after a crash this comes again. The mark of a pair may be older than the end of the other.
        Returns whether there was a reason to."""
        open_ = [x.fact.spec for x in case.children if x.command and not x.fact.final]
        other = netted_with(case.order) if case.order.kind is OrderKind.DISABLE else None
        if case.order.stop and open_:
            await self.call_back(case.order.id, reason=case.order.stop, sent=True)
            return True
        if other is not None and any(map(disconnects, open_)) and await self._is_open(other):
            await self.call_back(case.order.id, reason=f"netted with order {other}")
            return True
        return False

    async def _is_open(self, order: OrderId) -> bool:
        found = (await self.store.load([order])).get(order)
        return found is not None and not found.order.final

    async def correct_clock(self, error: ClockError, store: CorrectionStore) -> None:
        """Mend what a wrong clock wrote into open orders, and have all of them looked at.

        Raises Conflict, with the others mended, where one cannot be read: it may have wrong times.
        """
        before: OrderId | None = None
        unreadable: list[UnreadableRow] = []
        while True:
            listing = await self.store.list(
                OrderFilter(open_only=True, before=before, limit=_LISTED)
            )
            if not listing.ids:
                break
            unreadable += listing.unreadable
            ids = [order.id for order in listing.rows]
            wrong = await accepted_by(store, ids, error)
            for order in ids:
                await self._correct_one(order, error.ahead_s, by_wrong_clock=order in wrong)
            await self.store.wake(ids, self._clock.now())
            before = listing.ids[-1]
        refuse_unreadable("order", unreadable)

    async def _correct_one(self, order: OrderId, ahead_s: float, *, by_wrong_clock: bool) -> None:
        def correct(work: UnitOfWork) -> None:
            correct_clock(work, ahead_s=ahead_s, by_wrong_clock=by_wrong_clock)

        async with self.working(order):
            work = await self.unit_of_work(order)
            correct(work)
            if work.changed:
                await self.apply(order, correct)

    async def retry_command(self, child: Child, *, by: str) -> None:
        """Have the gateway try a command in error again. Raises Conflict where it cannot."""
        if child.command is not None and not child.fact.final:
            await self._commands.retry(child.command, by=by)


def _always(case: OrderRecord) -> bool:
    return True


def _decides(case: OrderRecord) -> bool:
    return decides(case.order, case.children)


def _net(enable: OrderId, *, nets: bool) -> Change:
    def net(work: UnitOfWork) -> None:
        take_netting(work, enable, nets=nets)

    return net


def _void(by: OrderId) -> Change:
    def void(work: UnitOfWork) -> None:
        if not work.order.final:
            reason = f"superseded by order {by}"
            withdraw_order(work, who=f"order:{by}", reason=reason, restored_by=by)

    return void


def _changed(
    work: UnitOfWork, change: Change, *, looking: bool
) -> tuple[UnitOfWork, OrderChange, bool]:
    change(work)
    if looking and work.looks_at_once:
        work.stale = False
        monitor_order(work)
    return work, work.write(), work.awaits_outcome

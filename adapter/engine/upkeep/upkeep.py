"""What keeps the gateway honest and fit: its audit and counts, why it holds, what it removes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from adapter.engine.commands.ports import AuditEntry, AuditNote, Change, Ledger, Store
from adapter.engine.commands.switch_holds import Hold, SwitchHolds
from adapter.engine.commands.switch_safety import SwitchSafety
from adapter.engine.registry.registry import Registry
from adapter.engine.runner import Runner
from adapter.engine.upkeep.callback_checks import CallbackChecks
from adapter.engine.upkeep.clock_watch import ClockWatch
from adapter.engine.upkeep.durations import Durations
from adapter.engine.upkeep.loop_lag import LoopLag
from adapter.engine.upkeep.retention import Retention
from adapter.engine.upkeep.signals import Signals
from adapter.engine.upkeep.todo import Todos
from adapter.engine.upkeep.witness import Witness
from adapter.errors import StoreFailed

Doubt = Callable[[], Awaitable[str]]
"""Asked what is wrong now; empty: nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What people have to see to: why switch orders are held, how many endpoints more than one
    device names, and what is `wrong` now. `leaving`: the process is about to stop."""

    held: Sequence[Hold]
    shared_endpoints: int
    wrong: Sequence[str] = ()
    leaving: bool = False


class Upkeep:
    """For those who run the gateway and those who check it. The audit and the counts are here; why
    switch orders are held, limits and overrides, the watch over the clock, the removal of old rows,
    the rows that were set aside and what waits for people are parts of it, each with what can be
    asked there.

    Raises StoreFailed, also where the audit's chain is broken; its parts raise NotFound, Conflict
    and InvalidRequest as well.
    """

    def __init__(
        self,
        store: Store,
        *,
        holds: SwitchHolds,
        switch_safety: SwitchSafety,
        clock_watch: ClockWatch,
        retention: Retention,
        todo: Todos,
        signals: Signals,
        durations: Durations,
        registry: Registry,
        runner: Runner,
        callback_checks: CallbackChecks,
        witness: Witness | None = None,
    ) -> None:
        self._store = store
        self._registry = registry
        self._runner = runner
        self.holds = holds
        self.switch_safety = switch_safety
        self.clock_watch = clock_watch
        self.retention = retention
        self.todo = todo
        self.signals = signals
        self.durations = durations
        self.callback_checks = callback_checks
        self.loop_lag = LoopLag()
        self.doubts: list[Doubt] = []
        self.leaving = False
        """Set when the process is about to stop: who balances loads takes it away first."""
        self.witness = witness
        self.set_aside = store.set_aside

    async def ledger(self) -> Ledger:
        """Counts that must agree with each other (I10)."""
        return await self._store.ledger()

    async def audit(self, *, after: int = 0, limit: int = 1000) -> Sequence[AuditEntry]:
        """Entries after a number, oldest first."""
        return await self._store.audit(after=after, limit=limit)

    async def audit_head(self) -> tuple[int, str]:
        """Number and digest of the newest entry."""
        return await self._store.audit_head()

    async def verify_audit(self, *, head: tuple[int, str] | None = None) -> int:
        """Walk the whole chain, to the witness and through a `head` that was kept elsewhere. How
        many entries it has; raises StoreFailed where it is broken, or the witness cannot be read.
        """
        heads = [] if head is None else [head]
        if self.witness is not None:
            heads += await self.witness.heads()
        return await self._store.verify_audit(heads)

    async def note_refusal(self, *, by: str, why: Mapping[str, object]) -> None:
        """Audit a call that was turned away before it was a call."""
        audit = AuditNote(actor=by, action="Refused", subject="api", detail=why)
        await self._store.save([Change(audit=(audit,))])

    async def ready(self) -> Readiness:
        """Raises StoreFailed where the store has failed, or does not answer now."""
        failed = self._runner.failed
        if failed is not None and failed.done():
            raise StoreFailed("the store has failed")
        await self._store.by_key("")  # of no row is anything read that could be damaged
        wrong = [await doubt() for doubt in self.doubts]
        return Readiness(
            held=self.holds.all(),
            shared_endpoints=len(self._registry.shared_endpoints),
            wrong=[each for each in wrong if each],
            leaving=self.leaving,
        )

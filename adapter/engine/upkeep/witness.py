"""The head of the audit chain, written outside the store, so that a cut tail or an old copy shows.

A store restored from a backup does not know what was sent since: its budget and its list of sends
are stale. Then switch orders stay held, also over a restart, until an operator has looked and has
confirmed it. So that nothing of a switch order can be missing in the witness, it is written before
the order leaves.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from adapter.commands.effects import Severity
from adapter.engine.commands.ports import Change, Clock, Publication, Store
from adapter.engine.commands.switch_holds import Hold, HoldReason, HoldStore, SwitchHolds
from adapter.engine.upkeep.witness_file import (
    WitnessDamaged,
    Witnessed,
    read_witness,
    write_witness,
)
from adapter.errors import Conflict, StoreFailed
from adapter.model.ids import EventId

log = logging.getLogger(__name__)

_EVERY_S: Final = 10.0
_ORIGIN: Final = (0, "0" * 64)
"""Number and digest of the chain's head before its first entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessPolicy:
    """Where the witness is, and what is asked of people.

    `apart`: the witness is not with the store, and comes back with no backup of it. Else a stop
    longer than `ask_after_s` may have been a copy's; 0 asks never. Every `head_every_s` the head
    is given out; 0 never.
    """

    path: Path
    apart: bool = False
    ask_after_s: float = 900.0
    head_every_s: float = 3_600.0


class Witness:
    """The file beside the store: compared with it at the start, written before a switch order
    leaves. Raises nothing for an older store: it holds connects and disconnects."""

    def __init__(
        self,
        store: Store,
        hold_store: HoldStore,
        holds: SwitchHolds,
        clock: Clock,
        policy: WitnessPolicy,
    ) -> None:
        self._store = store
        self._hold_store = hold_store
        self._holds = holds
        self._clock = clock
        self._policy = policy
        self._one = asyncio.Lock()
        self._noted: int | None = None
        """The number that this process has written down last."""
        self._looked_s: float | None = None
        self._given_s: float | None = None
        self._given = 0
        holds.confirmers[HoldReason.OLDER_STORE] = self._confirmed
        holds.confirmers[HoldReason.WITNESS] = self._confirmed_unwritten
        holds.witnessed = self.before_switch

    async def check(self) -> None:
        """Hold switch orders where the store may be an older copy. Before anything is written to
        it, and after the holds were loaded."""
        if self._untrusted:
            return
        why = await self.contradiction()
        if why is None:
            await self.try_note()
            return
        log.critical(
            "store_older_than_witness", extra={"witness": str(self._policy.path), "reason": why}
        )
        now = self._clock.now()
        await self._holds.hold(Hold(reason=HoldReason.OLDER_STORE, since=now, text=why))

    @property
    def _untrusted(self) -> bool:
        """Then what was witnessed must stay, for the operator and a restart."""
        return self._holds.of(HoldReason.OLDER_STORE) is not None

    async def contradiction(self) -> str | None:
        """What speaks against this store being the one that ran last; None where nothing does."""
        name = self._policy.path.name
        try:
            seen = await asyncio.to_thread(read_witness, self._policy.path)
        except WitnessDamaged as error:
            return f"{error}: whether the store is an older copy cannot be seen"
        if seen is None:
            if (await self._store.audit_head())[0] == 0:
                return None
            return f"{name} is missing: whether the store is an older copy cannot be seen"
        if not await self._has(seen):
            return (
                f"the store lacks an entry that {name} has seen, or cannot read it: it is an older "
                "copy, or damaged"
            )
        if seen.copied:
            return f"{name} is a copy of what was written: so the store may be one, from a backup"
        return await self._long_stop()

    async def _has(self, seen: Witnessed) -> bool:
        if seen.seq == 0:
            return (seen.seq, seen.digest) == _ORIGIN
        try:
            found = await self._store.audit(after=seen.seq - 1, limit=1)
        except msgspec.DecodeError:
            return False
        return bool(found) and (found[0].seq, found[0].digest) == (seen.seq, seen.digest)

    async def _long_stop(self) -> str | None:
        """A snapshot of a whole machine brings store and witness back as they were."""
        limit = self._policy.ask_after_s
        if self._policy.apart or not limit:
            return None
        last = await self._hold_store.clock_seen()
        if last is None:
            return None
        stopped = (self._clock.now() - last).total_seconds()
        if stopped <= limit or not await self._hold_store.switches_open():
            return None
        return (
            f"the gateway did not run for {stopped / 60:.0f} minutes: what was accepted before "
            "that and not sent may have been sent by another copy of the store"
        )

    async def _confirmed(self, by: str, why: str) -> None:
        """People have looked: this store is the one to go on with."""
        await self._holds.lift(HoldReason.OLDER_STORE, by=by, why=why)
        await self.try_note()

    async def _confirmed_unwritten(self, by: str, why: str) -> None:
        """It is tried again: nobody can say that it was written."""
        await self.try_note()
        hold = self._holds.of(HoldReason.WITNESS)
        if hold is not None:
            raise Conflict(hold.text)

    # ------------------------------------------------------------ write it down

    async def before_switch(self) -> bool:
        """What the store has now is on the witness when this returns; False where it is not, and
        nothing may leave. Many that ask at once share one writing."""
        if self._untrusted:
            return False
        seq, _ = await self._store.audit_head()
        async with self._one:
            if self._noted is not None and self._noted >= seq:
                return True
            return await self._try_note()

    async def once(self) -> int:
        """Write the head down where it has moved, and give it out when that is due. Always 0: the
        loop rests after it."""
        now_s = self._clock.elapsed_s()
        if self._looked_s is None or now_s - self._looked_s >= _EVERY_S:
            self._looked_s = now_s
            await self.try_note()
            await self._give_out(now_s)
        return 0

    async def try_note(self) -> None:
        """Write the head down, unless what was witnessed must stay."""
        async with self._one:
            if not self._untrusted:
                await self._try_note()

    async def _try_note(self) -> bool:
        """Where that fails the older note stays, and switch orders wait until it can be written."""
        seq, digest = await self._store.audit_head()
        unwritten = self._holds.of(HoldReason.WITNESS)
        if seq == self._noted and unwritten is None:
            return True
        try:
            await asyncio.to_thread(write_witness, self._policy.path, seq, digest)
        except OSError as error:
            text = f"{self._policy.path.name} cannot be written: {error.strerror or error}"
            since = self._clock.now() if unwritten is None else unwritten.since
            await self._holds.hold(Hold(reason=HoldReason.WITNESS, since=since, text=text))
            return False
        self._noted = seq
        if unwritten is not None:
            await self._holds.lift(HoldReason.WITNESS, by="gateway", why="it was written")
        return True

    async def stop(self) -> None:
        """Write down the last head."""
        try:
            await self.try_note()
        except StoreFailed as error:
            log.warning("witness_not_written", extra={"reason": str(error)})

    # ------------------------------------------------------------ compare, give out

    async def heads(self) -> Sequence[tuple[int, str]]:
        """What the chain must pass through. Raises WitnessDamaged, also where it is gone."""
        seen = await asyncio.to_thread(read_witness, self._policy.path)
        if seen is not None:
            return [(seen.seq, seen.digest)]
        if (await self._store.audit_head())[0] == 0:
            return []
        raise WitnessDamaged(f"{self._policy.path.name} is missing")

    async def _give_out(self, now_s: float) -> None:
        """A log line and a publication, for who keeps it where this machine cannot write. Of a
        start the log line only: there are many in a row where something is wrong."""
        every, first = self._policy.head_every_s, self._given_s is None
        if not every or (self._given_s is not None and now_s - self._given_s < every):
            return
        self._given_s = now_s
        seq, digest = await self._store.audit_head()
        if seq == self._given:
            return
        self._given = seq
        log.info("audit_head", extra={"seq": seq, "digest": digest})
        if first:
            return
        await self._store.save([Change(publications=(_given_out(seq, digest),))])


def _given_out(seq: int, digest: str) -> Publication:
    return Publication(
        id=EventId(f"audit_head:{seq}:{digest[:16]}"),
        type="openway.gateway.audit_head",
        subject="gateway",
        severity=Severity.INFO,
        data={"seq": seq, "digest": digest},
    )

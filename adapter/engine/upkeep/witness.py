"""The head of the audit chain, written outside the store, so that a cut tail or an old copy shows.

A store restored from a backup does not know what was sent since: its budget and its list of sends
are stale. Then switch orders stay held, also over a restart, until an operator has looked and has
confirmed it, or has taken the witness's file away.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

from adapter.engine.commands.ports import Clock, Store
from adapter.engine.commands.switch_holds import Hold, HoldReason, SwitchHolds
from adapter.engine.private_files import write_whole
from adapter.errors import StoreFailed
from adapter.model.whole_numbers import ROW, read_whole

log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0


class Witness:
    def __init__(self, store: Store, path: Path, holds: SwitchHolds, clock: Clock) -> None:
        self._store = store
        self._path = path
        self._holds = holds
        self._clock = clock
        holds.confirmers[HoldReason.OLDER_STORE] = self._confirmed

    async def check(self) -> None:
        """Hold switch orders where the store is older than the witness; else no longer."""
        await self._holds.load()
        older = await self.contradicted()
        if older and not self._held:
            text = f"the store lacks an entry that {self._path.name} has seen: it is an older copy"
            now = self._clock.now()
            await self._holds.hold(Hold(reason=HoldReason.OLDER_STORE, since=now, text=text))
        elif not older:
            why = "the store has what was witnessed, or the witness was taken away"
            await self._holds.lift(HoldReason.OLDER_STORE, by="gateway", why=why)

    @property
    def _held(self) -> bool:
        """Then what was witnessed must stay, for the operator and a restart."""
        return self._holds.of(HoldReason.OLDER_STORE) is not None

    async def _confirmed(self, by: str, why: str) -> None:
        """People have looked: this store is the one to go on with."""
        await self._holds.lift(HoldReason.OLDER_STORE, by=by, why=why)
        await self.note()

    async def contradicted(self) -> bool:
        """Whether the store lacks, or tells otherwise, an entry that was witnessed."""
        try:
            seq, _, digest = self._path.read_text(encoding="ascii").strip().partition(" ")
        except FileNotFoundError:
            return False
        try:
            read_whole(seq, ROW)
        except ValueError:
            return False
        found = await self._store.audit(after=int(seq) - 1, limit=1)
        if found and (found[0].seq, found[0].digest) == (int(seq), digest):
            return False
        log.critical(
            "store_older_than_witness", extra={"witnessed": seq, "witness": str(self._path)}
        )
        return True

    async def note(self) -> None:
        """Write down the head as it is now, in one rename."""
        seq, digest = await self._store.audit_head()
        await asyncio.to_thread(write_whole, self._path, f"{seq} {digest}\n".encode("ascii"))

    async def keep(self) -> None:
        """Note the head now and every minute, until cancelled."""
        while True:
            await self.try_note()
            await asyncio.sleep(_EVERY_S)

    async def try_note(self) -> None:
        """Note the head; where that fails the older note stays, which is as true as before."""
        if self._held:
            return
        try:
            await self.note()
        except (OSError, StoreFailed) as error:
            log.warning("witness_not_written", extra={"reason": str(error)})

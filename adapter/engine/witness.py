"""The head of the audit chain, written outside the store, so that a cut tail or an old copy shows.

A store restored from a backup does not know what was sent since: its budget and its list of sends
are stale. Then switch orders stay held, also over a restart, until an operator has looked and has
taken the witness's file away.
"""

import asyncio
import logging
from pathlib import Path
from typing import Final

from adapter.engine.ports import Store
from adapter.engine.private_files import write_whole
from adapter.errors import StoreFailed
from adapter.model.whole_numbers import ROW, read_whole

log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0


class Witness:
    def __init__(self, store: Store, path: Path) -> None:
        self._store = store
        self._path = path

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
        try:
            await self.note()
        except (OSError, StoreFailed) as error:
            log.warning("witness_not_written", extra={"why": str(error)})

"""What people do about payloads that were not understood: look, mend the tables, try again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from adapter.engine.commands.ports import InboxRow
from adapter.engine.readings.bodies import Excerpt
from adapter.engine.readings.ports import Counts, ErrorRecord, Payload, PayloadId
from adapter.model.ids import InboxId
from adapter.readings.lookups import IdType
from adapter.readings.seeds import Normal


@dataclass(frozen=True, slots=True, kw_only=True)
class TablesInForce:
    """How many rows each table has, and since when they are in force."""

    quantities: int
    conditions: int
    events: int
    storm_rules: int
    since: datetime


class Desk(Protocol):
    async def excerpt(self, row: InboxRow) -> Excerpt:
        """What is kept of a message; around the byte where it was refused."""

    async def errors(
        self, *, payload: PayloadId | None = None, after: int = 0, limit: int = 500
    ) -> Sequence[ErrorRecord]:
        """Open error records, oldest first; of all payloads where none is given."""

    async def reprocess(self) -> Counts:
        """Process open error records again, with the tables read again. Raises SettingsError for
        bad tables; then nothing is processed."""

    async def discard(self, error: int, *, by: str, reason: str) -> None:
        """Close an error record that nobody will mend. Raises NotFound, Conflict."""

    async def reload(self, *, by: str) -> TablesInForce:
        """Read the tables again. Raises SettingsError naming the row that is bad; then those
        before stay in force, all of them."""


class DeskBooks(Protocol):
    """What the desk needs from the store beside the intake's own port."""

    async def payload(self, payload: PayloadId) -> Payload | None: ...

    async def payload_of(self, inbox: InboxId) -> Payload | None: ...

    async def raw(self, inbox: InboxId) -> bytes:
        """The body in the inbox, b"" where there is none."""

    async def discard_error(self, error: int, *, by: str, reason: str, now: datetime) -> None:
        """Raises NotFound, Conflict for one that is not open."""

    async def corrected(
        self, payload: PayloadId, *, corrected_by: bytes, now: datetime
    ) -> int | None:
        """A file (by its digest) was handed in for what is wrong with `payload`. Once that file is
        loaded without a bad part, close the payload's bad parts, and the payload itself where it
        was refused as a whole. How many were closed; None: the file is not loaded that well, or
        is the payload itself.

        Raises NotFound.
        """

    async def replaced(
        self,
        payload: PayloadId,
        errors: Mapping[int, Normal],
        *,
        ids: Sequence[IdType],
        corrected_by: bytes,
        now: datetime,
    ) -> int:
        """Close those of the payload's error records, by number, each of whose values the file
        has: of the same device, kind, quantity, source and interval length, for the same time.
        Where the file repeated values that were there before it, those count as its own. How many
        were closed."""

    async def note_tables(self, tables: TablesInForce, *, by: str) -> None:
        """Into the audit."""

"""What the interface says of single messages, error records and the tables in force."""

import base64
from datetime import datetime

from msgspec import Struct

from adapter.engine.commands.ports import InboxRow
from adapter.engine.readings.ports import Counts, ErrorRecord, Excerpt, TablesInForce
from adapter.web.api.schema import InboxItem


class InboxMessage(Struct, kw_only=True):
    """With the bytes as they came, and as text for people; of a large one its head (`whole` is
    false). `position` is the byte at which it could not be read on, counted in UTF-8; `around` is
    what stands about it, from the byte `around_from` on. `removed`: the body is no longer kept."""

    message: InboxItem
    size: int | None
    whole: bool
    removed: bool
    position: int | None
    around: str
    around_from: int
    text: str
    raw_base64: str

    @classmethod
    def of(cls, row: InboxRow, found: Excerpt) -> "InboxMessage":
        return cls(
            message=InboxItem.of(row),
            size=found.size,
            whole=found.whole,
            removed=found.removed,
            position=found.position,
            around=_shown(found.around),
            around_from=found.around_from,
            text=_shown(found.head),
            raw_base64=base64.b64encode(found.head).decode(),
        )


class IntakeErrorOut(Struct, kw_only=True):
    """What gave no measurement: where it stood in its payload, and why. `text` is the XML of a part
    that was not understood, or the value as JSON; it may be cut."""

    id: int
    payload: int
    part: int
    position: int
    endpoint: str
    why: str
    detail: str
    text: str

    @classmethod
    def of(cls, record: ErrorRecord) -> "IntakeErrorOut":
        return cls(
            id=record.id,
            payload=record.payload,
            part=record.part,
            position=record.position,
            endpoint=record.endpoint,
            why=record.why,
            detail=record.detail,
            text=_shown(record.body[:4096]),
        )


class IntakeErrorPage(Struct, kw_only=True):
    items: list[IntakeErrorOut]
    next: str | None


class IntakeReprocessed(Struct, kw_only=True):
    """`values` and `events` were made of error records, `still_open` records stay."""

    values: int
    events: int
    still_open: int

    @classmethod
    def of(cls, counts: Counts) -> "IntakeReprocessed":
        return cls(
            values=counts.new + counts.revised,
            events=counts.events,
            still_open=counts.errors + counts.bad_parts,
        )


class TablesOut(Struct, kw_only=True):
    """Rows of the tables in force."""

    quantities: int
    conditions: int
    events: int
    storm_rules: int
    since: datetime

    @classmethod
    def of(cls, tables: TablesInForce) -> "TablesOut":
        return cls(
            quantities=tables.quantities,
            conditions=tables.conditions,
            events=tables.events,
            storm_rules=tables.storm_rules,
            since=tables.since,
        )


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")

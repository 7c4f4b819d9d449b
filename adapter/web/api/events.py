"""What the JSON interface gives of device events and outages."""

from datetime import datetime

from msgspec import Struct

from adapter.commands.effects import Severity
from adapter.engine.events.ports import EventError, Outage, StoredEvent


class EventOut(Struct, kw_only=True):
    """`name` is the standard name, `external` the head end's. `told`: published by itself.
    `also`: sequence number under which the other callback told the same event (inferred), -1 where
    it gave none, null where only one of exception and event log told it."""

    id: int
    endpoint: str
    device: str | None
    name: str
    external: str
    number: int | None
    category: str
    severity: Severity
    at: datetime
    sequence: int | None
    pair: str
    role: str
    exception: bool
    arguments: list[tuple[str, str]]
    told: bool
    also: int | None

    @classmethod
    def of(cls, stored: StoredEvent) -> "EventOut":
        event = stored.event
        return cls(
            id=stored.id,
            endpoint=event.endpoint,
            device=stored.device,
            name=event.name,
            external=event.external,
            number=event.number,
            category=event.category,
            severity=event.severity,
            at=event.at,
            sequence=event.sequence,
            pair=event.pair,
            role=event.role.value,
            exception=event.exception,
            arguments=list(event.arguments),
            told=stored.told,
            also=stored.also,
        )


class EventPage(Struct, kw_only=True):
    """Newest arrival first. `next` is the cursor of the page after this one."""

    items: list[EventOut]
    next: str | None


class EventErrorOut(Struct, kw_only=True):
    """An event that no table knows, in the head end's words."""

    id: int
    endpoint: str
    at: datetime
    name: str
    number: int | None
    category: str
    exception: bool
    state: str

    @classmethod
    def of(cls, error: EventError) -> "EventErrorOut":
        seed = error.unknown.seed
        return cls(
            id=error.id,
            endpoint=error.unknown.endpoint,
            at=error.unknown.at,
            name=seed.name,
            number=seed.number,
            category=seed.category,
            exception=seed.exception,
            state=error.state,
        )


class EventErrorPage(Struct, kw_only=True):
    items: list[EventErrorOut]
    next: str | None


class Reprocessed(Struct, kw_only=True):
    """`new` became events, `repeated` were events already, `unknown` stay as they are."""

    new: int
    repeated: int
    unknown: int


class OutageOut(Struct, kw_only=True):
    """Dark from `since` to `until`, by the device's own events; `until` null: it is dark now."""

    endpoint: str
    device: str | None
    since: datetime
    until: datetime | None
    lasted_s: float | None

    @classmethod
    def of(cls, outage: Outage) -> "OutageOut":
        return cls(
            endpoint=outage.endpoint,
            device=outage.device,
            since=outage.since,
            until=outage.until,
            lasted_s=outage.seconds,
        )


class OutagePage(Struct, kw_only=True):
    """`dark` is how many are dark in all; those that last stand longest first."""

    items: list[OutageOut]
    dark: int
    next: str | None

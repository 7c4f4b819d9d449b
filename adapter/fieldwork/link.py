"""What every field work system has besides the port, started with an inbox and stopped; and the one
that the settings name."""

from typing import Protocol

from adapter.engine.commands.ports import Clock
from adapter.engine.orders.field_work import FieldInbox, FieldMessage, FieldWork, FieldWorkRefused
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.drop import FileDrop
from adapter.fieldwork.settings import FieldWorkKind, FieldWorkSettings
from adapter.fieldwork.webhook import WebhookFieldWork
from adapter.orders.lookups import BASE, OrderLookups


class FieldWorkLink(FieldWork, Protocol):
    async def start(self, inbox: FieldInbox) -> None:
        """Hand reports to `inbox` from now on."""

    async def stop(self) -> None:
        """Take no more reports; what was not handed in yet comes again after the next start."""


class NoFieldWork:
    """No field work system is set up: every visit waits for people."""

    async def send(self, message: FieldMessage) -> None:
        raise FieldWorkRefused(
            f"nobody was sent for {message.task}: no field work system is set up "
            "(field_work.kind is none)",
            action="set field_work.kind to file or webhook, restart and retry; or have it done and "
            "complete the visit by hand",
        )

    async def start(self, inbox: FieldInbox) -> None:
        pass

    async def stop(self) -> None:
        pass


def field_work_of(
    settings: FieldWorkSettings, clock: Clock, lookups: OrderLookups = BASE
) -> FieldWorkLink:
    """`lookups` are the site's, for what crews report. Raises SettingsError for keys that are
    none."""
    match settings.kind:
        case FieldWorkKind.NONE:
            return NoFieldWork()
        case FieldWorkKind.FILE:
            return FileDrop(settings.file, lookups=lookups)
        case FieldWorkKind.WEBHOOK:
            return WebhookFieldWork(settings.webhook, clock, lookups=lookups)
        case FieldWorkKind.CREW:
            return Crew(settings.crew, clock, lookups=lookups)

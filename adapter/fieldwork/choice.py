"""The field work system that the settings name."""

from adapter.engine.commands.ports import Clock
from adapter.fieldwork.crew import Crew
from adapter.fieldwork.drop import FileDrop
from adapter.fieldwork.link import FieldWorkLink, NoFieldWork
from adapter.fieldwork.settings import FieldWorkKind, FieldWorkSettings
from adapter.fieldwork.webhook import WebhookFieldWork


def field_work_of(settings: FieldWorkSettings, clock: Clock) -> FieldWorkLink:
    """Raises SettingsError for keys that are none."""
    match settings.kind:
        case FieldWorkKind.NONE:
            return NoFieldWork()
        case FieldWorkKind.FILE:
            return FileDrop(settings.file)
        case FieldWorkKind.WEBHOOK:
            return WebhookFieldWork(settings.webhook, clock)
        case FieldWorkKind.CREW:
            return Crew(settings.crew, clock)

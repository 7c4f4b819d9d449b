"""From the settings to how subscriptions are kept up, and how long rows are kept."""

from adapter.commands.silence import SilencePolicy
from adapter.commands.subscriptions import Generation, SubscriptionKind, Wanted
from adapter.engine.retention import Kept
from adapter.engine.subscriptions import UpkeepSettings
from adapter.settings import RetentionSettings, SubscriptionSettings
from adapter.web.listener import DATA_PATH, EXCEPTIONS_PATH


def kept_days(settings: RetentionSettings) -> dict[Kept, float | None]:
    """How long each is kept; None is for ever."""
    given = {
        Kept.MESSAGES: settings.messages_days,
        Kept.INBOX: settings.inbox_days,
        Kept.QUARANTINE: settings.quarantine_days,
        Kept.ARRIVALS: settings.events_days,
        Kept.EVENTS: settings.events_days,
        Kept.ERRORS: settings.errors_days,
        Kept.EVENT_ERRORS: settings.errors_days,
        Kept.STORMS: settings.errors_days,
        Kept.PUBLICATIONS: settings.publications_days,
    }
    return {what: days or None for what, days in given.items()}


def upkeep(settings: SubscriptionSettings, public_url: str) -> UpkeepSettings:
    """`public_url` is the listener's as the head end sees it, its path prefix included."""
    given = (
        (SubscriptionKind.DATA, settings.data, DATA_PATH, ()),
        (
            SubscriptionKind.EXCEPTIONS,
            settings.exceptions,
            EXCEPTIONS_PATH,
            settings.exception_groups,
        ),
    )
    silence = SilencePolicy(
        allowed_s=settings.silence_s,
        factor=settings.silence_factor,
        least_s=settings.silence_least_s,
    )
    return UpkeepSettings(
        wanted=tuple(
            Wanted(
                kind=kind,
                generation=generation,
                system=settings.system_name,
                address=public_url.rstrip("/") + path,
                groups=groups,
            )
            for kind, generation, path, groups in given
            if generation is not Generation.OFF
        ),
        check_every_s=settings.check_every_s,
        retry_s=settings.retry_s,
        silence=silence if settings.silence else None,
    )

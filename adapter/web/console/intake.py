"""What comes in: messages of the head end, error records of payloads, unknown events."""

from collections.abc import Mapping
from typing import Final

from adapter.engine.commands.ports import InboxState
from adapter.web.api import events, quarantine, readings
from adapter.web.console.commands import indented
from adapter.web.console.view import PageView

INBOX_QUERY: Final = ("state", "since", "cursor")
_SHOWN: Final = 100_000


async def load_inbox(view: PageView) -> Mapping[str, object]:
    page = await view.read(
        quarantine.InboxPage, quarantine.list_inbox, {"limit": "50", **view.query}
    )
    return {"list": page, "states": tuple(InboxState)}


async def load_message(view: PageView) -> Mapping[str, object]:
    shown = await view.read(quarantine.InboxMessage, quarantine.get_message)
    return {
        "shown": shown,
        "message": shown.message,
        "text": indented(shown.text[:_SHOWN]),
        "quarantined": shown.message.state is InboxState.QUARANTINED,
    }


async def load(view: PageView) -> Mapping[str, object]:
    errors = await view.read(
        quarantine.IntakeErrorPage, quarantine.list_intake_errors, {"limit": "50", **view.query}
    )
    unknown = await view.read(events.EventErrorPage, events.list_event_errors, {"limit": "50"})
    payloads = await view.read(readings.PayloadPage, readings.list_payloads, {"limit": "15"})
    return {"errors": errors, "unknown": unknown, "payloads": payloads}

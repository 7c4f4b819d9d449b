"""Who did what, the keys in force, and what the gateway keeps for how long."""

from collections.abc import Mapping
from typing import Final

from adapter.web.api import keys, upkeep
from adapter.web.console.view import PageView

_PAGE: Final = 100


async def load_audit(view: PageView) -> Mapping[str, object]:
    """The newest entries, or those behind a number."""
    query = {"limit": str(_PAGE)}
    if "cursor" in view.query:
        query["cursor"] = view.query["cursor"]
    else:
        newest, _ = await view.api.gateway.upkeep.audit_head()
        query["cursor"] = str(max(newest - _PAGE, 0))
    page = await view.read(upkeep.AuditPage, upkeep.list_audit, query)
    first = page.items[0].seq if page.items else 1
    return {
        "items": list(reversed(page.items)),
        "older": str(max(first - 1 - _PAGE, 0)) if first > 1 else "",
        "newer": page.next,
    }


async def load(view: PageView) -> Mapping[str, object]:
    return {
        "ready": await view.read(upkeep.ReadyOut, upkeep.get_readiness),
        "clock": await view.read(upkeep.ClockOut, upkeep.get_clock),
        "retention": await view.read(upkeep.RetentionOut, upkeep.get_retention),
        "aside": await view.read(upkeep.FailedRowPage, upkeep.list_set_aside, {"limit": "50"}),
    }


async def load_keys(view: PageView) -> Mapping[str, object]:
    return {"keys": await view.read(keys.KeyList, keys.list_keys)}

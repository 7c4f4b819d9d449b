"""Whether connects and disconnects leave: the stop, caps and quotas, what waits for room."""

from collections.abc import Mapping

from adapter.web.api import switch_safety
from adapter.web.console.view import PageView


async def load(view: PageView) -> Mapping[str, object]:
    return {
        "switching": await view.read(switch_safety.SwitchingStateOut, switch_safety.get_switching),
        "limits": await view.read(switch_safety.LimitList, switch_safety.list_limits),
        "waiting": await view.read(
            switch_safety.WaitingRequestPage, switch_safety.list_waiting, {"limit": "50"}
        ),
        "overrides": await view.read(
            switch_safety.OverrideList, switch_safety.list_overrides, {"limit": "20"}
        ),
    }

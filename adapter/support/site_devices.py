"""The devices of a recording: what the registry says of them, and what they were like at its start.

What a device was like is told by what it is now and by the completion events since.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec

from adapter.commands.flows import NATURE
from adapter.model.device import (
    CONNECTED,
    INSTALL_TRANSITIONS,
    DeviceView,
    InstallEvent,
    InstallStatus,
)
from adapter.replay.devices import row_of_view
from adapter.support.rest import GatewayApi, pages
from adapter.support.site_messages import NotRecordable, RecordedCommand

MOST_DEVICES: Final = 5_000
_CHANGED: Final = "CompletionExecuted"
_USUAL_STATUS: Final = frozenset({InstallStatus.CONN_COMM, InstallStatus.DISCONN_COMM})
"""Of two that a meter may have had, one of these is more likely."""


class SiteDevices:
    """What the registry says of devices, asked once each, and what they were like at a start."""

    def __init__(self, api: GatewayApi) -> None:
        self._api = api
        self._views: dict[str, DeviceView] = {}
        self._all: list[DeviceView] | None = None

    def rows(self, commands: Sequence[RecordedCommand]) -> list[Mapping[str, object]]:
        named = {str(each) for command in commands for each in command.request.devices}
        groups = {command.request.group for command in commands if command.request.group}
        views = {name: self._view(name) for name in sorted(named)}
        if groups:
            members = (each for each in self._every() if groups & each.device.groups)
            views |= {each.device.id: each for each in members}
        return [row_of_view(view, _status_before(view, commands)) for view in views.values()]

    def _view(self, name: str) -> DeviceView:
        if name not in self._views:
            answer = self._api.get(f"/devices/{quote(name, safe='')}")
            self._views[name] = msgspec.convert(answer, DeviceView, strict=False)
        return self._views[name]

    def _every(self) -> list[DeviceView]:
        if self._all is None:
            rows = pages(self._api, "/devices", {}, most=MOST_DEVICES)
            self._all = [msgspec.convert(row, DeviceView, strict=False) for row in rows]
        return self._all


def _status_before(view: DeviceView, commands: Sequence[RecordedCommand]) -> InstallStatus | None:
    """Undoes what the completion events of these commands did, the last one first. Raises
    NotRecordable where others have moved the switch since."""
    installed = view.installed
    if installed is None:
        return None
    ids = tuple(each.id for each in commands)
    for change in installed.history:
        if change.at >= commands[0].created and not str(change.cause).startswith(ids):
            raise NotRecordable(f"device {view.device.id} was moved by others since")
    possible = {installed.status}
    for command in reversed(commands):
        changed = any(entry["action"] == _CHANGED for entry in command.history)
        if changed and str(view.device.id) in command.request.devices:
            effect = NATURE[command.request.kind].effect
            possible = {
                was
                for (was, by), now in INSTALL_TRANSITIONS.items()
                if by is effect and now in possible
            } or possible
    return _fitting(installed, possible, commands[0].created)


def _fitting(
    installed: InstallEvent, possible: Iterable[InstallStatus], start: datetime
) -> InstallStatus:
    """Of those that it may have had, the one that the on/off history says."""
    earlier = [each for each in installed.history if each.at < start]
    later = [each for each in installed.history if each.at >= start]
    on = earlier[-1].on if earlier else not later[0].on if later else None
    ranked = sorted(possible, key=lambda each: (each not in _USUAL_STATUS, each.value))
    fitting = [each for each in ranked if on is None or (each in CONNECTED) is on]
    return (fitting or ranked)[0]

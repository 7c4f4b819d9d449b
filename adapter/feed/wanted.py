"""Which events a receiver wants, and which of them must come to it one behind the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import Struct

from adapter.commands.effects import Severity
from adapter.feed.selection import EVERY_TYPE, TypePatterns

_RANK: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class EventData(Struct, frozen=True, kw_only=True, gc=False):
    """What of an event's data tells who wants it and which meters it is about."""

    kind: str | None = None
    requester: str | None = None
    callback_url: str | None = None
    device: str | None = None
    devices: tuple[str, ...] = ()
    device_count: int = 0
    service_point: str | None = None


class FeedEvent(Struct, frozen=True, kw_only=True, gc=False):
    """One event, as far as deliveries look at it."""

    seq: int
    id: str
    type: str
    subject: str
    severity: Severity
    data: EventData


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Empty: any. `severity` is the least; `callback` how callback addresses of commands and orders
    begin that are this receiver's: then it is sent nothing else."""

    types: TypePatterns = EVERY_TYPE
    kinds: frozenset[str] = frozenset()
    requesters: frozenset[str] = frozenset()
    severity: Severity = Severity.INFO
    callback: str = ""

    def fits(self, event: FeedEvent) -> bool:
        data = event.data
        if self.callback and not under(self.callback, data.callback_url or ""):
            return False
        return (
            _RANK[event.severity] >= _RANK[self.severity]
            and self.types.fit(event.type)
            and (not self.kinds or data.kind in self.kinds)
            and (not self.requesters or data.requester in self.requesters)
        )


def under(allowed: str, url: str) -> bool:
    """Whether an address is the allowed one, or below it: no way leads up from there."""
    if not all("!" <= each <= "~" for each in url):  # readers of URLs leave some of the rest out
        return False
    if ".." in url or "\\" in url or "%2e" in url.lower():
        return False
    return url == allowed or url.startswith(allowed.rstrip("/") + "/")


ALL: Final = "*"
"""The key of an event about more meters than it names: it comes behind all, and before all."""


def keys_of(event: FeedEvent) -> Sequence[str]:
    """Events that share one of these come to a receiver in their order."""
    data = event.data
    if data.device_count > len(data.devices):
        return (ALL,)
    named = (event.subject, data.device, data.service_point, *data.devices)
    return tuple(dict.fromkeys(each for each in named if each))

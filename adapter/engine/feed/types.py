"""Every type of event that this gateway tells, so that a filter which could fit none is refused."""

from collections.abc import Iterable
from typing import Final

from adapter.commands.activity import State
from adapter.commands.flows import CommandKind, Completion
from adapter.errors import InvalidRequest, closest, meant
from adapter.feed.selection import TypePatterns
from adapter.orders.events import ReplyKind
from adapter.orders.order import OrderKind, OrderState

_ROWS: Final = (
    ("gateway", "started stopped quarantined undelivered row_set_aside key_refused audit_head"),
    ("gateway.switch_orders_", "held released"),
    ("gateway", "resume_requested limit_reached override_began override_ended"),
    ("gateway.settings_", "reloaded refused"),
    (
        "head_end",
        "lost back slow quick breaker_opened breaker_closed pushed_back silent silence_over",
    ),
    ("command", "received needs_person late token_conflict"),
    ("command", " ".join(State)),
    ("command.to_do", " ".join(State)),
    ("command.completion", " ".join(Completion)),
    ("order", " ".join(state.name.lower() for state in OrderState)),
    ("order.reply", " ".join(ReplyKind)),
    ("service_point", "changed"),
    ("device", "event event_storm"),
    ("outage", "began ended"),
    ("payload", "loaded"),
    ("feed", "undelivered delivered_again receiver_stopped test"),
    ("subscription", "failed restored"),
)
KNOWN_TYPES: Final = tuple(
    dict.fromkeys(
        f"openway.{name}{end}" if name.endswith("_") else f"openway.{name}.{end}"
        for name, ends in _ROWS
        for end in ends.split()
    )
)
KNOWN_KINDS: Final = (*CommandKind, *OrderKind, *ReplyKind)
"""Kinds of commands, orders and replies."""


def types_of(patterns: Iterable[str]) -> TypePatterns:
    """Raises InvalidRequest for what fits no type that is known, with the one that was meant."""
    found = TypePatterns.of(patterns)
    for name in sorted(found.whole - set(KNOWN_TYPES)):
        raise InvalidRequest("types", f"there is no {name}{_meant(name)}")
    for start in found.beginnings:
        if not any(known.startswith(start) for known in KNOWN_TYPES):
            raise InvalidRequest("types", f"none begins with {start}{_meant(start, '*')}")
    return found


def _meant(name: str, end: str = "") -> str:
    """As `meant`, part by part: a type of another subject is not what was meant."""
    known = [each.split(".") for each in KNOWN_TYPES]
    found: list[str] = []
    for part in name.split("."):
        place = len(found)
        next_ = [each[place] for each in known if each[:place] == found and len(each) > place]
        begun = bool(end) and any(each.startswith(part) for each in next_)
        close = part if part in next_ or begun else closest(part, next_)
        if close is None:
            return ""
        found.append(close)
    whole = ".".join(found)
    return f"; did you mean {whole}{end}?" if end or whole in KNOWN_TYPES else ""


def kinds_of(kinds: Iterable[str]) -> frozenset[str]:
    """Raises InvalidRequest for one that is not known."""
    found = frozenset(kinds)
    for kind in sorted(found - set(KNOWN_KINDS)):
        raise InvalidRequest("kinds", f"there is no {kind}{meant(kind, KNOWN_KINDS)}")
    return found

"""What each failure means and what follows from it: rows, not branches.

What becomes of a communication whose reply is lost is decided by `unclear` in `communication.py`.

The reasons are the contract's (known); meaning and remedy are ours (inferred from the names).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.commands.calls import FailureReason


class Remedy(StrEnum):
    RETRY = "retry"
    """Send again by the retry policy; a switch order only where the row proves it idle."""
    ASK = "ask"
    """Wait in Communication Error for a person, then discard."""
    VISIT = "visit"
    """The meter needs somebody on site; discarded with that advice."""
    STOP = "stop"
    """Repeating cannot help; discarded."""


@dataclass(frozen=True, slots=True)
class FailureRow:
    meaning: str
    remedy: Remedy
    idle: bool
    """Whether this answer proves that the meter did nothing, so that a resend is safe (I3)."""


LOAD_SIDE_VOLTAGE: Final = "load_side_voltage"
LOAD_CHECK_UNSURE: Final = "load_check_unsure"
EXPIRED_HELD: Final = "expired while held"
"""How the reason of a connect or disconnect begins whose time passed while none might leave."""

F, R = FailureReason, Remedy
# fmt: off
FAILURES: Final[Mapping[str, FailureRow]] = MappingProxyType({
    # an endpoint's own failure reasons
    F.UNSPECIFIED:             FailureRow("the head end gave no reason",                         R.ASK,   False),
    F.TARGET_NOT_REGISTERED:   FailureRow("the meter is not registered at the head end",         R.STOP,  True),
    F.TARGET_NOT_FOUND:        FailureRow("the head end does not know the meter",                R.STOP,  True),
    F.COMMUNICATION_ERROR:     FailureRow("the network did not reach the meter, or lost it",     R.RETRY, False),
    F.SECURITY_FAILURE:        FailureRow("keys or rights between head end and meter",           R.ASK,   True),
    F.CONFIGURATION_ERROR:     FailureRow("the meter's configuration does not fit",              R.ASK,   True),
    F.OPERATION_NOT_SUPPORTED: FailureRow("this meter cannot do it",                             R.STOP,  True),
    F.ERROR_RESPONSE:          FailureRow("the meter answered with an error",                    R.ASK,   False),
    F.NO_RESPONSE:             FailureRow("the meter did not answer; it may have acted",         R.RETRY, False),
    F.INVALID_IDENTIFIER:      FailureRow("the identifier is not one of the head end's",         R.STOP,  True),
    F.INVALID_TARGET_STATE:    FailureRow("the meter is in a state that forbids it",             R.ASK,   True),
    F.PUBLISHING_ERROR:        FailureRow("data were read but could not be delivered",           R.RETRY, False),
    F.TOO_MANY_REQUESTS:       FailureRow("the head end is busy with this meter",                R.RETRY, True),
    F.TYPE_MISMATCH:           FailureRow("the meter is of another type",                        R.STOP,  True),
    F.READ_WRITE_DENIED:       FailureRow("the meter denied access",                             R.ASK,   True),
    # what happened to the communication itself
    "not_sent":                FailureRow("no byte of the request left this machine",            R.RETRY, True),
    "unwritable":              FailureRow("the request cannot be written as its contract wants",   R.STOP,  True),
    "refused":                 FailureRow("the head end refused the request",                    R.STOP,  True),
    "busy":                    FailureRow("the head end has too many requests",                  R.RETRY, True),
    "unclear":                 FailureRow("it is not known whether the request was taken",       R.RETRY, False),
    "timed_out":               FailureRow("no result within the reply time",                     R.RETRY, False),
    "token_forgotten":         FailureRow("the head end no longer knows the request",            R.RETRY, False),
    "token_conflict":          FailureRow("two different tokens claim to be this request's",     R.ASK,   False),
    "request_failed":          FailureRow("the head end reports failure without a reason",       R.ASK,   False),
    "canceled_there":          FailureRow("the request was canceled at the head end",            R.STOP,  False),
    "result_unknown":          FailureRow("the head end gave a result that is not known here",   R.ASK,   False),
    # what the gateway itself decided
    "expired":                 FailureRow("the command expired before the answer came",          R.STOP,  False),
    LOAD_SIDE_VOLTAGE:         FailureRow("voltage on the load side: customer generation or a bypass", R.VISIT, True),
    LOAD_CHECK_UNSURE:         FailureRow("the load check gave no answer; treated as not safe",  R.ASK,   True),
    "switch_state_unsafe":     FailureRow("the switch state does not allow the order",           R.VISIT, True),
    "switch_check_unsure":     FailureRow("the switch state is not known; treated as not safe",  R.ASK,   True),
})
# fmt: on


FATE_UNKNOWN: Final = frozenset(
    {"unclear", "timed_out", "token_forgotten", "token_conflict", "result_unknown"}
)
"""Causes that leave open what became of a request. A switch order then has its switch looked at:
`communication.unclear`. So has one whose result the head end refuses to give."""


def follows_for_switch_order(cause: str) -> Remedy | None:
    """As the row's remedy, for a connect or disconnect; None: its switch is looked at."""
    row = failure_row(cause)
    if cause in FATE_UNKNOWN:
        return None
    return Remedy.ASK if row.remedy is Remedy.RETRY and not row.idle else row.remedy


def failure_row(cause: str) -> FailureRow:
    """The row of a cause; an unknown cause is treated as the head end's Unspecified."""
    return FAILURES.get(cause, FAILURES[FailureReason.UNSPECIFIED])

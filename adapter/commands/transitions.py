"""The arrows of a command activity: which state follows which, and which event is taken where.

    pending ─> validation_error | awaiting_approval | waiting_for_effective_date
            ─> connection_ready ─> communication_in_progress ─┐
                     ^                                        │ one step after another:
                     └────────────────────────────────────────┘ checks, read, request
            ─> waiting_for_measurement ─> executing_completion_events ─> completed

The activity returns to connection_ready after each exchange; the next step is chosen from what is
done. Errors wait for a person, within a bound; every command ends in exactly one final state (I1).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from adapter.commands.activity import State
from adapter.commands.events import (
    Approved,
    CancelAsked,
    ClockCorrected,
    CompletionExecuted,
    CompletionFailed,
    DataLookedUp,
    DiscardAsked,
    Event,
    LateNotified,
    Resolved,
    RetryAsked,
    TimePassed,
    Validated,
)

S = State
_ENDS: Final = frozenset({S.DISCARDED, S.CANCELED})
# fmt: off
TRANSITIONS: Final[Mapping[State, frozenset[State]]] = MappingProxyType({
    S.PENDING:                     frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE, S.CONNECTION_READY, S.DISCARDED}),
    S.VALIDATION_ERROR:            frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE, S.CONNECTION_READY}) | _ENDS,
    S.AWAITING_APPROVAL:           frozenset({S.VALIDATION_ERROR, S.WAITING_FOR_EFFECTIVE_DATE, S.CONNECTION_READY}) | _ENDS,
    S.WAITING_FOR_EFFECTIVE_DATE:  frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.CONNECTION_READY}) | _ENDS,
    S.CONNECTION_READY:            frozenset({S.COMMUNICATION_IN_PROGRESS, S.WAITING_FOR_MEASUREMENT, S.EXECUTING_COMPLETION_EVENTS, S.COMPLETED, S.DISCARDED}),
    S.COMMUNICATION_IN_PROGRESS:   frozenset({S.CONNECTION_READY, S.COMMUNICATION_ERROR, S.CANCELLING, S.NEEDS_PERSON, S.EXECUTING_COMPLETION_EVENTS}) | _ENDS,
    S.COMMUNICATION_ERROR:         frozenset({S.CONNECTION_READY}) | _ENDS,
    S.WAITING_FOR_MEASUREMENT:     frozenset({S.EXECUTING_COMPLETION_EVENTS, S.DISCARDED}),
    S.EXECUTING_COMPLETION_EVENTS: frozenset({S.COMPLETION_EVENT_ERROR, S.COMPLETED}),
    S.COMPLETION_EVENT_ERROR:      frozenset({S.EXECUTING_COMPLETION_EVENTS, S.DISCARDED, S.NEEDS_PERSON}),
    S.CANCELLING:                  frozenset({S.CONNECTION_READY, S.COMMUNICATION_ERROR, S.NEEDS_PERSON}) | _ENDS,
    S.COMPLETED:                   frozenset(),
    S.DISCARDED:                   frozenset(),
    S.CANCELED:                    frozenset(),
    S.NEEDS_PERSON:                frozenset(),
})

ACCEPTS: Final[Mapping[type[Event], frozenset[State]]] = MappingProxyType({
    Validated:          frozenset({S.PENDING, S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE}),
    Approved:           frozenset({S.AWAITING_APPROVAL}),
    CancelAsked:        frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE, S.COMMUNICATION_IN_PROGRESS, S.COMMUNICATION_ERROR}),
    RetryAsked:         frozenset({S.COMMUNICATION_ERROR, S.COMPLETION_EVENT_ERROR, S.NEEDS_PERSON}),
    DiscardAsked:       frozenset({S.VALIDATION_ERROR, S.AWAITING_APPROVAL, S.WAITING_FOR_EFFECTIVE_DATE, S.COMMUNICATION_ERROR, S.COMPLETION_EVENT_ERROR}),
    Resolved:           frozenset({S.NEEDS_PERSON}),
    DataLookedUp:       frozenset({S.WAITING_FOR_MEASUREMENT}),
    CompletionExecuted: frozenset({S.EXECUTING_COMPLETION_EVENTS, S.NEEDS_PERSON}),
    CompletionFailed:   frozenset({S.EXECUTING_COMPLETION_EVENTS, S.NEEDS_PERSON}),
    LateNotified:       frozenset(State),
    TimePassed:         frozenset(State),
    ClockCorrected:     frozenset(State),
})
# fmt: on
"""In which states an event is taken. For exchange events their exchange decides."""

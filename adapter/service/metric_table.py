"""THE TABLE OF WHAT IS MEASURED: a row for each metric that a scrape of /metrics finds.

A closed set of words is there with 0 before anything has happened, so that a rate has a beginning
and an alert a value. Where the words are open (routes, receivers), the first of them makes it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from adapter.commands.activity import CommunicationState, CompletionState, Outcome, State
from adapter.commands.flows import CommandKind, Completion, Operation
from adapter.engine.commands.ports import InboxState
from adapter.engine.commands.switch_holds import HoldReason
from adapter.engine.upkeep.signals import Signal
from adapter.errors import NotSent, OutcomeUnknown, Refused
from adapter.model.todo import TodoSubject
from adapter.orders.order import FINAL_STATES, OrderState

MOST_COUNTED: Final = 100_000
"""Open orders of a state, and dead letters, are counted up to so many."""


class MetricType(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class MetricRow:
    """`text` says what it is. `words` are those of the labels that are always there, by label."""

    type: MetricType
    text: str
    labels: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()


def _row(made: MetricType, text: str, /, **labels: Iterable[str]) -> MetricRow:
    words = tuple(tuple(each) for each in labels.values())
    return MetricRow(made, text, tuple(labels), words if all(words) else ())


G, C, H = MetricType.GAUGE, MetricType.COUNTER, MetricType.HISTOGRAM
_OPEN: Final = tuple(each for each in State if not each.final)
_OPEN_ORDERS: Final = tuple(each for each in OrderState if each not in FINAL_STATES)
_FAILURES: Final = (NotSent.code, Refused.code, OutcomeUnknown.code)
_ANY: Final[tuple[str, ...]] = ()

# fmt: off
METRICS: Final[Mapping[str, MetricRow]] = MappingProxyType({
    # calls of the head end, and where the time of a command goes
    "call_seconds":                   _row(H, "from a request to the head end to its reply", operation=_ANY),
    "call_failures_total":            _row(C, "calls without the answer that was wanted", operation=Operation, error=_FAILURES),
    "submit_to_sent_seconds":         _row(H, "from submission, or the effective date, to the first request", kind=_ANY),
    "token_to_result_seconds":        _row(H, "from the head end's token to the result", operation=_ANY),
    "arrival_to_seen_seconds":        _row(H, "from when a message came in to its effect; its count is how many came", operation=_ANY),
    # whether the head end answers, and how much it is asked at once
    "head_end_lost":                  _row(G, "1: the last calls had no answer"),
    "head_end_slow":                  _row(G, "1: the last answers took longer than `head_end.limits.slow_s`"),
    "breaker_open":                   _row(G, "1: no call leaves but a probe"),
    "limits_in_flight":               _row(G, "calls under way"),
    "limits_waiting":                 _row(G, "calls that wait for a place"),
    "limits_concurrency":             _row(G, "calls that may be under way; halved when the head end pushes back"),
    "limits_paused_seconds":          _row(G, "so long no call leaves, as the head end asked"),
    # commands and orders
    "commands":                       _row(G, "commands by state", state=State),
    "commands_accepted_total":        _row(C, "commands that were accepted"),
    "command_ends_total":             _row(C, "commands that ended since the start", kind=CommandKind, outcome=Outcome),
    "oldest_open_command_seconds":    _row(G, "age of the oldest in the state; 0: none", state=_OPEN),
    "oldest_open_kind_seconds":       _row(G, "age of the oldest open command of the kind, of those that are old; 0: none", kind=CommandKind),
    "communications":                 _row(G, "those that were sent, by state", state=CommunicationState),
    "completion_events":              _row(G, "completion events by state", event=Completion, state=CompletionState),
    "orders":                         _row(G, f"open service orders by state, up to {MOST_COUNTED:,}", state=_OPEN_ORDERS),
    "oldest_open_order_seconds":      _row(G, "age of the oldest in the state; 0: none", state=_OPEN_ORDERS),
    # what comes in
    "inbox_messages":                 _row(G, "messages of the head end by state", state=InboxState),
    "intake_lag_seconds":             _row(G, "age of the oldest message not yet judged, or not yet taken in; 0: none", step=("judge", "take_in")),
    "payloads_total":                 _row(C, "payloads of data that were read since the start", result=("loaded", "refused")),
    "values_total":                   _row(C, "values of loaded payloads since the start", result=("new", "revised", "repeated", "filtered", "rejected")),
    "device_events_total":            _row(C, "device events taken since the start; those in a storm's summary are not published by themselves", result=("published", "in_summary", "repeated", "unknown")),
    "meters_without_supply":          _row(G, "meters whose outage lasts"),
    "listener_counts_total":          _row(C, "what the listener counts", what=("requests", "received", "quarantined", "not_kept", "http_401", "http_404", "http_500", "http_503")),
    "listener_connections":           _row(G, "open connections of the listener"),
    # events that go out
    "publications_total":             _row(C, "events made"),
    "deliveries_total":               _row(C, "posts of events since the start", receiver=_ANY, result=("taken", "failed", "given_up")),
    "deliveries_waiting":             _row(G, "events that are posted again, or wait behind such", receiver=_ANY),
    "deliveries_dead":                _row(G, f"events that were given up, up to {MOST_COUNTED:,}", receiver=_ANY),
    "deliveries_behind":              _row(G, "events of the feed that are newer than the receiver's place", receiver=_ANY),
    "deliveries_oldest_seconds":      _row(G, "age of the oldest event that it has not taken; 0: none", receiver=_ANY),
    "receiver_stopped":               _row(G, "1: the receiver wants no more", receiver=_ANY),
    # what waits for people, and what was said
    "todo_entries":                   _row(G, "entries of the list of what waits for people", subject=TodoSubject),
    "todo_waiting":                   _row(G, "how many wait in these entries", subject=TodoSubject),
    "todo_oldest_seconds":            _row(G, "age of the oldest; 0: none", subject=TodoSubject),
    "todo_dark":                      _row(G, "service points without supply among them"),
    "signals_total":                  _row(C, "what was said since the start, see the table of signals", signal=Signal),
    "switch_holds":                   _row(G, "1: no connect and no disconnect leaves, for this reason", reason=HoldReason),
    "switch_orders_open":             _row(G, "connects and disconnects that are open, by where they are", place=("queued", "not_due", "sent", "in_doubt")),
    "limit_waiting":                  _row(G, "requests that wait for room in a cap or quota", limit=_ANY),
    "limit_used_ratio":               _row(G, "used of a cap or quota, of the member that has used most of it; 1: all", limit=_ANY, span=_ANY),
    "limit_overrides":                _row(G, "overrides of caps and quotas in force"),
    "clock_off_seconds":              _row(G, "how far the wall clock is from what it should show"),
    # REST
    "rest_request_seconds":           _row(H, "a request of the REST interface", route=_ANY),
    "rest_requests_total":            _row(C, "requests of the REST interface since the start", route=_ANY, status=_ANY),
    "rest_counts_total":              _row(C, "what the REST server counts", what=("requests", "http_401", "http_403", "http_429", "http_500", "http_503")),
    "rest_connections":               _row(G, "open connections of the REST server"),
    # the process and its store
    "build":                          _row(G, "the program", version=_ANY),
    "store_up":                       _row(G, "1: the store answers; else what has to be asked of it is left out"),
    "commits_total":                  _row(C, "transactions on disk since the start"),
    "store_bytes":                    _row(G, "size of the files of the store", file=_ANY),
    "disk_free_bytes":                _row(G, "free on the disk of the store"),
    "loop_lag_seconds":               _row(G, "how late the event loop was last"),
    "loop_lag_longest_seconds":       _row(G, "how late it was at the most in the last minute or two"),
})
# fmt: on
"""In the order in which the docs have them; `openway tables metrics` prints it. Beside them are
those of the process (`process_...`): CPU, memory, open files."""

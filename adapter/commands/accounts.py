"""The books of a request for many: who ended how, and what that makes of the whole (I16).

Every endpoint is counted once: when its part is answered, when its part ends without an answer, or
when the command ends before its part was sent. Data, where a read waits for them, decide again.
"""

from dataclasses import dataclass, field, replace

from adapter.commands import steps
from adapter.commands.activity import (
    Command,
    Exchange,
    ExchangeState,
    StepKind,
    Tally,
    Verdict,
)
from adapter.commands.calls import Outcome, RequestStatus
from adapter.commands.events import DataLookedUp
from adapter.commands.flows import Tells
from adapter.commands.outcomes import (
    EndpointOutcome,
    EndpointResult,
    add,
    resolve,
    same_for_all,
    tally,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the books say now, and the rows that made it so."""

    tally: Tally = field(default_factory=Tally)
    rows: tuple[EndpointOutcome, ...] = ()


def answered(command: Command, exchange: Exchange, outcome: Outcome) -> Entry:
    """A part was answered."""
    rows = resolve(exchange.operation, exchange.endpoints, outcome, exchange.status)
    counted = tally(_scheduled(exchange), rows)
    if not exchange.endpoints:
        counted = _of_strangers(counted, exchange.status)
    return Entry(tally=add(command.activity.tally, counted), rows=rows)


def broken(command: Command) -> Entry:
    """The parts of the step in progress that ended without an answer."""
    made = Entry(tally=command.activity.tally)
    for exchange in steps.current(command):
        if exchange.state is ExchangeState.COMPLETED:
            continue
        cause = exchange.failure.cause if exchange.failure else "canceled"
        known = steps.proves_idle(exchange)
        result = EndpointResult.FAILED if known else EndpointResult.UNKNOWN
        rows = same_for_all(exchange.endpoints, result, cause)
        counted = tally(_scheduled(exchange), rows)
        made = Entry(tally=add(made.tally, counted), rows=made.rows + rows)
    return made


def closing(command: Command) -> Entry:
    """What is still to be booked when the command ends as it stands."""
    activity = command.activity
    if not steps.for_many(command.request) or StepKind.MAIN in activity.steps_done:
        return Entry(tally=activity.tally)
    if steps.current(command):
        return broken(command)
    endpoints = [target.endpoint for target in command.targets]
    rows = same_for_all(endpoints, EndpointResult.FAILED, "not sent")
    return Entry(tally=tally(len(rows), rows), rows=rows)


def data_found(command: Command, event: DataLookedUp) -> Entry:
    """Data are the proof of a read: they decide about all that did not fail."""
    counts = command.activity.tally
    pool = counts.succeeded + counts.unknown
    found = min(len(event.found), pool)
    missing = min(len(event.missing), pool - found)
    if not found + missing:  # a group of which no member is known here
        return Entry(tally=counts)
    rows = same_for_all(event.missing, EndpointResult.MISSING, "no data arrived")
    if counts.unknown:
        rows += same_for_all(event.found, EndpointResult.SUCCEEDED, "")
    after = replace(
        counts,
        succeeded=found,
        missing=counts.missing + missing,
        unknown=pool - found - missing,
    )
    return Entry(tally=after, rows=rows)


def hopeless(command: Command) -> bool:
    """Whether nobody can have succeeded, so that there is nothing to wait for."""
    counts = command.activity.tally
    many = steps.for_many(command.request)
    return many and counts.requested > 0 and not counts.succeeded + counts.unknown


def verdict_of(command: Command) -> Verdict:
    """What the outcomes make of a command that went through."""
    counts = command.activity.tally
    if not steps.for_many(command.request) or counts.succeeded == counts.requested:
        return Verdict.SUCCEEDED
    if counts.succeeded:
        return Verdict.PARTIAL
    if counts.unknown:
        return Verdict.UNKNOWN
    ping = command.request.nature.tells is Tells.REACHABLE
    return Verdict.UNREACHABLE if ping else Verdict.FAILED


def _scheduled(exchange: Exchange) -> int:
    """How many endpoints an exchange covers; for a group the head end's own count."""
    if exchange.endpoints:
        return len(exchange.endpoints)
    return exchange.status.scheduled if exchange.status else 0


def _of_strangers(counted: Tally, status: RequestStatus | None) -> Tally:
    """Counts of a group of which no member is known here: the head end's, where they add up."""
    if status is None or not status.scheduled == status.succeeded + status.failed > 0:
        return counted
    return Tally(requested=status.scheduled, succeeded=status.succeeded, failed=status.failed)

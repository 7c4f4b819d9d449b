"""Which endpoint of a request ended how, and what that makes of the whole (I16).

Of a request for many every endpoint is counted once: when its part is answered, when its part ends
without an answer, or when the command ends before its part was sent. The sums always agree. Data,
where a read waits for them, decide again.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from adapter.commands import steps
from adapter.commands.activity import (
    Command,
    Communication,
    CommunicationState,
    Outcome,
    StepKind,
    Tally,
)
from adapter.commands.calls import HeadEndOutcome, RemoteResult, RequestStatus, SwitchState
from adapter.commands.events import DataLookedUp
from adapter.commands.flows import Operation, Tells
from adapter.model.ids import EndpointId
from adapter.model.values import replace_struct as replace


class EndpointResult(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MISSING = "missing"
    """The answer should have had a row for it and has none, or its data never came."""
    UNKNOWN = "unknown"
    """Nothing in the answer tells."""


class EndpointOutcome(Struct, frozen=True, kw_only=True, gc=False):
    endpoint: EndpointId
    result: EndpointResult
    reason: str = ""
    switch: SwitchState | None = None


def resolve(
    operation: Operation,
    endpoints: Sequence[EndpointId],
    outcome: HeadEndOutcome,
    status: RequestStatus | None,
) -> tuple[EndpointOutcome, ...]:
    """One outcome for every endpoint of one answered request.

    Success is implicit for pings and reads: asked and not listed as failed. Where the list was cut
    (MaximumResultsSent), or the request failed without naming anybody, absence proves nothing
    unless the head end's counts account for everyone. The overall Result alone decides nothing:
    what it says of mixed outcomes is not documented. Failures for endpoints that were not asked
    for are reported too where no list was given (a group).
    """
    failed = {item.endpoint: item for item in outcome.failures}
    switches = {item.endpoint: item.state for item in outcome.switches}
    asked = tuple(endpoints) or tuple(dict.fromkeys((*failed, *switches)))
    unlisted = _unlisted(operation, asked, outcome, status)
    rows: list[EndpointOutcome] = []
    for endpoint in asked:
        if endpoint in failed:
            reason = failed[endpoint].reason.value
            rows.append(
                EndpointOutcome(endpoint=endpoint, result=EndpointResult.FAILED, reason=reason)
            )
        elif endpoint in switches:
            rows.append(
                EndpointOutcome(
                    endpoint=endpoint, result=EndpointResult.SUCCEEDED, switch=switches[endpoint]
                )
            )
        else:
            rows.append(EndpointOutcome(endpoint=endpoint, result=unlisted))
    return tuple(rows)


def _unlisted(
    operation: Operation,
    asked: Sequence[EndpointId],
    outcome: HeadEndOutcome,
    status: RequestStatus | None,
) -> EndpointResult:
    if operation is Operation.SWITCH_STATE:
        return EndpointResult.UNKNOWN if outcome.truncated else EndpointResult.MISSING
    named = len(outcome.failures)
    if status is not None and status.scheduled == status.succeeded + status.failed > 0:
        accounted = status.failed == named and status.succeeded == len(asked) - named
        if accounted:
            return EndpointResult.SUCCEEDED
    if outcome.truncated or outcome.result in (RemoteResult.CANCELED, RemoteResult.UNKNOWN):
        return EndpointResult.UNKNOWN
    if outcome.result is RemoteResult.FAILURE and not named:
        return EndpointResult.UNKNOWN
    return EndpointResult.SUCCEEDED


def same_for_all(
    endpoints: Iterable[EndpointId], result: EndpointResult, reason: str
) -> tuple[EndpointOutcome, ...]:
    return tuple(
        EndpointOutcome(endpoint=endpoint, result=result, reason=reason) for endpoint in endpoints
    )


def tally(requested: int, rows: Iterable[EndpointOutcome]) -> Tally:
    """Count outcomes; whoever has no row is unknown, so that the four always add up."""
    counts = dict.fromkeys(EndpointResult, 0)
    for row in rows:
        counts[row.result] += 1
    counted = sum(counts.values())
    total = max(requested, counted)
    return Tally(
        requested=total,
        succeeded=counts[EndpointResult.SUCCEEDED],
        failed=counts[EndpointResult.FAILED],
        missing=counts[EndpointResult.MISSING],
        unknown=counts[EndpointResult.UNKNOWN] + total - counted,
    )


def add(one: Tally, other: Tally) -> Tally:
    return Tally(
        requested=one.requested + other.requested,
        succeeded=one.succeeded + other.succeeded,
        failed=one.failed + other.failed,
        missing=one.missing + other.missing,
        unknown=one.unknown + other.unknown,
    )


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """What the books say now, and the rows that made it so."""

    tally: Tally = Tally()
    rows: tuple[EndpointOutcome, ...] = ()


def answered(command: Command, communication: Communication, outcome: HeadEndOutcome) -> Entry:
    """A part was answered."""
    rows = resolve(communication.operation, communication.endpoints, outcome, communication.status)
    counted = tally(_scheduled(communication), rows)
    if not communication.endpoints:
        counted = _of_strangers(counted, communication.status)
    return Entry(tally=add(command.activity.tally, counted), rows=rows)


def broken(command: Command) -> Entry:
    """The parts of the step in progress that ended without an answer."""
    made = Entry(tally=command.activity.tally)
    for communication in steps.current(command):
        if communication.state is CommunicationState.COMPLETED:
            continue
        cause = communication.failure.cause if communication.failure else "canceled"
        known = steps.proves_idle(communication)
        result = EndpointResult.FAILED if known else EndpointResult.UNKNOWN
        rows = same_for_all(communication.endpoints, result, cause)
        counted = tally(_scheduled(communication), rows)
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


def outcome_of(command: Command) -> Outcome:
    """What the outcomes make of a command that went through."""
    counts = command.activity.tally
    if not steps.for_many(command.request) or counts.succeeded == counts.requested:
        return Outcome.SUCCEEDED
    if counts.succeeded:
        return Outcome.PARTIAL
    if counts.unknown:
        return Outcome.UNKNOWN
    ping = command.request.nature.tells is Tells.REACHABLE
    return Outcome.UNREACHABLE if ping else Outcome.FAILED


def _scheduled(communication: Communication) -> int:
    """How many endpoints a communication covers; for a group the head end's own count."""
    if communication.endpoints:
        return len(communication.endpoints)
    return communication.status.scheduled if communication.status else 0


def _of_strangers(counted: Tally, status: RequestStatus | None) -> Tally:
    """Counts of a group of which no member is known here: the head end's, where they add up."""
    if status is None or not status.scheduled == status.succeeded + status.failed > 0:
        return counted
    return Tally(requested=status.scheduled, succeeded=status.succeeded, failed=status.failed)


def of_each(command: Command, rows: Iterable[EndpointOutcome]) -> tuple[EndpointOutcome, ...]:
    """How each endpoint of a command that has ended came out; of several rows of one the last. Of
    a command for one endpoint there is no row: it came out as the command did."""
    if steps.for_many(command.request):
        return tuple({row.endpoint: row for row in rows}.values())
    activity = command.activity
    result = _RESULTS.get(activity.outcome, EndpointResult.FAILED)
    return tuple(
        EndpointOutcome(
            endpoint=target.endpoint,
            result=result,
            reason=activity.reason,
            switch=activity.switch_state,
        )
        for target in command.targets
    )


_RESULTS: Final[Mapping[Outcome | None, EndpointResult]] = MappingProxyType(
    {
        Outcome.SUCCEEDED: EndpointResult.SUCCEEDED,
        Outcome.SUCCEEDED_INFERRED: EndpointResult.SUCCEEDED,
        Outcome.ALREADY_SATISFIED: EndpointResult.SUCCEEDED,
        Outcome.NO_DATA: EndpointResult.MISSING,
        Outcome.UNKNOWN: EndpointResult.UNKNOWN,
    }
)

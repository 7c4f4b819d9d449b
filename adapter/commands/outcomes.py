"""Which endpoint of a request ended how: exactly one outcome each, and the sums agree (I16)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from adapter.commands.activity import Tally
from adapter.commands.calls import Outcome, RemoteResult, RequestStatus, SwitchState
from adapter.commands.flows import Operation
from adapter.model.ids import EndpointId


class EndpointResult(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    MISSING = "missing"
    """The answer should have had a row for it and has none, or its data never came."""
    UNKNOWN = "unknown"
    """Nothing in the answer tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOutcome:
    endpoint: EndpointId
    result: EndpointResult
    reason: str = ""
    switch: SwitchState | None = None


def resolve(
    operation: Operation,
    endpoints: Sequence[EndpointId],
    outcome: Outcome,
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
    outcome: Outcome,
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

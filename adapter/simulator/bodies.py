"""Message bodies in the contract's names: reading what was asked, writing what is answered.

An array is the list of its items, as the codec has it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from adapter.commands.calls import FailureReason, RemoteResult, SwitchReading
from adapter.model.ids import EndpointId, RequestToken
from adapter.simulator.jobs import FaultRaised, Job
from adapter.simulator.meters import Failed

Body = Mapping[str, object]

R = FailureReason
_DIA_REASONS: Final[Mapping[FailureReason, str]] = MappingProxyType(
    {
        R.TARGET_NOT_FOUND: "InvalidIdentifier",
        R.TOO_MANY_REQUESTS: "ErrorResponse",
        R.INVALID_TARGET_STATE: "ErrorResponse",
        R.TYPE_MISMATCH: "ErrorResponse",
        R.READ_WRITE_DENIED: "SecurityFailure",
        R.CONFIGURATION_ERROR: "Unspecified",
        R.PUBLISHING_ERROR: "Unspecified",
    }
)
"""Reasons that dia:FailureReason lacks, by the nearest that it has (inferred)."""


def wire_time(at: datetime) -> str:
    """xs:dateTime in UTC with as many fraction digits as there are, as .NET writes it."""
    text = _in_utc(at).isoformat()[: -len("+00:00")]
    return f"{text.rstrip('0') if at.microsecond else text}Z"


def _ticks(at: datetime) -> str:
    """As .NET writes a moment of its own clock: seven digits, the last of which is made up here."""
    text = _in_utc(at).isoformat(timespec="microseconds")[: -len("+00:00")]
    return f"{text}{at.microsecond % 9 + 1}Z"


def _in_utc(at: datetime) -> datetime:
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def read_time(value: object, name: str) -> datetime:
    """A moment of a request; one without a zone is UTC here. Raises ArgumentFault."""
    if isinstance(value, datetime):
        moment = value
    else:
        text = _seven_digits(str(value or ""))
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise FaultRaised("ArgumentFault", f"{name} is no date.", ParameterName=name) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _seven_digits(text: str) -> str:
    """Python reads six digits of a fraction, .NET writes seven."""
    head, dot, rest = text.strip().partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return f"{head}{dot}{rest[: min(digits, 6)]}{rest[digits:]}" if dot else head


def part(body: Body, *names: str) -> Body:
    """The nested element at `names`; an absent or nil one is empty."""
    here: Body = body
    for name in names:
        inner = here.get(name)
        here = inner if isinstance(inner, dict) else {}
    return here


def text(body: Body, name: str) -> str:
    value = body.get(name)
    return "" if value is None else str(value).strip()


def flag(body: Body, name: str) -> bool:
    value = body.get(name)
    return value is True or (isinstance(value, str) and value.strip() in ("true", "1"))


def items(body: Body, name: str) -> tuple[str, ...]:
    """The texts of an array; an absent or nil one is empty."""
    value = body.get(name)
    if not isinstance(value, list | tuple):
        return ()
    return tuple("" if entry is None else str(entry).strip() for entry in value)


def token_of(body: Body, name: str = "input") -> RequestToken:
    """The token a result, status or cancel call asks about. Raises ArgumentFault when absent."""
    found = text(part(body, name), "Id")
    if not found:
        raise FaultRaised("ArgumentFault", "A request token is needed.", ParameterName=name)
    return RequestToken(found.lower())


def token_body(token: RequestToken) -> dict[str, object]:
    return {"Id": token}


def failure_row(esn: EndpointId, failed: Failed, *, dia: bool) -> dict[str, object]:
    reason = _DIA_REASONS.get(failed.reason, str(failed.reason)) if dia else str(failed.reason)
    row: dict[str, object] = {"ElectronicSerialNumber": esn, "FailureReason": reason}
    if failed.description:
        row["Description"] = failed.description
    return row


def failure_list(
    failures: Mapping[EndpointId, Failed], *, dia: bool = False, most: int | None = None
) -> dict[str, object]:
    """An EndpointFailureResult, cut after `most` rows, and then it says so."""
    rows = [failure_row(esn, failed, dia=dia) for esn, failed in failures.items()]
    cut = most is not None and most < len(rows)
    return {
        "Failures": rows[:most] if cut else rows,
        "MaximumResultsSent": cut,
    }


def status_body(job: Job) -> dict[str, object]:
    """com:RequestStatus."""
    body: dict[str, object] = {
        "RequestToken": token_body(job.token),
        "State": str(job.state),
        "EndpointsScheduled": len(job.asked.endpoints),
        "Result": str(job.result),
        "SuccessfulEndpoints": job.succeeded if job.finished else 0,
        "FailedEndpoints": len(job.failures) if job.finished else 0,
        "CreatedWhen": _ticks(job.created_at),
    }
    if job.finished_at is not None:
        body["FinishedWhen"] = _ticks(job.finished_at)
    return body


def switch_row(reading: SwitchReading) -> dict[str, object]:
    row: dict[str, object] = {
        "ElectronicSerialNumber": reading.endpoint,
        "SwitchState": str(reading.state),
    }
    if reading.at is not None:
        row["LastSwitchStateUpdateTime"] = wire_time(reading.at)
    return row


def _head(job: Job) -> dict[str, object]:
    return {"RequestToken": token_body(job.token)}


def _failures(job: Job, *, dia: bool, most: int | None) -> dict[str, object]:
    listed = {esn: failed for esn, failed in job.failures.items() if esn not in job.missing}
    if not listed and job.failures_cut_to is None:
        return {}
    most = job.failures_cut_to if job.failures_cut_to is not None else most
    return {"EndpointFailureResult": failure_list(listed, dia=dia, most=most)}


def _first_failure(job: Job) -> dict[str, object] | None:
    for esn, failed in job.failures.items():
        return failure_row(esn, failed, dia=False)
    return None


def meter_result(job: Job, most: int | None) -> dict[str, object]:
    """com:EndpointRequestResult."""
    body = {
        **_head(job),
        "ElectronicSerialNumber": job.asked.endpoints[0],
        "Result": str(job.result),
    }
    if (failure := _first_failure(job)) is not None:
        body["MeterFailure"] = failure
    return body


def voltage_result(job: Job, most: int | None) -> dict[str, object]:
    """ctl:DetectLoadSideVoltageByMeterResult."""
    body: dict[str, object] = {
        "ElectronicSerialNumber": job.asked.endpoints[0],
        **_head(job),
        "Result": str(job.result),
    }
    if job.voltage is not None:
        body["IsVoltagePresent"] = job.voltage
    if (failure := _first_failure(job)) is not None:
        body["MeterFailure"] = failure
    return body


def collection_result(job: Job, most: int | None) -> dict[str, object]:
    """com:EndpointCollectionRequestResult."""
    return {**_head(job), "Result": str(job.result), **_failures(job, dia=False, most=most)}


def diagnostic_result(job: Job, most: int | None) -> dict[str, object]:
    """dia:EndpointCollectionRequestResult."""
    return {**_head(job), "Result": str(job.result), **_failures(job, dia=True, most=most)}


def group_result(job: Job, most: int | None) -> dict[str, object]:
    """com:GroupRequestResult."""
    return {
        **_head(job),
        "GroupName": job.asked.group or "",
        "Result": str(job.result),
        **_failures(job, dia=False, most=most),
    }


def diagnostic_group_result(job: Job, most: int | None) -> dict[str, object]:
    """dia:GroupRequestResult."""
    return {**group_result(job, most), **_failures(job, dia=True, most=most)}


def switch_result(job: Job, most: int | None) -> dict[str, object]:
    """dia:ReadDisconnectStateByMetersResult."""
    rows = [switch_row(row) for row in job.switches if row.endpoint not in job.missing]
    body = diagnostic_result(job, most)
    if job.result is not RemoteResult.PENDING:
        body["MeterDisconnectSwitchResults"] = rows
    return body


def interactive_result(job: Job, most: int | None) -> dict[str, object]:
    """dat:InteractiveReadByEndpointResult, the only result with readings in it."""
    body = {**_head(job), "Identifier": job.asked.endpoints[0], "Result": str(job.result)}
    if (failure := _first_failure(job)) is not None:
        body["EndpointFailure"] = failure
    if job.data:
        body["ReadDataCollection"] = job.data
    return body

"""What the outside is told about a command: plain data, stable names, no secrets."""

from datetime import datetime

import msgspec

from adapter.commands.activity import Command, Communication
from adapter.commands.business_objects import objects_of
from adapter.commands.flows import CommandKind


def _text(at: datetime | None) -> str | None:
    return msgspec.to_builtins(at) if at else None  # ISO 8601, and much faster than `isoformat`


def summary(command: Command) -> dict[str, object]:
    """The command for publications, REST, command line and demo. Times are ISO 8601, UTC."""
    activity, request = command.activity, command.request
    counts = activity.tally
    return {
        "id": command.id,
        "kind": str(request.kind),
        "title": command.flow.title,
        "state": str(activity.state),
        "final": activity.state.final,
        "outcome": str(activity.outcome) if activity.outcome else None,
        "reason": activity.reason or None,
        "devices": list(request.devices[:100]),
        "device_count": len(command.targets) + command.left_out,
        "group": request.group,
        "requester": request.requester or None,
        "reference": request.reference or None,
        "order": request.order,
        "created_at": _text(activity.created_at),
        "effective_at": _text(activity.effective_at),
        "expires_at": _text(activity.expires_at),
        "finished_at": _text(activity.finished_at),
        "switch_state": str(activity.switch_state) if activity.switch_state else None,
        "voltage_present": activity.voltage_present,
        "violations": list(activity.violations),
        "endpoints": {
            "requested": counts.requested,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "missing": counts.missing,
            "unknown": counts.unknown,
        }
        if counts.requested
        else None,
        "completion_events": [
            {"event": str(item.kind), "state": str(item.state), "error": item.error or None}
            for item in activity.completions
        ],
        "communications": [_communication(request.kind, each) for each in command.communications],
        "retries": activity.retries,
        "late_messages": activity.late,
        "resolution": None
        if activity.resolution is None
        else {
            "done": activity.resolution.done,
            "operator": activity.resolution.operator,
            "approver": activity.resolution.approver,
            "at": _text(activity.resolution.at),
        },
    }


def _communication(kind: CommandKind, item: Communication) -> dict[str, object]:
    """One of its communications, with the business objects that the source names for it."""
    objects = objects_of(kind, item)
    return {
        "id": item.id,
        "step": str(item.step),
        "operation": str(item.operation),
        "outbound": objects.outbound,
        "result_outbound": objects.result_outbound,
        "inbound": objects.inbound,
        "state": str(item.state),
        "token": item.token,
        "attempt": item.attempt,
        "failure": item.failure.cause if item.failure else None,
    }

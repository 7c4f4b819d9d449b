"""Spans that more than one place of the engine begins."""

from adapter.commands.calls import RequestStatus
from adapter.engine.commands.ports import Found
from adapter.engine.tracing import SpanName, TraceSpan, span


def callback_span(found: Found, operation: str, status: RequestStatus) -> TraceSpan:
    """A callback is a part of what sent its communication, however long ago."""
    return span(
        SpanName.CALLBACK,
        found.communication.trace,
        command=found.command,
        communication=found.communication.id,
        operation=operation,
        outcome=status.state,
    )

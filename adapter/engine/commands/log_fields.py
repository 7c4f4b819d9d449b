"""What a log line says of whom it tells, so that all lines of a command, or an order, are found."""

from adapter.commands.activity import Command
from adapter.model.ids import CommunicationId


def whose(command: Command, communication: CommunicationId | None = None) -> dict[str, object]:
    """Fields for a line about a command. They are made where the line is written, so that one that
    is not written costs nothing. What else a line is found by, as a trace, is added here."""
    found: dict[str, object] = {"command": command.id}
    if communication is not None:
        found["communication"] = communication
    if command.request.order is not None:
        found["order"] = command.request.order
    return found

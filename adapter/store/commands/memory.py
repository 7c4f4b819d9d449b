"""Commands as they were last stored, kept at hand: a cache, whose loss changes nothing.

Whoever saves a command that moved meanwhile is refused by its version, whatever stood here; then
it is forgotten and read again.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from adapter.commands.activity import Command
from adapter.model.ids import CommandId

MOST_REMEMBERED: Final = 60_000
"""Commands and their meters in all: some 30 MB."""


class CommandMemory:
    """The commands that were used last, so many that they and their meters are at most `most`."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._size = 0
        self._commands: OrderedDict[CommandId, Command] = OrderedDict()

    def get(self, command: CommandId) -> Command | None:
        found = self._commands.get(command)
        if found is not None:
            self._commands.move_to_end(command)
        return found

    def as_of(self, command: CommandId, version: int) -> Command | None:
        """The command as it was stored with this version, where that is at hand."""
        found = self._commands.get(command)
        return found if found is not None and found.version == version else None

    def put(self, commands: Iterable[Command]) -> None:
        """What was stored or read; never in the place of something newer."""
        for command in commands:
            id_ = command.activity.id
            before = self._commands.get(id_)
            if before is None:
                self._size += _size(command)
            elif before.version > command.version:
                command = before
            self._commands[id_] = command
            self._commands.move_to_end(id_)
        while self._size > self._most:
            _, oldest = self._commands.popitem(last=False)
            self._size -= _size(oldest)

    def forget(self, command: CommandId) -> None:
        found = self._commands.pop(command, None)
        if found is not None:
            self._size -= _size(found)

    def clear(self) -> None:
        self._commands.clear()
        self._size = 0


def _size(command: Command) -> int:
    """The same for all versions of a command."""
    return 10 + len(command.targets)

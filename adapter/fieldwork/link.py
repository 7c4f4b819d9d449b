"""What every field work system has besides the port: it is started with an inbox, and stopped."""

from typing import Protocol

from adapter.engine.orders.field_work import FieldInbox, FieldMessage, FieldWork, FieldWorkRefused


class FieldWorkLink(FieldWork, Protocol):
    async def start(self, inbox: FieldInbox) -> None:
        """Hand reports to `inbox` from now on."""

    async def stop(self) -> None:
        """Take no more reports; what was not handed in yet comes again after the next start."""


class NoFieldWork:
    """No field work system is set up: every visit waits for people."""

    async def send(self, message: FieldMessage) -> None:
        raise FieldWorkRefused(f"no field work system is set up for {message.task}")

    async def start(self, inbox: FieldInbox) -> None:
        pass

    async def stop(self) -> None:
        pass

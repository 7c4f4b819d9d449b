"""Who hears how it went, at once: a future would cost each callback a turn of the event loop."""

import logging
from collections.abc import Callable
from typing import Protocol, TypeAlias

from adapter.commands.activity import Command

log = logging.getLogger(__name__)

Taken: TypeAlias = Callable[[BaseException | None], None]
"""Told when a message is stored; with the error where it is not."""


class NotPlain(Exception):
    """A callback whose effect is not stored with it: that is found out later."""


class SaveResult(Protocol):
    """What is told once what became of an event; a future of the saved command is one."""

    def done(self) -> bool: ...

    def set_result(self, saved: Command, /) -> None: ...

    def set_exception(self, error: BaseException, /) -> None: ...


class CallbackResult:
    """Tells `then` the moment that it is told itself. What goes wrong in that is nobody else's:
    others are told after it."""

    __slots__ = ("_done", "_then")

    def __init__(self, then: Taken) -> None:
        self._then = then
        self._done = False

    def done(self) -> bool:
        return self._done

    def set_result(self, saved: Command, /) -> None:
        self._tell(None)

    def set_exception(self, error: BaseException, /) -> None:
        self._tell(error)

    def _tell(self, error: BaseException | None) -> None:
        self._done = True
        try:
            self._then(error)
        except Exception:
            log.exception("not_told")

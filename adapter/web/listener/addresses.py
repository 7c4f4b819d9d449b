"""The addresses of the listener: what each takes, and whether it names a communication."""

import re
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from adapter.engine.commands.identity import STATUS_PATH
from adapter.model.ids import CommunicationId
from adapter.wire.notifications import (
    DATA_ARRIVED,
    EVENTS_ARRIVED,
    EXCEPTIONS_ARRIVED,
    STATUS_CHANGED,
)

DATA_PATH: Final = "/openway/data"
EVENTS_PATH: Final = "/openway/events"
EXCEPTIONS_PATH: Final = "/openway/exceptions"

OPERATIONS: Final[Mapping[str, str]] = {
    STATUS_PATH: STATUS_CHANGED,
    DATA_PATH: DATA_ARRIVED,
    EVENTS_PATH: EVENTS_ARRIVED,
    EXCEPTIONS_PATH: EXCEPTIONS_ARRIVED,
}
"""The operation of each address without a secret. Its contract is there, too."""


class Address(Struct, frozen=True, kw_only=True, gc=False):
    """`path` is without the prefix. With `secret` it is of one communication, where genuine."""

    path: str
    operation: str
    communication: CommunicationId | None = None
    secret: str = ""


class Addresses:
    """All addresses behind one prefix."""

    def __init__(self, prefix: str) -> None:
        self._plain = {
            prefix + path: Address(path=path, operation=key) for path, key in OPERATIONS.items()
        }
        self._signed = re.compile(re.escape(prefix + STATUS_PATH) + "/([^{}/]+)/([^{}/]+)")

    def find(self, path: str) -> Address | None:
        """Of a path that is decoded but for its quoted slashes and percent signs."""
        signed = self._signed.fullmatch(path)
        if signed is None:
            return self._plain.get(path)
        named, secret = signed.groups()
        if "%" in path:
            named, secret = _unquoted(named), _unquoted(secret)
        return Address(
            path=STATUS_PATH,
            operation=STATUS_CHANGED,
            communication=CommunicationId(named),
            secret=secret,
        )


def _unquoted(part: str) -> str:
    return part.replace("%2F", "/").replace("%25", "%")

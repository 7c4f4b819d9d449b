"""Exit codes, and which error has which."""

from enum import IntEnum
from typing import Final

from adapter.cli.client import ApiProblem, Unreachable
from adapter.errors import (
    Conflict,
    ContractError,
    GatewayError,
    HeadEndError,
    InvalidRequest,
    NotFound,
    SettingsError,
    StoreFailed,
    WireError,
)


class Exit(IntEnum):
    OK = 0
    WITHOUT_SUCCESS = 1
    INVALID = 2
    NOT_FOUND = 3
    CONFLICT = 4
    UNREACHABLE = 5
    SETTINGS = 6
    FAILED = 7
    INTERRUPTED = 130


MEANING: Final = {
    Exit.OK: "done",
    Exit.WITHOUT_SUCCESS: "the command ended, or waits for a person, without success; "
    "or a check found something",
    Exit.INVALID: "wrong usage or invalid input; nothing was done",
    Exit.NOT_FOUND: "no such command, device, message or payload",
    Exit.CONFLICT: "conflict with the present state, or not allowed",
    Exit.UNREACHABLE: "no answer, or not ended in time",
    Exit.SETTINGS: "a setting is unknown or bad",
    Exit.FAILED: "the gateway or its store failed",
    Exit.INTERRUPTED: "interrupted",
}

_BY_STATUS: Final = {
    400: Exit.INVALID,
    401: Exit.CONFLICT,
    403: Exit.CONFLICT,
    404: Exit.NOT_FOUND,
    408: Exit.UNREACHABLE,
    409: Exit.CONFLICT,
    412: Exit.CONFLICT,
    413: Exit.INVALID,
    415: Exit.INVALID,
    422: Exit.INVALID,
    429: Exit.UNREACHABLE,
    503: Exit.UNREACHABLE,
    504: Exit.UNREACHABLE,
}
_BY_ERROR: Final = (
    (Unreachable, Exit.UNREACHABLE),
    (InvalidRequest, Exit.INVALID),
    (NotFound, Exit.NOT_FOUND),
    (Conflict, Exit.CONFLICT),
    (HeadEndError, Exit.UNREACHABLE),
    (WireError, Exit.INVALID),
    (ContractError, Exit.INVALID),
    (SettingsError, Exit.SETTINGS),
    (StoreFailed, Exit.FAILED),
)


def exit_of(error: GatewayError) -> Exit:
    if isinstance(error, ApiProblem):
        return _BY_STATUS.get(error.status, Exit.FAILED)
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.INVALID)

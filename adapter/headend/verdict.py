"""What a whole reply proves: status and bytes in, Answer or error out. Pure.

The order of evidence: a redirect proves nothing; a named fault refuses under any other status; so
does a bare 4xx, but for a switch order only where the settings say that it must be the head end's
own; then the status must be a success and the body exactly the answer that was asked for. What
proves neither that the head end took the request nor that it refused leaves the outcome unknown.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from adapter.commands.calls import Answer, Call, HeadEndOutcome, RequestStatus, TokenGiven
from adapter.commands.flows import SWITCH_OPERATIONS, Operation
from adapter.errors import Fault, FaultClass, OutcomeUnknown, Refused, WireError
from adapter.headend.settings import HeadEndSettings
from adapter.model.values import replace

NIL_TOKEN: Final = "00000000-0000-0000-0000-000000000000"

_REFUSING: Final = MappingProxyType(
    {
        **dict.fromkeys(
            (400, 401, 403, 404, 405, 406, 410, 411, 413, 414, 415, 417, 421, 426, 431),
            FaultClass.PERMANENT,
        ),
        429: FaultClass.RETRY,
    }
)
"""4xx by which a server says that it did not process the request. Not 407 and 408: a proxy's word,
perhaps after it passed the request on; not 409, 422 and the like, which can follow processing."""

_NO_ANSWER: Final = frozenset({202, 204, 205, 206})
_LONGEST_TEXT: Final = 300
_MOST_FIELDS: Final = 20

Read = Callable[[Operation, bytes], Answer]


def judge(call: Call, status: int, body: bytes, *, read: Read, settings: HeadEndSettings) -> Answer:
    """The answer, or Refused, or OutcomeUnknown; nothing else.

    `read` raises Refused for a fault envelope and WireError for anything that is not the answer.
    """
    if 300 <= status < 400:
        raise OutcomeUnknown(f"HTTP {status}: redirects are not followed")
    answer: Answer | WireError | None = None
    if body.strip():
        try:
            answer = read(call.operation, body)
        except Refused as refused:
            _judge_fault(call, status, refused.fault, settings.generic_faults)
        except WireError as error:
            answer = error
    klass = _REFUSING.get(status)
    if klass is not None:
        if call.operation in SWITCH_OPERATIONS and not settings.believe_bare_4xx:
            raise OutcomeUnknown(f"HTTP {status} without a fault, perhaps of a proxy")
        raise Refused(Fault(name="", klass=klass, message=f"HTTP {status}"))
    if not 200 <= status < 300 or status in _NO_ANSWER:
        raise OutcomeUnknown(f"HTTP {status} without a named fault")
    if answer is None:
        raise OutcomeUnknown(f"HTTP {status} with an empty body")
    if isinstance(answer, WireError):
        # The error's own text may quote the reply.
        place = f" at {_plain(answer.at[:80])}" if answer.at else ""
        raise OutcomeUnknown(f"HTTP {status}, the reply is not the answer: {answer.code}{place}")
    _check_token(call, answer)
    return answer


def _judge_fault(call: Call, status: int, fault: Fault, generic_faults: frozenset[str]) -> None:
    if not fault.named:
        raise OutcomeUnknown(f"HTTP {status} with a fault that has no named detail")
    if fault.name in generic_faults and call.operation in SWITCH_OPERATIONS:
        raise OutcomeUnknown(f"HTTP {status} with {_plain(fault.name)}, which proves too little")
    raise Refused(
        replace(
            fault,
            name=_plain(fault.name),
            message=_plain(fault.message),
            fields=MappingProxyType(
                {_plain(k): _plain(v) for k, v in list(fault.fields.items())[:_MOST_FIELDS]}
            ),
        )
    )


def _check_token(call: Call, answer: Answer) -> None:
    """A token must be one, and must be ours where we asked by token."""
    match answer:
        case TokenGiven(token=token) if token.lower() == NIL_TOKEN:
            raise OutcomeUnknown("the reply's token is the nil GUID")
        case RequestStatus(token=token) if call.token is not None and token != call.token:
            raise OutcomeUnknown("the reply speaks of another token")
        case HeadEndOutcome(token=token) if None not in (token, call.token) and token != call.token:
            raise OutcomeUnknown("the reply speaks of another token")


def _plain(text: str) -> str:
    """Bounded and on one line: fault texts are the head end's, and go into logs and tables."""
    printable = "".join(each if each.isprintable() else " " for each in text[:_LONGEST_TEXT])
    return " ".join(printable.split())

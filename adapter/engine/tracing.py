"""THE SPANS: what of a command or an order was done when, told to who traces it.

One tracer of the process, as with log lines: none before `trace_with` gave one, and then a span
costs nothing. A trace is carried through the store and over HTTP as W3C Trace Context has it, as a
`traceparent`. What is stored without one is not traced: a trace begins with what was submitted.

A span tells ids, names of operations, counts and outcomes, never what a customer is or uses (I14).
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from enum import StrEnum
from types import MappingProxyType, TracebackType
from typing import Final, Protocol, TypeAlias


class SpanName(StrEnum):
    SUBMIT = "submit"
    ORDER_PASS = "order pass"
    DISPATCH = "dispatch"
    CALL = "call"
    CALLBACK = "callback"
    STATUS = "status"
    RESULT = "result"
    CANCEL = "cancel"
    COMPLETION = "completion"


N = SpanName
SPANS: Final[Mapping[SpanName, tuple[str, str, str]]] = MappingProxyType(
    {
        N.SUBMIT: (
            "who asked, or the order pass",
            "a command or an order is judged and stored",
            "command order kind endpoints outcome",
        ),
        N.ORDER_PASS: (
            "submit of the order",
            "the facts of an order are looked at, and its next step is taken",
            "order kind outcome",
        ),
        N.DISPATCH: (
            "submit of the command",
            "a request is allowed, its intent stored, sent, and its answer stored",
            "command communication order operation endpoints outcome",
        ),
        N.CALL: (
            "dispatch, status, result or cancel",
            "one HTTP exchange with the head end",
            "operation endpoints outcome",
        ),
        N.CALLBACK: (
            "dispatch",
            "a callback is judged and stored with its effect",
            "command communication operation outcome",
        ),
        N.STATUS: (
            "dispatch",
            "the head end is asked how far it is",
            "command communication operation endpoints outcome",
        ),
        N.RESULT: (
            "dispatch",
            "the result is fetched and stored",
            "command communication operation endpoints outcome",
        ),
        N.CANCEL: (
            "dispatch",
            "the head end is asked to give it up",
            "command communication operation endpoints outcome",
        ),
        N.COMPLETION: (
            "submit of the command",
            "a completion event changes the registry",
            "command order operation endpoints outcome",
        ),
    }
)
"""What each is a part of, what is done in it, and its attributes; `openway tables spans`."""

Attribute: TypeAlias = str | int


class TraceSpan(Protocol):
    """Under way as long as the `with` block is, and an error that leaves the block is its outcome;
    or, without a block, until `end`."""

    @property
    def traceparent(self) -> str:
        """What continues it; empty: it is not traced."""

    def set(self, name: str, value: Attribute) -> None: ...

    def end(self, error: BaseException | None = None) -> None: ...

    def __enter__(self) -> "TraceSpan": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Tracer(Protocol):
    """`parent` None is the span that is under way; without one a trace begins."""

    def span(
        self, name: SpanName, parent: str | None, attributes: Mapping[str, Attribute]
    ) -> TraceSpan: ...

    def current(self) -> str: ...

    def continued(self, traceparent: str) -> AbstractContextManager[None]: ...


class _NotTraced:
    __slots__ = ()
    traceparent = ""

    def set(self, name: str, value: Attribute) -> None:
        """Nobody is told."""

    def end(self, error: BaseException | None = None) -> None:
        """Nothing was begun."""

    def __enter__(self) -> TraceSpan:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing ends."""


_NOT_TRACED: Final = _NotTraced()
_tracer: Tracer | None = None


def trace_with(tracer: Tracer | None) -> None:
    """Tell this one of all spans from now on; None: nobody."""
    global _tracer
    _tracer = tracer


def span(name: SpanName, parent: str | None, **attributes: Attribute) -> TraceSpan:
    """A part of what `parent` names; of None, of what is under way, or the first of a trace. Of ""
    there is none: what it would be a part of is not traced."""
    if _tracer is None or parent == "":
        return _NOT_TRACED
    return _tracer.span(name, parent, attributes)


def current() -> str:
    """The traceparent of the span under way; empty: there is none."""
    return "" if _tracer is None else _tracer.current()


def continued(traceparent: str) -> AbstractContextManager[object]:
    """What is done in it is a part of a caller's trace, if `traceparent` names one."""
    if _tracer is None or not traceparent:
        return _NOT_TRACED
    return _tracer.continued(traceparent)

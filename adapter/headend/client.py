"""The head end as a port: `call` gives an Answer, or says what may have happened out there.

    NotSent         no byte of the request left this machine
    Refused         the head end said no, by a named fault or a 4xx that must be its own
    OutcomeUnknown  everything else: it may have acted

Nothing else is raised but CancelledError; who cancels a call that had started must count it as
unknown. The durable machine retries; here only a connection attempt is repeated, and only while
nothing has left.
"""

import asyncio
import logging
import secrets
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Final, Protocol

from msgspec import Struct
from tenacity import (
    AsyncRetrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from adapter.commands.calls import Answer, Call
from adapter.commands.flows import SWITCH_OPERATIONS, Operation, Priority
from adapter.engine.tracing import SpanName, TraceSpan, current, span
from adapter.errors import (
    ContractViolation,
    GatewayError,
    HeadEndError,
    NotSent,
    OutcomeUnknown,
    Unwritable,
)
from adapter.headend.limits import Admission, Limits
from adapter.headend.security import (
    request_headers,
    security_header,
    tls_context,
    without_secrets,
)
from adapter.headend.settings import HeadEndSettings, with_access_of
from adapter.headend.transport import HttpReply, NotConnected, RequestTarget, Transport
from adapter.headend.verdict import judge
from adapter.model.texts import sendable_problem

log = logging.getLogger(__name__)

_THREAD_BYTES: Final = 256 * 1024
"""Replies from this size on are read in a thread, so that the loop keeps its pace."""

_SHOWN: Final = 5
"""Endpoints that an error names."""


class Encoded(Struct, frozen=True, kw_only=True, gc=False):
    """A request ready to go. `path` is the URL path of its service in the contract."""

    body: bytes
    soap_action: str
    path: str


class Wire(Protocol):
    """What this client needs of the codec."""

    def encode(self, call: Call, *, header: bytes) -> Encoded:
        """Raises a GatewayError when the call cannot be written."""

    def read(self, operation: Operation, data: bytes) -> Answer:
        """Raises Refused for a fault envelope, WireError for what is not the answer."""


class HttpCall(Struct, frozen=True, kw_only=True):
    """One call as it was on the wire, for recordings.

    Credentials are left out: the WS-Security header, Authorization and cookies. The callback
    address is in `request` as it was sent, secret included: a recording needs it to be played back.
    `status` is None where no reply began; `reply` holds what came, decoded, also of a broken one.
    `sent_at` is when it was begun; after `took_s` the reply was there, or the call was given up.
    """

    call: Call
    url: str
    request: bytes
    request_headers: tuple[tuple[str, str], ...]
    status: int | None
    reply: bytes
    reply_headers: tuple[tuple[str, str], ...]
    error: GatewayError | None
    sent_at: datetime
    took_s: float

    @property
    def replied_at(self) -> datetime:
        return self.sent_at + timedelta(seconds=self.took_s)


Observer = Callable[[HttpCall], None]


class HeadEndClient:
    """Implements the engine's HeadEnd port over aiohttp.

    `async with HeadEndClient(...)` opens the connections and closes them. `limits` may be shared
    with a dispatcher that asks for admission itself and hands it in with the call.
    """

    def __init__(
        self,
        settings: HeadEndSettings,
        wire: Wire,
        *,
        limits: Limits | None = None,
        observe: Observer | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        nonce: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._settings = settings
        self._wire = wire
        self._observe = observe
        self._clock = clock
        self._nonce = nonce
        self.limits = limits or Limits(settings.limits, clock=time.monotonic)
        self._context = tls_context(settings.tls) if settings.tls is not None else None
        self._transport: Transport | None = None
        self._targets: dict[tuple[Operation, str, str], RequestTarget] = {}
        self.switches_barred: Callable[[], bool] = lambda: False
        """Asked right before the first byte of a connect or disconnect: then it does not leave."""

    async def __aenter__(self) -> "HeadEndClient":
        self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def open(self) -> None:
        """Make the (empty) pool. Needs the running event loop; connects to nothing yet."""
        if self._transport is None:
            self._transport = Transport(self._settings)

    def use(self, settings: HeadEndSettings, context: ssl.SSLContext | None) -> None:
        """Show what these settings have of certificates, names and passwords from the next call on;
        all else stays. Calls under way end as they began, on the connections that they have."""
        self._settings = with_access_of(self._settings, settings)
        self._context = context
        self._targets.clear()

    async def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    async def admit(self, operation: Operation, priority: str, *, wait_s: float) -> "HeadEndPermit":
        """A place for one call within `wait_s` seconds. Raises NotSent when none comes free."""
        return HeadEndPermit(self, await self.limits.admit(operation, priority, wait_s=wait_s))

    async def call(
        self,
        call: Call,
        *,
        admission: Admission | None = None,
        priority: str = Priority.NORMAL,
    ) -> Answer:
        """Send one request and judge its reply. Raises NotSent, Refused or OutcomeUnknown.

        An `admission` that is given is used up, whatever happens. Without one a place is awaited
        in the class `priority`, within the operation's time-out.
        """
        timeouts = self._settings.timeouts_for(call.operation)
        deadline = asyncio.get_running_loop().time() + timeouts.total_s
        if admission is None:
            admission = await self.limits.admit(
                call.operation,
                priority,
                wait_s=min(timeouts.admission_s, timeouts.total_s),
            )
        operation, endpoints = call.operation, len(call.endpoints)
        with (
            admission,
            span(SpanName.CALL, current(), operation=operation, endpoints=endpoints) as traced,
        ):
            answer = await self._exchange(call, deadline, traced)
            traced.set("outcome", "answered")
            return answer

    async def _exchange(self, call: Call, deadline: float, traced: TraceSpan) -> Answer:
        transport = self._transport
        if transport is None:
            raise NotSent("the head end client is not open")
        encoded = self._encode(call)
        target = self._target(call.operation, encoded)
        reply, trace = HttpReply(), traced.traceparent if self._settings.traceparent else ""
        barred = self.switches_barred if call.operation in SWITCH_OPERATIONS else None
        error: HeadEndError | None = None
        sent_at, began = self._clock(), time.monotonic()
        try:
            await self._send(transport, target, encoded.body, deadline, reply, trace, barred)
            return await self._judge(call, reply)
        except HeadEndError as raised:
            error = raised
            raise
        except asyncio.CancelledError:
            error = OutcomeUnknown("the call was cancelled")
            raise
        finally:
            self._report(call, target, encoded, reply, error, sent_at, time.monotonic() - began)

    def _target(self, operation: Operation, encoded: Encoded) -> RequestTarget:
        key = (operation, encoded.path, encoded.soap_action)
        if key not in self._targets:
            settings = self._settings
            self._targets[key] = RequestTarget.of(
                settings.url_for(operation, encoded.path),
                request_headers(settings, encoded.soap_action),
                settings,
                settings.timeouts_for(operation),
                fresh=operation in settings.fresh_connection,
                context=self._context,
            )
        return self._targets[key]

    async def _send(
        self,
        transport: Transport,
        target: RequestTarget,
        body: bytes,
        deadline: float,
        reply: HttpReply,
        trace: str,
        barred: Callable[[], bool] | None,
    ) -> None:
        # The deadline is the transport's alone: a second time-out around it, due at the same
        # instant, would hide whether the request had left.
        post = partial(
            transport.post, target, body, deadline=deadline, reply=reply, trace=trace, barred=barred
        )
        try:
            await post()
        except NotConnected as error:
            failed = [error]
        else:
            return
        left_s = max(0.0, deadline - asyncio.get_running_loop().time())
        connecting = AsyncRetrying(
            retry=retry_if_exception(_connect_again),
            stop=stop_after_attempt(self._settings.connect_attempts) | stop_before_delay(left_s),
            wait=wait_random_exponential(multiplier=self._settings.connect_retry_wait_s, max=2.0),
            reraise=True,
        )
        async for attempt in connecting:
            with attempt:
                if failed:  # the first attempt: few need more than that
                    raise failed.pop()
                await post()

    async def _judge(self, call: Call, reply: HttpReply) -> Answer:
        assert reply.status is not None
        read, settings = self._wire.read, self._settings
        judged = partial(judge, call, reply.status, reply.body, read=read, settings=settings)
        try:
            if len(reply.body) < _THREAD_BYTES:
                return judged()
            return await asyncio.to_thread(judged)
        except HeadEndError:
            raise
        except Exception as error:
            # A defect of ours after the request has left: the head end may have acted all the same.
            log.error("reply_not_judged", extra={"error": type(error).__name__})
            raise OutcomeUnknown(
                f"sent; the reply could not be judged: {type(error).__name__}"
            ) from None

    def _encode(self, call: Call) -> Encoded:
        header = b""
        try:
            if self._settings.username_token is not None:
                header = security_header(
                    self._settings.username_token, clock=self._clock, nonce=self._nonce
                )
            return self._wire.encode(call, header=header)
        except ContractViolation as error:
            raise Unwritable(f"the request cannot be written: {_why(call, error)}") from error
        except GatewayError as error:
            raise NotSent(f"the request cannot be written: {error.code}") from error

    def _report(
        self,
        call: Call,
        target: RequestTarget,
        encoded: Encoded,
        reply: HttpReply,
        error: HeadEndError | None,
        sent_at: datetime,
        took_s: float,
    ) -> None:
        if self._observe is None:
            return
        request = encoded.body
        try:
            if self._settings.username_token is not None:
                request = self._wire.encode(call, header=b"").body
            self._observe(
                HttpCall(
                    call=call,
                    url=target.url,
                    request=request,
                    request_headers=target.shown_headers,
                    status=reply.status,
                    reply=reply.body,
                    reply_headers=without_secrets(reply.headers),
                    error=error,
                    sent_at=sent_at,
                    took_s=took_s,
                )
            )
        except Exception as failure:
            # A recording that fails must not turn a known outcome into an unknown one.
            log.error("exchange_not_observed", extra={"error": type(failure).__name__})


class HeadEndPermit(Struct, frozen=True):
    """Leave to make one call: the admission, and who makes the call with it."""

    client: HeadEndClient
    admission: Admission

    async def call(self, call: Call) -> Answer:
        return await self.client.call(call, admission=self.admission)

    def release(self) -> None:
        self.admission.release()


def _why(call: Call, error: ContractViolation) -> str:
    """Which endpoints it is; else the place. The error's own text may quote a secret."""
    problems = ((each, sendable_problem(each)) for each in call.endpoints)
    bad = [f"endpoint {each!a}: {problem}" for each, problem in problems if problem is not None]
    return "; ".join(bad[:_SHOWN]) or f"{error.code} at {error.at[:80]}"


def _connect_again(error: BaseException) -> bool:
    return isinstance(error, NotConnected) and error.again

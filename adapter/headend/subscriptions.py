"""Subscription calls to the head end: few, seldom, and harmless to repeat."""

import asyncio
import secrets
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime

from adapter.errors import GatewayError, NotSent, OutcomeUnknown, WireError
from adapter.headend.limits import Limits
from adapter.headend.security import request_headers, security_header, tls_context
from adapter.headend.settings import HeadEndSettings, with_access_of
from adapter.headend.transport import HttpReply, RequestTarget, Transport
from adapter.subscriptions.reconcile import Held, SubscriptionCall
from adapter.wire.codec import Codec
from adapter.wire.subscriptions import encode_subscription, read_subscription


class SubscriptionClient:
    """The engine's SubscriptionHeadEnd over a connection of its own for each call.

    `limits` are those of the commands to the same head end: a call waits for a place as they do,
    and what becomes of it counts for the pause and the breaker.
    """

    def __init__(
        self,
        settings: HeadEndSettings,
        codec: Codec,
        *,
        limits: Limits | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        nonce: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._settings = settings
        self._codec = codec
        self._limits = limits or Limits(settings.limits, clock=time.monotonic)
        self._clock = clock
        self._nonce = nonce
        self._context = tls_context(settings.tls) if settings.tls is not None else None

    def use(self, settings: HeadEndSettings, context: ssl.SSLContext | None) -> None:
        """As that of the client of commands."""
        self._settings = with_access_of(self._settings, settings)
        self._context = context

    async def ask(self, call: SubscriptionCall) -> tuple[Held, ...]:
        """Raises NotSent, Refused or OutcomeUnknown; nothing else."""
        timeouts = self._settings.timeouts
        admission = await self._limits.admit(call.operation, wait_s=timeouts.admission_s)
        with admission:
            return await self._ask(call)

    async def _ask(self, call: SubscriptionCall) -> tuple[Held, ...]:
        settings = self._settings
        try:
            spec = self._codec.catalog.spec(call.operation)
            header = b""
            if settings.username_token is not None:
                header = security_header(
                    settings.username_token, clock=self._clock, nonce=self._nonce
                )
            body = encode_subscription(self._codec, call, header=header)
        except GatewayError as error:
            raise NotSent(f"the request cannot be written: {error.code}") from error
        service = call.operation.value.partition(".")[0]
        below = f"{settings.base_url.rstrip('/')}/{spec.path.lstrip('/')}"
        target = RequestTarget.of(
            settings.service_urls.get(service, below),
            request_headers(settings, spec.soap_action),
            settings,
            settings.timeouts,
            fresh=True,
            context=self._context,
        )
        reply = HttpReply()
        transport = Transport(settings)
        try:
            deadline = asyncio.get_running_loop().time() + settings.timeouts.total_s
            await transport.post(target, body, deadline=deadline, reply=reply)
        finally:
            await transport.close()
        return self._judged(call, reply)

    def _judged(self, call: SubscriptionCall, reply: HttpReply) -> tuple[Held, ...]:
        if reply.body.strip():
            try:
                held = read_subscription(self._codec, call.operation, reply.body)
            except WireError as error:
                raise OutcomeUnknown(f"HTTP {reply.status}: {error.code}") from error
            if reply.status is not None and 200 <= reply.status < 300:
                return held
        raise OutcomeUnknown(f"HTTP {reply.status} without an answer")
